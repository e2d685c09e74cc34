import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

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


WEIGHTED = {
    "binary": (np.array([[0], [0], [0], [1]]), "binary_crossentropy"),
    "multiclass": (np.eye(3)[[0, 0, 0, 1]], "categorical_crossentropy"),
    "multilabel": (np.array([[0, 1], [0, 1], [0, 1], [1, 1]]), "binary_crossentropy"),
}


@pytest.mark.parametrize(
    ("task", "no", "yes"),
    [
        ("binary", [4 / 6], [4 / 2]),
        ("multiclass", [1, 1, 1], [4 / 6, 4 / 2, 1]),  # the third does not occur
        ("multilabel", [4 / 6, 1], [4 / 2, 1]),  # the second is always there
    ],
)
def test_balanced_weights_worked_out_by_hand(task, no, yes):
    found = tasks.class_weights(task, WEIGHTED[task][0].astype(np.float32))
    assert found.tolist() == [pytest.approx(no), pytest.approx(yes)]
    if task == "multiclass":
        actual = WEIGHTED[task][0].argmax(axis=1)
        theirs = compute_class_weight("balanced", classes=np.unique(actual), y=actual)
        assert found[1][:2].tolist() == pytest.approx(theirs)


@pytest.mark.parametrize("task", WEIGHTED)
def test_a_review_counts_by_its_class(task):
    targets, loss = WEIGHTED[task]
    predictions = np.full(targets.shape, 0.3)
    weights = tasks.class_weights(task, targets)
    plain = tasks.review_losses(loss, targets, predictions)
    found = tasks.review_losses(loss, targets, predictions, weights)
    if task == "multilabel":
        cells = -np.log(np.where(targets, 0.3, 0.7))
        assert found == pytest.approx((cells * np.where(targets, *weights[::-1])).mean(axis=1))
    else:
        assert found == pytest.approx(plain * np.array([4 / 6, 4 / 6, 4 / 6, 4 / 2]))


@pytest.mark.parametrize("task", WEIGHTED)
def test_no_constant_beats_the_baseline_of_the_weighted_loss(task):
    targets, loss = WEIGHTED[task]
    weights = tasks.class_weights(task, targets)
    base = tasks.baseline_loss(loss, targets, weights)
    # two classes that count equally; the second label of multilabel is known
    assert base == pytest.approx(np.log(2) / (2 if task == "multilabel" else 1), abs=1e-6)


def test_bayes_rule_gives_the_probabilities_for_classes_that_count_more():
    weights = np.array([[0.5], [4.0]])
    odds = 0.2 / 0.8 * 8
    found = tasks.reweighted("binary_crossentropy", np.array([[0.2]]), weights)
    assert found == pytest.approx(odds / (1 + odds))
    weights = np.array([[1.0, 1, 1], [1, 2, 4]])
    found = tasks.reweighted("categorical_crossentropy", np.array([[0.5, 0.25, 0.25]]), weights)
    assert found.tolist() == [pytest.approx([0.25, 0.25, 0.5])]


def test_a_label_is_given_from_the_threshold_on():
    predictions = np.array([[0.3, 0.3], [0.29, 0.6]], dtype=np.float32)
    assert tasks.decode("binary", predictions[:, :1], ["no", "yes"], [0.295]) == ["yes", "no"]
    labels = ["drama", "comedy"]
    assert tasks.decode("multilabel", predictions, labels, [0.295, 0.7]) == ["drama", ""]
    assert tasks.accuracy("multilabel", np.eye(2), predictions, [0.295, 0.7]) == 0.75


def test_the_comparison_with_a_threshold_has_double_precision():
    value = np.float32(0.3)  # a little more than 0.3
    assert tasks.positive(np.array([[value]]), 0.3).all()
    assert not tasks.positive(np.array([[value]]), float(value) + 1e-12).any()


@pytest.mark.parametrize(("value", "said"), [(0.2, "1.00"), (11.5, "10.00"), (4, "4.00")])
def test_a_number_beyond_the_range_becomes_its_end(value, said):
    assert tasks.decode("regression", np.array([[value]]), ["1", "10"]) == [said]


@pytest.mark.parametrize(
    ("task", "labels", "expected"),
    [
        ("multiclass", ["1", "2", "10"], True),
        ("multiclass", ["-0.5", "1e3"], True),
        ("multiclass", ["1", "two"], False),
        ("multiclass", ["1", "nan"], False),
        ("binary", ["0", "1"], False),
    ],
)
def test_classes_are_ordered_if_all_are_numbers(task, labels, expected):
    assert tasks.ordered(task, labels) is expected
