"""A linear network of n-grams as numbers, for a page that computes its answers without Keras."""

import base64
import gzip
from typing import TYPE_CHECKING, Any

import numpy as np

from ajuste.data.encoder import Encoder
from ajuste.training import backend

if TYPE_CHECKING:
    from ajuste.training.backend import keras


def exported(model: "keras.Model", encoder: Encoder) -> dict[str, Any]:
    """What `ajuste/report/browser.js` needs to give the answers of a network.

    Args:
        model: the network.
        encoder: its encoder.

    Returns:
        Empty if the network is not a linear one of n-grams with one output (see
        `ajuste.training.networks.bag_of_ngrams`). `words` in the order of their ids; `base` and
        `order` of the n-grams; `bias` and `kernel` of the output; `max_length`, `keep`, `labels`;
        and `ngrams`: gzip as Base64 of, for each n-gram, the difference of its key from the key
        before it (float64), its inverse document frequency and its weight (float32), one array
        after the other.
    """
    layers = {layer.name: layer for layer in model.layers}
    if encoder.task != "binary" or not {"ngrams", "weighting", "ngram_vectors"} <= layers.keys():
        return {}
    dense = [layer for layer in model.layers if isinstance(layer, backend.keras.layers.Dense)]
    if len(dense) > 1 or layers["ngram_vectors"].output_dim > 1:
        return {}
    keys = np.array(layers["ngrams"].get_vocabulary()[1:], dtype=np.float64)
    [weighting], [learned] = (layers[name].get_weights() for name in ("weighting", "ngram_vectors"))
    idf, ratio = weighting[1:].astype(np.float32).T
    parts = np.diff(keys, prepend=0.0), idf, ratio * learned[1:, 0]
    packed = gzip.compress(b"".join(part.tobytes() for part in parts), compresslevel=6, mtime=0)
    kernel, bias = dense[0].get_weights()
    return {
        **{"labels": list(encoder.labels), "max_length": encoder.max_length, "keep": encoder.keep},
        **{"base": _base(model), "order": _order(model)},
        **{"kernel": float(kernel[0, 0]), "bias": float(bias[0])},
        **{"count": len(keys), "words": " ".join(encoder.counts)},
        "ngrams": base64.b64encode(packed).decode(),
    }


def _base(model: "keras.Model") -> int:
    """The base of the keys: the number that the graph multiplies ids by; 0 for words alone."""
    numbers = (one for given in _inputs(model, "Multiply") for one in given if isinstance(one, int))
    return next(numbers, 0)


def _order(model: "keras.Model") -> int:
    """The length of the longest n-grams: the graph concatenates those of each length."""
    [[parts, *_]] = _inputs(model, "Concatenate")
    return len(parts)


def _inputs(model: "keras.Model", kind: str) -> list[tuple[Any, ...]]:
    """What the operations of a kind get, in the order of the graph."""
    return [
        operation._inbound_nodes[0].arguments.args
        for operation in model.operations
        if type(operation).__name__ == kind
    ]
