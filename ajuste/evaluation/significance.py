"""Whether one network is better than another: statistical tests of differences of scores.

The score of a training depends on two things besides the network: the test reviews and the seed.
The test uses the same reviews for both sides, and measures the variance that remains: by McNemar's
exact test (McNemar, 1947; Dietterich, 1998) for right and wrong predictions, and by a paired
bootstrap for the other scores.

With several seeds a side, the variance of the difference is that over the reviews plus that over
the seeds of each side (Bouthillier et al., 2021), with the degrees of freedom of Welch and
Satterthwaite (1946). The effect of a seed on single reviews is in both parts, so the test is
conservative. With one training a side this variance cannot be measured, and McNemar's test alone
calls two seeds of the same network different far too often. Therefore the test of one training a
side uses a measured constant (`SEED_IMBALANCE`): McNemar's test with a beta-binomial in place of
the binomial.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from ajuste.evaluation.bootstrap import resamples
from ajuste.evaluation.scores import MAIN, Scores, weighted
from ajuste.tasks import NUMERIC, THRESHOLD, numbers

ALPHA = 0.05
POWER = 0.8
RESAMPLES = 2000
RANDOM = 1  # the seed of the resamples, so that the same comparison gives the same numbers

SEED_IMBALANCE = 0.15
"""How uneven two seeds of one network are: the standard deviation of (put right - put wrong) /
(put right + put wrong), over all reviews on which the two differ.

Measured with `python -m benchmarks.difference seeds`, on 2,000 training reviews: 0.02 for nn, 0.09
for gru (0.07 to 0.13) and bow (0.07 to 0.14). Measured earlier, with one batch order for all
epochs: 0.08 for lstm; on 17,500 reviews 0.00 for gru (up to 0.05), 0.03 for bow (0.09) and 0.06 for
lstm (0.27): with many training reviews the test is conservative. The value is too small if some
seeds hardly learn: on 2,000 reviews 0.24 for rnn. Several seeds a side do not need it.
"""

LOWER_IS_BETTER = ("loss", "mean_squared_error", "mean_absolute_error", "calibration_error")

BETTER, WORSE, SAME = "better", "worse", "no difference shown"


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
    """

    task: str
    loss: str
    labels: list[str]
    reviews: list[str]
    targets: np.ndarray
    predictions: np.ndarray
    slices: dict[str, np.ndarray]

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
        )

    def quality(self) -> np.ndarray:
        """The values whose mean is the main score, float64 (trainings, n).

        1 for a right prediction and 0 for a wrong one; for numbers the absolute error.
        """
        return np.array(
            [_quality(self.task, self.targets, p, self.labels) for p in self.predictions]
        )


@dataclass(frozen=True)
class Difference:
    """A score on both sides; None if it is not defined.

    Attributes:
        before: on the base, the mean over its trainings.
        after: on the head.
        value: after minus before.
        low: the lower end of its 95 % interval.
        high: the upper end.
    """

    before: float | None
    after: float | None
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Test:
    """What is known of a difference in the main score.

    Attributes:
        value: after minus before.
        low: the lower end of the 95 % interval.
        high: the upper end. The interval leaves out 0 where `p` is at most 0.05, and only there.
        p: the p-value, for the hypothesis that the two sides do not differ.
        detectable: the smallest difference that the test detects with 80 % power.
    """

    value: float
    low: float
    high: float
    p: float
    detectable: float

    def verdict(self, score: str) -> str:
        """better, worse or no difference shown."""
        if self.p > ALPHA:
            return SAME
        return BETTER if (self.value < 0) == (score in LOWER_IS_BETTER) else WORSE


