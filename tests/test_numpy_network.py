"""A network without Keras gives the answers that Keras gives."""

import subprocess
import sys

import numpy as np
import pytest
import yaml
from conftest import ROOT

from ajuste.training import backend, model_file
from ajuste.training.build import build
from ajuste.training.ensemble import combine
from serving import numpy_network
from serving.keras_network import KerasNetwork

pytestmark = pytest.mark.slow

MODELS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["models"]
MEMBERS = MODELS["ensemble"]["members"]
TRAINED = {name: entry for name, entry in MODELS.items() if "epochs" in entry and name != "rnn"}
VARIANTS = {
    "dense with an average": MODELS["nn"] | {"pooling": "average", "units": [3]},
    "gru with attention": MODELS["gru"] | {"pooling": "attention"},
    "lstm in both directions": MODELS["lstm"] | {"bidirectional": True},
    "gru with a maximum": MODELS["gru"] | {"pooling": "max"},
    "n-grams with a hidden layer": MODELS["linear"] | {"units": [4, 3], "order": 2},
    "filters of several sizes": MODELS["cnn"] | {"regions": [1, 2, 4], "pooling": "max"},
    "two blocks of attention": MODELS["transformer"] | {"blocks": 2, "pooling": "average"},
}
WORDS = 60


def some_ids(reviews=40, length=100):
    """Token ids, padded at the end; one review has no known word."""
    chance = np.random.default_rng(1)
    rows = np.zeros((reviews, length), np.int32)
    for row in rows[1:]:
        count = chance.integers(1, length)
        row[:count] = chance.integers(2, WORDS, count)
    rows[0, 0] = 1
    return rows


def built(entry, task="binary", outputs=1, name="mine"):
    """A network with random weights."""
    chance = np.random.default_rng(2)
    targets = np.eye(outputs + 1, dtype=np.float32)[np.arange(40) % (outputs + 1), :outputs]
    part = {"token_ids": some_ids(), "targets": targets}
    matrix = chance.normal(size=(WORDS, 8)).astype(np.float32)
    model, options = build(name, entry, matrix, task, outputs, part)
    for weight in model.trainable_weights:
        noise = chance.normal(scale=0.1, size=weight.shape)
        weight.assign(weight.numpy() + noise.astype(np.float32))
    return model, options


def compared(model, folder):
    """The answers of NumPy and of Keras to the same reviews."""
    model_file.save(model, folder / "model.keras")
    found, keras = numpy_network.load(folder / "model.keras"), KerasNetwork(model)
    assert found is not None
    for name in ("length", "outputs", "distinct_ids", "vocabularies"):
        assert getattr(found, name) == getattr(keras, name)
    return found.predict(some_ids()), keras.predict(some_ids())


@pytest.mark.parametrize("name", [*TRAINED, *VARIANTS])
def test_every_network_gives_the_same_answers(name, tmp_path):
    found, expected = compared(built({**TRAINED, **VARIANTS}[name])[0], tmp_path)
    assert (found.dtype, np.ptp(expected) > 1e-3) == (np.float32, True)
    assert found == pytest.approx(expected, abs=1e-6)


def test_several_outputs(tmp_path):
    found, expected = compared(built(MODELS["gru"], "multiclass", 3)[0], tmp_path)
    assert found == pytest.approx(expected, abs=1e-6)


def test_an_ensemble(tmp_path):
    models, options = zip(*(built(one, name=key) for key, one in MEMBERS.items()), strict=True)
    both = combine("both", "binary", models, options, np.array([0.7, 0.4]))
    found, expected = compared(both, tmp_path)
    assert found == pytest.approx(expected, abs=1e-6)


def test_what_it_does_not_know_is_left_to_keras(tmp_path):
    layers = backend.keras.layers
    token_ids = backend.keras.Input((4,), dtype="int32")
    vectors = layers.Embedding(9, 2)(token_ids)
    for number, layer in enumerate([layers.GlobalMaxPooling1D(), layers.LayerNormalization()]):
        path = tmp_path / f"{number}.keras"
        model_file.save(backend.keras.Model(token_ids, layer(vectors)), path)
        assert numpy_network.load(path) is None
    (tmp_path / "none.keras").write_bytes(b"PK")
    assert numpy_network.load(tmp_path / "none.keras") is None


def test_only_what_is_as_fast_as_keras_is_used_for_many_texts(tmp_path):
    fast = set()
    for name, entry in TRAINED.items():
        model_file.save(built(entry)[0], tmp_path / f"{name}.keras")
        fast |= {name} if numpy_network.load(tmp_path / f"{name}.keras").is_fast else set()
    assert fast == {"nn", "linear", "bow"}


def test_an_answer_does_not_need_tensorflow(tmp_path, little_model):
    folder = little_model("binary")
    program = (
        "import sys\nfrom serving.classifier import Classifier\n"
        f"print(Classifier.load({str(folder)!r}).predict(['good film']).shape)\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "(1, 1)\n"), done.stderr
