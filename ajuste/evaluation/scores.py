"""Scores of a network's predictions, for every task: pure functions of targets and predictions.

Everywhere `targets` and `predictions` are float arrays (n, outputs), as in `ajuste.tasks`. No score
depends on the order of the rows. If a network has several outputs, `roc_auc`, `average_precision`
and their curves count every pair of a review and a class as one case (micro-average, one class
against the rest).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import binom, norm, rankdata, t
from sklearn import metrics

from ajuste.evaluation.bootstrap import resamples
from ajuste.tasks import (
    NUMERIC,
    TASKS,
    THRESHOLD,
    Threshold,
    numbers,
    ordered,
    positive,
    probabilities,
    review_losses,
)

CALIBRATION_BINS = 10
CURVE_POINTS = 200
SURE = 0.95
"""An answer with a higher probability is sure; few of those should be wrong."""
ENDS = np.array([0.025, 0.975])
"""The quantiles between which an interval lies."""
RESAMPLES, SEED = 1_000, 1
"""Of the bootstrap: their number, and the seed that makes the interval the same every time."""

Score = float | int | None
Scores = dict[str, np.ndarray]
"""Each score of each resample, float64 (resamples,); NaN if it is not defined."""

MAIN = {name: task.scores[0] for name, task in TASKS.items()}
"""The default main score of each task: the one that is printed, and that a comparison tests."""


def score(
    task: str,
    loss: str,
    targets: np.ndarray,
    predictions: np.ndarray,
    labels: Sequence[str],
    main: str | None = None,
    groups: np.ndarray | None = None,
    threshold: Threshold = THRESHOLD,
) -> dict[str, Score]:
    """Every score of one set of reviews.

    Args:
        task: a key of `ajuste.tasks.TASKS`.
        loss: one of the task's losses.
        targets: (n, outputs).
        predictions: (n, outputs).
        labels: those of the data; the ends of the range bring numbers to the scale of the source.
        main: a score of `weighted` that gets an interval, whatever the task.
        groups: (n,), the film of each review; then intervals are over films, since reviews of one
            film are alike.
        threshold: the probability from which a label is given.

    Returns:
        `reviews` (n), `groups` (their number, if given) and the scores of `weighted`. A score that
        is not defined, such as `roc_auc` with a single class, is None.

        Two scores have a 95 % interval, `_low` and `_high`: `accuracy`, for multilabel
        `exact_match` (Wilson, 1927), and `main` (percentiles of the bootstrap).

        For classes, `calibration_error_floor` is beside `calibration_error`; for regression,
        `clipped` is the share of the predictions beyond the range of the labels. Before it is
        scored, except by the loss, a prediction there becomes the end of the range.

    Raises:
        ValueError: there are no rows.
    """
    if len(targets) == 0:
        raise ValueError("no rows to score")
    given = task, loss, targets, predictions, labels, threshold
    found: dict[str, Score] = {"reviews": len(targets)}
    if groups is not None:
        found["groups"] = len(np.unique(groups))
    for name, [value] in weighted(*given[:5], np.ones((1, len(targets))), threshold).items():
        found[name] = None if np.isnan(value) else float(value)
        ends = ()
        if name == MAIN[task] and task not in NUMERIC:
            ends = _wilson(right(task, targets, predictions, threshold), groups)
        elif name == main and found[name] is not None:
            ends = _percentiles(name, given, groups)
        found |= zip((f"{name}_low", f"{name}_high"), map(float, ends), strict=False)
    if task not in NUMERIC:
        found["calibration_error_floor"] = calibration_error_floor(task, predictions)
    if task == "regression":
        low, high = map(float, labels)
        found["clipped"] = float(((predictions < low) | (predictions > high)).mean())
    return found


def right(
    task: str, targets: np.ndarray, predictions: np.ndarray, threshold: Threshold = THRESHOLD
) -> np.ndarray:
    """Whether each prediction is right, bool (n,); for multilabel in every label."""
    if task == "multiclass":
        return targets.argmax(axis=1) == predictions.argmax(axis=1)
    return (positive(targets) == positive(predictions, threshold)).all(axis=1)


def classes(
    task: str,
    targets: np.ndarray,
    predictions: np.ndarray,
    labels: Sequence[str],
    threshold: Threshold = THRESHOLD,
) -> dict[str, dict[str, Score]]:
    """The scores of each class; none for numbers.

    Returns:
        For each label `precision` (None if it is never predicted), `recall` (None if no review has
        it), `f1` (None if both) and `support`, the number of reviews that have it.
    """
    if task in NUMERIC:
        return {}
    once = np.ones((1, len(targets)))
    if task == "multilabel":
        counts = _label_counts(positive(targets), positive(predictions, threshold), once)
    else:
        counts = _class_counts(_confusion(task, targets, predictions, once, threshold))
    hits, actual, predicted = (count[0] for count in counts)
    shares = _divide(hits, predicted), _divide(hits, actual), _f1(hits, actual, predicted)
    found = {}
    for label, support, *values in zip(labels, actual, *shares, strict=True):
        values = (None if np.isnan(value) else float(value) for value in values)
        found[label] = dict(zip(("precision", "recall", "f1"), values, strict=True))
        found[label]["support"] = int(support)
    return found


def _wilson(right: np.ndarray, groups: np.ndarray | None) -> tuple[float, float]:
    """Wilson's interval of a share.

    With groups, the number of reviews is divided by the design effect, the variance of the share
    over groups as a multiple of that over reviews, but at least 1, and Student's quantiles replace
    the normal ones (Korn and Graubard, 1998; Dean and Pagano, 2015). If the variance cannot be
    measured, because all or none are right or there is one group, a group counts as one review.
    """
    count, share, quantile = len(right), right.mean(), norm.ppf(ENDS[1])
    if groups is not None:
        excess = np.bincount(np.unique(groups, return_inverse=True)[1], right - share)
        number = len(excess)
        effect = count / number
        if number > 1 and 0 < share < 1:
            variance = (excess**2).sum() * number / (number - 1)
            effect = max(1.0, variance / (count * share * (1 - share)))
        count, quantile = count / effect, t.ppf(ENDS[1], max(number - 1, 1))
    square = quantile**2 / count

    def lower(share: float) -> float:  # exactly 0 for 0
        reach = np.sqrt(square * (share * (1 - share) + square / 4))
        return (share + square / 2 - reach) / (1 + square)

    return lower(share), 1 - lower(1 - share)


def _percentiles(name: str, given: tuple, groups: np.ndarray | None) -> np.ndarray:
    """The interval of a score by the bootstrap, empty if no resample has the score.

    Args:
        name: the score.
        given: the arguments of `weighted` without the weights.
        groups: (n,) or None.
    """
    task, loss, targets, predictions, labels, threshold = given
    # In an order of the rows that does not depend on that of the file.
    order = np.lexsort(np.hstack([targets, predictions]).T)
    sorted_ = task, loss, targets[order], predictions[order], labels
    groups = None if groups is None else groups[order]
    batches = resamples(len(order), RESAMPLES, SEED, groups)
    values = [weighted(*sorted_, weights, threshold)[name] for weights in batches]
    values = np.concatenate(values)
    values = values[~np.isnan(values)]
    return np.quantile(values, ENDS) if len(values) else values


def weighted(
    task: str,
    loss: str,
    targets: np.ndarray,
    predictions: np.ndarray,
    labels: Sequence[str],
    weights: np.ndarray,
    threshold: Threshold = THRESHOLD,
) -> Scores:
    """The scores of reviews that count several times, as in a resample, or not at all.

    The arguments are those of `score`, and `weights`, (resamples, n): how often each review counts.

    Returns:
        `loss`, the mean over the reviews, and the scores of the task:

        - binary: `accuracy`; `f1` of class 1; `macro_f1`, the mean over the classes that occur in
          the targets or the predictions; `matthews` (Matthews, 1975); those of probabilities.
        - multiclass: `accuracy`; `macro_f1`; `matthews` (Gorodkin, 2004); if all labels are
          numbers, `mean_absolute_error` and `quadratic_weighted_kappa` (Cohen, 1968, with the
          squares of the differences of rank); those of probabilities.
        - multilabel: `accuracy`, the share of all labels of all reviews that are right;
          `exact_match`, the share of reviews with every label right; `micro_f1` over all labels
          together; `macro_f1`, as for multiclass; those of probabilities.
        - numbers: `mean_squared_error` and `mean_absolute_error` on the scale of the source; `r2`,
          the share of the variance explained; `rank_correlation` (Spearman, 1904).

        The scores of probabilities are `roc_auc`, `average_precision` and `calibration_error`: the
        mean distance of probability and frequency in ten bins, weighted by their size (Naeini,
        2015); for multiclass of the predicted class alone.
    """
    mean_loss = _mean(review_losses(loss, targets, predictions), weights)
    if task in NUMERIC:
        actual, predicted = (numbers(task, outputs, labels) for outputs in (targets, predictions))
        return {"loss": mean_loss, **_number_scores(actual, predicted, weights)}
    if task == "multilabel":
        actual, predicted = positive(targets), positive(predictions, threshold)
        same = actual == predicted
        total = weights.sum(axis=1)
        of_task = {
            "accuracy": weights @ same.sum(axis=1) / (total * same.shape[1]),
            "exact_match": weights @ same.all(axis=1) / total,
            "loss": mean_loss,
            **_multilabel_f1(actual, predicted, weights),
        }
    else:
        confusion = _confusion(task, targets, predictions, weights, threshold)
        of_task = {
            "accuracy": np.trace(confusion, axis1=1, axis2=2) / weights.sum(axis=1),
            "loss": mean_loss,
            **_class_f1(task, confusion),
            "matthews": _matthews(confusion),
            **(_ordered_scores(confusion, labels) if ordered(task, labels) else {}),
        }
    happened, probability = _calibration_cases(task, targets, predictions)
    often = np.repeat(weights, len(happened) // len(targets), axis=1)
    return {
        **of_task,
        **_ranking_scores(targets, predictions, weights),
        "calibration_error": _calibration_error(happened, probability, often),
    }


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    # A sum by NumPy: that of a matrix product depends on the processor.
    return (weights * values).sum(axis=1) / weights.sum(axis=1)


def _cases(targets: np.ndarray, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return targets.ravel().astype(int), predictions.ravel().astype(np.float64)


def _confusion(
    task: str,
    targets: np.ndarray,
    predictions: np.ndarray,
    weights: np.ndarray,
    threshold: Threshold,
) -> np.ndarray:
    """How often each class was predicted for each class, (resamples, actual, predicted)."""
    if task == "multiclass":
        classes = targets.shape[1]
        actual, predicted = targets.argmax(axis=1), predictions.argmax(axis=1)
    else:
        classes = 2
        yes = positive(targets), positive(predictions, threshold)
        actual, predicted = (outputs[:, 0].astype(int) for outputs in yes)
    pairs = np.eye(classes**2)[actual * classes + predicted]
    return (weights @ pairs).reshape(len(weights), classes, classes)


def _f1(hits: np.ndarray, actual: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """F1 of counts; NaN for a class that is neither in the targets nor in the predictions."""
    return _divide(2 * hits, actual + predicted)


Counts = list[np.ndarray]
"""For each class how often it was predicted rightly, occurs, and was predicted: (resamples, k)."""


def _class_counts(confusion: np.ndarray) -> Counts:
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    return [hits, confusion.sum(axis=2), confusion.sum(axis=1)]


def _class_f1(task: str, confusion: np.ndarray) -> Scores:
    of_classes = _f1(*_class_counts(confusion))
    of_one = {"f1": np.nan_to_num(of_classes[:, 1])} if task == "binary" else {}
    return {**of_one, "macro_f1": _mean_of_defined(of_classes)}


def _ordered_scores(confusion: np.ndarray, labels: Sequence[str]) -> Scores:
    values = np.array([float(label) for label in labels])
    _, actual, predicted = _class_counts(confusion)
    by_chance = actual[:, :, None] * predicted[:, None] / confusion.sum(axis=(1, 2), keepdims=True)
    ranks = rankdata(values, method="dense")
    squares = (ranks[:, None] - ranks) ** 2
    distances = np.abs(values[:, None] - values)
    disagreement, expected = (
        (squares * table).sum(axis=(1, 2)) for table in (confusion, by_chance)
    )
    return {
        "mean_absolute_error": (distances * confusion).sum(axis=(1, 2)) / actual.sum(axis=1),
        "quadratic_weighted_kappa": 1 - _divide(disagreement, expected),
    }


def _label_counts(actual: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> Counts:
    return [weights @ table for table in (actual & predicted, actual, predicted)]


def _multilabel_f1(actual: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> Scores:
    counts = _label_counts(actual, predicted, weights)
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


def _ranking_scores(targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> Scores:
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
    }


def _calibration_cases(
    task: str, targets: np.ndarray, predictions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What happened, bool, and its predicted probability, float64.

    For multiclass whether the predicted class is right, (n,): the top-label form (Guo et al., 2017;
    Kumar et al., 2019). Otherwise whether each class is in each target, (n * outputs,).
    """
    happened = right(task, targets, predictions) if task == "multiclass" else positive(targets)
    probability = probabilities(task, predictions).ravel().astype(np.float64)
    return happened.ravel(), np.clip(probability, 0, 1)  # a sum in float32 can exceed 1


