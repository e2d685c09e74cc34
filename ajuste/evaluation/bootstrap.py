"""The scores of many resamples of the test reviews at once (Efron and Tibshirani, 1993).

A resample that draws n of n reviews with replacement is a row of weights: how often each of them
was drawn. So all resamples of a score are a few products of matrices, and a sort is needed but
once. With every weight 1 the scores are those of `scores.score`; the tests hold them to it.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.stats import rankdata

from ajuste.evaluation.scores import CALIBRATION_BINS
from ajuste.tasks import NUMERIC, THRESHOLD, numbers, review_losses

BATCH = 2_000_000
"""How many weights are held at once: 16 MB."""

Scores = dict[str, np.ndarray]


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


def scores(
    task: str,
    loss: str,
    targets: np.ndarray,
    predictions: np.ndarray,
    labels: Sequence[str],
    weights: np.ndarray,
) -> Scores:
    """The scores that `ajuste.evaluation.scores.score` has for the task, of each row of weights.

    Args:
        task: a key of `ajuste.tasks.TASKS`.
        loss: one of the task's.
        targets: (n, outputs).
        predictions: (n, outputs).
        labels: those of the data.
        weights: (resamples, n), whole numbers.

    Returns:
        For each score float64 (resamples,), NaN where it is not defined. The main one of the task
        comes first; number of reviews and intervals are left out.
    """
    total = weights.sum(axis=1)
    mean_loss = weights @ review_losses(loss, targets, predictions) / total
    if task in NUMERIC:
        actual, said = (numbers(task, outputs, labels) for outputs in (targets, predictions))
        of_numbers = _number_scores(actual, said, weights)
        return {
            "mean_absolute_error": of_numbers.pop("mean_absolute_error"),
            "loss": mean_loss,
            **of_numbers,
        }
    if task == "multilabel":
        actual, said = targets >= THRESHOLD, predictions >= THRESHOLD
        alike = actual == said
        of_task = {
            "exact_match": weights @ alike.all(axis=1) / total,
            "accuracy": weights @ alike.mean(axis=1) / total,
            "loss": mean_loss,
            **_multilabel_f1(actual, said, weights),
        }
    else:
        confusion = _confusion(task, targets, predictions, weights)
        of_task = {
            "accuracy": np.trace(confusion, axis1=1, axis2=2) / total,
            "loss": mean_loss,
            **_class_f1(task, confusion),
            "matthews": _matthews(confusion),
        }
    return {**of_task, **_probability_scores(targets, predictions, weights)}


def _confusion(
    task: str, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """How often each class was said of each class, (resamples, actual, said)."""
    if task == "multiclass":
        classes = targets.shape[1]
        actual, said = targets.argmax(axis=1), predictions.argmax(axis=1)
    else:
        classes = 2
        actual, said = (
            (outputs[:, 0] >= THRESHOLD).astype(int) for outputs in (targets, predictions)
        )
    pairs = np.eye(classes**2)[actual * classes + said]
    return (weights @ pairs).reshape(len(weights), classes, classes)


def _f1(hits: np.ndarray, actual: np.ndarray, said: np.ndarray) -> np.ndarray:
    """F1 of counts; NaN where the class neither is there nor is said."""
    return _divide(2 * hits, actual + said)


def _class_f1(task: str, confusion: np.ndarray) -> Scores:
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    of_classes = _f1(hits, confusion.sum(axis=2), confusion.sum(axis=1))
    if task == "binary":
        return {"f1": np.nan_to_num(of_classes[:, 1])}
    return {"macro_f1": _mean_of_defined(of_classes)}


def _multilabel_f1(actual: np.ndarray, said: np.ndarray, weights: np.ndarray) -> Scores:
    hits, of_actual, of_said = (weights @ table for table in (actual & said, actual, said))
    together = _f1(hits.sum(axis=1), of_actual.sum(axis=1), of_said.sum(axis=1))
    return {
        "micro_f1": np.nan_to_num(together),
        "macro_f1": _mean_of_defined(_f1(hits, of_actual, of_said)),
    }


def _mean_of_defined(values: np.ndarray) -> np.ndarray:
    return _divide(np.nansum(values, axis=1), (~np.isnan(values)).sum(axis=1))


def _matthews(confusion: np.ndarray) -> np.ndarray:
    """For several classes, Gorodkin (2004); 0 where one class alone is said, NaN where one is."""
    total = confusion.sum(axis=(1, 2))
    actual, said = confusion.sum(axis=2), confusion.sum(axis=1)
    hits = np.trace(confusion, axis1=1, axis2=2)
    above = hits * total - (actual * said).sum(axis=1)
    spread = [total**2 - (counts**2).sum(axis=1) for counts in (actual, said)]
    found = np.nan_to_num(_divide(above, np.sqrt(spread[0] * spread[1])))
    return np.where(spread[0] == 0, np.nan, found)


def _probability_scores(
    targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray
) -> Scores:
    """Of every pair of a review and a class, as in `ajuste.evaluation.scores`."""
    cases, probability = targets.ravel().astype(bool), predictions.ravel().astype(np.float64)
    weights = np.repeat(weights, targets.shape[1], axis=1)
    order = np.argsort(-probability, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(probability[order])), len(order) - 1)
    hits, false = (
        np.cumsum(weights[:, order] * of_kind[order], axis=1)[:, ends]
        for of_kind in (cases, ~cases)
    )
    positive, negative = hits[:, -1], false[:, -1]
    steps = np.diff(hits, axis=1, prepend=0)
    area = ((hits - steps / 2) * np.diff(false, axis=1, prepend=0)).sum(axis=1)
    precision = np.nan_to_num(_divide(hits, hits + false))
    both = (positive > 0) & (negative > 0)
    average_precision = _divide((precision * steps).sum(axis=1), positive)
    return {
        "roc_auc": _divide(area, positive * negative),
        "average_precision": np.where(both, average_precision, np.nan),
        "calibration_error": _calibration_error(cases, probability, weights),
    }


def _calibration_error(
    cases: np.ndarray, probability: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    bins = np.minimum((probability * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    distance = np.eye(CALIBRATION_BINS)[bins] * (probability - cases)[:, None]
    return np.abs(weights @ distance).sum(axis=1) / weights.sum(axis=1)


def _number_scores(actual: np.ndarray, said: np.ndarray, weights: np.ndarray) -> Scores:
    total = weights.sum(axis=1)
    squared = weights @ (actual - said) ** 2
    mean = weights @ actual / total
    variation = weights @ actual**2 - total * mean**2
    ranks = [_ranks(values, weights) for values in (actual, said)]
    return {
        "mean_squared_error": squared / total,
        "mean_absolute_error": weights @ np.abs(actual - said) / total,
        "r2": 1 - _divide(squared, np.where(_differ(actual, weights), variation, 0)),
        "rank_correlation": _correlation(*ranks, weights),
    }


def _differ(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Whether a resample holds more than one value."""
    drawn = weights > 0
    low = np.where(drawn, values, np.inf).min(axis=1)
    return low < np.where(drawn, values, -np.inf).max(axis=1)


def _ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The ranks of the values within each resample, ties sharing their mean: like `weights`."""
    place = rankdata(values, method="dense") - 1
    order = np.argsort(place, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(place[order])), len(order) - 1)
    up_to = np.cumsum(weights[:, order], axis=1)[:, ends]
    below = np.concatenate([np.zeros((len(weights), 1)), up_to[:, :-1]], axis=1)
    return ((below + up_to + 1) / 2)[:, place]


def _correlation(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson's, of values that have a row for each resample."""
    total = weights.sum(axis=1, keepdims=True)
    first, second = (v - (weights * v).sum(axis=1, keepdims=True) / total for v in (first, second))
    product = (weights * first * second).sum(axis=1)
    squares = [(weights * v**2).sum(axis=1) for v in (first, second)]
    return _divide(product, np.sqrt(squares[0] * squares[1]))


def _divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """NaN where the divisor is 0."""
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below != 0)
