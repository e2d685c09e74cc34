"""Train the one network that `model` names, with its curves."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from dvclive import Live

from ajuste import backend, model_file, networks, params
from ajuste.backend import keras
from ajuste.errors import PipelineError, run
from ajuste.files import read_arrays
from ajuste.text import Encoder

TOKENS = Path("data/tokens")
MATRIX = Path("data/embedding/matrix.npy")
FOLDER = Path("data/model")
METRICS = Path("metrics/train")

Arrays = dict[str, np.ndarray]


class Curves(keras.callbacks.Callback):
    """Logs loss and accuracy on training and validation after every epoch."""

    def __init__(self, live: Live) -> None:
        super().__init__()
        self.live = live

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Log what Keras reports; its `val_` stands for validation.

        Raises:
            PipelineError: a loss is not finite, so nothing that follows would be.
        """
        if not np.isfinite([logs["loss"], logs["val_loss"]]).all():
            raise PipelineError(
                f"the loss is {logs['loss']} in epoch {epoch + 1}: training has diverged; lower "
                "the `learning_rate` of the model"
            )
        self.live.step = epoch + 1
        for name, value in logs.items():
            part = "validation" if name.startswith("val_") else "train"
            self.live.log_metric(f"{part}/{name.removeprefix('val_')}", value)
        self.live.sync()


def fit(
    model: keras.Model,
    options: networks.Options,
    train: Arrays,
    validation: Arrays,
    curves: list[keras.callbacks.Callback],
) -> int:
    """Compile and train a network.

    It is left with the weights of its last epoch; with `patience`, of the one with the lowest
    validation loss.

    Args:
        model: int32 (batch, max_length) in, float32 (batch, 1) out.
        options: epochs, batch size, patience.
        train: `token_ids`, int32 (n, max_length), and `targets`, float32 (n, outputs).
        validation: the same of the validation part.
        curves: what to call at the end of each epoch.

    Returns:
        The epoch that is kept, counted from 1.
    """
    batches = math.ceil(len(train["targets"]) / options.batch_size)
    networks.compile_model(model, options, batches * options.epochs)
    best = keras.callbacks.EarlyStopping(
        monitor="val_loss", mode="min", patience=options.patience, restore_best_weights=True
    )
    model.fit(
        train["token_ids"],
        train["targets"],
        batch_size=options.batch_size,
        epochs=options.epochs,
        validation_data=(validation["token_ids"], validation["targets"]),
        callbacks=[*curves, best] if options.patience else curves,
        verbose=backend.verbosity(),
    )
    return best.best_epoch + 1 if options.patience else options.epochs


def summary(model: keras.Model, train: Arrays, validation: Arrays) -> dict[str, Any]:
    """Loss and accuracy of the weights that were kept, on both parts, and the gaps between them.

    The curves give the training loss as a mean over an epoch during which the weights moved and
    dropout was on; these are measured after it, on both parts alike.

    Returns:
        `train` and `validation` with `loss` and `accuracy`; `generalization_gap` with both, the
        amount by which validation is worse; `parameters` with `total` and `trainable`.
    """
    parts = {
        name: model.evaluate(
            part["token_ids"], part["targets"], batch_size=512, verbose=0, return_dict=True
        )
        for name, part in (("train", train), ("validation", validation))
    }
    gap = {
        "loss": parts["validation"]["loss"] - parts["train"]["loss"],
        "accuracy": parts["train"]["accuracy"] - parts["validation"]["accuracy"],
    }
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    parameters = {"total": model.count_params(), "trainable": trainable}
    return {**parts, "generalization_gap": gap, "parameters": parameters}


def flatten(tree: dict[str, Any]) -> dict[str, float]:
    """Nested metrics as DVCLive names them: `{"train": {"loss": 1}}` is `{"train/loss": 1}`."""
    flat = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat |= {f"{name}/{inner}": leaf for inner, leaf in flatten(value).items()}
        else:
            flat[name] = value
    return flat


def main() -> None:
    """Train on the token ids; write the model with its encoder, the curves and the summary."""
    name = params.load("model", params.Name)
    entry = params.load(f"models.{name}", dict[str, Any])
    backend.seed(params.load("seed", params.Seed))
    train, validation = (read_arrays(TOKENS / f"{part}.npz") for part in ("train", "validation"))
    matrix = np.load(MATRIX, allow_pickle=False)
    model, options = networks.build(name, entry, matrix, train["token_ids"].shape[1])
    # DVCLive writes in place; DVC records nothing of a stage that did not end.
    with Live(str(METRICS), dvcyaml=None, save_dvc_exp=False) as live:
        kept_epoch = fit(model, options, train, validation, [Curves(live)])
        result = {**summary(model, train, validation), "kept_epoch": kept_epoch}
        for metric, value in flatten(result).items():
            live.log_metric(metric, value, plot=False)
    model_file.save(model, FOLDER / "model.keras")
    Encoder.load(TOKENS).save(FOLDER)
    print(f"train: {name}, epoch {kept_epoch} kept, {_shown(result)}")


def _shown(result: dict[str, Any]) -> str:
    return ", ".join(
        f"{part} loss {result[part]['loss']:.3f} accuracy {result[part]['accuracy']:.3f}"
        for part in ("train", "validation")
    )


if __name__ == "__main__":
    run("train", main)
