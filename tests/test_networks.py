import numpy as np
import pytest
import yaml
from conftest import ROOT

from ajuste.training import backend, entry_schema, model_file
from ajuste.training.build import build
from ajuste.training.explain import distinct_ids
from ajuste.training.options import compile_model

pytestmark = pytest.mark.slow

SETTINGS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
MODELS = {name: entry for name, entry in SETTINGS["models"].items() if "epochs" in entry}
REGULARIZED = {"dropout": 0.2, "recurrent_dropout": 0.2, "l1": 1e-5, "l2": 1e-5}
TRAINING = ("embedding", "optimizer", "learning_rate", "schedule", "batch_size", "epochs")
WORDS = {
    **{key: MODELS["gru"][key] for key in TRAINING},
    **{"word_dropout": 0.1, "embedding_dropout": 0.1, "average_weights": 0.5},
    **{"embedding_scale": 0.5, "label_smoothing": 0.01},
}
FIVE_DROPOUTS = {"units": [16], "dropout": 0.5, "dropout_layers": 5}
ENTRIES = {
    **MODELS,
    "nn with layers": MODELS["nn"] | {"units": [12, 8], "dropout": 0.1, "l1": 1e-5},
    "gru, regularized": MODELS["gru"] | REGULARIZED,
    "bow with five dropout layers": MODELS["bow"] | FIVE_DROPOUTS,
    "n-grams with layers": MODELS["linear"] | {"units": [4, 4], "dropout": 0.1},
    "bidirectional gru": MODELS["gru"] | {"bidirectional": True, "pooling": "attention"},
    "cnn": WORDS | {"network": "convolution", "filters": 8, "regions": [1, 3], "units": []},
    "transformer": WORDS | {"network": "transformer", "width": 8, "heads": 2, "blocks": 1},
}
LENGTH = 12
MATRIX = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)


def small(name: str, matrix=MATRIX, length=LENGTH, seed=1, **changes):
    backend.seed(seed)
    return build(
        "mine", {**ENTRIES[name], **changes, "max_length": length}, matrix, train=training_part()
    )


