"""Whether one network is better than another: statistical tests of differences of scores.

The score of a training depends on two things besides the network: the test reviews and the seed.
One training a side cannot tell a better network from a better seed, so it is not judged. From two
trainings a side, the variance of the difference has these parts:

- seeds: for each side the variance of the scores of its trainings, divided by their number;
- reviews: how differently the two networks treat the same reviews, which more trainings do not
  reduce. It is the variance over the reviews of the difference of the means of the trainings, less
  the part of it that differs between the trainings of a side, which the first part contains.

These are the variance components of readers nested in a method and crossed with cases (Obuchowski
and Rockette, 1995; Hillis, 2007): a training is a reader, a review is a case. For a score that is
not a mean over the reviews, such as average precision, the bootstrap gives the variance over them.

Half an interval is sqrt(sum of variance * t^2), where each part has the t of its own degrees of
freedom. For normal scores it has at most 5 % false alarms, whatever the ratio of the variances
(Banerjee, 1960, has the proof). One t for the sum, with the degrees of freedom of Satterthwaite
(1946), gives up to 7 % with three trainings a side: the variance over the seeds is then often
estimated as almost 0, and the test believes it. If both sides have the same number of trainings,
the seeds of both are one part, which has more power. Its degrees of freedom are those of Welch
(1947) less a half: by simulation, Welch's alone give up to 5.8 % if one side varies more than the
other, these at most 5.0 %. `python -m benchmarks.difference` shows the false alarms and the power
on simulated predictions.

No test sees a failure that did not happen: if one training in ten fails, three trainings of both
sides are all good in half of the pairs, and the interval is then one of good trainings.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, special

from ajuste.evaluation.bootstrap import resamples
from ajuste.evaluation.scores import MAIN, Scores, right, weighted
from ajuste.tasks import NUMERIC, THRESHOLD, Threshold, numbers

ALPHA = 0.05
POWER = 0.8
MARGIN = 0.01
FEWEST_REVIEWS = 20
"""A slice with fewer reviews (with groups: fewer groups) is not tested."""
MANY = 1_000_000
"""Trainings a side; what they cannot show, more cannot."""
QUANTILES = 16  # of a distribution that a power is averaged over
RESAMPLES = 1000
RANDOM = 1  # the seed of the resamples, so that the same comparison gives the same numbers

LOWER_IS_BETTER = ("loss", "mean_squared_error", "mean_absolute_error", "calibration_error")

BETTER, WORSE, SAME = "better", "worse", "no difference shown"
EQUIVALENT, NOT_JUDGED = "equivalent within the margin", "not judged"


@dataclass(frozen=True)
class Answers:
    """The predictions of one side for its test reviews, one set for each training.

    Attributes:
        task: a key of `ajuste.tasks.TASKS`.
        loss: one of the task's.
        labels: those of the data.
        reviews: n texts.
        targets: (n, outputs).
        predictions: (trainings, n, outputs).
        slices: for each slice a mask of its reviews, bool (n,).
        groups: what each review is about, (n,), if reviews of one film are not independent.
        thresholds: of each training, (trainings, outputs), or one for all.
    """

    task: str
    loss: str
    labels: list[str]
    reviews: list[str]
    targets: np.ndarray
    predictions: np.ndarray
    slices: dict[str, np.ndarray]
    groups: np.ndarray | None = None
    thresholds: np.ndarray | float = THRESHOLD

    @property
    def trainings(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The predictions of each training, (n, outputs), and its thresholds, (outputs,)."""
        trainings, _, outputs = self.predictions.shape
        thresholds = np.broadcast_to(self.thresholds, (trainings, outputs))
        return list(zip(self.predictions, thresholds, strict=True))

    def sorted(self) -> "Answers":
        """The same in an order that does not depend on the order of the rows."""
        rows = zip(self.reviews, self.targets.tolist(), self.predictions[0].tolist(), strict=True)
        order = [place for place, _ in sorted(enumerate(rows), key=lambda row: row[1])]
        return replace(
            self,
            reviews=[self.reviews[place] for place in order],
            targets=self.targets[order],
            predictions=self.predictions[:, order],
            slices={name: members[order] for name, members in self.slices.items()},
            groups=None if self.groups is None else self.groups[order],
        )

    def part(self, chosen: np.ndarray) -> "Answers":
        """The same for some of the reviews, by a mask, bool (n,)."""
        return replace(
            self,
            reviews=[self.reviews[place] for place in np.flatnonzero(chosen)],
            targets=self.targets[chosen],
            predictions=self.predictions[:, chosen],
            slices={},
            groups=None if self.groups is None else self.groups[chosen],
        )

    def quality(self) -> np.ndarray:
        """The values whose mean is the main score of the task, float64 (trainings, n).

        1 for a right prediction and 0 for a wrong one; for numbers the absolute error.
        """
        shared = self.task, self.targets, self.labels
        return np.array([_quality(*shared, *training) for training in self.trainings])


