"""The simulation of the verdict: it draws what it says, and its counts hold in short."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from ajuste.evaluation import significance
from benchmarks import difference
from benchmarks.difference import Case

EVEN = [
    Case("binary", 0.85, (0.003, 0.003), 2500, 3),
    Case("binary", 0.6, (0.01, 0.01), 2500, 3),
    Case("binary", 0.95, (0.01, 0.01), 200, 5),
    Case("binary", 0.75, (0.03, 0.03), 200, 3),
    Case("multiclass", 0.75, (0.01, 0.01), 200, 3),
    Case("multilabel", 0.75, (0.01, 0.01), 200, 5),
    Case("regression", 0.75, (0.01, 0.01), 200, 3),
    Case("unit_regression", 0.9, (0.01, 0.01), 200, 5),
]
OTHERS = [
    Case("binary", 0.85, (0.01, 0.01), 200, 3, failing=0.1),
    Case("binary", 0.85, (0.01, 0.01), 2500, 5, failing=0.1),
    Case("regression", 0.85, (0.01, 0.01), 200, 3, failing=0.1),
    Case("binary", 0.85, (0.003, 0.03), 2500, 3),
    Case("binary", 0.85, (0.003, 0.003), 2500, 3, per_film=10),
]
PAIRS = 200


def likely(count, total=PAIRS, most=significance.ALPHA):
    """Whether a count agrees with a rate of at most `most`; a wrong no is one in 2,000."""
    return stats.binomtest(count, total, most, alternative="greater").pvalue > 1 / 2000


@pytest.mark.parametrize("case", EVEN + OTHERS, ids=difference.label)
def test_the_rates_of_the_verdict(case):
    found = difference.measure(case, PAIRS, (1,))
    for wrong in (found.same, found.equal, found.at_margin, found.worse_at_margin):
        assert likely(wrong)
    assert found.equivalent <= found.no_worse
    if not case.failing:
        assert likely(PAIRS - found.covered)
        assert 0.7 < found.found / PAIRS < 0.95


def test_equivalence_is_found_where_there_is_evidence():
    found = difference.measure(Case("binary", 0.85, (0.003, 0.003), 25_000, 5), 40, (1,))
    assert found.equivalent > 30


def test_without_the_seeds_it_would_not_hold():
    case = Case("binary", 0.85, (0.01, 0.01), 2500, 3)
    generator = np.random.default_rng(1)
    found = [
        difference.pair(generator, case, difference.reviews(generator, case)) for _ in range(PAIRS)
    ]
    blind = [replace(each, seeds=(0.0, 0.0)) for each in found]
    assert likely(difference.different(found))
    assert difference.different(blind) > 0.2 * PAIRS


def test_without_the_films_it_would_not_hold():
    case = Case("binary", 0.85, (0.0005, 0.0005), 5000, 5, per_film=50)
    generator = np.random.default_rng(1)
    given = [difference.reviews(generator, case) for _ in range(PAIRS)]
    films = difference.different([difference.pair(generator, case, each) for each in given])
    alone = replace(case, per_film=1)
    reviews = difference.different([difference.pair(generator, alone, each) for each in given])
    assert likely(films)
    assert reviews > 0.2 * PAIRS


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "regression"])
def test_the_scores_are_those_of_the_case(task):
    case = Case(task, 0.85, (0.01, 0.03), 20_000, 3, failing=0.1)
    generator = np.random.default_rng(2)
    true, failed = np.concatenate(
        [difference.scores(generator, case, 1, -0.05) for _ in range(3000)], axis=1
    )
    assert failed.mean() == pytest.approx(0.1, abs=0.015)
    expected = 0.9 * 0.85 + 0.1 * case.worst - 0.05
    assert true.mean() == pytest.approx(expected, abs=0.007)
    assert true[failed == 0].std() == pytest.approx(0.03, rel=0.05)
    given = difference.reviews(generator, case)
    true, failed = np.array([0.9, 0.8, case.worst]), np.array([False, False, True])
    values = difference.values(task, given.of_networks[0], given.constant, true, failed)
    assert values.mean(axis=1) + (task == "regression") == pytest.approx(true, abs=0.012)


def test_trainings_differ_as_much_as_is_said():
    case = Case("binary", 0.85, (0.01, 0.01), 50_000, 3)
    given = difference.reviews(np.random.default_rng(3), case)
    alike = np.full(3, 0.85), np.zeros(3, dtype=bool)
    first, second = (
        difference.values("binary", each, given.constant, *alike)
        for each in (given.of_networks[0], given.of_networks[1])
    )
    again = difference.values("binary", given.of_one, given.constant, *alike)
    assert (first[0] != first[1]).mean() == pytest.approx(0.08, abs=0.01)
    assert (first[0] != again[0]).mean() == pytest.approx(0.08, abs=0.01)
    assert (first[0] != second[0]).mean() == pytest.approx(0.12, abs=0.01)


def test_average_precision_of_a_rare_class(monkeypatch):
    monkeypatch.setattr(significance, "RESAMPLES", 200)
    generator = np.random.default_rng(4)
    found = [difference.rare(generator, 3) for _ in range(60)]
    assert likely(sum(each.test.p <= significance.ALPHA for each in found), 60)
    assert np.mean([each.differences["average_precision"].after for each in found]) < 0.9


def test_the_tables(capsys):
    cases = [Case("binary", 0.85, (0.01, 0.01), 100, count) for count in difference.TRAININGS]
    found = [difference.Rates(case, 4, 3, 0, 0.05, 2, 4, 0, 1, 0, 4) for case in (*cases, cases[0])]
    difference.report(found)
    printed = capsys.readouterr().out
    assert "| 100 reviews, 1.0 points | 75.0 (34.9 to 96.8) | 0.0 (0.0 to 36.9) |" in printed
    assert "| 100 reviews, 1.0 points | 5.0 | 50.0 (15.7 to 84.3) |" in printed
    assert "Highest, same: 75.0 (19.4 to 99.4), at 100 reviews, 1.0 points" in printed
