"""The training loop: the order of the batches, the measurements of each epoch, the end."""

import math
from collections.abc import Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
from dvclive import Live

from ajuste import tasks
from ajuste.config.nested import flatten
from ajuste.data.encoder import PADDING, Arrays
from ajuste.errors import PipelineError
from ajuste.files import significant
from ajuste.training import backend, gradients, model_file
from ajuste.training.checkpoint import Checkpoint, Curve
from ajuste.training.options import TrainedOptions, compile_model, keras_loss

if TYPE_CHECKING:
    from ajuste.training.backend import keras

GRADIENT_REVIEWS = 256  # enough for a steady gradient; takes a second

Scores = dict[str, float]


class DivergedError(PipelineError):
    """A loss was not finite; `model` has the weights of the last good epoch, if there is one."""

    model: "keras.Model | None" = None


BUCKETED = 50
"""So many batches at a time are sorted by length, with `bucketed`."""


def batches(
    part: Arrays, batch_size: int, seed: int, done: int = 0, bucketed: bool = False
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The batches of all epochs after the first `done`, without an end: `token_ids` and `targets`.

    Their order depends on the seed and the epoch alone. Keras' own shuffle repeats one order in
    every epoch if a seed is set, and its state cannot be saved.

    Args:
        part: the reviews.
        batch_size: the number of reviews of a batch; the last one of an epoch may be smaller.
        seed: of the order.
        done: the number of epochs to leave out.
        bucketed: whether reviews of like length are in the same batches.
    """
    lengths = (part["token_ids"] != PADDING).sum(axis=1)
    for epoch in count(done):
        order = batch_order(len(lengths), seed, epoch)
        if bucketed:
            order = bucket(order, lengths, batch_size, seed, epoch)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            yield part["token_ids"][rows], part["targets"][rows]


def bucket(
    order: np.ndarray, lengths: np.ndarray, batch_size: int, seed: int, epoch: int
) -> np.ndarray:
    """An order whose batches have reviews of like length, so that less of them is padding.

    The order is cut into parts of `BUCKETED` batches; in each the reviews are sorted by length, and
    then the batches are shuffled. A batch that is not full stays the last.

    Args:
        order: int64 (reviews,).
        lengths: of the reviews, in words.
        batch_size: of the training.
        seed: of the training.
        epoch: counted from 0.
    """
    chance = np.random.default_rng((seed, epoch, 1))
    full = len(order) // batch_size * batch_size
    found = []
    for start in range(0, full, BUCKETED * batch_size):
        part = order[start : min(start + BUCKETED * batch_size, full)]
        part = part[np.argsort(lengths[part], kind="stable")].reshape(-1, batch_size)
        found.append(part[chance.permutation(len(part))].ravel())
    return np.concatenate([*found, order[full:]])


def batch_order(reviews: int, seed: int, epoch: int) -> np.ndarray:
    """The order of the reviews in an epoch, counted from 0: int64 (reviews,)."""
    return np.random.default_rng((seed, epoch)).permutation(reviews)


class Watch:
    """After each epoch, measures both parts in the same way, and the gradient of each layer.

    Keras' own training loss is a mean over the epoch, while the weights change and dropout is on.
    This one is measured at the end of the epoch, without dropout, on as many training reviews as
    there are validation reviews, so that the gap between the two curves is the generalization gap.
    All values go to `live`, with `prefix` before their names.

    With `patience` it keeps the weights of the epoch with the lowest validation loss, and stops the
    training after that many epochs without a lower loss. Each epoch writes a checkpoint.
    """

    def __init__(
        self,
        model: "keras.Model",
        live: Live,
        task: str,
        loss: str,
        train: Arrays,
        validation: Arrays,
        patience: int,
        checkpoint: Checkpoint,
        weights: np.ndarray | None = None,
        prefix: str = "",
    ) -> None:
        self.model, self.live, self.task, self.loss = model, live, task, loss
        self.weights, self.prefix = weights, prefix
        self.parts = {"train": first(train, len(validation["targets"])), "validation": validation}
        self.baseline_loss = tasks.baseline_loss(loss, train["targets"], weights)
        self.patience, self.checkpoint = patience, checkpoint
        self.curve: Curve = []
        self.last: list[np.ndarray] = []
        self.best: list[np.ndarray] = []
        self.warned: set[str] = set()

    def callback(self) -> "keras.callbacks.Callback":
        """What Keras calls during the training."""
        sample = first(self.parts["train"], GRADIENT_REVIEWS)
        loss = keras_loss(self.loss, self.weights)
        self.layer_norms = gradients.layer_norms(self.model, loss, **sample)
        return backend.keras.callbacks.LambdaCallback(
            on_train_batch_end=self.check_batch, on_epoch_end=self.end_epoch
        )

    def resume(self) -> None:
        """Resume a training that was interrupted, and its curves, if this is asked for."""
        curve, self.best = self.checkpoint.restore(self.model)
        self.last = self.model.get_weights() if curve else []
        for found in curve:
            self._log(found)

    @property
    def best_epoch(self) -> int:
        """The epoch with the lowest validation loss, counted from 1; the first of equal ones."""
        losses = [found["validation/loss"] for found in self.curve]
        return min(range(len(losses)), key=losses.__getitem__, default=-1) + 1

    @property
    def has_waited_enough(self) -> bool:
        """Whether `patience` is over."""
        return bool(self.patience) and len(self.curve) - self.best_epoch >= self.patience

    def check_batch(self, batch: int, logs: Scores) -> None:
        """Stop at the first batch whose loss is not finite.

        Raises:
            DivergedError: the loss is not finite.
        """
        if not math.isfinite(logs["loss"]):
            raise DivergedError(f"the loss is {logs['loss']:.3g} after batch {batch + 1}")

    def end_epoch(self, epoch: int, logs: Scores) -> None:
        """Measure, log, and save the state.

        Raises:
            DivergedError: a loss is not finite.
        """
        found = {
            part: measure(self.model, self.task, self.loss, arrays, self.weights)
            for part, arrays in self.parts.items()
        }
        for part, measured in found.items():
            if not math.isfinite(measured["loss"]):
                raise DivergedError(f"the {part} loss is {measured['loss']:.3g}")
        # Keras prints `logs`. Its own loss of the training part is there already.
        logs |= {name: value for name, value in found["train"].items() if name != "loss"}
        logs |= {f"val_{name}": value for name, value in found["validation"].items()}
        self._log(flatten({**found, "gradient": self.layer_norms()}, "/"))
        self.last = self.model.get_weights()
        if self.patience and self.best_epoch == epoch + 1:
            self.best = self.last
        self.checkpoint.save(self.model, self.curve, self.best)
        self.model.stop_training = self.has_waited_enough

    def _log(self, found: dict[str, float]) -> None:
        self.curve.append(found)
        epoch = len(self.curve)
        norms = {
            name.removeprefix("gradient/"): value
            for name, value in found.items()
            if name.startswith("gradient/")
        }
        for layer, sentence in gradients.trouble(norms, self.baseline_loss).items():
            if layer not in self.warned:
                self.warned.add(layer)
                print(f"train: warning, epoch {epoch}: {sentence}")
        self.live.step = epoch
        for name, value in significant(found).items():
            self.live.log_metric(self.prefix + name, value)
        self.live.sync()


def first(part: Arrays, count: int) -> Arrays:
    """The first `count` reviews of a part: a random sample, since a hash decides their order."""
    return {name: array[:count] for name, array in part.items()}


def measure(
    model: "keras.Model", task: str, loss: str, part: Arrays, weights: np.ndarray | None = None
) -> Scores:
    """The mean loss over a part, without penalties, and the accuracy if the task has one."""
    predictions = model_file.predict(model, part["token_ids"])
    return scores(task, loss, part["targets"], predictions, weights)


def scores(
    task: str,
    loss: str,
    targets: np.ndarray,
    predictions: np.ndarray,
    weights: np.ndarray | None = None,
    threshold: tasks.Threshold = tasks.THRESHOLD,
) -> Scores:
    """What `measure` returns, for targets and predictions (n, outputs).

    The loss is weighted as in training, by `ajuste.tasks.class_weights`.
    """
    mean_loss = float(tasks.review_losses(loss, targets, predictions, weights).mean())
    accuracy = tasks.accuracy(task, targets, predictions, threshold)
    return {"loss": mean_loss} | ({} if accuracy is None else {"accuracy": accuracy})


def steps_per_epoch(reviews: int, batch_size: int) -> int:
    """The batches of an epoch, the last of which may be smaller."""
    return math.ceil(reviews / batch_size)


def fit(
    model: "keras.Model",
    options: TrainedOptions,
    task: str,
    train: Arrays,
    validation: Arrays,
    live: Live,
    seed: int,
    checkpoint: Checkpoint,
    weights: np.ndarray | None = None,
    prefix: str = "",
) -> int:
    """Compile and train a network.

    It keeps the weights of the last epoch; with `patience`, of the epoch with the lowest validation
    loss; after an error, of the last epoch with a finite loss.

    Args:
        model: int32 (batch, max_length) in, float32 (batch, outputs) out.
        options: epochs, batch size, patience.
        task: a key of `ajuste.tasks.TASKS`.
        train: `token_ids`, int32 (n, max_length), and `targets`, float32 (n, outputs).
        validation: the same of the validation part.
        live: gets the curves (see `Watch`).
        seed: of the order of the reviews.
        checkpoint: where each epoch saves its state. A training that was interrupted resumes from
            there, if this is asked for, and gives the same weights as without interruption.
        weights: of the classes (see `ajuste.tasks.class_weights`).
        prefix: of the names of the curves.

    Returns:
        The epoch whose weights are kept, counted from 1.

    Raises:
        DivergedError: a loss was not finite.
    """
    steps = steps_per_epoch(len(train["targets"]), options.batch_size)
    compile_model(model, options, steps * options.epochs, weights)
    given = options.loss, train, validation, options.patience, checkpoint, weights, prefix
    watch = Watch(model, live, task, *given)
    watch.resume()
    done = len(watch.curve)
    try:
        if done < options.epochs and not watch.has_waited_enough:
            run_epochs(model, options, train, seed, done, [watch.callback()], backend.verbosity())
    except DivergedError as error:
        good = len(watch.curve)
        kept = "no epoch had ended, so no weights are kept"
        if good:
            model.set_weights(watch.last)
            kept = f"the weights of epoch {good} are kept"
        diverged = DivergedError(
            f"the training diverged: {error} in epoch {good + 1}; lower the "
            f"`learning_rate` of the model or set its `clip_norm` ({kept})"
        )
        diverged.model = model if good else None
        raise diverged from None
    if not options.patience:
        return options.epochs
    model.set_weights(watch.best)
    return watch.best_epoch


def run_epochs(
    model: "keras.Model",
    options: TrainedOptions,
    part: Arrays,
    seed: int,
    done: int = 0,
    callbacks: Sequence["keras.callbacks.Callback"] = (),
    verbose: int = 0,
) -> None:
    """Train a compiled network on `batches`, after `done` epochs of `options`."""
    tf, targets = backend.tf, part["targets"]
    length = model.input_shape[1]

    def of_epochs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for token_ids, wanted in batches(part, options.batch_size, seed, done, options.bucketed):
            yield (token_ids if length else model_file.trimmed(token_ids)), wanted

    shapes = (
        tf.TensorSpec((None, length), tf.int32),
        tf.TensorSpec((None, targets.shape[1]), tf.float32),
    )
    model.fit(
        tf.data.Dataset.from_generator(of_epochs, output_signature=shapes),
        steps_per_epoch=steps_per_epoch(len(targets), options.batch_size),
        initial_epoch=done,
        epochs=options.epochs,
        shuffle=False,  # `batches` has an order
        callbacks=list(callbacks),
        verbose=verbose,
    )
