from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from ajuste.data.encoder import Encoder, count_words, read_part, read_vocabulary
from ajuste.errors import PipelineError
from ajuste.files import read_arrays, write_json
from stages import tokenize as stage


def test_the_summary_of_the_encoder():
    train = [["good", "film"], ["bad", "film", "bad", "film"], ["rare"]]
    assert stage.summary(count_words(train, 2), train, [["film", "new"], ["bad", "bad"]]) == {
        "vocabulary": 2,
        "median_length": 2,
        "unknown": 0.25,
    }


@pytest.mark.parametrize("text", ["!!!?", "\U0001f600", "new"])
def test_a_validation_part_without_a_known_word_is_refused(in_tmp, text):
    values = yaml.safe_load(Path("params.yaml").read_text())
    values["tokenize"]["min_count"] = 1
    Path("params.yaml").write_text(yaml.safe_dump(values, allow_unicode=True))
    stage.SPLIT.mkdir(parents=True)
    for part, review in {"train": "good film", "validation": text, "test": "good"}.items():
        table = pd.DataFrame({"review": [review], "label": ["positive"]})
        table.to_parquet(stage.SPLIT / f"{part}.parquet")
    write_json(stage.LABELS, ["negative", "positive"])
    with pytest.raises(PipelineError, match=r"validation\.parquet: no review has a word of"):
        stage.main()
    assert not stage.FOLDER.exists()


@pytest.mark.parametrize(
    ("task", "labels", "texts", "targets"),
    [
        ("binary", ["negative", "positive"], ["positive", "negative"], [[1], [0]]),
        ("multilabel", ["drama", "comedy"], ["comedy|drama", ""], [[1, 1], [0, 0]]),
        ("unit_regression", ["1", "5"], ["5", "2"], [[1], [0.25]]),
    ],
)
def test_the_targets_are_saved_with_the_token_ids(in_tmp, task, labels, texts, targets):
    values = yaml.safe_load(Path("params.yaml").read_text())
    values["task"] = task
    values["tokenize"]["min_count"] = 1
    Path("params.yaml").write_text(yaml.safe_dump(values, allow_unicode=True))
    stage.SPLIT.mkdir(parents=True)
    for part in ("train", "validation", "test"):
        table = pd.DataFrame({"review": ["good film", "bad"], "label": texts})
        table.to_parquet(stage.SPLIT / f"{part}.parquet")
    write_json(stage.LABELS, labels)
    stage.main()
    arrays = read_arrays(stage.FOLDER / "validation.npz")
    assert arrays.keys() == {"token_ids", "lengths", "targets"}
    assert arrays["targets"].tolist() == targets
    assert arrays["targets"].dtype == np.float32
    encoder = Encoder(read_vocabulary(stage.FOLDER / "vocabulary.tsv"), 2, "last", task, labels)
    read = read_part(stage.FOLDER / "validation.npz", 2, "last")
    assert read["token_ids"].tolist() == encoder.encode([["good", "film"], ["bad"]]).tolist()
