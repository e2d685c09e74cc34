"""What a pull request did, as a document: the answer first."""

from dataclasses import dataclass

from ajuste.evaluation import significance
from ajuste.evaluation.scores import MAIN
from ajuste.evaluation.significance import Comparison, Difference
from ajuste.report import charts
from ajuste.report.document import Block, Bullets, Code, Fold, Heading, Strong, Table, Text
from ajuste.tasks import NUMERIC, decode
from pull_request import changes, gate, revision
from pull_request.gate import Outcome
from pull_request.revision import TRAIN
from pull_request.trainings import Side

NONE = "—"
FLIPS = 3  # of those put right, and of those put wrong
SLICES = 5
LISTED = 20  # of parameters, stages or metrics: a comment has 65,536 characters
REASONS = 4
TEXT = 240  # characters of a review

OF_TRAINING = {
    "training loss": ("train", "loss"),
    "validation loss": ("validation", "loss"),
    "training accuracy": ("train", "accuracy"),
    "validation accuracy": ("validation", "accuracy"),
}
CALLED = {"f1": "F1", "roc_auc": "ROC AUC", "r2": "R²", "matthews": "Matthews correlation"}
SHARES = ("accuracy", "exact_match")  # whose differences are told in points, hundredths


@dataclass(frozen=True)
class Findings:
    """All that a report tells.

    Attributes:
        base: one side.
        head: the other.
        comparison: of the two, where both have results that can be compared.
        incomparable: why there is none though both have results; else empty.
        outcome: of the gate.
        command: what makes the report.
    """

    base: Side
    head: Side
    comparison: Comparison | None
    incomparable: str
    outcome: Outcome
    command: str

    @property
    def unchanged(self) -> bool:
        """Whether nothing that the pipeline reads or writes is another."""
        sides = [[result.lock for result in side.results] for side in (self.base, self.head)]
        return bool(sides[0]) and sides[0] == sides[1]


def content(found: Findings) -> list[Block]:
    """The report."""
    blocks: list[Block] = [Heading(2, headline(found))]
    if found.comparison and not found.comparison.alike:
        blocks.append(Text([evidence(found.comparison)]))
    if notes := _notes(found):
        blocks.append(Bullets(notes))
    blocks += check(found.outcome)  # its text parts its list from that of the notes
    if found.head.results:
        blocks.append(scores_table(found))
    if found.unchanged:
        return [*blocks, _footer(found)]
    if found.comparison and not found.comparison.alike:
        blocks.append(_legend(found.comparison))
    blocks += what_changed(found)
    chart = charts.two_sides(*(_curves(side) for side in _sides(found)))
    if chart and found.head.results:
        blocks += [Heading(3, "Learning curves"), chart]
    if found.comparison and not found.comparison.alike:
        blocks += slices(found.comparison)
        blocks += flips(found)
    if found.base.results and found.head.results:
        blocks += _other_metrics(found)
    return [*blocks, _footer(found)]


def _curves(side: Side) -> dict[str, list[float]]:
    """Those of the first training."""
    return side.results[0].curves if side.results else {}


def headline(found: Findings) -> str:
    """The answer in one line."""
    return f"{_answer(found)}{'; the check fails' if found.outcome.broken else ''}"


def _answer(found: Findings) -> str:
    if not found.head.results:
        return "The data fail validation" if gate.in_validation(found.head) else "No results"
    if found.unchanged:
        return f"Nothing changed: {_main(found.head)}, as before"
    if not found.comparison:
        why = "the two cannot be compared" if found.base.results else "no results on the base"
        return f"{_main(found.head).capitalize()}; {why}"
    if found.comparison.alike:
        return f"No difference shown: every answer as before, {_main(found.head)}"
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
    """On what the verdict rests."""
    score, test = comparison.score, comparison.test
    before, after = comparison.reviews
    several = max(comparison.trainings)
    parts = []
    if several > 1:
        parts.append(f"Each side was trained with {several} seeds.")
    if comparison.paired:
        parts.append(f"Both were asked about the same {after:,} test reviews.")
    else:
        parts.append(
            f"The test reviews are not the same on both sides ({before:,} and {after:,}), so the "
            "intervals are those of two independent samples, which are wider."
        )
    if comparison.mcnemar:
        right, wrong, p = comparison.mcnemar
        parts.append(
            f"{right:,} answers were put right and {wrong:,} put wrong. McNemar's exact test, "
            f"which is about these two networks, gives p = {_p(p)}; with room for what another "
            f"seed would have done, p = {_p(test.p)}."
        )
    else:
        over = "reviews and seeds" if several > 1 else "reviews, with room for another seed"
        parts.append(f"Over {over}, p = {_p(test.p)}.")
    parts.append(
        f"A difference of {amount(score, test.detectable, signed=False)} would be found in four of "
        f"five cases{'' if several > 1 else '; with --seeds 3 far smaller ones are'}."
    )
    return " ".join(parts)


