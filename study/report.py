"""The results of a study as a document."""

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy.stats import binomtest

from ajuste import tasks
from ajuste.evaluation.sentence import sure
from ajuste.evaluation.significance import MARGIN
from ajuste.report import charts
from ajuste.report.document import Block, Bullets, Code, Fold, Heading, Picture, Table, Text
from ajuste.report.numbers import NONE, many, number
from ajuste.training import environment
from study import collect, repeats
from study.collect import Base, Result
from study.plan import Plan

BACK = 50  # steps between the two gradients of the ratio
FORGETS = 10  # the ratio from which on a network forgets its first words
VERDICTS = ("optimal", "overfitting", "underfitting", "undecided")
LEGEND = (
    "Accuracy, with the loss in brackets, of the weights that were kept. The lowest validation "
    "loss is first. Gap: validation loss minus training loss. Trained: the parameters that are "
    "trained. Seconds: the time of the training, if it ran here. How sure the verdict is: its "
    "probability, given the noise of the curves and the choice of the reviews."
)
TEST = (
    "Do not choose an experiment by these scores. The best of many scores on the same reviews is "
    "partly luck, and would not come again on new reviews. Choose by the validation scores above."
)
PROMISE = (
    "The first remedy proposed for each experiment that overfits or underfits. What matters is "
    "validation: a remedy helps if the whole 95 % interval of the change in loss is below 0. The "
    "intervals (in brackets) cover the choice of the validation reviews. They are about these two "
    "networks; another seed would give others."
)
CURVES = (
    "Both losses are measured after each epoch, without dropout, and on the same number of "
    "reviews. Each panel has its own scale. The dotted line is the epoch whose weights were kept."
)
GRADIENT = (
    "How much of the gradient at the last word reaches earlier words. Ratio: the norm at the last "
    f"step divided by the norm {BACK} steps back. It is large if the gradient vanishes, and near 1 "
    "if it does not."
)


def content(study: Plan, results: list[Result], command: str, start: Base) -> list[Block]:
    """The report.

    Args:
        study: the list.
        results: its results, each remedy after the experiment that it is for.
        command: the shell command that writes the report.
        start: the commit that the experiments start from.
    """
    done = [result for result in results if not result.failure]
    drawn = _first_seeds(done)
    blocks: list[Block] = [Heading(1, study.title), Text([summary(results)])]
    if study.intro:
        blocks.append(Text([study.intro]))
    made = ["Made by ", Code(command), " on commit ", Code(start.commit[:7]), _reviews(done)]
    blocks.append(Text([*made, *trained_with(done)]))
    blocks.append(Heading(2, "Results"))
    if any(result.experiment.repeats for result in results):
        blocks += repeated(study, results, start.params)
    else:
        blocks += [Text([LEGEND]), results_table(results)]
        if study.test and done:
            blocks += [Text([TEST]), test_table(done)]
    sentences = [
        f"{one.experiment.name}: {one.fit['sentence']}"
        for one in _ordered(drawn)
        if "sentence" in one.fit
    ]
    if sentences:
        blocks.append(Fold("Each experiment in a sentence", [Bullets(sentences)]))
    if compared := [result for result in results if _expects(result)]:
        blocks.append(Heading(2, "Measured and expected"))
        gaps = {result.experiment.name: _gap(result) for result in done}
        blocks.append(Bullets([comparison(result, gaps) for result in compared]))
    if remedies := [result for result in done if result.experiment.remedy_of]:
        blocks += [Heading(2, "Remedies"), Text([PROMISE]), remedies_table(remedies, done)]
    if curves := {_panel_title(result): result.curves for result in drawn if result.curves}:
        about = "training and validation loss by epoch, one panel for each experiment"
        kept = {
            _panel_title(one): one.train["kept_epoch"] for one in drawn if "kept_epoch" in one.train
        }
        blocks += [Heading(2, "Loss by epoch"), Text([CURVES])]
        blocks.append(Picture("losses", charts.loss_panels(curves, kept), about))
    if recurrent := [result for result in drawn if result.gradient]:
        about = "norm of the gradient by steps back in time, on a logarithmic scale"
        norms = {result.experiment.name: result.gradient for result in recurrent}
        blocks += [Heading(2, "Gradient through time"), Text([GRADIENT + forgetfulness(recurrent)])]
        blocks += [Picture("gradients", charts.gradients(norms), about), gradient_table(recurrent)]
    if missing := [result for result in results if result.failure]:
        rows = [
            [r.experiment.name, r.failure, Code(r.log) if r.log else NONE, Code(r.command)]
            for r in missing
        ]
        blocks.append(Heading(2, "Without a result"))
        blocks.append(Table(["experiment", "reason", "log", "command"], rows))
    return blocks


