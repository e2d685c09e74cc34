"""Scores of a network's predictions, for every task: pure functions of targets and predictions.

Everywhere `targets` and `predictions` are float arrays (n, outputs), as in `ajuste.tasks`. No score
depends on the order of the rows. If a network has several outputs, the curves and the scores of
probabilities count every pair of a review and a class as one case (micro-average, one class against
the rest).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest, rankdata
from sklearn import metrics

from ajuste.tasks import NUMERIC, THRESHOLD, numbers, review_losses

CALIBRATION_BINS = 10
CURVE_POINTS = 200

Score = float | int | None
Scores = dict[str, np.ndarray]
"""Each score of each resample, float64 (resamples,); NaN if it is not defined."""

MAIN = {
    "binary": "accuracy",
    "multiclass": "accuracy",
    "multilabel": "exact_match",
    "regression": "mean_absolute_error",
    "unit_regression": "mean_absolute_error",
}
"""The main score of each task: the one that is printed, and that a comparison tests."""


def score(
    task: str, loss: str, targets: np.ndarray, predictions: np.ndarray, labels: Sequence[str]
) -> dict[str, Score]:
    """Every score of one set of reviews.

    Args:
        task: a key of `ajuste.tasks.TASKS`.
        loss: one of the task's losses.
        targets: (n, outputs).
        predictions: (n, outputs).
        labels: those of the data; the ends of the range bring numbers to the scale of the source.

    Returns:
        `reviews` (n) and the scores of `weighted`; `accuracy`, and for multilabel `exact_match`,
        with its 95 % interval, `_low` and `_high` (Wilson, 1927). A score that is not defined, such
        as `roc_auc` with a single class, is None.

    Raises:
        ValueError: there are no rows.
    """
    if len(targets) == 0:
        raise ValueError("no rows to score")
    once = weighted(task, loss, targets, predictions, labels, np.ones((1, len(targets))))
    if task not in NUMERIC:
        once |= _rounded_as_scikit_learn(targets, predictions)
    found: dict[str, Score] = {"reviews": len(targets)}
    for name, [value] in once.items():
        found[name] = None if np.isnan(value) else float(value)
        if name == MAIN[task] and task not in NUMERIC:
            count = round(value * len(targets))
            interval = binomtest(count, len(targets)).proportion_ci(0.95, method="wilson")
            found |= {f"{name}_low": float(interval.low), f"{name}_high": float(interval.high)}
    return found


def weighted(
    task: str,
    loss: str,
    targets: np.ndarray,
    predictions: np.ndarray,
    labels: Sequence[str],
    weights: np.ndarray,
) -> Scores:
    """The scores of reviews that count several times, as in a resample, or not at all.

    The arguments are those of `score`, and `weights`, (resamples, n): how often each review counts.

    Returns:
        `loss`, the mean over the reviews, and the scores of the task:

        - binary: `accuracy`; `f1` of class 1; `matthews` (Matthews, 1975); those of probabilities.
        - multiclass: `accuracy`; `macro_f1`, the mean over the classes that occur in the targets or
          the predictions; `matthews` (Gorodkin, 2004); those of probabilities.
        - multilabel: `accuracy`, the share of all labels of all reviews that are right;
          `exact_match`, the share of reviews with every label right; `micro_f1` over all labels
          together; `macro_f1`, as for multiclass; those of probabilities.
        - numbers: `mean_squared_error` and `mean_absolute_error` on the scale of the source; `r2`,
          the share of the variance explained; `rank_correlation` (Spearman, 1904).

        The scores of probabilities are `roc_auc`, `average_precision` and `calibration_error`
        (Naeini, 2015).
    """
    mean_loss = _mean(review_losses(loss, targets, predictions), weights)
    if task in NUMERIC:
        actual, predicted = (numbers(task, outputs, labels) for outputs in (targets, predictions))
        return {"loss": mean_loss, **_number_scores(actual, predicted, weights)}
    if task == "multilabel":
        actual, predicted = targets >= THRESHOLD, predictions >= THRESHOLD
        right = actual == predicted
        total = weights.sum(axis=1)
        of_task = {
            "accuracy": weights @ right.sum(axis=1) / (total * right.shape[1]),
            "exact_match": weights @ right.all(axis=1) / total,
            "loss": mean_loss,
            **_multilabel_f1(actual, predicted, weights),
        }
    else:
        confusion = _confusion(task, targets, predictions, weights)
        of_task = {
            "accuracy": np.trace(confusion, axis1=1, axis2=2) / weights.sum(axis=1),
            "loss": mean_loss,
            **_class_f1(task, confusion),
            "matthews": _matthews(confusion),
        }
    return {**of_task, **_probability_scores(targets, predictions, weights)}


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    # A sum by NumPy: that of a matrix product depends on the processor.
    return (weights * values).sum(axis=1) / weights.sum(axis=1)


def _cases(targets: np.ndarray, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return targets.ravel().astype(int), predictions.ravel().astype(np.float64)


def _confusion(
    task: str, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """How often each class was predicted for each class, (resamples, actual, predicted)."""
    if task == "multiclass":
        classes = targets.shape[1]
        actual, predicted = targets.argmax(axis=1), predictions.argmax(axis=1)
    else:
        classes = 2
        actual, predicted = (
            (outputs[:, 0] >= THRESHOLD).astype(int) for outputs in (targets, predictions)
        )
    pairs = np.eye(classes**2)[actual * classes + predicted]
    return (weights @ pairs).reshape(len(weights), classes, classes)


def _f1(hits: np.ndarray, actual: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """F1 of counts; NaN for a class that is neither in the targets nor in the predictions."""
    return _divide(2 * hits, actual + predicted)


def _class_f1(task: str, confusion: np.ndarray) -> Scores:
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    of_classes = _f1(hits, confusion.sum(axis=2), confusion.sum(axis=1))
    if task == "binary":
        return {"f1": np.nan_to_num(of_classes[:, 1])}
    return {"macro_f1": _mean_of_defined(of_classes)}


def _multilabel_f1(actual: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> Scores:
    counts = [weights @ table for table in (actual & predicted, actual, predicted)]
    together = _f1(*(count.sum(axis=1) for count in counts))
    return {
        "micro_f1": np.nan_to_num(together),
        "macro_f1": _mean_of_defined(_f1(*counts)),
    }


def _mean_of_defined(values: np.ndarray) -> np.ndarray:
    return _divide(np.nansum(values, axis=1), (~np.isnan(values)).sum(axis=1))


def _matthews(confusion: np.ndarray) -> np.ndarray:
    """0 if a single class is predicted, NaN if the targets hold a single class."""
    total = confusion.sum(axis=(1, 2))
    actual, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    hits = np.trace(confusion, axis1=1, axis2=2)
    above = hits * total - (actual * predicted).sum(axis=1)
    spread = [total**2 - (counts**2).sum(axis=1) for counts in (actual, predicted)]
    found = np.nan_to_num(_divide(above, np.sqrt(spread[0] * spread[1])))
    return np.where(spread[0] == 0, np.nan, found)


def _rounded_as_scikit_learn(targets: np.ndarray, predictions: np.ndarray) -> Scores:
    """The scores of probabilities, equal to `weighted` except for the rounding of the last digit.

    This rounding is in the files of metrics that are in Git.
    """
    cases, probability = _cases(targets, predictions)
    found = {"calibration_error": expected_calibration_error(targets, predictions)}
    if len(np.unique(cases)) == 2:
        found["roc_auc"] = metrics.roc_auc_score(cases, probability)
        found["average_precision"] = metrics.average_precision_score(cases, probability)
    return {name: np.array([value]) for name, value in found.items()}


def _probability_scores(
    targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray
) -> Scores:
    cases, probability = _cases(targets, predictions)
    cases = cases.astype(bool)
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


def _number_scores(actual: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> Scores:
    squares = (actual - predicted) ** 2
    mean = _mean(actual, weights)[:, None]
    variation = (weights * (actual - mean) ** 2).sum(axis=1)
    variation[~_differ(actual, weights)] = 0
    ranks = [_ranks(values, weights) for values in (actual, predicted)]
    return {
        "mean_squared_error": _mean(squares, weights),
        "mean_absolute_error": _mean(np.abs(actual - predicted), weights),
        "r2": 1 - _divide((weights * squares).sum(axis=1), variation),
        "rank_correlation": _correlation(*ranks, weights),
    }


def _differ(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Whether a resample contains more than one value."""
    drawn = weights > 0
    low = np.where(drawn, values, np.inf).min(axis=1)
    return low < np.where(drawn, values, -np.inf).max(axis=1)


