import csv
import re
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, run

from ajuste.data.encoder import Encoder
from ajuste.errors import PipelineError
from serving import predict

pytestmark = pytest.mark.slow

SENTENCE = "One of the best films I have seen."


@pytest.fixture(scope="module")
def folder(reproduced):
    """The model of a whole run."""
    return reproduced[1] / "data/model"


@pytest.fixture(scope="module")
def classifier(folder):
    from serving.classifier import Classifier

    return Classifier.load(str(folder))


def score(*arguments) -> None:
    """Do what the command does with these arguments."""
    predict.main([str(argument) for argument in arguments])


def test_raw_text_gives_the_predictions_of_the_pipeline(reproduced, classifier):
    reviews = pd.read_parquet(reproduced[1] / "data/split/test.parquet")
    predictions = pd.read_csv(reproduced[1] / "reports/evaluate/predictions.csv")
    probability = classifier.probability(list(reviews["review"]))
    assert np.allclose(probability, predictions["probability"], atol=1e-6)
    assert classifier.label(probability[:, None]) == predictions["predicted"].tolist()


def test_a_review_gets_the_same_alone_and_among_others(classifier):
    among = classifier.probability([SENTENCE, "Dull. " * 300, "A mess."])
    assert classifier.probability([SENTENCE])[0] == pytest.approx(among[0], abs=1e-6)


def test_no_text_and_text_without_a_known_word(classifier):
    assert classifier.predict([]).shape == (0, 1)
    predictions = classifier.predict(["", "...", "zzzzyx"])
    assert np.isnan(predictions).all()
    assert classifier.label(predictions) == [None, None, None]


@pytest.mark.parametrize(
    "network",
    [
        {"network": "bag_of_words", "units": [2]},
        {"network": "gru", "units": 2, "embedding": "scratch", "embedding_width": 2},
    ],
)
def test_a_word_beyond_max_features_is_not_known(network):
    """The vocabulary has three words; the network knows two of them."""
    from ajuste.training.build import build
    from serving.classifier import Classifier
    from serving.keras_network import KerasNetwork

    entry = {
        **network,
        "max_features": 4,
        "optimizer": "adam",
        "learning_rate": 0.1,
        "schedule": "constant",
        "batch_size": 1,
        "epochs": 1,
    }
    model, _ = build("small", {**entry, "max_length": 3}, np.zeros((5, 2), np.float32))
    encoder = Encoder({"good": 9, "bad": 7, "film": 5}, 3, "last", "binary", ["a", "b"])
    unknown = np.isnan(
        Classifier(KerasNetwork(model), encoder).predict(["film", "good film", "bad", "other"])
    )
    assert unknown[:, 0].tolist() == [True, False, False, True]


def test_a_probability_is_for_two_classes(little_model):
    from serving.classifier import Classifier

    with pytest.raises(
        ValueError, match="for the task binary, but this model has the task multiclass"
    ):
        Classifier.load(little_model("multiclass")).probability(["good film"])


