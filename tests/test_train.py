from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT, edit

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stage():
    from stages import train

    return train


@pytest.fixture(scope="module")
def loop():
    from ajuste.training import loop

    return loop


class Log:
    """In place of DVCLive: keeps the metrics, by name and step."""

    def __init__(self):
        self.step = 0
        self.metrics = {}

    def log_metric(self, name, value):
        self.metrics.setdefault(name, {})[self.step] = value

    def sync(self):
        pass


def test_the_lectures_count_of_batches(loop):
    assert loop.steps_per_epoch(60_000, 128) == 469
    assert 5 * loop.steps_per_epoch(60_000, 128) == 2_345


def parts(seed=0, count=64):
    chance = np.random.default_rng(seed)
    return {
        "token_ids": chance.integers(2, 40, (count, 12)).astype(np.int32),
        "targets": chance.integers(0, 2, (count, 1)).astype(np.float32),
    }


DENSE = {"network": "dense", "units": [8]}  # fast to compile


def network(patience=0, epochs=6, task="binary", **changes):
    from ajuste.training import backend
    from ajuste.training.build import build

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
        **changes,
    }
    entry = {name: value for name, value in entry.items() if value is not None}
    backend.keras.utils.clear_session()  # so that layers have the names they have in a new process
    backend.seed(1)
    matrix = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    return build("gru", {"max_length": 12, **entry}, matrix, task)


def fit(model, options, log=None, task="binary", checkpoint=None, reviews=None, callback=None):
    """Train, with a callback besides those of the loop."""
    from ajuste.training import loop
    from ajuste.training.checkpoint import Checkpoint

    if callback:
        fit_once = model.fit
        model.fit = lambda *given, callbacks, **named: fit_once(
            *given, callbacks=[*callbacks, callback], **named
        )
    with TemporaryDirectory() as folder:
        checkpoint = checkpoint or Checkpoint(Path(folder) / "train.npz", "this one")
        both = reviews or parts(), parts(1)
        return loop.fit(model, options, task, *both, log or Log(), 1, checkpoint)


@pytest.fixture(scope="module")
def trained():
    """A network that is trained without patience, its options and the epoch that was kept."""
    model, options = network()
    return model, options, fit(model, options)


def test_without_patience_every_epoch_runs_and_the_last_is_kept(trained):
    model, _, kept = trained
    assert kept == 6
    assert model.history.epoch == list(range(6))


def test_every_epoch_has_each_review_once_in_another_order(loop):
    part = {"token_ids": np.arange(10)[:, None], "targets": np.arange(10)[:, None]}
    batches = loop.batches(part, 4, seed=1)
    seen = []
    for _ in range(3):
        taken = [next(batches) for _ in range(3)]
        assert [len(targets) for _, targets in taken] == [4, 4, 2]
        assert all((token_ids == targets).all() for token_ids, targets in taken)
        seen.append(np.concatenate([targets[:, 0] for _, targets in taken]).tolist())
    assert all(sorted(order) == list(range(10)) for order in seen)
    assert len(set(map(tuple, seen))) == 3
    resumed = loop.batches(part, 4, seed=1, done=1)
    assert next(resumed)[1][:, 0].tolist() == seen[1][:4]
    assert loop.batch_order(10, 2, 0).tolist() != seen[0]


def test_the_batches_reach_the_network_in_their_order(stage, loop):
    from ajuste.training.backend import keras, tf

    reviews = parts()
    reviews["token_ids"][:, 0] = np.arange(64)  # to identify a review
    taken = []

    class Spy(keras.layers.Layer):
        def call(self, token_ids, training=None):
            if training:
                tf.py_function(
                    lambda ids: taken.extend(ids.numpy().tolist()), [token_ids[:, 0]], []
                )
            return tf.cast(token_ids[:, 1:2], tf.float32)

    _, options = network(epochs=3)
    token_ids = keras.Input((12,), dtype="int32")
    model = keras.Model(token_ids, keras.layers.Dense(1)(Spy()(token_ids)))
    fit(model, options, reviews=reviews)
    orders = [loop.batch_order(64, 1, epoch).tolist() for epoch in range(3)]
    assert np.reshape(taken, (3, 64)).tolist() == orders


def summary(stage, model, options, validation, task="binary"):
    from ajuste.training import model_file

    both = {"train": parts(), "validation": validation}
    targets = {name: part["targets"] for name, part in both.items()}
    found = {name: model_file.predict(model, part["token_ids"]) for name, part in both.items()}
    return stage.summary(task, options.loss, targets, found)


