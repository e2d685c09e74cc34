"""The layers that several networks share, made of Keras' own."""

from typing import TYPE_CHECKING, Literal

from ajuste.data.encoder import PADDING, UNKNOWN
from ajuste.training import backend

if TYPE_CHECKING:
    from ajuste.training.backend import keras

SMALL_VARIANCE = 1e-3  # as in Keras
FAR_BELOW = 1e9  # what a maximum over words never takes

Pooling = Literal["average", "max", "attention"]


def is_word(token_ids: "keras.KerasTensor") -> "keras.KerasTensor":
    """1 for a word and 0 for padding, float32 (batch, length, 1)."""
    ops = backend.keras.ops
    return ops.expand_dims(ops.cast(token_ids != PADDING, "float32"), -1)


def pool(
    vectors: "keras.KerasTensor", token_ids: "keras.KerasTensor", pooling: Pooling
) -> "keras.KerasTensor":
    """The average or the maximum over the words of a review; 0 if it has no word.

    `attention` is an average whose weights are learned: the softmax of a score of each vector
    (Yang et al., 2016, with one linear layer for the score).
    """
    ops = backend.keras.ops
    words = is_word(token_ids)
    count = ops.sum(words, axis=1)
    if pooling == "average":
        return ops.sum(vectors * words, axis=1) / ops.maximum(count, 1.0)
    if pooling == "attention":
        score = backend.keras.layers.Dense(1, name="attention", use_bias=False)(vectors)
        weights = softmax(score - (1.0 - words) * FAR_BELOW, axis=1)
        return ops.sum(vectors * words * weights, axis=1)
    largest = ops.max(vectors * words - (1.0 - words) * FAR_BELOW, axis=1)
    return largest * ops.minimum(count, 1.0)


def softmax(scores: "keras.KerasTensor", axis: int) -> "keras.KerasTensor":
    """Softmax without TensorFlow's kernel, which estimates 1 / x (`ajuste.training.portable`)."""
    ops = backend.keras.ops
    shares = ops.exp(scores - ops.max(scores, axis=axis, keepdims=True))
    return shares / ops.sum(shares, axis=axis, keepdims=True)


def normalized(states: "keras.KerasTensor") -> "keras.KerasTensor":
    """Layer normalization without scale and shift; Keras' layer estimates 1 / sqrt(x)."""
    ops = backend.keras.ops
    centred = states - ops.mean(states, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
    return centred / ops.sqrt(variance + SMALL_VARIANCE)


def bounded(token_ids: "keras.KerasTensor", max_features: int) -> "keras.KerasTensor":
    """The token ids; those from `max_features` on count as unknown."""
    return backend.keras.ops.where(token_ids < max_features, token_ids, UNKNOWN)


def hidden(
    features: "keras.KerasTensor",
    units: list[int],
    activation: str,
    dropout: float,
    dropout_layers: int = 1,
) -> "keras.KerasTensor":
    """A dense layer for each of `units`, each with dropout after it."""
    layers = backend.keras.layers
    for width in units or [None]:
        if width:
            features = layers.Dense(width, activation=activation)(features)
        for _ in range(dropout_layers if dropout else 0):
            features = layers.Dropout(dropout)(features)
    return features


def attention(
    states: "keras.KerasTensor", token_ids: "keras.KerasTensor", width: int, heads: int
) -> "keras.KerasTensor":
    """Scaled dot-product attention to all words of a review, with several heads."""
    layers, ops = backend.keras.layers, backend.keras.ops
    size = max(1, width // heads)
    hidden = FAR_BELOW * (1.0 - ops.expand_dims(ops.transpose(is_word(token_ids), (0, 2, 1)), 1))
    query, key, value = (
        layers.EinsumDense("bld,dhk->bhlk", (heads, None, size))(states) for _ in range(3)
    )
    scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) / size**0.5 - hidden
    seen = ops.matmul(softmax(scores, axis=-1), value)
    return layers.EinsumDense("bhlk,hkd->bld", (None, width))(seen)
