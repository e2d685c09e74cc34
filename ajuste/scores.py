"""Scores of a binary classifier: pure functions of labels and probabilities.

Everywhere `labels` is an integer array (n,) of 0 and 1, and `probability` a float array (n,), the
probability of class 1. No score depends on the order of the rows.
"""

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn import metrics

THRESHOLD = 0.5
CALIBRATION_BINS = 10
CURVE_POINTS = 200

Score = float | int | None


def predicted(probability: np.ndarray) -> np.ndarray:
    """The class of each row, int (n,): 1 from a probability of one half."""
    return (np.asarray(probability) >= THRESHOLD).astype(int)


def binary_scores(labels: np.ndarray, probability: np.ndarray) -> dict[str, Score]:
    """Every score of one set of reviews.

    Returns:
        `reviews` (n); `accuracy` with `accuracy_low` and `accuracy_high`, its 95 % interval
        (Wilson, 1927); `loss` (mean log loss, in nats); `f1` of class 1; `roc_auc`;
        `average_precision`; `matthews` (Matthews, 1975); `calibration_error`. With one class alone
        `roc_auc`, `average_precision` and `matthews` are not defined and are None.

    Raises:
        ValueError: there are no rows.
    """
    labels = np.asarray(labels)
    probability = np.asarray(probability, dtype=np.float64)
    if len(labels) == 0:
        raise ValueError("no rows to score")
    guessed = predicted(probability)
    correct = int((guessed == labels).sum())
    interval = binomtest(correct, len(labels)).proportion_ci(0.95, method="wilson")
    both = len(np.unique(labels)) == 2
    return {
        "reviews": len(labels),
        "accuracy": correct / len(labels),
        "accuracy_low": float(interval.low),
        "accuracy_high": float(interval.high),
        "loss": float(metrics.log_loss(labels, probability, labels=[0, 1])),
        "f1": float(metrics.f1_score(labels, guessed, zero_division=0.0)),
        "roc_auc": float(metrics.roc_auc_score(labels, probability)) if both else None,
        "average_precision": (
            float(metrics.average_precision_score(labels, probability)) if both else None
        ),
        "matthews": float(metrics.matthews_corrcoef(labels, guessed)) if both else None,
        "calibration_error": expected_calibration_error(labels, probability),
    }


def calibration_curve(labels: np.ndarray, probability: np.ndarray) -> pd.DataFrame:
    """How often class 1 comes where a probability was given, in ten bins of equal width.

    Returns:
        One row for each bin that is not empty: `probability` (mean of those given), `positive`
        (share that is class 1), `reviews`.
    """
    table = pd.DataFrame({"probability": probability, "positive": labels, "reviews": 1})
    bins = np.minimum((table["probability"] * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    groups = table.astype(float).groupby(bins)
    curve = groups.agg({"probability": "mean", "positive": "mean", "reviews": "size"})
    return curve.reset_index(drop=True)


def expected_calibration_error(labels: np.ndarray, probability: np.ndarray) -> float:
    """Mean distance between probability and frequency, bins weighted by size (Naeini, 2015)."""
    curve = calibration_curve(labels, probability)
    distance = (curve["probability"] - curve["positive"]).abs()
    return float((distance * curve["reviews"]).sum() / curve["reviews"].sum())


def roc_curve(labels: np.ndarray, probability: np.ndarray) -> pd.DataFrame:
    """True against false positive rate, in at most 200 points."""
    false_positive, true_positive, _ = metrics.roc_curve(labels, probability)
    return _thin(pd.DataFrame({"false_positive": false_positive, "true_positive": true_positive}))


def precision_recall_curve(labels: np.ndarray, probability: np.ndarray) -> pd.DataFrame:
    """Precision against recall, in at most 200 points."""
    precision, recall, _ = metrics.precision_recall_curve(labels, probability)
    return _thin(pd.DataFrame({"recall": recall, "precision": precision}))


def _thin(curve: pd.DataFrame) -> pd.DataFrame:
    rows = np.unique(np.linspace(0, len(curve) - 1, CURVE_POINTS).round().astype(int))
    return curve.iloc[rows].reset_index(drop=True)
