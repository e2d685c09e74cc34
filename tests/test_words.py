import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, edit
from sklearn.preprocessing import normalize

from ajuste.config import reader, schema
from ajuste.data.text import tokens
from stages import words as stage

# Lengths of 5 and 10 give cosines with one decimal.
MATRIX = np.array([[5, 0], [4, 3], [0, 0], [4, -3], [-5, 0], [0, 10]], float)
ROWS = {"good": 0, "great": 1, "fine": 3, "bad": 4, "odd": 5}


def test_neighbours_are_sorted_by_cosine_then_by_vocabulary():
    unit = normalize(MATRIX)
    assert stage.neighbours(unit, 0, 3) == [(1, 0.8), (3, 0.8), (5, 0.0)]
    assert stage.neighbours(unit, 5, 2) == [(1, 0.6), (0, 0.0)]
    equal = normalize(np.tile([[4, 3], [5, 0], [4, -3]], (99, 1)))
    assert [row for row, _ in stage.neighbours(equal, 1, 103)] == [*range(4, 297, 3), 0, 2, 3, 5, 6]


def test_the_word_itself_and_words_without_a_vector_are_no_neighbours():
    found = stage.neighbours(normalize(MATRIX), 0, 99)
    assert [row for row, _ in found] == [1, 3, 5, 4]


def test_the_table_of_neighbours_names_them():
    table = stage.neighbour_table(normalize(MATRIX), ROWS, ["bad", "good"], 2)
    assert table.to_numpy().tolist() == [
        ["bad", 1, "odd", 0.0],
        ["bad", 2, "great", -0.8],
        ["good", 1, "great", 0.8],
        ["good", 2, "fine", 0.8],
    ]


def test_likeness_of_four_words_computed_by_hand():
    unit = normalize(np.array([[5, 0], [4, 3], [-5, 0], [-3, 4]]))
    measured = stage.likeness(unit, np.array([True, True, False, False]))
    # alike: 0.8 and 0.6; opposite: -1, -0.6, -0.8 and 0
    assert measured == {
        "cosine_alike": 0.7,
        "cosine_opposite": -0.6,
        "cosine_difference": 1.3,
        "nearest_alike": 1.0,
    }
    mixed = stage.likeness(unit, np.array([True, False, True, False]))
    assert mixed["nearest_alike"] == 0.0
    assert mixed["cosine_difference"] < 0


def test_likeness_finds_sentiment_only_if_the_vectors_hold_it():
    rng = np.random.default_rng(1)
    positive = np.arange(200) < 100
    noise = rng.normal(size=(200, 20))
    without = stage.likeness(normalize(noise), positive)
    assert abs(without["cosine_difference"]) < 0.02
    assert 0.35 < without["nearest_alike"] < 0.65
    noise[:, 0] += np.where(positive, 4, -4)
    with_ = stage.likeness(normalize(noise), positive)
    assert with_["cosine_difference"] > 0.5
    assert with_["nearest_alike"] > 0.95


@pytest.mark.parametrize(
    ("positive", "missing"),
    [
        ([], {"cosine_alike", "cosine_opposite", "cosine_difference", "nearest_alike"}),
        ([True, True, True], {"cosine_opposite", "cosine_difference", "nearest_alike"}),
        ([True, False], {"cosine_alike", "cosine_difference", "nearest_alike"}),
        ([True, True, False], {"nearest_alike"}),
    ],
)
def test_what_cannot_be_measured_is_none(positive, missing):
    unit = normalize(np.eye(4))[: len(positive)]
    measured = stage.likeness(unit, np.array(positive, bool))
    assert {name for name, value in measured.items() if value is None} == missing


def test_principal_components_of_points_on_a_line():
    points = np.array([[0, 0, 1], [3, -4, 1], [6, -8, 1]], float)
    places, shares = stage.principal_components(points)
    # along (3, -4) / 5; the sign makes the larger weight positive
    assert places.tolist() == [[5, 0], [0, 0], [-5, 0]]
    assert shares == pytest.approx([1, 0])


