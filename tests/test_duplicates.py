import random
from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ajuste.data.duplicates import LEAST, SHARE, WIDTH, near_duplicates, united


def words(count: int, prefix: str = "w") -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def by_hand(texts: list[list[str]]) -> list[list[int]]:
    """The definition, applied to each pair."""
    shingles = [{tuple(t[i : i + WIDTH]) for i in range(len(t) - WIDTH + 1)} for t in texts]
    return [
        [one, other]
        for one, other in combinations(range(len(texts)), 2)
        if (shared := len(shingles[one] & shingles[other])) >= LEAST
        and shared >= SHARE * min(len(shingles[one]), len(shingles[other]))
    ]


@given(st.integers(0, 2**32), st.integers(2, 40))
def test_the_pairs_are_those_of_the_definition(seed, count):
    chance = random.Random(seed)
    source = [chance.choice("abcdefgh") for _ in range(120)]
    texts = []
    for _ in range(count):
        start = chance.randrange(110)
        pasted = source[start : start + chance.randrange(50)]
        own = [chance.choice("abcdefghijklmnop") for _ in range(chance.randrange(60))]
        texts.append(own[:20] + pasted + own[20:])
    assert near_duplicates(texts).tolist() == by_hand(texts)


def test_a_text_with_a_word_changed_and_one_quoted_in_a_longer_one_are_found():
    text = words(60)
    edited = [*text[:30], "other", *text[31:]]
    quoting = [*words(200, "own"), *text[:40]]
    texts = [words(50, "unlike"), text, edited, quoting]
    assert near_duplicates(texts).tolist() == [[1, 2], [1, 3], [2, 3]]


def test_a_common_phrase_is_no_near_duplicate():
    phrase = words(LEAST + WIDTH - 2)
    assert near_duplicates([phrase, [*phrase, *words(9, "own")]]).tolist() == []
    assert near_duplicates([[*phrase, "more"], [*phrase, "more", "own"]]).tolist() == [[0, 1]]


def test_a_small_part_of_a_long_text_is_no_near_duplicate():
    shared = words(20)
    long = [shared + words(100, name) for name in ("one", "other")]
    assert near_duplicates(long).tolist() == []


def test_no_texts_and_texts_without_words_have_no_pairs():
    assert near_duplicates([]).shape == (0, 2)
    assert near_duplicates([[], ["a"], []]).shape == (0, 2)


def test_comparing_in_blocks_changes_nothing(monkeypatch):
    texts = [words(20, name) for name in "abcde"] * 2
    whole = near_duplicates(texts)
    monkeypatch.setattr("ajuste.data.duplicates._BLOCK", 3)
    assert near_duplicates(texts).tolist() == whole.tolist() == [[i, i + 5] for i in range(5)]


def test_a_passage_in_many_texts_does_not_count(monkeypatch):
    monkeypatch.setattr("ajuste.data.duplicates.COMMON", 4)
    form = words(20, "form")
    texts = [[*words(20, name), *form] for name in "abcde"]
    assert near_duplicates(texts).tolist() == []
    assert near_duplicates([*texts, texts[1]]).tolist() == [[1, 5]]
    assert len(near_duplicates(texts[1:])) == 6


def test_pairs_with_a_common_text_are_one_group():
    group = united(6, np.array([[0, 3], [3, 5], [1, 2]]))
    assert group[0] == group[3] == group[5]
    assert group[1] == group[2]
    assert len(set(group)) == 3
    assert len(set(united(3, np.empty((0, 2), int)))) == 3
