"""The effect of a pull request as a document: the answer first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ajuste.evaluation import significance
from ajuste.evaluation.significance import BETTER, EQUIVALENT, NOT_JUDGED, Comparison, Difference
from ajuste.report import charts
from ajuste.report.document import Block, Bullets, Code, Fold, Heading, Strong, Table, Text
from ajuste.report.numbers import minus, number
from ajuste.tasks import NUMERIC, decode
from pull_request import changes, gate, revision
from pull_request.compared import Compared
from pull_request.gate import Outcome
from pull_request.revision import TRAIN
from pull_request.trainings import SEEDS, Side
from pull_request.units import amount, margin, named, span

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


@dataclass(frozen=True)
class Findings:
    """The content of a report.

    Attributes:
        head: the side that is judged.
        others: what it is compared with: the base, and the reference if there is one.
        outcome: of the gate.
        command: the shell command that writes the report, without the number of seeds at its end.
        seeds: trainings a side.
        stale: sentences about files that differ from the version in use.
    """

    head: Side
    others: list[Compared]
    outcome: Outcome
    command: str
    seeds: int
    stale: Sequence[str] = ()

    @property
    def base(self) -> Side:
        """The other side of every table."""
        return self.others[0].side

    @property
    def comparison(self) -> Comparison | None:
        """With the base."""
        return self.others[0].comparison

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
        """The comparison, if there are different predictions."""
        return None if self.comparison and self.comparison.alike else self.comparison


def content(found: Findings) -> list[Block]:
    """The report."""
    differing = found.differing
    blocks: list[Block] = [Heading(2, headline(found))]
    if differing:
        blocks.append(Text(evidence(found)))
    blocks += [against_reference(other, found.head) for other in found.others[1:]]
    if notes := _notes(found):
        blocks.append(Bullets(notes))
    blocks += check(found.outcome)  # a paragraph, which separates the two lists
    if found.head.results:
        if sentence := gate.typical(found.head.results).sentence:
            blocks.append(Text(["This change: ", sentence]))
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
    return [*blocks, Text(["Made by ", Code(f"{found.command} {found.seeds}"), "."])]


def _curves(side: Side) -> dict[str, list[float]]:
    """The curves of the first training."""
    return side.results[0].curves if side.results else {}


def headline(found: Findings) -> str:
    """The answer in one line."""
    ending = ""
    if found.outcome.broken:
        ending = "; the check fails"
    elif found.outcome.undecided:
        ending = "; the check fails for lack of evidence"
    answer = _answer(found)
    return f"{answer[0].upper()}{answer[1:]}{ending}"


def _answer(found: Findings) -> str:
    if not found.head.results:
        return "the data fail validation" if gate.in_validation(found.head) else "no results"
    if found.unchanged:
        return f"nothing changed: {_main(found.head)}"
    if not found.comparison:
        why = "not comparable with the base" if found.base.results else "no results on the base"
        return f"{_main(found.head)}; {why}"
    return difference(found.comparison)


def _main(side: Side) -> str:
    return f"{named(side.score)} {number(gate.mean(side.results, side.score), '.3f')}"


def difference(comparison: Comparison) -> str:
    """The verdict on the main score, and its values on both sides."""
    score = comparison.score
    main = comparison.differences[score]
    before, after = (number(value, ".3f") for value in (main.before, main.after))
    if comparison.alike:
        return f"equivalent: all predictions are the same, {named(score)} {after}"
    said = f"{_verdict(comparison)}: {named(score)} {before} → {after}"
    if test := comparison.test:
        interval = f"95 % interval {span(score, test.low, test.high)}"
        said += f" ({amount(score, test.value)}, {interval})"
    return said


def _verdict(comparison: Comparison) -> str:
    """The verdict on the main score, with the margin if it is about the margin."""
    if comparison.verdict == EQUIVALENT:
        return f"equivalent within {margin(comparison.score, comparison.margin)}"
    if comparison.verdict == NOT_JUDGED and max(comparison.trainings) == 1:
        return f"{NOT_JUDGED}, because each side was trained once"
    return comparison.verdict


def evidence(found: Findings) -> list[str]:
    """What the verdict is based on, as the pieces of a paragraph."""
    comparison = found.comparison
    score, test = comparison.score, comparison.test
    before, after = comparison.reviews
    trainings = max(comparison.trainings)
    parts = [f"Each side was trained with {trainings} seeds."] if trainings > 1 else []
    if comparison.paired:
        parts.append(f"Both sides have the same {after:,} test reviews.")
    else:
        parts.append(f"The two sides have different test reviews ({before:,} and {after:,}).")
    if comparison.flipped:
        right, wrong = comparison.flipped
        parts.append(f"{right:,} answers are now correct and {wrong:,} are now wrong.")
    if trainings == 1:
        parts.append(
            "This is what these two networks did; with another seed, each of them answers "
            f"differently. For a verdict, train {SEEDS} seeds a side: "
        )
        return [" ".join(parts), Code(f"{found.command} {SEEDS}")]
    if test:
        within = margin(score, comparison.margin)
        power = amount(score, test.detectable, signed=False)
        parts.append(f"The test of no difference gives {_p(test.p)}.")
        if test.equivalent:
            parts.append(f"Tests at 5 % rule out a difference of {within} in either direction.")
        elif test.no_worse and comparison.verdict != BETTER:
            parts.append(f"A test at 5 % rules out that this change is worse by {within}.")
        parts.append(f"This comparison has 80 % power to detect a difference of {power}.")
        parts.append(f"The 95 % intervals cover the choice of {_sampled(found)} and seeds.")
    return [" ".join(parts)]


def against_reference(other: Compared, head: Side) -> Text:
    """The verdict on the main score and both fits, in one paragraph."""
    pieces = ["Against the reference ", Code(other.side.revision.name), ": "]
    if not other.side.results:
        return Text([*pieces, "it has no results: ", Code(other.side.failure)])
    said = f"the two cannot be compared: {other.incomparable}"
    if other.comparison:
        said = difference(other.comparison)
    fits = " → ".join(_verdicts(side) for side in (other.side, head))
    return Text([*pieces, f"{said}. Fit: {fits}."])


def _sampled(found: Findings) -> str:
    grouped = found.head.results[0].answers.groups is not None
    return "groups of test reviews" if grouped else "test reviews"


def check(outcome: Outcome) -> list[Block]:
    """The outcome of the gate."""
    blocks: list[Block] = []
    for title, sentences in (
        ("The check fails:", outcome.broken),
        ("The check fails, because this is not decided:", outcome.undecided),
    ):
        if sentences:
            blocks += [Text([Strong(title)]), Bullets([[Code(one)] for one in sentences])]
    blocks = blocks or [Text([Strong("The check passes"), f" ({'; '.join(outcome.held)})."])]
    return [*blocks, *(Text([Code(note)]) for note in outcome.notes)]


def _notes(found: Findings) -> list[list[str]]:
    """Where the scores come from, if it is not the two commits, and other remarks."""
    notes: list[list[str]] = []
    for side, called in ((found.head, "this change"), (found.base, "the base")):
        notes += _state(side, called)
    if incomparable := found.others[0].incomparable:
        notes.append([f"The two sides cannot be compared: {incomparable}."])
    before, after = (side.revision.params.get("gate") for side in found.sides)
    if found.base.revision.params and before != after:
        notes.append(["This change also changes the bounds of its check: see ", Code("gate"), "."])
    return [*notes, *([Code(sentence)] for sentence in found.stale)]


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
    """Every score before and after; with several seeds the interval of the difference."""
    comparison = found.comparison
    known = comparison.differences if comparison else {}
    names = known or {
        name: None
        for name, value in found.head.results[0].scores.items()
        if isinstance(value, float) and not name.endswith(("_low", "_high"))
    }
    rows = [_score_row(found, name, known.get(name)) for name in names]
    for name, keys in OF_TRAINING.items():
        before, after = (_of_training(side, keys) for side in found.sides)
        if after is not None:
            rows.append([name, *_before_and_after(before, after), "", ""])
    verdicts = [_verdicts(side) for side in found.sides]
    rows.append(["fit", *verdicts, "", "" if verdicts[0] == verdicts[1] else "changed", ""])
    header = [f"base {found.base.revision.short}", f"head {found.head.revision.short}"]
    header = ["", *header, "difference", "95 % interval", "verdict"]
    return Table(*_without_empty(header, rows))


def _score_row(found: Findings, name: str, difference: Difference | None) -> list[str]:
    if difference is None:
        values = (gate.mean(side.results, name) if side.results else None for side in found.sides)
        return [named(name), *map(_number, values), "", "", ""]
    interval = verdict = ""
    if found.differing:
        if difference.low is not None:
            interval = minus(f"{difference.low:+.4f} to {difference.high:+.4f}")
        if name == found.comparison.score:
            verdict = _verdict(found.comparison)
    values = (_number(difference.before), _number(difference.after))
    return [named(name), *values, number(difference.value, "+.4f", ""), interval, verdict]


def _without_empty(header: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """A table without the columns that have no entry."""
    kept = [place for place, cells in enumerate(zip(*rows, strict=True)) if any(cells)]
    return [header[place] for place in kept], [[row[place] for place in kept] for row in rows]


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
    shown = comparison.slices[:SLICES]
    rows = [_slice_row(score, part) for part in shown]
    header = ["slice", "reviews", "base", "head", "difference", "95 % interval", "verdict"]
    said = f"The {len(shown)} of {len(comparison.slices)} slices whose {named(score)} changed most."
    if any(part.test for part in shown):
        said += " The last column is corrected for the number of slices (Holm)."
    return [Heading(3, "Slices"), Text([said]), Table(*_without_empty(header, rows))]


def _slice_row(score: str, part: significance.Slice) -> list[str]:
    interval, verdict = "", ""
    if part.test:
        interval = span(score, part.test.low, part.test.high)
        verdict = "significant" if part.shown else ""
    rise = amount(score, part.value)
    counted = f"{part.reviews[1]:,}"
    values = (_number(part.before), _number(part.after))
    return [part.name, counted, *values, rise, interval, verdict]


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
        decode(
            side.task,
            side.predictions.mean(axis=0),
            side.labels,
            np.mean([threshold for _, threshold in side.trainings], axis=0),
        )
        for side in (base, head)
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


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


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
