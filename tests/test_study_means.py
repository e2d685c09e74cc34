import numpy as np
import pytest
from scipy import stats

from study.means import interval, mean


def test_without_overlap_it_is_the_interval_of_student():
    values = [0.80, 0.82, 0.85, 0.81]
    middle, half = interval(values)
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (middle - half, middle + half) == pytest.approx((low, high))


def test_the_interval_of_splits_that_overlap_covers_the_truth():
    """Nadeau and Bengio (2003): 1 / n + overlap, by which the plain interval is too narrow."""
    values = [0.80, 0.82, 0.85, 0.81]
    ratio = interval(values, overlap=1 / 8)[1] / interval(values)[1]
    assert ratio == pytest.approx(((1 / 4 + 1 / 8) / (1 / 4)) ** 0.5)


def test_one_value_has_no_interval():
    assert interval([0.8]) == (0.8, 0.0)
    assert mean([0.8]) == "0.800"
    assert mean([]) == "—"


def test_a_difference_shows_its_sign():
    assert mean([-0.1, -0.1], sign="+") == "\N{MINUS SIGN}0.100 ±0.000"
    assert mean([0.1], sign="+") == "+0.100"
    assert mean([12345.6]) == "1.235e+04"
