import unicodedata

import numpy as np
import pytest

from ajuste.data.encoder import Encoder
from serving import shown
from serving.classifier import Answer

LABELS = {
    "binary": ["negative", "positive"],
    "multiclass": ["1", "7", "10"],
    "multilabel": ["drama", "comedy"],
    "regression": ["1", "10"],
    "unit_regression": ["1", "10"],
}


def encoder(task: str) -> Encoder:
    return Encoder({"good": 9}, 100, "last", task, LABELS[task])


def answer(label: str | None, prediction: list[float], **effects: list[float]) -> Answer:
    changes = {word: np.array(change) for word, change in effects.items()}
    return Answer(label, np.array(prediction), words=150, known=120, seen=100, effects=changes)


@pytest.mark.parametrize(
    ("task", "label", "prediction", "said"),
    [
        ("binary", "negative", [0.25], "negative (75.0%)"),
        ("binary", "positive", [0.75], "positive (75.0%)"),
        ("multiclass", "7", [0.1, 0.6, 0.3], "7 (60.0%)"),
        ("multilabel", "drama|comedy", [0.9, 0.6], "drama|comedy"),
        ("multilabel", "", [0.1, 0.2], "none"),
        ("regression", "7.25", [7.25], "7.25"),
        ("binary", None, [np.nan], "unknown"),
    ],
)
def test_an_answer_on_the_screen(task, label, prediction, said):
    assert shown.shown(encoder(task), label, np.array(prediction)) == said


@pytest.mark.parametrize(
    ("task", "given", "screen", "cell"),
    [
        (
            "binary",
            answer("negative", [0.2], good=[0.35], bad=[-0.31], a=[0.0001]),
            ["  points for negative: good -35.0, bad +31.0"],
            "good -0.350, bad +0.310",
        ),
        (
            "multiclass",
            answer("10", [0.1, 0.1, 0.8], good=[-0.1, 0, 0.1]),
            ["  points for 10: good +10.0"],
            "good +0.100",
        ),
        (
            "multilabel",
            answer("drama|comedy", [0.9, 0.6], war=[0.5, -0.1]),
            ["  points for drama: war +50.0", "  points for comedy: war -10.0"],
            "drama: war +0.500 | comedy: war -0.100",
        ),
        (
            "multilabel",
            answer("", [0.1, 0.4], fun=[0.0, 0.25]),
            ["  points for comedy: fun +25.0"],
            "comedy: fun +0.250",
        ),
        (
            "unit_regression",
            answer("5.50", [0.5], good=[0.25]),
            ["  change of the value: good +2.25"],
            "good +2.25",
        ),
        (
            "binary",
            answer("positive", [0.8], a=[0.0]),
            ["  points for positive: no word changes it"],
            "no word changes it",
        ),
        ("binary", answer(None, [np.nan]), [], ""),
    ],
)
def test_what_the_words_did(task, given, screen, cell):
    known = "  120 of 150 words are known; the network sees the last 100"
    assert shown.details(encoder(task), given, every=False, why=True) == [*screen, known]
    assert shown.cells(encoder(task), given, every=False, why=True)[-2:] == ["120", cell]


def test_the_words_with_the_largest_effect_are_shown():
    sizes = {f"w{number}": [0.01 * number] for number in range(1, 15)}
    (line, _) = shown.details(encoder("binary"), answer("positive", [0.9], **sizes), False, True)
    assert [word.split()[0] for word in line.split(": ")[1].split(", ")] == [
        f"w{number}" for number in range(14, 4, -1)
    ]


@pytest.mark.parametrize("every", [True, False])
@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_each_column_has_a_cell(task, every):
    outputs = {"binary": [0.25], "multiclass": [0.1, 0.6, 0.3], "multilabel": [0.9, 0.1]}[task]
    label = {"binary": "negative", "multiclass": "7", "multilabel": "drama"}[task]
    for given in (answer(label, outputs), answer(None, [np.nan] * len(outputs))):
        names = shown.columns(encoder(task), every, why=False)
        row = shown.cells(encoder(task), given, every, why=False)
        cells = dict(zip(names, row, strict=True))
        if given.label and every:
            of_labels = [float(cells[f"probability_{one}"]) for one in LABELS[task]]
            assert of_labels == ([0.75, 0.25] if task == "binary" else outputs)
    assert names[0] == {"binary": "sentiment", "multiclass": "label", "multilabel": "labels"}[task]


def test_texts_are_beside_their_answers_and_fit_the_terminal():
    answers = ["positive (75.0%)", "unknown"]
    texts = ["a  long\xa0text " * 9, "\u6620\u753b" * 30]
    first, second = shown.beside(answers, texts, 40)
    assert first == "positive (75.0%)  a long text a long ..."
    assert second == f"unknown{' ' * 11}{texts[1][:9]}..."
    wide = sum(unicodedata.east_asian_width(c) == "W" for c in second)
    assert len(second) + wide <= 40
    assert shown.beside(answers, ["short", ""], 40) == ["positive (75.0%)  short", "unknown"]
    assert shown.beside(["x"], ["word " * 99], None) == [f"x  {'word ' * 99}".rstrip()]
