import json

import numpy as np
import pandas as pd
import pytest

from ajuste.data.text import Encoder, tokens
from ajuste.evaluation import scores
from ajuste.files import significant, write_arrays, write_json
from ajuste.tasks import TASKS, encode

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stage():
    from stages import evaluate

    return evaluate


@pytest.fixture
def cuts(stage):
    return stage.Evaluate(
        short_words=2,
        long_words=4,
        rare_count=3,
        rare_share=0.4,
        negations=["not", "*n't"],
        fit={
            "max_gap": 0.15,
            "max_rise": 0.05,
            "min_explained": 0.3,
            "min_of_linear": 0.67,
            "min_progress": 0.06,
        },
    )


WORDS = [
    ["good", "film"],
    ["didn't", "like", "it"],
    ["knot", "knotty", "note", "film"],
    ["not", "a", "good", "film", "at", "all"],
    [],
]
COUNTS = dict.fromkeys(("good", "film", "not", "a", "at", "all", "like", "it", "didn't"), 9)


def test_slices(stage, cuts):
    members = stage.slices(WORDS, {**COUNTS, "note": 2}, cuts)
    assert {name: np.flatnonzero(chosen).tolist() for name, chosen in members.items()} == {
        "short": [0, 4],
        "medium": [1, 2],
        "long": [3],
        "with negation": [1, 3],
        "without negation": [0, 2, 4],
        "with rare words": [2],
        "without rare words": [0, 1, 3, 4],
    }


def write_curves(stage):
    """What a training that overfits leaves behind."""
    metrics = {"kept_epoch": 5, "baseline_loss": 0.7, "standard_error": 0.01}
    write_json(stage.TRAIN_METRICS / "metrics.json", metrics)
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


@pytest.mark.parametrize(("task", "beside", "main_score"), CASES)
def test_every_task_is_scored(stage, in_tmp, little_model, capsys, task, beside, main_score):
    encoder = Encoder.load(little_model(task))
    reviews = pd.DataFrame(
        {
            "review": ["A bad film.", "A good film."] * 10,
            "label": ACTUAL[task] * 10,
            "origin": [f"line {row}" for row in range(20)],
        }
    )
    stage.TEST.parent.mkdir(parents=True)
    reviews.to_parquet(stage.TEST)
    write_arrays(
        stage.TOKENS / "test.npz",
        token_ids=encoder.encode([tokens(text) for text in reviews["review"]]),
        targets=encode(task, reviews["label"], encoder.labels),
    )
    write_curves(stage)
    stage.main()
    found = json.loads(stage.METRICS.read_text())
    assert found["reviews"] == 20
    assert found["slices"].keys() == {"short", "without negation", "with rare words"}
    of_all = {name: found[name] for name in found if name not in ("fit", "slices")}
    assert found["slices"]["short"] == of_all
    said = capsys.readouterr().out
    assert main_score.replace("_", " ") in said
    assert found["fit"]["verdict"] == "overfitting"
    assert "\nfit: overfitting: " in said
    assert "dvc exp run -S model=gru -S models.gru.dropout=0.3" in said
    answers = pd.read_csv(stage.REPORTS / "predictions.csv", dtype=str, keep_default_na=False)
    assert list(answers) == ["origin", "actual", "predicted", *beside, "slices"]
    assert set(answers["slices"]) == {"short|without negation|with rare words"}
    # and they give the scores again, to the last digit that is written
    targets = encode(task, reviews["label"], encoder.labels)
    predictions = answers[beside].to_numpy(np.float32)
    again = scores.score(task, TASKS[task].losses[0], targets, predictions, encoder.labels)
    assert significant(again) == of_all
    assert answers["actual"].tolist() == ACTUAL[task] * 10
    if main_score != "mean_absolute_error":
        right = (answers["actual"] == answers["predicted"]).mean()
        assert found[main_score] == right
