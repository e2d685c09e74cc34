"""Whether a verdict that is called 90 % sure is right nine times of ten, on simulated curves.

`python -m benchmarks.verdicts` draws true curves, those of an endless sample and without scatter,
and adds what a real run adds: the choice of the reviews, which shifts each part as a whole and
changes a little from epoch to epoch, and the scatter of the training. A verdict is right if it is
that of the true curves.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np

from ajuste.config import reader
from ajuste.config.schema import FitBounds
from ajuste.evaluation.fit import UNDECIDED, Curves, judge
from ajuste.report.numbers import number

BINS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.01)
LIKENESS = 0.9  # of the losses of one review in two epochs: their correlation
KINDS = ("exponential", "power law")


def true_curves(chance: np.random.Generator, kind: str) -> Curves:
    """Curves without noise: a fall to a floor, a gap that grows, in some a rise of validation."""
    epochs = int(chance.integers(5, 31))
    time = np.arange(1, epochs + 1)
    speed = chance.uniform(0.05, 1.5)
    fall = np.exp(-speed * time) if kind == "exponential" else (1 + time) ** (-2 * speed)
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


def main() -> None:
    """Print the table for each kind of curve."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdicts", description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000, help="of each kind (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the simulation (%(default)s)")
    asked = parser.parse_args()
    bounds = reader.load("evaluate.fit", FitBounds)
    for kind in KINDS:
        found = list(outcomes(asked.runs, asked.seed, kind, bounds))
        print(f"\n{kind}\n", *table(found), sep="\n")


if __name__ == "__main__":
    main()
