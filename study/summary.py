"""Print the last results beside the baselines and the best run: `python -m study.summary`."""

from pathlib import Path
from typing import Any

from ajuste.config import reader
from ajuste.errors import PipelineError, run
from ajuste.evaluation import remedies, tables
from ajuste.files import ENVIRONMENT, read_json, recorded
from study import collect, compare
from study.compare import Run

TRAIN = Path(collect.TRAIN)
TEST = Path(collect.EVALUATE)
BASELINE = Path(collect.BASELINE)
MODEL = Path("data/model/model.keras")


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


def best(root: Path) -> Run:
    """The run with the lowest validation loss: this one, the last commit, or an experiment here.

    Only runs with the same loss on the same validation reviews count.
    """
    now, *others = compare.runs(root)
    loss, data = collect.loss(now.trained), now.data
    known = [one for one in others if (collect.loss(one.trained), one.data) == (loss, data)]
    return min([now, *known], key=lambda one: one.trained["validation"]["loss"])


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
        found = best(Path.cwd())
        name = "this run" if found.names == [compare.WORKSPACE] else found.names[0]
        values = found.trained["validation"].items()
        scored = ", ".join(f"{score} {value:.3f}" for score, value in values)
        print(f"The lowest validation loss so far: {name} ({scored})")
        if MODEL.exists() and recorded(ENVIRONMENT, MODEL) is None:
            print(f"note: {ENVIRONMENT} describes the training of another model")
    except FileNotFoundError as error:
        raise PipelineError(f"{error.filename}: no metrics; run `dvc repro`") from None
    except KeyError as error:
        raise PipelineError(f"{TEST}: no {error}, from an older version; run `dvc repro`") from None


if __name__ == "__main__":
    run("summary", main)
