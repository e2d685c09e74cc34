"""Train the one network that `model` names, with its curves."""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from dvclive import Live

from ajuste import backend, check, gradients, model_file, networks, params, schema, tasks
from ajuste.backend import keras
from ajuste.errors import PipelineError
from ajuste.files import read_arrays, replacing, write_json
from ajuste.text import PADDING, Encoder

TOKENS = Path("data/tokens")
MATRIX = Path("data/embedding/matrix.npy")
FOLDER = Path("data/model")
METRICS = Path("metrics/train")
THROUGH_TIME = Path("reports/train/gradient_through_time.csv")
RECORD = Path("data/record/train.json")  # of this run and no other: neither hashed nor in Git

GRADIENT_REVIEWS = 256  # a gradient over so many is steady, and takes a second

Arrays = dict[str, np.ndarray]
Scores = dict[str, float]


class DivergedError(PipelineError):
    """A loss was not finite; `good_epochs` counts those that ended before."""

    good_epochs: int = 0


class Watch(keras.callbacks.Callback):
    """After every epoch, measures both parts alike, and how large the gradient is in each layer.

    Keras' own training loss is a mean over an epoch during which the weights moved and dropout was
    on. Here it is measured at the end of the epoch, without dropout, on as many training reviews as
    there are validation reviews, so that the gap between the two curves is the generalization gap.
    It all goes to `live`; the validation scores also to Keras' logs, for early stopping.
    """

    def __init__(self, live: Live, task: str, loss: str, train: Arrays, validation: Arrays) -> None:
        super().__init__()
        self.live, self.task, self.loss = live, task, loss
        self.parts = {"train": first(train, len(validation["targets"])), "validation": validation}
        self.baseline_loss = tasks.baseline_loss(loss, train["targets"])
        self.good_epochs = 0
        self.good_weights: list[np.ndarray] = []
        self.warned: set[str] = set()

    def on_train_begin(self, logs: Scores | None = None) -> None:
        """Prepare the measuring of gradients."""
        sample = first(self.parts["train"], GRADIENT_REVIEWS)
        self.layer_norms = gradients.layer_norms(self.model, self.loss, **sample)

    def on_train_batch_end(self, batch: int, logs: Scores) -> None:
        """Stop at the first batch whose loss is not finite.

        Raises:
            DivergedError: it is not.
        """
        if not math.isfinite(logs["loss"]):
            raise DivergedError(f"the loss is {logs['loss']:.3g} after batch {batch + 1}")

    def on_epoch_end(self, epoch: int, logs: Scores) -> None:
        """Measure and log.

        Raises:
            DivergedError: a loss is not finite.
        """
        found = {
            part: measure(self.model, self.task, self.loss, arrays)
            for part, arrays in self.parts.items()
        }
        for part, measured in found.items():
            if not math.isfinite(measured["loss"]):
                raise DivergedError(f"the {part} loss is {measured['loss']:.3g}")
        self.good_epochs, self.good_weights = epoch + 1, self.model.get_weights()
        logs |= {f"val_{name}": value for name, value in found["validation"].items()}
        norms = self.layer_norms()
        for layer, sentence in gradients.trouble(norms, self.baseline_loss).items():
            if layer not in self.warned:
                self.warned.add(layer)
                print(f"train: warning, epoch {epoch + 1}: {sentence}")
        self.live.step = epoch + 1
        for name, value in flatten({**found, "gradient": norms}).items():
            self.live.log_metric(name, value)
        self.live.sync()


def first(part: Arrays, count: int) -> Arrays:
    """The first `count` reviews of a part: a sample, since their order is that of a hash."""
    return {name: array[:count] for name, array in part.items()}


def measure(model: keras.Model, task: str, loss: str, part: Arrays) -> Scores:
    """The mean loss over a part, and the accuracy where the task has one; penalties left out."""
    return scores(task, loss, part["targets"], model_file.predict(model, part["token_ids"]))


def scores(task: str, loss: str, targets: np.ndarray, predictions: np.ndarray) -> Scores:
    """What `measure` gives, of targets and predictions (n, outputs)."""
    mean_loss = float(tasks.review_losses(loss, targets, predictions).mean())
    accuracy = tasks.accuracy(task, targets, predictions)
    return {"loss": mean_loss} | ({} if accuracy is None else {"accuracy": accuracy})


def steps_per_epoch(reviews: int, batch_size: int) -> int:
    """The batches of an epoch, the last of which may be smaller."""
    return math.ceil(reviews / batch_size)