def test_the_order_of_the_points_does_not_change_the_principal_components():
    points = np.random.default_rng(1).normal(size=(12, 5))
    places, shares = stage.principal_components(points)
    again, _ = stage.principal_components(points[::-1])
    assert np.allclose(places, again[::-1], atol=1e-5)
    assert places[:, 0].var() > places[:, 1].var()
    assert shares == pytest.approx(places.var(axis=0) / points.var(axis=0).sum(), abs=1e-5)


@pytest.mark.parametrize(
    ("points", "expected"), [([[1.0], [1.0], [-1.0]], [1, 0]), ([[1.0, 2.0]] * 3, [0, 0])]
)
def test_points_with_less_than_two_dimensions_have_a_map(points, expected):
    places, shares = stage.principal_components(np.array(points))
    assert not places[:, 1].any()
    assert shares.tolist() == expected


def test_labels_do_not_cover_labels_or_points():
    points = np.array([[0, 0], [10, 0], [0, 10], [10, 10], [200, 200]], float)
    sizes = np.full((5, 2), [50, 12], float)
    centres = stage.place_labels(points, sizes)
    distance = np.abs(centres[:, None] - centres)
    overlapping = (distance < [50, 12]).all(axis=2)
    assert overlapping.sum() == len(points)  # each with itself
    covered = (np.abs(points[:, None] - centres) < sizes / 2).all(axis=2)
    assert not covered.any()


def finish(vocabulary: list[str], matrix: np.ndarray) -> dict:
    """Run the stage with this vocabulary and these vectors; return its metrics."""
    for path in (stage.VOCABULARY, stage.MATRIX):
        path.parent.mkdir(parents=True)
    lines = ["<padding>\t0", "<unknown>\t0", *(f"{word}\t5" for word in vocabulary)]
    stage.VOCABULARY.write_text("\n".join(lines) + "\n", encoding="utf-8")
    np.save(stage.MATRIX, np.vstack([np.zeros((2, matrix.shape[1])), matrix]).astype(np.float32))
    stage.main()
    return json.loads(stage.METRICS.read_text())


def chosen() -> schema.Language:
    return schema.language_in_use()[1]


def test_equal_input_gives_equal_bytes(in_tmp, monkeypatch):
    vocabulary = chosen().positive + chosen().negative
    matrix = np.random.default_rng(1).normal(size=(len(vocabulary), 5))
    written = []
    for name in ("one", "two"):
        (in_tmp / name).mkdir()
        (in_tmp / name / "params.yaml").write_bytes((in_tmp / "params.yaml").read_bytes())
        monkeypatch.chdir(in_tmp / name)
        finish(vocabulary, matrix)
        written.append({path.name: path.read_bytes() for path in stage.REPORTS.iterdir()})
    assert written[0].keys() == {"map.csv", "map.svg", "neighbours.csv"}
    assert written[0] == written[1]


def test_the_picture_has_each_word_as_text_in_the_colour_of_its_sentiment(in_tmp):
    vocabulary = chosen().positive + chosen().negative
    finish(vocabulary, np.random.default_rng(1).normal(size=(len(vocabulary), 5)))
    picture = (stage.REPORTS / "map.svg").read_text(encoding="utf-8")
    found = re.findall(r'<text style="[^"]*fill: (#\w+)"[^>]*>(\w+)</text>', picture)
    colours = {word: colour for colour, word in found}
    for sentiment in ("positive", "negative"):
        for word in getattr(chosen(), sentiment):
            assert colours[word] == stage.LOOKS[sentiment][0]


