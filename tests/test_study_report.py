import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ajuste.report import charts, document
from ajuste.report.page import html_page
from study import report
from study.collect import Base, Result, reason
from study.plan import Expected, Experiment, Plan, repeat


def result(name="gru", verdict="optimal", remedy_of="", expected=None, gap=0.04, loss=0.3, **more):
    values = {
        "command": f"dvc exp run --name {name}",
        "train": {
            "train": {"loss": loss, "accuracy": 0.863},
            "validation": {"loss": loss + gap, "accuracy": 0.85},
            "generalization_gap": {"loss": gap, "accuracy": 0.013},
            "parameters": {"total": 1364197, "trainable": 8097},
        },
        "scores": {
            "accuracy": 0.83,
            "accuracy_low": 0.815,
            "accuracy_high": 0.845,
            "fit": {"verdict": verdict, "probability": {verdict: 0.93}, "sentence": "It fits."},
        },
        "split": {"train": 20000, "validation": 2500, "test": 2500},
        "curves": {"train": [0.6, 0.4], "validation": [0.5, 0.45]},
        "seconds": 41.4,
    }
    experiment = Experiment(
        name, expected=Expected(**(expected or {})), remedy_of=remedy_of, about="why"
    )
    return Result(experiment, **{**values, **more})


def failed(name="nn"):
    return Result(Experiment(name), "dvc exp run", failure="train: <no> units", log="logs/nn.log")


def blocks(*results, title="T", intro="", params=None, **more):
    study = Plan(title, intro, True, [r.experiment for r in results], **more)
    start = Base(Path(), "abc1234" + "0" * 33, params or {})
    return report.content(study, list(results), "python -m study list.yaml", start)


def written(*results, **more):
    return document.markdown(blocks(*results, **more), "list")


def test_the_environment_of_the_trainings_is_in_the_report():
    one, other = ({"python": "3.11.7", "caches": {"L2": size}} for size in ("512K", "1024K"))
    done = [result("a", environment=one), result("b", environment=one), result("c")]
    text = written(*done, result("d", environment=other))
    assert "2 of 4 were trained here with python 3.11.7, caches L2 512K." in text
    assert "1 of 4 were trained here with python 3.11.7, caches L2 1024K." in text


def test_the_report_has_one_count_of_experiments():
    used = {"python": "3.11.7"}
    remedy = result("a-remedy", remedy_of="a", environment=used)
    text = written(result("a", "overfitting", environment=used), remedy, result("b"))
    assert "3 experiments, 1 remedy among them: 2 optimal, 1 overfitting." in text
    assert "2 of 3 were trained here" in text


def test_the_first_lines_have_the_answer():
    text = report.summary(
        [
            result("a", expected={"verdict": "optimal"}),
            result("b", "overfitting", expected={"verdict": "optimal"}),
            result("b-remedy", "overfitting", remedy_of="b", gap=0.01),
            result("c", "underfitting"),
            result("d", "underfitting"),
            failed(),
        ]
    )
    assert text == (
        "6 experiments, 1 remedy among them: 1 optimal, 2 overfitting, 2 underfitting, "
        "1 without a result. 1 of 2 verdicts as expected; not as expected: b. "
        "The lowest validation loss: b-remedy. 0 of 1 remedy helped in validation, "
        "0 ended optimal."
    )
    text = written(result())
    assert text.splitlines()[2] == "1 experiment: 1 optimal. The lowest validation loss: gru."
    assert "](list/losses.svg)" in text


def test_the_table_has_the_measured_and_the_expected_scores():
    expected = {"train_accuracy": 0.86, "train_loss": 0.32, "verdict": "overfitting"}
    table = report.results_table([result(expected=expected), result("b"), failed()])
    cells = dict(zip(table.header, table.rows[0], strict=True))
    assert cells["training"] == "0.863 (0.300)"
    assert cells["validation"] == "0.850 (0.340)"
    assert "test" not in cells
    assert cells["parameters"] == "1,364,197"
    assert cells["trained"] == "8,097"
    assert cells["seconds"] == "41"
    assert cells["expected training"] == "0.86 (0.32)"
    assert (cells["verdict"], cells["sure"]) == ("optimal", "93 %")
    assert cells["expected verdict"] == "overfitting"
    assert cells[""] == "differs"
    assert table.marked == {0, 2}
    assert {len(row) for row in table.rows} == {len(table.header)}


