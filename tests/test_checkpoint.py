"""A training that is interrupted and resumed gives the same result as one that is not."""

import numpy as np
import pytest
from test_train import Log, fit, network

from ajuste.files import read_arrays, write_arrays

pytestmark = pytest.mark.slow

ONCE, TWICE = [(1, 2)], [(1, 2), (3, 0)]
CASES = {
    "gru, dropout in both places, cosine": {
        "dropout": 0.3, "recurrent_dropout": 0.2, "optimizer": "rmsprop", "schedule": "cosine",
    },
    "lstm, clipped, penalties, early stopping": {
        "network": "lstm", "clip_norm": 0.5, "l1": 1e-4, "l2": 1e-3, "patience": 3, "epochs": 30,
    },
    "bag of words, adagrad, dropout": {
        "network": "bag_of_words", "units": [8], "dropout": 0.5, "dropout_layers": 2,
        "max_features": 30, "embedding": None, "optimizer": "adagrad",
    },
    "simple rnn from scratch, sgd": {
        "network": "simple_rnn", "embedding": "scratch", "embedding_width": 4,
        "max_features": 30, "optimizer": "sgd",
    },
}  # fmt: skip


class InterruptError(Exception):
    pass


def interrupt(checkpoint, changes, epoch, batch=2):
    """Train, and stop in the middle of an epoch, counted from 0."""
    from ajuste.training.backend import keras

    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, number, logs=None):
            self.now = number

        def on_train_batch_end(self, number, logs=None):
            if (self.now, number) == (epoch, batch):
                raise InterruptError

    with pytest.raises(InterruptError):
        fit(*network(**changes), checkpoint=checkpoint, callback=Interrupt())


def train(checkpoint, changes):
    model, options = network(**changes)
    log = Log()
    kept = fit(model, options, log, checkpoint=checkpoint)
    return model.get_weights(), log.metrics, kept


def checkpoint(folder, training="this one"):
    from ajuste.training.checkpoint import Checkpoint

    return Checkpoint(folder / "train.npz", training)


@pytest.fixture
def asked(monkeypatch):
    from ajuste.training.checkpoint import ASK

    monkeypatch.setenv(ASK, "1")


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_weights_curves_and_the_epoch_kept_are_the_same(tmp_path, asked, changes):
    whole = train(checkpoint(tmp_path / "other"), changes)
    for epoch, batch in TWICE if "recurrent_dropout" in changes else ONCE:
        interrupt(checkpoint(tmp_path), changes, epoch, batch)
    weights, curves, kept = train(checkpoint(tmp_path), changes)
    assert all(np.array_equal(a, b) for a, b in zip(weights, whole[0], strict=True))
    assert curves == whole[1]
    assert list(curves["train/loss"]) == list(range(1, len(curves["train/loss"]) + 1))
    assert kept == whole[2]


def test_a_training_that_had_ended_is_not_continued(tmp_path, asked):
    """Killed between the last epoch and the writing of the model."""
    changes = {"patience": 1, "epochs": 20}
    whole, again = (train(checkpoint(tmp_path), changes) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(again[0], whole[0], strict=True))
    assert again[1:] == whole[1:]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with the checkpoint of a training that was interrupted after epoch 2."""
    folder = tmp_path_factory.mktemp("checkpoint")
    interrupt(checkpoint(folder), {}, epoch=2)
    return folder


@pytest.fixture
def path(saved, tmp_path):
    """A copy of the checkpoint."""
    path = tmp_path / "train.npz"
    path.write_bytes((saved / "train.npz").read_bytes())
    return path


@pytest.fixture(scope="module")
def untrained():
    from ajuste.training.options import compile_model

    model, options = network()
    compile_model(model, options, 24)
    return model


def test_epochs_that_ended_do_not_run_again(path, asked, capsys):
    model, options = network(epochs=3)
    fit(model, options, checkpoint=checkpoint(path.parent))
    assert model.history.epoch == [2]
    assert "resumes after epoch 2" in capsys.readouterr().out


@pytest.mark.parametrize("value", ["", "0", None])
def test_a_training_resumes_only_if_this_is_asked_for(path, untrained, monkeypatch, value):
    from ajuste.training.checkpoint import ASK

    monkeypatch.delenv(ASK, raising=False) if value is None else monkeypatch.setenv(ASK, value)
    assert checkpoint(path.parent).restore(untrained) == ([], [])


def change(path, **arrays):
    changed = read_arrays(path) | arrays
    write_arrays(path, **{k: np.array(v) for k, v in changed.items() if v is not None})


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


WRONG_TYPES = '{"training": 1, "curve": 2, "best": []}'


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "there is no checkpoint"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "is damaged"),
        (lambda path: path.write_bytes(b""), "is damaged"),
        (flip, "is damaged"),
        (lambda path: change(path, description="null"), "is damaged"),
        (lambda path: change(path, description="[" * 10**5), "is damaged"),
        (lambda path: change(path, description=WRONG_TYPES), "is damaged"),
        (lambda path: change(path, state_0=np.zeros(3, np.float32)), "is damaged"),
        (lambda path: change(path, state_0=None), "is damaged"),
    ],
)
def test_without_a_usable_checkpoint_the_training_starts_from_the_beginning(
    path, untrained, asked, capsys, damage, message
):
    damage(path)
    weights = untrained.get_weights()
    assert checkpoint(path.parent).restore(untrained) == ([], [])
    same = zip(weights, untrained.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in same)
    assert message in capsys.readouterr().out


def test_the_checkpoint_of_another_training_is_not_used(path, untrained, asked, capsys):
    assert checkpoint(path.parent, "another one").restore(untrained) == ([], [])
    assert "other parameters, data, code, versions or threads" in capsys.readouterr().out