def _ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The ranks of the values within each resample, (resamples, n); ties share their mean."""
    place = rankdata(values, method="dense") - 1
    order = np.argsort(place, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(place[order])), len(order) - 1)
    up_to = np.cumsum(weights[:, order], axis=1)[:, ends]
    below = np.concatenate([np.zeros((len(weights), 1)), up_to[:, :-1]], axis=1)
    return ((below + up_to + 1) / 2)[:, place]


def _correlation(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson's correlation of values (resamples, n)."""
    first, second = (v - _mean(v, weights)[:, None] for v in (first, second))
    squares = [_mean(v**2, weights) for v in (first, second)]
    return _divide(_mean(first * second, weights), np.sqrt(squares[0] * squares[1]))


def _divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """NaN where the divisor is 0."""
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below != 0)


def calibration_curve(targets: np.ndarray, predictions: np.ndarray) -> pd.DataFrame:
    """How often a class occurs at each predicted probability, in ten bins of equal width.

    Returns:
        A row for each bin that is not empty: `probability` (mean), `positive` (share of the class),
        `reviews` (with several outputs, multiplied by their number).
    """
    cases, probability = _cases(targets, predictions)
    table = pd.DataFrame({"probability": probability, "positive": cases, "reviews": 1})
    bins = np.minimum((table["probability"] * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    groups = table.astype(float).groupby(bins)
    curve = groups.agg({"probability": "mean", "positive": "mean", "reviews": "size"})
    return curve.reset_index(drop=True)


def expected_calibration_error(targets: np.ndarray, predictions: np.ndarray) -> float:
    """Mean distance between probability and frequency, bins weighted by size (Naeini, 2015)."""
    curve = calibration_curve(targets, predictions)
    distance = (curve["probability"] - curve["positive"]).abs()
    return float((distance * curve["reviews"]).sum() / curve["reviews"].sum())


def roc_curve(targets: np.ndarray, predictions: np.ndarray) -> pd.DataFrame:
    """True against false positive rate, in at most 200 points."""
    false_positive, true_positive, _ = metrics.roc_curve(*_cases(targets, predictions))
    return _thin(pd.DataFrame({"false_positive": false_positive, "true_positive": true_positive}))


def precision_recall_curve(targets: np.ndarray, predictions: np.ndarray) -> pd.DataFrame:
    """Precision against recall, in at most 200 points."""
    precision, recall, _ = metrics.precision_recall_curve(*_cases(targets, predictions))
    return _thin(pd.DataFrame({"recall": recall, "precision": precision}))


def _thin(curve: pd.DataFrame) -> pd.DataFrame:
    rows = np.unique(np.linspace(0, len(curve) - 1, CURVE_POINTS).round().astype(int))
    return curve.iloc[rows].reset_index(drop=True)


def curves(task: str, targets: np.ndarray, predictions: np.ndarray) -> dict[str, pd.DataFrame]:
    """`roc`, `precision_recall` and `calibration`; for numbers they have columns and no rows."""
    if task in NUMERIC:
        return {
            "roc": pd.DataFrame(columns=["false_positive", "true_positive"]),
            "precision_recall": pd.DataFrame(columns=["recall", "precision"]),
            "calibration": pd.DataFrame(columns=["probability", "positive", "reviews"]),
        }
    return {
        "roc": roc_curve(targets, predictions),
        "precision_recall": precision_recall_curve(targets, predictions),
        "calibration": calibration_curve(targets, predictions),
    }
