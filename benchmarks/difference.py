"""How reliable the verdict on a difference is (ajuste/evaluation/significance.py), by training.

After `dvc repro`, one of:

    python -m benchmarks.difference seeds        how uneven two seeds of a network are
    python -m benchmarks.difference same         how often two seeds are called different
    python -m benchmarks.difference different    how often a difference of 2 points is found

Each pair of sides has its own draw of training and test reviews from all reviews of the pipeline;
both sides share it. Draws and seeds depend on `--random` and on the command, so that `same` checks
on other draws what `seeds` has measured.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import stats

from ajuste.config import reader
from ajuste.errors import PipelineError, run
from ajuste.evaluation import significance
from ajuste.files import read_arrays
from ajuste.tasks import THRESHOLD
from ajuste.training import backend, loop, model_file, networks

if TYPE_CHECKING:
    from ajuste.training.backend import keras

PARTS = tuple(Path(f"data/tokens/{part}.npz") for part in ("train", "validation", "test"))
MATRIX = Path("data/embedding/matrix.npy")

COMMANDS = ("seeds", "same", "different")  # the position is part of the seed
TEST_REVIEWS = 5000
OTHER_REVIEWS = 5000  # in neither part; they show the true difference

ONE_THREAD = ("TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")


@dataclass(frozen=True)
class Recipe:
    """A network to train.

    Attributes:
        model: an entry of `models`.
        reviews: the number of training reviews.
        changes: options of the entry and their new values.
    """

    model: str
    reviews: int
    changes: tuple[tuple[str, Any], ...] = ()


# A network that trains in half a second, until more epochs give no gain; and the same with a
# vocabulary so small that it loses about 2 points. Its size was found on other draws and seeds.
QUICK = (("batch_size", 128), ("epochs", 6))
HEAD = Recipe("bow", 2000, (*QUICK, ("max_features", 2000)))
BASE = Recipe("bow", 2000, (*QUICK, ("max_features", 955)))


@dataclass(frozen=True)
class Pair:
    """Two sides to train on one draw, each with several seeds.

    Attributes:
        base: the first side.
        head: the second side.
        seeds: the number of trainings a side.
        test: the number of test reviews.
        others: the number of reviews in neither part.
        random: the seed of the draw and of the trainings.
    """

    base: Recipe
    head: Recipe
    seeds: int
    test: int
    others: int
    random: tuple[int, ...]


@dataclass(frozen=True)
class Sides:
    """The result of a pair: whether the predictions of a side are right, bool (seeds, reviews).

    Attributes:
        before: of the base, on the test reviews.
        after: of the head.
        before_elsewhere: of the base, on reviews in neither part.
        after_elsewhere: of the head.
    """

    before: np.ndarray
    after: np.ndarray
    before_elsewhere: np.ndarray
    after_elsewhere: np.ndarray


@cache
def reviews() -> tuple[np.ndarray, np.ndarray]:
    """All token ids, int32 (n, max_length), and targets, float32 (n, 1)."""
    parts = [read_arrays(path) for path in PARTS]
    return tuple(
        np.concatenate([part[name] for part in parts]) for name in ("token_ids", "targets")
    )


@cache
def entry(name: str) -> dict[str, Any]:
    """An entry of `models`."""
    return reader.load(f"models.{name}", dict[str, Any])


@cache
def matrix() -> np.ndarray:
    """The word vectors."""
    return np.load(MATRIX, allow_pickle=False)


def check(models: list[str]) -> None:
    """Check the input.

    Raises:
        PipelineError: a file is missing, the task is not binary, or `models` has no such entry.
    """
    for path in (*PARTS, MATRIX):
        if not path.exists():
            raise PipelineError(f"{path}: not found; run `dvc repro` first")
    reader.load("task", Literal["binary"])
    for model in models:
        entry(model)


def untrained(recipe: Recipe) -> tuple["keras.Model", networks.Options]:
    """A compiled network with the initial weights of the stage train."""
    length = reviews()[0].shape[1]
    options = {**entry(recipe.model), **dict(recipe.changes)}
    model, options = networks.build(recipe.model, options, matrix(), length)
    steps = loop.steps_per_epoch(recipe.reviews, options.batch_size)
    networks.compile_model(model, options, steps * options.epochs)
    model.optimizer.build(model.trainable_variables)
    return model, options


traced = cache(untrained)
"""The only network of a recipe that runs, so that TensorFlow traces it once for all seeds."""


def answers(recipe: Recipe, seed: int, train: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Train as the pipeline does; whether the predictions for other reviews are right.

    Args:
        recipe: the network.
        seed: of the initial weights and the batch order.
        train: the positions of the training reviews.
        asked: the positions of the test reviews.

    Returns:
        bool (asked,).
    """
    token_ids, targets = reviews()
    model, options = traced(recipe)
    backend.seed(seed)
    start, _ = untrained(recipe)
    for kept, first in zip(_state(model), _state(start), strict=True):
        kept.assign(first)
    part = {"token_ids": token_ids[train], "targets": targets[train]}
    loop.run_epochs(model, options, part, seed)
    positive = model_file.predict(model, token_ids[asked]) >= THRESHOLD
    return (positive == (targets[asked] >= THRESHOLD))[:, 0]