def test_the_lowest_validation_loss_comes_first_and_test_scores_only_if_asked_for():
    runs = [result("worse", loss=0.5), result("best", loss=0.2), result("middle", loss=0.3)]
    names = [row[0] for row in report.results_table(runs).rows]
    assert names == ["best", "middle", "worse"]
    for test in (False, True):
        text = written(*runs, test=test)
        assert ("0.830, 0.815 to 0.845" in text) == test
        assert ("Do not choose an experiment by these scores" in text) == test


def test_seeds_of_one_experiment_are_one_row_one_sentence_and_one_panel():
    runs = [
        replace(result(f"gru-seed-{seed}"), experiment=repeat(Experiment("gru"), seed))
        for seed in (1, 2)
    ]
    text = written(*runs, test=True)
    assert "| gru |" in text
    assert "| gru-seed" not in text
    assert text.count("It fits.") == 1
    assert "A row is an experiment with 2 seeds." in text
    assert "test accuracy" in text
    assert "The lowest validation loss: gru." in text


def test_each_experiment_is_a_sentence():
    assert "- gru: It fits." in written(result())


def test_without_expectations_the_table_has_no_columns_for_them():
    text = written(result())
    assert "expected" not in text
    assert "Measured and expected" not in text


def test_a_number_that_is_missing_is_a_dash():
    regression = {"train": {"loss": 0.1}, "validation": {"loss": 0.2}}
    numeric = result(train=regression, scores={"loss": 0.3}, seconds=None)
    row = report.results_table([numeric]).rows[0]
    assert row[1:] == ["— (0.100)", "— (0.200)", *["—"] * 6]
    assert report.test_table([numeric]).rows[0][1] == "— (0.300)"
    empty = report.results_table([Result(Experiment("old"))]).rows[0]
    assert empty[1:] == ["—"] * 8


def test_the_gap_is_compared_with_that_of_another_experiment():
    small = result(expected={"smaller_gap_than": "wide"})
    gap = small.train["generalization_gap"]["loss"]
    for other, said in ((gap + 0.1, "smaller, as expected"), (gap - 0.1, "expected to be smaller")):
        line = report.comparison(small, {"wide": other})
        assert line == f"gru: gap {gap:.3f}, gap of wide {other:.3f}: {said}"


def test_networks_that_forget_are_named():
    long = [1.0] * 50
    text = report.forgetfulness(
        [
            result("gru", gradient=[*long, 0.5]),
            result("rnn", gradient=[*long, 0.001]),
            result("gone", gradient=[*long, 0.0]),
            result("short", gradient=[1.0]),
        ]
    )
    assert text == (
        " The gradient vanishes (ratio of 10 or more) in gone (inf), rnn (1e+03); it does not in "
        "gru (2)."
    )
    assert report.forgetfulness([result("gru", gradient=[*long, 0.5])]) == ""


def test_a_verdict_that_differs_has_its_reason():
    scores = {"fit": {"verdict": "overfitting", "reason": "the gap is 0.3"}}
    line = report.comparison(result(expected={"verdict": "underfitting"}, scores=scores), {})
    assert line == "gru: verdict overfitting, not underfitting as expected (the gap is 0.3)"


def test_measured_and_expected_results_are_one_line():
    expected = {"verdict": "optimal", "validation_accuracy": 0.86, "validation_loss": 0.3}
    assert report.comparison(result(expected=expected), {}) == (
        "gru: verdict optimal, as expected; validation accuracy 0.850, expected 0.86 "
        "(difference within the 95 % interval of ±0.014); "
        "validation loss 0.340, expected 0.3 (+0.040)"
    )
    expected = {"verdict": "underfitting", "train_accuracy": 0.87}
    assert report.comparison(result(expected=expected), {}) == (
        "gru: verdict optimal, not underfitting as expected; training accuracy 0.863, expected "
        "0.87 (difference outside the 95 % interval of ±0.005)"
    )


def answers(*right: float):
    """Validation answers to as many positive reviews, with a probability of being right each."""
    return {"targets": np.ones((len(right), 1)), "predictions": np.array(right)[:, None]}


@pytest.mark.parametrize(("shift", "said"), [(0.1, "yes"), (-0.1, "no"), (0.0004, "not shown")])
def test_a_remedy_helps_if_the_interval_of_the_loss_says_so(shift, said):
    old = np.random.default_rng(0).uniform(0.3, 0.8, size=400)
    noise = np.random.default_rng(1).normal(0, 0.02, size=400)
    before = result("a", "overfitting", gap=0.4, loss=0.5, validation=answers(*old))
    after = result("r", remedy_of="a", gap=0.1, validation=answers(*(old + shift + noise)))
    for one in (before, after):
        one.train["loss_function"] = "binary_crossentropy"
    table = report.remedies_table([after], [before])
    cells = dict(zip(table.header, table.rows[0], strict=True))
    assert cells["helps"] == said
    assert cells["gap"] == "0.400 → 0.100"
    assert bool(table.marked) == (said == "no")


