"""Find every fault of `params.yaml` before a stage runs."""

from collections.abc import Callable, Iterator
from typing import Any

from ajuste.config import reader, schema
from ajuste.config.reader import FaultsError
from ajuste.tasks import TASKS

CheckEntry = Callable[[str, Any, str | None], Any]
"""Checks an entry of `models`: `check_entry(name, entry, task)` raises `FaultsError`."""


def faults(given: dict[str, Any], check_entry: CheckEntry) -> list[str]:
    """The faults of the parameters, one line for each.

    Every section is checked against its schema, and every entry of `models` against the options of
    its network. A rule that involves two sections is checked only for the values in use.

    Args:
        given: the whole file, as `reader.read` returns it.
        check_entry: `ajuste.training.entry_schema.options`.
    """
    task = given.get("task")
    task = task if isinstance(task, str) and task in TASKS else None
    found = _raised(reader.checked, given, schema.File)
    if task:
        found += _labels(given.get("data"), task) + _score(given.get("evaluate"), task)
    for choice, section in (("language", "languages"), ("model", "models")):
        name, entries = given.get(choice), given.get(section)
        if isinstance(entries, dict) and isinstance(name, str) and name and name not in entries:
            found.append(f"`{choice}` is {reader.shown(name)}; {reader.not_one_of(name, entries)}")
    models, model = given.get("models"), given.get("model")
    if isinstance(models, dict):
        for name, entry in models.items():
            if isinstance(entry, dict):
                found += _raised(check_entry, name, entry, task if name == model else None)
    return found + list(_aliases(given, "", {}))


def _aliases(value: Any, key: str, seen: dict[int, str]) -> Iterator[str]:
    """Mappings that are one object; DVC would merge the old values of one into the new ones.

    Args:
        value: of `key`.
        key: for example `models.linear`.
        seen: the first key of each object.
    """
    if not isinstance(value, dict):
        return
    if (first := seen.setdefault(id(value), key)) != key:
        yield (
            f"`{key}` is a YAML alias of `{first}`; write its values out: `dvc exp run -S` would "
            "change neither"
        )
        return
    for name, inner in value.items():
        yield from _aliases(inner, f"{key}.{name}".lstrip("."), seen)


def _raised(check: Callable[..., Any], *arguments: Any) -> list[str]:
    """The faults that a check raises."""
    try:
        check(*arguments)
    except FaultsError as error:
        return error.faults
    return []


def _score(evaluate: Any, task: str) -> list[str]:
    """Faults of the main score: it must be one of the task's."""
    score, valid = evaluate.get("score") if isinstance(evaluate, dict) else None, TASKS[task].scores
    if not isinstance(score, str) or not score or score in valid:
        return []
    advice = reader.not_one_of(score, valid, f" for `task: {task}`")
    return [f"`evaluate.score` is {reader.shown(score)}; {advice}"]


def _labels(data: Any, task: str) -> list[str]:
    """Faults of the labels of the source in use: they must fit the task."""
    source = data.get("source") if isinstance(data, dict) else None
    if source == "csv" and not _raised(reader.checked, data.get("csv"), schema.AnyCsv):
        return _raised(reader.checked, data["csv"], schema.Csv[schema.CSV_LABELS[task]], "data.csv")
    if source == "bundled":
        return _raised(schema.given_labels, "sentiment", task, source)
    stanford = data.get("stanford") if source == "stanford" else None
    if isinstance(stanford, dict) and stanford.get("label") in list(schema.GIVEN_LABELS):
        return _raised(schema.given_labels, stanford["label"], task, source)
    return []
