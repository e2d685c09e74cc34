"""The default pipeline on all bundled reviews."""

import json
import platform
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from conftest import run
from sklearn.feature_extraction.text import HashingVectorizer

from ajuste.data.encoder import count_words, read_vocabulary
from ajuste.data.text import text_key, tokens

pytestmark = pytest.mark.slow


@pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"),
    reason="portable settings are for Linux on x86-64",
)
def test_what_is_committed_is_what_comes_out(finished):
    assert run("git", "status", "--porcelain", cwd=finished).stdout == ""


def alike(parts: dict[str, pd.Series]) -> list[tuple[str, str]]:
    """The pairs of near-duplicates (see `ajuste.data.duplicates`) with a text in two parts.

    Found by direct comparison; only the definition is the same as in the split.
    """
    hashed = HashingVectorizer(
        preprocessor=text_key, tokenizer=str.split, token_pattern=None, ngram_range=(5, 5),
        n_features=2**24, binary=True, norm=None, alternate_sign=False,
    )  # fmt: skip
    runs = {name: hashed.transform(texts) for name, texts in parts.items()}
    sizes = {name: np.asarray(one.sum(axis=1)).ravel() for name, one in runs.items()}
    found = []
    for one, other in combinations(parts, 2):
        for start in range(0, len(parts[one]), 500):
            shared = (runs[one][start : start + 500] @ runs[other].T).tocoo()
            rows, columns = start + shared.row, shared.col
            shorter = np.minimum(sizes[one][rows], sizes[other][columns])
            near = shared.data >= np.maximum(10, 0.3 * shorter)
            texts = parts[one].iloc[rows[near]], parts[other].iloc[columns[near]]
            found += zip(*texts, strict=True)
    return found


def test_no_review_and_no_copy_or_near_duplicate_of_it_is_in_two_parts(finished):
    reviews = {
        name: pd.read_parquet(finished / f"data/split/{name}.parquet")["review"]
        for name in ("test", "validation", "train")
    }
    for one, other in combinations(reviews.values(), 2):
        assert not set(one.map(text_key)) & set(other.map(text_key))
    assert alike(reviews) == []
    train = reviews["train"][:100]
    for planted in (train[0].replace("the", "a", 1), train[0][:300]):
        assert alike({"test": pd.Series([planted]), "train": train}) == [(planted, train[0])]


def test_every_bundled_review_is_in_one_part(finished):
    parts = [
        pd.read_parquet(finished / f"data/split/{name}.parquet")
        for name in ("train", "validation", "test")
    ]
    assert [len(part) for part in parts] == [20_000, 2_500, 2_500]
    assert pd.concat(parts)["origin"].nunique() == 25_000
    for part in parts:
        assert part["label"].value_counts(normalize=True).to_dict() == {
            "negative": 0.5,
            "positive": 0.5,
        }


def test_tokens_and_matrix_fit_together(finished):
    matrix = np.load(finished / "data/embedding/matrix.npy", allow_pickle=False)
    vocabulary = (finished / "data/tokens/vocabulary.tsv").read_text(encoding="utf-8").splitlines()
    assert matrix.shape == (len(vocabulary), 50)
    assert not matrix[:2].any()
    for part, count in (("train", 20_000), ("validation", 2_500), ("test", 2_500)):
        with np.load(finished / f"data/tokens/{part}.npz", allow_pickle=False) as arrays:
            token_ids, lengths, targets = (
                arrays[name] for name in ("token_ids", "lengths", "targets")
            )
        assert lengths.shape == (count,)
        assert lengths.min() > 0
        assert lengths.sum() == len(token_ids)
        assert 0 < token_ids.min() <= token_ids.max() < len(vocabulary)
        assert targets.shape == (count, 1)
        assert targets.mean() == 0.5


def test_the_vocabulary_knows_nothing_of_the_held_out_parts(finished):
    train = pd.read_parquet(finished / "data/split/train.parquet")["review"]
    assert read_vocabulary(finished / "data/tokens/vocabulary.tsv") == count_words(
        map(tokens, train), 5
    )


def test_the_default_network_learned_something(finished):
    metrics = json.loads((finished / "metrics/evaluate.json").read_text())
    assert metrics["accuracy_low"] > 0.8
    curve = pd.read_csv(finished / "metrics/train/plots/metrics/train/loss.tsv", sep="\t")
    assert curve["step"].tolist() == list(range(1, 5))
    assert curve["loss"].iloc[-1] == curve["loss"].min() < 0.75 * curve["loss"].iloc[0]