def repeated(study: Plan, results: list[Result], params: dict[str, Any]) -> list[Block]:
    """The table of a study with seeds and what its columns mean.

    Args:
        study: the list.
        results: its results.
        params: `params.yaml` of the commit, for the main score and the margin.
    """
    score = repeats.main_score(results, params.get("evaluate", {}).get("score"))
    margin = params.get("gate", {}).get("margin", MARGIN)
    rows = repeats.grouped(results)
    legend = Text([repeats.legend(rows, study.compare_with, score)])
    return [legend, repeats.table(rows, study.compare_with, score, margin, study.test)]


def _first_seeds(done: list[Result]) -> list[Result]:
    """One result for each experiment."""
    first: dict[str, Result] = {}
    for one in done:
        first.setdefault(one.experiment.repeats or one.experiment.name, one)
    return list(first.values())


def summary(results: list[Result]) -> str:
    """The answer in a few sentences: the verdicts, how many agree, how many remedies help."""
    counts = Counter(result.verdict for result in results)
    parts = [f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict]]
    if unknown := sum(not result.verdict and not result.failure for result in results):
        parts.append(f"{unknown} without a verdict")
    if failed := sum(bool(result.failure) for result in results):
        parts.append(f"{failed} without a result")
    remedies = sum(bool(result.experiment.remedy_of) for result in results)
    text = many(len(results), "experiment")
    if remedies:
        text += f", {many(remedies, 'remedy', 'remedies')} among them"
    text += f": {', '.join(parts)}."
    if judged := [result for result in results if agreement(result)]:
        differing = [r.experiment.name for r in judged if agreement(r) == "differs"]
        text += f" {len(judged) - len(differing)} of {many(len(judged), 'verdict')} as expected"
        text += f"; not as expected: {', '.join(differing)}." if differing else "."
    done = {result.experiment.name: result for result in results if not result.failure}
    if best := repeats.grouped([*done.values()])[:1]:
        text += f" The lowest validation loss: {best[0].name}."
    if tried := [result for result in done.values() if result.experiment.remedy_of]:
        pairs = [(done[after.experiment.remedy_of], after) for after in tried]
        helped = sum(helps(*pair) == "yes" for pair in pairs)
        well = sum(after.verdict == "optimal" for after in tried)
        text += (
            f" {helped} of {many(len(tried), 'remedy', 'remedies')} helped in validation, "
            f"{well} ended optimal."
        )
    return text


def results_table(results: list[Result]) -> Table:
    """Every experiment with its scores, and the expected scores if there are any."""
    header = [
        *("experiment", "training", "validation", "gap", "parameters", "trained"),
        *("seconds", "verdict", "sure"),
    ]
    expecting = any(_expects(result) for result in results)
    if expecting:
        header += ["expected training", "expected validation", "expected verdict", ""]
    rows, marked = [], set()
    for place, result in enumerate(_ordered(results)):
        train, counts = result.train, result.train.get("parameters", {})
        row = [
            result.experiment.name,
            _scores(train.get("train", {})),
            _scores(train.get("validation", {})),
            number(_gap(result), ".3f"),
            number(counts.get("total"), ","),
            number(counts.get("trainable"), ","),
            number(result.seconds, ".0f"),
            "failed" if result.log else result.verdict or NONE,
            (sure(result.fit) if result.verdict else "") or NONE,
        ]
        if expecting:
            expected = result.experiment.expected
            row += [
                _pair(expected.train_accuracy, expected.train_loss, "g"),
                _pair(expected.validation_accuracy, expected.validation_loss, "g"),
                expected.verdict or NONE,
                agreement(result),
            ]
        if result.log or agreement(result) == "differs":
            marked.add(place)
        rows.append(row)
    return Table(header, rows, marked)


def test_table(done: list[Result]) -> Table:
    """The test scores, in the order of `results_table`."""
    rows = [[one.experiment.name, _test(one.scores)] for one in _ordered(done)]
    return Table(["experiment", "test accuracy with its 95 % interval"], rows)


def _ordered(results: Iterable[Result]) -> list[Result]:
    """By validation loss, the lowest first; those without one last."""
    return sorted(results, key=lambda one: one.train.get("validation", {}).get("loss", math.inf))