@dataclass(frozen=True)
class Difference:
    """A score on both sides; None if it is not defined.

    Attributes:
        before: on the base, the mean over its trainings.
        after: on the head.
        value: after minus before.
        low: the lower end of its 95 % interval; None with one training on a side.
        high: the upper end.
    """

    before: float | None
    after: float | None
    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Test:
    """What is known of a difference in the main score.

    Attributes:
        value: after minus before.
        low: the lower end of the 95 % interval.
        high: the upper end. The interval leaves out 0 where `p` is at most 0.05, and only there.
        p: the p-value, for the hypothesis that the two sides do not differ.
        detectable: the smallest difference that the test detects with 80 % power. It is estimated,
            as the variances are: too small as often as too large.
        no_worse: whether the head is shown not to be worse by the margin (one-sided, 5 %).
        equivalent: whether the head is shown to be neither worse nor better by the margin (two
            one-sided tests at 5 %; Schuirmann, 1987).
        seeds: the number of trainings a side that shows `no_worse` with 80 % power if there is no
            difference; None if none does, as the test reviews are too few.
    """

    value: float
    low: float
    high: float
    p: float
    detectable: float
    no_worse: bool
    equivalent: bool
    seeds: int | None

    def verdict(self, score: str) -> str:
        """better, worse, equivalent within the margin or no difference shown."""
        if self.p <= ALPHA:
            return WORSE if _drop(self.value, score) > 0 else BETTER
        return EQUIVALENT if self.equivalent else SAME


@dataclass(frozen=True)
class Slice:
    """The main score within a slice.

    Attributes:
        name: what it is called.
        reviews: how many it holds, on either side.
        before: the score on the base.
        after: the score on the head.
        test: of the difference, by itself; None if a side has one training, or fewer than 20
            reviews.
        shown: whether it is significant, corrected for the number of slices (Holm, 1979).
    """

    name: str
    reviews: tuple[int, int]
    before: float
    after: float
    test: Test | None
    shown: bool = False

    @property
    def value(self) -> float:
        """After minus before."""
        return self.after - self.before


@dataclass(frozen=True)
class Flip:
    """A review with another prediction.

    Attributes:
        base: its position on the base.
        head: its position on the head.
        rise: the increase of its part of the main score, in the mean over the trainings.
    """

    base: int
    head: int
    rise: float


@dataclass(frozen=True)
class Comparison:
    """The outcome.

    Attributes:
        score: the main score.
        margin: how much worse it may be, in units of the score.
        paired: whether both sides have the same reviews.
        reviews: how many reviews, on either side.
        trainings: how many trainings, on either side.
        test: of the main score; it decides the verdict. None with one training on a side, or if the
            score is not defined.
        verdict: better, worse, equivalent within the margin, no difference shown or not judged. The
            same predictions on both sides are equivalent without a test.
        alike: whether every prediction is the same on both sides.
        flipped: with one training a side, and not for numbers: how many reviews were put right, and
            how many were put wrong, by these two networks.
        differences: of every score, the main one first.
        slices: by the size of their difference.
    """

    score: str
    margin: float
    paired: bool
    reviews: tuple[int, int]
    trainings: tuple[int, int]
    test: Test | None
    verdict: str
    alike: bool
    flipped: tuple[int, int] | None
    differences: dict[str, Difference]
    slices: list[Slice]


