"""How much a score rises if training has other reviews of the same film, or a copy of the review.

After `dvc repro validate`, one of:

    python -m benchmarks.leaks films     reviews of one film on both sides of the split, or not
    python -m benchmarks.leaks copies    copies and near-duplicates on both sides, or not

`films` splits the reviews by review and by group with several seeds, and trains once on each split.
Validation and test together are held out, since neither is used to choose anything.

`copies` tests on one review of each group of copies and near-duplicates, and trains twice: with the
other reviews of the groups and without them. The difference is the gain of a test review from its
twin in training. Multiplied by the share of such reviews in a split that ignores copies, it is the
gain in accuracy of that split.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ajuste.config import reader, schema
from ajuste.data.encoder import Encoder, count_words
from ajuste.data.text import text_key, tokens
from ajuste.data.vectors import bundled
from ajuste.errors import PipelineError, run
from ajuste.files import read_json
from ajuste.tasks import THRESHOLD, encode
from ajuste.training import backend, entry_schema, loop, model_file
from ajuste.training.build import build
from ajuste.training.options import compile_model
from benchmarks.difference import table
from stages import embed, fetch, split

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Corpus:
    """The reviews of `fetch`.

    Attributes:
        reviews: the table, with a column `group`.
        words: the tokens of each.
        text: the `text_key` of each.
        alike: what a split by review groups them by.
        labels: the negative one, then the positive one.
        targets: float32 (n, 1).
    """

    reviews: pd.DataFrame
    words: list[list[str]]
    text: pd.Series
    alike: pd.Series
    labels: list[str]
    targets: np.ndarray


@cache
def corpus() -> Corpus:
    """Read the reviews, once.

    Raises:
        PipelineError: there are none, the task is not binary, or their films are not known.
    """
    if not split.REVIEWS.exists():
        raise PipelineError(f"{split.REVIEWS}: not found; run `dvc repro validate` first")
    reviews, labels = pd.read_parquet(split.REVIEWS), read_json(fetch.LABELS)
    if reader.load("task", schema.Task) != "binary" or "group" not in reviews:
        raise PipelineError(
            "needs `task: binary`, and a `data.source` with the films of its reviews"
        )
    text = reviews["review"].map(text_key)
    return Corpus(
        reviews=reviews.drop(columns="official_split", errors="ignore"),
        words=[tokens(review) for review in reviews["review"]],
        text=text,
        alike=split.grouped(text),
        labels=labels,
        targets=encode("binary", reviews["label"], labels),
    )


@cache
def vectors() -> dict[str, np.ndarray]:
    """The vectors of all words that a vocabulary may have, and of their parts."""
    words = count_words(corpus().words, reader.load("tokenize.min_count", reader.Positive))
    wanted = {*words, *(part for word in words for pair in embed.parts_of(word) for part in pair)}
    return bundled(wanted, reader.load("embed.bundled", schema.BundledVectors).sha256)


def right(model: str, seed: int, learnt: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Train as the pipeline does; whether the predictions for other reviews are right.

    Args:
        model: an entry of `models`; its `patience` is ignored.
        seed: of the initial weights and the batch order.
        learnt: the positions of the training reviews.
        asked: the positions of the test reviews.

    Returns:
        bool (asked,).
    """
    known, entry = corpus(), reader.load(f"models.{model}", dict[str, Any])
    options = entry_schema.options(model, entry)
    min_count = reader.load("tokenize.min_count", reader.Positive)
    counts = count_words([known.words[place] for place in learnt], min_count)
    encoder = Encoder(counts, options.max_length, options.keep, "binary", known.labels)
    standardize = reader.load("embed.standardize", bool)
    matrix, _ = embed.embed(list(counts), vectors(), standardize)
    token_ids = encoder.encode([known.words[place] for place in learnt])
    part = {"token_ids": token_ids, "targets": known.targets[learnt]}
    backend.seed(seed)
    network, options = build(model, entry, matrix, train=part)
    compile_model(
        network, options, loop.steps_per_epoch(len(learnt), options.batch_size) * options.epochs
    )
    loop.run_epochs(network, options, part, seed)
    predictions = model_file.predict(network, encoder.encode([known.words[p] for p in asked]))
    return ((predictions >= THRESHOLD) == (known.targets[asked] >= THRESHOLD))[:, 0]


