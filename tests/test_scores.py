import numpy as np
import pytest
from sklearn import metrics

from ajuste.evaluation import scores
from ajuste.tasks import NUMERIC, TASKS

TARGETS = np.array([[0], [0], [1], [1]])
PROBABILITY = np.array([[0.1], [0.6], [0.7], [0.9]])
CLASSES = ["negative", "positive"]
MAE = "mean_absolute_error"


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
    # the predicted classes have 0.6 (right), 0.7 (wrong), 0.8 (right) and 0.6 (right)
    assert found["calibration_error"] == pytest.approx((2 * 0.4 + 0.7 + 0.2) / 4)


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


def test_several_labels_count_every_pair_of_a_review_and_a_label():
    targets = np.array([[1, 0], [0, 1]])
    predictions = np.array([[0.9, 0.2], [0.2, 0.6]])
    curve = scores.calibration_curve("multilabel", targets, predictions)
    assert curve.to_dict("list") == {
        "probability": [0.2, 0.6, 0.9],
        "positive": [0, 1, 1],
        "reviews": [2, 1, 1],
    }


def test_a_class_of_several_counts_only_if_it_is_predicted():
    targets = np.eye(3)[[0, 1]]
    predictions = np.array([[0.5, 0.2, 0.3], [0.7, 0.2, 0.1]])
    curve = scores.calibration_curve("multiclass", targets, predictions)
    assert curve["probability"].tolist() == [0.5, 0.7]
    assert curve["positive"].tolist() == [1, 0]


LOSSES = {"binary": "binary_crossentropy", "multiclass": "categorical_crossentropy"}


def softmax(logits):
    raised = np.exp(logits)
    return raised / raised.sum(axis=1, keepdims=True)


def calibration(task, reviews, sharper, seed):
    """The calibration error and its floor, for logits that are `sharper` times the true ones."""
    chance = np.random.default_rng(seed)
    logits = chance.normal(0, 1.5, (reviews, 3 if task == "multiclass" else 2))
    true, predictions = softmax(logits), softmax(sharper * logits)
    drawn = (true.cumsum(axis=1) < chance.random((reviews, 1))).sum(axis=1)
    targets = np.eye(true.shape[1])[drawn]
    if task == "binary":
        targets, predictions = targets[:, 1:], predictions[:, 1:]
    found = scores.score(task, LOSSES[task], targets, predictions, "abc"[: true.shape[1]])
    return found["calibration_error"], found["calibration_error_floor"]


@pytest.mark.parametrize("task", LOSSES)
@pytest.mark.parametrize(("reviews", "draws"), [(200, 400), (2_000, 200), (25_000, 40)])
def test_the_error_of_a_calibrated_network_is_at_its_floor_and_of_others_above(
    task, reviews, draws
):
    errors, floors = np.array([calibration(task, reviews, 1, seed) for seed in range(draws)]).T
    # the error of a sample differs from its mean by about 25 %
    assert errors.mean() == pytest.approx(floors.mean(), rel=0.02 + 3 * 0.25 / np.sqrt(draws))
    assert (errors < 1.5 * floors).mean() > 0.88
    errors, floors = np.array([calibration(task, reviews, 2, seed) for seed in range(10)]).T
    assert (errors > 1.5 * floors).mean() >= 0.9


def test_the_floor_worked_out_by_hand():
    # one case alone differs from its probability p by 2 p (1 - p), two of 0.5 by 0.25 each
    assert scores.calibration_error_floor("binary", np.array([[0.1]])) == pytest.approx(0.18)
    assert scores.calibration_error_floor("binary", np.array([[0.5]] * 2)) == pytest.approx(0.25)
    apart = np.array([[0.1, 0.3], [0.6, 0.9]])
    expected = np.mean([0.18, 0.42, 0.48, 0.18])
    assert scores.calibration_error_floor("multilabel", apart) == pytest.approx(expected)
    sure = np.array([[0.0], [1.0], [1 + 1e-7]], dtype=np.float32)
    assert scores.calibration_error_floor("binary", sure) == 0


