from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ajuste.evaluation import significance
from ajuste.evaluation.significance import BETTER, SAME, WORSE, Answers

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


def permuted(answers, seed=7):
    order = np.random.default_rng(seed).permutation(len(answers.reviews))
    return replace(
        answers,
        reviews=[answers.reviews[place] for place in order],
        targets=answers.targets[order],
        predictions=answers.predictions[:, order],
        slices={name: members[order] for name, members in answers.slices.items()},
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


@pytest.mark.parametrize(
    ("put_right", "put_wrong", "verdict"),
    [(90, 20, BETTER), (20, 90, WORSE), (55, 55, SAME), (60, 45, SAME), (0, 0, SAME), (4, 0, SAME)],
)
def test_the_verdict_of_one_training_a_side(put_right, put_wrong, verdict):
    found = significance.compare(*changed(put_right, put_wrong))
    assert found.verdict == verdict
    assert found.mcnemar[:2] == (put_right, put_wrong)


def judged(put_right, put_wrong, reviews=1000):
    """The test of the main score, and McNemar's p."""
    before, after = (answers.quality() for answers in changed(put_right, put_wrong, reviews))
    exact = significance._mcnemar(before[0], after[0])[2]
    return significance.judge(before, after, paired=True), exact


@pytest.mark.parametrize(("put_right", "put_wrong"), [(30, 12), (12, 30), (25, 25), (1, 9)])
def test_with_equal_seeds_it_is_mcnemars_exact_test(monkeypatch, put_right, put_wrong):
    monkeypatch.setattr(significance, "SEED_IMBALANCE", 1e-3)
    test, exact = judged(put_right, put_wrong)
    assert exact == pytest.approx(stats.binomtest(put_right, put_right + put_wrong).pvalue)
    assert test.p == pytest.approx(exact, rel=0.02)


def test_the_reviews_alone_do_not_show_a_difference_of_two_seeds():
    # 300 predictions changed, 180 for the better: significant for McNemar, normal for two seeds
    test, exact = judged(180, 120, reviews=5000)
    assert exact < 0.001
    assert test.verdict("accuracy") == SAME


@settings(max_examples=100)
@given(st.integers(0, 60), st.integers(0, 60))
def test_the_interval_excludes_zero_if_and_only_if_the_difference_is_significant(
    put_right, put_wrong
):
    test, _ = judged(put_right, put_wrong, 200)
    assert (test.low > 0 or test.high < 0) == (test.p <= significance.ALPHA)
    assert test.low <= test.value <= test.high
    assert test.detectable >= test.high - test.value


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
    base, head = changed(40, 10, reviews=100)
    twice = ["the same"] * 4 + base.reviews[4:]
    base, head = replace(base, reviews=twice), replace(head, reviews=twice)
    found = significance.compare(base, permuted(head))
    assert found.paired
    assert found.test.value == pytest.approx(0.3)


def test_other_reviews_are_not_paired():
    before, after = np.ones((2, 400), dtype=bool)
    before[:114] = after[14:120] = False  # 100 are wrong on both sides, which the pairing knows
    base, head = side(before), side(after)
    other = replace(head, reviews=["another", *head.reviews[1:]])
    found = significance.compare(base, other)
    assert not found.paired
    assert found.mcnemar is None
    alike = significance.compare(base, head)
    assert found.test.value == pytest.approx(alike.test.value)
    assert found.test.high - found.test.low > alike.test.high - alike.test.low


def test_the_mean_distance_of_unpaired_predictions():
    generator = np.random.default_rng(4)
    before, after = generator.integers(0, 5, 30) / 2, generator.normal(1, 1, 20)
    expected = np.abs(after[:, None] - before[None, :]).mean()
    assert significance._mean_distance(before, after, paired=False) == pytest.approx(expected)


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
        Answers(**shared, predictions=(targets + scale * noise)[None]) for scale in (2, 0.5)
    )
    found = significance.compare(far, near)
    assert found.score == "mean_absolute_error"
    assert found.verdict == BETTER
    assert significance.compare(near, far).verdict == WORSE
    assert found.differences["mean_squared_error"].value < 0


def test_the_variance_of_the_seeds_counts():
    lucky = significance.compare(*changed(120, 40, reviews=1000))
    assert lucky.verdict == BETTER
    # as large a difference in the mean, with seeds that vary more than that
    base = side(np.arange(1000) < np.array([[700], [860]]))
    head = side(np.arange(1000) < np.array([[780], [940]]))
    found = significance.compare(base, head)
    assert found.test.value == pytest.approx(lucky.test.value)
    assert found.verdict == SAME
    assert found.trainings == (2, 2)
    assert found.differences["loss"].low < 0 < found.differences["loss"].high


@pytest.mark.parametrize("trainings", [(2, 2), (3, 3), (5, 5), (1, 3), (5, 1)])
def test_the_rate_of_false_alarms_of_several_seeds(trainings):
    """By simulation, with fixed seeds."""
    alarms = 0
    for seed in range(400):
        sides = [
            seeds(count, 0.8, 0.2, 0.01, seed=[seed, number]).quality()
            for number, count in enumerate(trainings)
        ]
        alarms += significance.judge(*sides, paired=True).p <= significance.ALPHA
    assert stats.binomtest(alarms, 400, significance.ALPHA, alternative="greater").pvalue > 0.01


def test_the_detectable_difference_is_found_with_80_percent_power():
    of_seeds = 0.01
    tests = [
        significance.judge(
            *(seeds(5, 0.8, 0.2, of_seeds, seed=[seed, n]).quality() for n in (0, 1)), paired=True
        )
        for seed in range(100)
    ]
    detectable = np.median([test.detectable for test in tests])
    found = 0
    for seed in range(300):
        base = seeds(5, 0.8 - detectable / 2, 0.05, of_seeds, seed=[seed, 2])
        head = seeds(5, 0.8 + detectable / 2, 0.05, of_seeds, seed=[seed, 3])
        found += (
            significance.judge(base.quality(), head.quality(), paired=True).p <= significance.ALPHA
        )
    assert 0.7 < found / 300 < 0.92


def test_slices_are_corrected_for_their_number():
    reviews = 700
    before, after = np.ones((2, reviews), dtype=bool)
    before[:40] = False  # the first slice: 40 put right, of 100
    before[100:111] = after[111:112] = False  # the second: alone it would pass
    members = {f"slice {n}": np.arange(reviews) // 100 == n for n in range(7)}
    found = significance.compare(side(before), side(after, slices=members)).slices
    assert [part.name for part in found[:2]] == ["slice 0", "slice 1"]
    assert [part.shown for part in found[:2]] == [True, False]
    assert found[1].test.p < significance.ALPHA
    assert found[0].reviews == (100, 100)
    assert (found[0].before, found[0].after) == (0.6, 1.0)


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
