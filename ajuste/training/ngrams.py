"""N-grams of token ids: which ones the training part has, how typical each is, and a Keras graph.

Source: Wang and Manning, 2012, "Baselines and Bigrams", with the inverse document frequency of
Spärck Jones, 1972.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ajuste.data.encoder import PADDING, UNKNOWN
from ajuste.errors import PipelineError
from ajuste.training import backend

if TYPE_CHECKING:
    from ajuste.training.backend import keras

FEW = 3
"""An n-gram that occurs in fewer training reviews says little about others."""

DECIMALS = 6  # the later digits of a logarithm depend on the processor


@dataclass(frozen=True)
class NGrams:
    """The n-grams of the training part.

    Attributes:
        keys: int64 (k,), sorted: the token ids of an n-gram as the digits of a number.
        base: the base of these numbers: the largest token id, plus 1.
        order: the length of the longest n-grams, in words.
        idf: float32 (k,), the inverse document frequency of each.
        ratios: float32 (k, outputs), how typical each is of a class (see `count`).
    """

    keys: np.ndarray
    base: int
    order: int
    idf: np.ndarray
    ratios: np.ndarray


def keys_of(token_ids: np.ndarray, order: int, base: int) -> np.ndarray:
    """The distinct n-grams of a review as numbers, int64 (any,), sorted.

    Args:
        token_ids: int32 (length,), padded at the end.
        order: the length of the longest n-grams.
        base: of the numbers; above all token ids.
    """
    words = token_ids[token_ids > UNKNOWN].astype(np.int64)
    found, longest = [words], words
    for size in range(1, order):
        longest = longest[:-1] * base + words[size:]
        found.append(longest)
    return np.unique(np.concatenate(found))


def count(token_ids: np.ndarray, targets: np.ndarray, order: int, classes: bool) -> NGrams:
    """Count the n-grams that occur in at least `FEW` training reviews.

    Args:
        token_ids: of the training part, int32 (n, max_length).
        targets: float32 (n, outputs).
        order: the length of the longest n-grams.
        classes: whether the targets are classes. Then the ratio is the logarithm of the share that
            the n-gram has of all occurrences in reviews of the class, divided by its share in the
            others, with 1 added to each count; the features are binary. For numbers it is 1.

    Raises:
        PipelineError: there are none.
    """
    base = int(token_ids.max()) + 1
    rows = [keys_of(row, order, base) for row in token_ids]
    every = np.concatenate(rows)
    found, place, frequency = np.unique(every, return_inverse=True, return_counts=True)
    often = frequency >= FEW
    idf = np.log((1 + len(rows)) / (1 + frequency[often])) + 1
    ratios = np.ones((len(idf), targets.shape[1]))
    if classes:
        review = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
        columns = targets[review].astype(np.float64).T
        inside = np.stack([np.bincount(place, column)[often] for column in columns], axis=1)
        outside = frequency[often][:, None] - inside
        shares = [(1 + part) / (1 + part).sum(axis=0) for part in (inside, outside)]
        ratios = np.log(shares[0] / shares[1])
    keys = found[often]
    if not len(keys):
        raise PipelineError(
            f"data/split/train.parquet: no word occurs in {FEW} reviews; add reviews, or set "
            "`model` to a network that does not count n-grams"
        )
    idf, ratios = (values.round(DECIMALS).astype(np.float32) for values in (idf, ratios))
    return NGrams(keys, base, order, idf, ratios)


def places(token_ids: "keras.KerasTensor", ngrams: NGrams) -> "keras.KerasTensor":
    """Which n-grams a review has, each once: int64 (batch, order * length).

    Each is its place in `ngrams`, counted from 1; 0 is for those that are not there.
    """
    keras, ops = backend.keras, backend.keras.ops
    words = ops.cast(ops.where(token_ids > UNKNOWN, token_ids, PADDING), "int64")
    words = ops.pad(words, [[0, 0], [0, ngrams.order - 1]])  # so that no review is too short
    found, longest = [words], words
    for size in range(1, ngrams.order):
        follower = ops.pad(words[:, size:], [[0, 0], [0, size]])
        longest = ops.where((longest > 0) & (follower > 0), longest * ngrams.base + follower, 0)
        found.append(longest)
    lookup = keras.layers.IntegerLookup(num_oov_indices=1, name="ngrams")
    lookup.set_vocabulary(ngrams.keys)
    every = ops.sort(lookup(ops.concatenate(found, axis=1)), axis=1)
    before = ops.pad(every[:, :-1], [[0, 0], [1, 0]])
    return ops.where(ops.equal(every, before), 0, every)
