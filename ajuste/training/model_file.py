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

from ajuste.errors import PipelineError, excerpt
from ajuste.files import check_readable, replacing
from ajuste.training.backend import keras

PREDICTION_BATCH = 512

MEMBERS = ["config.json", "metadata.json", "model.weights.h5"]
CLASSES = {
    "keras": "DTypePolicy",
    "keras.src.models.functional": "Functional",
    "keras.layers": """
        Activation Add AdditiveAttention Attention Average AveragePooling1D BatchNormalization
        Bidirectional CategoryEncoding Concatenate Conv1D Dense DepthwiseConv1D Dot Dropout ELU
        Embedding Flatten GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalMaxPooling1D
        GroupNormalization GroupQueryAttention GRU GRUCell InputLayer LayerNormalization LeakyReLU
        LSTM LSTMCell Masking Maximum MaxPooling1D Minimum MultiHeadAttention Multiply Normalization
        Permute PReLU ReLU RepeatVector Reshape RMSNormalization RNN SeparableConv1D SimpleRNN
        SimpleRNNCell Softmax SpatialDropout1D SpectralNormalization StackedRNNCells Subtract
        TimeDistributed UnitNormalization UpSampling1D ZeroPadding1D
    """,
    "keras.initializers": """
        Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity LecunNormal LecunUniform
        Ones Orthogonal RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros
    """,
    "keras.regularizers": "L1 L1L2 L2 OrthogonalRegularizer",
    "keras.constraints": "MaxNorm MinMaxNorm NonNeg UnitNorm",
    "keras.src.ops.numpy": """
        Absolute Add All Any Arange Argmax Cumsum Divide Einsum Equal ExpandDims Flip GetItem
        Greater GreaterEqual Less LessEqual LogicalAnd LogicalNot LogicalOr Matmul Max Maximum Mean
        Min Minimum Multiply NotEqual OnesLike Reshape Sqrt Square Squeeze Subtract Sum Take Tanh
        Transpose Where ZerosLike
    """,
    "keras.src.ops.nn": "OneHot Relu Sigmoid Softmax",
    "keras.src.ops.core": "Cast",
    None: "__keras_tensor__ __slice__",
}
"""What a model file may name, by module: what computes, and neither runs code of its own (`Lambda`,
and the wrappers of other frameworks) nor opens files (the look-ups of words)."""
ALLOWED = {(module, name) for module, names in CLASSES.items() for name in names.split()}


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
    can make it do no more than compute: any that names something else is refused before Keras sees
    it (see `CLASSES`).

    Raises:
        PipelineError: there is no such file, it is no model that `save` wrote, or its weights are
            not finite.
    """
    check_readable(path, "run `dvc repro`, or `dvc pull`")
    try:
        _check_members(path)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # Keras warns of what it does not find
            # and, of a sound model, where its builder lets the padding be read along
            warnings.filterwarnings("ignore", ".* does not support masking")
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
        _check_of_numbers(model)
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
        if (module, name) not in ALLOWED or registered not in (None, name):
            said = excerpt(".".join(str(part) for part in (module, name) if part))
            raise PipelineError(
                f"{path}: refused, it names {said}, which may do more than compute; train one with "
                "`dvc repro`, or add it to CLASSES in ajuste/training/model_file.py"
            )


def _check_of_numbers(model: Any) -> None:
    if not isinstance(model, keras.Model):  # a layer alone is written as a model is
        raise ValueError(f"it holds a {type(model).__name__}, which is no model")
    is_whole, is_float = keras.backend.is_int_dtype, keras.backend.is_float_dtype
    if not all(is_whole(tensor.dtype) or is_float(tensor.dtype) for tensor in model.inputs):
        raise ValueError("it takes something else than numbers")
    if not all(is_float(tensor.dtype) for tensor in model.outputs):
        raise ValueError("it gives something else than fractions")


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
