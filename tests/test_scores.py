import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ajuste import scores

LABELS = np.array([0, 0, 1, 1])
PROBABILITY = np.array([0.1, 0.6, 0.7, 0.9])


def test_scores_worked_out_by_hand():
    found = scores.binary_scores(LABELS, PROBABILITY)
    assert found["reviews"] == 4
    assert found["accuracy"] == 0.75
    assert found["loss"] == pytest.approx(-np.log([0.9, 0.4, 0.7, 0.9]).mean())
    assert found["f1"] == pytest.approx(0.8)
    assert found["roc_auc"] == 1
    assert found["average_precision"] == 1
    assert found["matthews"] == pytest.approx(1 / np.sqrt(3))
    # each falls into a bin of its own
    assert found["calibration_error"] == pytest.approx((0.1 + 0.6 + 0.3 + 0.1) / 4)


def test_the_interval_is_wilsons():
    labels = np.array([1] * 90 + [0] * 10)
    found = scores.binary_scores(labels, np.full(100, 0.8))
    # the formula with z = 1.96, n = 100, p = 0.9
    assert found["accuracy_low"] == pytest.approx(0.8256, abs=1e-4)
    assert found["accuracy_high"] == pytest.approx(0.9448, abs=1e-4)


def test_one_class_alone_leaves_ranking_scores_undefined():
    found = scores.binary_scores(np.ones(3, int), np.array([0.2, 0.8, 0.9]))
    assert found["roc_auc"] is found["average_precision"] is found["matthews"] is None
    assert found["accuracy"] == pytest.approx(2 / 3)


def test_no_rows():
    with pytest.raises(ValueError, match="no rows"):
        scores.binary_scores(np.array([]), np.array([]))


def test_a_half_is_positive():
    assert scores.predicted(np.array([0.4999, 0.5])).tolist() == [0, 1]


pairs = st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=2).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


@given(pairs, st.randoms())
def test_the_order_of_the_rows_changes_nothing(rows, chance):
    mixed = chance.sample(rows, len(rows))
    one, other = (
        scores.binary_scores(*map(np.array, zip(*order, strict=True))) for order in (rows, mixed)
    )
    assert one == pytest.approx(other)


@given(pairs)
def test_scores_lie_where_they_must(rows):
    found = scores.binary_scores(*map(np.array, zip(*rows, strict=True)))
    assert 0 <= found["accuracy_low"] <= found["accuracy"] <= found["accuracy_high"] <= 1
    assert 0 <= found["calibration_error"] <= 1
    assert found["loss"] >= 0


def test_a_calibrated_classifier_has_next_to_no_calibration_error():
    chance = np.random.default_rng(0)
    probability = chance.uniform(size=100_000)
    labels = (chance.uniform(size=100_000) < probability).astype(int)
    assert scores.expected_calibration_error(labels, probability) < 0.01
    assert scores.expected_calibration_error(labels, probability**3) > 0.1


def test_curves_are_short_and_keep_their_ends():
    chance = np.random.default_rng(0)
    labels = chance.integers(0, 2, 5000)
    probability = chance.uniform(size=5000)
    roc = scores.roc_curve(labels, probability)
    assert len(roc) <= 200
    assert roc.iloc[0].tolist() == [0, 0]
    assert roc.iloc[-1].tolist() == [1, 1]
    precision_recall = scores.precision_recall_curve(labels, probability)
    assert len(precision_recall) <= 200
    assert precision_recall["recall"].iloc[[0, -1]].tolist() == [1, 0]