def test_sure_answers_that_are_wrong_are_counted():
    yes, no = [1.0], [0.0]
    targets, predictions = np.array([yes, yes, no, no, no]), [[0.99], [0.04], [0.96], [0.9], [0.01]]
    found = scores.sure("binary", targets, np.array(predictions, dtype=np.float32))
    assert found == {"answers": 4, "wrong": 2}
    found = scores.sure("multilabel", np.array([[1, 0]]), np.array([[0.03, 0.02]]))
    assert found == {"answers": 2, "wrong": 1}
    three = np.array([[0.97, 0.02, 0.01], [0.5, 0.3, 0.2]])
    assert scores.sure("multiclass", np.eye(3)[[1, 1]], three) == {"answers": 1, "wrong": 1}


def test_numbers_have_no_calibration():
    found = scores.score("regression", "mean_squared_error", TARGETS, PROBABILITY, ["0", "1"])
    assert not any("calibration" in name for name in found)


@pytest.mark.parametrize("task", TASKS)
def test_the_main_score_is_any_but_the_calibration_error(task):
    outputs = 2 if task.startswith("multi") else 1
    targets = np.eye(2)[:, :outputs]
    found = scores.weighted(
        task, TASKS[task].losses[0], targets, targets, ["0", "1"], np.ones((1, 2))
    )
    assert set(found) - {"calibration_error"} == set(TASKS[task].scores)


def rare(reviews, seed=0):
    """Targets and predictions for a class that has 5 % of the reviews."""
    chance = np.random.default_rng(seed)
    targets = (chance.random((reviews, 1)) < 0.05).astype(float)
    return targets, 1 / (1 + np.exp(2 - 1.5 * targets - chance.normal(size=(reviews, 1))))


def test_the_chosen_score_has_an_interval():
    given = ("binary", "binary_crossentropy")
    once = scores.score(*given, *rare(500), CLASSES, main="average_precision")
    low, value, high = (once[f"average_precision{end}"] for end in ("_low", "", "_high"))
    assert low < value < high
    without = {name: once[name] for name in once if not name.startswith("average_precision_")}
    assert without == scores.score(*given, *rare(500), CLASSES)
    assert list(without) == [name for name in once if name in without]
    # four times the reviews halve it, and the order of the rows does not matter
    targets, predictions = rare(2_000)
    more = scores.score(*given, targets, predictions, CLASSES, "average_precision")
    width = more["average_precision_high"] - more["average_precision_low"]
    assert width == pytest.approx((high - low) / 2, rel=0.3)
    turned = scores.score(*given, targets[::-1], predictions[::-1], CLASSES, "average_precision")
    assert turned == pytest.approx(more)


def test_a_chosen_score_that_is_not_defined_has_no_interval():
    one = np.ones((4, 1))
    found = scores.score("binary", "binary_crossentropy", one, one, CLASSES, "roc_auc")
    assert found["roc_auc"] is None
    assert "roc_auc_low" not in found


@pytest.mark.parametrize("share", [0.85, 0.97])
def test_an_interval_over_films_covers_what_one_over_reviews_does_not(share):
    chance = np.random.default_rng(0)
    covered = {"films": 0, "reviews": 0}
    for _ in range(400):
        films = np.repeat(np.arange(80), 1 + chance.poisson(7, 80))
        of_film = chance.beta(4 * share, 4 * (1 - share), 80)  # correlation 0.2 within a film
        right = (chance.random(len(films)) < of_film[films])[:, None].astype(float)
        for over, groups in (("films", films), ("reviews", None)):
            found = scores.score(
                "binary", LOSSES["binary"], right, np.ones_like(right), CLASSES, groups=groups
            )
            covered[over] += found["accuracy_low"] <= share <= found["accuracy_high"]
    assert covered["films"] >= 0.92 * 400
    assert covered["reviews"] <= 0.90 * 400


def test_one_film_or_only_right_answers():
    right = np.ones((20, 1))
    given = "binary", LOSSES["binary"], right, right * 0.9, CLASSES
    of_one = scores.score(*given, groups=np.zeros(20))
    assert of_one["groups"] == 1
    assert of_one["accuracy_low"] < 0.05
    of_five = scores.score(*given, groups=np.repeat(["a", "b", "c", "d", "e"], 4))
    assert of_one["accuracy_low"] < of_five["accuracy_low"] < scores.score(*given)["accuracy_low"]
    assert of_five["accuracy_high"] == pytest.approx(1)


