"""The differences between two revisions: parameters, stages, metrics."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ajuste.config.nested import flatten

MISSING = object()
"""The value of a parameter that is not set."""


@dataclass(frozen=True)
class Parameter:
    """A parameter that differs.

    Attributes:
        name: its full key.
        before: its value on the base, or `MISSING`.
        after: its value on the head, or `MISSING`.
        read: whether a stage of the head's pipeline reads it.
    """

    name: str
    before: Any
    after: Any
    read: bool


@dataclass(frozen=True)
class Stage:
    """A stage that differs.

    Attributes:
        name: of the stage.
        reasons: the dependencies and parameters that differ, or that it is new or removed.
        same_outputs: whether its outputs are the same on both sides.
    """

    name: str
    reasons: list[str]
    same_outputs: bool


def parameters(
    before: dict[str, Any], after: dict[str, Any], lock: dict[str, Any]
) -> list[Parameter]:
    """The parameters that differ.

    Args:
        before: `params.yaml` of the base.
        after: `params.yaml` of the head.
        lock: the stages in the head's `dvc.lock`, with the parameters that they read.
    """
    old, new = flatten(before), flatten(after)
    read = {key for stage in lock.values() for of_file in _of_files(stage) for key in of_file}
    return [
        Parameter(name, old.get(name, MISSING), new.get(name, MISSING), _covered(name, read))
        for name in {**old, **new}
        if old.get(name, MISSING) != new.get(name, MISSING)
    ]


def _of_files(stage: dict[str, Any]) -> list[dict[str, Any]]:
    return list(stage.get("params", {}).values())


def _covered(name: str, read: set[str]) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:length]) in read for length in range(1, len(parts) + 1))


def stages(before: dict[str, Any], after: dict[str, Any]) -> list[Stage]:
    """The stages that differ, in the order of the head's `dvc.lock`.

    Args:
        before: the stages in the base's `dvc.lock`.
        after: the stages in the head's.
    """
    found = []
    for name in {**after, **before}:
        old, new = before.get(name), after.get(name)
        if old is None or new is None:
            found.append(Stage(name, ["new stage" if old is None else "removed stage"], False))
        elif reasons := list(_reasons(old, new)):
            found.append(Stage(name, reasons, _hashes(old, "outs") == _hashes(new, "outs")))
    return found


def _reasons(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    if old.get("cmd") != new.get("cmd"):
        yield "command"
    params = [
        {key: value for of_file in _of_files(stage) for key, value in flatten(of_file).items()}
        for stage in (old, new)
    ]
    deps = [_hashes(stage, "deps") for stage in (old, new)]
    for before, after in (params, deps):
        yield from (name for name in {**before, **after} if before.get(name) != after.get(name))


def _hashes(stage: dict[str, Any], kind: str) -> dict[str, Any]:
    return {entry["path"]: entry.get("md5") for entry in stage.get(kind, [])}


def metrics(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """The metrics that differ, as (file and key, before, after)."""
    old, new = (
        {
            f"{path}: {name}": value
            for path, content in files.items()
            for name, value in flatten(content).items()
            if isinstance(value, int | float)
        }
        for files in (before, after)
    )
    return [
        (name, old.get(name), new.get(name))
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]
