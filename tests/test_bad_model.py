"""A saved model that is damaged, of another training, or made to run code: refused in one line."""

import io
import json
import os
import pickle
import shutil
import tarfile
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
from test_bad_input import INSTEAD, refusal

from ajuste.data.encoder import Encoder
from serving.keras_network import KerasNetwork

pytestmark = pytest.mark.slow

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
ENCODER = ({"good": 9, "bad": 7, "film": 5}, 4, "last", "binary", ["a", "b"])


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model that knows `good`, `bad` and `film`, and reads four words."""
    from ajuste.training import model_file
    from ajuste.training.backend import keras

    folder = tmp_path_factory.mktemp("saved")
    token_ids = keras.Input((4,), dtype="int32")
    vectors = keras.layers.Flatten()(keras.layers.Embedding(5, 3)(token_ids))
    output = keras.layers.Dense(1, activation="sigmoid", name="dense")(vectors)
    model_file.save(keras.Model(token_ids, output), folder / "model.keras")
    Encoder(*ENCODER).save(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of the model, to damage."""
    return shutil.copytree(saved, tmp_path / "model")


@pytest.fixture
def marker(tmp_path):
    """A file that exists once code from a model has run."""
    path = tmp_path / "code has run"
    yield path
    assert not path.exists()


def load(folder: Path):
    from serving.classifier import Classifier

    return Classifier.load(folder)


