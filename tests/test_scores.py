import numpy as np
import pytest

from ajuste.evaluation import scores
from ajuste.tasks import NUMERIC

TARGETS = np.array([[0], [0], [1], [1]])
PROBABILITY = np.array([[0.1], [0.6], [0.7], [0.9]])
CLASSES = ["negative", "positive"]


def binary(targets, probability) -> dict[str, scores.Score]:
    """The scores of a binary task, of flat lists."""
    columns = (np.array(values, float)[:, None] for values in (targets, probability))
    return scores.score("binary", "binary_crossentropy", *columns, CLASSES)


def test_binary_scores_worked_out_by_hand():
    found = scores.score("binary", "binary_crossentropy", TARGETS, PROBABILITY, CLASSES)
    assert found["reviews"] == 4
    assert found["accuracy"] == 0.75
    assert found["loss"] == pytest.approx(-np.log([0.9, 0.4, 0.7, 0.9]).mean())
    assert found["f1"] == pytest.approx(0.8)
    assert found["roc_auc"] == 1
    assert found["average_precision"] == 1
    assert found["matthews"] == pytest.approx(1 / np.sqrt(3))
    # each is in another bin
    assert found["calibration_error"] == pytest.approx((0.1 + 0.6 + 0.3 + 0.1) / 4)


def test_multiclass_scores_worked_out_by_hand():
    targets = np.eye(3)[[0, 0, 1, 2]]
    predictions = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
    found = scores.score("multiclass", "categorical_crossentropy", targets, predictions, "abc")
    assert found["accuracy"] == 0.75
    assert found["accuracy_low"] < 0.75 < found["accuracy_high"]
    assert found["loss"] == pytest.approx(-np.log([0.6, 0.2, 0.8, 0.6]).mean())
    assert found["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert found["matthews"] == pytest.approx(7 / np.sqrt(10 * 10))
    # each of the 4 probabilities of the right class against each of the 8 of a wrong one
    assert found["roc_auc"] == pytest.approx((7 + 7 + 8 + (4 + 2 / 2)) / 32)


def test_multilabel_scores_worked_out_by_hand():
    targets = np.array([[1, 0], [1, 1], [0, 0], [1, 0]])
    predictions = np.array([[0.9, 0.2], [0.8, 0.4], [0.1, 0.3], [0.2, 0.1]])
    found = scores.score("multilabel", "binary_crossentropy", targets, predictions, "ab")
    assert found["accuracy"] == 6 / 8
    assert found["exact_match"] == 2 / 4
    assert found["exact_match_low"] < 0.5 < found["exact_match_high"]
    assert "accuracy_low" not in found
    assert found["micro_f1"] == pytest.approx(2 * 2 / (2 * 2 + 0 + 2))
    assert found["macro_f1"] == pytest.approx((0.8 + 0) / 2)


def test_a_label_that_does_not_occur_does_not_lower_the_mean():
    targets = np.array([[1, 0], [1, 0]])
    found = scores.score("multilabel", "binary_crossentropy", targets, targets * 0.9, "ab")
    assert found["macro_f1"] == 1
    nothing = np.zeros((2, 2))
    found = scores.score("multilabel", "binary_crossentropy", nothing, nothing, "ab")
    assert found["exact_match"] == 1
    assert found["macro_f1"] is found["roc_auc"] is None


@pytest.mark.parametrize(
    ("task", "scale"), [("regression", lambda x: x), ("unit_regression", lambda x: (x - 1) / 9)]
)
def test_numbers_are_scored_on_the_scale_of_the_source(task, scale):
    actual, said = np.array([[1.0], [4], [10]]), np.array([[2.0], [4], [7]])
    found = scores.score(task, "mean_squared_error", scale(actual), scale(said), ["1", "10"])
    assert found["reviews"] == 3
    assert found["mean_squared_error"] == pytest.approx((1 + 0 + 9) / 3)
    assert found["mean_absolute_error"] == pytest.approx((1 + 0 + 3) / 3)
    assert found["r2"] == pytest.approx(1 - 10 / 42)
    assert found["rank_correlation"] == pytest.approx(1)
    assert found["loss"] == pytest.approx(10 / 3 / (1 if task == "regression" else 81))


def test_equal_numbers_have_no_correlation():
    same, other = np.full((3, 1), 2.0), np.array([[1.0], [2], [3]])
    found = scores.score("regression", "mean_absolute_error", same, other, ["1", "10"])
    assert found["r2"] is found["rank_correlation"] is None
    found = scores.score("regression", "mean_absolute_error", other, same, ["1", "10"])
    assert found["rank_correlation"] is None
    assert found["r2"] == 0


def test_the_interval_is_wilsons():
    found = binary([1] * 90 + [0] * 10, [0.8] * 100)
    # the formula with z = 1.96, n = 100, p = 0.9
    assert found["accuracy_low"] == pytest.approx(0.8256, abs=1e-4)
    assert found["accuracy_high"] == pytest.approx(0.9448, abs=1e-4)


def test_a_single_class_leaves_ranking_scores_undefined():
    found = binary([1, 1, 1], [0.2, 0.8, 0.9])
    assert found["roc_auc"] is found["average_precision"] is found["matthews"] is None
    assert found["accuracy"] == pytest.approx(2 / 3)


def test_no_rows():
    with pytest.raises(ValueError, match="no rows"):
        binary([], [])


def test_a_half_is_positive():
    assert binary([0, 1], [0.4999, 0.5])["accuracy"] == 1


@pytest.mark.parametrize("task", NUMERIC)
def test_numbers_have_curves_without_points(task):
    classes = scores.curves("binary", TARGETS, PROBABILITY)
    empty = scores.curves(task, TARGETS, PROBABILITY)
    assert {name: list(curve) for name, curve in empty.items()} == {
        name: list(curve) for name, curve in classes.items()
    }
    assert not any(map(len, empty.values()))
    assert all(map(len, classes.values()))


def test_several_outputs_count_every_pair_of_a_review_and_a_class():
    targets = np.array([[1, 0], [0, 1]])
    predictions = np.array([[0.9, 0.2], [0.2, 0.6]])
    curve = scores.calibration_curve(targets, predictions)
    assert curve.to_dict("list") == {
        "probability": [0.2, 0.6, 0.9],
        "positive": [0, 1, 1],
        "reviews": [2, 1, 1],
    }


def test_a_calibrated_classifier_has_almost_no_calibration_error():
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
