"""The effect of a pull request as a document: the answer first."""

from dataclasses import dataclass

from ajuste.evaluation import significance
from ajuste.evaluation.scores import MAIN
from ajuste.evaluation.significance import Comparison, Difference
from ajuste.report import charts
from ajuste.report.document import Block, Bullets, Code, Fold, Heading, Strong, Table, Text
from ajuste.report.numbers import minus, number
from ajuste.tasks import NUMERIC, decode
from pull_request import changes, gate, revision
from pull_request.gate import Outcome
from pull_request.revision import TRAIN
from pull_request.trainings import Side

FLIPS = 3  # reviews of each kind
SLICES = 5
LISTED = 20  # parameters, stages or metrics
REASONS = 4
TEXT = 240  # characters of a review

OF_TRAINING = {
    "training loss": ("train", "loss"),
    "validation loss": ("validation", "loss"),
    "training accuracy": ("train", "accuracy"),
    "validation accuracy": ("validation", "accuracy"),
}
CALLED = {"f1": "F1", "roc_auc": "ROC AUC", "r2": "R²", "matthews": "Matthews correlation"}
SHARES = ("accuracy", "exact_match")  # their differences are in points, hundredths


@dataclass(frozen=True)
class Findings:
    """The content of a report.

    Attributes:
        base: one side.
        head: the other.
        comparison: of the two, if both have results that can be compared.
        incomparable: why two sides with results cannot be compared; else empty.
        outcome: of the gate.
        command: the shell command that writes the report.
    """

    base: Side
    head: Side
    comparison: Comparison | None
    incomparable: str
    outcome: Outcome
    command: str

    @property
    def sides(self) -> tuple[Side, Side]:
        """The base and the head."""
        return self.base, self.head

    @property
    def unchanged(self) -> bool:
        """Whether the pipeline reads and writes the same on both sides."""
        old, new = ([result.lock for result in side.results] for side in self.sides)
        return bool(old) and old == new

    @property
    def differing(self) -> Comparison | None:
        """The comparison, if there are different answers."""
        return None if self.comparison and self.comparison.alike else self.comparison


def content(found: Findings) -> list[Block]:
    """The report."""
    differing = found.differing
    blocks: list[Block] = [Heading(2, headline(found))]
    if differing:
        blocks.append(Text([evidence(differing)]))
    if notes := _notes(found):
        blocks.append(Bullets(notes))
    blocks += check(found.outcome)  # a paragraph, which separates the two lists
    if found.head.results:
        blocks.append(scores_table(found))
    if not found.unchanged:
        blocks += what_changed(found)
        chart = charts.two_sides(*(_curves(side) for side in found.sides))
        if chart and found.head.results:
            blocks += [Heading(3, "Learning curves"), chart]
        if differing:
            blocks += slices(differing)
            blocks += flips(found)
        if found.base.results and found.head.results:
            blocks += _other_metrics(found)
    return [*blocks, Text(["Made by ", Code(found.command), "."])]


def _curves(side: Side) -> dict[str, list[float]]:
    """The curves of the first training."""
    return side.results[0].curves if side.results else {}


def headline(found: Findings) -> str:
    """The answer in one line."""
    return f"{_answer(found)}{'; the check fails' if found.outcome.broken else ''}"


def _answer(found: Findings) -> str:
    if not found.head.results:
        return "The data fail validation" if gate.in_validation(found.head) else "No results"
    if found.unchanged:
        return f"Nothing changed: {_main(found.head)}"
    if not found.comparison:
        why = "not comparable with the base" if found.base.results else "no results on the base"
        return f"{_main(found.head).capitalize()}; {why}"
    if not found.differing:
        return f"No difference shown: all answers are the same, {_main(found.head)}"
    test, score = found.comparison.test, found.comparison.score
    of_main = found.comparison.differences[score]
    return (
        f"{found.comparison.verdict.capitalize()}: {_named(score)} {of_main.before:.3f} → "
        f"{of_main.after:.3f} ({amount(score, test.value)}, 95 % interval "
        f"{_span(score, test.low, test.high)})"
    )


def _main(side: Side) -> str:
    score = MAIN[side.results[0].answers.task]
    return f"{_named(score)} {gate.mean(side.results, score):.3f}"


def evidence(comparison: Comparison) -> str:
    """What the verdict is based on."""
    score, test = comparison.score, comparison.test
    before, after = comparison.reviews
    several = max(comparison.trainings)
    parts = [f"Each side was trained with {several} seeds."] if several > 1 else []
    if comparison.paired:
        parts.append(f"Both sides have the same {after:,} test reviews.")
    else:
        parts.append(
            f"The two sides have different test reviews ({before:,} and {after:,}), so the "
            "intervals are those of two independent samples, which are wider."
        )
    if comparison.mcnemar:
        right, wrong, p = comparison.mcnemar
        parts.append(
            f"{right:,} answers are now correct and {wrong:,} are now wrong. McNemar's exact test "
            f"of these two networks: {_p(p)}; with the variance of the seed included: {_p(test.p)}."
        )
    else:
        over = "reviews and seeds"
        if several == 1:
            over = "reviews, with the variance of the seed included"
        parts.append(f"Over {over}: {_p(test.p)}.")
    power = amount(score, test.detectable, signed=False)
    parts.append(f"This comparison has 80 % power to detect a difference of {power}.")
    if several == 1:
        parts.append("With --seeds 3 it can detect much smaller ones.")
    if several > 1:
        parts.append("The 95 % intervals cover the choice of test reviews and seeds.")
    else:
        parts.append(
            "The 95 % intervals cover the choice of test reviews; the interval of the first score "
            "also covers the choice of the seed."
        )
    return " ".join(parts)


