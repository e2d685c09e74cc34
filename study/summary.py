"""Print the last results beside the baselines and the best run: `python -m study.summary`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ajuste.config import reader
from ajuste.errors import PipelineError, run
from ajuste.evaluation import remedies
from ajuste.files import ENVIRONMENT, read_json, recorded
from ajuste.repository import integrity
from ajuste.repository.git import git, show
from ajuste.repository.integrity import LOCK
from study import collect

TRAIN = Path(collect.TRAIN)
TEST = Path(collect.EVALUATE)
BASELINE = Path("metrics/baseline.json")
MODEL = Path("data/model/model.keras")
VALIDATION = "data/split/validation.parquet"


def table(
    model: str, trained: dict[str, Any], tested: dict[str, Any], baseline: dict[str, Any]
) -> str:
    """Loss and, if the task has one, accuracy, of the network and of the baselines.

    Args:
        model: its name.
        trained: `metrics/train/metrics.json`.
        tested: `metrics/evaluate.json`.
        baseline: `metrics/baseline.json`.
    """
    both = "loss   accuracy" if "accuracy" in tested else "loss"
    beside = {name: baseline[name] for name in ("linear", "majority")}
    names = [model, *beside]
    lines = [
        "".join([" " * 12, *(f"{name:<18}" for name in names)]),
        " " * 12 + f"{both:<18}" * len(names),
    ]
    parts = {"training": trained["train"], "validation": trained["validation"], "test": tested}
    for part, own in parts.items():
        sides = [own, *(scores.get(part, {}) for scores in beside.values())]
        lines.append(f"{part:<12}" + "".join(f"{_pair(scores):<18}" for scores in sides))
    if "accuracy_low" in tested:
        low, high = tested["accuracy_low"], tested["accuracy_high"]
        lines.append(f"{model} on the test part: 95 % interval {low:.3f} to {high:.3f}")
    return "\n".join(line.rstrip() for line in lines)


def _pair(scores: dict[str, float]) -> str:
    return "  ".join(f"{scores[name]:.3f}" for name in ("loss", "accuracy") if name in scores)


def best(root: Path, trained: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The run with the lowest validation loss: this one, the last commit, or an experiment here.

    Only runs with the same loss on the same validation reviews count.

    Args:
        root: the repository.
        trained: `metrics/train/metrics.json` of this run.

    Returns:
        Its name and its `metrics/train/metrics.json`.
    """
    now = (root / LOCK).read_text(encoding="utf-8") if (root / LOCK).exists() else ""
    known = [("this run", trained)]
    for name, found, lock in _runs(root):
        if found.get("loss_function") == trained["loss_function"]:
            known += [(name, found)] if _validation(lock) == _validation(now) else []
    return min(known, key=lambda one: one[1]["validation"]["loss"])


def _validation(lock: str) -> str | None:
    """The hash of the validation reviews in a `dvc.lock`."""
    stages = integrity.stages(lock) if lock else {}
    outs = stages.get("split", {}).get("outs", [])
    return next((out["md5"] for out in outs if out["path"] == VALIDATION), None)


def _runs(root: Path) -> Iterator[tuple[str, dict[str, Any], str]]:
    references = git(root, "for-each-ref", "--format=%(refname)", "refs/exps").split()
    names = {reference: reference.split("/")[-1] for reference in references}
    for reference, name in {"HEAD": "the last commit", **names}.items():
        if text := show(root, reference, collect.TRAIN):
            yield name, json.loads(text), show(root, reference, LOCK)


def main() -> None:
    """Print the metrics on disk, the best run so far, the verdict on the fit and what to try."""
    settings = reader.read()
    try:
        trained, tested = read_json(TRAIN), read_json(TEST)
        print(table(settings["model"], trained, tested, read_json(BASELINE)))
        print()
        print(remedies.advise(tested["fit"], settings))
        name, found = best(Path.cwd(), trained)
        scored = ", ".join(f"{score} {value:.3f}" for score, value in found["validation"].items())
        print(f"The lowest validation loss so far: {name} ({scored})")
        if MODEL.exists() and recorded(ENVIRONMENT, MODEL) is None:
            print(f"note: {ENVIRONMENT} describes the training of another model")
    except FileNotFoundError as error:
        raise PipelineError(f"{error.filename}: no metrics; run `dvc repro`") from None
    except KeyError as error:
        raise PipelineError(f"{TEST}: no {error}, from an older version; run `dvc repro`") from None


if __name__ == "__main__":
    run("summary", main)