def _state(model: "keras.Model") -> list[Any]:
    return [*model.variables, *model.optimizer.variables]


def trained(pair: Pair) -> Sides:
    """Draw the reviews of a pair, train both sides and test them."""
    generator = np.random.default_rng(pair.random)
    order = generator.permutation(len(reviews()[0]))
    largest = max(pair.base.reviews, pair.head.reviews)
    rest = order[largest:]
    asked = rest[: pair.test + pair.others]
    found = []
    for recipe in (pair.base, pair.head):
        seeds = generator.integers(2**31, size=pair.seeds).tolist()
        train = order[: recipe.reviews]
        found.append(np.array([answers(recipe, seed, train, asked) for seed in seeds]))
    before, after = found
    test = pair.test
    return Sides(before[:, :test], after[:, :test], before[:, test:], after[:, test:])


def train_all(pair: Pair, pairs: int, jobs: int) -> list[Sides]:
    """Train many pairs like `pair`, each on its own draw, in `jobs` processes of one thread.

    The progress goes to standard error.
    """
    os.environ |= dict.fromkeys(ONE_THREAD, "1")
    asked = [replace(pair, random=(*pair.random, number)) for number in range(pairs)]
    began = time.monotonic()
    done = []
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for sides in pool.imap(trained, asked):
            done.append(sides)
            wall = time.monotonic() - began
            print(f"{pair.head.model}: {len(done)} of {pairs} pairs, {wall:.0f} s", file=sys.stderr)
    return done


def seeds(models: list[str], train: int, pairs: int, random: int, jobs: int) -> Iterator[list[str]]:
    """How uneven two seeds of each network are: a row for each network.

    The imbalance is the root of the mean square of (put right - put wrong) / changed, over all
    reviews outside training. For two equally good seeds the expectation of this square is
    1 / changed, which is subtracted. The interval is that of the variance of a normal distribution.
    """
    for model in models:
        recipe = Recipe(model, train)
        test = len(reviews()[0]) - train
        pair = Pair(recipe, recipe, 1, test, 0, (random, COMMANDS.index("seeds")))
        found = train_all(pair, pairs, jobs)
        right = np.array([(side.before.mean(), side.after.mean()) for side in found])
        changed = np.array([max((side.before != side.after).sum(), 1) for side in found])
        uneven = test * (right[:, 1] - right[:, 0]) / changed
        ends = pairs / stats.chi2.ppf((0.975, 0.025), pairs)
        squares = (uneven**2).mean() * np.array([1, *ends]) - (1 / changed).mean()
        imbalance, low, high = np.sqrt(squares.clip(0))
        yield [
            f"`{model}`",
            f"{train:,}",
            str(pairs),
            f"{100 * right.mean():.1f} %",
            f"{100 * changed.mean() / test:.1f} %",
            f"{imbalance:.3f} ({low:.3f} to {high:.3f})",
            f"{np.abs(uneven).max():.2f}",
        ]


def same(found: list[Sides], trainings: list[int]) -> Iterator[list[str]]:
    """How often sides that differ only in the seed are called different, by trainings a side."""
    for count in trainings:
        verdicts = [test.verdict("accuracy") for test in tests(found, count)]
        alone = [
            stats.binomtest(
                int((after > before).sum()), max(int((after != before).sum()), 1)
            ).pvalue
            for before, after in ((side.before[0], side.after[0]) for side in found)
        ]
        yield [
            str(count),
            rate(sum(verdict != significance.SAME for verdict in verdicts), len(found)),
            rate(sum(p <= significance.ALPHA for p in alone), len(found)) if count == 1 else "",
        ]


