"""Resamples for the bootstrap (Efron and Tibshirani, 1993).

A resample draws n of n reviews with replacement. It is a row of weights: how often each review was
drawn. `ajuste.evaluation.scores.weighted` scores many such rows at once.
"""

from collections.abc import Iterator

import numpy as np

BATCH = 2_000_000
"""Weights in memory at a time: 16 MB."""


def resamples(reviews: int, count: int, seed: int) -> Iterator[np.ndarray]:
    """Weights, float64 (rows, reviews), in batches of rows that make `count` together."""
    generator = np.random.default_rng(seed)
    rows = max(1, BATCH // reviews)
    for start in range(0, count, rows):
        batch = min(rows, count - start)
        drawn = generator.integers(reviews, size=(batch, reviews))
        drawn += reviews * np.arange(batch)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=batch * reviews)
        yield counts.reshape(batch, reviews).astype(np.float64)
