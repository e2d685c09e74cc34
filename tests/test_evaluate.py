import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stage():
    from stages import evaluate

    return evaluate


@pytest.fixture
def cuts(stage):
    return stage.Evaluate(
        short_words=2, long_words=4, rare_count=3, rare_share=0.4, negations=["not", "*n't"]
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


def test_every_review_is_in_one_slice_of_each_question(stage, cuts):
    members = stage.slices(WORDS, COUNTS, cuts)
    for names in (
        ("short", "medium", "long"),
        ("with negation", "without negation"),
        ("with rare words", "without rare words"),
    ):
        assert (sum(members[name].astype(int) for name in names) == 1).all()


def test_slices_are_scored_by_themselves_and_an_empty_one_has_no_scores(stage):
    members = {
        "all": np.array([True, True, True]),
        "right": np.array([True, False, True]),
        "none": np.zeros(3, dtype=bool),
    }
    scored = stage.score_slices(np.array([1, 0, 0]), np.array([0.9, 0.8, 0.1]), members)
    assert scored.keys() == {"all", "right"}
    assert scored["all"]["accuracy"] == pytest.approx(2 / 3)
    assert scored["right"]["accuracy"] == 1
    assert scored["right"]["reviews"] == 2
