"""The decision threshold: the probability from which a label is given, chosen in validation."""

import numpy as np

from ajuste.files import significant
from ajuste.tasks import THRESHOLD, positive

DECIMALS = 12  # of a score; the last digits of a sum do not decide


def choose(score: str, targets: np.ndarray, predictions: np.ndarray) -> list[float]:
    """The threshold of each output with the highest score.

    0.5 is tried, and the middle between each two neighbouring predictions, rounded to six digits.
    Of equal ones the nearest to 0.5 is taken, then the lower. It is 0.5 if all targets are alike.

    Args:
        score: one of `ajuste.tasks.Task.thresholds`, by its name in `ajuste.evaluation.scores`;
            `balanced_accuracy` is the mean of the recalls of yes and no.
        targets: of the validation part, (n, outputs).
        predictions: the same.

    Returns:
        (outputs,).
    """
    columns = zip(positive(targets).T, predictions.T.astype(np.float64), strict=True)
    return [_of_one(score, *column) for column in columns]


def _of_one(score: str, actual: np.ndarray, predicted: np.ndarray) -> float:
    if actual.all() or not actual.any():
        return THRESHOLD
    values = np.unique(predicted)
    middles = significant(((values[1:] + values[:-1]) / 2).tolist())
    tried = np.array(sorted({THRESHOLD, *middles}, key=lambda value: (abs(value - 0.5), value)))
    yes, no = (np.sort(predicted[chosen]) for chosen in (actual, ~actual))
    missed, refused = (np.searchsorted(part, tried).astype(np.float64) for part in (yes, no))
    found = _scores(len(yes) - missed, missed, len(no) - refused, refused)[score]
    return float(tried[np.argmax(np.round(found, DECIMALS))])


def _scores(hits: np.ndarray, missed: np.ndarray, false: np.ndarray, refused: np.ndarray) -> dict:
    """The scores of true positives, false negatives, false positives and true negatives, (any,)."""
    wrong = missed + false
    f1 = 2 * hits / (2 * hits + wrong)
    spread = np.sqrt((hits + false) * (hits + missed) * (refused + false) * (refused + missed))
    return {
        "accuracy": (hits + refused) / (hits + refused + wrong),
        "balanced_accuracy": hits / (hits + missed) + refused / (refused + false),
        "f1": f1,
        "macro_f1": f1 + 2 * refused / (2 * refused + wrong),
        "matthews": (hits * refused - missed * false) / np.maximum(spread, 1),
    }
