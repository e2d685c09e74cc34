"""A trained network on disk and in use."""

import io
import json
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ajuste.backend import keras
from ajuste.errors import PipelineError, excerpt
from ajuste.files import check_readable, replacing

PREDICTION_BATCH = 512

MEMBERS = ["config.json", "metadata.json", "model.weights.h5"]
CLASSES = {
    *(
        ("keras.layers", name)
        for name in (
            "CategoryEncoding",
            "Dense",
            "Dropout",
            "Embedding",
            "Flatten",
            "GRU",
            "InputLayer",
            "LSTM",
            "SimpleRNN",
        )
    ),
    *(
        ("keras.initializers", name)
        for name in ("GlorotUniform", "Orthogonal", "RandomUniform", "Zeros")
    ),
    *(
        ("keras.src.ops.numpy", name)
        for name in ("GetItem", "Less", "LessEqual", "NotEqual", "Where")
    ),
    ("keras", "DTypePolicy"),
    ("keras.src.models.functional", "Functional"),
    (None, "__keras_tensor__"),
    (None, "__slice__"),
}
"""What a network of this project is made of, by module and name; a model file may name no other."""


def save(model: keras.Model, path: Path) -> None:
    """Write a `.keras` file, without the optimizer, whose bytes depend on nothing but the model.

    Keras stamps the file with the time, in its metadata and on each member of the archive, and
    names objects that layers share by their address in memory. Here the time is the first that a
    zip can hold and the objects are numbered as they come, so that equal models have equal hashes.
    """
    bare = keras.Model(model.inputs, model.outputs, name=model.name)
    with TemporaryDirectory() as folder:
        stamped = Path(folder) / "model.keras"
        bare.save(stamped)
        with zipfile.ZipFile(stamped) as archive:
            members = {name: archive.read(name) for name in sorted(archive.namelist())}
    metadata = json.loads(members["metadata.json"])
    metadata["date_saved"] = "1980-01-01@00:00:00"
    members["metadata.json"] = json.dumps(metadata).encode()
    members["config.json"] = _number_objects(members["config.json"])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def _number_objects(config: bytes) -> bytes:
    numbers: dict[bytes, int] = {}

    def number(match: re.Match[bytes]) -> bytes:
        return b'"shared_object_id": %d' % numbers.setdefault(match[1], len(numbers))

    return re.sub(rb'"shared_object_id": (\d+)', number, config)


def load(path: Path) -> keras.Model:
    """Read what `save` wrote.

    A model file names classes and functions, which Keras looks up and calls. One from elsewhere
    can make it do no more than the networks of this project do: any that names another is refused
    before Keras sees it.

    Raises:
        PipelineError: there is no such file, it is no model that `save` wrote, or its weights are
            not finite.
    """
    check_readable(path, "run `dvc repro`, or `dvc pull`")
    try:
        _check_members(path)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # Keras warns of what it does not find
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except PipelineError:
        raise
    except Exception as error:  # of a file that is damaged, Keras raises whatever it stumbles over
        reason = " ".join(str(error).split())[:200]
        raise PipelineError(f"{path}: not a readable model ({reason}); run `dvc repro`") from None
    for weight in model.weights:
        if not np.isfinite(weight.numpy()).all():
            raise PipelineError(
                f"{path}: the weights {weight.path} are not finite; train again, with `dvc repro`"
            )
    return model


def _check_members(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        if sorted(info.filename for info in infos) != MEMBERS:
            raise ValueError(f"it does not hold just {', '.join(MEMBERS)}")
        if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
            raise ValueError("it is compressed, which no model of this project is")
        config = json.loads(archive.read("config.json"))
    for module, name, registered in _named(config):
        if (module, name) not in CLASSES or registered not in (None, name):
            said = excerpt(".".join(str(part) for part in (module, name) if part))
            raise PipelineError(
                f"{path}: refused, it names {said}, which no network of this project has; train "
                "one with `dvc repro`"
            )


def _named(config: Any) -> Iterator[tuple[Any, Any, Any]]:
    """The module, class and registered name of every object in a configuration."""
    if isinstance(config, dict):
        if not {"class_name", "module", "registered_name"}.isdisjoint(config):
            yield config.get("module"), config.get("class_name"), config.get("registered_name")
        config = list(config.values())
    if isinstance(config, list):
        for value in config:
            yield from _named(value)


def predict(model: keras.Model, token_ids: np.ndarray) -> np.ndarray:
    """What the network says, float32 (n, outputs), of int32 (n, max_length)."""
    return model.predict(token_ids, batch_size=PREDICTION_BATCH, verbose=0)
