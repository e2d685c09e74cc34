"""The mean of a number over repeated trainings, with its 95 % interval."""

import math
from collections.abc import Sequence

from scipy.stats import t as student

from ajuste.evaluation.scores import ENDS
from ajuste.report.numbers import NONE, number


def interval(values: Sequence[float], overlap: float = 0.0) -> tuple[float, float]:
    """The mean, and half the width of its 95 % interval (Student's t); 0 for a single value.

    Args:
        values: one for each training, at least one.
        overlap: 0 for trainings that are independent, such as those of other seeds on one split.
            For repeated random splits, the number of scored reviews over that of training reviews:
            the training parts overlap, so the values are alike, and their variance alone gives an
            interval that is too narrow. The variance of the mean is then (1 / n + overlap) times
            that of a value (Nadeau and Bengio, 2003).
    """
    count, middle = len(values), sum(values) / len(values)
    if count == 1:
        return middle, 0.0
    variance = sum((value - middle) ** 2 for value in values) / (count - 1)
    error = math.sqrt((1 / count + overlap) * variance)
    return middle, float(student.ppf(ENDS[1], count - 1)) * error


def mean(values: Sequence[float], overlap: float = 0.0, sign: str = "") -> str:
    """The mean and, for several values, half the width of its interval: `0.844 ±0.012`.

    Args:
        values: one for each training; without any, the text is a dash.
        overlap: see `interval`.
        sign: `+` shows it.
    """
    if not values:
        return NONE
    middle, half = interval(values, overlap)
    return _number(middle, sign) + (f" ±{_number(half)}" if len(values) > 1 else "")


def _number(value: float, sign: str = "") -> str:
    return number(value, f"{sign}.3f" if abs(value) < 1000 else f"{sign}.4g")
