import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ajuste.evaluation import bootstrap, scores
from ajuste.tasks import TASKS

LABELS = {
    "binary": ["negative", "positive"],
    "multiclass": ["1", "2", "3"],
    "multilabel": ["drama", "comedy", "short"],
    "regression": ["1", "10"],
    "unit_regression": ["1", "10"],
}


def answers(task, reviews, seed):
    """Targets and predictions with ties among them."""
    generator = np.random.default_rng(seed)
    outputs = 3 if task.startswith("multi") else 1
    predictions = generator.integers(0, 21, (reviews, outputs)) / 20
    if task == "multiclass":
        targets = np.eye(outputs)[generator.integers(outputs, size=reviews)]
    elif task == "regression":
        targets, predictions = generator.integers(1, 11, (reviews, 1)), 10 * predictions
    elif task == "unit_regression":
        targets = generator.integers(0, 10, (reviews, outputs)) / 9
    else:
        targets = generator.integers(0, 2, (reviews, outputs))
    return targets.astype(np.float32), predictions.astype(np.float32)


@pytest.mark.parametrize("task", TASKS)
@settings(max_examples=60)
@given(reviews=st.integers(1, 12), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_a_weight_is_how_often_a_review_counts(task, reviews, seed, data):
    targets, predictions = answers(task, reviews, seed)
    draw = st.lists(st.integers(0, 3), min_size=reviews, max_size=reviews).filter(any)
    weights = np.array(data.draw(draw))
    loss = TASKS[task].losses[0]
    found = bootstrap.scores(
        task, loss, targets, predictions, LABELS[task], np.array([weights, weights])
    )
    drawn = np.repeat(np.arange(reviews), weights)
    expected = scores.score(task, loss, targets[drawn], predictions[drawn], LABELS[task])
    expected = {
        name: np.nan if value is None else value
        for name, value in expected.items()
        if name != "reviews" and not name.endswith(("_low", "_high"))
    }
    assert found.keys() == expected.keys()
    for name, values in found.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-6, atol=1e-7, err_msg=name)


def test_each_resample_draws_as_many_reviews_as_there_are():
    batches = list(bootstrap.resamples(1_000, 2_500, seed=1))
    assert len(batches) > 1
    weights = np.concatenate(batches)
    assert weights.shape == (2_500, 1_000)
    assert (weights.sum(axis=1) == 1_000).all()
    assert weights.var() == pytest.approx(1, abs=0.01)  # of a Poisson count, nearly


def test_the_standard_error_is_that_of_the_textbook():
    generator = np.random.default_rng(3)
    targets = np.ones((400, 1))
    predictions = (generator.random((400, 1)) < 0.8).astype(float)
    found = np.concatenate(
        [
            bootstrap.scores(
                "binary", "binary_crossentropy", targets, predictions, LABELS["binary"], weights
            )["accuracy"]
            for weights in bootstrap.resamples(400, 4_000, seed=1)
        ]
    )
    share = predictions.mean()
    assert found.std() == pytest.approx(np.sqrt(share * (1 - share) / 400), rel=0.05)
