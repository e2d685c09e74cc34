from types import SimpleNamespace

import numpy as np
import pytest

from ajuste import tasks
from ajuste.data.encoder import Encoder, pad, read_part, read_rows, write_part
from ajuste.errors import PipelineError

pytestmark = pytest.mark.slow

TRAINING = {
    "optimizer": "adam",
    "learning_rate": 0.05,
    "schedule": "constant",
    "batch_size": 16,
    "epochs": 2,
}
LINEAR = {"network": "bag_of_ngrams", "max_length": 8, "keep": "both", "units": [], **TRAINING}
GRU = {"network": "gru", "max_length": 5, "units": 3, "embedding": "trained", **TRAINING}
MATRIX = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)


class Log:
    def __init__(self):
        self.step = 0
        self.metrics = {}

    def log_metric(self, name, value):
        self.metrics.setdefault(name, []).append(value)

    def sync(self):
        pass


@pytest.fixture(scope="module")
def entry():
    from ajuste.training import entry

    return entry


@pytest.fixture
def source(entry, tmp_path):
    """Reviews of 1 to 12 words whose label shows in their words."""

    def make(task="binary"):
        chance = np.random.default_rng(1)
        for part, count in (("train", 90), ("validation", 60)):
            labels = np.arange(count) % 3
            rows = [chance.integers(2, 12, chance.integers(1, 13)) + 10 * label for label in labels]
            targets = np.eye(3, dtype=np.float32)[labels]
            if task == "binary":
                targets = targets[:, 2:]
            elif task == "regression":
                targets = labels[:, None].astype(np.float32)
            write_part(tmp_path / f"{part}.npz", rows, targets)
        rows = {part: read_rows(tmp_path / f"{part}.npz") for part in entry.PARTS}
        return entry.Source(task, rows, MATRIX, 1)

    return make


def checkpoint(name):
    return SimpleNamespace(save=lambda *given: None, restore=lambda model: ([], []))


def train(entry, settings, source):
    log = Log()
    return entry.train("mine", settings, source, log, checkpoint), log


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "regression"])
def test_the_majority_predicts_the_class_frequencies(entry, source, task):
    given = source(task)
    found, log = train(entry, {"network": "majority"}, given)
    targets = found.parts["train"]["targets"]
    assert np.allclose(found.predictions["validation"], targets.mean(axis=0), atol=1e-6)
    assert found.kept_epoch is None
    loss = tasks.TASKS[task].losses[0]
    assert log.metrics["train/loss"] == [pytest.approx(tasks.baseline_loss(loss, targets), 1e-5)]


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_an_ensemble_is_at_least_as_good_in_validation_as_its_members(entry, source, task):
    given = source(task)
    members = {"words": LINEAR, "cells": GRU}
    found, log = train(entry, {"network": "ensemble", "members": members}, given)
    assert (found.options.max_length, found.options.keep) == (16, "both")
    loss, targets = tasks.TASKS[task].losses[0], found.parts["validation"]["targets"]

    def mean_loss(predictions):
        return tasks.review_losses(loss, targets, predictions).mean()

    alone = {}
    for name, settings in members.items():
        one, _ = train(entry, settings, given)
        alone[name] = one.predictions["validation"]
        assert len(log.metrics[f"{name}/validation/loss"]) == TRAINING["epochs"]
    together = mean_loss(found.predictions["validation"])
    assert together <= min(map(mean_loss, alone.values())) + 1e-4
    assert log.metrics["validation/loss"] == [pytest.approx(together, rel=1e-4)]
    assert found.facts["weights"].keys() == members.keys()


def test_an_ensemble_is_the_same_after_it_was_saved(entry, source, tmp_path):
    from ajuste.training import model_file
    from serving.classifier import Classifier

    members = {"words": LINEAR, "cells": GRU}
    found, _ = train(entry, {"network": "ensemble", "members": members}, source())
    model_file.save(found.model, tmp_path / "model.keras")
    for words in (len(MATRIX) - 2, 5):  # those of the training, and of another one
        counts = {f"word{number}": 1 for number in range(words)}
        Encoder(counts, 16, "both", "binary", ["no", "yes"]).save(tmp_path)
        if words == 5:
            with pytest.raises(PipelineError, match="the files are from two trainings"):
                Classifier.load(tmp_path)
        else:
            Classifier.load(tmp_path)
    loaded = model_file.load(tmp_path / "model.keras")
    token_ids = found.parts["validation"]["token_ids"]
    assert np.array_equal(model_file.predict(loaded, token_ids), found.predictions["validation"])