def test_the_change_by_a_remedy_has_an_interval_over_the_same_reviews():
    chance = np.random.default_rng(0)
    old = chance.uniform(0.3, 0.9, size=4000)
    before = result("a", "overfitting", validation=answers(*old))
    before.train["loss_function"] = "binary_crossentropy"
    after = result("r", remedy_of="a", validation=answers(*np.minimum(old + 0.1, 1)))
    after.train["loss_function"] = "binary_crossentropy"
    found = report.differences(before, after)
    change = -np.log(np.minimum(old + 0.1, 1 - 1e-7)) + np.log(old)
    low, high = found["loss"]
    assert low < change.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * change.std() / np.sqrt(4000))
    assert found["accuracy"][0] > 0.1  # those between 0.4 and 0.5 are right now
    cells = report.remedies_table([after], [before]).rows[0]
    assert f"({low:+.3f} to {high:+.3f})".replace("-", "\N{MINUS SIGN}") in cells[3]


def test_other_reviews_or_another_loss_give_no_interval():
    before = result("a", "overfitting", validation=answers(0.9, 0.2))
    assert report.differences(before, result("r", validation=answers(0.9))) == {}
    assert report.differences(before, result("r")) == {}
    other = result("r", validation=answers(0.9, 0.3))
    other.train["loss_function"] = "mean_squared_error"
    assert report.differences(before, other) == {}


def test_the_gradient_table_compares_two_steps():
    rows = report.gradient_table(
        [
            result("rnn", gradient=[1.0] + [1e-5] * 60),
            result("short", gradient=[1.0, 0.5]),
            result("gone", gradient=[1.0] + [0.0] * 60),
        ]
    ).rows
    assert [row[1:] for row in rows] == [
        ["1", "1e\N{MINUS SIGN}05", "1e+05"],
        ["1", "—", "—"],
        ["1", "0", "∞"],
    ]


def test_a_failed_experiment_has_its_reason():
    text = written(result(), failed())
    assert r"| nn | train: \<no\> units | `logs/nn.log` | `dvc exp run` |" in text


def test_a_report_can_be_written_when_nothing_ran():
    text = written(failed())
    assert "1 experiment: 1 without a result." in text
    assert "svg" not in text


def test_the_number_of_reviews_is_in_the_report_if_all_have_the_same():
    assert "2,500 test reviews" in written(result())
    other = {"train": 1, "validation": 1, "test": 1}
    assert "test reviews" not in written(result(), result("b", split=other))


def test_the_page_needs_nothing_from_outside():
    page = html_page(blocks(result(gradient=[1.0] * 60)))
    assert page.count("<svg") == 2
    links = re.findall(r"""(?:src|href)=["']([^"']*)""", page)
    assert all(link.startswith("#") for link in links)
    assert not re.findall(r"url\((?!#)", page)


def test_pictures_repeat_and_are_well_formed():
    losses = {f"e{n}": {"train": [0.5, 0.4], "validation": [0.5, 0.45]} for n in range(6)}
    norms = {f"e{n}": [1.0, 0.1, 0.0] for n in range(6)}
    panels = partial(charts.loss_panels, kept={"e0": 2})
    for draw, data in ((panels, losses), (charts.gradients, norms)):
        first = draw(data)
        assert first == draw(data)
        ElementTree.fromstring(first)
        assert "e5" in first
        assert draw(dict(list(data.items())[:5])) != first
        assert not re.search(r"\d{4}-\d\d-\d\d", first)


def test_every_experiment_has_a_panel_and_no_panel_is_empty():
    drawn = charts.loss_panels({f"e{n}": {"train": [0.5]} for n in range(6)}, {})
    assert len(re.findall(r'<g id="axes_\d+">', drawn)) == 6


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("> python -m train\ntrain: bad units\nERROR: failed to reproduce", "train: bad units"),
        (
            "> python -m train\ntrain: 2 faults\n  `a` is\n  `b` is",
            "train: 2 faults; `a` is; `b` is",
        ),
        ("> python -m train\nhalfway\nERROR: failed, exited with -9", "failed, exited with -9"),
        ("> python -m train\nERROR: failed, exited with 1", "failed, exited with 1"),
        ("ERROR: Invalid `--set-param` value", "Invalid `--set-param` value"),
        ("", "no reason given"),
    ],
)
def test_the_reason_is_the_last_line_with_content(log, expected):
    assert reason(f"header\nWARNING: noise\n{log}\n" if log else "header\n") == expected