def compare(
    base: Answers, head: Answers, margin: float = MARGIN, score: str | None = None
) -> Comparison:
    """Compare two sides of the same task and labels.

    They are paired if they have the same reviews with the same labels, in any order.

    Args:
        base: one side.
        head: the other.
        margin: how much worse the head may be, in units of the score.
        score: the main score, one of `ajuste.evaluation.scores.weighted`; None: that of the task.

    Raises:
        ValueError: the task or the labels differ, or the task has no such score.
    """
    if (base.task, base.labels) != (head.task, head.labels):
        raise ValueError("the two sides have different tasks or labels")
    base, head = base.sorted(), head.sorted()
    paired = _same_reviews(base, head)
    if paired:
        groups = base.groups if head.groups is None else head.groups
        base, head = replace(base, groups=groups), replace(head, groups=groups)
    score = score or MAIN[base.task]
    before, after = _scores(base), _scores(head)
    if score not in before:
        raise ValueError(f"task {base.task} has no score {score}; it has {', '.join(before)}")
    trainings = len(base.predictions), len(head.predictions)
    estimated = _estimates(base, head, paired, score) if min(trainings) > 1 else {}
    alike = paired and all(map(np.array_equal, _told(base), _told(head)))
    test = estimated[score].test(score, margin) if score in estimated else None
    if test and alike:
        test = replace(test, no_worse=True, equivalent=True)
    verdict = test.verdict(score) if test else NOT_JUDGED
    return Comparison(
        score=score,
        margin=margin,
        paired=paired,
        reviews=(len(base.reviews), len(head.reviews)),
        trainings=trainings,
        test=test,
        verdict=EQUIVALENT if alike else verdict,
        alike=alike,
        flipped=_flipped(base, head) if paired and max(trainings) == 1 else None,
        differences={
            name: _difference(before[name], after[name], estimated.get(name))
            for name in sorted(before, key=lambda name: name != score)
        },
        slices=_slices(base, head, paired, score, margin),
    )


def flips(base: Answers, head: Answers) -> list[Flip]:
    """The reviews of both sides whose part of the main score differs.

    The largest changes come first; equal changes are sorted by the change of the prediction.
    """
    places: dict[tuple[str, tuple[float, ...]], int] = {}
    for place, key in enumerate(_keys(base)):
        places.setdefault(key, place)
    before, after = base.quality().mean(axis=0), head.quality().mean(axis=0)
    moved = []
    for place, key in enumerate(_keys(head)):
        if key in places and (rise := after[place] - before[places[key]]):
            old, new = (
                side.predictions[:, at].mean(axis=0)
                for side, at in ((base, places[key]), (head, place))
            )
            moved.append((-abs(rise), -np.abs(new - old).max(), key, places[key], place, rise))
    return [Flip(at, place, float(rise)) for *_, at, place, rise in sorted(moved)]


def _keys(side: Answers) -> list[tuple[str, tuple[float, ...]]]:
    return list(zip(side.reviews, map(tuple, side.targets.tolist()), strict=True))


def _same_reviews(base: Answers, head: Answers) -> bool:
    return base.reviews == head.reviews and np.array_equal(base.targets, head.targets)


def _told(side: Answers) -> list[np.ndarray]:
    """What the answers of a side are made of."""
    return [np.array(parts) for parts in zip(*side.trainings, strict=True)]


def _quality(
    task: str,
    targets: np.ndarray,
    labels: Sequence[str],
    predictions: np.ndarray,
    threshold: Threshold,
) -> np.ndarray:
    if task in NUMERIC:
        actual, predicted = (numbers(task, outputs, labels) for outputs in (targets, predictions))
        return np.abs(actual - predicted)
    return right(task, targets, predictions, threshold).astype(np.float64)


def _flipped(base: Answers, head: Answers) -> tuple[int, int] | None:
    if base.task in NUMERIC:
        return None
    [before], [after] = base.quality(), head.quality()
    return int((after > before).sum()), int((after < before).sum())


def _drop(value: float, score: str) -> float:
    """How much worse the head is."""
    return value if score in LOWER_IS_BETTER else -value