def test_a_calibrated_network_has_a_lower_loss_and_the_same_labels(entry, source):
    sure = LINEAR | {"epochs": 30}
    plain, _ = train(entry, sure, source())
    calibrated, _ = train(entry, sure | {"calibrate": True}, source())
    assert calibrated.facts["temperature"] != 1
    before, after = (one.predictions["validation"] for one in (plain, calibrated))
    assert np.array_equal(before > 0.5, after > 0.5)
    targets = plain.parts["validation"]["targets"]
    losses = [
        tasks.review_losses("binary_crossentropy", targets, one).mean() for one in (before, after)
    ]
    assert losses[1] < losses[0]


@pytest.mark.parametrize("keep", ["first", "last", "both"])
@pytest.mark.parametrize("length", [1, 3, 4, 9])
def test_the_graph_cuts_a_row_as_the_encoder_does(keep, length):
    from ajuste.training import backend, ensemble

    rows = [np.arange(2, 2 + size) for size in (1, 3, 4, 5, 8)]
    whole = pad(rows, 8, "first")
    token_ids = backend.keras.Input((None,), dtype="int32")
    model = backend.keras.Model(token_ids, ensemble.cut(token_ids, length, keep))
    assert model.predict(whole, verbose=0).tolist() == pad(rows, length, keep).tolist()


def test_ngrams_are_counted_by_review_and_found_in_the_graph():
    from ajuste.training import backend, ngrams

    rows = [[2, 3, 2, 3], [2, 3, 4], [5, 2, 3], [4, 4, 4, 4], [4]]
    targets = np.array([[1], [1], [1], [0], [0]], np.float32)
    found = ngrams.count(pad(rows, 4, "first"), targets, order=2, classes=True)
    assert found.keys.tolist() == [2, 3, 4, 2 * 6 + 3]  # each in three reviews
    assert (found.ratios[:, 0] > 0).tolist() == [True, True, False, True]
    token_ids = backend.keras.Input((None,), dtype="int32")
    model = backend.keras.Model(token_ids, ngrams.places(token_ids, found))
    places = model.predict(pad([*rows, [3, 2]], 4, "first"), verbose=0)
    assert [sorted(set(row) - {0}) for row in places.tolist()] == [
        [1, 2, 4], [1, 2, 3, 4], [1, 2, 4], [3], [3], [1, 2],
    ]  # fmt: skip
    assert all(len(row[row > 0]) == len(set(row[row > 0])) for row in places)


def test_buckets_have_every_review_once_and_the_same_order_for_a_seed():
    from ajuste.training import loop

    chance = np.random.default_rng(1)
    lengths = chance.integers(1, 100, 1003)
    order = chance.permutation(1003)
    found = loop.bucket(order, lengths, 10, seed=1, epoch=0)
    assert sorted(found) == sorted(order)
    assert np.array_equal(found, loop.bucket(order, lengths, 10, seed=1, epoch=0))
    assert not np.array_equal(found, loop.bucket(order, lengths, 10, seed=1, epoch=1))
    assert found[-3:].tolist() == order[-3:].tolist()

    def padding(rows):
        full = lengths[rows[:1000]].reshape(-1, 10)
        return (full.max(axis=1, keepdims=True) - full).sum()

    assert padding(found) < padding(order) / 5


def test_a_part_is_read_as_each_network_reads_it(tmp_path):
    rows = [[2, 3, 4, 5], [6]]
    write_part(tmp_path / "train.npz", rows, np.ones((2, 1), np.float32))
    assert read_part(tmp_path / "train.npz", 2, "last")["token_ids"].tolist() == [[4, 5], [6, 0]]
    assert read_part(tmp_path / "train.npz", 3, "both")["token_ids"].tolist() == [
        [2, 4, 5],
        [6, 0, 0],
    ]
