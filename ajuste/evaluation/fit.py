"""The verdict on a training: underfitting, overfitting or optimal, from its learning curves.

In the lecture, *underfitting* is a high loss on both parts, *overfitting* a clear gap between them,
*optimal* a validation loss close to the training loss. To define "high", "clear" and "close" for
every task, a loss is divided by the baseline loss, that of always predicting the class frequencies
(the mean, in a regression). The share by which a network lowers the baseline loss is `explained`:
McFadden's R² (1974) for a cross-entropy, the ordinary R² for a squared error.

The rule, with the parameters of `evaluate.fit`:

1. fewer than four epochs, or a loss that is not finite: `undecided`;
2. validation is worse than training by more than `max_gap`, or has risen by more than `max_rise`
   since its best epoch: `overfitting`;
3. validation is better than training by more than `max_gap`: `undecided`, check the split;
4. less than `min_explained` of the training loss is explained: `underfitting`;
5. the validation loss still fell by more than `min_progress` in the last third of the epochs:
   `underfitting`, since the training stopped too soon;
6. otherwise `optimal`.

Rule 5 is about the end of the training, the others about the epoch whose weights were kept. The
curves are smoothed by a running median of three (Tukey, 1977), so that one bumpy epoch changes
nothing. A value is above or below a bound only if its distance to the bound is larger than the
noise: the scatter of the curve around the smoothed curve, and for the gap, which compares different
reviews, two standard errors as well. Otherwise the verdict is `undecided`; rule 5 is skipped.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ajuste.config.schema import FitBounds
from ajuste.files import read_json

UNDERFITTING, OVERFITTING, OPTIMAL = "underfitting", "overfitting", "optimal"
UNDECIDED = "undecided"

MIN_EPOCHS = 4  # of three epochs, a median of three leaves a single value
NORMAL_SCATTER = 3.18  # 1 / median(|x - smooth(x)|) of standard normal x, by simulation


@dataclass(frozen=True)
class Curves:
    """The learning curves of a run, one value an epoch, both parts measured in the same way.

    Attributes:
        train_loss: float (epochs,), of training reviews at the end of each epoch, dropout off.
        validation_loss: float (epochs,).
        kept_epoch: the epoch whose weights were kept, from 1.
        baseline_loss: the loss of the best constant prediction.
        standard_error: of the difference between the two losses, due to the choice of reviews; 0 if
            it is not known.
        train_accuracy: float (epochs,), or None for a task without an accuracy.
        validation_accuracy: the same.
    """

    train_loss: np.ndarray
    validation_loss: np.ndarray
    kept_epoch: int
    baseline_loss: float
    standard_error: float = 0.0
    train_accuracy: np.ndarray | None = None
    validation_accuracy: np.ndarray | None = None


@dataclass(frozen=True)
class Fit:
    """A verdict, its reason and its numbers (see `judge`)."""

    verdict: str
    reason: str
    numbers: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The value of `fit` in `metrics/evaluate.json`."""
        return {"verdict": self.verdict, "reason": self.reason, **self.numbers}


def smooth(curve: np.ndarray) -> np.ndarray:
    """A running median of three, with Tukey's rule at the ends (Exploratory Data Analysis, 1977).

    An end becomes the median of itself, of its smoothed neighbour, and of the line through the two
    smoothed values next to it.

    Args:
        curve: float (n,) with n of at least 3.

    Returns:
        float64 (n,). The inner values of a monotonic curve do not change.
    """
    curve = np.asarray(curve, dtype=np.float64)
    inner = np.median([curve[:-2], curve[1:-1], curve[2:]], axis=0)

    def end(value: float, near: float, beyond: float) -> float:
        return float(np.median([value, near, 3 * near - 2 * beyond]))

    first = end(curve[0], inner[0], inner[min(1, len(inner) - 1)])
    last = end(curve[-1], inner[-1], inner[max(len(inner) - 2, 0)])
    return np.array([first, *inner, last])


def noise(curve: np.ndarray) -> float:
    """The scatter of a curve: the scaled median distance to the smoothed curve.

    The factor makes it the standard deviation of normal scatter. A single bump does not change it.
    """
    return NORMAL_SCATTER * float(np.median(np.abs(np.asarray(curve) - smooth(curve))))


