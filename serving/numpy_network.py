"""A network that Keras saved, run with NumPy alone: TensorFlow takes seconds to import.

It knows the layers and operations that the networks of `ajuste.training.networks` consist of. Its
answers are those of Keras up to rounding (a test holds them to 1e-6).
"""

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.special import expit, softmax

from ajuste.data.encoder import PADDING

BATCH = 256  # texts
FILES = {"config.json", "metadata.json", "model.weights.h5"}

Array = np.ndarray
Weights = list[Array]
Config = dict[str, Any]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": expit,
    "softmax": lambda x: softmax(x, axis=-1),
    "tanh": np.tanh,
}

OPERATIONS: dict[str, Callable[..., Array]] = {
    "Add": lambda _, x, y: x + y,
    "Cast": lambda config, x: x.astype(config["dtype"]),
    "Clip": lambda config, x: np.clip(x, config["x_min"], config["x_max"]),
    "Concatenate": lambda config, parts: np.concatenate(parts, axis=config["axis"]),
    "Cumsum": lambda config, x: np.cumsum(x, axis=config["axis"], dtype=x.dtype),
    "Equal": lambda _, x, y: x == y,
    "Exp": lambda _, x: np.exp(x),
    "ExpandDims": lambda config, x: np.expand_dims(x, config["axis"]),
    "GetItem": lambda _, x, key: x[tuple(key) if isinstance(key, list) else key],
    "Greater": lambda _, x, y: x > y,
    "Less": lambda _, x, y: x < y,
    "LessEqual": lambda _, x, y: x <= y,
    "Log": lambda _, x: np.log(x),
    "Log1p": lambda _, x: np.log1p(x),
    "LogicalAnd": lambda _, x, y: x & y,
    "Matmul": lambda _, x, y: x @ y,
    "Max": lambda config, x: x.max(axis=config["axis"], keepdims=config["keepdims"]),
    "Maximum": lambda _, x, y: np.maximum(x, y),
    "Mean": lambda config, x: x.mean(axis=config["axis"], keepdims=config["keepdims"]),
    "Minimum": lambda _, x, y: np.minimum(x, y),
    "Multiply": lambda _, x, y: x * y,
    "Negative": lambda _, x: -x,
    "NotEqual": lambda _, x, y: x != y,
    "OnesLike": lambda _, x: np.ones_like(x),
    "Pad": lambda config, x, **_: np.pad(x, config["pad_width"]),
    "Sort": lambda config, x: np.sort(x, axis=config["axis"]),
    "Sqrt": lambda _, x: np.sqrt(x),
    "Square": lambda _, x: np.square(x),
    "Subtract": lambda _, x, y: x - y,
    "Sum": lambda config, x: x.sum(axis=config["axis"], keepdims=config["keepdims"], dtype=x.dtype),
    "TakeAlongAxis": lambda config, x, places: np.take_along_axis(x, places, config["axis"]),
    "Transpose": lambda config, x: np.transpose(x, config["axes"]),
    "TrueDivide": lambda _, x, y: x / y,
    "Where": lambda _, condition, x, y: np.where(condition, x, y),
}
"""Operations of `keras.ops`: from their settings and their inputs to their output."""


def _dense(config: Config, weights: Weights, x: Array) -> Array:
    kernel, *bias = weights
    return ACTIVATIONS[config["activation"]](x @ kernel + sum(bias))


def _einsum(config: Config, weights: Weights, x: Array) -> Array:
    [kernel] = weights
    found = np.einsum(config["equation"], x, kernel, optimize=True)
    return ACTIVATIONS[config["activation"]](found)