def check(outcome: Outcome) -> list[Block]:
    """The outcome of the gate."""
    if outcome.broken:
        return [
            Text([Strong("The check fails:")]),
            Bullets([[Code(sentence)] for sentence in outcome.broken]),
        ]
    return [Text([Strong("The check passes"), f" ({'; '.join(outcome.held)})."])]


def _notes(found: Findings) -> list[list[str]]:
    """Where the scores come from, if it is not the two commits, and other remarks."""
    notes: list[list[str]] = []
    for side, called in ((found.head, "this change"), (found.base, "the base")):
        notes += _state(side, called)
    if found.incomparable:
        notes.append([f"The two sides cannot be compared: {found.incomparable}."])
    before, after = (side.revision.params.get("gate") for side in found.sides)
    if found.base.revision.params and before != after:
        notes.append(["This change also changes the bounds of its check: see ", Code("gate"), "."])
    return notes


def _state(side: Side, called: str) -> list[list[str]]:
    """Why the results of a side are not those of its commit; empty if they are."""
    of_side = [f"{called} (", Code(side.revision.short), ")"]
    if not side.revision.has_pipeline:
        return [["There is no pipeline on ", *of_side, ", so there is no comparison."]]
    notes: list[list[str]] = []
    if not side.revision.has_results:
        notes.append(["No results are committed on ", *of_side, "."])
    elif unreproduced := side.revision.unreproduced:
        stages = (f"{name}: {_some(reasons)}" for name, reasons in unreproduced.items())
        pieces = [piece for stage in stages for piece in ("; ", Code(stage))][1:]
        notes.append([Code("dvc.lock"), " is out of date on ", *of_side, ": ", *pieces, "."])
    elif side.trained and len(side.results) == 1:
        notes.append(
            ["The outputs of ", *of_side, " were not in the DVC cache, so its stages ran again."]
        )
    if side.failure:
        notes.append([f"There are no results of {called}: ", Code(side.failure)])
    elif notes:
        notes[-1] += [" The scores are from a run for this report; ", Code("dvc repro")]
        notes[-1] += [" and a commit would record them."]
    return notes


def _some(reasons: list[str]) -> str:
    more = f" and {len(reasons) - REASONS} more" if len(reasons) > REASONS else ""
    return ", ".join(reasons[:REASONS]) + more


def scores_table(found: Findings) -> Table:
    """Every score before and after, with the interval of the difference."""
    known = found.comparison.differences if found.comparison else {}
    names = known or {
        name: None
        for name, value in found.head.results[0].scores.items()
        if isinstance(value, float) and not name.endswith(("_low", "_high"))
    }
    rows = [_score_row(found, name, known.get(name)) for name in names]
    for name, keys in OF_TRAINING.items():
        before, after = (_of_training(side, keys) for side in found.sides)
        if after is not None:
            rows.append([name, *_before_and_after(before, after), ""])
    verdicts = [_verdicts(side) for side in found.sides]
    rows.append(["fit", *verdicts, "" if verdicts[0] == verdicts[1] else "changed", ""])
    header = [f"base {found.base.revision.short}", f"head {found.head.revision.short}"]
    return Table(["", *header, "difference", "95 % interval"], rows)


def _score_row(found: Findings, name: str, difference: Difference | None) -> list[str]:
    if difference is None:
        values = (gate.mean(side.results, name) if side.results else None for side in found.sides)
        return [_named(name), *map(_number, values), "", ""]
    interval = ""
    if difference.low is not None and found.differing:
        interval = minus(f"{difference.low:+.4f} to {difference.high:+.4f}")
    values = (_number(difference.before), _number(difference.after))
    return [_named(name), *values, number(difference.value, "+.4f", ""), interval]


def _of_training(side: Side, keys: tuple[str, str]) -> float | None:
    part, score = keys
    values = [result.metrics.get(TRAIN, {}).get(part, {}).get(score) for result in side.results]
    return sum(values) / len(values) if values and None not in values else None


def _verdicts(side: Side) -> str:
    """The verdict of each training; equal ones are counted."""
    verdicts = [result.verdict for result in side.results]
    if len(verdicts) < 2:
        return "".join(verdicts) or number(None, "")
    return ", ".join(f"{one} ({verdicts.count(one)})" for one in dict.fromkeys(verdicts))


