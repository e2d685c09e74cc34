"""Convert the reviews to token ids; the vocabulary comes from the training part only."""

from collections.abc import Mapping
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

from ajuste.config import reader, schema
from ajuste.data.encoder import (
    VOCABULARY_FILE,
    count_words,
    known_ids,
    word_ids,
    write_part,
    write_vocabulary,
)
from ajuste.data.text import tokens
from ajuste.errors import PipelineError
from ajuste.files import read_json, reading, write_json
from ajuste.tasks import encode
from stages import check

SPLIT = Path("data/split")
LABELS = Path("data/raw/labels.json")
FOLDER = Path("data/tokens")
METRICS = Path("metrics/tokenize.json")


def main() -> None:
    """Build the vocabulary from the training part; write the token ids of every part."""
    settings = reader.load("tokenize", schema.Tokenize)
    task = reader.load("task", schema.Task)
    labels = read_json(LABELS)
    words, targets = {}, {}
    for part in ("train", "validation", "test"):
        with reading(path := SPLIT / f"{part}.parquet"):
            table = pd.read_parquet(path)
        words[part] = [tokens(text) for text in table["review"]]
        targets[part] = encode(task, table["label"], labels)
    counts = count_words(words["train"], settings.min_count)
    if not counts:
        raise PipelineError(
            f"{SPLIT}/train.parquet: no word occurs at least {settings.min_count} times; lower "
            "`tokenize.min_count` or add reviews"
        )
    ids = word_ids(counts)
    if not any(word in ids for text in words["validation"] for word in text):
        raise PipelineError(
            f"{SPLIT}/validation.parquet: no review has a word of the vocabulary; add reviews, or "
            "lower `tokenize.min_count`"
        )
    write_vocabulary(FOLDER / VOCABULARY_FILE, counts)
    for part, token_lists in words.items():
        rows = [known_ids(review, ids) for review in token_lists]
        write_part(FOLDER / f"{part}.npz", rows, targets[part])
    write_json(METRICS, summary(counts, words["train"], words["validation"]))
    print(f"tokenize: {len(counts):,} words in the vocabulary")


def summary(
    counts: Mapping[str, int], train: list[list[str]], validation: list[list[str]]
) -> dict[str, float]:
    """How much of the reviews the vocabulary covers.

    Args:
        counts: the words of the vocabulary.
        train: the words of each training review.
        validation: the words of each validation review; there is at least one word.

    Returns:
        `vocabulary`, the number of known words; `median_length` of a training review, in words;
        `unknown`, the share of words in validation reviews that are not in the vocabulary.
    """
    seen = [word in counts for words in validation for word in words]
    return {
        "vocabulary": len(counts),
        "median_length": median(map(len, train)),
        "unknown": 1 - float(np.mean(seen)),
    }


if __name__ == "__main__":
    check.run("tokenize", main)
