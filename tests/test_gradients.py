import numpy as np
import pytest

pytestmark = pytest.mark.slow

TOKEN_IDS = np.array([[2, 3, 4, 5, 6, 7], [7, 6, 5, 4, 3, 2], [3, 3, 5, 5, 7, 7]], np.int32)
TARGETS = np.array([[1], [0], [1]], np.float32)
MATRIX = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def gradients():
    from ajuste.training import gradients

    return gradients


def network(max_length=6, **entry):
    from ajuste.training import backend
    from ajuste.training.build import build

    backend.seed(1)
    common = {
        "embedding": "frozen",
        "optimizer": "adam",
        "learning_rate": 0.01,
        "schedule": "constant",
        "batch_size": 3,
        "epochs": 1,
    }
    return build("mine", {**common, **entry, "max_length": max_length}, MATRIX)[0]


def test_the_gradient_of_a_logistic_regression_worked_out_by_hand(gradients):
    model = network(network="dense", units=[])
    error = model.predict(TOKEN_IDS, verbose=0) - TARGETS
    features = MATRIX[TOKEN_IDS].reshape(3, -1)
    by_hand = np.concatenate([features.T @ error, error.sum(axis=0, keepdims=True)]) / 3
    norms = gradients.layer_norms(model, "binary_crossentropy", TOKEN_IDS, TARGETS)()
    assert norms == {"output": pytest.approx(np.linalg.norm(by_hand), rel=1e-4)}


def test_the_gradient_of_a_word_is_the_sum_over_the_times_it_comes(gradients):
    model = network(network="dense", units=[], embedding="trained")
    error = model.predict(TOKEN_IDS, verbose=0) - TARGETS
    kernel = model.get_layer("output").get_weights()[0].reshape(6, 4)
    by_hand = np.zeros((8, 4))
    for review, ids in enumerate(TOKEN_IDS):
        for place, word in enumerate(ids):
            by_hand[word] += error[review] * kernel[place] / 3
    norms = gradients.layer_norms(model, "binary_crossentropy", TOKEN_IDS, TARGETS)()
    assert norms["embedding"] == pytest.approx(np.linalg.norm(by_hand), rel=1e-4)


def test_the_weights_are_those_of_the_moment(gradients):
    model = network(network="gru", units=3)
    measure = gradients.layer_norms(model, "binary_crossentropy", TOKEN_IDS, TARGETS)
    before = measure()
    assert before.keys() == {"gru", "output"}
    model.set_weights([0.5 * weight for weight in model.get_weights()])
    assert measure() != before


def test_a_state_that_is_halved_at_every_step_is_forgotten_by_half(gradients):
    model = network(network="simple_rnn", units=3, activation="linear")
    kernel, _, bias = model.get_layer("simple_rnn").get_weights()
    model.get_layer("simple_rnn").set_weights([kernel, 0.5 * np.eye(3), bias])
    norms = gradients.through_time(model, "binary_crossentropy", TOKEN_IDS, TARGETS)
    assert norms.shape == (6,)
    assert norms[1:] / norms[:-1] == pytest.approx(np.full(5, 0.5))
    error = np.abs(model.predict(TOKEN_IDS, verbose=0) - TARGETS).mean()
    output = np.linalg.norm(model.get_layer("output").get_weights()[0])
    assert norms[0] == pytest.approx(error * output, rel=1e-4)


@pytest.mark.parametrize("name", ["simple_rnn", "lstm", "gru"])
def test_a_step_back_matters_as_much_as_a_push_there_changes_the_loss(gradients, name):
    """A small push to the state after the first word, by finite differences."""
    from ajuste.training.backend import keras

    model = network(network=name, units=3)
    layer = model.get_layer(name)
    vectors = MATRIX[TOKEN_IDS[:1]]

    def loss(push):
        states = layer.get_initial_state(1)
        for step in range(6):
            _, states = layer.cell(vectors[:, step], states)
            if step == 0:
                flat = np.concatenate([np.asarray(state) for state in states], axis=1) + push
                states = [part.astype(np.float32) for part in np.split(flat, len(states), axis=1)]
        head = model.get_layer("output")(states[0])
        return float(keras.losses.binary_crossentropy(TARGETS[:1], head)[0])

    size = 3 * len(layer.get_initial_state(1))
    step = 1e-2
    slopes = [
        (loss(step * axis) - loss(-step * axis)) / (2 * step) for axis in np.eye(size, dtype=float)
    ]
    norms = gradients.through_time(model, "binary_crossentropy", TOKEN_IDS[:1], TARGETS[:1])
    assert norms[-1] == pytest.approx(np.linalg.norm(slopes), rel=0.02)


def test_of_stacked_layers_the_last_is_looked_at(gradients):
    from ajuste.training.backend import keras

    token_ids = keras.Input((6,), dtype="int32")
    vectors = keras.layers.Embedding(8, 4, mask_zero=True)(token_ids)
    sequence = keras.layers.GRU(3, return_sequences=True)(vectors)
    state = keras.layers.GRU(2)(sequence)
    stacked = keras.Model(token_ids, keras.layers.Dense(1, activation="sigmoid")(state))
    norms = gradients.through_time(stacked, "binary_crossentropy", TOKEN_IDS, TARGETS)
    assert norms.shape == (6,)
    assert (norms > 0).all()
    pooled = keras.layers.GlobalMaxPooling1D()(sequence)
    mixed = keras.Model(token_ids, keras.layers.Dense(1, activation="sigmoid")(pooled))
    assert gradients.through_time(mixed, "binary_crossentropy", TOKEN_IDS, TARGETS) is None


def test_padding_is_no_step(gradients):
    model = network(network="gru", units=3)
    longer = network(network="gru", units=3, max_length=9)
    padded = np.pad(TOKEN_IDS, ((0, 0), (0, 3)))
    one, other = (
        gradients.through_time(which, "binary_crossentropy", ids, TARGETS)
        for which, ids in ((model, TOKEN_IDS), (longer, padded))
    )
    assert one == pytest.approx(other, rel=1e-5)


def test_a_network_without_recurrence_has_no_time(gradients):
    model = network(network="dense", units=[3])
    assert gradients.through_time(model, "binary_crossentropy", TOKEN_IDS, TARGETS) is None


def test_trouble_names_the_layer_and_what_to_do(gradients):
    assert gradients.trouble({"gru": 0.3, "output": 0.2}, 0.7) == {}
    # all small together is a training that is done
    assert gradients.trouble({"gru": 1e-9, "output": 1e-8}, 0.7) == {}
    vanishing = gradients.trouble({"simple_rnn": 1e-6, "output": 0.2}, 0.7)
    assert list(vanishing) == ["simple_rnn"]
    assert "vanishes" in vanishing["simple_rnn"]
    exploding = gradients.trouble({"simple_rnn": 1e4, "output": np.nan}, 0.7)
    assert list(exploding) == ["simple_rnn", "output"]
    assert "`clip_norm`" in exploding["simple_rnn"]
    # numbers up to a thousand have a loss of another scale, and so a gradient
    assert gradients.trouble({"gru": 500.0, "output": 1000.0}, 80_000) == {}
