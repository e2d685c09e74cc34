"""The short form of `python -m benchmarks.verdicts`."""

import numpy as np
import pytest

from ajuste.config import reader
from ajuste.config.schema import FitBounds
from benchmarks import verdicts


@pytest.fixture(scope="module")
def found():
    bounds = reader.load("evaluate.fit", FitBounds)
    return np.array(list(verdicts.outcomes(3000, 9, "logistic", bounds)))


@pytest.mark.parametrize(
    ("low", "high", "at_least", "at_most"),
    [(0.5, 0.7, 0.5, 0.8), (0.7, 0.9, 0.7, 0.9), (0.9, 1.01, 0.93, 1)],
)
def test_a_verdict_is_right_as_often_as_it_is_called_sure(found, low, high, at_least, at_most):
    said, right = found.T
    chosen = (said >= low) & (said < high)
    assert chosen.sum() > 200
    assert at_least <= right[chosen].mean() <= at_most


def test_most_simulated_curves_are_decided(found):
    assert (found[:, 0] == 0).mean() < 0.15


def test_the_table_counts_every_run(found):
    lines = verdicts.table([tuple(row) for row in found])
    counts = [int(line.split("|")[2].replace(",", "")) for line in lines[2:]]
    assert sum(counts) == 3000


def test_the_sets_of_labelled_curves_are_compared():
    case = {"train_loss": [0.5, 0.3, 0.3], "validation_loss": [0.5, 0.32, 0.32], "kept_epoch": 3}
    curves = verdicts._curves({**case, "baseline_loss": 0.69, "standard_error": 0.01})
    one = verdicts.Labelled(
        "a set", [curves] * 2, [{"optimal"}, {"underfitting"}], [{"optimal"}] * 2
    )
    lines = verdicts.agreement([one], reader.load("evaluate.fit", FitBounds))
    assert lines[2] == "| a set | 1 of 2 | 9 to 91 % | 2 | 0 |"
    assert "| underfitting | 0 | 0 | 1 | 0 |" in lines
