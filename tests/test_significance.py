from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ajuste.evaluation import significance
from ajuste.evaluation.significance import (
    BETTER,
    EQUIVALENT,
    NOT_JUDGED,
    SAME,
    WORSE,
    Answers,
    Estimate,
)

NAMES = ["negative", "positive"]


def side(right, reviews=None, slices=None, seed=1):
    """Predictions; the table (trainings, n) says which are right."""
    right = np.atleast_2d(np.asarray(right, dtype=bool))
    generator = np.random.default_rng(seed)
    targets = (np.arange(right.shape[1]) % 2).astype(np.float32)[:, None]
    sure = generator.uniform(0.51, 0.99, right.shape)
    positive = (targets[:, 0] == 1) == right
    return Answers(
        task="binary",
        loss="binary_crossentropy",
        labels=NAMES,
        reviews=reviews or [f"review {place}" for place in range(right.shape[1])],
        targets=targets,
        predictions=np.where(positive, sure, 1 - sure)[:, :, None],
        slices=slices or {},
    )


def changed(put_right, put_wrong, reviews=1000):
    """Two sides of one training each, which differ in this number of predictions."""
    before, after = np.ones((2, reviews), dtype=bool)
    before[:put_right] = False
    after[put_right : put_right + put_wrong] = False
    return side(before), side(after)


def twofold(answers, times=2):
    """The same predictions in several trainings."""
    return replace(answers, predictions=answers.predictions.repeat(times, axis=0))


def test_each_training_has_its_threshold():
    one = side(np.ones((2, 40)))
    moved = replace(one, thresholds=np.array([[0.5], [0.999]]))
    assert moved.quality().mean(axis=1).tolist() == [1, 0.5]  # the second says no to all
    assert significance.compare(one, one).alike
    found = significance.compare(one, moved)
    assert not found.alike
    assert found.differences["accuracy"].after == 0.75
    assert found.differences["roc_auc"].value == 0


def permuted(answers, seed=7):
    order = np.random.default_rng(seed).permutation(len(answers.reviews))
    return replace(
        answers,
        reviews=[answers.reviews[place] for place in order],
        targets=answers.targets[order],
        predictions=answers.predictions[:, order],
        slices={name: members[order] for name, members in answers.slices.items()},
        groups=None if answers.groups is None else answers.groups[order],
    )


def seeds(trainings, accuracy, of_reviews, of_seeds, reviews=2000, seed=0):
    """Predictions of several trainings: reviews differ in difficulty, seeds in accuracy."""
    generator = np.random.default_rng(seed)
    hardness = np.random.default_rng(99).normal(0, of_reviews, reviews)
    luck = generator.normal(0, of_seeds, (trainings, 1))
    chance = np.clip(accuracy + luck + hardness, 0, 1)
    return side(generator.random((trainings, reviews)) < chance)


def test_the_main_score_comes_first():
    found = significance.compare(*changed(40, 10)).differences
    assert next(iter(found)) == "accuracy"
    assert found["accuracy"].value == pytest.approx(0.03)
    assert found["accuracy"].after == pytest.approx(0.99)


@pytest.mark.parametrize(("base", "head"), [(1, 1), (1, 3), (4, 1)])
def test_one_training_on_a_side_is_not_judged(base, head):
    right = np.arange(1000) < np.array([[700]])
    slices = {"first": np.arange(1000) < 500}
    before = side(right.repeat(base, axis=0), seed=1)
    after = side(~right.repeat(head, axis=0), slices=slices, seed=2)
    found = significance.compare(before, after)
    assert (found.test, found.verdict) == (None, NOT_JUDGED)
    main = found.differences["accuracy"]
    assert (main.before, main.after) == (0.7, 0.3)
    assert main.value == pytest.approx(-0.4)
    assert {(each.low, each.high) for each in found.differences.values()} == {(None, None)}
    assert [(part.test, part.shown) for part in found.slices] == [(None, False)]


def test_what_two_networks_did_is_counted_without_a_verdict():
    assert significance.compare(*changed(90, 20)).flipped == (90, 20)
    assert significance.compare(seeds(2, 0.8, 0.2, 0.01), seeds(2, 0.8, 0.2, 0.01)).flipped is None


@pytest.mark.parametrize("trainings", [1, 3])
def test_the_same_predictions_are_equivalent(trainings):
    same = seeds(trainings, 0.8, 0.2, 0.05, reviews=200)
    found = significance.compare(same, permuted(same), margin=1e-9)
    assert found.alike
    assert found.verdict == EQUIVALENT
    assert (found.test is None) == (trainings == 1)
    assert found.test is None or (found.test.no_worse and found.test.equivalent)


