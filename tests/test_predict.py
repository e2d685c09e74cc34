import csv
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, run

from ajuste.errors import PipelineError

pytestmark = pytest.mark.slow

SENTENCE = "One of the best films I have seen."


@pytest.fixture(scope="module")
def classifier(finished):
    from serving.classifier import Classifier

    return Classifier.load(finished / "data/model")


def predict(*arguments: str, cwd: Path, check: bool = True):
    return run(sys.executable, "-m", "serving.predict", *arguments, cwd=cwd, check=check)


def test_raw_text_gives_what_the_pipeline_gave(finished, classifier):
    reviews = pd.read_parquet(finished / "data/split/test.parquet")
    predictions = pd.read_csv(finished / "reports/evaluate/predictions.csv")
    probability = classifier.probability(list(reviews["review"]))
    assert np.allclose(probability, predictions["probability"], atol=1e-6)
    assert classifier.label(probability[:, None]) == predictions["predicted"].tolist()


def test_a_review_gets_the_same_alone_and_among_others(classifier):
    among = classifier.probability([SENTENCE, "Dull. " * 300, "A mess."])
    assert classifier.probability([SENTENCE])[0] == pytest.approx(among[0], abs=1e-6)


def test_a_sentence(finished):
    said = predict(SENTENCE, cwd=finished)
    assert said.stdout.startswith("positive (")
    assert said.stderr == ""


def test_no_text_and_text_without_a_known_word(classifier):
    assert classifier.predict([]).shape == (0, 1)
    predictions = classifier.predict(["", "...", "zzzzyx"])
    assert np.isnan(predictions).all()
    assert classifier.label(predictions) == [None, None, None]


def test_a_file_keeps_its_rows_their_order_and_its_other_columns(finished, tmp_path):
    table = [
        ["id", "text", "note"],
        ["3", SENTENCE, "a, b"],
        ["1", "Awful, dull,\nand a waste of time.", ""],
        ["1", "...", 'a "quote"'],
        ["2", SENTENCE, "\u00f1"],
    ]
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    with source.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(table)
    said = predict("--csv", str(source), "--column", "text", "--output", str(target), cwd=finished)
    assert "1 rows without a known word (lines 5)" in said.stderr
    with target.open(encoding="utf-8", newline="") as file:
        written = list(csv.reader(file))
    assert [row[:3] for row in written] == table
    assert written[0][3:] == ["sentiment", "probability"]
    assert [row[3] for row in written[1:]] == ["positive", "negative", "", "positive"]
    assert written[1][3:] == written[4][3:]
    assert float(written[1][4]) > 0.5 > float(written[2][4])
    assert written[3][4] == ""


@pytest.mark.parametrize(
    ("task", "added"),
    [
        ("binary", ["sentiment", "probability"]),
        ("multiclass", ["label", "probability"]),
        ("multilabel", ["labels", "probability_drama", "probability_comedy"]),
        ("regression", ["value"]),
        ("unit_regression", ["value"]),
    ],
)
def test_the_columns_of_every_task(little_model, tmp_path, task, added):
    from serving import predict
    from serving.classifier import Classifier

    folder, source, target = little_model(task), tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("review\ngood film\n...\n")
    predict.score_csv(
        predict.arguments(["--csv", str(source), "--output", str(target), "--model", str(folder)])
    )
    with target.open(encoding="utf-8", newline="") as file:
        header, known, unknown = csv.reader(file)
    assert header == ["review", *added]
    assert unknown == ["...", *[""] * len(added)]
    classifier = Classifier.load(folder)
    predictions = classifier.predict(["good film"])
    assert known[1] == classifier.label(predictions)[0]
    if task == "multilabel":
        assert [float(cell) for cell in known[2:]] == pytest.approx(predictions[0], abs=1e-6)
    source.write_text(f"review,{added[0]}\nx,y\n")
    with pytest.raises(PipelineError, match=f"has a column `{added[0]}` already"):
        predict.score_csv(
            predict.arguments(
                ["--csv", str(source), "--output", str(target), "--model", str(folder)]
            )
        )


