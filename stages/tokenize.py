"""Convert the reviews to token ids; the vocabulary comes from the training part only."""

from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

from ajuste.config import reader, schema
from ajuste.data.text import Encoder, count_words, tokens
from ajuste.errors import PipelineError
from ajuste.files import read_json, reading, write_arrays, write_json
from ajuste.tasks import encode
from stages import check

SPLIT = Path("data/split")
LABELS = Path("data/raw/labels.json")
FOLDER = Path("data/tokens")
METRICS = Path("metrics/tokenize.json")


def main() -> None:
    """Fit the encoder on the training part; encode every part."""
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
    encoder = Encoder(counts, settings.max_length, settings.keep, task, labels)
    if not any(word in encoder.ids for text in words["validation"] for word in text):
        raise PipelineError(
            f"{SPLIT}/validation.parquet: no review has a word of the vocabulary; add reviews, or "
            "lower `tokenize.min_count`"
        )
    encoder.save(FOLDER)
    for part, token_lists in words.items():
        token_ids = encoder.encode(token_lists)
        write_arrays(FOLDER / f"{part}.npz", token_ids=token_ids, targets=targets[part])
    write_json(METRICS, summary(encoder, words["train"], words["validation"]))
    print(
        f"tokenize: {len(counts):,} words in the vocabulary; at most {settings.max_length} of each "
        "review are kept"
    )


def summary(
    encoder: Encoder, train: list[list[str]], validation: list[list[str]]
) -> dict[str, float]:
    """How much of the reviews the encoder keeps.

    Args:
        encoder: fitted on the training part.
        train: the words of each training review.
        validation: the words of each validation review; there is at least one word.

    Returns:
        `vocabulary`, the number of known words; `median_length` of a training review, in words;
        `truncated`, the share of training reviews that have more known words than are kept;
        `unknown`, the share of words in validation reviews that are not in the vocabulary.
    """
    known = [sum(word in encoder.ids for word in words) for words in train]
    seen = [word in encoder.ids for words in validation for word in words]
    return {
        "vocabulary": len(encoder.counts),
        "median_length": median(map(len, train)),
        "truncated": float(np.mean(np.array(known) > encoder.max_length)),
        "unknown": 1 - float(np.mean(seen)),
    }


if __name__ == "__main__":
    check.run("tokenize", main)
