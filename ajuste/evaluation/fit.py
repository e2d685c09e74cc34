"""The verdict on a training: underfitting, overfitting or optimal, from its learning curves.

In the lecture, *underfitting* is a high loss on both parts, *overfitting* a clear gap between them,
*optimal* a validation loss close to the training loss. To define "high", "clear" and "close" for
every task, a loss is a share of the baseline loss, that of always predicting the class frequencies
(the mean, in a regression). What a network lowers it by is `explained`: McFadden's R² (1974) for a
cross-entropy, the ordinary R² for a squared error. Two losses are changed first, so that the same
network gets the same verdict: the absolute error is squared, and a cross-entropy of targets between
0 and 1 is counted from the entropy of the targets, the least that any network can reach.

The rule, with the parameters of `evaluate.fit`. A network has to explain a share of the loss:
`min_of_linear` of what the linear baseline explains in validation, so that no more is expected than
the data allow; `min_explained` if no linear baseline is known, or if it explains nothing.

1. training explains less than half of that: `underfitting`, whatever the gap;
2. validation is worse than training by more than `max_gap`, or has risen by more than `max_rise`
   since its best epoch: `overfitting`;
3. training explains less than that; or validation is worse than the class frequencies; or its loss
   still falls at the end of all epochs, at a rate of more than `min_progress` in a third of the
   epochs: `underfitting`;
4. otherwise `optimal`.

The curves are smoothed by a running median of three (Tukey, 1977), so that one bumpy epoch changes
nothing. Each value has a standard error, from the scatter of the curves and the sample of reviews.
So each condition has a probability, and each verdict too (see `_probabilities`).

`undecided` is for curves that cannot be read: too few epochs, a loss that is not finite, a training
loss that scatters widely, validation better than training by more than `max_gap` (then the split is
at fault), a gap whose standard error is larger than `max_gap` and that may as well be half as one
and a half times `max_gap`, or a verdict that is more likely wrong than right.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtr

from ajuste.config.schema import FitBounds
from ajuste.files import read_json
from ajuste.tasks import ABSOLUTE_ERROR

UNDERFITTING, OVERFITTING, OPTIMAL = "underfitting", "overfitting", "optimal"
UNDECIDED = "undecided"

MIN_EPOCHS = 3
LINEAR_KNOWS = 0.02  # a linear baseline that explains less says nothing about the data

NORMAL_SCATTER = 3.18  # 1 / median(|x - smooth(x)|) of standard normal x, by simulation
WILD = 3  # times `max_gap`: a scatter in which no curve is seen
SMOOTHED = 0.67  # the standard deviation of a median of three standard normal values
FREEDOM = 5  # of Student's t: the scatter is estimated from few epochs
PAIRED = 1 / 3
"""The standard error of a change between two epochs, as a share of that of the gap: both are of the
same reviews, so most of the sampling error cancels."""


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
        linear_loss: the validation loss of the linear baseline; None if it is not known.
        least_loss: the entropy of the targets, in training and in validation (see `tasks`).
        loss: its name, one of `tasks.TASKS`.
    """

    train_loss: np.ndarray
    validation_loss: np.ndarray
    kept_epoch: int
    baseline_loss: float
    standard_error: float = 0.0
    linear_loss: float | None = None
    least_loss: tuple[float, float] = (0.0, 0.0)
    loss: str = ""


@dataclass(frozen=True)
class Fit:
    """A verdict, its reason and its numbers (see `judge`)."""

    verdict: str
    reason: str
    numbers: dict[str, Any]

    @property
    def certainty(self) -> float:
        """The probability of the verdict; 0 if it is undecided."""
        return self.numbers.get("probability", {}).get(self.verdict, 0.0)

    def as_json(self) -> dict[str, Any]:
        """The value of `fit` in `metrics/evaluate.json`."""
        return {"verdict": self.verdict, "reason": self.reason, **self.numbers}