@dataclass(frozen=True)
class Slice:
    """The main score within a slice.

    Attributes:
        name: what it is called.
        reviews: how many it holds, on either side.
        before: the score on the base.
        after: the score on the head.
        test: of the difference, by itself.
        shown: whether it is significant, corrected for the number of slices (Holm, 1979).
    """

    name: str
    reviews: tuple[int, int]
    before: float
    after: float
    test: Test
    shown: bool


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
        score: the main score of the task.
        paired: whether both sides have the same reviews.
        reviews: how many reviews, on either side.
        trainings: how many trainings, on either side.
        test: of the main score; it decides the verdict.
        verdict: better, worse or no difference shown.
        alike: whether every prediction is the same on both sides.
        mcnemar: with one training a side, and not for numbers: how many reviews were put right, how
            many were put wrong, and the p of McNemar's exact test.
        differences: of every score, the main one first.
        slices: by the size of their difference.
    """

    score: str
    paired: bool
    reviews: tuple[int, int]
    trainings: tuple[int, int]
    test: Test
    verdict: str
    alike: bool
    mcnemar: tuple[int, int, float] | None
    differences: dict[str, Difference]
    slices: list[Slice]


def compare(base: Answers, head: Answers) -> Comparison:
    """Compare two sides of the same task and labels.

    They are paired if they have the same reviews with the same labels, in any order.

    Raises:
        ValueError: the task or the labels differ.
    """
    if (base.task, base.labels) != (head.task, head.labels):
        raise ValueError("the two sides have different tasks or labels")
    base, head = base.sorted(), head.sorted()
    paired = _same_reviews(base, head)
    before, after = base.quality(), head.quality()
    main = judge(before, after, paired)
    differences = _differences(base, head, paired)
    score = MAIN[base.task]
    first = differences[score]
    differences[score] = Difference(first.before, first.after, main.value, main.low, main.high)
    single = paired and len(before) == len(after) == 1 and base.task not in NUMERIC
    return Comparison(
        score=score,
        paired=paired,
        reviews=(len(base.reviews), len(head.reviews)),
        trainings=(len(before), len(after)),
        test=main,
        verdict=main.verdict(score),
        alike=paired and np.array_equal(base.predictions, head.predictions),
        mcnemar=_mcnemar(before[0], after[0]) if single else None,
        differences=differences,
        slices=_slices(base, head, before, after, paired),
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


def _quality(
    task: str, targets: np.ndarray, predictions: np.ndarray, labels: Sequence[str]
) -> np.ndarray:
    if task in NUMERIC:
        actual, predicted = (numbers(task, outputs, labels) for outputs in (targets, predictions))
        return np.abs(actual - predicted)
    if task == "multiclass":
        return (targets.argmax(axis=1) == predictions.argmax(axis=1)).astype(np.float64)
    right = (targets >= THRESHOLD) == (predictions >= THRESHOLD)
    return right.all(axis=1).astype(np.float64)


def _mcnemar(before: np.ndarray, after: np.ndarray) -> tuple[int, int, float]:
    put_right, put_wrong = int((after > before).sum()), int((after < before).sum())
    changed = put_right + put_wrong
    p = stats.binomtest(put_right, changed, 0.5).pvalue if changed else 1.0
    return put_right, put_wrong, float(p)


def judge(before: np.ndarray, after: np.ndarray, paired: bool) -> Test:
    """Test a difference of means; this decides the verdict of `compare`.

    Args:
        before: the quality of each prediction of the base, (trainings, n).
        after: that of the head, (trainings, m).
        paired: whether column i is the same review on both sides.
    """
    value = float(after.mean() - before.mean())
    if len(before) == len(after) == 1:
        if paired and np.isin([before, after], (0, 1)).all():
            return _beta_binomial(before[0], after[0])
        unevenness = SEED_IMBALANCE * _mean_distance(before[0], after[0], paired)
        variances = [_variance_over_reviews(before, after, paired), unevenness**2]
        freedom = [math.inf, math.inf]
    else:
        parts = _variances_over_seeds(before.mean(axis=1), after.mean(axis=1))
        variances = [_variance_over_reviews(before, after, paired), *(part for part, _ in parts)]
        freedom = [math.inf, *(degrees for _, degrees in parts)]
    return _normal(value, variances, freedom)


def _variance_over_reviews(before: np.ndarray, after: np.ndarray, paired: bool) -> float:
    if paired:
        return _variance_of_mean(after.mean(axis=0) - before.mean(axis=0))
    return sum(_variance_of_mean(side.mean(axis=0)) for side in (before, after))


def _variance_of_mean(values: np.ndarray) -> float:
    return float(values.var() / max(len(values) - 1, 1))


def _variances_over_seeds(before: np.ndarray, after: np.ndarray) -> list[tuple[float, float]]:
    """The variance of a difference of means over the seeds, with its degrees of freedom.

    One part for each side; a side of one training gets the variance of the other side.

    Args:
        before: the score of each training of the base.
        after: of the head; one of the two has several.
    """
    several = [scores for scores in (before, after) if len(scores) > 1]
    if len(several) == 1:
        shares = 1 / len(before) + 1 / len(after)
        return [(float(several[0].var(ddof=1) * shares), len(several[0]) - 1)]
    return [(float(scores.var(ddof=1) / len(scores)), len(scores) - 1) for scores in several]


def _mean_distance(before: np.ndarray, after: np.ndarray, paired: bool) -> float:
    """The mean distance of the two sides: of the same review, or of any two if not paired."""
    if paired:
        return float(np.abs(after - before).mean())
    before = np.sort(before)
    sums = np.concatenate([[0.0], np.cumsum(before)])
    below = np.searchsorted(before, after)
    above = len(before) - below
    distances = after * (below - above) - sums[below] + (sums[-1] - sums[below])
    return float(distances.mean() / len(before))


def _normal(value: float, variances: list[float], freedom: list[float]) -> Test:
    """The test of a difference whose variance is a sum of parts with degrees of freedom."""
    variance = sum(variances)
    if variance == 0:
        return Test(value, value, value, float(value == 0), 0.0)
    error = math.sqrt(variance)
    uncertain = sum(part**2 / degrees for part, degrees in zip(variances, freedom, strict=True))
    known = stats.t(variance**2 / uncertain) if uncertain else stats.norm
    reach = float(known.ppf(1 - ALPHA / 2)) * error
    return Test(
        value=value,
        low=value - reach,
        high=value + reach,
        p=float(2 * known.sf(abs(value) / error)),
        detectable=reach + float(known.ppf(POWER)) * error,
    )


def _beta_binomial(before: np.ndarray, after: np.ndarray) -> Test:
    """McNemar's exact test for seeds that are uneven by `SEED_IMBALANCE`.

    In McNemar's test the number put right, of those that changed, is binomial with probability 1/2.
    Here this probability varies between pairs of seeds, with a beta distribution.
    """
    put_right, put_wrong, _ = _mcnemar(before, after)
    reviews, changed = len(before), put_right + put_wrong
    shape = (1 / SEED_IMBALANCE**2 - 1) / 2  # the beta whose variance is a quarter of the square
    by_chance = stats.betabinom(changed, shape, shape)
    value = (put_right - put_wrong) / reviews
    p = min(1.0, 2 * float(by_chance.sf(max(put_right, put_wrong) - 1)))
    # The smallest significant number put right; one more than `changed` if there is none.
    counts = np.arange(changed + 2)
    fewest = int(counts[2 * by_chance.sf(counts - 1) <= ALPHA][0])
    reach = (2 * fewest - changed - 1) / reviews
    error = math.sqrt(changed * (1 + (changed - 1) * SEED_IMBALANCE**2)) / reviews
    return Test(
        value, value - reach, value + reach, p, reach + float(stats.norm.ppf(POWER)) * error
    )


def _differences(base: Answers, head: Answers, paired: bool) -> dict[str, Difference]:
    """Every score of the task, with its interval by the bootstrap."""
    once = [_scores(side, np.ones((1, len(side.reviews)))) for side in (base, head)]
    resampled = [_resampled(base, RANDOM), _resampled(head, RANDOM if paired else RANDOM + 1)]
    return {
        name: _difference(*(scores[name] for scores in (*once, *resampled)))
        for name in sorted(once[0], key=lambda name: name != MAIN[base.task])
    }


def _scores(side: Answers, weights: np.ndarray) -> Scores:
    """Each score of each training, (trainings, resamples)."""
    found = [
        weighted(side.task, side.loss, side.targets, p, side.labels, weights)
        for p in side.predictions
    ]
    return {name: np.array([scores[name] for scores in found]) for name in found[0]}


def _resampled(side: Answers, seed: int) -> Scores:
    """Each score of each resample, in the mean over the trainings: (resamples,)."""
    parts = [_scores(side, weights) for weights in resamples(len(side.reviews), RESAMPLES, seed)]
    return {name: np.concatenate([part[name].mean(axis=0) for part in parts]) for name in parts[0]}


def _difference(
    before: np.ndarray, after: np.ndarray, resampled_before: np.ndarray, resampled_after: np.ndarray
) -> Difference:
    """From a score of each training of both sides, (trainings, 1), and of each resample."""
    old, new = float(before.mean()), float(after.mean())
    value = new - old
    resampled = resampled_after - resampled_before
    resampled = resampled[~np.isnan(resampled)]
    if math.isnan(value) or not len(resampled):
        return Difference(*(None if math.isnan(v) else v for v in (old, new)), None, None, None)
    if len(before) == len(after) == 1:
        low, high = np.quantile(resampled, (ALPHA / 2, 1 - ALPHA / 2))
        return Difference(old, new, value, float(low), float(high))
    parts = _variances_over_seeds(before[:, 0], after[:, 0])
    variances = [float(resampled.var()), *(variance for variance, _ in parts)]
    test = _normal(value, variances, [math.inf, *(degrees for _, degrees in parts)])
    return Difference(old, new, value, test.low, test.high)


def _slices(
    base: Answers, head: Answers, before: np.ndarray, after: np.ndarray, paired: bool
) -> list[Slice]:
    """The slices of both sides; those of the head, if the reviews are the same."""
    found = []
    for name, chosen in head.slices.items():
        old = chosen if paired else base.slices.get(name, np.zeros(len(base.reviews), dtype=bool))
        if not (old.any() and chosen.any()):
            continue
        parts = before[:, old], after[:, chosen]
        means = (float(part.mean()) for part in parts)
        counts = int(old.sum()), int(chosen.sum())
        found.append(Slice(name, counts, *means, judge(*parts, paired), shown=False))
    found.sort(key=lambda part: part.test.p)
    shown = True
    for rank, part in enumerate(found):
        shown = shown and part.test.p <= ALPHA / (len(found) - rank)
        found[rank] = replace(part, shown=shown)
    return sorted(found, key=lambda part: -abs(part.test.value))