def check(outcome: Outcome) -> list[Block]:
    """What came of the gate."""
    if outcome.broken:
        return [
            Text([Strong("The check fails:")]),
            Bullets([[Code(sentence)] for sentence in outcome.broken]),
        ]
    return [Text([Strong("The check passes"), f" ({'; '.join(outcome.held)})."])]


def _notes(found: Findings) -> list[list[str]]:
    """What a reader has to know of where the figures come from."""
    notes: list[list[str]] = []
    for side, called in ((found.head, "this change"), (found.base, "the base")):
        notes += _state(side, called)
    if found.incomparable:
        notes.append([f"The two cannot be compared: {found.incomparable}."])
    before, after = (side.revision.params.get("gate") for side in (found.base, found.head))
    if found.base.revision.params and before != after:
        notes.append(["This change moves the bounds of its own check: see ", Code("gate"), "."])
    return notes


def _state(side: Side, called: str) -> list[list[str]]:
    """Whether the results of a side are those of its commit, and where they are not, why."""
    short = Code(side.revision.short)
    if not side.revision.has_pipeline:
        return [["There is no pipeline on ", called, " (", short, "), so nothing to compare with."]]
    notes: list[list[str]] = []
    if not side.revision.has_results:
        notes.append(["No results were ever committed on ", called, " (", short, ")."])
    elif side.revision.unreproduced:
        notes.append(
            [
                Code("dvc.lock"),
                f" is stale on {called} (",
                short,
                "): ",
                *_unreproduced(side.revision.unreproduced),
                ". What was changed was not reproduced.",
            ]
        )
    elif side.trained and len(side.results) == 1:
        notes.append(
            ["What DVC keeps of ", called, " (", short, ") was not to be had, so it ran again."]
        )
    if side.failure:
        notes.append([f"There are no results of {called}: ", Code(side.failure)])
    elif notes:
        notes[-1] += [
            " The figures are those of a run made for this report; ",
            Code("dvc repro"),
            " and a commit make them those of the commit.",
        ]
    return notes


def _unreproduced(stages: dict[str, list[str]]) -> list[str]:
    pieces: list[str] = []
    for name, reasons in stages.items():
        pieces += ["; " if pieces else "", Code(f"{name}: {_some(reasons)}")]
    return pieces


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
        before, after = (_of_training(side, keys) for side in (found.base, found.head))
        if after is not None:
            rows.append([name, _number(before), _number(after), _rise(before, after), ""])
    verdicts = [_verdicts(side) for side in (found.base, found.head)]
    rows.append(["fit", *verdicts, "" if verdicts[0] == verdicts[1] else "another", ""])
    header = [f"base {found.base.revision.short}", f"head {found.head.revision.short}"]
    return Table(["", *header, "difference", "95 % interval"], rows)


def _legend(comparison: Comparison) -> Text:
    """What the intervals of the table are about."""
    if max(comparison.trainings) > 1:
        return Text(["The intervals reach as far as other test reviews and other seeds would."])
    return Text(
        [
            "The intervals reach as far as other test reviews would; that of the first score as "
            "far as another seed would, too."
        ]
    )


def _score_row(found: Findings, name: str, difference: Difference | None) -> list[str]:
    if difference is None:
        values = (gate.mean(side.results, name) if side.results else None for side in _sides(found))
        return [_named(name), *map(_number, values), "", ""]
    interval = ""
    if difference.low is not None and not found.comparison.alike:
        interval = f"{_signed(difference.low)} to {_signed(difference.high)}"
    values = (_number(difference.before), _number(difference.after))
    return [_named(name), *values, _signed(difference.value), interval]


def _sides(found: Findings) -> tuple[Side, Side]:
    return found.base, found.head


def _of_training(side: Side, keys: tuple[str, str]) -> float | None:
    part, score = keys
    values = [result.metrics.get(TRAIN, {}).get(part, {}).get(score) for result in side.results]
    return sum(values) / len(values) if values and None not in values else None


def _verdicts(side: Side) -> str:
    """That of each training, the same ones together."""
    verdicts = [result.verdict for result in side.results]
    counted = {verdict: verdicts.count(verdict) for verdict in verdicts}
    if len(verdicts) < 2:
        return "".join(verdicts) or NONE
    return ", ".join(f"{verdict} ({count})" for verdict, count in counted.items())


def what_changed(found: Findings) -> list[Block]:
    """Parameters and stages."""
    blocks: list[Block] = []
    lock = found.head.results[0].lock if found.head.results else {}
    sides = (found.base.revision.params, found.head.revision.params)
    if found.base.revision.params and (parameters := changes.parameters(*sides, lock)):
        items = [_parameter(one, known=bool(lock)) for one in parameters]
        blocks += [Heading(3, "Parameters that changed"), *_list(items)]
    if found.base.results and found.head.results:
        stages = changes.stages(found.base.results[0].lock, lock)
        items = [
            [
                Code(stage.name),
                ": ",
                Code(_some(stage.reasons)),
                " (with the same outcome)" if stage.same_outcome else "",
            ]
            for stage in stages
        ]
        blocks += [Heading(3, "Stages that changed"), *_list(items)]
    return blocks