def agreement(result: Result) -> str:
    """Whether the verdict is the expected one: agrees, differs, or empty if one is missing."""
    expected = result.experiment.expected.verdict
    if not expected or not result.verdict:
        return ""
    return "agrees" if result.verdict == expected else "differs"


def comparison(result: Result, gaps: dict[str, float | None]) -> str:
    """The measured and the expected results of an experiment, in one line.

    Args:
        result: the experiment.
        gaps: the gap in loss of each experiment, by name.
    """
    expected = result.experiment.expected
    if result.failure:
        return f"{result.experiment.name}: nothing to compare, {result.failure}"
    parts = []
    if expected.verdict:
        said = "as expected"
        if agreement(result) != "agrees":
            said = f"not {expected.verdict} as expected"
            said += f" ({result.fit['reason']})" if "reason" in result.fit else ""
        parts.append(f"verdict {result.verdict or 'not known'}, {said}")
    for part, word in (("validation", "validation"), ("train", "training")):
        scores = result.train.get(part, {})
        reported = getattr(expected, f"{part}_accuracy")
        if reported is not None and "accuracy" in scores:
            within = _within(scores["accuracy"], reported, result.split.get(part))
            parts.append(f"{word} accuracy {scores['accuracy']:.3f}, expected {reported:g}{within}")
        reported = getattr(expected, f"{part}_loss")
        if reported is not None and "loss" in scores:
            by = number(scores["loss"] - reported, "+.3f")
            parts.append(f"{word} loss {scores['loss']:.3f}, expected {reported:g} ({by})")
    other, gap = expected.smaller_gap_than, _gap(result)
    if other and gap is not None and gaps.get(other) is not None:
        said = "smaller, as expected" if gap < gaps[other] else "expected to be smaller"
        parts.append(f"gap {gap:.3f}, gap of {other} {gaps[other]:.3f}: {said}")
    return f"{result.experiment.name}: {'; '.join(parts) or 'nothing to compare'}"


def remedies_table(remedies: list[Result], done: list[Result]) -> Table:
    """Each remedy beside the experiment that it is for."""
    header = [
        *("experiment", "remedy", "command", "validation loss", "validation accuracy", "gap"),
        *("verdict", "helps"),
    ]
    originals = {result.experiment.name: result for result in done}
    rows, marked = [], set()
    for place, after in enumerate(remedies):
        before = originals[after.experiment.remedy_of]
        helped = helps(before, after)
        if helped == "no":
            marked.add(place)
        changes = differences(before, after)
        rows.append(
            [
                before.experiment.name,
                after.experiment.about,
                Code(after.command),
                *(_change(before, after, score, changes) for score in ("loss", "accuracy")),
                f"{number(_gap(before), '.3f')} → {number(_gap(after), '.3f')}",
                f"{before.verdict} → {after.verdict or NONE}",
                helped,
            ]
        )
    return Table(header, rows, marked)


def helps(before: Result, after: Result) -> str:
    """Whether a remedy lowers the validation loss: yes, no, or not shown by the interval."""
    low, high = differences(before, after).get("loss", (-math.inf, math.inf))
    return "yes" if high < 0 else "no" if low > 0 else "not shown"


def differences(before: Result, after: Result) -> dict[str, tuple[float, float]]:
    """The 95 % interval of the change of `loss` and `accuracy` in validation.

    It is the normal interval of the mean of the paired differences, one for each review. Empty if
    the two do not have the same reviews and the same loss.
    """
    old, new = before.validation, after.validation
    loss = before.train.get("loss_function")
    if not old or not new or collect.loss(before.train) != collect.loss(after.train):
        return {}
    if not np.array_equal(old["targets"], new["targets"]):
        return {}
    losses = [
        tasks.review_losses(loss, side["targets"], side["predictions"], side.get("class_weights"))
        for side in (old, new)
    ]
    right = [
        _right(loss, side["targets"], side["predictions"], side.get("threshold", tasks.THRESHOLD))
        for side in (old, new)
    ]
    pairs = {"loss": losses[1] - losses[0], "accuracy": right[1] - right[0]}
    found = {}
    for score, change in pairs.items():
        half = 1.96 * change.std() / math.sqrt(len(change))
        found[score] = (change.mean() - half, change.mean() + half)
    return found


