"""The report of a pull request, its gate and the differences, for two sides made by hand."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_document import HOSTILE, github, rendered
from test_significance import side as answers

from ajuste.errors import PipelineError
from ajuste.evaluation import significance
from ajuste.evaluation.significance import WORSE
from ajuste.report import document
from ajuste.report.page import html_page
from pull_request import changes, compared, gate, report, trainings
from pull_request.compared import BASE, REFERENCE
from pull_request.report import Findings
from pull_request.revision import EVALUATE, TRAIN, Result, Revision
from pull_request.trainings import Side

MINUS = "\N{MINUS SIGN}"
PARAMS = {
    "model": "gru",
    "models": {"gru": {"units": 32}, "lstm": {"units": 128}},
    "gate": {"bounds": {"accuracy": 0.5}, "margin": 0.01, "reference": None, "allow": []},
}


def bounds(**given):
    """The section `gate` with some other values."""
    return {**PARAMS["gate"], **given}


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
            EVALUATE: {
                "accuracy": accuracy,
                "loss": loss,
                "fit": {"verdict": verdict, "sentence": f"It is {verdict}."},
            },
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


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    """These tests are about words; the intervals need not be exact."""
    monkeypatch.setattr(significance, "RESAMPLES", 200)


def sides(put_right=40, put_wrong=10, reviews=400, verdict="optimal", seeds=3, **head):
    """A base and a head with more units and with different answers, of several trainings.

    The trainings of a side differ in one answer each.
    """
    before, after = np.ones((2, seeds, reviews), dtype=bool)
    before[:, : put_right + 30] = False
    after[:, put_right : put_right + 30 + put_wrong] = False
    for seed in range(1, seeds):
        before[seed, -seed] = after[seed, -seed] = False
    members = {"short": np.arange(reviews) < 100, "long": np.arange(reviews) >= 100}
    old = [result(answers(one, slices=members)) for one in before]
    new = [
        result(answers(one, slices=members, seed=2), verdict, 64, "b", loss=0.25) for one in after
    ]
    return Side(revision("main"), old), Side(revision("change", 64, "2", **head), new)


def answering(side, change):
    """A side with other answers in each training."""
    results = [replace(one, answers=change(one.answers)) for one in side.results]
    return replace(side, results=results)


def findings(base, head, reference=None):
    given = gate.load(head.revision.params)
    others = {BASE: base, **({REFERENCE: reference} if reference else {})}
    against = [
        compared.compare(called, side, head, given.margin) for called, side in others.items()
    ]
    outcome = gate.hold(given, head, against)
    return Findings(head, against, outcome, "python -m pull_request --seeds", len(head.results))


def written(*sides):
    return document.markdown(report.content(findings(*sides)))


def test_the_answer_is_in_the_first_line():
    better, worse, same = (written(*sides(*counts)) for counts in ((80, 5), (5, 80), (20, 19)))
    assert re.match(r"## Better: accuracy 0\.7\d\d → 0\.9\d\d \(\+18\.8 points, 95 ", better)
    assert re.match(rf"## Worse: accuracy 0\.9\d\d → 0\.7\d\d \({MINUS}18\.8 points", worse)
    assert re.match(r"## No difference shown: accuracy 0\.87\d → 0\.87\d \(\+0\.", same)
    assert re.match(".*; the check fails\n", worse)
    assert re.match(".*; the check fails for lack of evidence\n", same)
    assert not re.match(".*check fails", better)


def test_the_report_has_the_sentence_of_the_most_frequent_verdict():
    base, head = sides(verdict="overfitting")
    first = head.results[0].scores["fit"]
    first |= {"verdict": "undecided", "sentence": "It is undecided."}
    assert "\n\nThis change: It is overfitting.\n\n" in written(base, head)
    for one in head.results:
        del one.scores["fit"]["sentence"]  # as in older results
    assert "This change: " not in written(base, head)


def test_two_sides_can_be_equivalent():
    text = written(*sides(4, 4, 4000))
    assert re.match(
        r"## Equivalent within 1 point: accuracy 0\.99\d → 0\.99\d \(\+0\.0 points", text
    )
    assert "Tests at 5 % rule out a difference of 1 point in either direction." in text
    assert re.search(r"\| accuracy \|.*\| equivalent within 1 point \|\n", text)
    assert "The check passes" in text


def test_one_training_a_side_gives_counts_and_no_verdict():
    base, head = sides(80, 5, seeds=1)
    text = written(base, head)
    assert text.startswith(
        "## Not judged, because each side was trained once: accuracy 0.725 → 0.912; the check "
        "fails for lack of evidence\n"
    )
    assert "80 answers are now correct and 5 are now wrong" in text
    assert "train 3 seeds a side: `python -m pull_request --seeds 3`" in text
    assert "p = " not in text
    assert "interval" not in text
    assert "power" not in text


def test_the_evidence_of_several_seeds_has_the_test_and_the_power():
    text = written(*sides(80, 5))
    assert "Each side was trained with 3 seeds. Both sides have the same 400 test reviews." in text
    assert re.search(r"The test of no difference gives p \\< 0\.001\.", text)
    assert re.search(r"80 % power to detect a difference of \d+\.\d points\.", text)
    assert "intervals cover the choice of test reviews and seeds" in text
    assert "optimal (3)" in text
    assert "rule" not in text.split("80 % power")[0]  # "better" says that it is no worse


def test_the_table_has_each_score_with_the_interval_of_its_difference():
    base, head = sides(80, 5)
    text = written(base, head)
    found = findings(base, head).comparison.differences
    assert len(found) == 8
    for difference in found.values():
        row = f"| {difference.before:.4f} | {difference.after:.4f} | {difference.value:+.4f} | "
        row += f"{difference.low:+.4f} to {difference.high:+.4f} |"
        assert row.replace("-", MINUS) in text
    assert "| base 1111111 | head 2222222 | difference | 95 % interval | verdict |" in text
    assert f"| validation loss | 0.3000 | 0.2500 | {MINUS}0.0500 |" in text


def test_parameters_and_stages_that_changed():
    text = written(*sides(models={"gru": {"units": 64}, "lstm": {"units": 64}}))
    assert "- `models.gru.units`: `32` → `64`\n" in text
    assert "- `models.lstm.units`: `128` → `64` (no stage reads it)\n" in text
    assert "- `train`: `models.gru.units`\n" in text
    assert "- `evaluate`: `data/model`\n" in text
    assert "| `metrics/embed.json: words` | 1,032 | 1,064 | +32 |" in text


def test_the_curves_of_both_are_in_one_picture():
    page = html_page(report.content(findings(*sides())))
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
        reviews = [f"{text} {n}" for n in range(120)]
        labels = [f"no {text}", f"yes {text}"]
        both = (
            answering(side, lambda one: replace(one, reviews=reviews, labels=labels))
            for side in (base, head)
        )
        blocks = report.content(findings(*both))
        return github(blocks), rendered(html_page(blocks))

    harmless = trees("harmless")
    for nasty in (HOSTILE[0], HOSTILE[1], HOSTILE[4]):
        for found, expected in zip(trees(nasty), harmless, strict=True):
            assert found.elements == expected.elements
            assert found.plain == expected.plain


def test_different_test_reviews_are_reported():
    base, head = sides(80, 5)

    def fewer(said):
        return replace(
            said,
            reviews=said.reviews[1:],
            targets=said.targets[1:],
            predictions=said.predictions[:, 1:],
            slices={name: members[1:] for name, members in said.slices.items()},
        )

    text = written(base, answering(head, fewer))
    assert "The two sides have different test reviews (400 and 399)" in text


@pytest.mark.parametrize(
    ("changed", "score"),
    [({"labels": ["bad", "good"]}, "Accuracy 0.898"), ({"task": "regression"}, "")],
)
def test_different_labels_or_tasks_are_not_compared(changed, score):
    base, head = sides()
    head = answering(head, lambda said: replace(said, **changed))
    if "task" in changed:
        for one in head.results:
            one.scores["mean_absolute_error"] = 0.9
    text = written(base, head)
    assert "not comparable with the base, because the " in findings(base, head).outcome.undecided[0]
    allowed = replace(head, revision=revision("change", gate=bounds(allow=["drop"])))
    assert findings(base, allowed).outcome.failures == []
    assert re.match(f"## {score}.*; not comparable with the base", text)
    assert f"cannot be compared: the {next(iter(changed))} changed from" in text
    assert "| accuracy | 0.8233 | 0.8983 |" in text
    assert "interval" not in text


def test_an_unchanged_pipeline():
    base, _ = sides()
    head = Side(revision("change", commit="2"), base.results)
    text = written(base, head)
    assert re.match(r"## Nothing changed: accuracy 0.82\d\n", text)
    assert "The check passes" in text
    assert "Changed stages" not in text


def test_the_same_answers_after_a_change_of_code():
    base, _ = sides()
    head = Side(revision("change", commit="2"), [replace(base.results[0], lock=lock(model="c"))])
    text = written(replace(base, results=base.results[:1]), head)
    assert text.startswith("## Equivalent: all predictions are the same, accuracy 0.825\n")
    assert "The check passes" in text
    assert "- `evaluate`: `data/model`\n" in text
    assert "Slices" not in text


def test_a_base_without_results():
    _, head = sides()
    base = Side(revision("main"), [], trained=True, failure="train: no such network")
    text = written(base, head)
    assert text.startswith("## Accuracy 0.898; no results on the base\n")
    assert "There are no results of the base: `train: no such network`" in text
    assert "| accuracy | — | 0.8983 |" in text


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


def outcome(*sides):
    return findings(*sides).outcome


def test_the_gate_passes():
    found = outcome(*sides(80, 5))
    assert found.failures == []
    assert found.held == [
        "accuracy: minimum 0.5",
        "accuracy is no worse than on the base, within 1 point",
        "the fit did not change from optimal on the base to overfitting",
    ]


@pytest.mark.parametrize(
    ("given", "broken"),
    [
        ({"accuracy": 0.91}, ""),
        ({"accuracy": 0.95}, "gate.bounds.accuracy: accuracy is 0.9108, 0.0392 below the min"),
        ({"loss": 0.2}, "gate.bounds.loss: loss is 0.2500, 0.0500 above the maximum of 0.2"),
        ({"loss": 0.3}, ""),
        ({"f2": 0.3}, "gate.bounds.f2: no such score; valid: accuracy, loss"),
    ],
)
def test_a_broken_bound_says_by_how_much(given, broken):
    found = outcome(*sides(80, 5, gate=bounds(bounds=given)))
    assert "".join(found.broken).startswith(broken)
    assert bool(found.broken) == bool(broken)


@pytest.mark.parametrize(
    ("score", "ends", "line"),
    [
        ("accuracy", [("low", 0.8199), ("low", 0.8101)], "bounds: {accuracy: 0.81}"),
        ("accuracy", [("low", 0.57), ("low", 0.57)], "bounds: {accuracy: 0.57}"),
        ("loss", [("high", 0.4), ("high", 0.401)], "bounds: {loss: 0.41}"),
        ("r2", [("low", -0.001), ("low", 0.1)], "bounds: {r2: -0.01}"),
        ("accuracy", [("low", 0.8), ("high", 0.9)], None),
    ],
)
def test_empty_bounds_pass_and_the_base_proposes_one(score, ends, line):
    base, head = sides(80, 5, seeds=2, gate=bounds(bounds={}, allow=["drop"]))
    for one, (end, value) in zip(base.results, ends, strict=True):
        one.scores[f"{score}_{end}"] = value
    base = replace(base, revision=revision("main", evaluate={"score": score}))
    found = outcome(base, head)
    assert found.failures == []
    assert found.notes[1:] == ([line] if line else [])
    assert (f"\n\n`{line}`\n\n" in written(base, head)) == bool(line)


@pytest.mark.parametrize(
    ("score", "end", "majority"), [("accuracy", ("low", 0.79), 0.8), ("loss", ("high", 0.7), 0.69)]
)
def test_no_bound_is_proposed_that_guessing_would_keep(score, end, majority):
    base, head = sides(80, 5, gate=bounds(bounds={}, allow=["drop"]))
    one = base.results[0]
    for training in base.results:
        training.scores[f"{score}_{end[0]}"] = end[1]
    one.metrics["metrics/baseline.json"] = {"majority": {"test": {score: majority}}}
    base = replace(base, revision=revision("main", evaluate={"score": score}))
    (said,) = outcome(base, head).notes
    assert said.startswith("No bound for gate is proposed yet: the interval of the ")
    assert f"that of the majority baseline, {majority:.3f};" in said


def test_a_bound_of_another_task_is_not_checked():
    base, head = sides(80, 5, gate=bounds(bounds={"r2": 0.5, "acuracy": 0.5}))
    found = outcome(base, head)
    assert found.notes == [
        "gate.bounds.r2: not checked, because task binary has no such score; remove it"
    ]
    assert found.broken == [
        "gate.bounds.acuracy: no such score; did you mean `accuracy`? valid: accuracy, loss"
    ]


def test_a_bound_that_the_base_breaks_in_the_same_way_is_a_note():
    strict = bounds(bounds={"accuracy": 0.99})
    base, _ = sides(gate=strict)
    base = replace(base, revision=revision("main", gate=strict))
    found = outcome(base, replace(base, revision=revision("change", gate=strict)))
    assert found.failures == []
    assert "the base has the same bound and the same predictions" in found.notes[0]
    raised = bounds(bounds={"accuracy": 0.995})
    assert outcome(base, replace(base, revision=revision("change", gate=raised))).broken
    other = answering(base, lambda said: replace(said, predictions=1 - said.predictions))
    other = replace(other, revision=revision("change", gate=strict))
    assert any("gate.bounds.accuracy" in one for one in outcome(base, other).broken)


def test_a_significant_drop_breaks_the_gate():
    found = outcome(*sides(5, 80))
    assert found.broken[0].startswith(
        "accuracy is significantly worse than on the base, by 18.8 points (to allow this"
    )
    allowed = outcome(*sides(5, 80, gate=bounds(allow=["drop"])))
    assert allowed.failures == []
    assert "a drop against the base, which gate.allow allows" in allowed.held


def test_a_small_drop_within_the_margin_is_held():
    base, head = sides(0, 10, 2000, seeds=6)
    found = findings(base, head)
    assert found.comparison.verdict == WORSE
    assert found.outcome.failures == []
    narrow = findings(base, replace(head, revision=revision("change", gate=bounds(margin=0.004))))
    assert "by 0.5 points" in narrow.outcome.broken[0]


def test_what_is_not_shown_fails_with_the_seeds_that_it_takes():
    found = findings(*sides(20, 19, 400))
    (said,) = found.outcome.undecided
    assert found.outcome.broken == []
    assert said.startswith("not shown: accuracy is no worse than on the base, within 1 point; ")
    assert found.comparison.test.seeds is None  # 400 reviews are too few
    assert "only more test reviews or a larger gate.margin" in said
    allowed = sides(20, 19, 400, gate=bounds(allow=["drop"]))
    assert outcome(*allowed).failures == []


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        (9, "with 9 seeds a side (--seeds 9) a network that is as good"),
        (3, "if the networks are equally good; train more (--seeds 6)"),
        (1234, "it would take 1,234 seeds a side, so use more test reviews"),
        (None, "more seeds cannot show it"),
    ],
)
def test_the_remedy_depends_on_the_seeds_that_it_takes(seeds, said):
    base, head = sides(20, 19, 400)
    other = compared.compare(BASE, base, head, 0.01)
    test = replace(other.comparison.test, seeds=seeds, no_worse=False)
    other = replace(other, comparison=replace(other.comparison, test=test))
    assert said in gate.hold(gate.load(PARAMS), head, [other]).undecided[0]


def test_one_training_a_side_is_not_enough_for_the_gate():
    (said,) = outcome(*sides(80, 5, seeds=1)).undecided
    assert "train 3 seeds a side (--seeds 3)" in said
    assert outcome(*sides(80, 5, seeds=1, gate=bounds(allow=["drop"]))).failures == []


def test_overfitting_breaks_the_gate_if_the_fit_was_optimal():
    base, head = sides(80, 5, verdict="overfitting")
    assert "the fit was optimal on the base" in outcome(base, head).broken[0]
    for one in base.results:
        one.scores["fit"]["verdict"] = "undecided"
    assert outcome(base, head).broken == []
    base, head = sides(80, 5, verdict="overfitting", gate=bounds(allow=["overfitting"]))
    assert outcome(base, head).broken == []


def test_the_reference_keeps_small_drops_and_verdicts_from_adding_up():
    reference, head = sides(5, 80, verdict="overfitting")
    reference = replace(reference, revision=revision("v1"))
    base = replace(head, revision=revision("main", commit="3"))
    assert outcome(base, head).failures == []
    found = outcome(base, head, reference)
    assert [one.split(" (")[0] for one in found.broken] == [
        "accuracy is significantly worse than on the reference, by 18.8 points",
        "the fit was optimal on the reference and is now overfitting",
    ]
    text = written(base, head, reference)
    assert re.search(r"Against the reference `v1`: worse: accuracy 0.9\d\d → 0.7\d\d \(", text)
    assert "Fit: optimal (3) → overfitting (3)." in text


def test_a_reference_without_results_is_not_passed_over():
    base, head = sides(80, 5)
    reference = Side(revision("v1"), [], failure="train: no such network")
    assert outcome(base, head, reference).undecided == [
        "gate.reference: v1 has no results (train: no such network); set a revision that has "
        "some, or null"
    ]
    assert "v1`: it has no results: `train: no such network`" in written(base, head, reference)


def test_the_main_score_can_be_another():
    base, head = sides(80, 5, evaluate={"score": "loss"})
    assert findings(base, head).comparison.score == "loss"
    assert re.match(r"## .*: loss 0\.\d+ → 0\.\d+ \(", written(base, head))


def test_changed_bounds_are_reported():
    text = written(*sides(80, 5, gate=bounds(bounds={"accuracy": 0.1})))
    assert "This change also changes the bounds of its check" in text
    assert "`gate.bounds.accuracy`: `0.5` → `0.1` (a bound of the check)" in text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "`gate` is missing"),
        ({"gate": bounds(bounds={"accuracy": "high"})}, "`gate.bounds.accuracy`"),
        ({"gate": {"floors": {}, **PARAMS["gate"]}}, "`gate.floors` is not known; valid: bounds, "),
        ({"gate": bounds(allow=["all"])}, "must be 'drop' or 'overfitting'"),
        ({"gate": bounds(bounds={"accuracy": float("nan")})}, "finite"),
        ({"gate": bounds(margin=0.0)}, "`gate.margin`"),
        ({"gate": bounds(reference="")}, "`gate.reference`"),
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
