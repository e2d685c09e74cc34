import numpy as np
import pytest

from ajuste.errors import PipelineError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stage():
    from stages import train

    return train


def test_metrics_are_named_as_dvclive_names_them(stage):
    nested = {"train": {"loss": 1.0}, "kept_epoch": 3}
    assert stage.flatten(nested) == {"train/loss": 1.0, "kept_epoch": 3}


def parts(seed=0, count=64):
    chance = np.random.default_rng(seed)
    return {
        "token_ids": chance.integers(2, 40, (count, 12)).astype(np.int32),
        "targets": chance.integers(0, 2, (count, 1)).astype(np.float32),
    }


def network(patience, epochs=6):
    from ajuste import backend, networks

    entry = {
        "network": "gru",
        "units": 16,
        "embedding": "trained",
        "optimizer": "adam",
        "learning_rate": 0.05,
        "schedule": "constant",
        "batch_size": 16,
        "epochs": epochs,
        "patience": patience,
    }
    backend.seed(1)
    matrix = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    return networks.build("gru", entry, matrix, 12)


def test_without_patience_every_epoch_runs_and_the_last_is_kept(stage):
    model, options = network(patience=0)
    assert stage.fit(model, options, parts(), parts(1), []) == 6
    assert model.history.epoch == list(range(6))


def test_with_patience_the_best_epoch_is_kept(stage):
    """Labels at random: training learns them by heart, and validation gets worse from the start."""
    model, options = network(patience=2, epochs=30)
    kept = stage.fit(model, options, parts(), parts(1), [])
    losses = model.history.history["val_loss"]
    assert len(losses) == kept + 2 < 30
    assert kept == np.argmin(losses) + 1
    assert stage.summary(model, parts(), parts(1))["validation"]["loss"] == pytest.approx(
        min(losses), rel=1e-4
    )


def test_the_summary_measures_both_parts_alike(stage):
    model, options = network(patience=0)
    stage.fit(model, options, parts(), parts(1), [])
    same = stage.summary(model, parts(), parts())
    assert same["generalization_gap"] == {"loss": 0, "accuracy": 0}
    other = stage.summary(model, parts(), parts(1))
    assert other["generalization_gap"]["loss"] > 0
    assert other["generalization_gap"]["accuracy"] > 0
    assert other["parameters"] == {"total": 1409, "trainable": 1409}


class Log:
    """Stands in for DVCLive."""

    step = 0

    def log_metric(self, name, value):
        raise AssertionError("nothing is logged of an epoch that diverged")


@pytest.mark.parametrize("logs", [{"loss": np.nan, "val_loss": 1}, {"loss": 1, "val_loss": np.inf}])
def test_a_training_that_diverges_stops(stage, logs):
    with pytest.raises(PipelineError, match="in epoch 3: training has diverged; lower"):
        stage.Curves(Log()).on_epoch_end(2, logs)