def what_changed(found: Findings) -> list[Block]:
    """Parameters and stages."""
    blocks: list[Block] = []
    lock = found.head.results[0].lock if found.head.results else {}
    sides = [side.revision.params for side in found.sides]
    if sides[0] and (parameters := changes.parameters(*sides, lock)):
        items = [_parameter(one, known=bool(lock)) for one in parameters]
        blocks += [Heading(3, "Changed parameters"), Bullets(items[:LISTED]), *_more(items)]
    if found.base.results and found.head.results:
        items = [
            [
                Code(stage.name),
                ": ",
                Code(_some(stage.reasons)),
                " (same outputs)" if stage.same_outputs else "",
            ]
            for stage in changes.stages(found.base.results[0].lock, lock)
        ]
        blocks += [Heading(3, "Changed stages"), Bullets(items[:LISTED]), *_more(items)]
    return blocks


def _parameter(one: changes.Parameter, known: bool) -> list[str]:
    before, after = (
        "not set" if value is changes.MISSING else Code(_shortened(str(value)))
        for value in (one.before, one.after)
    )
    aside = ""
    if one.name.startswith("gate."):
        aside = " (a bound of the check)"
    elif known and not one.read:
        aside = " (no stage reads it)"
    return [Code(one.name), ": ", before, " → ", after, aside]


def _more(items: list[list[str]]) -> list[Block]:
    more = len(items) - LISTED
    return [Text([f"And {more:,} more."])] if more > 0 else []


def slices(comparison: Comparison) -> list[Block]:
    """The slices that changed most."""
    if not comparison.slices:
        return []
    score = comparison.score
    rows = [
        [
            part.name,
            f"{part.reviews[1]:,}",
            _number(part.before),
            _number(part.after),
            amount(score, part.test.value),
            _span(score, part.test.low, part.test.high),
            "significant" if part.shown else "",
        ]
        for part in comparison.slices[:SLICES]
    ]
    header = ["slice", "reviews", "base", "head", "difference", "95 % interval", ""]
    said = (
        f"The {len(rows)} of {len(comparison.slices)} slices whose {_named(score)} changed most. "
        "The last column is corrected for the number of slices (Holm)."
    )
    return [Heading(3, "Slices"), Text([said]), Table(header, rows)]


def flips(found: Findings) -> list[Block]:
    """Some of the reviews with a different answer."""
    base, head = (revision.together(side.results) for side in found.sides)
    moved = significance.flips(base, head)
    if not moved:
        return []
    numeric = head.task in NUMERIC
    better = [flip for flip in moved if (flip.rise > 0) != numeric]
    worse = [flip for flip in moved if (flip.rise > 0) == numeric]
    names = ("closer", "less close") if numeric else ("now correct", "now wrong")
    answers = [
        decode(side.task, side.predictions.mean(axis=0), side.labels) for side in (base, head)
    ]
    actual = decode(head.task, head.targets, head.labels)
    counts = f"{len(better):,} {names[0]} and {len(worse):,} {names[1]}"
    blocks: list[Block] = [
        Heading(3, "Reviews with a different answer"),
        Text([f"{counts}; the largest changes first."]),
    ]
    for name, flipped in zip(names, (better, worse), strict=True):
        if flipped:
            items = [
                [
                    *(Code(answers[0][flip.base]), " → ", Code(answers[1][flip.head])),
                    *(" (correct: ", Code(actual[flip.head]), "): "),
                    Code(_shortened(head.reviews[flip.head])),
                ]
                for flip in flipped[:FLIPS]
            ]
            blocks += [Text([Strong(f"{name.capitalize()}:")]), Bullets(items)]
    return blocks


def _other_metrics(found: Findings) -> list[Block]:
    before, after = (
        {
            path: content
            for path, content in side.results[0].metrics.items()
            if path != revision.EVALUATE
        }
        for side in found.sides
    )
    rows = [
        [Code(name), *_before_and_after(old, new)]
        for name, old, new in changes.metrics(before, after)
    ]
    if not rows:
        return []
    table = Table(["", "base", "head", "difference"], rows[:LISTED])
    return [Fold("Metrics of the other stages", [table, *_more(rows)])]


def amount(score: str, value: float, signed: bool = True) -> str:
    """A difference in a score, in points (hundredths) if it is a share."""
    sign = "+" if signed else ""
    if score in SHARES:
        return minus(f"{100 * value:{sign}.1f} points")
    return minus(f"{value:{sign}.3g}")


def _span(score: str, low: float, high: float) -> str:
    return f"{amount(score, low)} to {amount(score, high)}".replace(" points", "")


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _named(score: str) -> str:
    return CALLED.get(score, score.replace("_", " "))


def _number(value: float | None) -> str:
    return number(value, "," if isinstance(value, int) else ".4f")


def _before_and_after(before: float | None, after: float | None) -> list[str]:
    """Two numbers and their difference, if both are there."""
    rise = None if before is None or after is None else after - before
    form = "+," if isinstance(rise, int) else "+.4f"
    return [_number(before), _number(after), number(rise, form, "")]


def _shortened(text: str) -> str:
    """On one line, cut at a word."""
    line = " ".join(text.split())
    return line if len(line) <= TEXT else f"{line[:TEXT].rsplit(' ', 1)[0]} …"
