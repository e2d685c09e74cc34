"""How often the rule of the fit agrees with people, and whether it is as sure as it should be.

`python -m benchmarks.verdicts` first compares the rule with the labelled curves. Then it
checks on simulated curves whether a verdict that is called 90 % sure is right nine times of ten. It
draws true curves, those of an endless sample and without scatter, and adds what a real run has: the
choice of the reviews, which shifts each part as a whole and changes a little from epoch to epoch,
and the scatter of the training. A verdict is right if it is that of the true curves.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

from ajuste.config import reader
from ajuste.config.schema import FitBounds
from ajuste.evaluation.fit import OPTIMAL, OVERFITTING, UNDECIDED, UNDERFITTING, Curves, judge
from ajuste.report.numbers import number

BINS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.01)
LIKENESS = 0.9  # of the losses of one review in two epochs: their correlation
VERDICTS = (UNDERFITTING, OVERFITTING, OPTIMAL, UNDECIDED)
KINDS = {
    "exponential": lambda time, speed: np.exp(-speed * time),
    "power law": lambda time, speed: (1 + time) ** (-2 * speed),
    "logistic": lambda time, speed: 1 / (1 + np.exp(speed * (time - 4))),
}
"""What is left of the learnable loss, by epoch. The last was not used to make the rule."""


def true_curves(chance: np.random.Generator, kind: str) -> Curves:
    """Curves without noise: a fall to a floor, a gap that grows, in some a rise of validation."""
    epochs = int(chance.integers(5, 31))
    time = np.arange(1, epochs + 1)
    speed = chance.uniform(0.05, 1.5)
    fall = KINDS[kind](time, speed)
    floor = chance.uniform(0.02, 0.95)
    train = floor + (1 - floor) * fall
    gap = chance.choice([0.0, 1.0]) * chance.exponential(0.2) * (1 - fall)
    rise = chance.choice([0.0, 1.0]) * chance.uniform(0, 0.06)
    start = chance.uniform(0, epochs)
    validation = train + gap + rise * np.maximum(0, time - start)
    kept = epochs
    if chance.random() < 0.3:  # early stopping
        kept = int(validation.argmin()) + 1
        epochs = min(epochs, kept + 2)
        train, validation = train[:epochs], validation[:epochs]
    linear = chance.choice([np.nan, chance.uniform(0.2, 0.9)])
    return Curves(train, validation, kept, 1.0, linear_loss=None if np.isnan(linear) else linear)


def observed(curves: Curves, chance: np.random.Generator) -> Curves:
    """The curves of a run: a sample of reviews, and a scatter from epoch to epoch."""
    error = 10 ** chance.uniform(-2.3, -0.9)  # of the gap: 25,000 to 100 reviews
    scatter = chance.choice([0.0, 10 ** chance.uniform(-2.5, -1)])
    seen = []
    for loss in (curves.train_loss, curves.validation_loss):
        own = chance.normal(size=len(loss)) * np.sqrt(1 - LIKENESS)
        shift = np.sqrt(LIKENESS) * chance.normal() + own
        jitter = chance.normal(0, scatter, size=len(loss)) if scatter else 0.0
        seen.append(np.maximum(0.0, loss + error / np.sqrt(2) * shift + jitter))
    kept = curves.kept_epoch
    if kept < len(seen[1]):
        kept = int(seen[1].argmin()) + 1
    return replace(
        curves, train_loss=seen[0], validation_loss=seen[1], kept_epoch=kept, standard_error=error
    )


def outcomes(count: int, seed: int, kind: str, bounds: FitBounds) -> Iterator[tuple[float, bool]]:
    """For each run the certainty of its verdict, and whether that is right; 0 if undecided."""
    chance = np.random.default_rng(seed)
    for _ in range(count):
        true = true_curves(chance, kind)
        seen = judge(observed(true, chance), bounds)
        certainty = 0.0 if seen.verdict == UNDECIDED else seen.certainty
        yield certainty, seen.verdict == judge(true, bounds).verdict


def table(found: list[tuple[float, bool]]) -> list[str]:
    """Lines of Markdown: what was said, and the share that was right with its 95 % interval."""
    lines = ["| said | verdicts | mean of what was said | right |", "| --- | --- | --- | --- |"]
    said, right = np.array(found).T
    for low, high in pairwise(BINS):
        inside = (said >= low) & (said < high)
        n = int(inside.sum())
        share = right[inside].mean() if n else np.nan
        half = 1.96 * np.sqrt(share * (1 - share) / n) if n else np.nan
        lines.append(
            f"| {100 * low:.0f} to {100 * min(high, 1):.0f} % | {n:,} | "
            f"{number(100 * said[inside].mean(), '.1f')} % | "
            f"{number(100 * share, '.1f')} % ± {number(100 * half, '.1f')} |"
        )
    lines.append(f"| undecided | {int((said == 0).sum()):,} | | |")
    return lines


@dataclass(frozen=True)
class Labelled:
    """A set of curves with the verdicts of people.

    Attributes:
        name: of the set.
        cases: its curves.
        labels: for each the verdicts that were given.
        defended: for each those, and the verdicts that a labeller could defend.
    """

    name: str
    cases: list[Curves]
    labels: list[set[str]]
    defended: list[set[str]]


def labelled(folder: Path) -> Iterator[Labelled]:
    """The sets in a folder, `tests`; the one of two labellers in two parts."""
    for name in ("fit_drawn", "fit_runs", "fit_labelled"):
        cases = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        parts = {name: cases}
        if name == "fit_labelled":
            parts = {
                f"{name}, {'held out' if held else 'the rest'}": [
                    case for case in cases if case["held_out"] == held
                ]
                for held in (False, True)
            }
        for part, chosen in parts.items():
            given = [case.get("labels", [case]) for case in chosen]
            labels = [{label["verdict"] for label in one} for one in given]
            seconds = [{label.get("second", "") for label in one} for one in given]
            pairs = zip(labels, seconds, strict=True)
            yield Labelled(
                part, [_curves(case) for case in chosen], labels, [a | b for a, b in pairs]
            )


def _curves(case: dict[str, Any]) -> Curves:
    return Curves(
        np.array(case["train_loss"], dtype=np.float64),
        np.array(case["validation_loss"], dtype=np.float64),
        case["kept_epoch"],
        case["baseline_loss"],
        case["standard_error"],
        case.get("linear_loss"),
        (case.get("least_loss", 0.0),) * 2,
        case.get("loss", ""),
    )


def agreement(sets: list[Labelled], bounds: FitBounds) -> list[str]:
    """Lines of Markdown: how often the rule agrees, and its confusions with undisputed labels."""
    lines = [
        "| curves | rule as labelled | 95 % interval | or defended | labellers disagree |",
        "| --- | --- | --- | --- | --- |",
    ]
    confused: Counter[tuple[str, str]] = Counter()
    for one in sets:
        verdicts = [judge(curves, bounds).verdict for curves in one.cases]
        agrees = sum(map(set.__contains__, one.labels, verdicts))
        defended = sum(map(set.__contains__, one.defended, verdicts))
        n = len(verdicts)
        interval = binomtest(agrees, n).proportion_ci(0.95, method="wilson")
        disputed = sum(len(labels) > 1 for labels in one.labels)
        lines.append(
            f"| {one.name} | {agrees} of {n} | {100 * interval.low:.0f} to "
            f"{100 * interval.high:.0f} % | {defended} | {disputed} |"
        )
        undisputed = zip(one.labels, verdicts, strict=True)
        confused.update((*labels, found) for labels, found in undisputed if len(labels) == 1)
    header = ["labelled", *VERDICTS]
    lines += ["", f"| {' | '.join(header)} |", f"| {' | '.join(['---'] * len(header))} |"]
    for label in VERDICTS:
        row = (str(confused[label, found]) for found in VERDICTS)
        lines.append(f"| {label} | {' | '.join(row)} |")
    return lines


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdicts", description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000, help="of each kind (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the simulation (%(default)s)")
    asked = parser.parse_args()
    bounds = reader.load("evaluate.fit", FitBounds)
    print(*agreement(list(labelled(Path("tests"))), bounds), sep="\n")
    for kind in KINDS:
        found = list(outcomes(asked.runs, asked.seed, kind, bounds))
        print(f"\n{kind}\n", *table(found), sep="\n")


if __name__ == "__main__":
    main()