def estimated(value, reviews=1e-4, of_seeds=(1e-4, 1e-4), trainings=(3, 3), degrees=999.0):
    return Estimate(value, reviews, degrees, of_seeds, trainings)


@settings(max_examples=100)
@given(
    st.floats(-0.2, 0.2),
    st.floats(0, 1e-3),
    st.tuples(st.floats(1e-9, 1e-3), st.floats(1e-9, 1e-3)),
    st.tuples(st.integers(2, 6), st.integers(2, 6)),
)
def test_the_interval_excludes_zero_if_and_only_if_the_difference_is_significant(
    value, reviews, of_seeds, trainings
):
    test = estimated(value, reviews, of_seeds, trainings).test("accuracy", 0.01)
    assert (test.low > 0 or test.high < 0) == (test.p <= significance.ALPHA)
    assert test.low <= test.value <= test.high
    assert test.detectable >= test.high - test.value


def test_without_variance_over_the_reviews_equal_seeds_are_a_t_test():
    """Of Welch with half a degree of freedom less; equal variances have 2 * (3 - 1)."""
    found = estimated(0.02, reviews=0.0)
    error = np.sqrt(2 * 1e-4 / 3)
    assert found.p == pytest.approx(2 * stats.t.sf(0.02 / error, 3.5))
    assert found.reach(0.05) == pytest.approx(stats.t.ppf(0.975, 3.5) * error)


def test_the_parts_of_the_variance_have_their_own_t():
    found = estimated(0.0, reviews=3e-4, of_seeds=(1e-4, 2e-4), trainings=(2, 5), degrees=24.0)
    parts = (3e-4, 24), (1e-4 / 2, 1), (2e-4 / 5, 4)
    expected = sum(variance * stats.t.ppf(0.95, degrees) ** 2 for variance, degrees in parts)
    assert found.reach(0.1) == pytest.approx(np.sqrt(expected))


@pytest.mark.parametrize("trainings", [(2, 2), (3, 3), (5, 5), (2, 5), (3, 5)])
@pytest.mark.parametrize("reviews", [0.0, 0.3, 3.0])
def test_at_most_5_percent_false_alarms_for_any_ratio_of_the_variances(trainings, reviews):
    generator = np.random.default_rng(1)
    draws = 40_000
    for uneven in (0.03, 0.1, 0.3, 1, 3, 10, 30):
        true = np.array([1.0, uneven**2])
        degrees = np.array(trainings) - 1
        of_seeds = [
            variance * generator.chisquare(free, draws) / free
            for variance, free in zip(true, degrees, strict=True)
        ]
        error = np.sqrt(reviews + (true / trainings).sum())
        found = estimated(0.0, reviews, of_seeds, trainings)
        values = generator.normal(0, error, draws)
        for level, alarms in ((0.05, np.abs(values)), (0.1, values)):
            count = int((alarms > found.reach(level)).sum())
            assert stats.binomtest(count, draws, 0.05, alternative="greater").pvalue > 1e-3


def test_the_variance_over_the_reviews_leaves_out_what_the_seeds_have():
    """A network's own difficulty of a review stays, a training's own noise does not."""
    generator = np.random.default_rng(2)
    own = generator.normal(0, 1, (2, 1, 20_000))
    noise = generator.normal(0, 2, (2, 3, 20_000))
    found = significance.estimate(*(own + noise), paired=True)
    assert found.reviews == pytest.approx(2 * 1**2 / 20_000, rel=0.1)
    unpaired = significance.estimate(*(own + noise), paired=False)
    assert unpaired.reviews == pytest.approx(found.reviews, rel=0.1)
    assert unpaired.degrees == pytest.approx(2 * 19_999, rel=0.01)


def test_reviews_of_one_film_count_as_one():
    generator = np.random.default_rng(3)
    films = np.arange(400).repeat(10)
    before, after = generator.normal(0, 1, (2, 1, 400)).repeat(10, axis=2) + np.zeros((2, 3, 1))
    alone = significance.estimate(before, after, paired=True)
    together = significance.estimate(before, after, paired=True, groups=(films, films))
    assert together.reviews == pytest.approx(10 * alone.reviews, rel=0.01)
    assert (alone.degrees, together.degrees) == (3999, 399)


def test_the_films_widen_the_interval_of_every_score():
    base, head = (seeds(2, 0.8, 0.2, 0.01, reviews=400, seed=n) for n in (1, 2))
    films = np.arange(400) // 40  # neighbours are wrong together on the head only
    right = head.quality().astype(bool)
    right[:, films < 4] = False
    head = side(right)
    grouped = replace(head, groups=films)
    alone, together = (significance.compare(base, other).differences for other in (head, grouped))
    for name in ("accuracy", "loss", "f1"):
        widths = [found[name].high - found[name].low for found in (alone, together)]
        assert widths[1] > 1.5 * widths[0]
    assert significance.compare(base, permuted(grouped)).differences == together


