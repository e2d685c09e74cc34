"""What came of a study, as a document."""

import math
from collections import Counter

from scipy.stats import binomtest

from ajuste.report import charts
from ajuste.report.document import Block, Bullets, Code, Heading, Picture, Table, Text
from ajuste.training import environment
from study.collect import Result
from study.plan import Plan

BACK = 50  # steps back in time, to which the gradient at the last step is compared
NONE = "—"
VERDICTS = {
    "optimal": ("is optimal", "are optimal"),
    "overfitting": ("overfits", "overfit"),
    "underfitting": ("underfits", "underfit"),
    "undecided": ("is undecided", "are undecided"),
}
LEGEND = (
    "Accuracy, with the loss in brackets, of the weights that were kept; for the test part the "
    "95 % interval. The gap is that of the losses. Seconds are those of the training, where it ran "
    "here."
)
PROMISE = (
    "The first remedy that was proposed for each experiment that is not optimal. Against "
    "overfitting it promises a smaller gap between validation and training loss, against "
    "underfitting a lower training loss."
)
CURVES = (
    "Both are measured after each epoch and without dropout, the training loss on as many reviews "
    "as the validation loss. All panels have one scale; a curve that leaves it is cut."
)
GRADIENT = (
    f"How much of the gradient at the last word is left further back. The ratio is the norm at the "
    f"last step over that {BACK} steps back: large where it vanishes, near 1 where it is kept."
)


def content(study: Plan, results: list[Result], command: str, commit: str) -> list[Block]:
    """The report.

    Args:
        study: the list.
        results: what came of it, each remedy after what it is for.
        command: what makes the report.
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
        blocks.append(Heading(2, "What agrees and what does not"))
        gaps = {result.experiment.name: _gap(result) for result in done}
        blocks.append(Bullets([comparison(result, gaps) for result in compared]))
    if remedies := [result for result in done if result.experiment.remedy_of]:
        blocks += [Heading(2, "Remedies"), Text([PROMISE]), remedies_table(remedies, done)]
    if drawn := [result for result in done if result.curves]:
        about = "training and validation loss by epoch, one panel an experiment"
        blocks += [Heading(2, "Loss by epoch"), Text([CURVES])]
        blocks.append(
            Picture(
                "losses",
                charts.loss_panels({_panel_title(result): result.curves for result in drawn}),
                about,
            )
        )
    if recurrent := [result for result in done if result.gradient]:
        about = "norm of the gradient by steps back in time, on a logarithmic scale"
        blocks += [Heading(2, "Gradient through time"), Text([GRADIENT + forgetfulness(recurrent)])]
        blocks.append(
            Picture(
                "gradients",
                charts.gradients({result.experiment.name: result.gradient for result in recurrent}),
                about,
            )
        )
        blocks.append(gradient_table(recurrent))
    if missing := [result for result in results if result.failure]:
        rows = [
            [r.experiment.name, r.failure, Code(r.log) if r.log else NONE, Code(r.command)]
            for r in missing
        ]
        blocks.append(Heading(2, "Without a result"))
        blocks.append(Table(["experiment", "reason", "log", "command"], rows))
    return blocks


def summary(results: list[Result]) -> str:
    """The answer in a few sentences: the verdicts, how many agree, how many remedies worked."""
    listed = [result for result in results if not result.experiment.remedy_of]
    counts = Counter(result.verdict for result in listed)
    parts = [
        f"{counts[verdict]} {one if counts[verdict] == 1 else more}"
        for verdict, (one, more) in VERDICTS.items()
        if counts[verdict]
    ]
    if unknown := sum(not result.verdict and not result.failure for result in listed):
        parts.append(f"{unknown} without a verdict")
    if failed := sum(bool(result.failure) for result in listed):
        parts.append(f"{failed} without a result")
    text = f"Of {_many(len(listed), 'experiment')}: {', '.join(parts)}."
    if judged := [result for result in listed if agreement(result)]:
        differing = [r.experiment.name for r in judged if agreement(r) == "differs"]
        text += f" {len(judged) - len(differing)} of {_many(len(judged), 'verdict')} as expected"
        text += f"; not so {', '.join(differing)}." if differing else "."
    done = {result.experiment.name: result for result in results if not result.failure}
    if remedies := [result for result in done.values() if result.experiment.remedy_of]:
        kept = sum(keeps_promise(done[r.experiment.remedy_of], r) for r in remedies)
        text += f" {kept} of {_many(len(remedies), 'remedy', 'remedies')} did what was promised."
    return text


def results_table(results: list[Result]) -> Table:
    """Every experiment with its scores, beside what was expected."""
    header = [
        *("experiment", "training", "validation", "gap", "test", "parameters", "trained"),
        *("seconds", "verdict"),
    ]
    expecting = any(_expects(result) for result in results)
    if expecting:
        header += ["expected training", "expected validation", "expected verdict", ""]
    rows, marked = [], set()
    for number, result in enumerate(results):
        train, counts = result.train, result.train.get("parameters", {})
        row = [
            result.experiment.name,
            _scores(train.get("train", {})),
            _scores(train.get("validation", {})),
            _number(_gap(result)),
            _test(result.scores),
            _count(counts.get("total")),
            _count(counts.get("trainable")),
            NONE if result.seconds is None else f"{result.seconds:.0f}",
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
            marked.add(number)
        rows.append(row)
    return Table(header, rows, marked)


def agreement(result: Result) -> str:
    """Whether the verdict is the expected one: agrees, differs, or empty where one is missing."""
    expected = result.experiment.expected.verdict
    if not expected or not result.verdict:
        return ""
    return "agrees" if result.verdict == expected else "differs"


def comparison(result: Result, gaps: dict[str, float | None]) -> str:
    """What was expected of an experiment against what came of it, in one sentence.

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
            parts.append(f"{word} accuracy {scores['accuracy']:.3f} against {reported:g}{within}")
        reported = getattr(expected, f"{part}_loss")
        if reported is not None and "loss" in scores:
            by = f"{scores['loss'] - reported:+.3f}"
            parts.append(f"{word} loss {scores['loss']:.3f} against {reported:g} ({by})")
    other, gap = expected.smaller_gap_than, _gap(result)
    if other and gap is not None and gaps.get(other) is not None:
        said = "as expected" if gap < gaps[other] else "expected to be smaller"
        parts.append(f"gap in loss {gap:.3f} against {gaps[other]:.3f} of {other}, {said}")
    return f"{result.experiment.name}: {'; '.join(parts) or 'nothing to compare'}"


