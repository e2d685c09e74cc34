"""A training that is cut off and taken up again is the one that was not."""

import numpy as np
import pytest
from test_train import Log, fit, network

pytestmark = pytest.mark.slow

CASES = {
    "gru, dropout in both places, cosine": {
        "dropout": 0.3, "recurrent_dropout": 0.2, "optimizer": "rmsprop", "schedule": "cosine",
    },
    "gru, early stopping": {"patience": 4, "epochs": 30},
    "lstm, clipped, penalties": {"network": "lstm", "clip_norm": 0.5, "l1": 1e-4, "l2": 1e-3},
    "dense, dropout, adagrad": {
        "network": "dense", "units": [8], "dropout": 0.5, "optimizer": "adagrad",
    },
    "bag of words, early stopping, dropout": {
        "network": "bag_of_words", "units": [8], "dropout": 0.5, "dropout_layers": 2,
        "max_features": 30, "embedding": None, "patience": 4, "epochs": 30,
    },
    "simple rnn from scratch, sgd": {
        "network": "simple_rnn", "embedding": "scratch", "embedding_width": 4,
        "max_features": 30, "optimizer": "sgd",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def stage():
    from stages import train

    return train


@pytest.fixture
def checkpoint(tmp_path):
    from ajuste.training.checkpoint import Checkpoint

    return Checkpoint(tmp_path / "train.npz", "this one")


class CutOffError(Exception):
    pass


def cut_off(stage, checkpoint, changes, epoch, batch=2):
    """Train, and be ended in the middle of an epoch, counted from 0."""
    from ajuste.training.backend import keras

    class Cut(keras.callbacks.Callback):
        def on_epoch_begin(self, number, logs=None):
            self.now = number

        def on_train_batch_end(self, number, logs=None):
            if (self.now, number) == (epoch, batch):
                raise CutOffError

    model, options = network(**changes)
    fit_once = model.fit
    model.fit = lambda *given, callbacks, **named: fit_once(
        *given, callbacks=[*callbacks, Cut()], **named
    )
    with pytest.raises(CutOffError):
        fit(stage, model, options, checkpoint=checkpoint)


def train(stage, checkpoint, changes):
    model, options = network(**changes)
    log = Log()
    kept = fit(stage, model, options, log, checkpoint=checkpoint)
    return model.get_weights(), log.metrics, kept


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_weights_curves_and_the_epoch_kept_are_the_same(
    stage, checkpoint, tmp_path, monkeypatch, changes
):
    from ajuste.training.checkpoint import ASK, Checkpoint

    whole = train(stage, Checkpoint(tmp_path / "other.npz", "this one"), changes)
    cut_off(stage, checkpoint, changes, epoch=1)
    monkeypatch.setenv(ASK, "1")
    cut_off(stage, checkpoint, changes, epoch=3, batch=0)  # twice is once more than enough
    weights, curves, kept = train(stage, checkpoint, changes)
    assert all(np.array_equal(a, b) for a, b in zip(weights, whole[0], strict=True))
    assert curves == whole[1]
    assert list(curves["train/loss"]) == list(range(1, len(curves["train/loss"]) + 1))
    assert kept == whole[2]


def test_the_epochs_that_were_done_are_not_done_again(stage, checkpoint, monkeypatch, capsys):
    from ajuste.training.checkpoint import ASK

    cut_off(stage, checkpoint, {}, epoch=4)
    monkeypatch.setenv(ASK, "1")
    model, options = network()
    fit(stage, model, options, checkpoint=checkpoint)
    assert model.history.epoch == [4, 5]
    assert "goes on after epoch 4" in capsys.readouterr().out


@pytest.mark.parametrize("asked", ["", "0", None])
def test_unless_it_is_asked_for(stage, checkpoint, monkeypatch, asked):
    from ajuste.training.checkpoint import ASK

    cut_off(stage, checkpoint, {}, epoch=4)
    monkeypatch.delenv(ASK, raising=False) if asked is None else monkeypatch.setenv(ASK, asked)
    model, options = network()
    fit(stage, model, options, checkpoint=checkpoint)
    assert model.history.epoch == list(range(6))


def test_a_training_whose_last_epoch_was_done_is_not_gone_on_with(stage, checkpoint, monkeypatch):
    """Killed between the last epoch and the writing of the model."""
    from ajuste.training.checkpoint import ASK

    changes = {"patience": 1, "epochs": 20}
    whole = train(stage, checkpoint, changes)
    monkeypatch.setenv(ASK, "1")
    again = train(stage, checkpoint, changes)
    assert all(np.array_equal(a, b) for a, b in zip(again[0], whole[0], strict=True))
    assert again[1:] == whole[1:]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), "no training was cut off"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "is damaged"),
        (lambda path: path.write_bytes(b""), "is damaged"),
        (lambda path: flip(path), "is damaged"),
        (lambda path: change(path, told="[1]"), "is damaged"),
        (lambda path: change(path, told="null"), "is damaged"),
        (lambda path: change(path, told="[" * 10**5), "is damaged"),
        (lambda path: change(path, told='{"training": 1, "curve": 2, "best": []}'), "is damaged"),
        (lambda path: change(path, state_0=np.zeros(3, np.float32)), "is damaged"),
        (lambda path: change(path, state_0=None), "is damaged"),
    ],
)
def test_without_a_usable_checkpoint_it_says_so_and_starts_anew(
    stage, checkpoint, monkeypatch, capsys, damage, said
):
    from ajuste.training.checkpoint import ASK

    cut_off(stage, checkpoint, {}, epoch=4)
    damage(checkpoint.path)
    monkeypatch.setenv(ASK, "1")
    model, options = network()
    fit(stage, model, options, checkpoint=checkpoint)
    assert model.history.epoch == list(range(6))
    assert said in capsys.readouterr().out


def change(path, **arrays):
    from ajuste.files import read_arrays, write_arrays

    changed = read_arrays(path) | arrays
    write_arrays(path, **{k: np.array(v) for k, v in changed.items() if v is not None})


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def test_what_another_training_left_is_not_taken_up(stage, checkpoint, monkeypatch, capsys):
    from ajuste.training.checkpoint import ASK, Checkpoint

    cut_off(stage, checkpoint, {}, epoch=4)
    monkeypatch.setenv(ASK, "1")
    model, options = network()
    fit(stage, model, options, checkpoint=Checkpoint(checkpoint.path, "another one"))
    assert model.history.epoch == list(range(6))
    assert "other parameters, data, code or versions" in capsys.readouterr().out


def test_whatever_shapes_a_training_makes_it_another(tmp_path):
    from ajuste.training.checkpoint import identity

    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1")
    two.write_text("2")
    same = identity({"seed": 1, "entry": {"units": 8}}, [one, two])
    assert identity({"entry": {"units": 8}, "seed": 1}, [one, two]) == same
    two.write_text("3")
    assert identity({"seed": 1, "entry": {"units": 8}}, [one, two]) != same
    two.write_text("2")
    assert identity({"seed": 2, "entry": {"units": 8}}, [one, two]) != same
    assert identity({"seed": 1, "entry": {"units": 9}}, [one, two]) != same