def test_targets_between_0_and_1_have_a_least_loss(stage):
    targets = {"train": np.full((4, 1), 0.5), "validation": np.full((2, 1), 0.9)}
    found = stage.summary("unit_regression", "binary_crossentropy", targets, targets)
    assert found["least_loss"] == pytest.approx({"train": np.log(2), "validation": 0.325083})


def test_with_patience_the_best_epoch_is_kept(stage):
    """Random labels: the network memorizes them, and validation gets worse from the start."""
    model, options = network(patience=2, epochs=30, **DENSE)
    log = Log()
    kept = fit(model, options, log)
    losses = log.metrics["validation/loss"]
    assert len(losses) == kept + 2 < 30
    assert kept == min(losses, key=losses.get)
    found = summary(stage, model, options, parts(1))
    assert found["validation"]["loss"] == pytest.approx(min(losses.values()))


def test_the_curves_are_measured_at_the_end_of_an_epoch_and_without_dropout(stage, loop):
    model, options = network(dropout=0.5, l2=0.01)
    log = Log()
    fit(model, options, log)
    now = loop.measure(model, "binary", options.loss, parts())
    assert log.metrics["train/loss"][6] == pytest.approx(now["loss"])
    assert log.metrics["train/accuracy"][6] == now["accuracy"]
    # Keras' own loss includes dropout, the penalty and the earlier batches
    shown = model.history.history
    assert shown["loss"][-1] > now["loss"] + 0.01
    assert shown["accuracy"][-1] == now["accuracy"]
    assert list(shown) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert set(log.metrics["gradient/gru"]) == set(range(1, 7))