def _right(
    loss: str, targets: np.ndarray, predictions: np.ndarray, threshold: tasks.Threshold
) -> np.ndarray:
    """The share of the labels of each review that is right, float64 (n,); of no use for numbers."""
    if loss == tasks.CATEGORICAL_CROSSENTROPY:
        return (targets.argmax(axis=1) == predictions.argmax(axis=1)).astype(np.float64)
    return (tasks.positive(predictions, threshold) == tasks.positive(targets)).mean(axis=1)


def _change(
    before: Result, after: Result, score: str, intervals: dict[str, tuple[float, float]]
) -> str:
    old, new = (one.train.get("validation", {}).get(score) for one in (before, after))
    text = f"{number(old, '.3f')} → {number(new, '.3f')}"
    if score in intervals and old is not None:
        low, high = (number(end, "+.3f") for end in intervals[score])
        text += f" ({low} to {high})"
    return text


def ratio(result: Result) -> float | None:
    """The gradient's norm at the last step over that 50 steps back; None if it has fewer steps."""
    if len(result.gradient) <= BACK:
        return None
    last, back = result.gradient[0], result.gradient[BACK]
    return last / back if back else math.inf


def forgetfulness(results: list[Result]) -> str:
    """Which networks forget, in two sentences, without the remedies."""
    listed = [result for result in results if not result.experiment.remedy_of]
    found = {result.experiment.name: ratio(result) for result in listed}
    known = {name: value for name, value in found.items() if value is not None}
    if len(known) < 2:
        return ""
    order = sorted(known, key=known.get, reverse=True)
    shown = {name: f"{name} ({number(known[name], ',.2g')})" for name in order}
    forgetting = [shown[name] for name in order if known[name] >= FORGETS]
    others = [shown[name] for name in order if known[name] < FORGETS]
    text = (
        f" The gradient vanishes (ratio of {FORGETS} or more) in {', '.join(forgetting) or 'none'}"
    )
    return f"{text}; it does not in {', '.join(others) or 'any other'}."


def gradient_table(results: list[Result]) -> Table:
    """The norm of the gradient at the last step and further back."""
    header = ["experiment", "norm at the last step", f"norm {BACK} steps back", "ratio"]
    rows = []
    for result in results:
        back = result.gradient[BACK] if len(result.gradient) > BACK else None
        shown = number(ratio(result), ",.3g").replace("inf", "∞")
        norms = (number(norm, ".3g") for norm in (result.gradient[0], back))
        rows.append([result.experiment.name, *norms, shown])
    return Table(header, rows)


def trained_with(done: list[Result]) -> list[str]:
    """Sentences on the software and the processor of the trainings that ran here."""
    known = Counter(environment.words(one.environment) for one in done if one.environment)
    return [f" {n} of {len(done)} were trained here with {words}." for words, n in known.items()]


def _reviews(done: list[Result]) -> str:
    """The number of reviews; only a full stop if the experiments differ in it."""
    splits = [result.split for result in done]
    if not splits or any(split != splits[0] for split in splits) or "test" not in splits[0]:
        return "."
    parts = splits[0]
    return (
        f", with {parts['train']:,} training, {parts['validation']:,} validation and "
        f"{parts['test']:,} test reviews."
    )


def _expects(result: Result) -> bool:
    return any(value is not None for value in result.experiment.expected.model_dump().values())


def _within(accuracy: float, reported: float, n: int | None) -> str:
    if not n:
        return ""
    interval = binomtest(round(accuracy * n), n).proportion_ci(0.95, method="wilson")
    half = (interval.high - interval.low) / 2
    where = "within" if abs(accuracy - reported) <= half else "outside"
    return f" (difference {where} the 95 % interval of ±{half:.3f})"


def _scores(scores: dict[str, float]) -> str:
    return _pair(scores.get("accuracy"), scores.get("loss"), ".3f")


def _pair(accuracy: float | None, loss: float | None, form: str) -> str:
    if loss is None:
        return number(accuracy, form)
    return f"{number(accuracy, form)} ({loss:{form}})"


def _test(scores: dict[str, float]) -> str:
    if scores.get("accuracy") is None:
        return _scores(scores)
    if "accuracy_low" not in scores:
        return f"{scores['accuracy']:.3f}"
    return "{accuracy:.3f}, {accuracy_low:.3f} to {accuracy_high:.3f}".format(**scores)


def _gap(result: Result) -> float | None:
    return result.train.get("generalization_gap", {}).get("loss")


def _panel_title(result: Result) -> str:
    verdict = f"\n{result.verdict}" if result.verdict else ""
    return f"{result.experiment.name}{verdict}"