def _parameter(one: changes.Parameter, known: bool) -> list[str]:
    values = [
        "nothing" if value is changes.MISSING else Code(_shortened(str(value)))
        for value in (one.before, one.after)
    ]
    aside = ""
    if one.name.startswith("gate."):
        aside = " (a bound of the check)"
    elif known and not one.read:
        aside = " (which no stage reads)"
    return [Code(one.name), ": ", values[0], " → ", values[1], aside]


def _list(items: list[list[str]]) -> list[Block]:
    shown = Bullets(items[:LISTED])
    more = len(items) - LISTED
    return [shown, Text([f"And {more:,} more."])] if more > 0 else [shown]


def slices(comparison: Comparison) -> list[Block]:
    """The slices that moved the most."""
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
            "more than chance" if part.shown else "",
        ]
        for part in comparison.slices[:SLICES]
    ]
    header = ["slice", "reviews", "base", "head", "difference", "95 % interval", ""]
    said = (
        f"By {_named(score)}, the {len(rows)} of {len(comparison.slices)} that moved the most. The "
        "last column takes all of them into account (Holm)."
    )
    return [Heading(3, "Slices"), Text([said]), Table(header, rows)]


def flips(found: Findings) -> list[Block]:
    """A few of the reviews that are answered otherwise."""
    base, head = (revision.together(side.results) for side in _sides(found))
    moved = significance.flips(base, head)
    if not moved:
        return []
    numeric = head.task in NUMERIC
    better: list[significance.Flip] = []
    worse: list[significance.Flip] = []
    for flip in moved:
        (better if (flip.rise > 0) != numeric else worse).append(flip)
    kinds = {
        "nearer" if numeric else "put right": better,
        "further off" if numeric else "put wrong": worse,
    }
    said = [decode(side.task, side.predictions.mean(axis=0), side.labels) for side in (base, head)]
    actual = decode(head.task, head.targets, head.labels)
    counts = " and ".join(f"{len(flips):,} {kind}" for kind, flips in kinds.items())
    blocks: list[Block] = [
        Heading(3, "Reviews that flipped"),
        Text([f"{counts[0].upper()}{counts[1:]}; first those that moved the furthest."]),
    ]
    for kind, flipped in kinds.items():
        if flipped:
            items = [
                [
                    *(Code(said[0][flip.base]), " → ", Code(said[1][flip.head])),
                    *(" (it is ", Code(actual[flip.head]), "): "),
                    Code(_shortened(head.reviews[flip.head])),
                ]
                for flip in flipped[:FLIPS]
            ]
            blocks += [Text([Strong(f"{kind.capitalize()}:")]), Bullets(items)]
    return blocks


def _other_metrics(found: Findings) -> list[Block]:
    before, after = (
        {
            path: content
            for path, content in side.results[0].metrics.items()
            if path != revision.EVALUATE
        }
        for side in _sides(found)
    )
    rows = [
        [Code(name), _number(old), _number(new), _rise(old, new)]
        for name, old, new in changes.metrics(before, after)
    ]
    if not rows:
        return []
    more = [Text([f"And {len(rows) - LISTED:,} more."])] if len(rows) > LISTED else []
    table = Table(["", "base", "head", "difference"], rows[:LISTED])
    return [Fold("Metrics of the other stages", [table, *more])]


def _footer(found: Findings) -> Text:
    return Text(["Made by ", Code(found.command), "."])


def amount(score: str, value: float, signed: bool = True) -> str:
    """A difference in a score, in points (hundredths) where that is a share."""
    sign = "+" if signed else ""
    if score in SHARES:
        return _minus(f"{100 * value:{sign}.1f} points")
    return _minus(f"{value:{sign}.3g}")


def _span(score: str, low: float, high: float) -> str:
    if score in SHARES:
        return _minus(f"{100 * low:+.1f} to {100 * high:+.1f}")
    return _minus(f"{low:+.3g} to {high:+.3g}")


def _p(value: float) -> str:
    return "less than 0.001" if value < 0.001 else f"{value:.3f}"


def _named(score: str) -> str:
    return CALLED.get(score, score.replace("_", " "))


def _number(value: float | None) -> str:
    if value is None:
        return NONE
    return f"{value:,}" if isinstance(value, int) else _minus(f"{value:.4f}")


def _signed(value: float | None) -> str:
    return "" if value is None else _minus(f"{value:+.4f}")


def _rise(before: float | None, after: float | None) -> str:
    if before is None or after is None:
        return ""
    rise = after - before
    return _minus(f"{rise:+,}") if isinstance(rise, int) else _signed(rise)


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def _shortened(text: str) -> str:
    """On one line, cut at a word."""
    line = " ".join(text.split())
    return line if len(line) <= TEXT else f"{line[:TEXT].rsplit(' ', 1)[0]} …"
