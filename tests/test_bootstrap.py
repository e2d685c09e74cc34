import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from ajuste.evaluation import bootstrap, scores
from ajuste.tasks import NUMERIC, TASKS, numbers

LABELS = {
    "binary": ["negative", "positive"],
    "multiclass": ["2", "10", "1.5"],  # numbers, in another order
    "multilabel": ["drama", "comedy", "short"],
    "regression": ["1", "10"],
    "unit_regression": ["1", "10"],
}


def answers(task, reviews, seed):
    """Targets and predictions with ties among them."""
    generator = np.random.default_rng(seed)
    outputs = 3 if task.startswith("multi") else 1
    predictions = generator.integers(0, 21, (reviews, outputs)) / 20
    if task == "multiclass":
        targets = np.eye(outputs)[generator.integers(outputs, size=reviews)]
    elif task == "regression":
        targets, predictions = generator.integers(1, 11, (reviews, 1)), 10 * predictions
    elif task == "unit_regression":
        targets = generator.integers(0, 10, (reviews, outputs)) / 9
    else:
        targets = generator.integers(0, 2, (reviews, outputs))
    return targets.astype(np.float32), predictions.astype(np.float32)


def by_scikit_learn(task, targets, predictions, labels):
    """Scores of the classes, or of the numbers, by scikit-learn and SciPy."""
    if task in NUMERIC:
        actual, predicted = (numbers(task, outputs, labels) for outputs in (targets, predictions))
        found = {
            "mean_squared_error": metrics.mean_squared_error(actual, predicted),
            "mean_absolute_error": metrics.mean_absolute_error(actual, predicted),
        }
        if np.ptp(actual):
            found["r2"] = metrics.r2_score(actual, predicted)
            if np.ptp(predicted):
                found["rank_correlation"] = stats.spearmanr(actual, predicted).statistic
        return found
    cases, found = targets.ravel(), {}
    if np.ptp(cases):
        found["roc_auc"] = metrics.roc_auc_score(cases, predictions.ravel())
        found["average_precision"] = metrics.average_precision_score(cases, predictions.ravel())
    if task == "multiclass":
        actual, predicted = targets.argmax(axis=1), predictions.argmax(axis=1)
    else:
        actual, predicted = targets >= 0.5, predictions >= 0.5
    if task == "multilabel":
        f1 = metrics.f1_score(actual.ravel(), predicted.ravel(), zero_division=0)
        return {**found, "exact_match": metrics.accuracy_score(actual, predicted), "micro_f1": f1}
    found["macro_f1"] = metrics.f1_score(actual, predicted, average="macro", zero_division=0)
    if task == "binary":
        found["f1"] = metrics.f1_score(actual, predicted, zero_division=0)
    else:
        values = np.array([float(label) for label in labels])
        named = {"labels": np.argsort(values), "weights": "quadratic"}
        found["mean_absolute_error"] = np.abs(values[actual] - values[predicted]).mean()
        if np.ptp([*actual, *predicted]):
            found["quadratic_weighted_kappa"] = metrics.cohen_kappa_score(
                actual, predicted, **named
            )
    found["accuracy"] = metrics.accuracy_score(actual, predicted)
    if np.ptp(actual.astype(int)):
        found["matthews"] = metrics.matthews_corrcoef(actual, predicted)
    return found


@pytest.mark.parametrize("task", TASKS)
@settings(max_examples=60)
@given(reviews=st.integers(1, 12), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_a_weight_is_how_often_a_review_counts(task, reviews, seed, data):
    targets, predictions = answers(task, reviews, seed)
    draw = st.lists(st.integers(0, 3), min_size=reviews, max_size=reviews).filter(any)
    weights = np.array(data.draw(draw))
    loss = TASKS[task].losses[0]
    found = scores.weighted(
        task, loss, targets, predictions, LABELS[task], np.array([weights, weights])
    )
    drawn = np.repeat(np.arange(reviews), weights)
    targets, predictions = targets[drawn], predictions[drawn]
    expected = scores.score(task, loss, targets, predictions, LABELS[task])
    expected = {
        name: np.nan if value is None else value
        for name, value in expected.items()
        if name not in ("reviews", "clipped") and not name.endswith(("_low", "_high", "_floor"))
    }
    assert found.keys() == expected.keys()
    expected |= by_scikit_learn(task, targets, predictions, LABELS[task])
    for name, values in found.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-6, atol=1e-7, err_msg=name)


def test_each_resample_draws_as_many_reviews_as_there_are():
    batches = list(bootstrap.resamples(1_000, 2_500, seed=1))
    assert len(batches) > 1
    weights = np.concatenate(batches)
    assert weights.shape == (2_500, 1_000)
    assert (weights.sum(axis=1) == 1_000).all()
    assert weights.var() == pytest.approx(1, abs=0.01)  # of a Poisson count, nearly


def test_the_standard_error_is_that_of_the_textbook():
    generator = np.random.default_rng(3)
    targets = np.ones((400, 1))
    predictions = (generator.random((400, 1)) < 0.8).astype(float)
    found = np.concatenate(
        [
            scores.weighted(
                "binary", "binary_crossentropy", targets, predictions, LABELS["binary"], weights
            )["accuracy"]
            for weights in bootstrap.resamples(400, 4_000, seed=1)
        ]
    )
    share = predictions.mean()
    assert found.std() == pytest.approx(np.sqrt(share * (1 - share) / 400), rel=0.05)


def test_a_resample_of_groups_draws_all_reviews_of_a_group_equally_often():
    groups = np.array(["b", "a", "b", "c", "a", "b"], dtype=object)
    weights = np.concatenate(list(bootstrap.resamples(6, 500, seed=1, groups=groups)))
    assert weights.shape == (500, 6)
    for name in "abc":
        members = weights[:, groups == name]
        assert (members == members[:, :1]).all()
    of_groups = weights[:, [1, 0, 3]]
    assert (of_groups.sum(axis=1) == 3).all()
    assert of_groups.var() == pytest.approx(2 / 3, abs=0.05)  # binomial: 3 draws, probability 1/3
    assert len(set(weights.sum(axis=1))) > 1


def test_groups_of_one_review_change_nothing():
    plain = bootstrap.resamples(300, 20_000, seed=5)
    grouped = bootstrap.resamples(300, 20_000, seed=5, groups=np.arange(300))
    for batches in zip(plain, grouped, strict=True):
        assert np.array_equal(*batches)


def test_the_standard_error_over_groups_contains_what_their_reviews_share():
    generator = np.random.default_rng(3)
    groups = np.repeat(np.arange(100), 5)
    right = (generator.random(100) < 0.8)[groups][:, None].astype(float)  # all of a film, or none
    found = np.concatenate(
        [
            scores.weighted(
                "binary", "binary_crossentropy", right, np.ones((500, 1)), LABELS["binary"], weights
            )["accuracy"]
            for weights in bootstrap.resamples(500, 4_000, seed=1, groups=groups)
        ]
    )
    share = right.mean()
    assert found.mean() == pytest.approx(share, abs=0.005)
    assert found.std() == pytest.approx(np.sqrt(share * (1 - share) / 100), rel=0.05)
