"""Check all of `params.yaml` before anything runs: `python -m ajuste.check`, and every stage.

The check says whether a stage runs, and has no part in what the stage writes. So the stages import
it, but do not depend on it in `dvc.yaml`: else a new network would have the reviews fetched anew.
"""

from collections.abc import Callable
from typing import Any

from ajuste import errors, intact, networks, params, schema
from ajuste.params import FaultsError
from ajuste.tasks import TASKS


def faults(given: dict[str, Any]) -> list[str]:
    """All that is wrong with the parameters, a line each.

    Every section is held against its schema and every entry of `models` against the options of its
    network; what depends on two of them, only where it is in use.

    Args:
        given: the whole file, as YAML has it.
    """
    task = given.get("task")
    task = task if isinstance(task, str) and task in TASKS else None
    found = _raised(params.checked, given, schema.File)
    if task:
        found += _labels(given.get("data"), task)
    models = given.get("models")
    if isinstance(models, dict):
        model = given.get("model")
        if isinstance(model, str) and model and model not in models:
            found.append(f"`model` is {params.shown(model)}; {params.not_one_of(model, models)}")
        for name, entry in models.items():
            if isinstance(entry, dict):
                found += _raised(networks.options, name, entry, task if name == model else None)
    return found


def _raised(check: Callable[..., Any], *arguments: Any) -> list[str]:
    """The faults that a check raises."""
    try:
        check(*arguments)
    except FaultsError as error:
        return error.faults
    return []


def _labels(data: Any, task: str) -> list[str]:
    """What the labels of the source in use lack for the task."""
    source = data.get("source") if isinstance(data, dict) else None
    if source == "csv" and not _raised(params.checked, data.get("csv"), schema.AnyCsv):
        return _raised(params.checked, data["csv"], schema.Csv[schema.CSV_LABELS[task]], "data.csv")
    if source == "bundled":
        return _raised(schema.given_labels, "sentiment", task, source)
    stanford = data.get("stanford") if source == "stanford" else None
    if isinstance(stanford, dict) and stanford.get("label") in list(schema.GIVEN_LABELS):
        return _raised(schema.given_labels, stanford["label"], task, source)
    return []


def demand() -> None:
    """Check `params.yaml`.

    Raises:
        PipelineError: it cannot be read, or has faults; all are named.
    """
    if found := faults(params.read()):
        raise FaultsError(params.FILE, found)


def run(name: str, main: Callable[[], None]) -> None:
    """Check `params.yaml` and the inputs of a stage, then call its `main`.

    See `ajuste.intact.demand` and `ajuste.errors.run`.
    """

    def checked() -> None:
        demand()
        intact.demand(name)
        main()

    errors.run(name, checked)


def main() -> None:
    """Say whether `params.yaml` has faults, and which."""
    demand()
    print(f"{params.FILE}: no faults")


if __name__ == "__main__":
    errors.run("check", main)