def remedies_table(remedies: list[Result], done: list[Result]) -> Table:
    """Each remedy beside what it is for."""
    header = [
        *("experiment", "remedy", "why", "command", "gap in loss", "training loss", "verdict"),
        "does what it promises",
    ]
    originals = {result.experiment.name: result for result in done}
    rows, marked = [], set()
    for number, after in enumerate(remedies):
        before = originals[after.experiment.remedy_of]
        if not (kept := keeps_promise(before, after)):
            marked.add(number)
        rows.append(
            [
                before.experiment.name,
                after.experiment.name,
                after.experiment.about,
                Code(after.command),
                f"{_number(_gap(before))} → {_number(_gap(after))}",
                f"{_number(_loss(before))} → {_number(_loss(after))}",
                f"{before.verdict} → {after.verdict or NONE}",
                "yes" if kept else "no",
            ]
        )
    return Table(header, rows, marked)


def keeps_promise(before: Result, after: Result) -> bool:
    """Whether the gap (of overfitting) or the training loss (of underfitting) became smaller."""
    measure = _gap if before.verdict == "overfitting" else _loss
    was, became = measure(before), measure(after)
    return was is not None and became is not None and became < was


def ratio(result: Result) -> float | None:
    """The norm of the gradient at the last step over that 50 steps back; None without so many."""
    if len(result.gradient) <= BACK:
        return None
    last, back = result.gradient[0], result.gradient[BACK]
    return last / back if back else math.inf


def forgetfulness(results: list[Result]) -> str:
    """How the networks compare in what they forget, remedies left out, in two sentences."""
    listed = [result for result in results if not result.experiment.remedy_of]
    found = {result.experiment.name: ratio(result) for result in listed}
    ratios = {name: value for name, value in found.items() if value and value < math.inf}
    if len(ratios) < 2:
        return ""
    order = sorted(ratios, key=ratios.get, reverse=True)
    span = math.log10(ratios[order[0]] / ratios[order[-1]])
    return (
        f" From the one that forgets most: {', '.join(f'{n} {ratios[n]:,.3g}' for n in order)}. "
        f"{span:.1f} orders of magnitude lie between the first and the last."
    )


def gradient_table(results: list[Result]) -> Table:
    """How much smaller the gradient is further back."""
    header = ["experiment", "norm at the last step", f"norm {BACK} steps back", "ratio"]
    rows = []
    for result in results:
        back = f"{result.gradient[BACK]:.3g}" if len(result.gradient) > BACK else NONE
        found = ratio(result)
        shown = NONE if found is None else f"{found:,.3g}".replace("inf", "∞")
        rows.append([result.experiment.name, f"{result.gradient[0]:.3g}", back, shown])
    return Table(header, rows)


def trained_with(done: list[Result]) -> list[str]:
    """Sentences on what the networks were trained with, where that is known."""
    known = Counter(environment.words(one.environment) for one in done if one.environment)
    return [f" {n} of {len(done)} were trained here with {told}." for told, n in known.items()]


def _reviews(done: list[Result]) -> str:
    """The end of the sentence on how the report was made: the number of reviews, where it is one.

    Experiments that differ in their data have more than one, and then none is named.
    """
    splits = [result.split for result in done]
    if not splits or any(split != splits[0] for split in splits) or "test" not in splits[0]:
        return "."
    parts = splits[0]
    return (
        f", with {parts['train']:,} reviews to train, {parts['validation']:,} to validate and "
        f"{parts['test']:,} to test."
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
    if accuracy is None and loss is None:
        return NONE
    first = NONE if accuracy is None else format(accuracy, form)
    return first if loss is None else f"{first} ({loss:{form}})"


def _test(scores: dict[str, float]) -> str:
    if scores.get("accuracy") is None:
        return _scores(scores)
    interval = ""
    if "accuracy_low" in scores:
        interval = f", {scores['accuracy_low']:.3f} to {scores['accuracy_high']:.3f}"
    return f"{scores['accuracy']:.3f}{interval}"


def _count(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"


def _gap(result: Result) -> float | None:
    return result.train.get("generalization_gap", {}).get("loss")


def _loss(result: Result) -> float | None:
    return result.train.get("train", {}).get("loss")


def _many(count: int, one: str, more: str = "") -> str:
    return f"{count} {one if count == 1 else more or one + 's'}"


def _panel_title(result: Result) -> str:
    verdict = f"\n{result.verdict}" if result.verdict else ""
    return f"{result.experiment.name}{verdict}"
