"""Several networks as one: a weighted sum of their scores (stacking; Ting and Witten, 1999)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ajuste.data.encoder import PADDING, Keep
from ajuste.tasks import SMALLEST, TASKS
from ajuste.training import backend
from ajuste.training.options import Options

if TYPE_CHECKING:
    from ajuste.training.backend import keras


def window(members: Sequence[Options]) -> tuple[int, Keep]:
    """The `max_length` and `keep` of an input that has all words that a member reads."""
    longest = max(member.max_length for member in members)
    kept = {member.keep for member in members}
    return (longest, *kept) if len(kept) == 1 else (2 * longest, "both")


def cut(token_ids: "keras.KerasTensor", max_length: int, keep: Keep) -> "keras.KerasTensor":
    """What `ajuste.data.encoder.pad` keeps, of rows that are padded at the end.

    Returns:
        int32 (batch, max_length).
    """
    ops = backend.keras.ops
    head = {"first": max_length, "last": 0, "both": max_length // 2}[keep]
    length = ops.sum(ops.cast(token_ids != PADDING, "int32"), axis=1, keepdims=True)
    place = np.arange(max_length, dtype=np.int32)[None]
    of_tail = ops.where(place < head, place, length - max_length + place)
    source = ops.where(length <= max_length, place, of_tail)
    padded = ops.pad(token_ids, [[0, 0], [0, max_length]])
    return ops.take_along_axis(padded, source, axis=1)


def combine(
    name: str,
    task: str,
    models: Sequence["keras.Model"],
    members: Sequence[Options],
    weights: np.ndarray,
) -> "keras.Model":
    """One network that gives the weighted answer of several.

    Args:
        name: of the network.
        task: a key of `ajuste.tasks.TASKS`.
        models: the trained members.
        members: the options of each.
        weights: those of `ajuste.training.calibration.fit_weights`.
    """
    keras = backend.keras
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    total = None
    for model, options, weight in zip(models, members, weights, strict=True):
        answer = model(cut(token_ids, options.max_length, options.keep))
        scores = float(weight) * _scores(answer, TASKS[task].activation)
        total = scores if total is None else total + scores
    activation = keras.layers.Activation(TASKS[task].activation, name="output")
    return keras.Model(token_ids, activation(total), name=name)


def _scores(answer: "keras.KerasTensor", activation: str) -> "keras.KerasTensor":
    ops = backend.keras.ops
    if activation == "linear":
        return answer
    p = ops.clip(answer, SMALLEST, 1 - SMALLEST)
    return ops.log(p) if activation == "softmax" else ops.log(p) - ops.log1p(-p)
