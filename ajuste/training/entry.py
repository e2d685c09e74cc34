"""Train what an entry of `models` describes: a network, an ensemble, or the class frequencies."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from dvclive import Live

from ajuste import tasks
from ajuste.data.encoder import Arrays, Keep, pad
from ajuste.training import backend, calibration, ensemble, entry_schema, model_file
from ajuste.training.build import build
from ajuste.training.checkpoint import Checkpoint
from ajuste.training.loop import DivergedError, fit, scores
from ajuste.training.options import Options

if TYPE_CHECKING:
    from ajuste.training.backend import keras

PARTS = ("train", "validation")


@dataclass(frozen=True)
class Source:
    """What every network of a run is trained on.

    Attributes:
        task: a key of `ajuste.tasks.TASKS`.
        rows: of the training and of the validation part, the token ids of each review and the
            targets (see `ajuste.data.encoder.read_rows`).
        matrix: float32 (vocabulary, width), the word vectors.
        seed: of the initial weights, the order of the reviews and dropout.
    """

    task: str
    rows: dict[str, tuple[list[np.ndarray], np.ndarray]]
    matrix: np.ndarray
    seed: int

    def parts(self, max_length: int, keep: Keep) -> dict[str, Arrays]:
        """The training and the validation part, as a network reads them."""
        return {
            part: {"token_ids": pad(rows, max_length, keep), "targets": targets}
            for part, (rows, targets) in self.rows.items()
        }


@dataclass
class Trained:
    """A trained model.

    Attributes:
        model: int32 (batch, length) in, float32 (batch, outputs) out.
        options: those of the entry.
        parts: the training and the validation part, cut to the words that the model reads.
        predictions: of both, float32 (n, outputs).
        weights: of the classes in the loss, (2, outputs), or None.
        kept_epoch: the epoch whose weights were kept, counted from 1; None without epochs.
        facts: what else belongs into the metrics.
    """

    model: "keras.Model"
    options: Options
    parts: dict[str, Arrays]
    predictions: dict[str, np.ndarray]
    weights: np.ndarray | None
    kept_epoch: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)


NewCheckpoint = Callable[[str], Checkpoint]
"""`new_checkpoint(name)`: where the training of the network of this name saves its state."""


def train(
    name: str, entry: dict[str, Any], source: Source, live: Live, new_checkpoint: NewCheckpoint
) -> Trained:
    """Train what an entry of `models` describes.

    Raises:
        FaultsError: an option does not fit.
        DivergedError: a loss was not finite.
    """
    options = entry_schema.options(name, entry, source.task)
    if options.network == entry_schema.MAJORITY:
        trained = _majority(name, options, source)
    elif options.network == entry_schema.ENSEMBLE:
        trained = _ensemble(name, options, source, live, new_checkpoint)
    else:
        return _network(name, entry, source, live, new_checkpoint(name))
    live.step = 1
    for part, arrays in trained.parts.items():
        given = arrays["targets"], trained.predictions[part], trained.weights
        for score, value in scores(source.task, options.loss, *given).items():
            live.log_metric(f"{part}/{score}", value)
    live.sync()
    return trained


def _network(
    name: str,
    entry: dict[str, Any],
    source: Source,
    live: Live,
    checkpoint: Checkpoint,
    prefix: str = "",
) -> Trained:
    options = entry_schema.options(name, entry, source.task)
    parts = source.parts(options.max_length, options.keep)
    outputs = parts["train"]["targets"].shape[1]
    backend.seed(source.seed)
    model, options = build(name, entry, source.matrix, source.task, outputs, parts["train"])
    weights = _class_weights(options, source.task, parts)
    given = source.task, *parts.values(), live, source.seed, checkpoint, weights, prefix
    kept_epoch = fit(model, options, *given)
    facts: dict[str, Any] = {}
    predictions = _predict(model, parts)
    if options.calibrate and source.task not in tasks.NUMERIC:
        validation = parts["validation"]["targets"], [predictions["validation"]], weights
        [weight] = calibration.fit_weights(source.task, options.loss, *validation)
        calibration.scale(model, weight)
        predictions = _predict(model, parts)
        facts["temperature"] = 1 / weight if weight else None
    return Trained(model, options, parts, predictions, weights, kept_epoch, facts)


def _ensemble(
    name: str,
    options: entry_schema.EnsembleOptions,
    source: Source,
    live: Live,
    new_checkpoint: NewCheckpoint,
) -> Trained:
    members = []
    for member, entry in options.members.items():
        print(f"train: {member}, a member of {name}")
        given = source, live, new_checkpoint(member), f"{member}/"
        try:
            members.append(_network(member, entry, *given))
        except DivergedError as error:
            error.model = None  # that of a member is not the ensemble
            raise
    weights = _class_weights(options, source.task, members[0].parts)
    targets = members[0].parts["validation"]["targets"]
    answers = [member.predictions["validation"] for member in members]
    shares = calibration.fit_weights(source.task, options.loss, targets, answers, weights)
    settings = [member.options for member in members]
    model = ensemble.combine(
        name, source.task, [member.model for member in members], settings, shares
    )
    max_length, keep = ensemble.window(settings)
    options = options.model_copy(update={"max_length": max_length, "keep": keep})
    parts = source.parts(max_length, keep)
    facts = {"weights": dict(zip(options.members, shares.tolist(), strict=True))}
    return Trained(model, options, parts, _predict(model, parts), weights, None, facts)


def _majority(name: str, options: Options, source: Source) -> Trained:
    """A model that predicts the class frequencies of the training part, or the mean or median."""
    keras = backend.keras
    parts = source.parts(options.max_length, options.keep)
    targets = parts["train"]["targets"]
    weights = _class_weights(options, source.task, parts)
    answer = tasks.constant(options.loss, targets, weights)
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    nothing = 0.0 * keras.ops.cast(keras.ops.sum(token_ids, axis=1, keepdims=True), "float32")
    output = keras.layers.Dense(
        targets.shape[1], activation=tasks.TASKS[source.task].activation, name="output"
    )
    model = keras.Model(token_ids, output(nothing), name=name)
    bias = calibration.scores_of(source.task, answer[None])[0]
    output.set_weights([np.zeros((1, len(bias))), bias])
    return Trained(model, options, parts, _predict(model, parts), weights)


def _class_weights(options: Options, task: str, parts: dict[str, Arrays]) -> np.ndarray | None:
    if not options.class_weight:
        return None
    return tasks.class_weights(task, parts["train"]["targets"])


def _predict(model: "keras.Model", parts: dict[str, Arrays]) -> dict[str, np.ndarray]:
    return {part: model_file.predict(model, arrays["token_ids"]) for part, arrays in parts.items()}
