"""How reliable the verdict on a difference is (ajuste/evaluation/significance.py), by simulation.

    python -m benchmarks.difference

Pairs of sides are drawn, not trained. Every review has a difficulty, which all trainings share; a
network finds some reviews harder than another network does; a training adds its own noise, and its
seed shifts its score. A training that failed gives the same answer to every review. Of each pair
the test sees what it sees of a pull request: the value of each review in each training.
"""

import argparse
import math
import multiprocessing
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import special, stats

from ajuste.errors import run
from ajuste.evaluation.significance import (
    ALPHA,
    BETTER,
    MARGIN,
    WORSE,
    Answers,
    Comparison,
    Estimate,
    compare,
    estimate,
)
from ajuste.tasks import NUMERIC

ACCURACIES = (0.6, 0.75, 0.85, 0.95)
DEVIATIONS = (0.003, 0.01, 0.03)
REVIEWS = (200, 2_500, 25_000)
TRAININGS = (3, 5)
FAILING = 0.1
FIXED = 0.05
RARE_REVIEWS = 500

CHANCE = {"binary": 0.5, "multiclass": 0.25, "multilabel": 0.125}
"""The score of a training that failed; for numbers its mean error is half of their range."""

SHARES = (0.8, 0.1, 0.1)
"""The variance of the difficulty of a review: for all trainings, for a network, for a training. Two
trainings of a network with accuracy 0.85 then differ in 8 % of their answers, two networks in 12 %.
"""


@dataclass(frozen=True)
class Case:
    """What pairs are drawn from.

    Attributes:
        task: a key of `ajuste.tasks.TASKS`.
        accuracy: the mean score of a training that did not fail; for numbers 1 less the mean error,
            as a share of their range.
        deviations: for each side the standard deviation of this score over the seeds.
        reviews: the number of test reviews.
        trainings: on each side.
        failing: the share of trainings that fail.
        per_film: the number of reviews of each film, which a network finds equally hard.
    """

    task: str
    accuracy: float
    deviations: tuple[float, float]
    reviews: int
    trainings: int
    failing: float = 0.0
    per_film: int = 1

    @property
    def worst(self) -> float:
        """The score of a training that failed."""
        return CHANCE.get(self.task, 0.5)


@dataclass(frozen=True)
class Rates:
    """What the tests say in a case, out of `pairs`.

    Attributes:
        case: what was drawn.
        pairs: how many.
        same: how often two sides of one network are called different.
        equal: how often two networks with the same true score are.
        difference: the median of `detectable`; where trainings fail, 5 points.
        found: how often a head that is worse by this is called worse.
        covered: how often the 95 % interval then has the true difference.
        at_margin: how often a difference of exactly the margin is called equivalent.
        worse_at_margin: how often a head that is worse by exactly the margin is called no worse.
        equivalent: how often two networks with the same true score are called equivalent.
        no_worse: how often of those the head is called no worse.
    """

    case: Case
    pairs: int
    same: int
    equal: int
    difference: float
    found: int
    covered: int
    at_margin: int
    worse_at_margin: int
    equivalent: int
    no_worse: int


def cases() -> list[Case]:
    """All that `main` draws."""
    found = [
        Case("binary", accuracy, (deviation, deviation), reviews, trainings, failing)
        for trainings, failing, reviews, deviation, accuracy in product(
            TRAININGS, (0.0, FAILING), REVIEWS, DEVIATIONS, ACCURACIES
        )
        if not failing or reviews < REVIEWS[-1] or accuracy in (ACCURACIES[0], ACCURACIES[-1])
    ]
    for task, trainings, failing in product(
        (*list(CHANCE)[1:], *NUMERIC), TRAININGS, (0.0, FAILING)
    ):
        for reviews, deviation in product(REVIEWS[:2], DEVIATIONS):
            found.append(Case(task, 0.75, (deviation, deviation), reviews, trainings, failing))
    for trainings, number in product(TRAININGS, REVIEWS[1:]):
        found.append(Case("binary", 0.85, (0.003, 0.003), number, trainings, per_film=10))
    uneven = DEVIATIONS[0], DEVIATIONS[-1]
    for trainings, reviews, accuracy in product(TRAININGS, REVIEWS, ACCURACIES):
        found.append(Case("binary", accuracy, uneven, reviews, trainings))
    return found


