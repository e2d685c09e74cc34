"""Print the last results beside the baselines and the best run: `python -m study.summary`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ajuste.config import reader
from ajuste.errors import PipelineError, run
from ajuste.evaluation import remedies, tables
from ajuste.files import ENVIRONMENT, read_json, recorded
from ajuste.repository import integrity
from ajuste.repository.git import show
from ajuste.repository.integrity import LOCK
from study import collect

TRAIN = Path(collect.TRAIN)
TEST = Path(collect.EVALUATE)
BASELINE = Path("metrics/baseline.json")
MODEL = Path("data/model/model.keras")
VALIDATION = "data/split/validation.parquet"


def curves_end(trained: dict[str, Any]) -> str:
    """Loss and, if the task has one, accuracy of the network in training and validation.

    Args:
        trained: `metrics/train/metrics.json`.
    """
    kind = "weighted loss" if "class_weight" in trained else "loss"
    return "\n".join(
        f"{part}: " + ", ".join(f"{name} {value:.3f}" for name, value in trained[key].items())
        for part, key in (("training", "train"), ("validation", "validation"))
    ).replace("loss", kind)


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
        if collect.loss(found) == collect.loss(trained):
            known += [(name, found)] if _validation(lock) == _validation(now) else []
    return min(known, key=lambda one: one[1]["validation"]["loss"])


def _validation(lock: str) -> str | None:
    """The hash of the validation reviews in a `dvc.lock`."""
    stages = integrity.stages(lock) if lock else {}
    outs = stages.get("split", {}).get("outs", [])
    return next((out["md5"] for out in outs if out["path"] == VALIDATION), None)


def _runs(root: Path) -> Iterator[tuple[str, dict[str, Any], str]]:
    for reference, name in {"HEAD": "the last commit", **collect.experiments(root)}.items():
        if text := show(root, reference, collect.TRAIN):
            yield name, json.loads(text), show(root, reference, LOCK)


def main() -> None:
    """Print the metrics on disk, the best run so far, the verdict on the fit and what to try."""
    settings = reader.read()
    try:
        trained, tested = read_json(TRAIN), read_json(TEST)
        print(curves_end(trained))
        print()
        print(tables.results(settings["model"], settings["task"], tested, read_json(BASELINE)))
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