@dataclass(frozen=True)
class Estimate:
    """A difference of two means over trainings, and its variance.

    Attributes:
        value: the difference.
        reviews: the part of the variance that more trainings do not reduce.
        degrees: its degrees of freedom.
        seeds: for each side the variance of the score of one training.
        trainings: for each side their number, at least 2.
    """

    value: float
    reviews: float
    degrees: float
    seeds: tuple[float, float]
    trainings: tuple[int, int]

    def reach(self, level: float, luck: Sequence[np.ndarray | float] = (1.0, 1.0)) -> np.ndarray:
        """Half the width of the interval that misses the truth with probability `level`.

        Args:
            level: of the two ends together.
            luck: for each side what multiplies its variance.
        """
        parts = [
            variance * factor / count
            for variance, factor, count in zip(self.seeds, luck, self.trainings, strict=True)
        ]
        degrees = [count - 1.0 for count in self.trainings]
        if degrees[0] == degrees[1]:
            welch = np.maximum(_welch(*parts, degrees) - 0.5, degrees[0])
            parts, degrees = [parts[0] + parts[1]], [welch]
        parts, degrees = [*parts, self.reviews], [*degrees, self.degrees]
        squares = (
            part * special.stdtrit(free, level / 2) ** 2
            for part, free in zip(parts, degrees, strict=True)
        )
        return np.sqrt(sum(squares))

    @property
    def error(self) -> float:
        """The standard error."""
        of_seeds = (v / count for v, count in zip(self.seeds, self.trainings, strict=True))
        return math.sqrt(self.reviews + sum(of_seeds))

    @property
    def p(self) -> float:
        """The smallest level whose interval leaves out 0."""
        distance = abs(self.value)
        if not distance:
            return 1.0
        least = -300.0  # of the logarithm; below, the square of a t would overflow
        if self.reach(math.exp(least)) <= distance:
            return 0.0
        return math.exp(
            optimize.brentq(lambda log: float(self.reach(math.exp(log))) - distance, least, 0.0)
        )

    def test(self, score: str, margin: float) -> Test:
        """Test the difference of a score."""
        reach, one_sided = float(self.reach(ALPHA)), float(self.reach(2 * ALPHA))
        return Test(
            value=self.value,
            low=self.value - reach,
            high=self.value + reach,
            p=self.p,
            detectable=self.typical.detectable,
            no_worse=_drop(self.value, score) + one_sided < margin,
            equivalent=abs(self.value) + one_sided < margin,
            seeds=self.typical.seeds_for(margin),
        )

    @property
    def typical(self) -> "Estimate":
        """The same with variances over the seeds that are too small as often as too large.

        The estimate of a variance from few trainings is right in the mean, but more often too small
        than too large.
        """
        degrees = _welch(*self.seeds, [count - 1.0 for count in self.trainings])
        factor = float(degrees / special.chdtri(degrees, 0.5))
        return replace(self, seeds=tuple(factor * variance for variance in self.seeds))

    @property
    def detectable(self) -> float:
        """The difference that the two-sided test shows with 80 % power."""
        if not self.error:
            return 0.0
        reach = self.reach(ALPHA, self._luck())
        return optimize.brentq(
            lambda value: _power(value, reach, self.error) - POWER,
            0.0,
            float(reach.max()) + 10 * self.error,
        )

    def seeds_for(self, margin: float) -> int | None:
        """How many trainings a side show "no worse" with 80 % power, if there is no difference."""

        def enough(count: int) -> bool:
            planned = replace(self, trainings=(count, count))
            reach = planned.reach(2 * ALPHA, planned._luck())
            return margin > 0 and _power(margin, reach, planned.error) >= POWER

        if not enough(MANY):
            return None
        low, high = 1, MANY
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if enough(middle) else (middle, high)
        return high

    def _luck(self) -> tuple[np.ndarray, np.ndarray]:
        """Estimates of the two variances over the seeds, as multiples of the true ones.

        All pairs of quantiles of their scaled chi-squared distributions. The mean of a power over
        them is that of the noncentral t, for several variances.
        """
        quantiles = (np.arange(QUANTILES) + 0.5) / QUANTILES
        first, second = (
            special.chdtri(count - 1, quantiles) / (count - 1) for count in self.trainings
        )
        return first[:, None], second[None, :]


