"""Resamples for the bootstrap (Efron and Tibshirani, 1993).

A resample is a row of weights: how often each review was drawn. It draws n of n reviews with
replacement; or, because reviews of one film are alike, G of G films with all their reviews (cluster
bootstrap: Davison and Hinkley, 1997). The weights of such a row do not sum to n.
`ajuste.evaluation.scores.weighted` scores many rows at once and divides by their sums.
"""

from collections.abc import Iterator

import numpy as np

BATCH = 2_000_000
"""Weights in memory at a time: 16 MB."""


def resamples(
    reviews: int, count: int, seed: int, groups: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """Weights, float64 (rows, reviews), in batches of rows that make `count` together.

    Args:
        reviews: n, above 0.
        count: how many resamples.
        seed: of NumPy's generator.
        groups: (n,), the group of each review, of any type that sorts. A resample then draws whole
            groups, and the weight of a review is how often its group was drawn.
    """
    drawable, place = reviews, slice(None)
    if groups is not None:
        names, place = np.unique(groups, return_inverse=True)
        drawable = len(names)
    generator = np.random.default_rng(seed)
    rows = max(1, BATCH // reviews)
    for start in range(0, count, rows):
        batch = min(rows, count - start)
        drawn = generator.integers(drawable, size=(batch, drawable))
        drawn += drawable * np.arange(batch)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=batch * drawable)
        yield counts.reshape(batch, drawable)[:, place].astype(np.float64)