def test_a_file_keeps_its_rows_their_order_and_its_other_columns(
    classifier, folder, tmp_path, capsys
):
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
    score("--csv", source, "--column", "text", "--output", target, "--model", folder)
    assert (
        "1 of 4 texts have no word that the model knows; there is no answer (lines 5)"
        in capsys.readouterr().err
    )
    with target.open(encoding="utf-8", newline="") as file:
        written = list(csv.reader(file))
    assert [row[:3] for row in written] == table
    assert written[0][3:] == ["sentiment", "probability"]
    assert written[3][3:] == ["", ""]
    texts = [row[1] for row in table[1:]]
    assert [row[3] or None for row in written[1:]] == classifier.label(classifier.predict(texts))
    assert float(written[2][4]) == pytest.approx(classifier.probability(texts)[1], abs=1e-6)


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
    from serving.classifier import Classifier

    folder, source, target = little_model(task), tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("review\ngood film\n...\n")
    score("--csv", source, "--output", target, "--model", folder)
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
    with pytest.raises(PipelineError, match=f"line 1: there is a column `{added[0]}` already"):
        score("--csv", source, "--output", target, "--model", folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text\nx\n", "line 1: no column `review`"),
        ("", "empty"),
        ("review\n" + "good film\n" * 5000 + "a,b\n", "line 5002: 2 fields, the header has 1"),
    ],
)
def test_a_file_that_cannot_be_scored(little_model, tmp_path, content, message):
    folder, source = little_model("binary"), tmp_path / "in.csv"
    source.write_text(content)
    with pytest.raises(PipelineError, match=message):
        score("--csv", source, "--output", tmp_path / "out.csv", "--model", folder)
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "data"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give texts, or - for texts from standard input, or --csv FILE"),
        (["good", "--csv", "in.csv"], "give texts, or -"),
        (["good", "-"], "give no other text"),
        (["--csv", "in.csv", "--output", "in.csv"], "give another name to --output"),
        (["--csv", "in.csv", "--output", "."], "exists and is not a file"),
        (["--csv", "in.csv", "--output", "out.csv", "--separator", '"'], "takes one character"),
    ],
)
def test_arguments_that_are_refused(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text("review\nx\n")
    with pytest.raises(SystemExit):
        predict.arguments(arguments)
    assert message in capsys.readouterr().err


NETWORKS = [
    {"network": "bag_of_words", "units": [2], "max_features": 6},
    {"network": "gru", "units": 2, "embedding": "scratch", "embedding_width": 2, "max_features": 6},
    {"network": "dense", "units": [], "embedding": "frozen"},
]
TRAINING = {"optimizer": "adam", "learning_rate": 0.1, "schedule": "constant"}
TRAINING |= {"batch_size": 1, "epochs": 1}


@pytest.mark.parametrize("keep", ["first", "last"])
@pytest.mark.parametrize("network", NETWORKS)
def test_what_a_word_does_is_the_change_of_the_answer_without_it(network, keep, monkeypatch):
    from ajuste.training import backend, explain
    from ajuste.training.build import build
    from serving import classifier
    from serving.keras_network import KerasNetwork

    monkeypatch.setattr(explain, "VARIANTS", 8)  # two variants at once
    backend.seed(1)
    matrix = np.random.default_rng(1).normal(size=(7, 2)).astype(np.float32)
    model, _ = build("small", {"max_length": 4} | network | TRAINING, matrix, "multiclass", 3)
    counts = dict.fromkeys(("good", "bad", "film", "rare", "other"), 9)
    model = KerasNetwork(model)
    model = classifier.Classifier(model, Encoder(counts, 4, keep, "multiclass", ["a", "b", "c"]))
    seen = "bad film bad rare"  # with `max_features: 6` the network does not know `other`
    text = f"{seen} good x good" if keep == "first" else f"good x good {seen}"
    (answer, nothing, one) = model.answers([text, "x", "film x film"], why=True)
    assert list(answer.effects) == ["bad", "film", "rare"]
    for word, change in answer.effects.items():
        without = model.predict([" ".join(one for one in seen.split() if one != word)])[0]
        assert change == pytest.approx(answer.prediction - without, abs=1e-6)
    assert (answer.words, answer.known, answer.seen) == (7, 6, 4)
    assert (nothing.label, nothing.known, nothing.effects) == (None, 0, {})
    assert list(one.effects) == ["film"]
    assert np.isfinite(one.effects["film"]).all()
    known = 0 if "max_features" in network else 1
    assert model.answers(["other"], why=True)[0].known == known


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "regression"])
def test_what_the_words_did_is_on_the_screen_and_in_the_file(little_model, tmp_path, capsys, task):
    folder, target = little_model(task), tmp_path / "out.csv"
    score("good x film", "bad", "--why", "--model", folder)
    first, why, known, *_ = capsys.readouterr().out.splitlines()
    assert first.endswith("  good x film")
    assert why.startswith("  change of the value: " if task == "regression" else "  points for ")
    assert known == "  2 of 3 words are known"
    score("good x film", "bad", "--why", "--output", target, "--model", folder)
    table = pd.read_csv(target)
    assert list(table)[-2:] == ["known_words", "why"]
    assert table["known_words"].tolist() == [2, 1]
    assert re.fullmatch(
        r"(.*: )?(good|film) [+-]\d\.\d+, (good|film) [+-]\d\.\d+.*", table["why"][0]
    )


