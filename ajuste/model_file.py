"""A trained network on disk and in use."""

import io
import json
import re
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ajuste.backend import keras
from ajuste.errors import PipelineError
from ajuste.files import replacing

PREDICTION_BATCH = 512


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
    """Read what `save` wrote; code in the file is not run.

    Raises:
        PipelineError: there is no such file, or it is no Keras model.
    """
    if not path.exists():
        raise PipelineError(f"{path}: no trained model; run `dvc repro`, or `dvc pull`")
    try:
        return keras.saving.load_model(path, compile=False)
    except (ValueError, KeyError, OSError, TypeError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:200]
        raise PipelineError(f"{path}: not a readable model ({reason}); run `dvc repro`") from None


def predict(model: keras.Model, token_ids: np.ndarray) -> np.ndarray:
    """What the network says, float32 (n, outputs), of token ids, int32 (n, max_length)."""
    return model.predict(token_ids, batch_size=PREDICTION_BATCH, verbose=0)
