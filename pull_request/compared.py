"""The head against another side: the base, or the fixed reference of the gate."""

from dataclasses import dataclass

from ajuste.evaluation import significance
from ajuste.evaluation.significance import Comparison
from pull_request import revision
from pull_request.trainings import Side

BASE, REFERENCE = "the base", "the reference"


@dataclass(frozen=True)
class Compared:
    """A side, and the comparison of the head with it.

    Attributes:
        called: `BASE` or `REFERENCE`.
        side: it may have no results.
        comparison: if both sides have results that can be compared.
        incomparable: why two sides with results cannot be compared; else empty.
    """

    called: str
    side: Side
    comparison: Comparison | None = None
    incomparable: str = ""


def compare(called: str, side: Side, head: Side, margin: float) -> Compared:
    """Compare the head with a side, by the main score of the head and within a margin of it."""
    if not (side.results and head.results):
        return Compared(called, side)
    old, new = (revision.together(one.results) for one in (side, head))
    for name in ("task", "labels"):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            why = f"the {name} changed from {before} to {after}"
            return Compared(called, side, incomparable=why)
    return Compared(called, side, significance.compare(old, new, margin, head.score))
