"""The benchmark of the verdict: it trains as the pipeline does, and its counts are right."""

import numpy as np
import pytest
from test_significance import changed

from ajuste.evaluation import significance

pytestmark = pytest.mark.slow

PARAMS = """
task: binary
models:
  small:
    network: bag_of_words
    max_features: 30
    units:
    - 4
    dropout: 0.3
    optimizer: adam
    learning_rate: 0.05
    schedule: cosine
    batch_size: 16
    epochs: 3
"""


@pytest.fixture
def difference(tmp_path, monkeypatch):
    """The module, in a folder with 120 reviews; a small token id in a review makes it positive."""
    from benchmarks import difference

    token_ids = np.random.default_rng(3).integers(2, 30, (120, 6)).astype(np.int32)
    targets = (token_ids.min(axis=1) < 5).astype(np.float32)[:, None]
    for path, place in zip(difference.PARTS, np.split(np.arange(120), (80, 100)), strict=True):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        np.savez(tmp_path / path, token_ids=token_ids[place], targets=targets[place])
    (tmp_path / difference.MATRIX).parent.mkdir()
    np.save(tmp_path / difference.MATRIX, np.zeros((31, 2), dtype=np.float32))
    (tmp_path / "params.yaml").write_text(PARAMS)
    monkeypatch.chdir(tmp_path)
    kept = difference.reviews, difference.matrix, difference.entry, difference.traced
    yield difference
    for function in kept:
        function.cache_clear()


def test_it_trains_as_the_pipeline_does(difference, tmp_path):
    """With the loop of the stage train, although it uses a network again for the next seed."""
    from test_train import Log

    from ajuste.training import backend, loop, model_file
    from ajuste.training.checkpoint import Checkpoint

    recipe = difference.Recipe("small", 40)
    train, asked = np.arange(40), np.arange(40, 120)
    before = difference.answers(recipe, 5, train, asked)
    again = difference.answers(recipe, 1, train, asked)
    token_ids, targets = difference.reviews()
    backend.seed(1)
    model, options = difference.untrained(recipe)
    parts = [
        {"token_ids": token_ids[places], "targets": targets[places]} for places in (train, asked)
    ]
    checkpoint = Checkpoint(tmp_path / "checkpoint.npz", "")
    loop.fit(model, options, "binary", *parts, Log(), 1, checkpoint)
    right = (model_file.predict(model, token_ids[40:]) >= 0.5) == (targets[40:] >= 0.5)
    assert np.array_equal(again, right[:, 0])
    assert not np.array_equal(again, before)


def test_a_pair_shares_its_draw_and_comes_out_the_same_again(difference):
    base, head = difference.Recipe("small", 20), difference.Recipe("small", 40)
    pair = difference.Pair(base, head, seeds=2, test=50, others=30, random=(1, 2, 3))
    found, again = difference.trained(pair), difference.trained(pair)
    assert found.before.shape == found.after.shape == (2, 50)
    assert found.after_elsewhere.shape == (2, 30)
    assert np.array_equal(found.before, again.before)
    assert np.array_equal(found.after_elsewhere, again.after_elsewhere)


@pytest.mark.parametrize(("put_right", "put_wrong"), [(300, 20), (20, 300), (60, 40)])
def test_the_verdict_is_that_of_the_report(difference, put_right, put_wrong):
    answers = changed(put_right, put_wrong)
    right = [each.quality().astype(bool) for each in answers]
    [test] = difference.tests([difference.Sides(*right, *right)], 1)
    assert test == significance.compare(*answers).test


def test_rates_and_the_true_difference(difference):
    better, alike = changed(300, 20), changed(60, 40)
    found = [
        difference.Sides(*(each.quality().astype(bool) for each in (*pair, *better)))
        for pair in (better, better, better, alike)
    ]
    [row] = difference.same(found, [1])
    assert row[:2] == ["1", "3 of 4: 75.0 % (19.4 to 99.4)"]
    [row] = difference.different(found, [1], 0.28)
    assert (row[1][:6], row[3][:6]) == ("3 of 4", "0 of 4")
    assert difference.true_difference(found) == pytest.approx((0.28, 0))
