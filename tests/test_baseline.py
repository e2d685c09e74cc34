import re

import numpy as np
import pandas as pd
import pytest
import yaml

from ajuste.errors import PipelineError
from ajuste.evaluation.scores import MAIN
from ajuste.files import read_arrays, read_json, significant, write_json
from ajuste.tasks import ORDERED, TASKS, baseline_loss, encode
from stages import baseline as stage

LABELS = {
    "binary": ["negative", "positive"],
    "multiclass": ["a", "b", "c"],
    "multilabel": ["a", "b"],
    "regression": ["1", "10"],
    "unit_regression": ["1", "10"],
}
ANSWERS = {
    "binary": ["negative", "positive"],
    "multiclass": ["a", "b"],  # no review of c
    "multilabel": ["a", "a|b"],  # all reviews have a
    "regression": ["2", "9"],
    "unit_regression": ["1", "10"],
}
SIZES = {"train": 30, "validation": 8, "test": 6}


def write_parts(task, words=("bad", "good")):
    """Reviews whose first word tells the label."""
    write_json(stage.LABELS, LABELS[task])
    for part, size in SIZES.items():
        kinds = [n % 2 for n in range(size)]
        reviews = [f"{words[kind]} film" for kind in kinds]
        labels = [ANSWERS[task][kind] for kind in kinds]
        stage.SPLIT.mkdir(parents=True, exist_ok=True)
        table = pd.DataFrame({"review": reviews, "label": labels, "origin": "line"})
        table.to_parquet(stage.SPLIT / f"{part}.parquet")


def set_task(folder, task):
    path = folder / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump({**params, "task": task}), encoding="utf-8")


@pytest.mark.parametrize("task", TASKS)
def test_few_reviews_of_every_task_are_scored(in_tmp, task, capsys):
    set_task(in_tmp, task)
    write_parts(task)
    stage.main()
    found = read_json(stage.METRICS)
    assert [found["linear"][part]["reviews"] for part in stage.SCORED] == [8, 6]
    for part in stage.SCORED:
        scored = set(TASKS[task].scores) - (set(ORDERED) if task == "multiclass" else set())
        assert set(found["majority"][part]) == scored
        assert found["linear"][part]["loss"] < 0.5 * found["majority"][part]["loss"]
    main = MAIN[task].replace("_", " ")
    number = r"[\d.]+ \([\d.]+\)"
    line = rf"baseline: {main} \(loss\) on validation: majority {number}, linear {number}\n"
    assert re.fullmatch(line, capsys.readouterr().out)


@pytest.mark.parametrize("task", TASKS)
def test_the_majority_loss_is_that_of_the_verdict(in_tmp, task):
    set_task(in_tmp, task)
    write_parts(task)
    stage.main()
    targets = encode(task, ANSWERS[task] * 4, LABELS[task])
    expected = significant(baseline_loss(TASKS[task].losses[0], targets))
    assert read_json(stage.METRICS)["majority"]["validation"]["loss"] == expected


def test_predictions_and_words_are_written(in_tmp):
    write_parts("binary")
    stage.main()
    predictions = read_arrays(stage.PREDICTIONS)
    assert {part: (a.shape, a.dtype) for part, a in predictions.items()} == {
        "validation": ((8, 1), np.float32),
        "test": ((6, 1), np.float32),
    }
    table = pd.read_csv(stage.WORDS)
    assert set(table["ngram"][table["label"] == "positive"]) == {"good", "good film"}


def test_the_test_part_decides_nothing(in_tmp):
    write_parts("binary")
    stage.main()
    before = read_json(stage.METRICS), stage.WORDS.read_bytes()
    path = stage.SPLIT / "test.parquet"
    table = pd.read_parquet(path)
    table["label"] = table["label"].map({"positive": "negative", "negative": "positive"})
    table.to_parquet(path)
    stage.main()
    after = read_json(stage.METRICS), stage.WORDS.read_bytes()
    assert before[0]["linear"].pop("test") != after[0]["linear"].pop("test")
    before[0]["majority"].pop("test"), after[0]["majority"].pop("test")
    assert before == after


def test_a_single_word_is_enough(in_tmp):
    write_parts("binary", words=("film", "film"))
    stage.main()
    assert read_json(stage.METRICS)["linear"]["test"]["loss"] == pytest.approx(np.log(2), abs=0.01)


def test_without_a_test_part_nothing_is_scored(in_tmp):
    write_parts("binary")
    path = stage.SPLIT / "test.parquet"
    pd.read_parquet(path).head(0).to_parquet(path)
    with pytest.raises(PipelineError, match=r"`split.test` is 0, .* run `dvc repro train`"):
        stage.main()


def test_reviews_that_share_no_word_are_refused_in_one_line(in_tmp):
    write_parts("binary")
    path = stage.SPLIT / "train.parquet"
    table = pd.read_parquet(path)
    table["review"] = [f"word{n}" for n in range(len(table))]
    table.to_parquet(path)
    with pytest.raises(PipelineError, match=r"train.parquet: no word occurs in 2 reviews; add"):
        stage.main()