def _power(value: float, reach: np.ndarray, error: float) -> float:
    """The probability that an estimate of a difference exceeds its reach.

    Args:
        value: the true difference.
        reach: equally likely values of the reach.
        error: the standard error of the estimate.
    """
    if not error:
        return float((value > reach).mean())
    return float(special.ndtr((value - reach) / error).mean())


def _welch(
    first: np.ndarray | float, second: np.ndarray | float, degrees: Sequence[float]
) -> np.ndarray:
    """The degrees of freedom of a sum of two variances (Welch, 1947); of two zeros the fewer."""
    first, second = np.asarray(first), np.asarray(second)
    below = first**2 / degrees[0] + second**2 / degrees[1]
    return np.divide(
        (first + second) ** 2, below, out=np.full(np.shape(below), min(degrees)), where=below > 0
    )


def estimate(
    before: np.ndarray,
    after: np.ndarray,
    paired: bool,
    groups: tuple[np.ndarray | None, np.ndarray | None] = (None, None),
) -> Estimate:
    """The difference of a score that is a mean over the reviews.

    Args:
        before: the value of each review, for each of at least two trainings of the base,
            (trainings, n).
        after: of the head, (trainings, m).
        paired: whether column i is the same review on both sides.
        groups: for each side what its reviews are about, (n,) and (m,), or None.
    """
    sides = zip((before, after), groups, strict=True)
    noises = [_noise_of_mean(values, of_side) for values, of_side in sides]
    return _estimate(before.mean(axis=1), after.mean(axis=1), noises, paired)


Noise = tuple[np.ndarray, int]
"""How the score of each training deviates over the reviews, and how many are independent.

float64 (trainings, any): the sum of the products of two rows is their covariance. The number is
that of the reviews, or of the groups.
"""


def _noise_of_mean(values: np.ndarray, groups: np.ndarray | None) -> Noise:
    deviations = (values - values.mean(axis=1, keepdims=True)) / values.shape[1]
    if groups is not None:
        _, place = np.unique(groups, return_inverse=True)
        deviations = np.array([np.bincount(place, weights=row) for row in deviations])
    units = deviations.shape[1]
    return deviations * math.sqrt(units / max(units - 1, 1)), units


def _noise_of_resamples(resampled: np.ndarray, units: int) -> Noise:
    """From the score of each training on each resample, (trainings, resamples)."""
    deviations = resampled - resampled.mean(axis=1, keepdims=True)
    shares = units / max(units - 1, 1) / max(resampled.shape[1] - 1, 1)
    return deviations * math.sqrt(shares), units


def _estimate(before: np.ndarray, after: np.ndarray, noises: list[Noise], paired: bool) -> Estimate:
    """From the scores of the trainings, (trainings,), and their noise over the reviews."""
    rows, units = zip(*noises, strict=True)
    means = [each.mean(axis=0) for each in rows]
    of_trainings = [
        float(((each - mean) ** 2).sum()) / (len(each) * (len(each) - 1))
        for each, mean in zip(rows, means, strict=True)
    ]
    degrees = tuple(max(count - 1.0, 1.0) for count in units)
    if paired:
        shared, free = float(((means[1] - means[0]) ** 2).sum()), degrees[1]
    else:
        parts = [float((mean**2).sum()) for mean in means]
        shared, free = sum(parts), float(_welch(*parts, degrees))
    old, new = float(before.mean()), float(after.mean())
    return Estimate(
        value=0.0 if math.isclose(old, new, rel_tol=1e-12) else new - old,  # the order of a sum
        reviews=max(shared - sum(of_trainings), 0.0),
        degrees=free,
        seeds=(float(before.var(ddof=1)), float(after.var(ddof=1))),
        trainings=(len(before), len(after)),
    )