def divided(group: pd.Series, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The positions of the training reviews, and of the held-out ones, as `split` divides them."""
    settings = reader.load("split", schema.Split).model_copy(update={"seed": seed})
    parts = split.divide(corpus().reviews, group, "binary", settings)
    held_out = [parts[name].index for name in (split.VALIDATION, split.TEST)]
    return parts[split.TRAIN].index.to_numpy(), np.concatenate(held_out)


def with_a_twin(twin: pd.Series, learnt: np.ndarray, held_out: np.ndarray) -> float:
    """The share of the held-out reviews that have a twin in training."""
    return float(twin[held_out].isin(twin[learnt]).mean())


def films(models: list[str], seeds: int) -> Iterator[list[str]]:
    """A row for each network: the accuracy of splits by review and by group, and the difference."""
    known = corpus()
    group = split.joined(known.alike, known.reviews["group"])
    for model in models:
        found = {}
        for name, by in (("review", known.alike), ("group", group)):
            of_seed = [
                right(model, seed, *divided(by, seed)).mean() for seed in range(1, seeds + 1)
            ]
            found[name] = 100 * np.array(of_seed)
            print(f"  {model}, by {name}: {' '.join(f'{x:.2f}' for x in found[name])}", flush=True)
        test = stats.ttest_ind(found["review"], found["group"], equal_var=False)
        low, high = test.confidence_interval(CONFIDENCE)
        means = {name: values.mean() for name, values in found.items()}
        yield [
            f"`{model}`",
            str(seeds),
            f"{means['review']:.2f} %",
            f"{means['group']:.2f} %",
            f"{means['review'] - means['group']:+.2f} ({low:+.2f} to {high:+.2f})",
        ]


def copies(models: list[str], draws: int) -> Iterator[list[str]]:
    """Two rows for each network: the gain from copies in training, and from near-duplicates."""
    known = corpus()
    group = known.alike
    in_groups = np.flatnonzero(group.duplicated(keep=False))
    others = np.flatnonzero(~group.duplicated(keep=False))
    gains = {model: [] for model in models}
    for draw in range(1, draws + 1):
        order = np.random.default_rng(draw).permutation(in_groups)
        asked = order[~group[order].duplicated().to_numpy()]
        rest = np.setdiff1d(in_groups, asked)
        copied = known.text[asked].isin(known.text[rest]).to_numpy()
        for model in models:
            seen, unseen = (
                right(model, draw, learnt, asked).astype(float)
                for learnt in (np.concatenate([others, rest]), others)
            )
            gains[model].append(
                pd.DataFrame({"group": group[asked], "copied": copied, "gain": seen - unseen})
            )
    alone = known.reviews["origin"]
    splits = [divided(alone, seed) for seed in range(1, 11)]
    copied = np.mean([with_a_twin(known.text, *parts) for parts in splits])
    alike = np.mean([with_a_twin(group, *parts) for parts in splits])
    shares = {True: copied, False: alike - copied}
    for model in models:
        of_model = pd.concat(gains[model])
        for is_copy, kind in ((True, "a copy"), (False, "a near-duplicate")):
            gain = 100 * of_model[of_model["copied"] == is_copy].groupby("group")["gain"].mean()
            low, high = stats.ttest_1samp(gain, 0).confidence_interval(CONFIDENCE)
            worth, share = gain.mean() * shares[is_copy], shares[is_copy]
            yield [
                f"`{model}`",
                kind,
                str(len(gain)),
                f"{gain.mean():+.1f} ({low:+.1f} to {high:+.1f})",
                f"{share:.2%}",
                f"{worth:+.3f} ({low * share:+.3f} to {high * share:+.3f})",
            ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leaks")
    parser.add_argument("what", choices=["films", "copies"])
    parser.add_argument("--models", nargs="+", default=["bow", "gru"], help="(%(default)s)")
    parser.add_argument("--seeds", type=int, default=5, help="how many, 2 or more (%(default)s)")
    asked = parser.parse_args()
    if asked.seeds < 2:
        parser.error("--seeds takes 2 or more")
    if asked.what == "films":
        rows = films(asked.models, asked.seeds)
        table(["model", "splits", "by review", "by group", "difference in points"], rows)
        return
    rows = copies(asked.models, asked.seeds)
    header = ["model", "in training", "groups", "gain in points", "share of held out", "worth"]
    table(header, rows)


if __name__ == "__main__":
    run("leaks", main)
