import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from ajuste.errors import PipelineError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
ENTRIES = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["models"]
LENGTH = 12
MATRIX = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def networks():
    from ajuste.training import networks

    return networks


@pytest.fixture(scope="module")
def model_file():
    from ajuste.training import model_file

    return model_file


@pytest.fixture(params=ENTRIES)
def name(request):
    """Each network of params.yaml in turn goes through the whole contract."""
    return request.param


def build(networks, name: str, matrix=MATRIX, length=LENGTH, seed=1, **changes):
    from ajuste.training import backend

    backend.seed(seed)
    return networks.build(name, {**ENTRIES[name], **changes}, matrix, length)


def reviews(count: int = 32):
    """Reviews whose label shows in their words, the ids of which lie above or below 20."""
    chance = np.random.default_rng(1)
    labels = np.arange(count) % 2
    token_ids = chance.integers(2, 20, (count, LENGTH)) + 20 * labels[:, None]
    token_ids[: count // 2, LENGTH // 2 :] = 0
    return token_ids.astype(np.int32), labels[:, None].astype(np.float32)


def trained(networks, name: str, epochs: int = 40, **changes):
    rate = {"learning_rate": 0.02, "schedule": "constant"}
    model, options = build(networks, name, **rate, **changes)
    token_ids, labels = reviews()
    networks.compile_model(model, options, epochs)
    model.fit(token_ids, labels, batch_size=32, epochs=epochs, verbose=0)
    return model


def test_it_gives_a_probability(networks, model_file, name):
    model, _ = build(networks, name)
    probability = model_file.predict(model, reviews()[0])
    assert probability.shape == (32, 1)
    assert ((probability > 0) & (probability < 1)).all()


def test_it_can_learn_32_reviews_by_heart(networks, model_file, name):
    token_ids, labels = reviews()
    probability = model_file.predict(trained(networks, name), token_ids)
    assert ((probability > 0.5) == labels).mean() == 1


def test_one_seed_gives_the_same_weights_twice(networks, name):
    one, other = (trained(networks, name, epochs=3).get_weights() for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_another_seed_gives_others(networks, name):
    one, other = (build(networks, name, seed=seed)[0].get_weights() for seed in (1, 2))
    assert any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_it_comes_back_from_disk_as_it_was(networks, model_file, name, tmp_path):
    model = trained(networks, name, epochs=2)
    model_file.save(model, tmp_path / "model.keras")
    token_ids, _ = reviews()
    loaded = model_file.load(tmp_path / "model.keras")
    assert np.array_equal(
        model_file.predict(model, token_ids), model_file.predict(loaded, token_ids)
    )


def test_equal_models_are_equal_files(tmp_path):
    """Made in two processes, since the names of Keras' layers count on within one."""
    program = """if True:
        import sys, yaml
        from pathlib import Path
        import numpy as np
        from ajuste.training import backend, model_file, networks

        with open("params.yaml", encoding="utf-8") as file:
            entries = yaml.safe_load(file)["models"]
        for name, entry in entries.items():
            backend.seed(1)
            model, _ = networks.build(name, entry, np.ones((40, 6), np.float32), 12)
            model_file.save(model, Path(sys.argv[1]) / name)
    """
    for folder in ("a", "b"):
        command = [sys.executable, "-c", program, str(tmp_path / folder)]
        subprocess.run(command, check=True, cwd=ROOT)
    for name in ENTRIES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_padding_changes_nothing_where_it_is_masked(networks, model_file, name):
    if ENTRIES[name]["network"] == "dense":
        pytest.skip("a dense network sees every position")
    long = model_file.predict(build(networks, name, length=LENGTH + 5)[0], _pad(reviews()[0], 5))
    assert np.allclose(long, model_file.predict(build(networks, name)[0], reviews()[0]), atol=1e-6)


def _pad(token_ids, count):
    return np.pad(token_ids, ((0, 0), (0, count)))


def test_a_frozen_embedding_stays_what_it_was(networks, name):
    if ENTRIES[name].get("embedding") != "frozen":
        pytest.skip("not frozen")
    model = trained(networks, name, epochs=2)
    embedding = model.get_layer("embedding")
    assert np.array_equal(embedding.get_weights()[0], MATRIX)


def test_a_trained_embedding_moves(networks):
    model = trained(networks, "gru", epochs=2, embedding="trained")
    assert not np.array_equal(model.get_layer("embedding").get_weights()[0], MATRIX)


def test_words_beyond_max_features_count_as_unknown(networks, model_file):
    sizes = {"embedding": "scratch", "embedding_width": 4, "max_features": 20}
    model, _ = build(networks, "gru", **sizes)
    above = np.full((1, LENGTH), 25, np.int32)
    unknown = np.full((1, LENGTH), 1, np.int32)
    assert model_file.predict(model, above) == model_file.predict(model, unknown)


# The lecture's vocabulary and width: 92,547 words, 100 wide, padded to 100.
@pytest.mark.parametrize(
    ("name", "changes", "total", "trainable"),
    [
        ("nn", {}, 9_264_701, 10_001),
        ("lstm", {}, 9_372_077, 117_377),
        ("gru", {}, 9_254_700 + 12_864 + 33, 12_864 + 33),
        ("rnn", {}, 10_000 * 32 + 32 * (32 + 32 + 1) + 33, 10_000 * 32 + 32 * (32 + 32 + 1) + 33),
        ("nn", {"units": [12, 8]}, 9_254_700 + 120_012 + 104 + 9, 120_012 + 104 + 9),
        ("bow", {}, 160_016 + 272 + 17, 160_016 + 272 + 17),
        ("bow", {"units": [4, 4]}, 40_004 + 20 + 5, 40_004 + 20 + 5),
    ],
)
def test_parameters_are_the_lectures(networks, name, changes, total, trainable):
    model, _ = build(networks, name, np.zeros((92_547, 100), np.float32), 100, **changes)
    assert model.count_params() == total
    assert sum(np.prod(weight.shape) for weight in model.trainable_weights) == trainable


def test_the_gru_layer_has_the_lectures_parameters(networks):
    model, _ = build(networks, "gru", np.zeros((50, 100), np.float32), 100)
    assert model.get_layer("gru").count_params() == 12_864


def test_dense_layers_come_as_they_are_listed(networks):
    model, _ = build(networks, "nn", units=[12, 8])
    assert [weight.shape[-1] for weight in model.trainable_weights[::2]] == [12, 8, 1]


def test_a_wrong_option_is_no_network(networks):
    with pytest.raises(PipelineError, match=r"`models.gru.unit` is not known"):
        build(networks, "gru", unit=3)


def test_the_cosine_schedule_ends_at_zero(networks):
    model, options = build(networks, "gru", schedule="cosine")
    networks.compile_model(model, options, steps=100)
    schedule = model.optimizer._learning_rate
    assert float(schedule(0)) == pytest.approx(options.learning_rate)
    assert float(schedule(100)) == pytest.approx(0, abs=1e-9)


def test_no_model_and_a_damaged_one_are_one_line(networks, model_file, tmp_path):
    with pytest.raises(PipelineError, match="no such file"):
        model_file.load(tmp_path / "model.keras")
    (tmp_path / "model.keras").write_bytes(b"PK no zip")
    with pytest.raises(PipelineError, match="not a readable model"):
        model_file.load(tmp_path / "model.keras")


def test_a_bag_of_words_knows_neither_order_nor_number_nor_padding(networks, model_file):
    model, _ = build(networks, "bow")
    said = [[5, 6, 7, 0, 0, 0], [7, 6, 5, 0, 0, 0], [7, 7, 6, 5, 5, 0]]
    token_ids = np.pad(np.array(said, np.int32), ((0, 0), (0, LENGTH - 6)))
    assert np.ptp(model_file.predict(model, token_ids)) == 0
    other = token_ids[:1] + (token_ids[:1] == 7)
    assert model_file.predict(model, other) != model_file.predict(model, token_ids[:1])


def test_a_bag_counts_what_is_beyond_its_words_as_unknown(networks, model_file):
    model, _ = build(networks, "bow", max_features=20)
    above, unknown, last = (np.full((1, LENGTH), id_, np.int32) for id_ in (21, 1, 20))
    assert model_file.predict(model, above) == model_file.predict(model, unknown)
    assert model_file.predict(model, last) != model_file.predict(model, unknown)


def test_the_five_dropouts_stand_one_after_another(networks):
    model, _ = build(networks, "bow", units=[16], dropout=0.5, dropout_layers=5)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds[-7:] == ["Dense"] + 5 * ["Dropout"] + ["Dense"]
    assert {layer.rate for layer in model.layers[-6:-1]} == {0.5}


@pytest.mark.parametrize(("model", "penalty"), [("bow", "l1"), ("gru", "l2"), ("rnn", "l2")])
def test_a_penalty_makes_the_weights_smaller_and_is_no_part_of_the_model_file(
    networks, model_file, tmp_path, model, penalty
):
    free, held = (trained(networks, model, **{penalty: size}) for size in (0.0, 0.05))
    one, other = (
        sum(np.abs(weight).sum() for weight in map(np.asarray, made.trainable_weights))
        for made in (free, held)
    )
    assert other < 0.8 * one
    assert len(held.losses) == sum(len(weight.shape) > 1 for weight in held.trainable_weights)
    model_file.save(held, tmp_path / "model.keras")
    assert model_file.load(tmp_path / "model.keras").losses == []


def test_a_clipped_gradient_takes_a_small_step(networks):
    """One step of SGD at a rate of 1 moves the weights by the norm of the gradient."""

    def moved(**changes):
        sgd = {"optimizer": "sgd", "learning_rate": 1.0, "schedule": "constant"}
        model, options = build(networks, "nn", **sgd, **changes)
        before = model.get_weights()
        networks.compile_model(model, options, 1)
        model.fit(*reviews(), batch_size=32, epochs=1, verbose=0)
        pairs = zip(before, model.get_weights(), strict=True)
        return np.sqrt(sum(((a - b) ** 2).sum() for a, b in pairs))

    assert moved() > 0.1
    assert moved(clip_norm=0.01) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("activation", ["linear", "sigmoid", "relu", "tanh"])
def test_the_activation_is_the_one_that_is_named(networks, activation):
    for entry, layer in (("bow", "dense"), ("gru", "gru")):
        model, _ = build(networks, entry, activation=activation)
        found = next(made for made in model.layers if made.name.startswith(layer))
        assert found.activation.__name__ == activation


TASKS = [
    ("binary", 1, "sigmoid", "binary_crossentropy"),
    ("multiclass", 4, "softmax", "categorical_crossentropy"),
    ("multilabel", 4, "sigmoid", "binary_crossentropy"),
    ("regression", 1, "linear", "mean_squared_error"),
    ("regression", 1, "linear", "mean_absolute_error"),
    ("unit_regression", 1, "sigmoid", "mean_squared_error"),
    ("unit_regression", 1, "sigmoid", "binary_crossentropy"),
]


@pytest.mark.parametrize(("task", "outputs", "activation", "loss"), TASKS)
@pytest.mark.parametrize("name", ["gru", "bow"])
def test_a_head_for_every_task_learns_32_reviews_by_heart(
    networks, model_file, tmp_path, name, task, outputs, activation, loss
):
    from ajuste import tasks
    from ajuste.training import backend

    token_ids, half = reviews()
    classes = np.arange(32) % 4
    token_ids[:, 0] = 2 + classes  # a word of its own for each class
    targets = {
        "binary": half,
        "multiclass": np.eye(4)[classes],
        "multilabel": np.stack([classes // 2, classes % 2, half[:, 0], 1 - half[:, 0]], axis=1),
    }.get(task, classes[:, None] / 3).astype(np.float32)
    backend.seed(1)
    rate = {"learning_rate": 0.02, "schedule": "constant", "loss": loss}
    entry = {**ENTRIES[name], **rate}
    model, options = networks.build(name, entry, MATRIX, LENGTH, task, outputs)
    assert model.layers[-1].activation.__name__ == activation
    networks.compile_model(model, options, 1)
    model.fit(token_ids, targets, batch_size=32, epochs=80, verbose=0)
    model_file.save(model, tmp_path / "model.keras")
    predictions = model_file.predict(model_file.load(tmp_path / "model.keras"), token_ids)
    assert predictions.shape == (32, outputs)
    if task in tasks.NUMERIC:
        assert np.abs(predictions - targets).mean() < 0.1
    else:
        assert tasks.accuracy(task, targets, predictions) == 1


def test_a_task_without_a_loss_of_ones_own_takes_its_first(networks):
    _, options = networks.build("gru", ENTRIES["gru"], MATRIX, LENGTH, "unit_regression", 1)
    assert options.loss == "mean_squared_error"


def test_every_remedy_for_every_entry_can_be_built(networks, name):
    from ajuste.evaluation import remedies

    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    settings["model"] = name
    for verdict in ("overfitting", "underfitting"):
        fit = {"verdict": verdict, "improving": False, "best_epoch": 1, "kept_epoch": 2}
        proposed = remedies.propose(fit, settings)
        assert proposed
        for remedy in proposed:
            changes = {key.split(".")[-1]: value for key, value in remedy.changes.items()}
            changes.pop("max_length", None)
            build(networks, name, **changes)
