import zipfile

import numpy as np
import pytest

from ajuste.data import vectors
from ajuste.data.download import sha256
from ajuste.errors import PipelineError
from stages import embed as stage


def archive(path, name: str, content: bytes) -> str:
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr(name, content)
    return sha256(path)


def test_the_width_names_the_file_in_the_archive(tmp_path):
    lines = b"".join(b"%s %s\n" % (word, b" ".join([b"1"] * 50)) for word in (b"good", b"bad"))
    digest = archive(tmp_path / "glove.6B.zip", "glove.6B.50d.txt", lines)
    url = "https://example.org/glove.6B.zip"
    assert vectors.stanford({"good"}, url, digest, 50, tmp_path)["good"].shape == (50,)
    with pytest.raises(PipelineError, match=r"glove\.6B\.100d\.txt is not readable"):
        vectors.stanford({"good"}, url, digest, 100, tmp_path)


def test_a_bundled_file_that_is_not_the_pinned_one_is_refused():
    with pytest.raises(PipelineError, match="SHA-256"):
        vectors.bundled({"good"}, "0" * 64)


FOUND = {
    "good": np.array([1.0, 0.0], np.float32),
    "bad": np.array([-1.0, 2.0], np.float32),
    "do": np.array([2.0, 2.0], np.float32),
    "n't": np.array([0.0, 4.0], np.float32),
}


def test_a_word_without_a_vector_gets_the_mean_of_its_parts():
    matrix, covered = stage.embed(["good", "don't", "xyz"], FOUND, standardize=False)
    assert matrix.tolist() == [[0, 0], [0, 0], [1, 0], [1, 3], [0, 0]]
    assert matrix.dtype == np.float32
    assert covered.tolist() == [True, True, False]


def test_standardizing_keeps_the_rows_without_a_vector_at_zero():
    matrix, covered = stage.embed(["good", "bad", "xyz", "do"], FOUND, standardize=True)
    rows = matrix[2:][covered]
    assert np.allclose(rows.mean(axis=0), 0, atol=1e-6)
    assert np.allclose(rows.std(axis=0), 1, atol=1e-6)
    assert not matrix[[0, 1, 4]].any()


def test_sources_are_side_by_side_each_standardized_alone():
    words, other = ["good", "bad", "xyz"], {"bad": np.ones(1), "xyz": np.array([3.0])}
    matrix, covered = stage.side_by_side(words, {"one": FOUND, "two": other}, standardize=True)
    assert matrix.tolist() == [[0, 0, 0], [0, 0, 0], [1, -1, 0], [-1, 1, -1], [0, 0, 1]]
    assert matrix.dtype == np.float32
    assert covered["one"].tolist() == [True, True, False]
    assert covered["two"].tolist() == [False, True, True]


def test_coverage_counts_occurrences_and_words_of_any_source():
    one, two = np.array([True, False, False, False]), np.array([False, False, True, False])
    counts = {"the": 90, "hte": 5, "film": 3, "zz": 2}
    assert stage.coverage(counts, {"one": one, "two": two}) == {
        "coverage": 0.93,
        "vocabulary_coverage": 0.5,
        "missing": "hte zz",
        "sources": {"one": 0.9, "two": 0.03},
    }
