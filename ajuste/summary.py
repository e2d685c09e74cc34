"""Print how the last run went: `python -m ajuste.summary`."""

from pathlib import Path
from typing import Any

from ajuste import params
from ajuste.errors import PipelineError, run
from ajuste.files import read_json

TRAIN = Path("metrics/train/metrics.json")
TEST = Path("metrics/evaluate.json")


def table(model: str, trained: dict[str, Any], tested: dict[str, Any]) -> str:
    """Loss and accuracy on the three parts, one line each."""
    interval = f"{tested['accuracy_low']:.3f} to {tested['accuracy_high']:.3f}"
    parts = {"training": trained["train"], "validation": trained["validation"], "test": tested}
    lines = [f"{model:<12} loss   accuracy"]
    for name, scores in parts.items():
        lines.append(f"{name:<12} {scores['loss']:.3f}  {scores['accuracy']:.3f}")
    return "\n".join(lines) + f"  (95 % interval {interval})"


def main() -> None:
    """Print the table of the metrics on disk."""
    model = params.load("model", params.Name)
    try:
        print(table(model, read_json(TRAIN), read_json(TEST)))
    except FileNotFoundError as error:
        raise PipelineError(f"{error.filename}: no metrics yet; run `dvc repro`") from None


if __name__ == "__main__":
    run("summary", main)
