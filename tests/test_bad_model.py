"""A saved model that is damaged, of another training, or made to run code: refused in a line."""

import io
import json
import os
import pickle
import tarfile
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
from test_bad_input import INSTEAD, forbidden, refusal, spoil_settings, without_rights

from ajuste.data.text import Encoder

pytestmark = pytest.mark.slow

CONFIG, WEIGHTS = "config.json", "model.weights.h5"


@pytest.fixture
def folder(little_model):
    """A model that knows `good`, `bad` and `film`, and reads four words."""
    return little_model("binary")


@pytest.fixture
def marker(tmp_path):
    """A file that is there once code from a model has run."""
    path = tmp_path / "code has run"
    yield path
    assert not path.exists()


def load(folder: Path):
    from serving.classifier import Classifier

    return Classifier.load(folder)


def members(folder: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(folder / "model.keras") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(folder: Path, content: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(folder / "model.keras", "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def configure(folder: Path, change) -> None:
    """Let `change` work on the configuration in a model file."""
    content = members(folder)
    config = json.loads(content[CONFIG])
    change(config)
    write(folder, content | {CONFIG: json.dumps(config).encode()})


def layer(config: dict, name: str) -> dict:
    return next(one for one in config["config"]["layers"] if one["class_name"] == name)


def weights(folder: Path, change) -> None:
    """Let `change` work on the file of weights in a model file."""
    import h5py

    content = members(folder)
    buffer = io.BytesIO(content[WEIGHTS])
    with h5py.File(buffer, "r+") as file:
        change(file)
    write(folder, content | {WEIGHTS: buffer.getvalue()})


def kernel(file, values=None):
    """Take the kernel of the last layer out of a file of weights, and put another there."""
    variables = file["layers/dense/vars"]
    shape = variables["0"].shape
    del variables["0"]
    if values is not None:
        variables["0"] = np.full(shape, values, np.float32) if np.isscalar(values) else values


# Files that are none


def cut(folder, share):
    path = folder / "model.keras"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def a_tar(folder):
    with tarfile.open(folder / "model.keras", "w") as archive:
        archive.addfile(tarfile.TarInfo(CONFIG))


def legacy(folder):
    (folder / "model.keras").write_bytes(members(folder)[WEIGHTS])


def members_without(name):
    return lambda folder: write(folder, {k: v for k, v in members(folder).items() if k != name})


def members_with(**changed):
    names = {"config": CONFIG, "weights": WEIGHTS, "extra": "assets/run.py", "climbs": "../x"}
    new = {names[key]: value for key, value in changed.items()}
    return lambda folder: write(folder, members(folder) | new)


def end_too_soon(folder):
    content = members(folder)
    write(folder, content | {WEIGHTS: content[WEIGHTS][:-2000]})


def flip(folder):
    path = folder / "model.keras"
    content = bytearray(path.read_bytes())
    content[content.index(b'"units"') + 3] ^= 1
    path.write_bytes(content)


def declare(key, value, name="Dense"):
    return lambda folder: configure(
        folder, lambda config: layer(config, name)["config"].update({key: value})
    )


def external(folder):
    import h5py

    def change(file):
        kernel(file)
        file["layers/dense/vars"]["0"] = h5py.ExternalLink("/etc/passwd", "/")

    weights(folder, change)


def without(group):
    return lambda folder: weights(folder, lambda file: file.pop(group))


def alone(name):
    def change(config):
        one = layer(config, name)
        config.clear()
        config.update(one, build_config=None)

    return lambda folder: configure(folder, change)


def rounded(folder):
    from ajuste.training import model_file
    from ajuste.training.backend import keras

    model = keras.saving.load_model(folder / "model.keras")
    whole = keras.ops.cast(model.outputs[0], "int32")
    model_file.save(keras.Model(model.inputs, whole), folder / "model.keras")


def enormous(folder):
    def change(file):
        kernel(file)
        file["layers/dense/vars"].create_dataset("0", (10**7, 10**6), "f4", chunks=(1000, 1000))

    weights(folder, change)


REFUSED = {
    "nothing": (lambda folder: cut(folder, 0), "not a readable model"),
    "half of it": (lambda folder: cut(folder, 0.5), "not a readable model"),
    "nearly all of it": (lambda folder: cut(folder, 0.99), "not a readable model"),
    "a tar": (a_tar, "not a readable model"),
    "the older format, HDF5": (legacy, "not a readable model"),
    "no configuration": (members_without(CONFIG), "it does not hold just config.json, metadata"),
    "no weights": (members_without(WEIGHTS), "it does not hold just config.json, metadata.json"),
    "a file too many": (members_with(extra=b"import os"), "it does not hold just config.json"),
    "a file that climbs": (members_with(climbs=b""), "it does not hold just config.json"),
    "compressed": (
        lambda folder: write(folder, members(folder), zipfile.ZIP_DEFLATED),
        "it is compressed",
    ),
    "a flipped bit": (flip, "Bad CRC-32"),
    "a configuration that is no JSON": (members_with(config=b"{"), "not a readable model"),
    "a configuration that is a list": (members_with(config=b"[]"), "not a readable model"),
    "a configuration without end": (members_with(config=b"[" * 10**5), "not a readable model"),
    "weights that are none": (members_with(weights=b"weights"), "not a readable model"),
    "weights that end too soon": (end_too_soon, "not a readable model"),
    "a layer without a kernel": (lambda folder: weights(folder, kernel), "not a readable model"),
    "a layer without weights": (without("layers/dense/vars"), "not a readable model"),
    "a layer that is missing": (without("layers/dense"), "not a readable model"),
    "no layers": (without("layers"), "not a readable model"),
    "weights of another shape": (
        lambda folder: weights(folder, lambda file: kernel(file, np.ones((5, 1), np.float32))),
        "not a readable model",
    ),
    "weights elsewhere": (external, "not a readable model"),
    "weights of an enormous shape": (enormous, "not a readable model"),
    "weights that are texts": (
        lambda folder: weights(folder, lambda file: kernel(file, np.full((12, 1), b"x"))),
        "not a readable model",
    ),
    "NaN among the weights": (
        lambda folder: weights(folder, lambda file: kernel(file, np.nan)),
        "are not finite; train again",
    ),
    "infinity among the weights": (
        lambda folder: weights(folder, lambda file: kernel(file, np.inf)),
        "are not finite",
    ),
    "negative units": (declare("units", -1), "not a readable model"),
    "units that are a text": (declare("units", "many"), "not a readable model"),
    "units of another number": (declare("units", 2), "not a readable model"),
    "an activation that is none": (declare("activation", "os.system"), "not a readable model"),
    "a dense layer alone": (alone("Dense"), "it holds a Dense, which is no model"),
    "an input alone": (alone("InputLayer"), "it holds a InputLayer, which is no model"),
    "an input of texts": (declare("dtype", "string", "InputLayer"), "something else than numbers"),
    "an input of truths": (declare("dtype", "bool", "InputLayer"), "something else than numbers"),
    "an output of whole numbers": (rounded, "it gives something else than fractions"),
    "another length": (declare("batch_shape", [None, 5], "InputLayer"), "not a readable model"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_is_no_model_of_ours(folder, case):
    spoil, expected = REFUSED[case]
    spoil(folder)
    said = refusal(lambda: load(folder))
    assert said.startswith(f"stage: {folder / 'model.keras'}: ")
    assert expected in said


@pytest.mark.parametrize("case", INSTEAD)
def test_no_file_where_the_model_is_needed(folder, case):
    make, expected = INSTEAD[case]
    path = folder / "model.keras"
    path.unlink()
    make(path)
    for above in [folder, *folder.parents[:4]]:
        above.chmod(0o755)
    if make is forbidden:
        with without_rights():
            said = refusal(lambda: load(folder))
    else:
        said = refusal(lambda: load(folder))
    assert said.startswith(f"stage: {path}: {expected}")
    assert "run `dvc repro`, or `dvc pull`" in said


# Models that do not fit what lies beside them


@pytest.mark.parametrize(
    ("encoder", "expected"),
    [
        (({"good": 9, "bad": 7}, 4, "last", "binary", ["a", "b"]), "knows (5,), its encoder (4,)"),
        (({"good": 9, "bad": 7, "film": 5, "new": 5}, 4, "last", "binary", ["a", "b"]),
         "knows (5,), its encoder (6,)"),
        (({"good": 9, "bad": 7, "film": 5}, 3, "last", "binary", ["a", "b"]),
         "takes (None, 4), its encoder (None, 3)"),
        (({"good": 9, "bad": 7, "film": 5}, 4, "last", "multiclass", ["a", "b", "c"]),
         "gives (None, 1), its encoder (None, 3)"),
    ],
)  # fmt: skip
def test_an_encoder_of_another_training(folder, encoder, expected):
    Encoder(*encoder).save(folder)
    said = refusal(lambda: load(folder))
    assert expected in said
    assert "they are of two trainings, run `dvc repro`" in said


def test_a_vocabulary_that_was_cut_beside_the_model(folder):
    path = folder / "vocabulary.tsv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert "not the vocabulary that encoder.json was written with" in refusal(lambda: load(folder))


def test_settings_that_were_changed_beside_the_model(folder):
    expected = spoil_settings(folder, ("max_length", -4, "greater than 0"))
    assert expected in refusal(lambda: load(folder))


# Models that would run code


class Touch:
    """What makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch '{self.path}'",)


def test_a_pickle_is_not_loaded(folder, marker):
    (folder / "model.keras").write_bytes(pickle.dumps(Touch(marker)))
    assert "not a readable model" in refusal(lambda: load(folder))


def test_a_pickle_among_the_members_is_not_loaded(folder, marker):
    content = members(folder)
    write(folder, content | {WEIGHTS: pickle.dumps(Touch(marker))})
    assert "not a readable model" in refusal(lambda: load(folder))


def code(path: Path) -> dict:
    """A function that makes a file, as Keras writes a lambda."""
    from keras.src.utils.python_utils import func_dump

    source = compile(f"lambda x: (open({str(path)!r}, 'w'), x)[1]", "model", "eval")
    value, defaults, closure = func_dump(types.FunctionType(source.co_consts[0], {}))
    return {
        "class_name": "__lambda__",
        "config": {"code": value, "defaults": defaults, "closure": closure},
    }


def function(module: str, name: str) -> dict:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def put_lambda(config: dict, path: Path) -> None:
    old = layer(config, "Flatten")
    inner = {"name": old["name"], "function": code(path), "output_shape": [12]}
    old.update(class_name="Lambda", config=inner)


def put_activation(config: dict, activation: dict | str) -> None:
    layer(config, "Dense")["config"]["activation"] = activation


def put_class(config: dict, module: str | None, name: str, registered: str | None = None) -> None:
    old = layer(config, "Flatten")
    old.update(class_name=name, module=module, registered_name=registered)
    if not module:
        del old["module"]


TRICKS = {
    "a Lambda layer": (put_lambda, "keras.layers.Lambda"),
    "a Lambda layer of the older format": (
        lambda c, p: put_class(c, None, "Lambda"),
        "it names Lambda",
    ),
    "a Lambda layer by its path": (
        lambda c, p: put_class(c, "keras.src.layers.core.lambda_layer", "Lambda"),
        "keras.src.layers.core.lambda_layer.Lambda",
    ),
    "a lambda for an activation": (lambda c, p: put_activation(c, code(p)), "it names __lambda__"),
    "a function of the system": (
        lambda c, p: put_activation(c, function("os", "system")),
        "os.function",
    ),
    "a function of Python": (
        lambda c, p: put_activation(c, function("builtins", "eval")),
        "builtins.function",
    ),
    "a function that downloads": (
        lambda c, p: put_activation(c, function("keras.utils", "get_file")),
        "keras.utils.function",
    ),
    "the switch of the guard": (
        lambda c, p: put_activation(c, function("keras.config", "enable_unsafe_deserialization")),
        "keras.config.function",
    ),
    "a class of another package": (
        lambda c, p: put_class(c, "subprocess", "Popen"),
        "subprocess.Popen",
    ),
    "a registered name": (
        lambda c, p: put_class(c, "keras.layers", "Flatten", "builtins>eval"),
        "keras.layers.Flatten",
    ),
    "a layer that loads a pickle": (
        lambda c, p: put_class(c, "keras.layers", "TorchModuleWrapper"),
        "keras.layers.TorchModuleWrapper",
    ),
    "a layer that loads a saved model": (
        lambda c, p: put_class(c, "keras.layers", "TFSMLayer"),
        "keras.layers.TFSMLayer",
    ),
    "a layer that reads a file": (
        lambda c, p: put_class(c, "keras.layers", "StringLookup"),
        "keras.layers.StringLookup",
    ),
    "another kind of model": (lambda c, p: c.update(class_name="Sequential"), ".Sequential"),
    "a loss to compile with": (
        lambda c, p: c.update(compile_config={"loss": function("os", "system")}),
        "os.function",
    ),
    "a type": (
        lambda c, p: put_activation(c, {"class_name": "__typespec__", "config": []}),
        "it names __typespec__",
    ),
    "a class without a name": (
        lambda c, p: put_activation(c, {"module": "os", "config": "system"}),
        "it names os",
    ),
    "a name that is a list": (
        lambda c, p: c.update(class_name=["os"]),
        "not a readable model",
    ),
}


@pytest.mark.parametrize("case", TRICKS)
def test_a_model_that_would_run_code(folder, marker, case):
    change, expected = TRICKS[case]
    configure(folder, lambda config: change(config, marker))
    said = refusal(lambda: load(folder))
    assert expected in said
    assert said.startswith(f"stage: {folder / 'model.keras'}: ")


def test_the_code_in_these_cases_would_have_run(folder, tmp_path):
    from ajuste.training.backend import keras

    configure(folder, lambda config: put_lambda(config, tmp_path / "ran"))
    model = keras.saving.load_model(folder / "model.keras", safe_mode=False)
    model.layers[2](np.zeros((1, 4, 3)))  # the Lambda
    assert (tmp_path / "ran").exists()


def test_every_network_of_the_project_is_taken(folder, tmp_path):
    import yaml
    from conftest import ROOT

    from ajuste.training import model_file, networks

    entries = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["models"]
    for name, entry in entries.items():
        entry = entry | {"l1": 0.1, "l2": 0.1, "dropout": 0.2}
        model, _ = networks.build(name, entry, np.ones((5, 3), np.float32), 4)
        model_file.save(model, tmp_path / "model.keras")
        assert model_file.load(tmp_path / "model.keras").count_params() == model.count_params()


def test_a_network_of_other_layers_that_only_compute_is_taken(tmp_path):
    from ajuste.training import model_file
    from ajuste.training.backend import keras

    layers = keras.layers
    token_ids = keras.Input((5,), dtype="int32")
    vectors = layers.Embedding(9, 4, mask_zero=True)(token_ids)
    read = layers.Bidirectional(layers.GRU(3, return_sequences=True))(vectors)
    read = layers.LayerNormalization()(layers.MultiHeadAttention(2, 4)(read, read))
    said = layers.Dense(1, name="said")(layers.GlobalMaxPooling1D()(read))
    model_file.save(keras.Model(token_ids, said), tmp_path / "model.keras")
    assert model_file.load(tmp_path / "model.keras").layers[-1].name == "said"
