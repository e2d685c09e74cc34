"""Train the one network that `model` names, with its curves."""

import math
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from dvclive import Live

from ajuste import tasks
from ajuste.config import reader, schema
from ajuste.data.encoder import (
    PADDING,
    VOCABULARY_FILE,
    Arrays,
    Encoder,
    read_rows,
    read_vocabulary,
)
from ajuste.files import (
    ENVIRONMENT,
    FLOATS,
    read_array,
    read_json,
    replacing,
    significant,
    write_arrays,
    write_json,
)
from ajuste.training import backend, entry_schema, environment, gradients, model_file, threshold
from ajuste.training.checkpoint import Checkpoint, identity
from ajuste.training.entry import PARTS, Source, train
from ajuste.training.loop import GRADIENT_REVIEWS, DivergedError, scores
from ajuste.training.options import Options, keras_loss
from stages import check

if TYPE_CHECKING:
    from ajuste.training.backend import keras

TOKENS = Path("data/tokens")
LABELS = Path("data/raw/labels.json")
MATRIX = Path("data/embedding/matrix.npy")
FOLDER = Path("data/model")
MODEL = FOLDER / "model.keras"
PREDICTIONS = Path("data/predictions/validation.npz")
METRICS = Path("metrics/train")
THROUGH_TIME = Path("reports/train/gradient_through_time.csv")
RECORD = Path("data/record/train.json")  # of the last run on this machine; not in Git
CHECKPOINTS = Path("data/checkpoint")  # not an output: DVC deletes outputs first
CODE = [Path(__file__), *sorted(Path(tasks.__file__).parent.rglob("*.py"))]  # all of ajuste


def summary(
    task: str,
    loss: str,
    targets: dict[str, np.ndarray],
    predictions: dict[str, np.ndarray],
    weights: np.ndarray | None = None,
    cut: tasks.Threshold = tasks.THRESHOLD,
) -> dict[str, Any]:
    """The scores of the weights that are kept, on all reviews of both parts, with a baseline.

    Args:
        task: a key of `ajuste.tasks.TASKS`.
        loss: one of its losses.
        targets: of `train` and of `validation`, (n, outputs).
        predictions: the same.
        weights: of the classes in every loss (see `tasks.class_weights`).
        cut: the decision threshold.

    Returns:
        `train` and `validation` with `loss` and, if the task has one, `accuracy`;
        `generalization_gap` with the same, the amount by which validation is worse;
        `loss_function`; `baseline_loss`, that of the class frequencies in training; `least_loss` of
        both parts, if it is not 0 (see `tasks`); `standard_error` of the gap between the two curves
        (see `Watch`).
    """
    sample = len(targets["validation"])  # of training reviews, as in the curves
    found, least, variance = {}, {}, 0.0
    for part, actual in targets.items():
        found[part] = scores(task, loss, actual, predictions[part], weights, cut)
        losses = tasks.review_losses(loss, actual, predictions[part], weights)[:sample]
        variance += losses.var() / len(losses)
        least[part] = tasks.least_loss(loss, actual[:sample])
    gap = {"loss": found["validation"]["loss"] - found["train"]["loss"]}
    if "accuracy" in found["train"]:
        gap["accuracy"] = found["train"]["accuracy"] - found["validation"]["accuracy"]
    return {
        **found,
        "generalization_gap": gap,
        "loss_function": loss,
        "baseline_loss": tasks.baseline_loss(loss, targets["train"], weights),
        **({"least_loss": least} if any(least.values()) else {}),
        "standard_error": math.sqrt(variance),
    }


def parameters(model: "keras.Model") -> dict[str, int]:
    """How many parameters a network has, and how many of them are trained."""
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    return {"total": model.count_params(), "trainable": trainable}


def by_label(task: str, labels: list[str], values: np.ndarray) -> dict[str, float]:
    """The weights of the classes, (2, outputs), or the thresholds, (outputs,), for the metrics."""
    values = values.ravel() if task == "binary" else np.atleast_2d(values)[-1]
    return dict(zip(labels[-len(values) :], values.tolist(), strict=True))


