"""Measure what a network has to beat: the class frequencies, and a linear model of n-grams."""

from pathlib import Path

import numpy as np
import pandas as pd

from ajuste.config import reader, schema
from ajuste.errors import PipelineError
from ajuste.evaluation import scores
from ajuste.files import (
    FLOATS,
    read_json,
    reading,
    replacing,
    significant,
    write_arrays,
    write_json,
)
from ajuste.tasks import TASKS, encode
from ajuste.training import linear
from stages import check

SPLIT = Path("data/split")
LABELS = Path("data/raw/labels.json")
PREDICTIONS = Path("data/baseline/predictions.npz")
METRICS = Path("metrics/baseline.json")
WORDS = Path("reports/baseline/words.csv")
SHOWN = 20  # n-grams for each label
SCORED = ("validation", "test")


def majority(train: np.ndarray, reviews: int) -> np.ndarray:
    """The mean of the training targets (n, outputs) as predictions, float64 (reviews, outputs).

    For classes these are their frequencies. It has the lowest loss of all constants, except for the
    absolute error.
    """
    return np.tile(train.astype(np.float64).mean(axis=0), (reviews, 1))


def main() -> None:
    """Fit both on the training part; write their scores and predictions, and the strongest words.

    `loss` is the default loss of the task, as in the stage `evaluate`.
    """
    task = reader.load("task", schema.Task)
    labels = read_json(LABELS)
    texts, targets = {}, {}
    for part in ("train", *SCORED):
        with reading(path := SPLIT / f"{part}.parquet"):
            table = pd.read_parquet(path)
        texts[part], targets[part] = table["review"], encode(task, table["label"], labels)
    if not len(texts["test"]):
        raise PipelineError(
            f"{SPLIT}/test.parquet: no reviews, because `split.test` is 0, so nothing can be "
            "scored; to train alone, run `dvc repro train`"
        )
    try:
        vectorizer, train = linear.vectorize(texts["train"])
    except linear.NoNGramsError:
        raise PipelineError(
            f"{SPLIT}/train.parquet: no word occurs in {linear.MIN_REVIEWS} reviews; add reviews"
        ) from None
    features = {part: linear.features(vectorizer, texts[part]) for part in SCORED}
    model = linear.choose(
        task, (train, targets["train"]), (features["validation"], targets["validation"])
    )
    predictions = {
        "majority": {part: majority(targets["train"], len(targets[part])) for part in SCORED},
        "linear": {part: model.predict(features[part]) for part in SCORED},
    }
    loss = TASKS[task].losses[0]
    found = {
        name: {
            part: scores.score(task, loss, targets[part], answers, labels)
            for part, answers in of_parts.items()
        }
        for name, of_parts in predictions.items()
    }
    write_arrays(PREDICTIONS, **predictions["linear"])
    with replacing(WORDS) as temporary:
        words = linear.words(model, vectorizer.names, labels, SHOWN)
        words.to_csv(temporary, index=False, lineterminator="\n", float_format=FLOATS)
    size = {"features": train.shape[1], "penalty": model.penalty}
    main_score = scores.MAIN[task]
    found["majority"] = {
        part: {name: of_part[name] for name in TASKS[task].scores if name in of_part}
        for part, of_part in found["majority"].items()
    }
    write_json(METRICS, significant({**found, **size}))
    told = ", ".join(
        f"{name} {of_parts['validation'][main_score]:.3f} ({of_parts['validation']['loss']:.3f})"
        for name, of_parts in found.items()
    )
    print(f"baseline: {main_score.replace('_', ' ')} (loss) on validation: {told}")


if __name__ == "__main__":
    check.run("baseline", main)
