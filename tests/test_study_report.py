import re
import xml.etree.ElementTree as ElementTree

import pytest

from ajuste.report import charts, document
from study import report
from study.collect import Result, reason
from study.plan import Expected, Experiment, Plan


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
            "fit": {"verdict": verdict},
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


def blocks(*results, title="T", intro=""):
    study = Plan(title, intro, True, [r.experiment for r in results])
    return report.content(study, list(results), "python -m study list.yaml", "abc1234")


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
    assert "3 experiments, 1 remedy included. Of the other 2: 1 optimal, 1 overfitting." in text
    assert "2 of 3 were trained here" in text


def test_the_first_lines_have_the_answer():
    text = report.summary(
        [
            result("a", expected={"verdict": "optimal"}),
            result("b", "overfitting", expected={"verdict": "optimal"}),
            result("b-remedy", remedy_of="b", gap=0.01),
            result("c", "underfitting"),
            result("d", "underfitting"),
            failed(),
        ]
    )
    assert text == (
        "6 experiments, 1 remedy included. Of the other 5: 1 optimal, 1 overfitting, "
        "2 underfitting, 1 without a result. 1 of 2 verdicts as expected; not as expected: b. "
        "1 of 1 remedy worked."
    )
    text = written(result())
    assert text.splitlines()[2] == "1 experiment: 1 optimal."
    assert "](list/losses.svg)" in text


def test_the_table_has_the_measured_and_the_expected_scores():
    expected = {"train_accuracy": 0.86, "train_loss": 0.32, "verdict": "overfitting"}
    table = report.results_table([result(expected=expected), result("b"), failed()])
    cells = dict(zip(table.header, table.rows[0], strict=True))
    assert cells["training"] == "0.863 (0.300)"
    assert cells["validation"] == "0.850 (0.340)"
    assert cells["test"] == "0.830, 0.815 to 0.845"
    assert cells["parameters"] == "1,364,197"
    assert cells["trained"] == "8,097"
    assert cells["seconds"] == "41"
    assert cells["expected training"] == "0.86 (0.32)"
    assert (cells["verdict"], cells["expected verdict"]) == ("optimal", "overfitting")
    assert cells[""] == "differs"
    assert table.marked == {0, 2}
    assert {len(row) for row in table.rows} == {len(table.header)}


def test_without_expectations_the_table_has_no_columns_for_them():
    text = written(result())
    assert "expected" not in text
    assert "Measured and expected" not in text


def test_a_number_that_is_missing_is_a_dash():
    regression = {"train": {"loss": 0.1}, "validation": {"loss": 0.2}}
    numeric = result(train=regression, scores={"loss": 0.3}, seconds=None)
    row = report.results_table([numeric]).rows[0]
    assert row[1:] == ["— (0.100)", "— (0.200)", "—", "— (0.300)", "—", "—", "—", "—"]
    empty = report.results_table([Result(Experiment("old"))]).rows[0]
    assert empty[1:] == ["—"] * 8


def test_the_gap_is_compared_with_that_of_another_experiment():
    small = result(expected={"smaller_gap_than": "wide"})
    gap = small.train["generalization_gap"]["loss"]
    for other, said in ((gap + 0.1, "smaller, as expected"), (gap - 0.1, "expected to be smaller")):
        line = report.comparison(small, {"wide": other})
        assert line == f"gru: gap {gap:.3f}, gap of wide {other:.3f}: {said}"


def test_the_ratios_are_sorted():
    long = [1.0] * 50
    text = report.forgetfulness(
        [
            result("rnn", gradient=[*long, 0.001]),
            result("gru", gradient=[*long, 0.5]),
            result("gone", gradient=[*long, 0.0]),
            result("short", gradient=[1.0]),
        ]
    )
    assert "smallest: rnn 1e+03, gru 2. The largest is 2.7 orders of magnitude above" in text
    assert report.forgetfulness([result("gru", gradient=[*long, 0.5])]) == ""


def test_measured_and_expected_results_are_one_line():
    expected = {"verdict": "optimal", "validation_accuracy": 0.86, "validation_loss": 0.3}
    assert report.comparison(result(expected=expected), {}) == (
        "gru: verdict optimal, as expected; validation accuracy 0.850, expected 0.86 "
        "(difference within the 95 % interval of ±0.014); "
        "validation loss 0.340, expected 0.3 (+0.040)"
    )
    expected = {"verdict": "underfitting", "train_accuracy": 0.87}
    assert report.comparison(result(expected=expected), {}) == (
        "gru: verdict optimal, expected underfitting; training accuracy 0.863, expected 0.87 "
        "(difference outside the 95 % interval of ±0.005)"
    )


@pytest.mark.parametrize(
    ("verdict", "gap", "loss", "works"),
    [
        ("overfitting", 0.1, 0.9, True),
        ("overfitting", 0.5, 0.1, False),
        ("underfitting", 0.9, 0.2, True),
        ("underfitting", 0.1, 0.6, False),
    ],
)
def test_a_remedy_works_if_it_makes_the_gap_or_the_loss_smaller(verdict, gap, loss, works):
    before = result("a", verdict, gap=0.4, loss=0.5)
    after = result("a-remedy", remedy_of="a", gap=gap, loss=loss)
    table = report.remedies_table([after], [before, after])
    assert table.rows[0][-1] == ("yes" if works else "no")
    assert table.rows[0][4] == f"0.400 → {gap:.3f}"
    assert table.rows[0][5] == f"0.500 → {loss:.3f}"
    assert bool(table.marked) != works


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
    page = document.page(blocks(result(gradient=[1.0] * 60)))
    assert page.count("<svg") == 2
    links = re.findall(r"""(?:src|href)=["']([^"']*)""", page)
    assert all(link.startswith("#") for link in links)
    assert not re.findall(r"url\((?!#)", page)


def test_pictures_repeat_and_are_well_formed():
    losses = {f"e{n}": {"train": [0.5, 0.4], "validation": [0.5, 0.45]} for n in range(6)}
    norms = {f"e{n}": [1.0, 0.1, 0.0] for n in range(6)}
    for draw, data in ((charts.loss_panels, losses), (charts.gradients, norms)):
        first = draw(data)
        assert first == draw(data)
        ElementTree.fromstring(first)
        assert "e5" in first
        assert draw(dict(list(data.items())[:5])) != first
        assert not re.search(r"\d{4}-\d\d-\d\d", first)


def test_every_experiment_has_a_panel_and_no_panel_is_empty():
    drawn = charts.loss_panels({f"e{n}": {"train": [0.5]} for n in range(6)})
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
