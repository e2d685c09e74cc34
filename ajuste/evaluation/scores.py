"""Scores of what a network says, for every task: pure functions of targets and predictions.

Everywhere `targets` and `predictions` are float arrays (n, outputs), as in `ajuste.tasks`. No score
depends on the order of the rows. Where a network has several outputs, the curves and the scores of
ranking and calibration take every pair of a review and a class as one case (micro-averaged, one
class against the rest).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest, spearmanr
from sklearn import metrics

from ajuste.tasks import NUMERIC, THRESHOLD, accuracy, numbers, review_losses

CALIBRATION_BINS = 10
CURVE_POINTS = 200

Score = float | int | None

MAIN = {
    "binary": "accuracy",
    "multiclass": "accuracy",
    "multilabel": "exact_match",
    "regression": "mean_absolute_error",
    "unit_regression": "mean_absolute_error",
}
"""Which score of a task is said aloud, and which a comparison rests on."""


def score(
    task: str, loss: str, targets: np.ndarray, predictions: np.ndarray, labels: Sequence[str]
) -> dict[str, Score]:
    """Every score of one set of reviews.

    Args:
        task: a key of `ajuste.tasks.TASKS`.
        loss: the loss to give, one of the task's.
        targets: (n, outputs).
        predictions: (n, outputs).
        labels: those of the data; the ends of the range bring numbers to the scale of the source.

    Returns:
        `reviews` (n); the scores of the task; `loss`, the mean over the reviews.

        - binary: `accuracy`; `f1` of class 1; `matthews` (Matthews, 1975); those of probabilities.
        - multiclass: `accuracy`; `macro_f1`, the mean over the classes that are there or that are
          said; `matthews`; those of probabilities.
        - multilabel: `accuracy`, the share of all labels of all reviews that are right;
          `exact_match`, the share of reviews with every label right; `micro_f1` over all labels
          together; `macro_f1`, as for multiclass; those of probabilities.
        - numbers: `mean_squared_error` and `mean_absolute_error` on the scale of the source; `r2`,
          the share of the variance explained; `rank_correlation` (Spearman, 1904).

        `accuracy`, and for multilabel `exact_match`, comes with `_low` and `_high`, its 95 %
        interval (Wilson, 1927). Those of probabilities are `roc_auc`, `average_precision` and
        `calibration_error`. What is not defined, such as `roc_auc` with one class alone, is None.

    Raises:
        ValueError: there are no rows.
    """
    if len(targets) == 0:
        raise ValueError("no rows to score")
    mean_loss = float(review_losses(loss, targets, predictions).mean())
    if task in NUMERIC:
        actual, said = (numbers(task, outputs, labels) for outputs in (targets, predictions))
        return {"reviews": len(targets), "loss": mean_loss, **_number_scores(actual, said)}
    if task == "multilabel":
        actual, said = targets >= THRESHOLD, predictions >= THRESHOLD
        of_task = {
            "accuracy": accuracy(task, targets, predictions),
            **_share("exact_match", (actual == said).all(axis=1)),
            "loss": mean_loss,
            **_multilabel_f1(actual, said),
        }
    else:
        actual, said = _classes(task, targets), _classes(task, predictions)
        several = len(np.unique(actual)) > 1
        of_task = {
            **_share("accuracy", actual == said),
            "loss": mean_loss,
            **_class_f1(task, actual, said),
            "matthews": float(metrics.matthews_corrcoef(actual, said)) if several else None,
        }
    return {"reviews": len(targets), **of_task, **_probability_scores(targets, predictions)}


def _classes(task: str, outputs: np.ndarray) -> np.ndarray:
    if task == "multiclass":
        return outputs.argmax(axis=1)
    return (outputs[:, 0] >= THRESHOLD).astype(int)


def _share(name: str, right: np.ndarray) -> dict[str, Score]:
    count = int(right.sum())
    interval = binomtest(count, len(right)).proportion_ci(0.95, method="wilson")
    return {
        name: count / len(right),
        f"{name}_low": float(interval.low),
        f"{name}_high": float(interval.high),
    }


def _class_f1(task: str, actual: np.ndarray, said: np.ndarray) -> dict[str, Score]:
    if task == "binary":
        return {"f1": float(metrics.f1_score(actual, said, zero_division=0.0))}
    return {"macro_f1": float(metrics.f1_score(actual, said, average="macro"))}


def _multilabel_f1(actual: np.ndarray, said: np.ndarray) -> dict[str, Score]:
    # Label by label, since one label alone would pass for two classes in scikit-learn's averages.
    of_labels = [
        metrics.f1_score(*label) for label in zip(actual.T, said.T, strict=True) if np.any(label)
    ]
    together = metrics.f1_score(actual.ravel(), said.ravel(), zero_division=0.0)
    macro = float(np.mean(of_labels)) if of_labels else None
    return {"micro_f1": float(together), "macro_f1": macro}


def _probability_scores(targets: np.ndarray, predictions: np.ndarray) -> dict[str, Score]:
    cases, probability = _cases(targets, predictions)
    both = len(np.unique(cases)) == 2
    return {
        "roc_auc": float(metrics.roc_auc_score(cases, probability)) if both else None,
        "average_precision": (
            float(metrics.average_precision_score(cases, probability)) if both else None
        ),
        "calibration_error": expected_calibration_error(targets, predictions),
    }


def _number_scores(actual: np.ndarray, said: np.ndarray) -> dict[str, Score]:
    differ = len(np.unique(actual)) > 1
    ranked = differ and len(np.unique(said)) > 1
    return {
        "mean_squared_error": float(metrics.mean_squared_error(actual, said)),
        "mean_absolute_error": float(metrics.mean_absolute_error(actual, said)),
        "r2": float(metrics.r2_score(actual, said)) if differ else None,
        "rank_correlation": float(spearmanr(actual, said).statistic) if ranked else None,
    }


def _cases(targets: np.ndarray, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return targets.ravel().astype(int), predictions.ravel().astype(np.float64)


def calibration_curve(targets: np.ndarray, predictions: np.ndarray) -> pd.DataFrame:
    """How often a class comes where a probability was given, in ten bins of equal width.

    Returns:
        One row for each bin that is not empty: `probability` (mean of those given), `positive`
        (share in which the class came), `reviews` (for several outputs those times the outputs).
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