def _convolution(config: Config, weights: Weights, x: Array) -> Array:
    kernel, bias = weights
    size = len(kernel)
    padded = np.pad(x, [(0, 0), ((size - 1) // 2, size // 2), (0, 0)])
    found = sum(padded[:, at : at + x.shape[1]] @ kernel[at] for at in range(size)) + bias
    return ACTIVATIONS[config["activation"]](found)


def _categories(config: Config, _: Weights, x: Array) -> Array:
    found = np.zeros((len(x), config["num_tokens"]), dtype=np.float32)
    np.put_along_axis(found, x.astype(np.int64), 1, axis=1)
    return found


def _gru(config: Config, weights: Weights, x: Array, states: Weights) -> Weights:
    _, recurrent, bias = weights
    gate, act = (ACTIVATIONS[config[key]] for key in ("recurrent_activation", "activation"))
    [before] = states
    update, reset, new = np.split(x, 3, axis=1)
    from_update, from_reset, from_new = np.split(before @ recurrent + bias[1], 3, axis=1)
    share = gate(update + from_update)
    return [share * before + (1 - share) * act(new + gate(reset + from_reset) * from_new)]


def _lstm(config: Config, weights: Weights, x: Array, states: Weights) -> Weights:
    _, recurrent, _ = weights
    gate, act = (ACTIVATIONS[config[key]] for key in ("recurrent_activation", "activation"))
    before, carry = states
    enter, forget, new, leave = np.split(x + before @ recurrent, 4, axis=1)
    carry = gate(forget) * carry + gate(enter) * act(new)
    return [gate(leave) * act(carry), carry]


CELLS = {"GRU": (_gru, 1), "LSTM": (_lstm, 2)}
"""One time step, from the projected input and the states to the states; the number of states.

A simple RNN enlarges the rounding of each step, up to 5e-6, so it is left to Keras.
"""


def _recurrent(
    kind: str, config: Config, weights: Weights, x: Array, mask: Array | None = None, **_: Any
) -> Array:
    """A recurrent layer; the first state is its output, and masked steps change no state."""
    step, count = CELLS[kind]
    kernel, recurrent, bias = weights
    projected = x @ kernel + (bias[0] if bias.ndim > 1 else bias)
    states = [np.zeros((len(x), len(recurrent)), np.float32)] * count
    order = range(x.shape[1])
    outputs = np.zeros((*x.shape[:2], len(recurrent)), np.float32)
    for at in reversed(order) if config["go_backwards"] else order:
        new = step(config, weights, projected[:, at], states)
        if mask is not None:
            new = [np.where(mask[:, at, None], *both) for both in zip(new, states, strict=True)]
        states = new
        outputs[:, at] = states[0]
    if not config["return_sequences"]:
        return states[0]
    if mask is not None and config["zero_output_for_mask"]:
        outputs *= mask[:, :, None]
    return outputs


def _both_ways(config: Config, weights: Weights, x: Array, **given: Any) -> Array:
    """A recurrent layer in both directions; both outputs are in the order of the words."""
    kind, inner = config["layer"]["class_name"], config["layer"]["config"]
    half = len(weights) // 2  # the file has the weights of the backward layer first
    forward = _recurrent(kind, inner, weights[half:], x, **given)
    back = _recurrent(kind, {**inner, "go_backwards": True}, weights[:half], x, **given)
    return np.concatenate([forward, back], axis=-1)


LAYERS: dict[str, Callable[..., Array]] = {
    "Activation": lambda config, _, x: ACTIVATIONS[config["activation"]](x),
    "Bidirectional": _both_ways,
    "CategoryEncoding": _categories,
    "Conv1D": _convolution,
    "Dense": _dense,
    "Dropout": lambda config, _, x, **__: x,
    "EinsumDense": _einsum,
    "Embedding": lambda config, weights, x: weights[0][x],
    "Flatten": lambda config, _, x: x.reshape(len(x), -1),
    "SpatialDropout1D": lambda config, _, x, **__: x,
    **{
        kind: lambda config, weights, x, kind=kind, **given: _recurrent(
            kind, config, weights, x, **given
        )
        for kind in CELLS
    },
}
"""Layers of Keras: from their settings, their weights and their inputs to their output."""

SLOW = {*CELLS, "Bidirectional", "Conv1D", "EinsumDense"}
"""For hundreds of texts Keras computes these several times faster."""
FIXED = {
    "Bidirectional": {"merge_mode": "concat"},
    "EinsumDense": {"bias_axes": None},
    "CategoryEncoding": {"output_mode": "multi_hot"},
    "Conv1D": {
        "use_bias": True,
        "padding": "same",
        "strides": [1],
        "dilation_rate": [1],
        "groups": 1,
    },
    "GRU": {"reset_after": True},
    "IntegerLookup": {"num_oov_indices": 1, "mask_token": None, "output_mode": "int"},
    "Pad": {"mode": "constant"},
}
"""Settings that are taken for granted here."""


def _shapes(kind: str, config: Config) -> list[tuple[int, ...]]:
    """The last sizes of each weight of a layer."""
    if kind == "Bidirectional":
        return 2 * _shapes(config["layer"]["class_name"], config["layer"]["config"])
    if kind == "Embedding":
        return [(config["input_dim"], config["output_dim"])]
    if kind in CELLS:
        units = config["units"]
        wide = {"GRU": 3, "LSTM": 4}[kind] * units
        return [(wide,), (units, wide), (2, wide) if kind == "GRU" else (wide,)]
    if kind in ("Dense", "Conv1D"):
        width = (config["units" if kind == "Dense" else "filters"],)
        return [width, width] if config["use_bias"] else [width]
    return [()] if kind == "EinsumDense" else []


@dataclass(frozen=True)
class Graph:
    """A network: its settings, and what Keras stored for its layers, by their paths.

    Attributes:
        config: the settings of the Functional model.
        stored: the weights of each layer, and the sorted vocabulary of each lookup.
        path: of the network in the file.
    """

    config: Config
    stored: Mapping[str, Weights]
    path: str = ""

    @cached_property
    def nodes(self) -> list[tuple[str, str, Config, list[Any], dict[str, Any], str]]:
        """Kind, name, settings, arguments and the path of each layer or operation, in order.

        Raises:
            KeyError: one of them is not known here.
        """
        found, count = [], Counter()
        for layer in self.config["layers"]:
            kind, config = layer["class_name"], layer["config"]
            if layer["registered_name"] not in (None, kind):
                raise KeyError(layer["registered_name"])
            if any(config[key] != value for key, value in FIXED.get(kind, {}).items()):
                raise KeyError(kind)
            path = ""
            if kind not in OPERATIONS:
                base = _snake(kind)
                path = f"{self.path}layers/{base}{f'_{count[base]}' if count[base] else ''}"
                count[base] += 1
                if kind not in {*LAYERS, "Functional", "InputLayer", "IntegerLookup"}:
                    raise KeyError(kind)
            sizes, weights = _shapes(kind, config), self.stored.get(path, [])
            for array, size in zip(weights if sizes else [], sizes, strict=True):
                if array.shape[len(array.shape) - len(size) :] != size:
                    raise ValueError(f"{path}: the shape {array.shape}")
            if kind != "InputLayer":
                [node] = layer["inbound_nodes"]
                args, given = node["args"], node["kwargs"]
                found.append((kind, layer["name"], config, args, given, path))
        return found

    def inner(self, config: Config, path: str) -> "Graph":
        """A network that is a layer of this one."""
        return Graph(config, self.stored, f"{path}/")

    @property
    def members(self) -> list["Graph"]:
        """The networks of an ensemble, each with the members of its own."""
        return [
            self.inner(config, path)
            for kind, _, config, _, _, path in self.nodes
            if kind == "Functional"
        ]

    def run(self, token_ids: Array) -> Array:
        """The output, (n, outputs), for token ids (n, length)."""
        known = {_first(self.config["input_layers"]): token_ids}
        for kind, name, config, args, given, path in self.nodes:
            args = [_filled(one, known) for one in args]
            given = {key: _filled(one, known) for key, one in given.items() if key == "mask"}
            if kind in OPERATIONS:
                known[name] = OPERATIONS[kind](config, *args)
            elif kind == "Functional":
                known[name] = self.inner(config, path).run(*args)
            elif kind == "IntegerLookup":
                known[name] = _looked_up(self.stored[path], *args)
            else:
                known[name] = LAYERS[kind](config, self.stored.get(path, []), *args, **given)
        return known[_first(self.config["output_layers"])]


def _looked_up(stored: Weights, keys: Array) -> Array:
    """The place of each key in a vocabulary, whose first entry is for other keys."""
    vocabulary, places = stored
    at = np.minimum(np.searchsorted(vocabulary, keys), len(vocabulary) - 1)
    return np.where(vocabulary[at] == keys, places[at], 0)


def _first(layers: list[Any]) -> str:
    """The name of the only input or output."""
    return layers[0] if isinstance(layers[0], str) else _first(layers[0])


def _filled(argument: Any, known: Mapping[str, Array]) -> Any:
    """An argument of a saved layer, with the arrays that it stands for."""
    if isinstance(argument, list):
        return [_filled(one, known) for one in argument]
    if not isinstance(argument, dict):
        return argument
    kind, config = argument["class_name"], argument["config"]
    if kind == "__keras_tensor__":
        return known[config["keras_history"][0]]
    if kind == "__slice__":
        return slice(config["start"], config["stop"], config["step"])
    return np.array(config["value"], dtype=config["dtype"])


def _snake(name: str) -> str:
    """The name that Keras gives the weights of a layer of a class."""
    return re.sub(
        r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    ).lower()


class NumpyNetwork:
    """A network of `serving.classifier` (see there).

    Attributes:
        is_fast: whether it is about as fast as Keras for many texts.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        [given] = (one for one in graph.config["layers"] if one["class_name"] == "InputLayer")
        self.length: int | None = given["config"]["batch_shape"][1]
        found = graph.run(np.ones((1, self.length or 1), np.int32))
        if given["config"]["dtype"] != "int32" or found.dtype != np.float32:
            raise TypeError("an input or an output of another type")
        self.outputs: int = found.shape[1]
        kinds = {kind for one in (graph, *graph.members) for kind, *_ in one.nodes}
        self.is_fast = not kinds & SLOW
        self.distinct_ids = _distinct_ids(graph)
        self.vocabularies = [
            config["input_dim"]
            for one in graph.members or [graph]
            for kind, _, config, [source, *_], _, _ in one.nodes
            if kind == "Embedding"
            and source["config"]["keras_history"][0] == _first(one.config["input_layers"])
        ]

    def predict(self, token_ids: Array) -> Array:
        """Predictions, float32 (n, outputs), for token ids, int32 (n, max_length).

        Reviews of like length are predicted together, without the padding that all of them have.
        """
        if self.length:
            starts = range(0, len(token_ids), BATCH)
            parts = [self._graph.run(token_ids[start : start + BATCH]) for start in starts]
            return np.concatenate(parts).astype(np.float32)
        lengths = (token_ids != PADDING).sum(axis=1)
        order = np.argsort(lengths, kind="stable")
        found = np.empty((len(token_ids), self.outputs), dtype=np.float32)
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            found[rows] = self._graph.run(token_ids[rows, : lengths[rows].max(initial=1)])
        return found


def _distinct_ids(graph: Graph) -> int:
    if graph.members:
        return max(map(_distinct_ids, graph.members))
    for kind, name, config, *_ in graph.nodes:
        if name == "embedding":
            return config["input_dim"]
        if kind == "CategoryEncoding":
            return config["num_tokens"]
    return np.iinfo(np.int32).max


def load(path: Path) -> NumpyNetwork | None:
    """The network in a `.keras` file; None if it needs Keras, or Keras has to say what is wrong."""
    try:
        with zipfile.ZipFile(path) as archive:
            saved = json.loads(archive.read("config.json"))
            if saved["class_name"] != "Functional":
                raise TypeError(saved["class_name"])
            stored: dict[str, Weights] = {}
            with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
                file.visititems(lambda name, item: _add(stored, name, item))
            for name in set(archive.namelist()) - FILES:
                found = re.fullmatch(r"assets/(.+)/vocabulary\.txt", name)
                if not found:
                    raise KeyError(name)
                vocabulary = np.array(archive.read(name).split(), dtype=np.int64)
                order = np.argsort(vocabulary)  # the first is -1, for keys that it does not have
                stored[found[1]] = [vocabulary[order], order]
        return NumpyNetwork(Graph(saved["config"], stored))
    except Exception:  # a damaged file: whatever error the reader runs into
        return None


def _add(stored: dict[str, Weights], name: str, item: Any) -> None:
    """Keep an array of a file of weights under the path of its layer."""
    if isinstance(item, h5py.Dataset):
        if item.nbytes > item.id.get_storage_size():
            raise ValueError(f"{name}: a size that is not there")
        array = item[()]
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: not finite")
        layer = re.sub(r"(/forward_layer|/backward_layer)?(/cell)?/vars/\d+$", "", name)
        stored.setdefault(layer, []).append(array)