def _estimates(base: Answers, head: Answers, paired: bool, score: str) -> dict[str, Estimate]:
    """The difference of every score that is defined on both sides."""
    before, after = _scores(base), _scores(head)
    seeds = RANDOM, RANDOM if paired else RANDOM + 1
    resampled = [_resampled(side, seed) for side, seed in zip((base, head), seeds, strict=True)]
    units = [_units(side) for side in (base, head)]
    found = {}
    for name in before:
        of_sides = [scores[name] for scores in resampled]
        defined = ~np.isnan(np.concatenate(of_sides)).any(axis=0)
        if defined.sum() > 1 and not np.isnan([before[name].mean(), after[name].mean()]).any():
            noises = [
                _noise_of_resamples(side[:, defined], count)
                for side, count in zip(of_sides, units, strict=True)
            ]
            found[name] = _estimate(before[name], after[name], noises, paired)
    if score == MAIN[base.task]:
        found[score] = _of_main(base, head, paired)
    return found


def _of_main(base: Answers, head: Answers, paired: bool) -> Estimate:
    """The difference of the main score of the task, which is a mean."""
    return estimate(base.quality(), head.quality(), paired, (base.groups, head.groups))


def _units(side: Answers) -> int:
    return len(side.reviews) if side.groups is None else len(np.unique(side.groups))


def _scores(side: Answers, weights: np.ndarray | None = None) -> Scores:
    """Each score of each training, (trainings,); of weighted reviews (trainings, resamples)."""
    once = np.ones((1, len(side.reviews))) if weights is None else weights
    found = [
        weighted(side.task, side.loss, side.targets, predictions, side.labels, once, threshold)
        for predictions, threshold in side.trainings
    ]
    tables = {name: np.array([scores[name] for scores in found]) for name in found[0]}
    return {name: table[:, 0] if weights is None else table for name, table in tables.items()}


def _resampled(side: Answers, seed: int) -> Scores:
    """Each score of each training on each resample, (trainings, resamples)."""
    groups = {} if side.groups is None else {"groups": side.groups}
    parts = [
        _scores(side, weights)
        for weights in resamples(len(side.reviews), RESAMPLES, seed, **groups)
    ]
    return {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}


def _difference(before: np.ndarray, after: np.ndarray, known: Estimate | None) -> Difference:
    """From the score of each training of both sides, (trainings,)."""
    means = float(before.mean()), float(after.mean())
    old, new = (None if math.isnan(mean) else mean for mean in means)
    value = None if old is None or new is None else new - old
    if known is None:
        return Difference(old, new, value)
    reach = float(known.reach(ALPHA))
    return Difference(old, new, value, known.value - reach, known.value + reach)


def _slices(base: Answers, head: Answers, paired: bool, score: str, margin: float) -> list[Slice]:
    """The slices of both sides; those of the head, if the reviews are the same."""
    found = []
    for name, chosen in head.slices.items():
        old = chosen if paired else base.slices.get(name, np.zeros(len(base.reviews), dtype=bool))
        if not (old.any() and chosen.any()):
            continue
        parts = base.part(old), head.part(chosen)
        before, after = (float(_scores(part)[score].mean()) for part in parts)
        if not math.isnan(before + after):
            counts = int(old.sum()), int(chosen.sum())
            tested = _test_slice(*parts, paired, score, margin)
            found.append(Slice(name, counts, before, after, tested))
    tested = sorted((part for part in found if part.test), key=lambda part: part.test.p)
    shown = True
    significant = set()
    for rank, part in enumerate(tested):
        shown = shown and part.test.p <= ALPHA / (len(tested) - rank)
        significant |= {part.name} if shown else set()
    found = [replace(part, shown=part.name in significant) for part in found]
    return sorted(found, key=lambda part: -abs(part.value))


def _test_slice(
    base: Answers, head: Answers, paired: bool, score: str, margin: float
) -> Test | None:
    small = min(_units(base), _units(head)) < FEWEST_REVIEWS
    if small or min(len(base.predictions), len(head.predictions)) == 1:
        return None
    if score == MAIN[base.task]:
        return _of_main(base, head, paired).test(score, margin)
    known = _estimates(base, head, paired, score).get(score)
    return known.test(score, margin) if known else None