def test_words_without_a_vector_are_left_out_and_counted(in_tmp, capsys):
    good, great, excellent, wonderful, *more = chosen().positive
    bad, awful, *worse = chosen().negative
    vocabulary = [good, "the", great, excellent, bad, awful, wonderful]
    rows = [[1, 0], [1, 1], [2, 0], [1, 1], [-1, 0], [-2, 1], [0, 0]]  # the last has no vector
    assert finish(vocabulary, np.array(rows))["known"] == 5
    assert pd.read_csv(stage.REPORTS / "map.csv")["word"].tolist() == [
        good, great, excellent, bad, awful,
    ]  # fmt: skip
    listed = pd.read_csv(stage.REPORTS / "neighbours.csv")
    assert set(listed["word"]) == {word for word in chosen().neighbours_of if word in vocabulary}
    assert wonderful not in set(listed["neighbour"])
    said = capsys.readouterr().out
    left_out = {wonderful, *more, *worse, *chosen().neighbours_of} - set(vocabulary[:-1])
    assert (
        f"words: {len(left_out)} are not in the vocabulary or have no vector, and are left out: "
        in said
    )
    assert set(said.split("left out: ")[1].split()) == left_out
    assert "words: 5 of 24 words of `languages.english` have a vector; mean cosine " in said


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("english", "0 of 24 words of `languages.english` have a vector; no map; does `langua"),
        ("other", "`languages.other` has no positive and negative words: no map\n"),
    ],
)
def test_without_known_words_of_both_sentiments_there_is_no_map(in_tmp, capsys, language, said):
    edit(in_tmp / "params.yaml", {"language: english": f"language: {language}"})
    metrics = finish(["película", "映", "無"], np.eye(3))
    assert capsys.readouterr().out.startswith(f"words: {said}")
    assert metrics == {
        "known": 0,
        "cosine_alike": None,
        "cosine_opposite": None,
        "cosine_difference": None,
        "nearest_alike": None,
    }
    assert (stage.REPORTS / "map.csv").read_text() == "word,sentiment,x,y\n"
    assert (stage.REPORTS / "neighbours.csv").read_text() == "word,rank,neighbour,cosine\n"
    assert "Fewer than 3 words of both sentiments" in (stage.REPORTS / "map.svg").read_text()


@pytest.mark.parametrize("language", ["english", "spanish"])
def test_the_words_of_a_language_are_words(language):
    """As `tokens` gives them, without accents composed of two characters."""
    entry = reader.load(f"languages.{language}", schema.Language, ROOT / "params.yaml")
    for words in (entry.positive, entry.negative, entry.neighbours_of):
        assert [tokens(word) for word in words] == [[word] for word in words]
    plain = [pattern for pattern in entry.negations if "*" not in pattern]
    assert [tokens(word) for word in plain] == [[word] for word in plain]


def test_a_word_may_be_written_with_capitals_and_any_accents():
    given = {
        "negations": ["JAMA\u0301S"],
        "positive": [],
        "negative": [],
        "neighbours_of": ["Film"],
    }
    entry = schema.Language.model_validate(given)
    assert (entry.negations, entry.neighbours_of) == (["jam\xe1s"], ["film"])


def test_the_map_of_the_spanish_example_has_words_of_both_sentiments():
    language = reader.load("languages.spanish", schema.Language, ROOT / "params.yaml")
    lines = (ROOT / "data/examples/vectores.txt").read_text(encoding="utf-8").splitlines()
    words = {line.split()[0] for line in lines}
    assert min(len(words & {*language.positive}), len(words & {*language.negative})) >= 4


@pytest.mark.filterwarnings("error")
def test_a_script_that_the_font_lacks_gives_no_warning(tmp_path: Path):
    table = pd.DataFrame(
        {"word": ["好", "ดี", "壊"], "sentiment": ["positive", "positive", "negative"]}
    ).assign(x=[0, 1, 2], y=0)
    stage.draw(table, np.array([1, 0]), tmp_path / "map.svg")
    assert "好</text>" in (tmp_path / "map.svg").read_text(encoding="utf-8")
