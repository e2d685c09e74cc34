import json

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from conftest import edit

from ajuste.data.encoder import Encoder, known_ids, write_part
from ajuste.data.text import tokens
from ajuste.evaluation import scores
from ajuste.files import read_arrays, significant, write_arrays, write_json
from ajuste.tasks import NUMERIC, TASKS, encode

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stage():
    from stages import evaluate

    return evaluate


WORDS = [
    ["good", "film"],
    ["didn't", "like", "it"],
    ["knot", "knotty", "note", "film"],
    ["not", "a", "good", "film", "at", "all"],
    [],
]
KNOWN = {"good", "film", "not", "a", "at", "all", "like", "it", "didn't", "note"}
NEGATIONS = ["not", "*n't"]


def members(stage, words, known=KNOWN, negations=NEGATIONS):
    found = stage.slices(words, known, negations)
    return {name: np.flatnonzero(chosen).tolist() for name, chosen in found.items()}


def test_slices(stage):
    assert members(stage, WORDS) == {
        "short": [0, 4],
        "medium": [1, 2],
        "long": [3],
        "with negation": [1, 3],
        "without negation": [0, 2, 4],
        "with rare words": [2],
        "without rare words": [0, 1, 3, 4],
    }


def test_without_negations_there_are_no_slices_by_negation(stage):
    expected = {name: rows for name, rows in members(stage, WORDS).items() if "neg" not in name}
    assert members(stage, WORDS, negations=[]) == expected


@pytest.mark.parametrize(
    ("lengths", "short", "medium", "long"),
    [
        ([9], [0], [], []),
        ([2, 1], [1], [0], []),
        ([3, 3, 3, 3], [0, 1, 2, 3], [], []),
        ([1, 1, 1, 2, 2, 9], [0, 1, 2], [3, 4], [5]),
        ([5, 1, 4, 2, 6, 3], [1, 3], [2, 5], [0, 4]),
    ],
)
def test_reviews_of_equal_length_are_in_one_slice(stage, lengths, short, medium, long):
    found = members(stage, [["film"] * length for length in lengths])
    assert (found["short"], found["medium"], found["long"]) == (short, medium, long)
    assert found["with rare words"] == []


@hypothesis.given(
    words=st.lists(st.lists(st.sampled_from(["film", "not", "x", "y"])), min_size=1),
    shuffled=st.randoms(),
)
def test_each_review_is_in_one_slice_of_each_kind_whatever_their_order(words, shuffled):
    from stages import evaluate

    found = evaluate.slices(words, KNOWN, NEGATIONS)
    for kind in (["short", "medium", "long"], ["with negation", "without negation"]):
        assert (sum(found[name].astype(int) for name in kind) == 1).all()
    assert (found["with rare words"] != found["without rare words"]).all()
    assert found["with rare words"].sum() <= len(words) / 3
    order = list(range(len(words)))
    shuffled.shuffle(order)
    again = evaluate.slices([words[row] for row in order], KNOWN, NEGATIONS)
    assert all((again[name] == found[name][order]).all() for name in found)


def write_curves(stage, task, targets):
    """What a training that overfits leaves behind, and the baselines."""
    accuracy = {} if task in NUMERIC else {"accuracy": 0.75}
    write_arrays(stage.VALIDATION, targets=targets, predictions=targets)
    answers = np.full_like(targets, 0.5) if accuracy else targets - np.sqrt(0.35)
    write_arrays(stage.LINEAR, validation=answers)
    metrics = {
        "loss_function": TASKS[task].losses[0],
        "kept_epoch": 5,
        "baseline_loss": 0.7,
        "standard_error": 0.01,
        "validation": {"loss": 0.6, **accuracy},
    }
    write_json(stage.TRAIN_METRICS / "metrics.json", metrics)
    scored = {"loss": 0.35, **accuracy, "average_precision": 0.6}
    both = {"validation": scored, "test": scored}
    write_json(stage.BASELINE, {"linear": both, "majority": both})
    for part, losses in (("train", [0.6, 0.4, 0.2, 0.1, 0.0]), ("validation", [0.6] * 5)):
        path = stage.TRAIN_METRICS / f"plots/metrics/{part}/loss.tsv"
        curve = pd.DataFrame({"step": range(1, 6), "loss": losses})
        path.parent.mkdir(parents=True)
        curve.to_csv(path, sep="\t", index=False)


ACTUAL = {
    "binary": ["negative", "positive"],
    "multiclass": ["3", "1"],
    "multilabel": ["", "drama|comedy"],
    "regression": ["1.00", "7.50"],
    "unit_regression": ["1.00", "7.50"],
}
CASES = [
    ("binary", ["probability"], "accuracy"),
    ("multiclass", ["probability_1", "probability_2", "probability_3"], "accuracy"),
    ("multilabel", ["probability_drama", "probability_comedy"], "exact_match"),
    ("regression", ["output"], "mean_absolute_error"),
    ("unit_regression", ["output"], "mean_absolute_error"),
]