def scores(
    generator: np.random.Generator, case: Case, side: int, shift: float
) -> tuple[np.ndarray, np.ndarray]:
    """The true scores of the trainings of a side, float64 (trainings,), and which failed, bool.

    They have a beta distribution. Failed trainings included, their mean is shifted by `shift`.
    """
    mean = case.accuracy + shift / (1 - case.failing)
    size = mean * (1 - mean) / case.deviations[side] ** 2 - 1
    drawn = generator.beta(mean * size, (1 - mean) * size, case.trainings)
    failed = generator.random(case.trainings) < case.failing
    return np.where(failed, case.worst, drawn), failed


@dataclass(frozen=True)
class Reviews:
    """The difficulty of the reviews of a pair.

    Attributes:
        of_networks: for a training of each of two networks, float32 (2, trainings, n), each with
            variance 1.
        of_one: for as many trainings of the first, as a second side, float32 (trainings, n).
        constant: what decides whether an answer that is always the same is right, in 0..1, (n,).
    """

    of_networks: np.ndarray
    of_one: np.ndarray
    constant: np.ndarray


def reviews(generator: np.random.Generator, case: Case) -> Reviews:
    """Draw the reviews of a pair."""

    def normal(share: float, *shape: int) -> np.ndarray:
        drawn = generator.standard_normal((*shape, case.reviews), dtype=np.float32)
        return drawn * np.float32(math.sqrt(share))

    shared, of_network, of_training = SHARES
    difficulty = normal(shared)
    own = normal(of_network, 2, 1)[:, :, np.arange(case.reviews) // case.per_film]
    noise = normal(of_training, 2, case.trainings)
    constant = generator.random(case.reviews, dtype=np.float32)
    return Reviews(difficulty + own + noise, difficulty + own[0] + noise[1], constant)


def values(
    task: str, difficulty: np.ndarray, constant: np.ndarray, true: np.ndarray, failed: np.ndarray
) -> np.ndarray:
    """The value of each review in each training of a side, float64 (trainings, n).

    1 for a right answer and 0 for a wrong one; for numbers minus the absolute error. The mean of a
    training over all reviews there can be is its true score, for numbers 1 less.
    """
    if task in NUMERIC:
        scale = math.sqrt(math.pi / 2) * (1 - true)
        found = -scale[:, None] * np.abs(difficulty)
        found[failed] = -constant
        return found
    found = difficulty < special.ndtri(true).astype(np.float32)[:, None]
    found[failed] = constant < true[failed, None]
    return found.astype(np.float64)


def pair(
    generator: np.random.Generator,
    case: Case,
    given: Reviews,
    shifts: tuple[float, float] = (0.0, 0.0),
    one: bool = False,
) -> Estimate:
    """Draw the seeds of both sides of a pair, and estimate the difference.

    Args:
        generator: of the seeds.
        case: what to draw from.
        given: the reviews.
        shifts: for each side how much higher its mean score is.
        one: whether both sides are the same network.
    """
    difficulties = given.of_networks[0], given.of_one if one else given.of_networks[1]
    before, after = (
        values(case.task, difficulty, given.constant, *scores(generator, case, side, shift))
        for side, (difficulty, shift) in enumerate(zip(difficulties, shifts, strict=True))
    )
    films = np.arange(case.reviews) // case.per_film if case.per_film > 1 else None
    return estimate(before, after, paired=True, groups=(films, films))


def measure(case: Case, pairs: int, random: tuple[int, ...], margin: float = MARGIN) -> Rates:
    """Draw pairs and count."""
    generator = np.random.default_rng(random)
    same, equal, at_margin = [], [], []
    for _ in range(pairs):
        given = reviews(generator, case)
        same.append(pair(generator, case, given, one=True))
        equal.append(pair(generator, case, given))
        at_margin.append(pair(generator, case, given, (margin / 2, -margin / 2)))
    detectable = float(np.median([each.typical.detectable for each in equal]))
    # A failed training makes `detectable` as large as a score can be.
    difference = FIXED if case.failing else detectable
    up = min(difference / 2, (1 - case.accuracy) / 4)  # no score is above 1
    shifts = up, up - difference
    apart = [pair(generator, case, reviews(generator, case), shifts) for _ in range(pairs)]
    drop, reach = drops(apart, ALPHA)
    drop_at_margin, one_sided_at_margin = drops(at_margin, 2 * ALPHA)
    drop_of_equal, one_sided = drops(equal, 2 * ALPHA)
    return Rates(
        case=case,
        pairs=pairs,
        same=different(same),
        equal=different(equal),
        difference=difference,
        found=int((drop > reach).sum()),
        covered=int((np.abs(drop - difference) <= reach).sum()),
        at_margin=int((np.abs(drop_at_margin) + one_sided_at_margin < margin).sum()),
        worse_at_margin=int((drop_at_margin + one_sided_at_margin < margin).sum()),
        equivalent=int((np.abs(drop_of_equal) + one_sided < margin).sum()),
        no_worse=int((drop_of_equal + one_sided < margin).sum()),
    )


def _measured(task: tuple[Case, int, tuple[int, ...]]) -> Rates:
    return measure(*task)


def drops(found: list[Estimate], level: float) -> tuple[np.ndarray, np.ndarray]:
    """How much worse the heads are, (pairs,), and half their intervals."""
    return (
        np.array([-each.value for each in found]),
        np.array([float(each.reach(level)) for each in found]),
    )


def different(found: list[Estimate]) -> int:
    """How many are called different."""
    drop, reach = drops(found, ALPHA)
    return int((np.abs(drop) > reach).sum())


def rare(generator: np.random.Generator, trainings: int, positive: float = 0.1) -> Comparison:
    """Compare two equally good networks by average precision, where one class is rare."""
    case = Case("binary", 0.85, (0.01, 0.01), RARE_REVIEWS, trainings)
    targets = (generator.random((case.reviews, 1)) < positive).astype(np.float32)
    sides = []
    for difficulty in reviews(generator, case).of_networks:
        skill = generator.normal(2.0, 0.1, (trainings, 1, 1))
        noise = difficulty[:, :, None]
        sides.append(
            Answers(
                task="binary",
                loss="binary_crossentropy",
                labels=["negative", "positive"],
                reviews=[str(place) for place in range(case.reviews)],
                targets=targets,
                predictions=special.expit(skill * targets - 2 + noise),
                slices={},
            )
        )
    return compare(*sides, score="average_precision")


def rate(count: int, total: int) -> str:
    """A share in percent, with its 95 % interval (Clopper and Pearson, 1934)."""
    low, high = (100 * end for end in stats.binomtest(count, total).proportion_ci())
    return f"{100 * count / total:.1f} ({low:.1f} to {high:.1f})"


def table(header: list[str], rows: Iterable[list[str]]) -> None:
    """Print a Markdown table, each row at once."""
    for row in (header, ["---"] * len(header)):
        print(f"| {' | '.join(row)} |")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def label(case: Case) -> str:
    """The row of a case in the tables, which does not name the trainings and the accuracy."""
    base, head = (f"{100 * deviation:.1f}" for deviation in case.deviations)
    points = base if base == head else f"{base} and {head}"
    if case.task != "binary":
        return case.task.replace("_", " ") + (", one in ten fails" if case.failing else "")
    of_films = ", films" if case.per_film > 1 else ""
    fails = ", one in ten fails" if case.failing else ""
    return f"{case.reviews:,} reviews, {points} points{fails}{of_films}"


def rows(found: list[Rates], names: list[str], power: bool = False) -> Iterator[list[str]]:
    """Rates of similar cases together, for each number of trainings.

    Args:
        found: of all cases.
        names: what to count, fields of `Rates`; the columns, once for each number of trainings.
        power: whether to begin with the true difference, in points.
    """
    for name in dict.fromkeys(label(rates.case) for rates in found):
        row = [name]
        for trainings in TRAININGS:
            alike = [
                rates
                for rates in found
                if label(rates.case) == name and rates.case.trainings == trainings
            ]
            if power:
                row.append(f"{100 * np.mean([rates.difference for rates in alike]):.1f}")
            total = sum(rates.pairs for rates in alike)
            row += [rate(sum(getattr(rates, name) for rates in alike), total) for name in names]
        yield row


def highest(found: list[Rates], name: str) -> str:
    """The highest rate of all cases, and whether one is above 5 % (Holm's correction)."""
    worst = max(found, key=lambda rates: getattr(rates, name))
    p = [
        stats.binomtest(getattr(rates, name), rates.pairs, ALPHA, alternative="greater").pvalue
        for rates in found
    ]
    above = sum(value <= ALPHA for value in p)
    case = worst.case
    return (
        f"{rate(getattr(worst, name), worst.pairs)}, at {label(case)}, accuracy "
        f"{case.accuracy:g}, {case.trainings} trainings; above 5 % at p = 0.05: {above} of "
        f"{len(found)} cases, corrected for their number: {int(min(p) <= ALPHA / len(found))}"
    )


def header(*names: str) -> list[str]:
    """The columns of `rows`."""
    return ["", *(f"{count} seeds: {name}" for count in TRAININGS for name in names)]


def report(found: list[Rates]) -> None:
    """Print what was counted."""
    print("\nCalled different, although the true scores are equal:\n")
    table(header("one network", "two networks"), rows(found, ["same", "equal"]))
    for name in ("same", "equal"):
        print(f"\nHighest, {name}: {highest(found, name)}.")
    print("\nThe head is worse by the median of `detectable` (5 points where trainings fail):\n")
    table(
        header("points", "found", "in the 95 % interval"), rows(found, ["found", "covered"], True)
    )
    print(f"\nThe margin is {100 * MARGIN:g} point; the head is worse by as much:\n")
    table(header("equivalent", "no worse"), rows(found, ["at_margin", "worse_at_margin"]))
    for name in ("at_margin", "worse_at_margin"):
        print(f"\nHighest, {name}: {highest(found, name)}.")
    print("\nThe two networks are equally good:\n")
    table(header("equivalent", "no worse"), rows(found, ["equivalent", "no_worse"]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.difference", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--pairs", type=int, default=400, help="of each case (%(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (%(default)s)")
    parser.add_argument("--random", type=int, default=1, help="seed (%(default)s)")
    asked = parser.parse_args()
    drawn = cases()
    tasks = [(case, asked.pairs, (asked.random, number)) for number, case in enumerate(drawn)]
    found = []
    with multiprocessing.Pool(asked.jobs) as pool:
        for rates in pool.imap(_measured, tasks):
            found.append(rates)
            print(f"{len(found)} of {len(drawn)} cases", end="\r", file=sys.stderr)
    report(found)
    print("\nAverage precision, 500 reviews of which 1 in 10 is positive:\n")
    for trainings in TRAININGS:
        generator = np.random.default_rng((asked.random, len(drawn), trainings))
        verdicts = [rare(generator, trainings).verdict for _ in range(asked.pairs // 4)]
        alarms = sum(verdict in (BETTER, WORSE) for verdict in verdicts)
        print(f"- {trainings} seeds a side: called different {rate(alarms, len(verdicts))}")


if __name__ == "__main__":
    run("difference", main)