@pytest.mark.parametrize(("score", "worse"), [("accuracy", -1), ("loss", 1)])
def test_no_worse_is_one_side_of_equivalent(score, worse):
    for value in np.linspace(-0.1, 0.1, 41):
        test = estimated(value).test(score, 0.05)
        one_sided = float(estimated(value).reach(0.1))
        assert test.no_worse == (worse * value + one_sided < 0.05)
        assert test.equivalent == (abs(value) + one_sided < 0.05)


def test_better_wins_over_equivalent():
    better = estimated(0.01, 1e-7, (1e-7, 1e-7)).test("accuracy", 0.05)
    assert better.equivalent
    assert better.verdict("accuracy") == BETTER
    assert better.verdict("loss") == WORSE
    assert estimated(1e-5, 1e-7, (1e-7, 1e-7)).test("accuracy", 0.05).verdict("loss") == EQUIVALENT


def test_the_number_of_seeds_shows_no_worse_with_80_percent_power():
    planned = estimated(0.0, 1e-5, (1e-4, 1e-4)).seeds_for(0.02)
    generator = np.random.default_rng(1)
    shown = []
    for count in (planned, planned - 1):
        error = np.sqrt(1e-5 + 2e-4 / count)
        draws = [
            estimated(
                generator.normal(0, error),
                1e-5,
                tuple(1e-4 * generator.chisquare(count - 1, 2) / (count - 1)),
                (count, count),
            )
            for _ in range(3000)
        ]
        shown.append(np.mean([each.value + each.reach(0.1) < 0.02 for each in draws]))
    assert shown[0] > 0.78
    assert shown[1] < 0.81
    assert estimated(0.0, 1e-5, (1e-4, 1e-4)).seeds_for(0.005) is None  # the reviews alone
    assert estimated(0.0, 0.0, (0.0, 0.0)).seeds_for(0.005) == 2
    assert estimated(0.0).seeds_for(0.0) is None


def test_any_score_can_be_the_main_one():
    base, head = (seeds(2, 0.8, 0.2, 0.01, reviews=300, seed=n) for n in (1, 2))
    members = {"odd": np.arange(300) % 2 == 1, "some": np.arange(300) < 60}
    head = replace(head, slices=members)
    for score in ("average_precision", "loss"):
        found = significance.compare(base, head, score=score)
        assert next(iter(found.differences)) == found.score == score
        assert found.test.value == pytest.approx(found.differences[score].value)
        assert found.test.high == found.differences[score].high
        assert {part.name for part in found.slices} == (
            {"odd", "some"} if score == "loss" else {"some"}  # "odd" has one class
        )
    with pytest.raises(ValueError, match="no score r2; it has accuracy"):
        significance.compare(base, head, score="r2")


def test_the_bootstrap_agrees_with_the_formula_of_a_mean():
    base, head = (seeds(3, 0.8, 0.2, 0.001, reviews=500, seed=n) for n in (1, 2))
    exact = significance.compare(base, head).test
    name = significance.MAIN["binary"]
    resampled = significance._estimates(base.sorted(), head.sorted(), True, "loss")[name]
    assert resampled.value == pytest.approx(exact.value)
    assert 2 * resampled.reach(0.05) == pytest.approx(exact.high - exact.low, rel=0.1)


def test_the_order_of_the_rows_changes_no_number():
    generator = np.random.default_rng(5)
    right = generator.random((3, 500)) < 0.8
    members = {"short": generator.random(500) < 0.4, "long": generator.random(500) < 0.4}
    base, head = side(right, slices=members, seed=1), side(~right, slices=members, seed=2)
    for trainings in (1, 3):
        old, new = (replace(s, predictions=s.predictions[:trainings]) for s in (base, head))
        expected = significance.compare(old, new)
        assert expected.paired
        assert significance.compare(permuted(old), new) == expected
        assert significance.compare(old, permuted(new, seed=8)) == expected
        texts = [
            [(answers.reviews[f.head], f.rise) for f in significance.flips(other, answers)]
            for other, answers in ((old, new), (permuted(old), permuted(new, seed=8)))
        ]
        assert texts[0] == texts[1]


def test_texts_that_occur_twice_are_paired():
    base, head = (twofold(each) for each in changed(40, 10, reviews=100))
    twice = ["the same"] * 4 + base.reviews[4:]
    base, head = replace(base, reviews=twice), replace(head, reviews=twice)
    found = significance.compare(base, permuted(head))
    assert found.paired
    assert found.test.value == pytest.approx(0.3)


