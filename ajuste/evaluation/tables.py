"""The results of the test part as text: the network beside the baselines, and its classes."""

from collections.abc import Iterable
from typing import Any

from ajuste.evaluation.scores import Score
from ajuste.tasks import TASKS

BASELINES = ("linear", "majority")
Scored = dict[str, Any]


def beside_baselines(model: str, task: str, tested: Scored, baseline: dict[str, Scored]) -> str:
    """Every score of the test part that can be the main score, with its interval if it has one.

    Args:
        model: the name of the network.
        task: a key of `ajuste.tasks.TASKS`.
        tested: `metrics/evaluate.json`.
        baseline: `metrics/baseline.json`.
    """
    sides = [tested, *(baseline[name]["test"] for name in BASELINES)]
    rows = [
        [name.replace("_", " "), *(_shown(side.get(name)) for side in sides), _span(name, tested)]
        for name in TASKS[task].scores
        if name in tested
    ]
    beside = (f"{name} baseline" for name in BASELINES)
    return _table([["test part", model, *beside, "95 % interval"], *rows])


def by_class(classes: dict[str, dict[str, Score]]) -> str:
    """`classes` of `metrics/evaluate.json`, a row for each; empty if there are none."""
    rows = [[label, *map(_shown, of_class.values())] for label, of_class in classes.items()]
    return _table([["class", "precision", "recall", "f1", "reviews"], *rows]) if rows else ""


def results(model: str, task: str, tested: Scored, baseline: dict[str, Scored]) -> str:
    """Both tables, one below the other."""
    tables = beside_baselines(model, task, tested, baseline), by_class(tested["classes"])
    return "\n\n".join(filter(None, tables))


def _span(name: str, tested: Scored) -> str:
    ends = (tested.get(f"{name}{end}") for end in ("_low", "_high"))
    return " to ".join(_shown(end) for end in ends if end is not None)


def _shown(value: Score) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _table(rows: Iterable[list[str]]) -> str:
    """The first column to the left, the others to the right."""
    columns = list(zip(*rows, strict=True))
    first, *widths = (max(map(len, column)) for column in columns)
    lines = (
        f"{row[0]:<{first}}"
        + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths, strict=True))
        for row in zip(*columns, strict=True)
    )
    return "\n".join(line.rstrip() for line in lines)
