"""Texts that occur several times in a corpus: edited, quoted or pasted into others."""

from collections.abc import Sequence
from hashlib import blake2b
from itertools import chain

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

WIDTH = 5
SHARE = 0.3
LEAST = 10
COMMON = 500
_BLOCK = 1000
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # any odd number: no bit of a word is lost


def near_duplicates(texts: Sequence[Sequence[str]]) -> np.ndarray:
    """The pairs of texts of which one contains a large part of the other.

    A shingle is a run of `WIDTH` words. Two texts are near-duplicates if they share at least
    `SHARE` of the distinct shingles of the text with fewer shingles (its containment in the other),
    and at least `LEAST` shingles, which is a run of 14 words. "This is by far one of the worst
    movies I have ever seen" has 13, and several people write it independently. A shingle in more
    than `COMMON` texts does not count: it is a form, such as a shop's footer under each review.

    No pair is missed, and the pairs do not depend on the order of the texts. A shingle is compared
    by 64 bits; a false pair needs ten collisions. Most shingles occur in one text only, so the time
    is one sort of all shingles, plus the occurrences of the shingles that few texts share.

    Args:
        texts: the words of each text.

    Returns:
        int64 array of shape (pairs, 2): the indices of two texts, the lower first.

    Source: Broder, On the resemblance and containment of documents (1997).
    """
    shingles = _shingles(texts)
    sizes = np.array([len(own) for own in shingles], dtype=np.int64)
    every = np.concatenate([np.empty(0, np.uint64), *shingles])
    ordered = np.sort(every)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    column = np.searchsorted(repeated, every)
    again = np.searchsorted(repeated, every, side="right") > column
    row, column = np.repeat(np.arange(len(texts)), sizes)[again], column[again]
    rare = np.bincount(column, minlength=len(repeated))[column] <= COMMON
    row, column = row[rare], column[rare]
    holds = sparse.csr_array(
        (np.ones(len(row), np.int32), (row, column)), shape=(len(texts), len(repeated))
    )
    needed = np.maximum(LEAST, SHARE * sizes)
    shorter = np.flatnonzero(np.bincount(row, minlength=len(texts)) >= needed)
    held_by = holds.T.tocsr()
    pairs = [np.empty((0, 2), np.int64)]
    for start in range(0, len(shorter), _BLOCK):
        block = shorter[start : start + _BLOCK]
        shared = (holds[block] @ held_by).tocoo()
        one, other = block[shared.row], shared.col.astype(np.int64)
        near = (shared.data >= needed[one]) & (one != other)
        pairs.append(np.sort(np.stack([one[near], other[near]], axis=1), axis=1))
    return np.unique(np.concatenate(pairs), axis=0)


def united(count: int, pairs: np.ndarray) -> np.ndarray:
    """The group of each text; the two texts of a pair are in the same group.

    Args:
        count: the number of texts.
        pairs: integer array of shape (pairs, 2), indices of texts.

    Returns:
        int32 array of shape (count,); texts with equal numbers are in the same group.
    """
    links = sparse.coo_array((np.ones(len(pairs), bool), pairs.T), shape=(count, count))
    return connected_components(links, directed=False)[1]


def _shingles(texts: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """The distinct shingles of each text, as numbers that depend only on their words (uint64)."""
    numbers = {
        word: int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little")
        for word in set(chain.from_iterable(texts))
    }
    found = []
    for words in texts:
        own = np.fromiter(map(numbers.__getitem__, words), np.uint64, len(words))
        count = max(len(own) - WIDTH + 1, 0)
        shingle = np.zeros(count, np.uint64)
        for place in range(WIDTH):
            shingle = shingle * _FACTOR + own[place : place + count]
        found.append(np.unique(shingle))
    return found