def test_other_reviews_are_not_paired():
    before, after = np.ones((2, 400), dtype=bool)
    before[:114] = after[14:120] = False  # 100 are wrong on both sides, which the pairing knows
    base, head = twofold(side(before)), twofold(side(after))
    other = replace(head, reviews=["another", *head.reviews[1:]])
    found = significance.compare(base, other)
    assert not found.paired
    assert found.flipped is None
    alike = significance.compare(base, head)
    assert found.test.value == pytest.approx(alike.test.value)
    assert found.test.high - found.test.low > alike.test.high - alike.test.low


def test_reviews_with_other_labels_are_not_paired():
    base, head = changed(60, 40, reviews=400)
    relabelled = head.targets.copy()
    relabelled[0] = 1 - relabelled[0]
    assert not significance.compare(base, replace(head, targets=relabelled)).paired


def test_the_labels_must_be_the_same():
    base, head = changed(3, 2)
    with pytest.raises(ValueError, match="different tasks or labels"):
        significance.compare(base, replace(head, labels=["bad", "good"]))


def test_a_smaller_error_is_better():
    targets = np.arange(1, 11, dtype=np.float32).repeat(20)[:, None]
    shared = {
        "task": "regression",
        "loss": "mean_squared_error",
        "labels": ["1", "10"],
        "reviews": [f"review {place}" for place in range(200)],
        "targets": targets,
        "slices": {},
    }
    noise = np.random.default_rng(1).normal(0, 1, targets.shape)
    far, near = (
        Answers(**shared, predictions=(targets + scale * noise)[None].repeat(2, axis=0))
        for scale in (2, 0.5)
    )
    found = significance.compare(far, near)
    assert found.score == "mean_absolute_error"
    assert found.verdict == BETTER
    assert significance.compare(near, far).verdict == WORSE
    assert found.differences["mean_squared_error"].value < 0


def test_the_variance_of_the_seeds_counts():
    lucky = significance.compare(*(twofold(each) for each in changed(120, 40, reviews=1000)))
    assert lucky.verdict == BETTER
    # as large a difference in the mean, with seeds that vary more than that
    base = side(np.arange(1000) < np.array([[700], [860]]))
    head = side(np.arange(1000) < np.array([[780], [940]]))
    found = significance.compare(base, head)
    assert found.test.value == pytest.approx(lucky.test.value)
    assert found.verdict == SAME
    assert found.trainings == (2, 2)
    assert found.differences["loss"].low < 0 < found.differences["loss"].high


def test_slices_are_corrected_for_their_number():
    reviews = 700
    before, after = np.ones((2, reviews), dtype=bool)
    before[:40] = False  # the first slice: 40 put right, of 100
    before[100:108] = after[108:109] = False  # the second: alone it would pass
    members = {f"slice {n}": np.arange(reviews) // 100 == n for n in range(7)}
    base, head = twofold(side(before)), twofold(side(after, slices=members))
    found = significance.compare(base, head).slices
    assert [part.name for part in found[:2]] == ["slice 0", "slice 1"]
    assert [part.shown for part in found[:2]] == [True, False]
    assert found[1].test.p < significance.ALPHA
    assert found[0].reviews == (100, 100)
    assert (found[0].before, found[0].after) == (0.6, 1.0)


def test_small_slices_are_not_tested():
    before, after = np.ones((2, 200), dtype=bool)
    before[:19] = False
    members = {"19": np.arange(200) < 19, "20": np.arange(200) < 20}
    base, head = twofold(side(before)), twofold(side(after, slices=members))
    small, enough = sorted(significance.compare(base, head).slices, key=lambda part: part.reviews)
    assert (small.value, small.test, small.shown) == (1.0, None, False)
    assert enough.test.p < 0.001
    assert enough.shown
    # Student's t with 19 degrees of freedom: one review of 20 did not change
    reach = stats.t.ppf(0.975, 19) * np.sqrt(0.95 * 0.05 / 19)
    assert enough.test.high - enough.value == pytest.approx(reach)


def test_flips_are_sorted_by_their_distance():
    base, head = changed(2, 1, reviews=20)
    moved = significance.flips(base, head)
    assert sorted(flip.rise for flip in moved) == [-1, 1, 1]
    assert {flip.head for flip in moved} == {flip.base for flip in moved} == {0, 1, 2}
    distance = [abs(head.predictions - base.predictions)[0, flip.head, 0] for flip in moved]
    assert distance == sorted(distance, reverse=True)


def test_an_undefined_score_is_none():
    base, head = changed(3, 2, reviews=20)
    one_class = np.zeros_like(base.targets)
    base, head = replace(base, targets=one_class), replace(head, targets=one_class)
    found = significance.compare(base, head).differences["roc_auc"]
    assert (found.before, found.after, found.value, found.low) == (None, None, None, None)