@pytest.mark.parametrize("task", NUMERIC)
def test_an_interval_of_another_score_is_over_films_too(task):
    chance = np.random.default_rng(0)
    films = np.repeat(np.arange(50), 10)
    targets = np.linspace(0, 1, 500)[:, None]
    predictions = targets + chance.gamma(1, 0.1, 50)[films][:, None]
    widths = []
    for groups in (None, films):
        found = scores.score(
            task, "mean_squared_error", targets, predictions, ["0", "1"], MAE, groups
        )
        assert found[f"{MAE}_low"] < found[MAE] < found[f"{MAE}_high"]
        widths.append(found[f"{MAE}_high"] - found[f"{MAE}_low"])
    assert widths[1] == pytest.approx(np.sqrt(10) * widths[0], rel=0.15)


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


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_the_scores_of_each_class_are_scikit_learns(task):
    chance = np.random.default_rng(0)
    outputs = 1 if task == "binary" else 3
    predictions = chance.random((60, outputs))
    targets = chance.integers(0, 2, (60, outputs)).astype(float)
    actual, predicted = targets, predictions >= 0.3
    if task == "multiclass":
        targets = np.eye(3)[chance.integers(0, 3, 60)]
        actual, predicted = targets.argmax(axis=1), predictions.argmax(axis=1)
    labels = CLASSES if task == "binary" else ["a", "b", "c"]
    found = scores.classes(task, targets, predictions, labels, 0.3)
    expected = np.array(metrics.precision_recall_fscore_support(actual, predicted))
    assert list(found) == labels
    for values, theirs in zip(found.values(), expected.T, strict=True):
        assert list(values) == ["precision", "recall", "f1", "support"]
        assert list(values.values()) == pytest.approx(theirs)


def test_a_class_that_is_not_predicted_or_does_not_occur_has_scores_without_a_value():
    targets, predictions = np.eye(4)[[0, 0, 1]], np.eye(4)[[0, 2, 2]]
    found = scores.classes("multiclass", targets, predictions, "abcd")
    assert found["b"] == {"precision": None, "recall": 0, "f1": 0, "support": 1}
    assert found["c"] == {"precision": 0, "recall": None, "f1": 0, "support": 0}
    assert found["d"] == {"precision": None, "recall": None, "f1": None, "support": 0}
    assert scores.classes("regression", TARGETS, PROBABILITY, ["0", "1"]) == {}


def test_the_threshold_changes_the_labels_and_no_score_of_probabilities():
    given = "binary", LOSSES["binary"], TARGETS, PROBABILITY, CLASSES
    found, lower = scores.score(*given, threshold=[0.65]), scores.score(*given)
    assert found["accuracy"] == found["f1"] == found["macro_f1"] == found["matthews"] == 1
    assert found["accuracy_low"] > lower["accuracy_low"]
    for name in ("loss", "roc_auc", "average_precision", "calibration_error"):
        assert found[name] == lower[name]
    several = np.hstack([PROBABILITY, PROBABILITY])
    given = "multilabel", LOSSES["binary"], np.hstack([TARGETS, TARGETS]), several, "ab"
    assert scores.score(*given, threshold=[0.65, 0.5])["exact_match"] == 0.75
    assert scores.score(*given, threshold=[0.65, 0.65])["exact_match"] == 1


def test_the_share_of_numbers_beyond_the_range_is_counted():
    targets, predictions = np.array([[1.0], [4], [10]]), np.array([[0.0], [4], [12]])
    found = scores.score("regression", "mean_squared_error", targets, predictions, ["1", "10"])
    assert found["clipped"] == pytest.approx(2 / 3)
    assert found["mean_absolute_error"] == 0
    assert found["loss"] == pytest.approx(5 / 3)


def test_only_labels_that_are_numbers_have_a_distance():
    targets = np.eye(2)
    given = "multiclass", LOSSES["multiclass"], targets, targets[::-1]
    assert scores.score(*given, ["1", "5"])[MAE] == 4
    assert scores.score(*given, ["1", "5"])["quadratic_weighted_kappa"] == -1
    assert not {MAE, "quadratic_weighted_kappa"} & set(scores.score(*given, ["1", "five"]))
