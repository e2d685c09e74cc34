"""The gate: if a pull request breaks one of its bounds, the check fails. See `params.yaml`."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from ajuste.config import reader
from ajuste.config.schema import Gate
from ajuste.errors import PipelineError
from ajuste.evaluation.significance import LOWER_IS_BETTER, WORSE, Comparison
from ajuste.tasks import TASKS
from pull_request.compared import REFERENCE, Compared
from pull_request.revision import Result
from pull_request.trainings import SEEDS, Side
from pull_request.units import amount, margin, named
from study.collect import BASELINE

SCORES = {"calibration_error", *(score for task in TASKS.values() for score in task.scores)}
MANY = 20  # seeds a side; nobody trains more


@dataclass(frozen=True)
class Outcome:
    """The outcome of the gate; each bound is one sentence in one of the lists.

    Attributes:
        broken: the bounds that are broken, and by how much.
        undecided: bounds that are shown neither to hold nor to be broken, and what would decide.
        held: the bounds that are kept.
        notes: remarks that do not fail the check.
    """

    broken: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def failures(self) -> list[str]:
        """Why the check fails: a bound has to be kept, so the undecided ones count too."""
        return self.broken + self.undecided


def load(given: dict[str, Any]) -> Gate:
    """The bounds.

    Raises:
        PipelineError: they have faults; the message has all of them.
    """
    if "gate" not in given:
        raise PipelineError("params.yaml: `gate` is missing; add it, with the bounds of the check")
    return reader.checked(given["gate"], Gate, "gate")


def hold(gate: Gate, head: Side, others: Sequence[Compared]) -> Outcome:
    """Check the head against the bounds.

    Args:
        gate: the bounds.
        head: it may have no results.
        others: the base, and the reference if there is one.
    """
    outcome = Outcome()
    if not head.results:
        outcome.broken.append(_no_results(others[0].side, head))
        return outcome
    for score, bound in gate.bounds.items():
        _bound(outcome, score, bound, head.results, others[0])
    if outcome.notes or not gate.bounds:
        outcome.notes.extend(proposed(others[0].side))
    for other in others:
        _no_worse(outcome, gate, other)
        if other.side.results:
            before, after = verdict(other.side.results), verdict(head.results)
            _overfitting(outcome, gate, other.called, before, after)
    return outcome


def verdict(results: Sequence[Result]) -> str:
    """The most frequent verdict on the fit; of equally frequent ones, the first."""
    return Counter(result.verdict for result in results).most_common(1)[0][0]


def typical(results: Sequence[Result]) -> Result:
    """The first training with the most frequent verdict."""
    return next(result for result in results if result.verdict == verdict(results))


def mean(results: Sequence[Result], score: str) -> float | None:
    """The mean of a score of the stage `evaluate` over the trainings; None if one lacks it."""
    found = [result.scores.get(score) for result in results]
    if not all(isinstance(value, int | float) for value in found):
        return None
    return sum(found) / len(found)


def _no_results(base: Side, head: Side) -> str:
    if in_validation(head) and not in_validation(base):
        return f"the data do not pass validation, but the data of the base do: {head.failure}"
    return f"there are no results: {head.failure}"


def in_validation(side: Side) -> bool:
    """Whether the stage `validate` failed; the message may name its caller first."""
    return bool(re.search("(^|: )validate: ", side.failure))


def _bound(
    outcome: Outcome, score: str, bound: float, results: Sequence[Result], base: Compared
) -> None:
    task, value = results[0].answers.task, mean(results, score)
    if value is None and score not in TASKS[task].scores and score in SCORES:
        outcome.notes.append(
            f"gate.bounds.{score}: not checked, because task {task} has no such score; remove it"
        )
        return
    if value is None:
        known = [name for name in results[0].scores if mean(results, name) is not None]
        what = "not defined here" if score in results[0].scores else "no such score"
        outcome.broken.append(f"gate.bounds.{score}: {what}; {reader.not_one_of(score, known)}")
        return
    missed = _missed(score, bound, value)
    side, end = ("above", "maximum") if score in LOWER_IS_BETTER else ("below", "minimum")
    said = f"{named(score)} is {value:.4f}, {missed:.4f} {side} the {end} of {bound:g}"
    if missed <= 0:
        outcome.held.append(f"{named(score)}: {end} {bound:g}")
    elif _is_old(score, bound, base):
        outcome.notes.append(
            f"gate.bounds.{score}: {said}, but the base has the same bound and the same predictions"
        )
    else:
        outcome.broken.append(f"gate.bounds.{score}: {said}")


def _missed(score: str, bound: float, value: float) -> float:
    """By how much a score misses its bound; 0 or less if it keeps it."""
    return value - bound if score in LOWER_IS_BETTER else bound - value


def _is_old(score: str, bound: float, base: Compared) -> bool:
    """Whether the base breaks the same bound in the same way, so that the head is not the cause."""
    section = base.side.revision.params.get("gate")
    before = section.get("bounds") if isinstance(section, dict) else None
    same = isinstance(before, dict) and before.get(score) == bound
    return same and bool(base.comparison and base.comparison.alike)


def proposed(side: Side) -> list[str]:
    """A bound of the main score that a side keeps: the rule, and the line for `gate`.

    It is the worse end of the 95 % interval, of several trainings the worst one, rounded away from
    the score to two decimals. A side or a score without an interval gives an empty list; there is
    no bound that the majority baseline would keep.
    """
    upper = bool(side.results) and side.score in LOWER_IS_BETTER
    name, way = ("high", "up") if upper else ("low", "down")
    ends = [one.scores.get(f"{side.score}_{name}") for one in side.results]
    if not ends or not all(isinstance(end, int | float) for end in ends):
        return []
    end, rounding = (max(ends), ROUND_CEILING) if upper else (min(ends), ROUND_FLOOR)
    bound = Decimal(str(end)).quantize(Decimal("0.01"), rounding)
    majority = side.results[0].metrics.get(BASELINE, {}).get("majority", {}).get("test", {})
    known = majority.get(side.score)
    if known is not None and (bound >= known if upper else bound <= known):
        return [
            f"No bound for gate is proposed yet: the interval of the {named(side.score)} on the "
            f"base reaches that of the majority baseline, {known:.3f}; more test reviews make it "
            "narrower"
        ]
    return [
        f"A bound for gate in params.yaml is the {'upper' if upper else 'lower'} end of the 95 % "
        f"interval of the {named(side.score)} on the base, rounded {way} to two decimals:",
        f"bounds: {{{side.score}: {bound}}}",
    ]


def _no_worse(outcome: Outcome, gate: Gate, other: Compared) -> None:
    """The main score: no worse than that of another side, within the margin."""
    if not other.side.results:
        # A base without results has nothing to lose. A reference was chosen to be compared with.
        if other.called == REFERENCE:
            outcome.undecided.append(
                f"gate.reference: {other.side.revision.name} has no results "
                f"({other.side.failure}); set a revision that has some, or null"
            )
        return
    comparison = other.comparison
    test = comparison and comparison.test
    if (comparison and comparison.alike) or (test and test.no_worse):
        outcome.held.append(_claim(comparison, other.called))
    elif "drop" in gate.allow:
        outcome.held.append(f"a drop against {other.called}, which gate.allow allows")
    elif not comparison:
        outcome.undecided.append(
            f"not comparable with {other.called}, because {other.incomparable} (if this is "
            "intended, add drop to gate.allow)"
        )
    elif comparison.verdict == WORSE:
        drop = amount(comparison.score, abs(test.value), signed=False)
        outcome.broken.append(
            f"{named(comparison.score)} is significantly worse than on {other.called}, by {drop} "
            "(to allow this, add drop to gate.allow)"
        )
    else:
        outcome.undecided.append(
            f"not shown: {_claim(comparison, other.called)}; {_remedy(comparison)} (or add drop to "
            "gate.allow)"
        )


def _claim(comparison: Comparison, called: str) -> str:
    within = margin(comparison.score, comparison.margin)
    return f"{named(comparison.score)} is no worse than on {called}, within {within}"


def _remedy(comparison: Comparison) -> str:
    """What it takes to show that the head is no worse."""
    trained, test = min(comparison.trainings), comparison.test
    if not test and trained > 1:
        return f"{named(comparison.score)} is not defined for these test reviews"
    if not test:
        return f"train {SEEDS} seeds a side (--seeds {SEEDS})"
    if test.seeds is None:
        return (
            "more seeds cannot show it, only more test reviews or a larger gate.margin: these "
            f"reviews show differences from about {test.detectable:.2g} on"
        )
    if test.seeds > MANY:
        return (
            f"it would take {test.seeds:,} seeds a side, so use more test reviews or a larger "
            "gate.margin"
        )
    if test.seeds > trained:
        return (
            f"with {test.seeds} seeds a side (--seeds {test.seeds}) a network that is as good as "
            "the other shows it in four of five cases"
        )
    return (
        f"{trained} seeds show it in four of five cases if the networks are equally good; train "
        f"more (--seeds {2 * trained})"
    )


def _overfitting(outcome: Outcome, gate: Gate, called: str, before: str, after: str) -> None:
    if not (before == "optimal" and after == "overfitting"):
        outcome.held.append(f"the fit did not change from optimal on {called} to overfitting")
    elif "overfitting" in gate.allow:
        outcome.held.append("overfitting, which gate.allow allows")
    else:
        outcome.broken.append(
            f"the fit was optimal on {called} and is now overfitting (to allow this, add "
            "overfitting to gate.allow)"
        )
