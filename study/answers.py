"""The predictions of a training for the validation or the test part, from DVC's cache."""

import io
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from dvc.api import DVCFileSystem

from ajuste.evaluation.significance import Answers
from ajuste.tasks import SEPARATOR, TASKS, THRESHOLD, encode, output_names

LABELS = "data/raw/labels.json"
REVIEWS = "data/split/{part}.parquet"
VALIDATION = "data/predictions/validation.npz"
TEST = "reports/evaluate/predictions.csv"


def read(
    files: DVCFileSystem, params: dict[str, Any], trained: dict[str, Any], part: str
) -> Answers:
    """The answers of one training.

    Args:
        files: those of its revision.
        params: its `params.yaml`.
        trained: its `metrics/train/metrics.json`.
        part: `validation`, which has no slices, or `test`.

    Raises:
        DvcException: they are neither in the cache nor in a remote.
        OSError: the same.
        KeyError: they have an unknown format.
        ValueError: the same.
    """
    task = params.get("task", "binary")
    labels = json.loads(files.read_text(LABELS))
    # Threads that read a Python object sometimes abort when the process ends (arrow #34314).
    held = io.BytesIO(files.read_bytes(REVIEWS.format(part=part)))
    reviews = pd.read_parquet(held, use_threads=False)
    slices, table = {}, reviews
    if part == "validation":
        predictions = np.load(io.BytesIO(files.read_bytes(VALIDATION)))["predictions"]
    else:
        table = pd.read_csv(io.BytesIO(files.read_bytes(TEST)), keep_default_na=False)
        predictions = table[output_names(task, labels)].to_numpy(np.float32)
        slices = _slices(table)
    if len(predictions) != len(reviews):
        raise ValueError(f"{len(predictions)} predictions for {len(reviews)} {part} reviews")
    return Answers(
        task=task,
        loss=TASKS[task].losses[0],
        labels=labels,
        reviews=reviews["review"].tolist(),
        targets=encode(task, reviews["label"].tolist(), labels),
        predictions=predictions[None],
        slices=slices,
        groups=table["group"].to_numpy() if "group" in table else None,
        thresholds=np.array([[*trained.get("threshold", {"": THRESHOLD}).values()]]),
    )


def _slices(table: pd.DataFrame) -> dict[str, np.ndarray]:
    members = table["slices"].str.split(SEPARATOR) if "slices" in table else []
    names = {name: None for row in members for name in row if name}
    return {name: np.array([name in row for row in members]) for name in names}


def together(answers: Iterable[Answers]) -> Answers:
    """The answers of several trainings to the same reviews."""
    first, *others = answers
    trainings = [training for one in (first, *others) for training in one.trainings]
    predictions, thresholds = map(np.array, zip(*trainings, strict=True))
    return replace(first, predictions=predictions, thresholds=thresholds)
