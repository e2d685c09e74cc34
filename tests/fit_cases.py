"""Learning curves, each with the verdict of a careful teacher.

The labels were given by hand, from the shape of the curve and before a rule was applied. The terms
are those of the lecture: *underfitting*, a high loss on both parts (or both still fall clearly);
*overfitting*, a clear gap between the two; *optimal*, a low loss with validation close to training;
*undecided*, if the curve does not allow a verdict. The verdict is about the network that was kept:
if early stopping restored the best weights, later epochs do not count.

Both losses are measured at the end of an epoch, without dropout. The curves come from formulas.
Curves about which two teachers might disagree are left out.
"""

from functools import partial
from types import SimpleNamespace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Curve = NDArray[np.float64]

TWO = float(np.log(2))  # the loss of always answering the class frequencies: two balanced classes,
EIGHT = float(np.log(8))  # eight balanced classes,
RARE = 0.33  # one class in ten reviews,
VARIANCE = 12.0  # and the mean of a regression


def case(
    verdict: str,
    name: str,
    reason: str,
    train: ArrayLike,
    validation: ArrayLike,
    *,
    kept: int | None = None,
    baseline: float = TWO,
    reviews: int = 5000,
    error: float | None = None,
) -> SimpleNamespace:
    """A curve with its verdict, by the names of `fit_runs.json`.

    By default the last epoch was kept, and `error`, the standard error of the gap, is that of a
    binary loss.
    """
    train_loss, validation_loss = (
        tuple(np.round(np.asarray(loss, float), 4).tolist()) for loss in (train, validation)
    )
    return SimpleNamespace(
        name=name,
        verdict=verdict,
        reason=reason,
        train_loss=train_loss,
        validation_loss=validation_loss,
        kept_epoch=len(train_loss) if kept is None else kept,
        baseline_loss=round(baseline, 4),
        standard_error=round(0.6 * np.sqrt(2 / reviews) if error is None else error, 4),
    )


def decay(epochs: int, start: float, floor: float, pace: float) -> Curve:
    """From `start` in the first epoch towards `floor`; `pace` epochs take off 63 % of the way."""
    return floor + (start - floor) * np.exp(-np.arange(epochs) / pace)


def line(epochs: int, start: float, end: float) -> Curve:
    """Straight from `start` to `end`."""
    return np.linspace(start, end, epochs)


def late(epochs: int, start: float, floor: float, middle: float) -> Curve:
    """Flat at `start`, then down to `floor` around the epoch `middle`."""
    return floor + (start - floor) / (1 + np.exp(np.arange(1, epochs + 1) - middle))


def rise(epochs: int, after: int, step: float) -> Curve:
    """Nothing up to the epoch `after`, then `step` more in each epoch."""
    return step * np.maximum(0, np.arange(1, epochs + 1) - after)


def bump(epochs: int, at: int, height: float) -> Curve:
    """`height` in the epoch `at`, nothing in the others."""
    return np.where(np.arange(1, epochs + 1) == at, height, 0.0)


def noise(epochs: int, size: float, seed: int) -> Curve:
    """Normal noise of the standard deviation `size`."""
    return np.random.default_rng(seed).normal(0, size, epochs)


NAN, INFINITE = float("nan"), float("inf")

optimal, overfitting, underfitting, undecided = (
    partial(case, verdict) for verdict in ("optimal", "overfitting", "underfitting", "undecided")
)

