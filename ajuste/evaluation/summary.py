"""Print the results of the last run: `python -m ajuste.evaluation.summary`."""

from pathlib import Path
from typing import Any

from ajuste.config import reader
from ajuste.errors import PipelineError, run
from ajuste.evaluation import remedies
from ajuste.files import ENVIRONMENT, read_json, recorded

TRAIN = Path("metrics/train/metrics.json")
TEST = Path("metrics/evaluate.json")
MODEL = Path("data/model/model.keras")


def table(model: str, trained: dict[str, Any], tested: dict[str, Any]) -> str:
    """Loss and, if the task has one, accuracy: one line for each of the three parts."""
    parts = {"training": trained["train"], "validation": trained["validation"], "test": tested}
    lines = [f"{model:<12} loss   {'accuracy' if 'accuracy' in tested else ''}"]
    for name, scores in parts.items():
        accuracy = f"{scores['accuracy']:.3f}" if "accuracy" in scores else ""
        lines.append(f"{name:<12} {scores['loss']:.3f}  {accuracy}")
    if "accuracy_low" in tested:
        lines[-1] += (
            f"  (95 % interval {tested['accuracy_low']:.3f} to {tested['accuracy_high']:.3f})"
        )
    return "\n".join(line.rstrip() for line in lines)


def main() -> None:
    """Print the metrics on disk, the verdict on the fit and its remedies."""
    settings = reader.read()
    try:
        tested = read_json(TEST)
        print(table(settings["model"], read_json(TRAIN), tested))
        print()
        print(remedies.advise(tested["fit"], settings))
        if MODEL.exists() and recorded(ENVIRONMENT, MODEL) is None:
            print(f"note: {ENVIRONMENT} describes the training of another model")
    except FileNotFoundError as error:
        raise PipelineError(f"{error.filename}: no metrics; run `dvc repro`") from None


if __name__ == "__main__":
    run("summary", main)
