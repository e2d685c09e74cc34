import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ajuste import tasks

GENRES = ["drama", "comedy", "noir"]


@pytest.mark.parametrize(
    ("task", "labels", "texts", "targets"),
    [
        ("binary", ["bad", "good"], ["good", "bad"], [[1], [0]]),
        ("multiclass", GENRES, ["noir", "drama"], [[0, 0, 1], [1, 0, 0]]),
        ("multilabel", GENRES, ["noir|drama", ""], [[1, 0, 1], [0, 0, 0]]),
        ("regression", ["1", "10"], ["7.5", "1"], [[7.5], [1]]),
        ("unit_regression", ["1", "10"], ["10", "1", "5.5"], [[1], [0], [0.5]]),
    ],
)
def test_targets(task, labels, texts, targets):
    encoded = tasks.encode(task, texts, labels)
    assert encoded.tolist() == targets
    assert encoded.dtype == np.float32


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_an_unknown_label_is_refused(task):
    with pytest.raises(ValueError, match="'horror' is not one of drama, comedy"):
        tasks.encode(task, ["horror"], GENRES[:2])


def test_decoding_reverses_encoding():
    for task, texts in {
        "multiclass": GENRES,
        "multilabel": ["drama|noir", "", "comedy"],
    }.items():
        assert tasks.decode(task, tasks.encode(task, texts, GENRES), GENRES) == texts


@given(st.lists(st.integers(100, 1000).map(lambda n: f"{n / 100:.2f}"), min_size=1))
def test_numbers_are_the_same_after_encoding_and_decoding(texts):
    for task in tasks.NUMERIC:
        targets = tasks.encode(task, texts, ["1", "10"])
        assert tasks.decode(task, targets, ["1", "10"]) == texts


@pytest.mark.parametrize(
    ("ends", "value", "said"),
    [
        (["0", "1"], 0.123456, "0.123"),
        (["0", "100"], 12.3456, "12.3"),
        (["0", "100000"], 12345.6, "12346"),
        (["-1", "1"], -0.0001, "0.00"),
    ],
)
def test_a_number_is_rounded_by_its_range(ends, value, said):
    assert tasks.decode("regression", np.array([[value]]), ends) == [said]


@pytest.mark.parametrize(
    ("task", "names", "values"),
    [
        ("binary", ["probability"], [[0.2]]),
        ("multiclass", ["probability"], [[0.7]]),
        ("multilabel", ["probability_drama", "probability_comedy"], [[0.2, 0.7]]),
        ("regression", [], [[]]),
        ("unit_regression", [], [[]]),
    ],
)
def test_the_probabilities_of_each_task(task, names, values):
    outputs = 2 if task.startswith("multi") else 1
    predictions = np.array([[0.2, 0.7]])[:, :outputs]
    assert tasks.probability_names(task, GENRES[:2]) == names
    assert tasks.probabilities(task, predictions).tolist() == values


def test_accuracy_counts_labels_and_is_none_for_numbers():
    targets, predictions = np.array([[1, 0], [0, 1]]), np.array([[0.9, 0.6], [0.1, 0.8]])
    assert tasks.accuracy("multilabel", targets, predictions) == 0.75
    assert tasks.accuracy("multiclass", targets, predictions) == 1
    assert tasks.accuracy("regression", targets[:, :1], predictions[:, :1]) is None


def test_losses_computed_by_hand():
    targets, predictions = np.array([[1.0, 0.0]]), np.array([[0.8, 0.4]])
    expected = {
        "binary_crossentropy": -(np.log(0.8) + np.log(0.6)) / 2,
        "categorical_crossentropy": -np.log(0.8),
        "mean_squared_error": (0.04 + 0.16) / 2,
        "mean_absolute_error": 0.3,
    }
    for loss, value in expected.items():
        assert tasks.review_losses(loss, targets, predictions) == pytest.approx([value])


def test_a_wrong_probability_of_one_has_a_finite_loss():
    assert tasks.review_losses("binary_crossentropy", np.ones((1, 1)), np.zeros((1, 1)))[0] < 17


@pytest.mark.parametrize(
    ("loss", "targets", "expected"),
    [
        ("binary_crossentropy", [[0], [1]], np.log(2)),
        ("categorical_crossentropy", np.eye(8), np.log(8)),
        ("mean_squared_error", [[1], [3]], 1),
        ("mean_absolute_error", [[0], [0], [9]], 3),
    ],
)
def test_the_baseline_loss_does_not_depend_on_the_review(loss, targets, expected):
    assert tasks.baseline_loss(loss, np.array(targets, np.float32)) == pytest.approx(expected)