def members(folder: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(folder / "model.keras") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(folder: Path, content: dict[str, bytes]) -> None:
    with zipfile.ZipFile(folder / "model.keras", "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def configure(folder: Path, change) -> None:
    """Edit the configuration in a model file."""
    content = members(folder)
    config = json.loads(content[CONFIG])
    change(config)
    write(folder, content | {CONFIG: json.dumps(config).encode()})


def layer(config: dict, name: str) -> dict:
    return next(one for one in config["config"]["layers"] if one["class_name"] == name)


def weights(change):
    """Edit the weights in a model file."""

    def spoil(folder):
        import h5py

        content = members(folder)
        buffer = io.BytesIO(content[WEIGHTS])
        with h5py.File(buffer, "r+") as file:
            change(file)
        write(folder, content | {WEIGHTS: buffer.getvalue()})

    return spoil


def kernel(value):
    """Put something else in place of the kernel of the last layer."""

    def change(file):
        variables = file["layers/dense/vars"]
        del variables["0"]
        variables["0"] = value

    return weights(change)


def external(folder):
    import h5py

    kernel(h5py.ExternalLink("/etc/passwd", "/"))(folder)


def enormous(file):
    variables = file["layers/dense/vars"]
    del variables["0"]
    variables.create_dataset("0", (10**7, 10**6), "f4", chunks=(1000, 1000))


def content(edit):
    """Edit the bytes of a model file."""

    def spoil(folder):
        path = folder / "model.keras"
        path.write_bytes(edit(path.read_bytes()))

    return spoil


def flip(old: bytes) -> bytes:
    place = old.index(b'"units"') + 3
    return old[:place] + bytes([old[place] ^ 1]) + old[place + 1 :]


def a_tar(folder):
    with tarfile.open(folder / "model.keras", "w") as archive:
        archive.addfile(tarfile.TarInfo(CONFIG))


def member(name, value):
    """Replace a file in the archive, or add one; None removes it."""

    def spoil(folder):
        new = members(folder) | {name: value}
        write(folder, {name: data for name, data in new.items() if data is not None})

    return spoil


def declare(key, value, name="Dense"):
    return lambda folder: configure(
        folder, lambda config: layer(config, name)["config"].update({key: value})
    )


def alone(name):
    def change(config):
        one = layer(config, name)
        config.clear()
        config.update(one, build_config=None)

    return lambda folder: configure(folder, change)


def rounded(folder):
    from ajuste.training import model_file
    from ajuste.training.backend import keras

    model = keras.saving.load_model(folder / "model.keras", safe_mode=True)
    whole = keras.ops.cast(model.outputs[0], "int32")
    model_file.save(keras.Model(model.inputs, whole), folder / "model.keras")


REFUSED = {
    "nothing": (content(lambda old: b""), "not a zip archive"),
    "a part of it": (content(lambda old: old[: int(0.99 * len(old))]), "not a zip archive"),
    "a tar": (a_tar, "not a zip archive"),
    "a flipped bit": (content(flip), "Bad CRC-32"),
    "no configuration": (member(CONFIG, None), "There is no item named 'config.json'"),
    "a configuration that is not JSON": (member(CONFIG, b"{"), "Expecting property name"),
    "a configuration without end": (member(CONFIG, b"[" * 10**5), "maximum recursion depth"),
    "a file outside the archive": (member("../x", b""), "invalid path"),
    "no weights": (member(WEIGHTS, None), "Expected a model.weights.h5"),
    "weights that are not HDF5": (member(WEIGHTS, b"weights"), "file signature not found"),
    "a layer without weights": (weights(lambda file: file.pop("layers/dense")), "not a readable"),
    "weights of another shape": (kernel(np.ones((5, 1), np.float32)), "not a readable model"),
    "weights in another file": (external, "not a readable model"),
    "weights of an enormous shape": (weights(enormous), "not a readable model"),
    "weights that are texts": (kernel(np.full((12, 1), b"x")), "not a readable model"),
    "NaN": (kernel(np.full((12, 1), np.nan, np.float32)), "are not finite; run `dvc repro`"),
    "units that are a text": (declare("units", "many"), "invalid value for `units`"),
    "other units than weights": (declare("units", 2), "not a readable model"),
    "an unknown activation": (declare("activation", "os.system"), "Could not interpret activation"),
    "another length": (declare("batch_shape", [None, 5], "InputLayer"), "incompatible"),
    "a layer alone": (alone("Dense"), "it contains a Dense, not a model"),
    "an input of texts": (declare("dtype", "string", "InputLayer"), "its input is not numbers"),
    "an output of whole numbers": (rounded, "its output is not floats"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_is_not_a_model_of_the_project(folder, case):
    spoil, expected = REFUSED[case]
    spoil(folder)
    message = refusal(lambda: load(folder))
    assert message.startswith(f"stage: {folder / 'model.keras'}: ")
    assert expected in message


@pytest.mark.parametrize("case", ["nothing", "a FIFO"])
def test_no_file_in_place_of_the_model(folder, case):
    make, expected = INSTEAD[case]
    path = folder / "model.keras"
    path.unlink()
    make(path)
    message = refusal(lambda: load(folder))
    assert message.startswith(f"stage: {path}: {expected}")
    assert "run `dvc repro`, or `dvc pull`" in message


@pytest.mark.parametrize(
    ("place", "value", "what", "has", "needs"),
    [
        (0, {"good": 9, "bad": 7}, "vocabulary", "(5,)", "(4,)"),
        (0, {**ENCODER[0], "new": 5}, "vocabulary", "(5,)", "(6,)"),
        (1, 3, "input", "(None, 4)", "(None, 3)"),
        (slice(3, 5), ["multiclass", "abc"], "output", "(None, 1)", "(None, 3)"),
    ],
)
def test_an_encoder_of_another_training(folder, place, value, what, has, needs):
    changed = list(ENCODER)
    changed[place] = value
    Encoder(*changed[:4], list(changed[4])).save(folder)
    message = refusal(lambda: load(folder))
    assert (
        f"the {what} of model.keras has the shape {has}, but the encoder needs {needs}" in message
    )
    assert "the files are from two trainings; run `dvc repro`" in message


# Models that would run code, which Keras' safe mode refuses


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch '{self.path}'",)


def test_a_pickle_among_weights_in_the_format_of_numpy_is_not_loaded(folder, marker):
    buffer = io.BytesIO()
    np.savez(buffer, **{"layers/dense/vars/0": np.array([Touch(marker)], dtype=object)})
    member(WEIGHTS, None)(folder)
    member("model.weights.npz", buffer.getvalue())(folder)
    assert "not a readable model" in refusal(lambda: load(folder))
    pickle.loads(pickle.dumps(Touch(marker.with_name("ran"))))
    assert marker.with_name("ran").exists()


def code(path: Path) -> dict:
    """A function that makes a file, in the format of Keras for a lambda."""
    from keras.src.utils.python_utils import func_dump

    source = compile(f"lambda x: (open({str(path)!r}, 'w'), x)[1]", "model", "eval")
    value, defaults, closure = func_dump(types.FunctionType(source.co_consts[0], {}))
    return {
        "class_name": "__lambda__",
        "config": {"code": value, "defaults": defaults, "closure": closure},
    }


def put_lambda(config: dict, path: Path) -> None:
    old = layer(config, "Flatten")
    inner = {"name": old["name"], "function": code(path), "output_shape": [12]}
    old.update(class_name="Lambda", config=inner)


def activation(value):
    def change(config, path):
        layer(config, "Dense")["config"]["activation"] = value(path) if callable(value) else value

    return change


def function(module: str, name: str):
    """A function of a module, as the activation."""
    value = {"module": module, "class_name": "function", "config": name, "registered_name": name}
    return activation(value)


def class_(module: str, name: str, registered: str | None = None, **inner):
    """A class of a module, in place of a layer."""

    def change(config, path):
        old = layer(config, "Flatten")
        old.update(class_name=name, module=module, registered_name=registered)
        if inner:
            old.update(config={"name": old["name"], **inner})

    return change


READS = {"vocabulary": "/etc/passwd"}
TRICKS = {
    "a Lambda layer": (put_lambda, "deserialization of a `Lambda` layer"),
    "a lambda as activation": (activation(code), "deserialization of a Python lambda"),
    "a function of the system": (function("os", "system"), "Could not locate function 'system'"),
    "the switch of the safe mode": (
        function("keras.config", "enable_unsafe_deserialization"),
        "not a modeling function",
    ),
    "a class of Python": (class_("subprocess", "Popen"), "Could not locate class 'Popen'"),
    "a registered name": (class_("keras.layers", "Flatten", "builtins>eval"), "registered_name"),
    "a pickle": (class_("keras.layers", "TorchModuleWrapper"), "not a readable model"),
    "another format": (class_("keras.layers", "TFSMLayer"), "deserialization of a `TFSMLayer`"),
    "a file": (class_("keras.layers", "StringLookup", **READS), "loading of a vocabulary file"),
    "a type": (activation({"class_name": "__typespec__", "config": []}), "not a readable model"),
    "another kind of model": (
        lambda config, path: config.update(class_name="Sequential"),
        "not a KerasSaveable subclass",
    ),
    "a name that is a list": (lambda config, path: config.update(class_name=["os"]), "unhashable"),
}


@pytest.mark.parametrize("case", TRICKS)
def test_a_model_that_would_run_code(folder, marker, case):
    change, expected = TRICKS[case]
    configure(folder, lambda config: change(config, marker))
    message = refusal(lambda: load(folder))
    assert message.startswith(f"stage: {folder / 'model.keras'}: not a readable model (")
    assert expected in message


def test_a_loss_in_the_file_is_not_used(folder, marker):
    loss = {"module": "os", "class_name": "function", "config": "system", "registered_name": ""}
    configure(folder, lambda config: config.update(compile_config={"loss": loss}))
    assert not KerasNetwork.load(folder / "model.keras").model.compiled


def test_the_code_in_these_cases_would_run(folder, tmp_path):
    from ajuste.training.backend import keras

    configure(folder, lambda config: put_lambda(config, tmp_path / "ran"))
    model = keras.saving.load_model(folder / "model.keras", safe_mode=False)
    model.layers[2](np.zeros((1, 4, 3)))  # the Lambda
    assert (tmp_path / "ran").exists()