def reviews(count: int = 32):
    """Reviews whose label shows in their words: the ids are below 20 or not."""
    chance = np.random.default_rng(1)
    labels = np.arange(count) % 2
    token_ids = chance.integers(2, 20, (count, LENGTH)) + 20 * labels[:, None]
    token_ids[: count // 2, LENGTH // 2 :] = 0
    return token_ids.astype(np.int32), labels[:, None].astype(np.float32)


def training_part():
    token_ids, targets = reviews()
    return {"token_ids": token_ids, "targets": targets}


def repeat(model, token_ids, targets, steps: int) -> None:
    """Train on the same batch several times, in one epoch, since each epoch takes time."""
    arrays = (np.tile(array, (steps, 1)) for array in (token_ids, targets))
    model.fit(*arrays, batch_size=len(targets), shuffle=False, verbose=0)


def trained(name: str, steps: int = 40, **changes):
    rate = {"learning_rate": 0.02, "schedule": "constant"}
    model, options = small(name, **rate, **changes)
    compile_model(model, options, steps)
    repeat(model, *reviews(), steps)
    return model


@pytest.fixture(scope="module", params=ENTRIES)
def name(request):
    """Each network of params.yaml, and the options that none of them uses."""
    return request.param


@pytest.fixture(scope="module")
def model(name):
    """The network, trained."""
    return trained(name)


def test_it_gives_a_probability_and_can_memorize_32_reviews(model):
    token_ids, labels = reviews()
    probability = model_file.predict(model, token_ids)
    assert probability.shape == (32, 1)
    assert ((probability >= 0) & (probability <= 1)).all()
    assert ((probability > 0.5) == labels).all()


def test_a_seed_decides_the_weights(name, model):
    same = zip(model.get_weights(), trained(name).get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in same)
    if name == "linear":
        return  # it begins at zero
    one, other = (small(name, seed=seed)[0].get_weights() for seed in (1, 2))
    assert any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_it_is_the_same_after_it_was_saved(model, tmp_path):
    model_file.save(model, tmp_path / "model.keras")
    loaded = model_file.load(tmp_path / "model.keras")
    token_ids, _ = reviews()
    assert np.array_equal(
        model_file.predict(model, token_ids), model_file.predict(loaded, token_ids)
    )
    assert loaded.losses == []  # penalties are for the training only


def test_equal_models_are_equal_files(name, tmp_path):
    for copy in ("a", "b"):
        backend.keras.utils.clear_session()  # layers get the names that they have in a new process
        model_file.save(small(name)[0], tmp_path / copy)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_padding_is_ignored(name):
    if ENTRIES[name]["network"] == "dense":
        pytest.skip("a dense network reads every position")
    token_ids, _ = reviews()
    longer = np.pad(token_ids, ((0, 0), (0, 5)))
    long = model_file.predict(small(name, length=LENGTH + 5)[0], longer)
    assert np.allclose(long, model_file.predict(small(name)[0], token_ids), atol=1e-6)


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("name", ["nn", "rnn", "lstm", "gru"])
def test_pooling_ignores_padding_and_survives_a_review_without_words(tmp_path, name, pooling):
    token_ids, _ = reviews()
    token_ids[0] = 0
    model = small(name, pooling=pooling)[0]
    found = model_file.predict(model, token_ids)
    assert np.isfinite(found).all()
    longer = np.pad(token_ids, ((0, 0), (0, 5)))
    long = small(name, length=LENGTH + 5, pooling=pooling)[0]
    assert np.allclose(model_file.predict(long, longer), found, atol=1e-6)
    model_file.save(model, tmp_path / "model.keras")
    again = model_file.predict(model_file.load(tmp_path / "model.keras"), token_ids)
    assert np.array_equal(again, found)


def test_a_frozen_embedding_does_not_change_and_a_trained_one_does():
    for embedding in ("frozen", "trained"):
        model = trained("gru", steps=2, embedding=embedding)
        vectors = model.get_layer("embedding").get_weights()[0]
        assert np.array_equal(vectors, MATRIX) == (embedding == "frozen")


def test_the_scale_multiplies_the_word_vectors():
    model, _ = small("gru", embedding_scale=0.1)
    assert np.allclose(model.get_layer("embedding").get_weights()[0], 0.1 * MATRIX)


SCRATCH = {"embedding": "scratch", "embedding_width": 4, "max_features": 20}


@pytest.mark.parametrize(("name", "changes"), [("gru", SCRATCH), ("bow", {"max_features": 20})])
def test_max_features_is_the_number_of_token_ids(name, changes):
    """Of 20 ids, 0 is padding, 1 is unknown, 19 is the last known word, in every network."""
    model, _ = small(name, **changes)
    last, above, unknown = (
        model_file.predict(model, np.full((1, LENGTH), id_, np.int32)) for id_ in (19, 20, 1)
    )
    assert above == unknown != last
    assert distinct_ids(model) == 20


# The lecture's vocabulary and width: 92,547 words, 100 wide, padded to 100.
@pytest.mark.parametrize(
    ("name", "changes", "total", "trainable"),
    [
        ("nn", {}, 9_264_701, 10_001),
        ("nn", {"units": [12, 8]}, 9_254_700 + 120_012 + 104 + 9, 120_012 + 104 + 9),
        ("lstm", {}, 9_372_077, 117_377),
        ("gru", {}, 9_254_700 + 12_864 + 33, 12_864 + 33),
        ("rnn", {}, *[10_000 * 32 + 32 * (32 + 32 + 1) + 33] * 2),
        # 10,000 ids without that of the padding
        ("bow", {}, *[160_000 + 272 + 17] * 2),
        ("bow", {"units": [512, 512]}, *[9_999 * 512 + 512 + 262_656 + 513] * 2),
        ("bow", FIVE_DROPOUTS, *[160_000 + 17] * 2),
    ],
)
def test_parameters_are_the_lectures(name, changes, total, trainable):
    model, _ = small(name, np.zeros((92_547, 100), np.float32), 100, **changes)
    assert model.count_params() == total
    assert sum(np.prod(weight.shape) for weight in model.trainable_weights) == trainable


def test_layers_have_the_order_of_the_lecture():
    model, _ = small("nn", units=[12, 8])
    assert [weight.shape[-1] for weight in model.trainable_weights[::2]] == [12, 8, 1]
    model, _ = small("bow with five dropout layers")
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds[-7:] == ["Dense"] + 5 * ["Dropout"] + ["Dense"]
    assert {layer.rate for layer in model.layers[-6:-1]} == {0.5}


def test_the_cosine_schedule_ends_at_zero():
    model, options = small("gru", schedule="cosine")
    compile_model(model, options, 100)
    schedule = model.optimizer._learning_rate
    assert float(schedule(0)) == pytest.approx(options.learning_rate)
    assert float(schedule(100)) == pytest.approx(0, abs=1e-9)


def test_a_bag_of_words_ignores_order_and_number():
    model, _ = small("bow")
    rows = [[5, 6, 7, 0, 0], [7, 6, 5, 0, 0], [7, 7, 6, 5, 5], [5, 6, 8, 0, 0]]
    token_ids = np.pad(np.array(rows, np.int32), ((0, 0), (0, LENGTH - 5)))
    same, other = np.split(model_file.predict(model, token_ids), [3])
    assert np.ptp(same) == 0
    assert other != same[0]


@pytest.mark.parametrize(("name", "penalty"), [("bow", "l1"), ("rnn", "l2")])
def test_a_penalty_makes_the_weights_smaller(name, penalty):
    free, held = (trained(name, **{penalty: size}) for size in (0.0, 0.05))
    one, other = (
        sum(np.abs(weight).sum() for weight in map(np.asarray, made.trainable_weights))
        for made in (free, held)
    )
    assert other < 0.8 * one
    assert len(held.losses) == sum(len(weight.shape) > 1 for weight in held.trainable_weights)


def test_a_clipped_gradient_makes_a_small_step():
    """One step of SGD with rate 1 moves the weights by the norm of the gradient."""

    def moved(**changes):
        sgd = {"optimizer": "sgd", "learning_rate": 1.0, "schedule": "constant"}
        model, options = small("nn", **sgd, **changes)
        before = model.get_weights()
        compile_model(model, options, 1)
        model.fit(*reviews(), batch_size=32, epochs=1, verbose=0)
        pairs = zip(before, model.get_weights(), strict=True)
        return np.sqrt(sum(((a - b) ** 2).sum() for a, b in pairs))

    assert moved() > 0.1
    assert moved(clip_norm=0.01) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("activation", ["linear", "sigmoid", "relu", "tanh"])
def test_the_activation_is_an_option(activation):
    for entry, layer in (("bow", "dense"), ("gru", "gru"), ("nn with layers", "dense")):
        model, _ = small(entry, activation=activation)
        found = next(made for made in model.layers if made.name.startswith(layer))
        assert found.activation.__name__ == activation


TASKS = [
    ("gru", "binary", 1, "sigmoid", "binary_crossentropy"),
    ("bow", "multiclass", 4, "softmax", "categorical_crossentropy"),
    ("bow", "multilabel", 4, "sigmoid", "binary_crossentropy"),
    ("gru", "regression", 1, "linear", "mean_squared_error"),
    ("bow", "regression", 1, "linear", "mean_absolute_error"),
    ("bow", "unit_regression", 1, "sigmoid", "mean_squared_error"),
    ("bow", "unit_regression", 1, "sigmoid", "binary_crossentropy"),
]


@pytest.mark.parametrize(("name", "task", "outputs", "activation", "loss"), TASKS)
def test_the_head_of_every_task_can_memorize_32_reviews(
    tmp_path, name, task, outputs, activation, loss
):
    from ajuste import tasks

    token_ids, half = reviews()
    classes = np.arange(32) % 4
    token_ids[:, 0] = 2 + classes  # one word for each class
    targets = {
        "binary": half,
        "multiclass": np.eye(4)[classes],
        "multilabel": np.stack([classes // 2, classes % 2, half[:, 0], 1 - half[:, 0]], axis=1),
    }.get(task, classes[:, None] / 3).astype(np.float32)
    backend.seed(1)
    rate = {"learning_rate": 0.02, "schedule": "constant", "loss": loss}
    model, options = build(
        name, {**ENTRIES[name], **rate, "max_length": LENGTH}, MATRIX, task, outputs
    )
    assert model.layers[-1].activation.__name__ == activation
    compile_model(model, options, 1)
    repeat(model, token_ids, targets, 80)
    model_file.save(model, tmp_path / "model.keras")
    predictions = model_file.predict(model_file.load(tmp_path / "model.keras"), token_ids)
    assert predictions.shape == (32, outputs)
    if task in tasks.NUMERIC:
        assert np.abs(predictions - targets).mean() < 0.1
    else:
        assert tasks.accuracy(task, targets, predictions) == 1


def test_the_first_loss_of_a_task_is_the_default():
    assert (
        entry_schema.options("gru", MODELS["gru"], "unit_regression").loss == "mean_squared_error"
    )


@pytest.mark.parametrize("name", MODELS)
def test_every_remedy_for_every_entry_is_valid(name):
    from ajuste.evaluation import remedies

    for verdict in ("overfitting", "underfitting"):
        fit = {
            "verdict": verdict,
            "improving": False,
            "best_epoch": 1,
            "kept_epoch": 2,
            "scatter": 0.1,
        }
        fit["explained"] = {"train": 0.2, "validation": 0.1, "linear": 0.5}
        proposed = remedies.propose(fit, {**SETTINGS, "model": name})
        assert proposed
        for remedy in proposed:
            start = f"models.{name}."
            changes = {
                key.removeprefix(start): value
                for key, value in remedy.changes.items()
                if key.startswith(start)
            }
            entry_schema.options(name, MODELS[name] | changes)