def _bins(probability: np.ndarray) -> np.ndarray:
    return np.minimum((probability * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)


def _calibration_error(
    happened: np.ndarray, probability: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    bins, distance = _bins(probability), probability - happened
    within = (bins == place for place in range(CALIBRATION_BINS))
    sums = [(weights[:, chosen] * distance[chosen]).sum(axis=1) for chosen in within]
    return np.abs(sums).sum(axis=0) / weights.sum(axis=1)


def sure(task: str, targets: np.ndarray, predictions: np.ndarray) -> dict[str, int]:
    """How many answers have a probability above `SURE`, and how many of those are wrong.

    For multilabel each label of each review is an answer.

    Args:
        task: a task of classes.
        targets: (n, outputs).
        predictions: (n, outputs).
    """
    happened, probability = _calibration_cases(task, targets, predictions)
    if task != "multiclass":  # the answer is the more probable one of yes and no
        no = probability < THRESHOLD
        happened, probability = happened ^ no, np.where(no, 1 - probability, probability)
    above = probability > SURE
    return {"answers": int(above.sum()), "wrong": int((above & ~happened).sum())}


def calibration_error_floor(task: str, predictions: np.ndarray) -> float:
    """The calibration error that a perfectly calibrated network is expected to show, by chance.

    Its frequencies differ from its probabilities because the sample is finite. This is the mean of
    the error over labels drawn from the predictions, each by itself. The number of cases that
    happen in a bin is nearly binomial, and the mean absolute deviation of a binomial number is
    known (De Moivre, 1730; Diaconis and Zabell, 1991): 2 k (1 - p) P(X = k) for n draws of
    probability p, with k the first whole number above n p. The probabilities of a bin are not quite
    equal, which makes the floor at most 5 % too high.

    Args:
        task: a task of classes.
        predictions: (n, outputs), n above 0.
    """
    probability = np.clip(probabilities(task, predictions).ravel().astype(np.float64), 0, 1)
    bins = _bins(probability)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    mean = np.bincount(bins, probability, CALIBRATION_BINS) / np.maximum(counts, 1)
    above = np.floor(counts * mean) + 1
    deviation = 2 * above * (1 - mean) * binom.pmf(above, counts, mean)
    return float(deviation.sum() / counts.sum())


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


def calibration_curve(task: str, targets: np.ndarray, predictions: np.ndarray) -> pd.DataFrame:
    """How often predictions come true at each probability, in ten bins of equal width.

    Returns:
        A row for each bin that is not empty: `probability` (mean), `positive` (the share of the
        class; for multiclass the share of right predictions), `reviews` (for multilabel multiplied
        by the number of labels).
    """
    happened, probability = _calibration_cases(task, targets, predictions)
    table = pd.DataFrame({"probability": probability, "positive": happened, "reviews": 1})
    groups = table.astype(float).groupby(_bins(probability))
    curve = groups.agg({"probability": "mean", "positive": "mean", "reviews": "size"})
    return curve.reset_index(drop=True)


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
        "calibration": calibration_curve(task, targets, predictions),
    }