@pytest.mark.parametrize(
    ("task", "label", "prediction", "said"),
    [
        ("binary", "negative", [0.25], "negative (75.0%)"),
        ("binary", "positive", [0.75], "positive (75.0%)"),
        ("multiclass", "7", [0.1, 0.6, 0.3], "7 (60.0%)"),
        ("multilabel", "drama|comedy", [0.9, 0.6], "drama|comedy"),
        ("multilabel", "", [0.1, 0.2], "none"),
        ("regression", "7.25", [7.25], "7.25"),
    ],
)
def test_an_answer_on_the_screen(task, label, prediction, said):
    from serving.predict import shown

    assert shown(task, label, np.array(prediction)) == said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("text\nx\n", "line 1: no column `review`"),
        ("review,sentiment\nx,y\n", "has a column `sentiment` already"),
        ("", "empty"),
    ],
)
def test_a_file_that_cannot_be_scored(tmp_path, finished, content, said):
    (tmp_path / "in.csv").write_text(content)
    done = predict(
        "--csv", str(tmp_path / "in.csv"), "--output", str(tmp_path / "out.csv"),
        cwd=finished, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give a text, or --csv FILE --output FILE"),
        (["--csv", "in.csv"], "--csv and --output go together"),
        (["--csv", "in.csv", "--output", "in.csv"], "give it another name"),
        (["--csv", "in.csv", "--output", "."], "is there and is not a file"),
        (["--csv", "in.csv", "--output", "out.csv", "--separator", '"'], "one character, no quote"),
    ],
)
def test_arguments_that_cannot_be_meant(tmp_path, monkeypatch, capsys, arguments, said):
    from serving.predict import arguments as parse

    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text("review\nx\n")
    with pytest.raises(SystemExit):
        parse(arguments)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("streams", [">&-", "2>&-", ">&- 2>&-"])
def test_streams_that_are_closed(little_model, tmp_path, streams):
    little_model("binary")
    (tmp_path / "in.csv").write_text("review\ngood film\n...\n")
    command = [sys.executable, "-m", "serving.predict", "--model", str(tmp_path / "data/model")]
    for given in (["good"], ["--csv", f"{tmp_path}/in.csv", "--output", f"{tmp_path}/out.csv"]):
        done = run("bash", "-c", f'"$@" {streams}', "bash", *command, *given, cwd=ROOT)
        assert bool(done.stdout) == (">&-" not in streams.split())
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 3


def test_one_text_without_a_known_word_does_not_hide_the_others(finished):
    done = predict("excellent", "...", "terrible", cwd=finished, check=False)
    assert done.returncode == 1
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "positive",
        "unknown",
        "negative",
    ]
    assert "'...': no word that the model knows" in done.stderr


def test_a_fault_on_the_way_leaves_no_half_file(tmp_path, finished):
    (tmp_path / "in.csv").write_text("review\n" + "good film\n" * 5000 + "a,b\n")
    done = predict(
        "--csv", str(tmp_path / "in.csv"), "--output", str(tmp_path / "out.csv"),
        cwd=finished, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "line 5002: 2 fields, the header has 1" in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_the_folder_of_the_model_is_all_that_it_takes(finished, tmp_path):
    shutil.copytree(finished / "data/model", tmp_path / "anywhere")
    said = predict(SENTENCE, "--model", str(tmp_path / "anywhere"), cwd=finished)
    assert said.stdout == predict(SENTENCE, cwd=finished).stdout


def test_no_model(finished, tmp_path):
    done = predict(SENTENCE, "--model", str(tmp_path), cwd=finished, check=False)
    assert done.returncode == 1
    assert "no such file or directory; run `dvc repro`, or `dvc pull`" in done.stderr


def test_the_summary_shows_the_three_parts(finished):
    said = run(sys.executable, "-m", "ajuste.evaluation.summary", cwd=finished).stdout.splitlines()
    assert [line.split()[0] for line in said[:4]] == ["gru", "training", "validation", "test"]
    assert "95 % interval" in said[3]
    assert said[5].startswith("fit: ")
