"""Word vectors that are learnt from the training part."""

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from ajuste.config import reader, schema
from ajuste.data import learnt
from ajuste.errors import PipelineError
from stages import embed as stage

RANDOM = np.random.default_rng(1)
WORDS = 300
TEXTS = [RANDOM.zipf(1.3, size=60).clip(max=WORDS) - 1 for _ in range(200)]


def test_near_words_count_more_and_no_pair_is_of_two_reviews():
    counts = learnt.cooccurrences([np.array([0, 1, 2]), np.array([3])], 4, window=2)
    assert counts.toarray().tolist() == [[0, 2, 1, 0], [2, 0, 2, 0], [1, 2, 0, 0], [0, 0, 0, 0]]


def test_mutual_information_is_positive_for_pairs_that_are_more_frequent_than_by_chance():
    counts = np.array([[0, 8, 1], [8, 0, 1], [1, 1, 2]])
    share = counts.sum(axis=1) ** 0.75 / (counts.sum(axis=1) ** 0.75).sum()
    by_chance = counts.sum(axis=1)[:, None] * share
    with np.errstate(divide="ignore"):
        expected = np.maximum(np.log(counts / by_chance), 0)
    found = learnt.mutual_information(sparse.csr_array(counts)).toarray()
    assert np.allclose(found, expected, atol=1e-5)
    assert (expected > 0).any()
    assert (expected == 0).any()


def test_words_in_the_same_contexts_have_the_same_direction():
    """The words 0 and 1 both occur between 2 and 3; the words 4 to 7 are another topic."""
    texts = [np.array(text) for text in ([2, 0, 3], [2, 1, 3], [4, 5, 6], [5, 6, 7], [7, 4, 5])]
    vectors, has = learnt.learn(texts * 5, 9, width=4, window=2, sample=0)
    unit = vectors[:8] / np.linalg.norm(vectors[:8], axis=1, keepdims=True)
    cosine = unit @ unit.T
    assert cosine[0, 1] > 0.99
    assert abs(cosine[0, 4:8]).max() < 0.01
    assert has.tolist() == [True] * 8 + [False]  # the word 8 does not occur


def test_the_variables_of_blas_change_no_byte(monkeypatch):
    """Without fixed settings the kernels of Nehalem give other last digits."""
    first, _ = learnt.learn(TEXTS, WORDS, width=50, window=5, sample=1e-3)
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Nehalem")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    second, _ = learnt.learn(TEXTS, WORDS, width=50, window=5, sample=1e-3)
    assert first.tobytes() == second.tobytes()
    assert first.dtype == np.float32


def test_frequent_words_are_thinned_out():
    texts = [np.array([0, 1, 0, 2] * 100), np.array([0, 3])]
    [first, second] = learnt.thinned(texts, 4, sample=0.01)
    kept = np.bincount(np.concatenate([first, second]), minlength=4)
    shares = np.array([201, 100, 100, 1]) / 402
    expected = np.minimum(np.sqrt(0.01 / shares) + 0.01 / shares, 1)
    assert np.allclose(kept / (402 * shares), expected, atol=0.1)
    assert learnt.thinned(texts, 4, sample=0) is texts


def test_more_numbers_than_words_is_an_error():
    options = schema.CorpusVectors(width=3, window=1, sample=0.0)
    with pytest.raises(PipelineError, match=r"2 words .* width 3; lower `embed.corpus.width`"):
        stage.learn({"good": 9, "bad": 5}, Path("train.parquet"), options)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("corpus", ["corpus"]),
        (["bundled", "corpus"], ["bundled", "corpus"]),
        (["bundled", "bundled"], "`source` has a source twice"),
        ([], "at least 1 item"),
    ],
)
def test_a_source_or_a_list_of_sources(source, found):
    given = {**reader.read()["embed"], "source": source}
    if isinstance(found, list):
        assert reader.checked(given, schema.Embed, "embed").source == found
    else:
        with pytest.raises(PipelineError, match=found):
            reader.checked(given, schema.Embed, "embed")
