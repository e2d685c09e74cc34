"""The gate: what a pull request must hold, or its check fails. Its bounds are in `params.yaml`."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ajuste.config import reader
from ajuste.config.schema import Gate
from ajuste.errors import PipelineError
from ajuste.evaluation.significance import LOWER_IS_BETTER, WORSE, Comparison
from pull_request.revision import Result
from pull_request.trainings import Side


@dataclass(frozen=True)
class Outcome:
    """What came of the gate.

    Attributes:
        broken: which bounds, and by how much; each a sentence.
        held: the others.
    """

    broken: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)


def load(given: dict[str, Any]) -> Gate:
    """The bounds.

    Raises:
        PipelineError: they have faults; all are named at once.
    """
    if "gate" not in given:
        raise PipelineError("params.yaml: no `gate` at the top level; it holds the check's bounds")
    return reader.checked(given["gate"], Gate, "gate")


def hold(gate: Gate, base: Side, head: Side, comparison: Comparison | None) -> Outcome:
    """Hold the head against the bounds.

    Args:
        gate: the bounds.
        base: may be without results.
        head: may be without results.
        comparison: of the two, where both have results that can be compared.
    """
    outcome = Outcome()
    if not head.results:
        outcome.broken.append(_no_results(base, head))
        return outcome
    for score, bound in gate.bounds.items():
        _bound(outcome, score, bound, head.results)
    if comparison:
        _drop(outcome, gate, comparison)
    if base.results:
        _overfitting(outcome, gate, verdict(base.results), verdict(head.results))
    return outcome


def verdict(results: Sequence[Result]) -> str:
    """The verdict on the fit that most trainings have; of those alike in number, the first."""
    return Counter(result.verdict for result in results).most_common(1)[0][0]


def mean(results: Sequence[Result], score: str) -> float | None:
    """A score of the stage `evaluate`, in the mean over the trainings; None where it has none."""
    found = [result.scores.get(score) for result in results]
    if not all(isinstance(value, int | float) for value in found):
        return None
    return sum(found) / len(found)


def _no_results(base: Side, head: Side) -> str:
    if in_validation(head) and not in_validation(base):
        return f"the data do not pass validation, new since the base: {head.failure}"
    return f"there are no results: {head.failure}"


def in_validation(side: Side) -> bool:
    """Whether the stage `validate` stopped it; what ran the stage may be named before it."""
    return bool(re.search("(^|: )validate: ", side.failure))


def _bound(outcome: Outcome, score: str, bound: float, results: Sequence[Result]) -> None:
    value = mean(results, score)
    if value is None:
        known = ", ".join(name for name in results[0].scores if mean(results, name) is not None)
        outcome.broken.append(f"gate.bounds.{score}: there is no such score; valid: {known}")
        return
    most = score in LOWER_IS_BETTER
    missed = value - bound if most else bound - value
    side, end = ("above", "most") if most else ("below", "least")
    named = score.replace("_", " ")
    if missed > 0:
        outcome.broken.append(
            f"gate.bounds.{score}: {named} is {value:.4f}, {missed:.4f} {side} the {end} allowed, "
            f"{bound:g}"
        )
    else:
        outcome.held.append(f"{named} at {end} {bound:g}")


def _drop(outcome: Outcome, gate: Gate, comparison: Comparison) -> None:
    named = comparison.score.replace("_", " ")
    if comparison.verdict != WORSE:
        outcome.held.append(f"no drop in {named} that is more than chance")
    elif "drop" in gate.allow:
        outcome.held.append(f"a drop in {named}, which gate.allow lets pass")
    else:
        outcome.broken.append(
            f"gate.allow has no drop: {named} is worse by {abs(comparison.test.value):.4f}, which "
            "is more than chance"
        )


def _overfitting(outcome: Outcome, gate: Gate, before: str, after: str) -> None:
    if not (before == "optimal" and after == "overfitting"):
        outcome.held.append("no overfitting where the fit was optimal")
    elif "overfitting" in gate.allow:
        outcome.held.append("overfitting, which gate.allow lets pass")
    else:
        outcome.broken.append(
            "gate.allow has no overfitting: the fit was optimal on the base and is overfitting"
        )