def write_test_part(stage, model, task, **columns):
    """What the stages before leave behind: 20 reviews in the test part, and the curves."""
    encoder = Encoder.load(model)
    reviews = pd.DataFrame(
        {
            "review": ["A bad film.", "A good film."] * 10,
            "label": ACTUAL[task] * 10,
            "origin": [f"line {row}" for row in range(20)],
            **columns,
        }
    )
    stage.TEST.parent.mkdir(parents=True)
    reviews.to_parquet(stage.TEST)
    targets = encode(task, reviews["label"], encoder.labels)
    rows = [known_ids(tokens(text), encoder.ids) for text in reviews["review"]]
    write_part(stage.TOKENS / "test.npz", rows, targets)
    write_curves(stage, task, targets)
    return encoder.labels, targets


@pytest.mark.parametrize(("task", "beside", "main_score"), CASES)
def test_every_task_is_scored(stage, in_tmp, little_model, capsys, task, beside, main_score):
    labels, targets = write_test_part(stage, little_model(task), task)
    stage.main()
    found = json.loads(stage.METRICS.read_text())
    assert found["reviews"] == 20
    assert found["slices"].keys() == {"short", "without negation", "without rare words"}
    of_all = {
        name: found[name] for name in found if name not in ("classes", "fit", "slices", "sure")
    }
    assert found["slices"]["short"] == of_all
    said = capsys.readouterr().out
    assert said.startswith(
        f"evaluate: {main_score.replace('_', ' ')} {found[main_score]:.3f} on 20"
    )
    low, high = found[f"{main_score}_low"], found[f"{main_score}_high"]
    assert f"(95 % interval {low:.3f} to {high:.3f})" in said
    calibrated = "a perfectly calibrated network would show about" in said
    assert calibrated == ("calibration_error_floor" in found) == (main_score != CASES[-1][-1])
    assert found["fit"]["verdict"] == "overfitting"
    sentence = found["fit"]["sentence"]
    assert sentence.startswith("Overfitting (99 % sure); ")
    assert ("100 % right in validation" in sentence) == (main_score != CASES[-1][-1])
    assert ("where the linear baseline explains 50 %" in sentence) == (task in NUMERIC)
    assert f"\n{sentence}\nThe fit: validation is worse than training" in said
    assert "dvc exp run -S model=linear -S +models.linear.dropout=0.3" in said
    answers = pd.read_csv(stage.REPORTS / "predictions.csv", dtype=str, keep_default_na=False)
    assert list(answers) == ["origin", "actual", "predicted", *beside, "slices"]
    assert set(answers["slices"]) == {"short|without negation|without rare words"}
    # and they give the scores again, to the last digit that is written
    predictions = answers[beside].to_numpy(np.float32)
    again = scores.score(task, TASKS[task].losses[0], targets, predictions, labels, main_score)
    assert significant(again) == of_all
    assert answers["actual"].tolist() == ACTUAL[task] * 10
    if main_score != "mean_absolute_error":
        right = (answers["actual"] == answers["predicted"]).mean()
        assert found[main_score] == right


def test_the_wrong_answers_are_listed_the_surest_first(stage):
    answers = pd.DataFrame({"origin": list("abcd"), "actual": "x", "predicted": list("xyyy")})
    text = pd.Series(["one", "two", "three", "four"])
    predictions = np.array([[0.9], [0.3], [0.1], [0.3]])
    found = stage.surest_errors(answers, text, np.ones((4, 1)), predictions)
    assert found["origin"].tolist() == ["c", "d", "b"]  # of equals the first in the alphabet
    assert found["review"].tolist() == ["three", "four", "two"]
    assert found["error"].tolist() == pytest.approx([0.9, 0.7, 0.7])


def test_the_wrong_answers_are_in_a_file_with_their_text(stage, in_tmp, little_model):
    write_test_part(stage, little_model("binary"), "binary")
    stage.main()
    wrong = pd.read_csv(stage.REPORTS / "errors.csv")
    answers = pd.read_csv(stage.REPORTS / "predictions.csv")
    missed = answers[answers["actual"] != answers["predicted"]]
    assert sorted(wrong["origin"]) == sorted(missed["origin"])
    assert set(wrong["review"]) <= {"A bad film.", "A good film."}