def different(found: list[Sides], trainings: list[int], truly: float) -> Iterator[list[str]]:
    """How often a true difference is found, and how often the test itself expects to find it."""
    for count in trainings:
        tested = list(tests(found, count))
        verdicts = [test.verdict("accuracy") for test in tested]
        detectable = np.array([test.detectable for test in tested])
        reach = np.array([test.high - test.value for test in tested])
        errors = (detectable - reach) / stats.norm.ppf(significance.POWER)
        yield [
            str(count),
            rate(verdicts.count(significance.BETTER), len(found)),
            f"{100 * stats.norm.cdf((truly - reach) / errors).mean():.0f} %",
            rate(verdicts.count(significance.WORSE), len(found)),
            f"{100 * np.median(detectable):.1f}",
        ]


def tests(found: list[Sides], trainings: int) -> Iterator[significance.Test]:
    """The test of each pair, as in a report, with the first `trainings` of each side."""
    for side in found:
        before, after = (
            right[:trainings].astype(np.float64) for right in (side.before, side.after)
        )
        yield significance.judge(before, after, paired=True)


def true_difference(found: list[Sides]) -> tuple[float, float]:
    """Head minus base, on reviews in neither part, and its standard error."""
    values = [side.after_elsewhere.mean() - side.before_elsewhere.mean() for side in found]
    return float(np.mean(values)), float(stats.sem(values))


def rate(count: int, total: int) -> str:
    """A share with its 95 % interval (Clopper and Pearson, 1934)."""
    low, high = (100 * end for end in stats.binomtest(count, total).proportion_ci())
    return f"{count} of {total}: {100 * count / total:.1f} % ({low:.1f} to {high:.1f})"


def table(header: list[str], rows: Iterator[list[str]]) -> None:
    """Print a Markdown table, each row at once."""
    for row in (header, ["---"] * len(header)):
        print(f"| {' | '.join(row)} |")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (%(default)s)")
    shared.add_argument(
        "--random", type=int, default=1, help="seed of draws and trainings (%(default)s)"
    )
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.difference", description=__doc__.splitlines()[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, pairs in zip(COMMANDS, (20, 200, 200), strict=True):
        command = commands.add_parser(name, parents=[shared])
        command.add_argument("--pairs", type=int, default=pairs, help="how many (%(default)s)")
    of_seeds = commands.choices["seeds"]
    of_seeds.add_argument("--models", nargs="+", default=["nn", "bow", "gru", "lstm"])
    of_seeds.add_argument("--train", type=int, default=2000, help="training reviews (%(default)s)")
    for name in ("same", "different"):
        commands.choices[name].add_argument(
            "--seeds", nargs="+", type=int, default=[1, 3, 5], help="trainings a side (%(default)s)"
        )
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    asked = arguments()
    check(asked.models if asked.command == "seeds" else [HEAD.model])
    if asked.command == "seeds":
        if not 0 < asked.train < (there := len(reviews()[0])):
            raise PipelineError(
                f"--train {asked.train}: must be less than the number of reviews, {there}"
            )
        rows = seeds(asked.models, asked.train, asked.pairs, asked.random, asked.jobs)
        table(["model", "trained on", "pairs", "accuracy", "changed", "imbalance", "largest"], rows)
        return
    base, others = (HEAD, 0) if asked.command == "same" else (BASE, OTHER_REVIEWS)
    random = asked.random, COMMANDS.index(asked.command)
    pair = Pair(base, HEAD, max(asked.seeds), TEST_REVIEWS, others, random)
    found = train_all(pair, asked.pairs, asked.jobs)
    if asked.command == "same":
        header = ["trainings a side", "called different", "by McNemar's test alone"]
        table(header, same(found, asked.seeds))
        return
    truly, error = true_difference(found)
    print(f"True difference: {100 * truly:.2f} points, standard error {100 * error:.2f}.\n")
    header = ["trainings a side", "found", "its own estimate", "wrong way", "median detectable"]
    table(header, different(found, asked.seeds, truly))


if __name__ == "__main__":
    run("difference", main)
