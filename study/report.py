"""What came of a study, as Markdown and as an HTML page, from one content."""

import html
import math
import re
from collections import Counter
from dataclasses import dataclass, field
from string import Template

from study import charts
from study.collect import Result
from study.plan import Plan

Z = 1.96  # of a 95 % interval
BACK = 50  # steps back in time, to which the gradient at the last step is compared
NONE = "—"
VERDICTS = {
    "optimal": ("is optimal", "are optimal"),
    "overfitting": ("overfits", "overfit"),
    "underfitting": ("underfits", "underfit"),
}
LEGEND = (
    "Accuracy, with the loss in brackets, of the weights that were kept; for the test part the "
    "95 % interval. Seconds are those of the training, where it ran here."
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


class Code(str):
    """Text that is set as code."""

    __slots__ = ()


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the title."""

    level: int
    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph, in pieces of text and code."""

    pieces: list[str]


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: list[str]


@dataclass(frozen=True)
class Table:
    """A table; the rows whose numbers are in `marked` are to be seen at once."""

    header: list[str]
    rows: list[list[str]]
    marked: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Picture:
    """A drawing, with the name of its file and a description."""

    name: str
    svg: str
    about: str


Block = Heading | Text | Bullets | Table | Picture


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
    blocks.append(Text(["Made by ", Code(command), " on commit ", Code(commit), _reviews(done)]))
    blocks += [Heading(2, "Results"), Text([LEGEND]), results_table(results)]
    if compared := [result for result in results if _expects(result)]:
        blocks.append(Heading(2, "What agrees and what does not"))
        blocks.append(Bullets([comparison(result) for result in compared]))
    if remedies := [result for result in done if result.experiment.remedy_of]:
        blocks += [Heading(2, "Remedies"), Text([PROMISE]), remedies_table(remedies, done)]
    if drawn := [result for result in done if result.curves]:
        about = "training and validation loss by epoch, one panel an experiment"
        blocks += [Heading(2, "Loss by epoch"), Text([CURVES])]
        blocks.append(Picture("losses", charts.losses(drawn), about))
    if recurrent := [result for result in done if result.gradient]:
        about = "norm of the gradient by steps back in time, on a logarithmic scale"
        blocks += [Heading(2, "Gradient through time"), Text([GRADIENT])]
        blocks.append(Picture("gradients", charts.gradients(recurrent), about))
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
        *("experiment", "training", "validation", "test", "parameters", "trained", "seconds"),
        "verdict",
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


def comparison(result: Result) -> str:
    """What was expected of an experiment against what came of it, in one sentence."""
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
    return f"{result.experiment.name}: {'; '.join(parts) or 'nothing to compare'}"


def half_width(accuracy: float, n: int) -> float:
    """Half the 95 % interval of an accuracy over n reviews (Wilson, 1927)."""
    return Z / (1 + Z**2 / n) * math.sqrt(accuracy * (1 - accuracy) / n + Z**2 / (4 * n**2))


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


def gradient_table(results: list[Result]) -> Table:
    """How much smaller the gradient is further back."""
    header = ["experiment", "norm at the last step", f"norm {BACK} steps back", "ratio"]
    rows = []
    for result in results:
        last = result.gradient[0]
        row = [result.experiment.name, f"{last:.3g}", NONE, NONE]
        if len(result.gradient) > BACK:
            back = result.gradient[BACK]
            row[2:] = [f"{back:.3g}", f"{last / back:,.3g}" if back else "∞"]
        rows.append(row)
    return Table(header, rows)


def markdown(blocks: list[Block], folder: str) -> str:
    """The blocks as GitHub's Markdown; the pictures are in `folder`."""
    return "\n\n".join(_markdown(block, folder) for block in blocks) + "\n"


def _markdown(block: Block, folder: str) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {_plain(text)}"
        case Text(pieces):
            return "".join(map(_plain, pieces))
        case Bullets(items):
            return "\n".join(f"- {_plain(item)}" for item in items)
        case Picture(name, _, about):
            return f"![{about}]({folder}/{name}.svg)"
        case Table(header, rows):
            lines = [header, ["---"] * len(header), *rows]
            return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _plain(text: str) -> str:
    """Text in which nothing is taken for markup."""
    line = " ".join(text.split("\n"))
    if isinstance(text, Code):
        fence = "``" if "`" in line else "`"
        return f"{fence}{line}{fence}"
    return re.sub(r"([\\`*_\[\]<>#|&])", r"\\\1", line)


def _cell(text: str) -> str:
    # In a table GitHub splits at | even inside code.
    return _plain(text).replace("|", r"\|") if isinstance(text, Code) else _plain(text)


PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>$title</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem }
p, li { max-width: 60rem }
table { border-collapse: collapse; font-size: .875rem; width: 100% }
th, td { border-bottom: 1px solid #ccc; padding: .4rem; text-align: left; vertical-align: top }
svg { height: auto; max-width: 100% }
.failed { background: #fde8e8 }
</style>
$body
</html>
""")


def page(blocks: list[Block]) -> str:
    """The blocks as an HTML page that needs no other file; the first is the title."""
    title = html.escape(blocks[0].text) if isinstance(blocks[0], Heading) else ""
    return PAGE.substitute(title=title, body="\n".join(map(_html, blocks)))


def _html(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"<h{level}>{html.escape(text)}</h{level}>"
        case Text(pieces):
            return f"<p>{''.join(map(_escaped, pieces))}</p>"
        case Bullets(items):
            return "<ul>\n" + "\n".join(f"<li>{_escaped(item)}" for item in items) + "\n</ul>"
        case Picture(_, svg, about):
            return f'<figure role="img" aria-label="{html.escape(about)}">{svg}</figure>'
        case Table(header, rows, marked):
            lines = ["<table>", f"<tr>{''.join(f'<th>{_escaped(name)}' for name in header)}</tr>"]
            for number, row in enumerate(rows):
                state = ' class="failed"' if number in marked else ""
                lines.append(f"<tr{state}>{''.join(f'<td>{_escaped(cell)}' for cell in row)}</tr>")
            return "\n".join([*lines, "</table>"])


def _escaped(text: str) -> str:
    escaped = html.escape(text)
    return f"<code>{escaped}</code>" if isinstance(text, Code) else escaped


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
    half = half_width(accuracy, n)
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