def judge(curves: Curves, bounds: FitBounds) -> Fit:
    """The verdict on a run; see the top of this module for the rule.

    Returns:
        The verdict with these numbers, which are those of the smoothed curves at the epoch kept
        (none where the curves cannot be read):

        - `generalization_gap`: by how much validation is worse in `loss`, and in `accuracy` where
          the task has one;
        - `kept_epoch` and `best_epoch`, that of the lowest validation loss, both from 1;
        - `rise_after_best`: how far the validation loss rose from there to the last epoch;
        - `baseline_loss`, and in shares of it
        - `explained`: the share by which the network lowers it, in `train` and `validation`;
        - `gap`, that of the losses, and `margin`, the noise of it;
        - `rise`: of the validation loss from its best to the epoch kept;
        - `progress`: the fall of the validation loss in the last third of the epochs, and
          `improving`, whether that is more than `min_progress`.
    """
    epochs = len(curves.train_loss)
    if epochs < MIN_EPOCHS:
        return Fit(
            UNDECIDED, f"{epochs} epochs are too few for a verdict, train for {MIN_EPOCHS}", {}
        )
    if not np.isfinite([curves.train_loss, curves.validation_loss]).all():
        return Fit(UNDECIDED, "a loss is not finite; lower the learning rate", {})
    base = curves.baseline_loss
    kept = curves.kept_epoch - 1
    train, validation = smooth(curves.train_loss), smooth(curves.validation_loss)
    best = int(validation.argmin())
    last_third = max(2, round(epochs / 3))
    wiggle = noise(curves.validation_loss) / base
    sampling = 2 * curves.standard_error / base
    progress = float(validation[-1 - last_third] - validation[-1]) / base
    numbers = {
        "generalization_gap": _gap(curves, kept),
        "kept_epoch": curves.kept_epoch,
        "best_epoch": best + 1,
        "rise_after_best": float(validation[-1] - validation[best]),
        "baseline_loss": base,
        "explained": {
            "train": float(1 - train[kept] / base),
            "validation": float(1 - validation[kept] / base),
        },
        "gap": float(validation[kept] - train[kept]) / base,
        "margin": math.hypot(wiggle, noise(curves.train_loss) / base, sampling),
        "rise": float(validation[kept] - validation[: kept + 1].min()) / base,
        "progress": progress,
        "improving": bool(_exceeds(progress, bounds.min_progress, wiggle)),
    }
    return Fit(*_decide(numbers, wiggle, bounds), numbers)


def _decide(numbers: dict[str, Any], wiggle: float, bounds: FitBounds) -> tuple[str, str]:
    gap, margin, rise = numbers["gap"], numbers["margin"], numbers["rise"]
    explained = numbers["explained"]["train"]
    signs = {
        f"validation is worse than training by {gap:.2f} of the baseline loss (allowed: "
        f"{bounds.max_gap})": _exceeds(gap, bounds.max_gap, margin),
        f"the validation loss has risen by {rise:.2f} of the baseline loss since its best "
        f"(allowed: {bounds.max_rise})": _exceeds(rise, bounds.max_rise, wiggle),
    }
    if any(signs.values()):
        return OVERFITTING, "; ".join(sign for sign, crossed in signs.items() if crossed)
    better = f"validation is better than training by {-gap:.2f} of the baseline loss"
    far_better = _exceeds(-gap, bounds.max_gap, margin)
    if far_better:
        return UNDECIDED, f"{better}; look at how the reviews were split"
    low = (
        f"training explains {explained:.2f} of the baseline loss (expected: {bounds.min_explained})"
    )
    too_low = _exceeds(bounds.min_explained, explained, wiggle)
    if too_low:
        return UNDERFITTING, low
    for sign, crossed in {**signs, better: far_better, low: too_low}.items():
        if crossed is None:
            return UNDECIDED, (
                f"{sign}, too close to tell in curves that are this noisy (gap give or take "
                f"{margin:.2f}); add validation reviews or lower the learning rate"
            )
    if numbers["improving"]:
        return UNDERFITTING, (
            f"the validation loss still fell by {numbers['progress']:.2f} of the baseline loss in "
            f"the last third of the epochs (allowed: {bounds.min_progress}): training stopped too "
            "soon"
        )
    return OPTIMAL, (
        f"validation is within {max(gap, 0):.2f} of training, in shares of the baseline loss "
        f"(allowed: {bounds.max_gap}), and training explains {explained:.2f} of it"
    )


def _exceeds(value: float, bound: float, margin: float) -> bool | None:
    """Whether a value is above a bound; None if the difference is within the margin."""
    if abs(value - bound) <= margin:
        return None
    return value > bound


def _gap(curves: Curves, kept: int) -> dict[str, float]:
    gap = {"loss": smooth(curves.validation_loss)[kept] - smooth(curves.train_loss)[kept]}
    if curves.train_accuracy is not None and curves.validation_accuracy is not None:
        better = smooth(curves.train_accuracy)[kept]
        gap["accuracy"] = better - smooth(curves.validation_accuracy)[kept]
    return {name: float(value) for name, value in gap.items()}


def read_curves(folder: Path) -> Curves:
    """The curves in the folder of metrics of the stage `train`."""
    metrics = read_json(folder / "metrics.json")
    curves = {}
    for part in ("train", "validation"):
        for name in ("loss", "accuracy"):
            path = folder / "plots/metrics" / part / f"{name}.tsv"
            if path.exists():
                curves[f"{part}_{name}"] = pd.read_csv(path, sep="\t")[name].to_numpy(np.float64)
    return Curves(
        **curves,
        kept_epoch=metrics["kept_epoch"],
        baseline_loss=metrics["baseline_loss"],
        standard_error=metrics["standard_error"],
    )
