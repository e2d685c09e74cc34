"""The report of a pull request, its gate and the differences, for two sides made by hand."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_document import HOSTILE, github, rendered
from test_significance import side as answers

from ajuste.errors import PipelineError
from ajuste.evaluation.significance import compare
from ajuste.report import document
from pull_request import changes, gate, report, trainings
from pull_request.__main__ import compared
from pull_request.report import Findings
from pull_request.revision import EVALUATE, TRAIN, Result, Revision
from pull_request.trainings import Side

MINUS = "\N{MINUS SIGN}"
PARAMS = {
    "model": "gru",
    "models": {"gru": {"units": 32}, "lstm": {"units": 128}},
    "gate": {"bounds": {"accuracy": 0.5}, "allow": []},
}


def lock(units=32, model="a"):
    return {
        "train": {
            "cmd": "python -m stages.train",
            "deps": [{"path": "stages/train.py", "md5": "1"}],
            "params": {"params.yaml": {"model": "gru", "models.gru": {"units": units}}},
            "outs": [{"path": "data/model", "md5": model}],
        },
        "evaluate": {
            "cmd": "python -m stages.evaluate",
            "deps": [{"path": "data/model", "md5": model}],
            "outs": [{"path": EVALUATE, "md5": model}],
        },
    }


def result(said, verdict="optimal", units=32, model="a", loss=0.3):
    accuracy = float(said.quality().mean())
    return Result(
        lock=lock(units, model),
        metrics={
            "metrics/embed.json": {"coverage": 0.9, "words": 1000 + units},
            EVALUATE: {"accuracy": accuracy, "loss": loss, "fit": {"verdict": verdict}},
            TRAIN: {
                "train": {"loss": loss - 0.05, "accuracy": 0.9},
                "validation": {"loss": loss, "accuracy": 0.88},
            },
        },
        curves={"train": [0.6, 0.4, loss - 0.05], "validation": [0.6, 0.45, loss]},
        answers=said,
    )


def revision(name, units=32, commit="1", unreproduced=None, **params):
    given = {**PARAMS, "models": {**PARAMS["models"], "gru": {"units": units}}, **params}
    return Revision(Path(), name, commit * 40, given, unreproduced or {})


@pytest.fixture(autouse=True)
def _git_has_all(monkeypatch):
    """As if Git had dvc.yaml and dvc.lock of a revision made by hand."""
    monkeypatch.setattr("pull_request.revision.show", lambda *_: "x")


def sides(put_right=40, put_wrong=10, reviews=400, verdict="optimal", **head):
    """A base and a head with more units and with different answers."""
    before, after = np.ones((2, reviews), dtype=bool)
    before[: put_right + 30] = False
    after[put_right : put_right + 30 + put_wrong] = False
    members = {"short": np.arange(reviews) < 100, "long": np.arange(reviews) >= 100}
    old = result(answers(before, slices=members))
    new = result(answers(after, slices=members, seed=2), verdict, 64, "b", loss=0.25)
    return (
        Side(revision("main"), [old]),
        Side(revision("change", 64, "2", **head), [new]),
    )


def findings(base, head):
    comparison, incomparable = compared(base, head)
    outcome = gate.hold(gate.load(head.revision.params), base, head, comparison)
    return Findings(base, head, comparison, incomparable, outcome, "python -m pull_request")


def written(base, head):
    return document.markdown(report.content(findings(base, head)))


def test_the_answer_is_in_the_first_line():
    better, worse, same = (written(*sides(*counts)) for counts in ((80, 5), (5, 80), (20, 19)))
    assert better.startswith("## Better: accuracy 0.725 → 0.912 (+18.8 points, 95 ")
    assert worse.startswith(f"## Worse: accuracy 0.912 → 0.725 ({MINUS}18.8 points")
    assert same.startswith("## No difference shown: accuracy 0.875 → 0.877 (+0.")
    assert re.match(".*; the check fails\n", worse)
    assert not re.match(".*check fails", better)


def test_the_evidence_has_the_tests_and_the_power():
    text = report.evidence(findings(*sides(80, 5)).comparison)
    assert "same 400 test reviews. 80 answers are now correct and 5 are now wrong." in text
    assert re.search(
        r"two networks: p < 0\.001; with the variance of the seed included: p [=<] 0", text
    )
    assert re.search(r"80 % power to detect a difference of \d+\.\d points\. With --seeds", text)


def test_the_report_is_about_several_seeds():
    base, head = sides(80, 5)
    several = [replace(side, results=[side.results[0]] * 3) for side in (base, head)]
    text = written(*several)
    assert "Each side was trained with 3 seeds." in text
    assert "McNemar" not in text
    assert "optimal (3)" in text
    assert "cover the choice of test reviews and seeds" in text


def test_the_table_has_each_score_with_the_interval_of_its_difference():
    base, head = sides(80, 5)
    text = written(base, head)
    found = compare(base.results[0].answers, head.results[0].answers).differences
    assert len(found) == 7
    for difference in found.values():
        row = f"| {difference.before:.4f} | {difference.after:.4f} | {difference.value:+.4f} | "
        assert row.replace("-", MINUS) in text
    assert "| base 1111111 | head 2222222 |" in text
    assert f"| validation loss | 0.3000 | 0.2500 | {MINUS}0.0500 |" in text


def test_parameters_and_stages_that_changed():
    text = written(*sides(models={"gru": {"units": 64}, "lstm": {"units": 64}}))
    assert "- `models.gru.units`: `32` → `64`\n" in text
    assert "- `models.lstm.units`: `128` → `64` (no stage reads it)\n" in text
    assert "- `train`: `models.gru.units`\n" in text
    assert "- `evaluate`: `data/model`\n" in text
    assert "| `metrics/embed.json: words` | 1,032 | 1,064 | +32 |" in text


def test_the_curves_of_both_are_in_one_picture():
    page = document.page(report.content(findings(*sides())))
    assert all(label in page for label in ("training, base", "validation, head"))


def test_slices_and_reviews_with_a_different_answer():
    base, head = sides(80, 5)
    text = written(base, head)
    assert re.search(r"\| short \| 100 \| 0\.0000 \| 0\.\d+ \| \+\d", text)
    assert "80 now correct and 5 now wrong" in text
    flipped = re.findall(r"- `(\w+)` → `(\w+)` \(correct: `(\w+)`\): `review (\d+)`", text)
    assert len(flipped) == 6
    right, wrong = flipped[:3], flipped[3:]
    assert all(int(number) < 80 and after == actual for _, after, actual, number in right)
    assert all(110 <= int(number) < 115 and old == actual for old, _, actual, number in wrong)


def test_the_text_of_a_review_or_a_parameter_is_never_markup():
    def trees(text):
        base, head = sides(3, 3, 120, note=text)
        base = replace(base, revision=revision("main", note="before"))
        for side in (base, head):
            given = side.results[0].answers
            reviews = [f"{text} {n}" for n in range(len(given.reviews))]
            new = replace(given, reviews=reviews, labels=[f"no {text}", f"yes {text}"])
            side.results[0] = replace(side.results[0], answers=new)
        blocks = report.content(findings(base, head))
        return github(blocks), rendered(document.page(blocks))

    harmless = trees("harmless")
    for nasty in (HOSTILE[0], HOSTILE[1], HOSTILE[4]):
        for found, expected in zip(trees(nasty), harmless, strict=True):
            assert found.elements == expected.elements
            assert found.plain == expected.plain


def test_different_test_reviews_are_reported():
    base, head = sides(80, 5)
    said = head.results[0].answers
    fewer = replace(
        said,
        reviews=said.reviews[1:],
        targets=said.targets[1:],
        predictions=said.predictions[:, 1:],
        slices={name: members[1:] for name, members in said.slices.items()},
    )
    head.results[0] = replace(head.results[0], answers=fewer)
    text = written(base, head)
    assert "The two sides have different test reviews (400 and 399)" in text
    assert "McNemar" not in text


@pytest.mark.parametrize(
    ("changed", "score"),
    [({"labels": ["bad", "good"]}, "Accuracy 0.900"), ({"task": "regression"}, "")],
)
def test_different_labels_or_tasks_are_not_compared(changed, score):
    base, head = sides()
    given = replace(head.results[0].answers, **changed)
    head.results[0] = replace(head.results[0], answers=given)
    if "task" in changed:
        head.results[0].scores["mean_absolute_error"] = 0.9
    text = written(base, head)
    assert re.match(f"## {score}.*; not comparable with the base", text)
    assert f"cannot be compared: the {next(iter(changed))} changed from" in text
    assert "| accuracy | 0.8250 | 0.9000 |" in text


def test_an_unchanged_pipeline():
    base, _ = sides()
    head = Side(revision("change", commit="2"), base.results)
    text = written(base, head)
    assert text.startswith("## Nothing changed: accuracy 0.825\n")
    assert "Changed stages" not in text


def test_the_same_answers_after_a_change_of_code():
    base, _ = sides()
    head = Side(revision("change", commit="2"), [replace(base.results[0], lock=lock(model="c"))])
    text = written(base, head)
    assert text.startswith("## No difference shown: all answers are the same, accuracy 0.825\n")
    assert "- `evaluate`: `data/model`\n" in text
    assert "Slices" not in text


def test_a_base_without_results():
    _, head = sides()
    base = Side(revision("main"), [], trained=True, failure="train: no such network")
    text = written(base, head)
    assert text.startswith("## Accuracy 0.900; no results on the base\n")
    assert "There are no results of the base: `train: no such network`" in text
    assert "| accuracy | — | 0.9000 |" in text


def test_no_results_of_the_head_fail_the_check():
    base, head = sides()
    reason = "validate: `duplicates` failed: 9 of 90 reviews"
    broken = replace(head, results=[], trained=True, failure=reason)
    found = findings(base, broken)
    assert "do not pass validation, but the data of the base do" in found.outcome.broken[0]
    text = document.markdown(report.content(found))
    assert text.startswith("## The data fail validation; the check fails\n")
    assert "`duplicates` failed" in text
    assert "Metrics of the other stages" not in text
    both = findings(replace(base, results=[], failure=reason), broken)
    assert "pass validation" not in both.outcome.broken[0]


@pytest.mark.parametrize("seed", ["x", None, -1, True, 1.5])
def test_an_invalid_seed_is_reported(seed):
    side = trainings.results(revision("change", seed=seed), 3)
    assert side.results == []
    assert side.failure.startswith("params.yaml: `seed` is ")


# the gate


def outcome(base, head):
    return findings(base, head).outcome


def test_the_gate_passes():
    found = outcome(*sides(80, 5))
    assert found.broken == []
    assert len(found.held) == 3


@pytest.mark.parametrize(
    ("bounds", "broken"),
    [
        ({"accuracy": 0.9125}, ""),
        ({"accuracy": 0.95}, "gate.bounds.accuracy: accuracy is 0.9125, 0.0375 below the min"),
        ({"loss": 0.2}, "gate.bounds.loss: loss is 0.2500, 0.0500 above the maximum of 0.2"),
        ({"loss": 0.3}, ""),
        ({"f2": 0.3}, "gate.bounds.f2: no such score; valid: accuracy, loss"),
    ],
)
def test_a_broken_bound_has_its_margin(bounds, broken):
    found = outcome(*sides(80, 5, gate={"bounds": bounds, "allow": []}))
    assert "".join(found.broken).startswith(broken)
    assert bool(found.broken) == bool(broken)


def test_a_significant_drop_breaks_the_gate():
    assert "significantly worse, by 0.1875" in outcome(*sides(5, 80)).broken[0]
    assert outcome(*sides(19, 20)).broken == []
    allowed = {"bounds": {}, "allow": ["drop"]}
    assert outcome(*sides(5, 80, gate=allowed)).broken == []


def test_overfitting_breaks_the_gate_if_the_fit_was_optimal():
    base, head = sides(80, 5, verdict="overfitting")
    assert "the fit was optimal" in outcome(base, head).broken[0]
    base.results[0].scores["fit"]["verdict"] = "overfitting"
    assert outcome(base, head).broken == []
    base, head = sides(80, 5, verdict="overfitting", gate={"bounds": {}, "allow": ["overfitting"]})
    assert outcome(base, head).broken == []


def test_changed_bounds_are_reported():
    text = written(*sides(80, 5, gate={"bounds": {"accuracy": 0.1}, "allow": []}))
    assert "This change also changes the bounds of its check" in text
    assert "`gate.bounds.accuracy`: `0.5` → `0.1` (a bound of the check)" in text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "`gate` is missing"),
        ({"gate": {"bounds": {"accuracy": "high"}, "allow": []}}, "`gate.bounds.accuracy`"),
        ({"gate": {"floors": {}, "allow": []}}, "`gate.floors` is not known; valid: bounds, allow"),
        ({"gate": {"bounds": {}, "allow": ["all"]}}, "must be 'drop' or 'overfitting'"),
        ({"gate": {"bounds": {"accuracy": float("nan")}, "allow": []}}, "finite"),
    ],
)
def test_a_faulty_gate_is_reported(given, message):
    with pytest.raises(PipelineError, match=r"params\.yaml: ") as error:
        gate.load(given)
    assert message in str(error.value)


# what changed


def test_new_and_missing_parameters():
    found = changes.parameters({"a": {"b": 1, "c": [1]}}, {"a": {"c": [2]}, "d": None}, {})
    assert [(one.name, one.before, one.after) for one in found] == [
        ("a.b", 1, changes.MISSING),
        ("a.c", [1], [2]),
        ("d", changes.MISSING, None),
    ]


def test_stages_that_changed():
    other = lock()
    other["train"]["deps"][0]["md5"] = "2"
    other["words"] = {"cmd": "python -m stages.words"}
    found = changes.stages(lock(), other)
    assert found == [
        changes.Stage("train", ["stages/train.py"], same_outputs=True),
        changes.Stage("words", ["new stage"], same_outputs=False),
    ]
    del other["evaluate"]
    assert changes.Stage("evaluate", ["removed stage"], False) in changes.stages(lock(), other)