def test_every_probability_has_a_column(little_model, tmp_path, capsys):
    folder, target = little_model("multiclass"), tmp_path / "out.csv"
    score("good film", "--probabilities", "--output", target, "--model", folder)
    table = pd.read_csv(target)
    assert list(table)[1:] == ["label", "probability", *(f"probability_{n}" for n in "123")]
    every = table.iloc[0, 3:].to_numpy(float)
    assert every.sum() == pytest.approx(1, abs=1e-5)
    assert every.max() == table["probability"][0]
    capsys.readouterr()
    score("good film", "--probabilities", "--model", folder)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == [f"  {p:6.1%} {n}" for p, n in zip(every, "123", strict=True)]
    with pytest.raises(PipelineError, match="the task regression predicts a number"):
        score("good film", "--probabilities", "--model", little_model("regression"))


def test_from_standard_input_to_standard_output(little_model, tmp_path):
    source = tmp_path / "in.csv"
    source.write_text('n,review\n1,good film\n2,"bad\nfilm"\n')
    command = [sys.executable, "-m", "serving.predict", "--model", str(little_model("binary"))]
    read = 'cat "$0" | "$@" --csv - --output -'
    done = run("bash", "-c", read, str(source), *command, cwd=ROOT)
    score("--csv", source, "--output", tmp_path / "out.csv", "--model", little_model("binary"))
    assert done.stdout == (tmp_path / "out.csv").read_text()
    assert done.stderr == ""
    nobody = f"{read} | true; exit ${{PIPESTATUS[1]}}"
    done = run("bash", "-c", nobody, str(source), *command, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (141, "")
    source.write_text("n,text\n1,good film\n")
    done = run("bash", "-c", read, str(source), *command, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("predict: /dev/stdin, line 1: no column `review` with")


@pytest.mark.parametrize("fault", ["no folder", "no network", "damaged encoder", "no input"])
def test_a_fault_shows_before_tensorflow_is_loaded(little_model, tmp_path, fault):
    folder = little_model("binary")
    said = "model.keras: no such file or directory; run `dvc repro`"
    if fault == "no network":
        (folder / "model.keras").unlink()
    elif fault == "damaged encoder":
        (folder / "encoder.json").write_text("{}")
        said = "encoder.json: `max_length` is missing"
    elif fault == "no folder":
        folder, said = tmp_path / "none", "none/encoder.json: no such file or directory"
    else:
        said = "in.csv: no such file or directory; check the path"
    program = (
        "import sys; from ajuste.errors import PipelineError; from serving import predict\n"
        "try: predict.main(sys.argv[1:])\n"
        "except PipelineError as error: print(error, *sys.modules)"
    )
    arguments = ["--csv", str(tmp_path / "in.csv"), "--output", "-", "--model", str(folder)]
    printed = run(sys.executable, "-c", program, *arguments, cwd=ROOT).stdout
    assert said in printed
    assert not {"tensorflow", "keras"} & set(printed.split())


def test_a_closed_stream(little_model):
    command = [sys.executable, "-m", "serving.predict", "--model", str(little_model("binary"))]
    assert run("bash", "-c", '"$@" 2>&-', "bash", *command, "good", cwd=ROOT).stdout


def test_a_text_without_a_known_word_does_not_hide_the_others(little_model, capsys):
    folder = little_model("binary")
    with pytest.raises(PipelineError, match=r"'...': the text has no word that the model knows"):
        score("good", "...", "bad", "--model", folder)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] == "unknown" for line in lines] == [False, True, False]


def test_the_folder_of_the_model_is_all_that_is_needed(folder, tmp_path, monkeypatch, capsys):
    shutil.copytree(folder, tmp_path / "anywhere")
    monkeypatch.chdir(tmp_path)
    score(SENTENCE, "--model", "anywhere")
    score(SENTENCE, "--model", folder)
    one, other = capsys.readouterr().out.splitlines()
    assert one == other
    with pytest.raises(PipelineError, match="no such file or directory; run `dvc repro`, or `dvc"):
        score(SENTENCE)