CASES = [
    optimal(
        "the GRU of the lecture",
        "low on both, 0.32 and 0.34",
        decay(10, 0.55, 0.32, 1.6),
        decay(10, 0.50, 0.34, 1.6),
    ),
    optimal(
        "the LSTM of the lecture",
        "low on both, no gap at all",
        decay(10, 0.58, 0.34, 1.7),
        decay(10, 0.54, 0.34, 1.6),
    ),
    optimal(
        "noisy but close",
        "both flat and together, the wobble is noise",
        decay(12, 0.56, 0.31, 1.5) + noise(12, 0.006, 1),
        decay(12, 0.50, 0.335, 1.5) + noise(12, 0.014, 2),
    ),
    optimal(
        "noisy on five hundred reviews",
        "low, close and flat; the wobble is within the error",
        decay(15, 0.56, 0.31, 2) + noise(15, 0.004, 3),
        decay(15, 0.52, 0.33, 2) + noise(15, 0.012, 4),
        reviews=500,
    ),
    optimal(
        "one bad epoch in training",
        "one epoch is an accident, the rest is close",
        decay(10, 0.55, 0.31, 1.5) + bump(10, 6, 0.09),
        decay(10, 0.50, 0.335, 1.5) + bump(10, 6, 0.07),
    ),
    optimal(
        "one bad epoch in validation",
        "back at once, the end is close",
        decay(10, 0.55, 0.31, 1.5),
        decay(10, 0.50, 0.335, 1.5) + bump(10, 6, 0.16),
    ),
    optimal(
        "a small bump at the end",
        "one slightly worse epoch is no trend",
        decay(12, 0.55, 0.315, 1.5),
        decay(12, 0.50, 0.335, 1.5) + bump(12, 12, 0.04),
    ),
    optimal(
        "a bump of both at the end",
        "both jump together, no gap opens",
        decay(12, 0.55, 0.315, 1.5) + bump(12, 12, 0.05),
        decay(12, 0.50, 0.335, 1.5) + bump(12, 12, 0.05),
    ),
    optimal(
        "a wild first epoch",
        "only the start is odd",
        decay(10, 0.55, 0.32, 1.5) + bump(10, 1, 0.6),
        decay(10, 0.50, 0.335, 1.5) + bump(10, 1, 1.1),
    ),
    optimal(
        "five epochs",
        "fast, and flat by the end",
        decay(5, 0.44, 0.32, 0.8),
        decay(5, 0.41, 0.335, 0.8),
    ),
    optimal(
        "thirty epochs",
        "a long common plateau",
        decay(30, 0.62, 0.31, 3) + noise(30, 0.002, 5),
        decay(30, 0.60, 0.33, 3) + noise(30, 0.004, 6),
    ),
    optimal(
        "a hundred epochs",
        "a very long common plateau",
        decay(100, 0.66, 0.33, 6) + noise(100, 0.002, 7),
        decay(100, 0.66, 0.345, 6) + noise(100, 0.005, 8),
    ),
    optimal(
        "slow but arrived",
        "flat at the end, although it took long",
        decay(100, 0.69, 0.33, 17),
        decay(100, 0.69, 0.345, 17),
    ),
    optimal(
        "slow to start",
        "learned nothing at first, then all of it",
        late(20, 0.693, 0.32, 7),
        late(20, 0.693, 0.34, 7),
    ),
    optimal(
        "a small steady gap",
        "a gap there always is, this one is small and does not grow",
        decay(10, 0.50, 0.265, 1.4),
        decay(10, 0.46, 0.335, 1.4),
    ),
    optimal(
        "a hint of a rise",
        "one hundredth above its lowest, and close to training",
        decay(10, 0.50, 0.30, 1.4),
        decay(10, 0.46, 0.33, 1.2) + rise(10, 6, 0.002),
    ),
    optimal(
        "validation a little easier",
        "a hundredth below training means nothing",
        decay(10, 0.56, 0.345, 1.5),
        decay(10, 0.52, 0.33, 1.5),
    ),
    optimal(
        "nearly perfect",
        "an easy task, solved on both",
        decay(12, 0.40, 0.02, 1.4),
        decay(12, 0.35, 0.035, 1.4),
    ),
    optimal(
        "a harder task",
        "0.40 is well below guessing, close and flat",
        decay(12, 0.60, 0.39, 1.8),
        decay(12, 0.58, 0.405, 1.8),
    ),
    optimal(
        "stopped in time",
        "the kept epoch is low and close, what came later was thrown away",
        [0.47, 0.37, 0.33, 0.30, 0.25, 0.20],
        [0.42, 0.36, 0.34, 0.335, 0.35, 0.38],
        kept=4,
    ),
    optimal(
        "stopped in time, shown to the bitter end",
        "the later collapse is not in the kept weights",
        [0.50, 0.38, 0.33, 0.295, 0.21, 0.14, 0.09, 0.05, 0.03, 0.02],
        [0.45, 0.37, 0.345, 0.335, 0.36, 0.42, 0.50, 0.59, 0.69, 0.80],
        kept=4,
    ),
    optimal(
        "stopped on a plateau",
        "nothing better came, both flat and close",
        decay(14, 0.56, 0.315, 1.8) + noise(14, 0.001, 9),
        decay(14, 0.52, 0.335, 1.8) + rise(14, 11, 0.003),
        kept=11,
    ),
    optimal(
        "eight classes, learned",
        "a third of the loss of guessing, and close",
        decay(15, 1.55, 0.62, 2.2),
        decay(15, 1.45, 0.68, 2.2),
        baseline=EIGHT,
        error=0.02,
    ),
    optimal(
        "a regression, four fifths explained",
        "low on both, and close",
        decay(20, 9.0, 2.1, 3),
        decay(20, 8.6, 2.3, 3),
        baseline=VARIANCE,
        error=0.06,
    ),
    optimal(
        "a noisy regression",
        "the wobble goes both ways, the level is low and common",
        decay(25, 10.0, 2.4, 3) + noise(25, 0.08, 10),
        decay(25, 9.5, 2.7, 3) + noise(25, 0.2, 11),
        baseline=VARIANCE,
        reviews=1500,
        error=0.13,
    ),
    optimal(
        "a rare class, learned",
        "less than half the loss of guessing, and close",
        decay(12, 0.26, 0.135, 1.8),
        decay(12, 0.25, 0.15, 1.8),
        baseline=RARE,
        reviews=10000,
    ),
    overfitting(
        "the classic",
        "training goes to nothing while validation turns up",
        decay(12, 0.50, 0.0, 2.5),
        decay(12, 0.45, 0.30, 1.5) + rise(12, 4, 0.05),
    ),
    overfitting(
        "the 512-512 bag of words of the lecture",
        "training at 0, validation climbs to twice its lowest",
        decay(10, 0.36, 0.0, 1.3),
        decay(10, 0.31, 0.29, 1) + rise(10, 2, 0.055),
    ),
    overfitting(
        "run to the bitter end",
        "the last weights were kept, not the best ones",
        [0.50, 0.38, 0.33, 0.295, 0.21, 0.14, 0.09, 0.05, 0.03, 0.02],
        [0.45, 0.37, 0.345, 0.335, 0.36, 0.42, 0.50, 0.59, 0.69, 0.80],
    ),
    overfitting(
        "a gap without a rise",
        "validation flat, training sinks away from it",
        decay(15, 0.52, 0.06, 4),
        decay(15, 0.47, 0.37, 1.5),
    ),
    overfitting(
        "a smaller gap without a rise",
        "training has come down to less than half of validation",
        decay(15, 0.52, 0.145, 3),
        decay(15, 0.47, 0.35, 1.5),
    ),
    overfitting(
        "a moderate one",
        "clear gap, and validation past its lowest for half the run",
        decay(10, 0.50, 0.16, 2.5),
        decay(10, 0.45, 0.33, 1.3) + rise(10, 5, 0.013),
    ),
    overfitting(
        "from the second epoch on",
        "validation only ever rises",
        decay(8, 0.24, 0.0, 1.5),
        line(8, 0.32, 0.85),
    ),
    overfitting(
        "four epochs",
        "short, but the scissors are open",
        [0.40, 0.22, 0.10, 0.04],
        [0.36, 0.345, 0.42, 0.53],
    ),
    overfitting(
        "learned by heart",
        "training at 0, validation worse than guessing",
        decay(20, 0.65, 0.0, 2.5),
        decay(20, 0.67, 0.60, 2) + rise(20, 5, 0.06),
        error=0.03,
    ),
    overfitting(
        "nothing carries over",
        "validation never leaves guessing while training is learned",
        decay(15, 0.68, 0.10, 4),
        np.full(15, 0.693) + noise(15, 0.003, 12),
    ),
    overfitting(
        "the best epoch, already too far",
        "even the kept epoch has a wide gap",
        [0.48, 0.27, 0.13, 0.06, 0.03],
        [0.50, 0.45, 0.42, 0.46, 0.53],
        kept=3,
    ),
    overfitting(
        "the first epoch was the best and too much",
        "one pass over the training set is learned by heart",
        [0.08, 0.02, 0.01, 0.0],
        [0.40, 0.47, 0.55, 0.62],
        kept=1,
    ),
    overfitting(
        "noisy but rising",
        "it wobbles, but upwards, and training is at 0",
        decay(15, 0.50, 0.0, 2.5) + np.abs(noise(15, 0.006, 13)),
        decay(15, 0.45, 0.31, 1.5) + rise(15, 4, 0.04) + noise(15, 0.03, 14),
    ),
    overfitting(
        "very noisy",
        "never near training again, whichever epoch one takes",
        decay(20, 0.50, 0.01, 2.5),
        decay(20, 0.47, 0.32, 1.5) + rise(20, 4, 0.045) + noise(20, 0.09, 15),
        reviews=1000,
        error=0.04,
    ),
    overfitting(
        "a lucky last epoch",
        "one better epoch does not close the gap",
        decay(12, 0.50, 0.0, 2.5),
        decay(12, 0.45, 0.30, 1.5) + rise(12, 4, 0.04) + bump(12, 12, -0.13),
    ),
    overfitting(
        "a bump on top of the gap",
        "a bad epoch in both hides nothing of the gap",
        decay(12, 0.50, 0.02, 2.5) + bump(12, 7, 0.15),
        decay(12, 0.45, 0.31, 1.5) + rise(12, 4, 0.03) + bump(12, 7, 0.25),
    ),
    overfitting(
        "late, after a long good phase",
        "good until epoch 60, the scissors open afterwards",
        decay(100, 0.66, 0.32, 6) - rise(100, 60, 0.007),
        decay(100, 0.66, 0.335, 6) + rise(100, 60, 0.006),
    ),
    overfitting(
        "eight classes, validation turns up",
        "validation nearly twice its lowest, training at 0",
        decay(15, 1.50, 0.03, 3),
        decay(15, 1.35, 0.75, 2) + rise(15, 5, 0.08),
        baseline=EIGHT,
        error=0.03,
    ),
    overfitting(
        "eight classes, a gap without a rise",
        "validation flat at three times training",
        decay(20, 1.50, 0.30, 3.5),
        decay(20, 1.35, 0.98, 2),
        baseline=EIGHT,
        error=0.022,
    ),
    overfitting(
        "a regression, learned by heart",
        "error on validation many times that on training",
        decay(20, 9.0, 0.4, 3.5),
        decay(20, 8.5, 4.2, 2) + rise(20, 8, 0.12),
        baseline=VARIANCE,
        error=0.12,
    ),
    overfitting(
        "a rare class, learned by heart",
        "below guessing on both, yet wide apart",
        decay(12, 0.24, 0.01, 2.5),
        decay(12, 0.22, 0.17, 1.5) + rise(12, 4, 0.014),
        baseline=RARE,
        reviews=10000,
    ),
    overfitting(
        "on sixty reviews, beyond any doubt",
        "so wide a gap shows even on few reviews",
        decay(12, 0.45, 0.0, 1.5),
        decay(12, 0.55, 0.50, 1.5) + rise(12, 3, 0.13),
        reviews=60,
        error=0.25,
    ),
    underfitting(
        "learned nothing",
        "both stay at guessing",
        np.full(10, 0.693) + noise(10, 0.0008, 16),
        np.full(10, 0.6935) + noise(10, 0.0012, 17),
    ),
    underfitting(
        "worse than guessing",
        "both flat just above guessing",
        np.full(12, 0.70) + noise(12, 0.003, 18),
        np.full(12, 0.702) + noise(12, 0.004, 19),
    ),
    underfitting(
        "the dense network of the lecture",
        "0.59 and 0.66: high on both",
        decay(10, 0.685, 0.59, 1.8),
        decay(10, 0.685, 0.66, 1.5),
    ),
    underfitting(
        "too small a network",
        "converged at 0.59 of 0.69 on both",
        decay(20, 0.69, 0.59, 3),
        decay(20, 0.69, 0.60, 3),
    ),
    underfitting(
        "strong regularization",
        "held at 0.62 from the second epoch on",
        decay(12, 0.65, 0.62, 0.7),
        decay(12, 0.645, 0.622, 0.7),
    ),
    underfitting(
        "a little better than that",
        "converged at 0.55, still four fifths of guessing",
        decay(20, 0.68, 0.55, 3),
        decay(20, 0.68, 0.56, 3),
    ),
    underfitting(
        "ten epochs at too small a rate",
        "both fall in a straight line to the last epoch",
        line(10, 0.692, 0.60),
        line(10, 0.692, 0.605),
    ),
    underfitting(
        "ten epochs, stopped on the way down",
        "no longer so high, but far from done",
        line(10, 0.685, 0.43),
        line(10, 0.680, 0.44),
    ),
    underfitting(
        "a hundred epochs at too small a rate",
        "both creep down, still high at the end",
        decay(100, 0.693, 0.40, 130) + noise(100, 0.001, 20),
        decay(100, 0.693, 0.405, 130) + noise(100, 0.002, 21),
    ),
    underfitting(
        "a hundred epochs, stopped on the way down",
        "a straight line to the end, nothing has flattened",
        line(100, 0.69, 0.44) + noise(100, 0.001, 22),
        line(100, 0.69, 0.45) + noise(100, 0.002, 23),
    ),
    underfitting(
        "noisy and high",
        "wobbles at 0.62 on both, going nowhere",
        decay(15, 0.68, 0.62, 1.5) + noise(15, 0.010, 24),
        decay(15, 0.68, 0.63, 1.5) + noise(15, 0.015, 25),
    ),
    underfitting(
        "a bump on top of a high plateau",
        "one bad epoch, high before and after",
        decay(12, 0.68, 0.61, 1.5) + bump(12, 6, 0.12),
        decay(12, 0.68, 0.62, 1.5) + bump(12, 6, 0.15),
    ),
    underfitting(
        "stopped early on a high plateau",
        "no epoch was any good, nor is the best one",
        decay(10, 0.68, 0.61, 1.5),
        decay(10, 0.68, 0.62, 1.5) + rise(10, 8, 0.002),
        kept=8,
    ),
    underfitting(
        "four epochs at guessing",
        "nothing learned, nothing moving",
        [0.6935, 0.693, 0.6928, 0.6927],
        [0.6934, 0.6931, 0.693, 0.6929],
    ),
    underfitting(
        "eight classes, nothing learned",
        "both stay at guessing",
        np.full(10, 2.079) + noise(10, 0.002, 26),
        np.full(10, 2.081) + noise(10, 0.003, 27),
        baseline=EIGHT,
        error=0.02,
    ),
    underfitting(
        "eight classes, too small a network",
        "converged at 1.72 of 2.08",
        decay(20, 2.05, 1.72, 3),
        decay(20, 2.05, 1.75, 3),
        baseline=EIGHT,
        error=0.02,
    ),
    underfitting(
        "a regression, five per cent explained",
        "hardly better than always answering the mean",
        decay(15, 12.0, 11.4, 2),
        decay(15, 12.0, 11.5, 2),
        baseline=VARIANCE,
        error=0.3,
    ),
    underfitting(
        "a regression, fifteen per cent explained",
        "converged far above what the data allow",
        decay(25, 12.0, 10.2, 4) + noise(25, 0.03, 28),
        decay(25, 12.0, 10.4, 4) + noise(25, 0.06, 29),
        baseline=VARIANCE,
        error=0.28,
    ),
    underfitting(
        "a rare class, not found",
        "0.31 sounds low, but guessing gives 0.33",
        decay(12, 0.33, 0.312, 2),
        decay(12, 0.33, 0.315, 2),
        baseline=RARE,
        reviews=10000,
    ),
    underfitting(
        "at guessing on sixty reviews",
        "the training set alone shows that nothing was learned",
        np.full(10, 0.691) + noise(10, 0.001, 30),
        np.full(10, 0.694) + noise(10, 0.004, 31),
        reviews=60,
    ),
    undecided("one epoch", "a point is not a curve", [0.34], [0.35]),
    undecided("two epochs", "too few to see where it goes", [0.45, 0.36], [0.41, 0.37]),
    undecided("two epochs near guessing", "may only need longer", [0.69, 0.67], [0.69, 0.675]),
    undecided(
        "not a number from the third epoch on",
        "training broke down",
        [0.60, 0.52, NAN, NAN, NAN],
        [0.58, 0.53, NAN, NAN, NAN],
    ),
    undecided("never a number", "there is nothing to see", [NAN] * 6, [NAN] * 6),
    undecided(
        "validation not a number at the end",
        "the kept epoch was not measured",
        decay(6, 0.50, 0.32, 1.5),
        [0.46, 0.39, 0.36, 0.35, 0.34, NAN],
    ),
    undecided(
        "infinite",
        "training broke down",
        [0.60, 0.75, 3.1, 48.0, INFINITE],
        [0.62, 0.90, 4.0, 61.0, INFINITE],
    ),
    undecided(
        "validation far below training",
        "unseen reviews cannot be that much easier: look at the split",
        decay(12, 0.66, 0.55, 2),
        decay(12, 0.55, 0.28, 2),
    ),
    undecided(
        "validation almost solved, training not",
        "reviews of the validation set are not like the others",
        decay(12, 0.55, 0.34, 2),
        decay(12, 0.30, 0.06, 2),
    ),
    undecided(
        "a regression, validation far below training",
        "half the error on unseen rows: look at the split",
        decay(20, 10.0, 5.6, 3),
        decay(20, 6.0, 2.4, 3),
        baseline=VARIANCE,
        error=0.12,
    ),
    undecided(
        "sixty reviews",
        "a gap of 0.12 with an error of 0.11 may be none or a wide one",
        decay(12, 0.52, 0.28, 2),
        decay(12, 0.55, 0.40, 2) + noise(12, 0.008, 32),
        reviews=60,
    ),
    undecided(
        "forty reviews",
        "a gap of 0.16 with an error of 0.13 may be none or a wide one",
        decay(12, 0.52, 0.25, 2),
        decay(12, 0.55, 0.41, 2) + noise(12, 0.01, 33),
        reviews=40,
    ),
    undecided(
        "a regression on forty rows",
        "a gap of 1.4 with an error of 1.2 may be none or a wide one",
        decay(20, 10.0, 3.0, 3),
        decay(20, 9.5, 4.4, 3) + noise(20, 0.08, 34),
        baseline=VARIANCE,
        reviews=40,
        error=1.2,
    ),
    undecided(
        "validation jumps from epoch to epoch",
        "the jumps are larger than any difference",
        decay(10, 0.50, 0.33, 1.5),
        [0.62, 0.36, 0.91, 0.40, 0.74, 0.35, 0.83, 0.37, 0.95, 0.45],
    ),
    undecided(
        "validation swings for twenty epochs",
        "close or far depends on where one stops",
        decay(20, 0.50, 0.30, 2),
        0.43 + 0.2 * np.cos(2.3 * np.arange(20)) + noise(20, 0.03, 35),
    ),
    undecided(
        "both jump, too large a rate",
        "no two epochs agree on anything",
        [0.70, 0.38, 0.95, 0.42, 0.60, 1.10, 0.36, 0.80, 0.45, 0.72],
        [0.55, 0.81, 0.48, 1.05, 0.37, 0.72, 0.98, 0.41, 0.88, 0.50],
    ),
]
