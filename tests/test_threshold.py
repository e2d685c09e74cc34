import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from ajuste.tasks import TASKS, positive
from ajuste.training.threshold import choose

SCORES = {
    "accuracy": metrics.accuracy_score,
    "balanced_accuracy": metrics.balanced_accuracy_score,
    "f1": metrics.f1_score,
    "macro_f1": lambda *given: metrics.f1_score(*given, average="macro", zero_division=0),
    "matthews": metrics.matthews_corrcoef,
}


def column(values):
    return np.array(values, np.float32)[:, None]


@pytest.mark.parametrize("score", TASKS["binary"].thresholds)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=2, max_size=12).filter(
        lambda cases: len({actual for actual, _ in cases}) == 2
    )
)
def test_no_other_threshold_is_better(score, cases):
    actual, probability = (column(values) for values in zip(*cases, strict=True))
    probability /= 20
    [found] = choose(score, actual, probability)

    def value(threshold):
        return SCORES[score](actual[:, 0] == 1, positive(probability, threshold)[:, 0])

    values = np.unique(probability)
    tried = [0.5, *((values[1:] + values[:-1]) / 2)]
    assert value(found) == pytest.approx(max(map(value, tried)))
    order = np.random.default_rng(0).permutation(len(cases))
    assert choose(score, actual[order], probability[order]) == [found]


def test_it_is_between_two_predictions_and_has_six_digits():
    assert choose("f1", column([0, 0, 1, 1]), column([0.1, 0.2, 0.2333333, 0.3])) == [0.216667]


def test_of_equal_thresholds_the_nearest_to_a_half_is_taken_then_the_lower():
    assert choose("accuracy", column([0, 1]), column([0.1, 0.9])) == [0.5]
    assert choose("accuracy", column([0, 1, 0, 1]), column([0.1, 0.3, 0.9, 0.95])) == [0.2]
    assert choose("accuracy", column([0, 1, 0, 1]), column([0.3, 0.4, 0.6, 0.7])) == [0.35]


def test_labels_have_their_own_and_a_half_if_all_targets_are_alike():
    targets = np.array([[0, 1, 0], [1, 1, 0], [1, 1, 0]], np.float32)
    predictions = np.array([[0.1, 0.1, 0.9], [0.3, 0.2, 0.9], [0.4, 0.3, 0.8]], np.float32)
    assert choose("f1", targets, predictions) == [0.2, 0.5, 0.5]