def fit(
    model: keras.Model,
    options: networks.Options,
    task: str,
    train: Arrays,
    validation: Arrays,
    live: Live,
) -> int:
    """Compile and train a network.

    It is left with the weights of its last epoch; with `patience`, of the one with the lowest
    validation loss; after an error, of the last one whose loss was finite.

    Args:
        model: int32 (batch, max_length) in, float32 (batch, outputs) out.
        options: epochs, batch size, patience.
        task: a key of `ajuste.tasks.TASKS`.
        train: `token_ids`, int32 (n, max_length), and `targets`, float32 (n, outputs).
        validation: the same of the validation part.
        live: takes the curves (see `Watch`).

    Returns:
        The epoch that is kept, counted from 1.

    Raises:
        DivergedError: a loss was not finite.
    """
    steps = steps_per_epoch(len(train["targets"]), options.batch_size)
    networks.compile_model(model, options, steps * options.epochs)
    watch = Watch(live, task, options.loss, train, validation)
    best = keras.callbacks.EarlyStopping(
        monitor="val_loss", mode="min", patience=options.patience, restore_best_weights=True
    )
    try:
        model.fit(
            train["token_ids"],
            train["targets"],
            batch_size=options.batch_size,
            epochs=options.epochs,
            callbacks=[watch, best] if options.patience else [watch],
            verbose=backend.verbosity(),
        )
    except DivergedError as error:
        kept = "no epoch had ended, so nothing is kept"
        if watch.good_epochs:
            model.set_weights(watch.good_weights)
            kept = f"{FOLDER} holds the weights of epoch {watch.good_epochs}"
        diverged = DivergedError(
            f"training has diverged: {error} of epoch {watch.good_epochs + 1}; lower the "
            f"`learning_rate` of the model or set its `clip_norm` ({kept})"
        )
        diverged.good_epochs = watch.good_epochs
        raise diverged from None
    return best.best_epoch + 1 if options.patience else options.epochs


def summary(
    model: keras.Model, task: str, loss: str, train: Arrays, validation: Arrays
) -> dict[str, Any]:
    """The scores of the weights that were kept, on all of both parts, and what they are held to.

    Returns:
        `train` and `validation` with `loss` and, where the task has one, `accuracy`;
        `generalization_gap` with the same, the amount by which validation is worse;
        `baseline_loss`, that of the class frequencies in training; `standard_error`, that of the
        gap between the two curves (see `Watch`); `parameters` with `total` and `trainable`.
    """
    sample = len(validation["targets"])  # of training reviews, as in the curves
    found, variance = {}, 0.0
    for name, part in (("train", train), ("validation", validation)):
        predictions = model_file.predict(model, part["token_ids"])
        found[name] = scores(task, loss, part["targets"], predictions)
        losses = tasks.review_losses(loss, part["targets"], predictions)[:sample]
        variance += losses.var() / len(losses)
    gap = {"loss": found["validation"]["loss"] - found["train"]["loss"]}
    if "accuracy" in found["train"]:
        gap["accuracy"] = found["train"]["accuracy"] - found["validation"]["accuracy"]
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    return {
        **found,
        "generalization_gap": gap,
        "baseline_loss": tasks.baseline_loss(loss, train["targets"]),
        "standard_error": math.sqrt(variance),
        "parameters": {"total": model.count_params(), "trainable": trainable},
    }


def flatten(tree: dict[str, Any]) -> dict[str, float]:
    """Nested metrics as DVCLive names them: `{"train": {"loss": 1}}` is `{"train/loss": 1}`."""
    flat = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat |= {f"{name}/{inner}": leaf for inner, leaf in flatten(value).items()}
        else:
            flat[name] = value
    return flat


def through_time(model: keras.Model, loss: str, train: Arrays) -> pd.DataFrame:
    """How far back the gradient reaches (see `gradients.through_time`), on the longest reviews.

    Returns:
        `steps_back` (0 is the last step), `norm` and its decimal logarithm, `log10_norm`, which
        plots show. No rows for a network that is not recurrent.
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
    """Train on the token ids; write the model with its encoder, the curves and the summary."""
    started = time.monotonic()
    name = params.load("model", params.Name)
    entry = params.load(f"models.{name}", dict[str, Any])
    task = params.load("task", schema.Task)
    backend.seed(params.load("seed", params.Seed))
    train, validation = (read_arrays(TOKENS / f"{part}.npz") for part in ("train", "validation"))
    matrix = np.load(MATRIX, allow_pickle=False)
    shape = train["token_ids"].shape[1], task, train["targets"].shape[1]
    model, options = networks.build(name, entry, matrix, *shape)
    # DVCLive writes in place; DVC records nothing of a stage that did not end.
    with Live(str(METRICS), dvcyaml=None, save_dvc_exp=False) as live:
        try:
            kept_epoch = fit(model, options, task, train, validation, live)
        except DivergedError as error:
            if error.good_epochs:
                save(model)
            raise
        result = summary(model, task, options.loss, train, validation)
        result["kept_epoch"] = kept_epoch
        for metric, value in flatten(result).items():
            live.log_metric(metric, value, plot=False)
    save(model)
    with replacing(THROUGH_TIME) as temporary:
        table = through_time(model, options.loss, train)
        table.to_csv(temporary, index=False, lineterminator="\n", float_format="%.6g")
    write_json(RECORD, {"seconds": round(time.monotonic() - started, 1)})
    print(f"train: {name}, epoch {kept_epoch} kept, {_shown(result)}")


def save(model: keras.Model) -> None:
    """Write what it takes to use the model: the network and the encoder of its texts."""
    model_file.save(model, FOLDER / "model.keras")
    Encoder.load(TOKENS).save(FOLDER)


def _shown(result: dict[str, Any]) -> str:
    return ", ".join(
        f"{part} " + " ".join(f"{name} {value:.3f}" for name, value in result[part].items())
        for part in ("train", "validation")
    )


if __name__ == "__main__":
    check.run("train", main)
