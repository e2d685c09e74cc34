"""The results of a study as a document."""

import math
from collections import Counter

from scipy.stats import binomtest

from ajuste.report import charts
from ajuste.report.document import Block, Bullets, Code, Heading, Picture, Table, Text
from ajuste.report.numbers import NONE, many, number
from ajuste.training import environment
from study.collect import Result
from study.plan import Plan

BACK = 50  # steps between the two gradients of the ratio
VERDICTS = ("optimal", "overfitting", "underfitting", "undecided")
LEGEND = (
    "Accuracy, with the loss in brackets, of the weights that were kept. The test column has the "
    "95 % interval. Gap: validation loss minus training loss. Trained: the parameters that are "
    "trained. Seconds: the time of the training, if it ran here."
)
PROMISE = (
    "The first remedy proposed for each experiment that is not optimal. A remedy for overfitting "
    "works if it makes the gap smaller; a remedy for underfitting works if it makes the training "
    "loss smaller."
)
CURVES = (
    "Both losses are measured after each epoch, without dropout, and on the same number of "
    "reviews. All panels have the same scale; a curve above it is cut off."
)
GRADIENT = (
    "How much of the gradient at the last word reaches earlier words. Ratio: the norm at the last "
    f"step divided by the norm {BACK} steps back. It is large if the gradient vanishes, and near 1 "
    "if it does not."
)


def content(study: Plan, results: list[Result], command: str, commit: str) -> list[Block]:
    """The report.

    Args:
        study: the list.
        results: its results, each remedy after the experiment that it is for.
        command: the shell command that writes the report.
        commit: the short hash of the commit that the experiments start from.
    """
    done = [result for result in results if not result.failure]
    blocks: list[Block] = [Heading(1, study.title), Text([summary(results)])]
    if study.intro:
        blocks.append(Text([study.intro]))
    made = ["Made by ", Code(command), " on commit ", Code(commit), _reviews(done)]
    blocks.append(Text([*made, *trained_with(done)]))
    blocks += [Heading(2, "Results"), Text([LEGEND]), results_table(results)]
    if compared := [result for result in results if _expects(result)]:
        blocks.append(Heading(2, "Measured and expected"))
        gaps = {result.experiment.name: _gap(result) for result in done}
        blocks.append(Bullets([comparison(result, gaps) for result in compared]))
    if remedies := [result for result in done if result.experiment.remedy_of]:
        blocks += [Heading(2, "Remedies"), Text([PROMISE]), remedies_table(remedies, done)]
    if drawn := {_panel_title(result): result.curves for result in done if result.curves}:
        about = "training and validation loss by epoch, one panel for each experiment"
        blocks += [Heading(2, "Loss by epoch"), Text([CURVES])]
        blocks.append(Picture("losses", charts.loss_panels(drawn), about))
    if recurrent := [result for result in done if result.gradient]:
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


def summary(results: list[Result]) -> str:
    """The answer in a few sentences: the verdicts, how many agree, how many remedies work."""
    listed = [result for result in results if not result.experiment.remedy_of]
    counts = Counter(result.verdict for result in listed)
    parts = [f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict]]
    if unknown := sum(not result.verdict and not result.failure for result in listed):
        parts.append(f"{unknown} without a verdict")
    if failed := sum(bool(result.failure) for result in listed):
        parts.append(f"{failed} without a result")
    text = f"{many(len(results), 'experiment')}"
    if remedies := len(results) - len(listed):
        text += f", {many(remedies, 'remedy', 'remedies')} included. Of the other {len(listed)}"
    text += f": {', '.join(parts)}."
    if judged := [result for result in listed if agreement(result)]:
        differing = [r.experiment.name for r in judged if agreement(r) == "differs"]
        text += f" {len(judged) - len(differing)} of {many(len(judged), 'verdict')} as expected"
        text += f"; not as expected: {', '.join(differing)}." if differing else "."
    done = {result.experiment.name: result for result in results if not result.failure}
    if tried := [result for result in done.values() if result.experiment.remedy_of]:
        working = sum(works(done[r.experiment.remedy_of], r) for r in tried)
        text += f" {working} of {many(len(tried), 'remedy', 'remedies')} worked."
    return text


def results_table(results: list[Result]) -> Table:
    """Every experiment with its scores, and the expected scores if there are any."""
    header = [
        *("experiment", "training", "validation", "gap", "test", "parameters", "trained"),
        *("seconds", "verdict"),
    ]
    expecting = any(_expects(result) for result in results)
    if expecting:
        header += ["expected training", "expected validation", "expected verdict", ""]
    rows, marked = [], set()
    for place, result in enumerate(results):
        train, counts = result.train, result.train.get("parameters", {})
        row = [
            result.experiment.name,
            _scores(train.get("train", {})),
            _scores(train.get("validation", {})),
            number(_gap(result), ".3f"),
            _test(result.scores),
            number(counts.get("total"), ","),
            number(counts.get("trainable"), ","),
            number(result.seconds, ".0f"),
            "failed" if result.log else result.verdict or NONE,
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
        said = "as expected" if agreement(result) == "agrees" else f"expected {expected.verdict}"
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
    header = ["experiment", "remedy", "why", "command", "gap", "training loss", "verdict", "works"]
    originals = {result.experiment.name: result for result in done}
    rows, marked = [], set()
    for place, after in enumerate(remedies):
        before = originals[after.experiment.remedy_of]
        if not works(before, after):
            marked.add(place)
        rows.append(
            [
                before.experiment.name,
                after.experiment.name,
                after.experiment.about,
                Code(after.command),
                f"{number(_gap(before), '.3f')} → {number(_gap(after), '.3f')}",
                f"{number(_loss(before), '.3f')} → {number(_loss(after), '.3f')}",
                f"{before.verdict} → {after.verdict or NONE}",
                "no" if place in marked else "yes",
            ]
        )
    return Table(header, rows, marked)


def works(before: Result, after: Result) -> bool:
    """Whether a remedy makes the gap smaller (overfitting), or the training loss (underfitting)."""
    measure = _gap if before.verdict == "overfitting" else _loss
    old, new = measure(before), measure(after)
    return old is not None and new is not None and new < old


def ratio(result: Result) -> float | None:
    """The gradient's norm at the last step over that 50 steps back; None if it has fewer steps."""
    if len(result.gradient) <= BACK:
        return None
    last, back = result.gradient[0], result.gradient[BACK]
    return last / back if back else math.inf


def forgetfulness(results: list[Result]) -> str:
    """A comparison of the ratios in two sentences, without the remedies."""
    listed = [result for result in results if not result.experiment.remedy_of]
    found = {result.experiment.name: ratio(result) for result in listed}
    ratios = {name: value for name, value in found.items() if value and value < math.inf}
    if len(ratios) < 2:
        return ""
    order = sorted(ratios, key=ratios.get, reverse=True)
    span = math.log10(ratios[order[0]] / ratios[order[-1]])
    return (
        f" From the largest ratio to the smallest: "
        f"{', '.join(f'{name} {ratios[name]:,.3g}' for name in order)}. "
        f"The largest is {span:.1f} orders of magnitude above the smallest."
    )


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


def _loss(result: Result) -> float | None:
    return result.train.get("train", {}).get("loss")


def _panel_title(result: Result) -> str:
    verdict = f"\n{result.verdict}" if result.verdict else ""
    return f"{result.experiment.name}{verdict}"