def test_what_a_word_adds_to_an_error_is_in_log_odds(stage, monkeypatch):
    """Both answers are wrong; without `a` the first would be 0.5, without `b` the second 0.9."""
    monkeypatch.setattr(stage, "WORDS", 1)
    targets, answers = np.array([[0.0], [1.0]]), np.array([[0.9], [0.5]])
    effects = [{"a": np.array([0.4]), "x": np.array([-0.01])}, {"b": np.array([-0.4])}]
    origins = pd.Series(["one", "two"])
    found = stage.words_that_mattered("binary", origins, targets, answers, effects)
    assert found[["origin", "word"]].to_numpy().tolist() == [["one", "a"], ["two", "b"]]
    assert found["effect"].tolist() == pytest.approx([np.log(9), np.log(9)])
    found = stage.words_that_mattered("regression", origins, targets, answers, effects)
    assert found["effect"].tolist() == pytest.approx([0.4, 0.4])


def test_the_surest_errors_have_words_and_the_network_has_its_layers(stage, in_tmp, little_model):
    write_test_part(stage, little_model("multiclass"), "multiclass")
    stage.main()
    words = pd.read_csv(stage.REPORTS / "words.csv")
    errors = pd.read_csv(stage.REPORTS / "errors.csv")
    assert set(words["origin"]) == set(errors["origin"])
    assert set(words["word"]) == {"film", "bad" if "bad" in errors["review"][0] else "good"}
    layers = pd.read_csv(stage.REPORTS / "layers.csv")
    assert layers[["type", "output", "parameters"]].to_numpy().tolist()[0] == [
        *("Embedding", "4 x 3", 15)
    ]


def test_another_loss_is_judged_by_the_linear_baseline_of_that_loss(stage, in_tmp, little_model):
    write_test_part(stage, little_model("regression"), "regression")
    trained = {**json.loads((stage.TRAIN_METRICS / "metrics.json").read_text())}
    trained["loss_function"] = "mean_absolute_error"
    write_json(stage.TRAIN_METRICS / "metrics.json", trained)
    targets = read_arrays(stage.VALIDATION)["targets"]
    write_arrays(stage.LINEAR, validation=targets + 0.35)
    stage.main()
    explained = json.loads(stage.METRICS.read_text())["fit"]["explained"]
    assert explained["linear"] == pytest.approx(1 - 0.5**2)


def test_the_main_score_is_a_parameter(stage, in_tmp, little_model, capsys):
    write_test_part(stage, little_model("binary"), "binary")
    edit(in_tmp / "params.yaml", {"score: null": "score: average_precision"})
    stage.main()
    found = json.loads(stage.METRICS.read_text())
    for scored in (found, found["slices"]["short"]):
        assert scored["average_precision_low"] <= scored["average_precision_high"]
        assert scored["accuracy_low"] < scored["accuracy"] < scored["accuracy_high"]
    said = capsys.readouterr().out
    assert said.startswith(f"evaluate: average precision {found['average_precision']:.3f} on 20")


def test_a_language_without_negations_says_so_once(stage, in_tmp, little_model, capsys):
    write_test_part(stage, little_model("binary"), "binary")
    edit(in_tmp / "params.yaml", {"language: english": "language: other"})
    stage.main()
    assert json.loads(stage.METRICS.read_text())["slices"].keys() == {"short", "without rare words"}
    said = "evaluate: `languages.other` has no negations: no slices by negation\n"
    assert capsys.readouterr().out.count(said) == 1


def test_a_split_by_group_has_intervals_over_groups(stage, in_tmp, little_model, capsys):
    films = np.repeat([7, 3, 11, 5], 5)
    labels, targets = write_test_part(stage, little_model("binary"), "binary", group=films)
    stage.main()
    answers = pd.read_csv(stage.REPORTS / "predictions.csv")
    assert list(answers)[-2:] == ["group", "slices"]
    assert answers["group"].tolist() == films.tolist()
    found = json.loads(stage.METRICS.read_text())
    assert found["groups"] == found["slices"]["short"]["groups"] == 4
    given = "binary", "binary_crossentropy", targets, answers[["probability"]].to_numpy(np.float32)
    again = significant(scores.score(*given, labels, groups=films))
    assert {name: found[name] for name in again} == again
    plain = significant(scores.score(*given, labels))
    assert plain["accuracy_low"] > found["accuracy_low"]
    assert " on 20 test reviews of 4 groups (95 % interval " in capsys.readouterr().out


def test_the_sentence_on_a_score_that_is_not_defined(stage):
    overall = {"reviews": 3, "roc_auc": None, "loss": 0.5}
    assert list(stage.tell("roc_auc", overall)) == [
        "roc auc is not defined on 3 test reviews, loss 0.500"
    ]
    assert list(stage.tell("loss", overall)) == ["loss 0.500 on 3 test reviews"]