@dataclass(frozen=True)
class _Shares:
    """Smoothed curves in shares of the baseline loss, and their noise.

    `scatter` is the standard deviation of a smoothed value from epoch to epoch, in training and in
    validation; `sampling` is the standard error of the gap due to the choice of reviews.
    """

    train: np.ndarray
    validation: np.ndarray
    scatter: tuple[float, float]
    sampling: float
    linear: float | None


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

        - `probability` of each verdict, given the noise of the curves and of the sample;
        - `kept_epoch` and `best_epoch`, that of the lowest validation loss, both from 1;
        and in shares of the baseline loss

        - `explained`: by which the network lowers it, in `train` and `validation`; by which the
          `linear` baseline does in validation, if it is known; and what is `expected` in training;
        - `gap`, that of the losses, and `margin`, two standard errors of it;
        - `rise`: of the validation loss from its best epoch before the one kept, less what training
          rose since then;
        - `progress`: how far the validation loss would fall in a third of the epochs at the rate of
          the last sixth, and `improving`, whether that is more than `min_progress`;
        - `scatter`: the standard deviation of the training loss around its smoothed curve;

        and if the verdict is `undecided`, `cause`: epochs, constant, loss, scatter, noise or split.
    """
    epochs, stopped = len(curves.train_loss), curves.kept_epoch < len(curves.train_loss)
    if epochs < MIN_EPOCHS:
        few = f"{epochs} epoch{'s are' if epochs > 1 else ' is'} too few for a verdict"
        more = "lower the learning rate" if stopped else f"train for {MIN_EPOCHS}"
        return _unread(f"{few}, {more}", "loss" if stopped else "epochs")
    if curves.baseline_loss <= max(curves.least_loss):
        return _unread("all targets are alike; there is nothing to learn", "constant")
    with np.errstate(over="ignore", invalid="ignore"):
        shares = _shares(curves)
    if not np.isfinite([shares.train, shares.validation]).all():
        return _unread("a loss is not finite; lower the learning rate", "loss")
    train, validation = shares.train, shares.validation
    kept, best = curves.kept_epoch - 1, int(validation.argmin())
    last_sixth = max(1, round(epochs / 6))
    spans = epochs / 3 / last_sixth  # in a third of the epochs
    explained = {"train": float(1 - train[kept]), "validation": float(1 - validation[kept])}
    if shares.linear is not None:
        explained["linear"] = 1 - shares.linear
    explained["expected"] = _expected(explained.get("linear"), bounds)
    errors = _standard_errors(shares, spans)
    numbers = {
        "kept_epoch": curves.kept_epoch,
        "best_epoch": best + 1,
        "explained": explained,
        "gap": float(validation[kept] - train[kept]),
        "margin": 2 * errors["gap"],
        "rise": _rise(train[: kept + 1], validation[: kept + 1]),
        "progress": float(validation[-1 - last_sixth] - validation[-1]) * spans,
        "scatter": shares.scatter[0] / SMOOTHED,
    }
    numbers["improving"] = not stopped and numbers["progress"] > bounds.min_progress
    numbers["probability"] = _probabilities(numbers, errors, stopped, bounds)
    verdict, reason, cause = _decide(numbers, bounds)
    return Fit(verdict, reason, numbers | ({"cause": cause} if cause else {}))


def _unread(reason: str, cause: str) -> Fit:
    return Fit(UNDECIDED, reason, {"cause": cause})


def _shares(curves: Curves) -> _Shares:
    power = 2 if curves.loss == ABSOLUTE_ERROR else 1
    places = zip((curves.train_loss, curves.validation_loss), curves.least_loss, strict=True)
    train, validation = (
        np.maximum(0.0, (loss - least) / (curves.baseline_loss - least)) ** power
        for loss, least in places
    )
    sampling = curves.standard_error / (curves.baseline_loss - curves.least_loss[1])
    if power == 2:  # the derivative of the square
        sampling *= 2 * math.sqrt(validation[curves.kept_epoch - 1])
    linear = None
    if curves.linear_loss is not None:
        least = curves.least_loss[1]
        linear = ((curves.linear_loss - least) / (curves.baseline_loss - least)) ** power
    if len(train) == MIN_EPOCHS:  # of three epochs, a median of three leaves a single value
        return _Shares(train, validation, (0.0, 0.0), sampling, linear)
    scatter = SMOOTHED * noise(train), SMOOTHED * noise(validation)
    return _Shares(smooth(train), smooth(validation), scatter, sampling, linear)


def _rise(train: np.ndarray, validation: np.ndarray) -> float:
    """How far validation rose since its best; if training rose as well, only what is beyond."""
    best = int(validation.argmin())
    return float(validation[-1] - validation[best] - max(0.0, train[-1] - train[best]))


def _expected(linear: float | None, bounds: FitBounds) -> float:
    """The share of the loss that a network has to explain in training."""
    if linear is None or linear < LINEAR_KNOWS:
        return bounds.min_explained
    return bounds.min_of_linear * linear


def _standard_errors(shares: _Shares, spans: float) -> dict[str, float]:
    train, validation = shares.scatter
    change = math.hypot(math.sqrt(2) * validation, PAIRED * shares.sampling)
    return {
        "gap": math.hypot(train, validation, shares.sampling),
        "explained": math.hypot(train, shares.sampling / math.sqrt(2)),  # of one part
        "rise": change,
        "progress": spans * change,
    }


def _probabilities(
    numbers: dict[str, Any], errors: dict[str, float], stopped: bool, bounds: FitBounds
) -> dict[str, float]:
    """The probability of each verdict.

    Each condition of the rule holds with the probability that a value around the estimate, with the
    distribution of Student's t, is beyond the bound. The conditions count as independent, and are
    taken in the order of the rule. `python -m benchmarks.verdicts` checks the result.
    """
    explained, expected = numbers["explained"]["train"], numbers["explained"]["expected"]

    def beyond(value: float, bound: float, error: float) -> float:
        return float(stdtr(FREEDOM, (value - bound) / max(error, 1e-9)))

    nothing = beyond(expected / 2, explained, errors["explained"])
    low = beyond(expected, explained, errors["explained"])
    useless = beyond(0.0, numbers["explained"]["validation"], errors["explained"])
    gap = beyond(numbers["gap"], bounds.max_gap, errors["gap"])
    better = beyond(-numbers["gap"], bounds.max_gap, errors["gap"])
    rise = beyond(numbers["rise"], bounds.max_rise, errors["rise"])
    falling = beyond(numbers["progress"], bounds.min_progress, errors["progress"])
    falling = 0.0 if stopped else falling
    over = (1 - nothing) * (1 - (1 - gap) * (1 - rise))
    rest = (1 - nothing - over) * (1 - better)
    optimal = rest * (1 - low) * (1 - useless) * (1 - falling)
    return {UNDERFITTING: nothing + rest - optimal, OVERFITTING: over, OPTIMAL: optimal}


def _decide(numbers: dict[str, Any], bounds: FitBounds) -> tuple[str, str, str]:
    """The verdict, its reason, and the cause if it is undecided."""
    gap, margin = numbers["gap"], numbers["margin"]
    explained, expected = numbers["explained"]["train"], numbers["explained"]["expected"]
    if numbers["scatter"] > WILD * bounds.max_gap:
        wild = (
            f"the training loss scatters by {numbers['scatter']:.2f} of the baseline loss from "
            "epoch to epoch; lower the learning rate"
        )
        return UNDECIDED, wild, "scatter"
    low = f"training explains {explained:.2f} of the baseline loss (expected: {expected:.2f})"
    if explained < expected / 2:
        return UNDERFITTING, low, ""
    wide = margin > 2 * bounds.max_gap
    if wide and abs(gap - bounds.max_gap) < margin - bounds.max_gap / 2:
        uncertain = (
            f"the gap between validation and training is {gap - margin:.2f} to {gap + margin:.2f} "
            f"of the baseline loss (allowed: {bounds.max_gap}), too uncertain to judge; add "
            "validation reviews or lower the learning rate"
        )
        return UNDECIDED, uncertain, "noise"
    verdict, reason = _compare(numbers, low, bounds)
    if verdict == UNDECIDED:
        return verdict, reason, "split"
    chances = numbers["probability"]
    if chances[verdict] < 0.5:
        likely = ", ".join(f"{name} {100 * chance:.0f} %" for name, chance in chances.items())
        noisy = (
            f"the curves are too noisy for one verdict ({likely}); add validation reviews or lower "
            "the learning rate"
        )
        return UNDECIDED, noisy, "noise"
    return verdict, reason, ""


def _compare(numbers: dict[str, Any], low: str, bounds: FitBounds) -> tuple[str, str]:
    """The verdict by the estimates alone, for curves that can be read (rules 2 to 4)."""
    gap, rise = numbers["gap"], numbers["rise"]
    explained, expected = numbers["explained"]["train"], numbers["explained"]["expected"]
    signs = {
        f"validation is worse than training by {gap:.2f} of the baseline loss (allowed: "
        f"{bounds.max_gap})": gap > bounds.max_gap,
        f"the validation loss has risen by {rise:.2f} of the baseline loss since its best "
        f"(allowed: {bounds.max_rise})": rise > bounds.max_rise,
    }
    if any(signs.values()):
        return OVERFITTING, "; ".join(sign for sign, crossed in signs.items() if crossed)
    if -gap > bounds.max_gap:
        return UNDECIDED, (
            f"validation is better than training by {-gap:.2f} of the baseline loss; look at how "
            "the reviews were split"
        )
    if explained < expected:
        return UNDERFITTING, low
    if numbers["explained"]["validation"] < 0:
        return UNDERFITTING, (
            f"validation explains {numbers['explained']['validation']:.2f} of the baseline loss, "
            "less than nothing: the class frequencies predict better"
        )
    if numbers["improving"]:
        return UNDERFITTING, (
            f"training stopped too soon: the validation loss still falls, by "
            f"{numbers['progress']:.2f} of the baseline loss in a third of the epochs (allowed: "
            f"{bounds.min_progress})"
        )
    where = "above" if gap >= 0 else "below"
    return OPTIMAL, (
        f"the validation loss is {abs(gap):.2f} {where} the training loss (allowed: "
        f"{bounds.max_gap}), and training explains {explained:.2f} (expected: {expected:.2f}); "
        "both are shares of the baseline loss"
    )


def read_curves(folder: Path, linear_loss: float | None) -> Curves:
    """The curves in the folder of metrics of the stage `train`.

    Args:
        folder: `metrics/train`.
        linear_loss: the validation loss of the linear baseline; None if it has not this loss.
    """
    metrics = read_json(folder / "metrics.json")
    losses = {
        f"{part}_loss": pd.read_csv(folder / f"plots/metrics/{part}/loss.tsv", sep="\t")["loss"]
        for part in ("train", "validation")
    }
    if "kept_epoch" not in metrics:  # not trained by epochs: its curves are flat from the start
        losses = {name: losses[name].repeat(MIN_EPOCHS) for name in losses}
    least = metrics.get("least_loss", {"train": 0.0, "validation": 0.0})
    return Curves(
        **{name: values.to_numpy(np.float64) for name, values in losses.items()},
        kept_epoch=metrics.get("kept_epoch", MIN_EPOCHS),
        baseline_loss=metrics["baseline_loss"],
        standard_error=metrics["standard_error"],
        linear_loss=linear_loss,
        least_loss=(least["train"], least["validation"]),
        loss=metrics["loss_function"],
    )
