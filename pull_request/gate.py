"""The gate: if a pull request breaks one of its bounds, the check fails. See `params.yaml`."""

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
    """The outcome of the gate.

    Attributes:
        broken: the bounds that are broken, and by how much; each is one sentence.
        held: the bounds that are kept.
    """

    broken: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)


def load(given: dict[str, Any]) -> Gate:
    """The bounds.

    Raises:
        PipelineError: they have faults; the message has all of them.
    """
    if "gate" not in given:
        raise PipelineError("params.yaml: `gate` is missing; add it, with the bounds of the check")
    return reader.checked(given["gate"], Gate, "gate")


def hold(gate: Gate, base: Side, head: Side, comparison: Comparison | None) -> Outcome:
    """Check the head against the bounds.

    Args:
        gate: the bounds.
        base: it may have no results.
        head: it may have no results.
        comparison: of the two, if both have results that can be compared.
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
    """The most frequent verdict on the fit; of equally frequent ones, the first."""
    return Counter(result.verdict for result in results).most_common(1)[0][0]


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


def _bound(outcome: Outcome, score: str, bound: float, results: Sequence[Result]) -> None:
    value = mean(results, score)
    if value is None:
        known = ", ".join(name for name in results[0].scores if mean(results, name) is not None)
        outcome.broken.append(f"gate.bounds.{score}: no such score; valid: {known}")
        return
    upper = score in LOWER_IS_BETTER
    missed = value - bound if upper else bound - value
    side, end = ("above", "maximum") if upper else ("below", "minimum")
    named = score.replace("_", " ")
    if missed > 0:
        outcome.broken.append(
            f"gate.bounds.{score}: {named} is {value:.4f}, {missed:.4f} {side} the {end} of "
            f"{bound:g}"
        )
    else:
        outcome.held.append(f"{named}: {end} {bound:g}")


def _drop(outcome: Outcome, gate: Gate, comparison: Comparison) -> None:
    named = comparison.score.replace("_", " ")
    if comparison.verdict != WORSE:
        outcome.held.append(f"no significant drop in {named}")
    elif "drop" in gate.allow:
        outcome.held.append(f"a drop in {named}, which gate.allow allows")
    else:
        outcome.broken.append(
            f"{named} is significantly worse, by {abs(comparison.test.value):.4f} (to allow this, "
            "add drop to gate.allow)"
        )


def _overfitting(outcome: Outcome, gate: Gate, before: str, after: str) -> None:
    if not (before == "optimal" and after == "overfitting"):
        outcome.held.append("no optimal fit became overfitting")
    elif "overfitting" in gate.allow:
        outcome.held.append("overfitting, which gate.allow allows")
    else:
        outcome.broken.append(
            "the fit was optimal on the base and is now overfitting (to allow this, add "
            "overfitting to gate.allow)"
        )