def through_time(model: "keras.Model", loss: gradients.Loss, train: Arrays) -> pd.DataFrame:
    """How far back the gradient reaches (see `gradients.through_time`), on the longest reviews.

    Returns:
        `steps_back` (0 is the last step), `norm` and its decimal logarithm, `log10_norm`, for the
        plots. No rows for a network that is not recurrent.
    """
    lengths = (train["token_ids"] != PADDING).sum(axis=1)
    count = min(GRADIENT_REVIEWS, math.ceil(len(lengths) / 4))
    longest = np.argsort(-lengths, kind="stable")[:count]
    sample = {name: array[longest] for name, array in train.items()}
    norms = gradients.through_time(model, loss, **sample)
    norms = np.zeros(0) if norms is None else norms
    with np.errstate(divide="ignore"):
        logarithm = np.log10(norms)
    table = {"steps_back": np.arange(len(norms)), "norm": norms, "log10_norm": logarithm}
    return pd.DataFrame(table).replace(-np.inf, np.nan)


def main() -> None:
    """Train on the token ids; write the model and its encoder, the curves and the summary."""
    started = time.monotonic()
    name = reader.load("model", reader.Name)
    entry = reader.load(f"models.{name}", dict[str, Any])
    task = reader.load("task", schema.Task)
    seed = reader.load("seed", reader.Seed)
    portable = reader.load("portable", bool)
    backend.start(reader.load("threads", reader.Threads), portable)
    if portable and not backend.is_portable():
        print("train: no portable settings for this kind of processor or system")
    files = {part: TOKENS / f"{part}.npz" for part in PARTS}
    rows = {part: read_rows(path) for part, path in files.items()}
    source = Source(task, rows, read_array(MATRIX), seed)
    counts, labels = read_vocabulary(TOKENS / VOCABULARY_FILE), read_json(LABELS)
    made_with = environment.describe()
    settings = {"seed": seed, "task": task, "entry": entry, **made_with}
    inputs = [*files.values(), MATRIX, *CODE]

    def checkpoint(network: str) -> Checkpoint:
        training = identity({**settings, "network": network}, inputs)
        return Checkpoint(CHECKPOINTS / f"{network}.npz", training)

    def encoder(options: Options) -> Encoder:
        return Encoder(counts, options.max_length, options.keep, task, labels)

    with _whole(METRICS / "metrics.json"):
        with Live(str(METRICS), dvcyaml=None, save_dvc_exp=False) as live:
            try:
                trained = train(name, entry, source, live, checkpoint)
            except DivergedError as error:
                if error.model:
                    save(error.model, encoder(entry_schema.options(name, entry, task)))
                raise
        options, weights, predictions = trained.options, trained.weights, trained.predictions
        targets = {part: arrays["targets"] for part, arrays in trained.parts.items()}
        answered = {"targets": targets["validation"], "predictions": predictions["validation"]}
        cut: tasks.Threshold = tasks.THRESHOLD
        if options.threshold:
            cut = threshold.choose(options.threshold, **answered)
        result = summary(task, options.loss, targets, predictions, weights, cut)
        result |= {"parameters": parameters(trained.model), **trained.facts}
        result |= {"kept_epoch": trained.kept_epoch} if trained.kept_epoch else {}
        if weights is not None:
            result["class_weight"] = by_label(task, labels, weights)
            answered["class_weights"] = weights
        if options.threshold:
            answered["threshold"] = np.array(cut)
            result["threshold"] = by_label(task, labels, answered["threshold"])
        curves_end = read_json(METRICS / "metrics.json")
        write_json(METRICS / "metrics.json", {**curves_end, **significant(result)})
        used = encoder(options)
        save(trained.model, replace(used, threshold=cut) if options.threshold else used)
        write_arrays(PREDICTIONS, **answered)
        with replacing(THROUGH_TIME) as temporary:
            loss = keras_loss(options.loss, weights)
            table = through_time(trained.model, loss, trained.parts["train"])
            table.to_csv(temporary, index=False, lineterminator="\n", float_format=FLOATS)
    environment.record(ENVIRONMENT, MODEL, made_with)
    seconds = round(time.monotonic() - started, 1)
    write_json(RECORD, {"seconds": seconds, "environment": made_with})
    shutil.rmtree(CHECKPOINTS, ignore_errors=True)
    epoch = f"epoch {trained.kept_epoch} kept, " if trained.kept_epoch else ""
    print(f"train: {name}, {epoch}{_shown(result)}")


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    # DVCLive writes its file after each epoch, when it has only some of the metrics.
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def save(model: "keras.Model", encoder: Encoder) -> None:
    """Write all that is needed to use the model: the network and its encoder."""
    model_file.save(model, MODEL)
    encoder.save(FOLDER)


def _shown(result: dict[str, Any]) -> str:
    return ", ".join(
        f"{part} " + " ".join(f"{name} {value:.3f}" for name, value in result[part].items())
        for part in ("train", "validation")
    )


if __name__ == "__main__":
    check.run("train", main)