def test_measuring_changes_nothing_of_the_training(stage, loop):
    """With a dense network: Keras' recurrent layers draw a dropout mask in evaluation as well."""
    from ajuste.training.options import compile_model

    model, options = network(**DENSE, dropout=0.5)
    fit(model, options)
    plain, _ = network(**DENSE, dropout=0.5)
    compile_model(plain, options, 24)
    loop.run_epochs(plain, options, parts(), 1)
    pairs = zip(model.get_weights(), plain.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


def test_the_summary_measures_both_parts_in_the_same_way(stage, trained):
    model, options, _ = trained
    same = summary(stage, model, options, parts())
    assert same["generalization_gap"] == {"loss": 0, "accuracy": 0}
    other = summary(stage, model, options, parts(1))
    assert other["generalization_gap"]["loss"] > 0
    assert other["generalization_gap"]["accuracy"] > 0
    assert stage.parameters(model) == {"total": 1409, "trainable": 1409}
    assert "least_loss" not in other
    share = parts()["targets"].mean()
    entropy = -share * np.log(share) - (1 - share) * np.log(1 - share)
    assert other["baseline_loss"] == pytest.approx(entropy)
    assert 0 < other["standard_error"] < 1


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_the_weighted_loss_is_that_of_keras_and_of_the_curves(stage, loop, task):
    from ajuste import tasks
    from ajuste.training import model_file
    from ajuste.training.build import build

    both = parts(), parts(1)
    for part in both:
        classes = part["token_ids"][:, 0] % 7 // 3  # 3, 3 and 1 of 7
        if task == "binary":
            part["targets"] = (classes == 2)[:, None].astype(np.float32)
        else:
            part["targets"] = np.eye(3, dtype=np.float32)[classes]
            part["targets"][:, 0] += part["targets"][:, 2] * (task == "multilabel")
    train, validation = both
    weights = tasks.class_weights(task, train["targets"])
    outputs = train["targets"].shape[1]
    entry = {"network": "dense", "units": [8], "embedding": "trained", "epochs": 2}
    entry |= {"optimizer": "adam", "learning_rate": 0.05, "schedule": "constant", "batch_size": 16}
    entry["class_weight"] = "balanced"
    matrix = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    model, options = build("gru", {"max_length": 12, **entry}, matrix, task, outputs)
    log = Log()
    with TemporaryDirectory() as folder:
        checkpoint = loop.Checkpoint(Path(folder) / "train.npz", "this one")
        loop.fit(model, options, task, train, validation, log, 1, checkpoint, weights)
    for name, part in (("train", train), ("validation", validation)):
        p = model_file.predict(model, part["token_ids"]).astype(np.float64)
        chosen = np.where(part["targets"], weights[1], weights[0])
        if task == "multiclass":
            by_hand = -(part["targets"] * chosen * np.log(p)).sum(axis=1).mean()
        else:
            by_hand = -(chosen * np.log(np.where(part["targets"], p, 1 - p))).mean()
        assert log.metrics[f"{name}/loss"][2] == pytest.approx(by_hand, rel=1e-4)
        keras_loss = model.evaluate(part["token_ids"], part["targets"], verbose=0)
        assert keras_loss == pytest.approx(by_hand, rel=1e-4)
    targets = {"train": train["targets"], "validation": validation["targets"]}
    found = stage.summary(task, options.loss, targets, targets, weights)
    expected = np.log(3) if task == "multiclass" else np.log(2)
    assert found["baseline_loss"] == pytest.approx(expected, rel=1e-5)


def test_weights_and_threshold_reach_the_model_folder_and_the_metrics(stage, tokens):
    from ajuste import tasks
    from ajuste.data.encoder import Encoder
    from ajuste.files import read_arrays, read_json

    options = "\n  gru:\n    class_weight: balanced\n    threshold: f1"
    edit(tokens / "params.yaml", {"\n  gru:": options})
    stage.main()
    trained, encoder = read_json(stage.METRICS / "metrics.json"), Encoder.load(stage.FOLDER)
    [threshold] = encoder.threshold
    assert trained["threshold"] == {"yes": threshold}
    assert trained["class_weight"].keys() == {"no", "yes"}
    assert trained["baseline_loss"] == pytest.approx(np.log(2), rel=1e-5)
    known = read_arrays(stage.PREDICTIONS)
    given = known["targets"], known["predictions"]
    losses = tasks.review_losses("binary_crossentropy", *given, known["class_weights"])
    assert trained["validation"]["loss"] == pytest.approx(losses.mean(), rel=1e-5)
    right = (known["predictions"] >= threshold) == known["targets"]
    assert trained["validation"]["accuracy"] == pytest.approx(right.mean())


def test_numbers_have_no_accuracy(stage):
    model, options = network(task="regression", epochs=1, network="dense", units=[2])
    log = Log()
    fit(model, options, log, "regression")
    assert {name for name in log.metrics if not name.startswith("gradient")} == {
        "train/loss",
        "validation/loss",
    }
    found = summary(stage, model, options, parts(1), "regression")
    assert found["generalization_gap"].keys() == {"loss"}
    assert found["loss_function"] == "mean_squared_error"
    assert found["baseline_loss"] == pytest.approx(parts()["targets"].var())


def test_a_training_that_diverges_stops_and_keeps_its_last_good_epoch(stage):
    from ajuste.training.backend import keras

    class Poison(keras.callbacks.Callback):
        """Makes the weights infinite in the middle of the third epoch."""

        def on_train_batch_begin(self, batch, logs=None):
            if self.model.optimizer.iterations == 10:
                self.model.set_weights([np.inf * weight for weight in self.model.get_weights()])

    healthy, options = network(epochs=2, **DENSE)
    fit(healthy, options)
    model, options = network(**DENSE)
    log = Log()
    with pytest.raises(stage.DivergedError) as error:
        fit(model, options, log, callback=Poison())
    assert "the training diverged: the loss is nan after batch 3 in epoch 3" in str(error.value)
    assert "`clip_norm`" in str(error.value)
    assert "the weights of epoch 2 are kept" in str(error.value)
    assert "\n" not in str(error.value)
    assert set(log.metrics["train/loss"]) == {1, 2}
    pairs = zip(model.get_weights(), healthy.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


def test_a_training_that_diverges_at_once_keeps_nothing(stage):
    model, options = network(**DENSE)
    model.set_weights([np.nan * weight for weight in model.get_weights()])
    with pytest.raises(stage.DivergedError, match=r"in epoch 1; .* no weights are kept") as error:
        fit(model, options)
    assert error.value.model is None


def test_a_vanishing_gradient_is_reported_once(loop, capsys):
    no_checkpoint = SimpleNamespace(save=lambda *given: None)
    both = parts(), parts(1)
    model, options = network(**DENSE)
    watch = loop.Watch(model, Log(), "binary", options.loss, *both, 0, no_checkpoint)
    watch.layer_norms = lambda: {"gru": 1e-7, "output": 0.1}
    for epoch in range(3):
        watch.end_epoch(epoch, {})
    printed = capsys.readouterr().out
    assert printed.count("warning") == 1
    assert "epoch 1: the gradient of layer `gru` vanishes" in printed


def test_through_time_takes_the_longest_reviews(stage):
    train = parts()
    train["token_ids"][:40, 6:] = 0
    model, options = network()
    table = stage.through_time(model, options.loss, train)
    # a quarter of the 64 reviews are used, and 24 have full length
    assert table["steps_back"].tolist() == list(range(12))
    assert (table["norm"] > 0).all()
    assert np.allclose(table["log10_norm"], np.log10(table["norm"]))


def test_a_network_without_recurrence_has_a_table_without_rows(stage):
    model = SimpleNamespace(layers=[])
    table = stage.through_time(model, "binary_crossentropy", parts())
    assert table.columns.tolist() == ["steps_back", "norm", "log10_norm"]
    assert table.empty


def write(stage, part, arrays):
    from ajuste.data.encoder import write_part

    write_part(stage.TOKENS / f"{part}.npz", arrays["token_ids"], arrays["targets"])


@pytest.fixture
def tokens(stage, in_tmp):
    """The input of the stage."""
    from ajuste.data.encoder import write_vocabulary
    from ajuste.files import write_json

    edit(in_tmp / "params.yaml", {"\nmodel: linear": "\nmodel: gru"})
    write_vocabulary(stage.TOKENS / "vocabulary.tsv", {"a": 1})
    write_json(stage.LABELS, ["no", "yes"])
    for part, arrays in (("train", parts()), ("validation", parts(1))):
        write(stage, part, arrays)
    stage.MATRIX.parent.mkdir(parents=True)
    np.save(stage.MATRIX, np.zeros((40, 6), np.float32))
    return in_tmp


def test_the_parameters_data_code_and_versions_decide_the_identity(stage, tokens, monkeypatch):
    from ajuste.training import environment

    names = {path.relative_to(ROOT).as_posix() for path in stage.CODE}
    assert names >= {"stages/train.py", "ajuste/training/loop.py", "ajuste/tasks.py"}
    code = tokens / "code.py"
    code.write_text("1")
    monkeypatch.setattr(stage, "CODE", [*stage.CODE, code])

    class ReachedError(Exception):
        pass

    def reach(*given):
        raise ReachedError(given[-1](given[0]).training)

    monkeypatch.setattr(stage, "train", reach)

    def identity() -> str:
        with pytest.raises(ReachedError) as error:
            stage.main()
        return str(error.value)

    def other_versions():
        monkeypatch.setattr(environment, "describe", lambda: {"packages": {"keras": "4.0"}})

    first = identity()
    assert identity() == first
    changes = [
        lambda: edit(tokens / "params.yaml", {"\nseed: 1": "\nseed: 2"}),
        lambda: edit(tokens / "params.yaml", {"\nmodel: gru": "\nmodel: lstm"}),
        lambda: edit(tokens / "params.yaml", {"\ntask: binary": "\ntask: unit_regression"}),
        lambda: write(stage, "train", parts(2)),
        lambda: write(stage, "validation", parts(3)),
        lambda: np.save(stage.MATRIX, np.ones((40, 6), np.float32)),
        lambda: code.write_text("2"),
        other_versions,
    ]
    found = [first]
    for change in changes:
        change()
        found.append(identity())
    assert len(set(found)) == len(changes) + 1


@pytest.mark.parametrize("good", [False, True])
def test_a_training_that_fails_leaves_no_metrics(stage, tokens, monkeypatch, good):
    """And a model only if it is that of a good epoch."""
    from ajuste.data.encoder import Encoder
    from ajuste.training import model_file

    def diverge(name, entry, source, live, new_checkpoint):
        live.log_metric("train/loss", 1.0)
        live.sync()
        assert (stage.METRICS / "metrics.json").exists()
        error = stage.DivergedError("the training diverged")
        error.model = network()[0] if good else None
        raise error

    monkeypatch.setattr(stage, "train", diverge)
    with pytest.raises(stage.DivergedError):
        stage.main()
    assert not (stage.METRICS / "metrics.json").exists()
    assert not stage.RECORD.exists()
    assert stage.MODEL.exists() == good
    if good:
        assert model_file.load(stage.MODEL)
        assert Encoder.load(stage.FOLDER).labels == ["no", "yes"]
