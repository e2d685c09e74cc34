"""A trained network on disk and in use."""

import io
import json
import re
import warnings
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from ajuste.data.encoder import PADDING
from ajuste.errors import PipelineError
from ajuste.files import check_readable, replacing
from ajuste.training import backend

if TYPE_CHECKING:
    from ajuste.training.backend import keras

PREDICTION_BATCH = 512


def save(model: "keras.Model", path: Path) -> None:
    """Write a `.keras` file, without the optimizer, whose bytes depend on the model alone.

    Keras writes the time into the metadata and the archive, and identifies shared objects by their
    address in memory. Here the time is the earliest that a zip allows, and shared objects are
    numbered in order, so that equal models have equal hashes.
    """
    bare = backend.keras.Model(model.inputs, model.outputs, name=model.name)
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


def load(path: Path) -> "keras.Model":
    """Read what `save` wrote.

    A file from elsewhere cannot run code: Keras' safe mode refuses lambdas, functions and classes
    that are not of Keras, and layers that read other files.

    Raises:
        PipelineError: there is no such file, it is not a model that `save` wrote, Keras refuses it,
            or its weights are not finite.
    """
    check_readable(path, "run `dvc repro`, or `dvc pull`")
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("not a zip archive")
        with warnings.catch_warnings():
            # Keras warns of weights that are missing, and of layers that ignore the mask of the
            # padding, which is not a fault.
            warnings.simplefilter("error", UserWarning)
            warnings.filterwarnings("ignore", ".* does not support masking")
            model = backend.keras.saving.load_model(path, compile=False, safe_mode=True)
        _check_types(model)
    except Exception as error:  # for a damaged file Keras raises whatever error it runs into
        cause = " ".join(str(error).rpartition("Exception encountered: ")[2].split())
        reason = cause.split(". ")[0].rstrip(".")[:200] or type(error).__name__
        raise PipelineError(f"{path}: not a readable model ({reason}); run `dvc repro`") from None
    for weight in model.weights:
        if not np.isfinite(weight.numpy()).all():
            raise PipelineError(
                f"{path}: the weights {weight.path} are not finite; run `dvc repro` to train again"
            )
    return model


def _check_types(model: Any) -> None:
    if not isinstance(model, backend.keras.Model):  # Keras saves a single layer in the same format
        raise ValueError(f"it contains a {type(model).__name__}, not a model")
    is_whole, is_float = backend.keras.backend.is_int_dtype, backend.keras.backend.is_float_dtype
    if not all(is_whole(tensor.dtype) or is_float(tensor.dtype) for tensor in model.inputs):
        raise ValueError("its input is not numbers")
    if not all(is_float(tensor.dtype) for tensor in model.outputs):
        raise ValueError("its output is not floats")


def predict(model: "keras.Model", token_ids: np.ndarray) -> np.ndarray:
    """Predictions, float32 (n, outputs), for token ids, int32 (n, max_length).

    Reviews of like length are predicted together, without the padding that all of them have, unless
    the network needs it.
    """
    if model.input_shape[1]:
        return model.predict(token_ids, batch_size=PREDICTION_BATCH, verbose=0)
    order = np.argsort((token_ids != PADDING).sum(axis=1), kind="stable")
    predictions = np.empty((len(token_ids), model.output_shape[1]), dtype=np.float32)
    for start in range(0, len(order), PREDICTION_BATCH):
        rows = order[start : start + PREDICTION_BATCH]
        predictions[rows] = model.predict_on_batch(trimmed(token_ids[rows]))
    return predictions


def trimmed(token_ids: np.ndarray) -> np.ndarray:
    """Token ids without the padding that all rows have at the end; at least one column is left."""
    longest = (token_ids != PADDING).sum(axis=1).max(initial=1)
    return token_ids[:, :longest]
