"""What a trained network consists of, and what each word of a review does to its answer."""

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ajuste.data.encoder import PADDING, UNKNOWN
from ajuste.training import backend

if TYPE_CHECKING:
    from ajuste.training.backend import keras

VARIANTS = 1 << 22
"""The maximum token ids of the variants of texts that are predicted at once."""


def members(model: "keras.Model") -> list["keras.Model"]:
    """The networks of an ensemble; empty for another network."""
    return [layer for layer in model.layers if isinstance(layer, backend.keras.Model)]


def distinct_ids(model: "keras.Model") -> int:
    """How many token ids a network tells apart: all larger ones count as unknown to it."""
    if inner := members(model):
        return max(map(distinct_ids, inner))
    for layer in model.layers:
        if layer.name == "embedding":
            return layer.input_dim
        if isinstance(layer, backend.keras.layers.CategoryEncoding):
            return layer.num_tokens
    return np.iinfo(np.int32).max


def is_known(model: "keras.Model", token_ids: np.ndarray) -> np.ndarray:
    """Whether a network knows each of the token ids: bool, in the shape of the ids."""
    return (token_ids > UNKNOWN) & (token_ids < distinct_ids(model))


def effects(
    predict: Callable[[np.ndarray], np.ndarray],
    known: np.ndarray,
    token_ids: np.ndarray,
    predictions: np.ndarray,
) -> list[dict[int, np.ndarray]]:
    """What each word of a review does to the answer: the answer minus the one without the word.

    The word is left out at all its places, and no other word takes its place (erasure: Li, Monroe
    and Jurafsky, 2016).

    Args:
        predict: from token ids to the answers of the network.
        known: whether the network knows each of the token ids (see `is_known`).
        token_ids: of n reviews, int32 (n, max_length).
        predictions: the answers, float32 (n, outputs).

    Returns:
        For each review the ids of the words that the network knows, in order, each with its effect,
        float32 (outputs,).
    """
    variants = (
        (review, id_)
        for review, row in enumerate(token_ids)
        for id_ in dict.fromkeys(row[known[review]].tolist())
    )
    found: list[dict[int, np.ndarray]] = [{} for _ in token_ids]
    while some := list(islice(variants, max(1, VARIANTS // token_ids.shape[1]))):
        left = np.stack([_without(token_ids[review], id_) for review, id_ in some])
        for (review, id_), output in zip(some, predict(left), strict=True):
            found[review][id_] = predictions[review] - output
    return found


def _without(token_ids: np.ndarray, left_out: int) -> np.ndarray:
    """Token ids (max_length,) without one of them; the id 1, if nothing else is left."""
    kept = token_ids[(token_ids != left_out) & (token_ids != PADDING)]
    row = np.full_like(token_ids, PADDING)
    row[: max(1, len(kept))] = kept if len(kept) else UNKNOWN
    return row


def summary(model: "keras.Model") -> pd.DataFrame:
    """The layers that have parameters, in order, as Keras' `summary` prints them.

    Returns:
        `layer` (in an ensemble after the name of the member), `type`, `output` (the shape, such as
        `100 x 32`; `any` for the number of words), `parameters`, `trainable`.
    """
    rows = []
    for network in members(model) or [model]:
        of = f"{network.name}/" if network is not model else ""
        for layer in network.layers:
            if layer.count_params():
                shape = (size or "any" for size in layer.output.shape[1:])
                trainable = sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights)
                rows.append(
                    {
                        "layer": of + layer.name,
                        "type": type(layer).__name__,
                        "output": " x ".join(map(str, shape)),
                        "parameters": layer.count_params(),
                        "trainable": trainable,
                    }
                )
    return pd.DataFrame(rows, columns=["layer", "type", "output", "parameters", "trainable"])
