"""The options of an entry of `models`: what all networks have, and how Keras gets them."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from ajuste.config import reader
from ajuste.data.encoder import SPECIAL, Keep
from ajuste.tasks import CATEGORICAL_CROSSENTROPY
from ajuste.training import backend

if TYPE_CHECKING:
    from ajuste.training.backend import keras

OPTIMIZERS = {"sgd": "SGD", "adagrad": "Adagrad", "rmsprop": "RMSprop", "adam": "Adam"}
"""The optimizers: names in `params.yaml`, and in Keras."""

# The upper bounds are far above useful values, so that a larger one can only be a mistake.
Length = Annotated[int, Field(gt=0, le=100_000)]  # that of a book
MaxFeatures = Annotated[int, Field(gt=len(SPECIAL), le=1_000_000)]
"""How many token ids a network tells apart, as `input_dim` of Keras' `Embedding`: padding, unknown
and the most frequent words. All rarer words count as unknown."""
Layers = Annotated[list[reader.Width], Field(max_length=100)]
Activation = Literal["linear", "sigmoid", "relu", "tanh"]


class Options(reader.Params):
    """The options of every entry of `models`."""

    network: str
    max_length: Length = 1
    keep: Keep = "last"
    loss: str | None = None
    class_weight: str | None = None
    threshold: str | None = None
    calibrate: bool = False


class TrainedOptions(Options):
    """The options of an entry whose network is trained epoch by epoch."""

    max_length: Length
    optimizer: Literal[*OPTIMIZERS]
    learning_rate: Annotated[float, Field(gt=0)]
    schedule: Literal["constant", "cosine"]
    batch_size: Annotated[int, Field(gt=0, le=1_000_000)]
    epochs: Annotated[int, Field(gt=0, le=100_000)]
    patience: reader.Count = 0
    bucketed: bool = False
    average_weights: reader.Rate = 0.0
    label_smoothing: reader.Rate = 0.0
    l1: reader.Penalty = 0.0
    l2: reader.Penalty = 0.0
    clip_norm: Annotated[float, Field(gt=0)] | None = None


class EmbeddingOptions(TrainedOptions):
    """The options of an entry whose network reads word vectors."""

    embedding: Literal["frozen", "trained", "scratch"]
    embedding_width: reader.Width | None = None
    max_features: MaxFeatures | None = None
    embedding_scale: Annotated[float, Field(gt=0)] = 1.0
    embedding_dropout: reader.Rate = 0.0
    word_dropout: reader.Rate = 0.0

    @model_validator(mode="after")
    def _scratch_has_a_size(self) -> "EmbeddingOptions":
        sizes = (self.embedding_width is not None, self.max_features is not None)
        if sizes != (self.embedding == "scratch",) * 2:
            raise ValueError(
                "`embedding: scratch` needs `embedding_width` and `max_features`; with `frozen` or "
                "`trained` they must not be set"
            )
        return self


def penalize(model: "keras.Model", options: TrainedOptions) -> None:
    """Put the L1 and L2 penalties on all trainable weights except biases."""
    if options.l1 or options.l2:
        penalty = backend.keras.regularizers.L1L2(options.l1, options.l2)
        for weight in model.trainable_weights:
            if len(weight.shape) > 1:
                weight.regularizer = penalty


def keras_loss(name: str, weights: np.ndarray | None, smoothing: float = 0.0) -> Any:
    """The loss for Keras: its name, or a function if the reviews count by their class.

    Args:
        name: one of the losses of `TASKS`.
        weights: those of `ajuste.tasks.class_weights`, (2, outputs), or None.
        smoothing: the share of each target that goes to all classes alike (Szegedy et al., 2016).
    """
    if weights is None and not smoothing:
        return name
    ops = backend.keras.ops
    categorical = name == CATEGORICAL_CROSSENTROPY
    no, yes = (1.0, 1.0) if weights is None else weights.astype(np.float32)

    def changed(targets: Any, predictions: Any) -> Any:
        targets = ops.cast(targets, "float32")
        smooth = targets
        if smoothing:
            classes = targets.shape[-1] if categorical else 2
            smooth = (1 - smoothing) * targets + smoothing / classes
        if categorical:
            losses = ops.categorical_crossentropy(smooth, predictions)
            return ops.sum(yes * targets, axis=-1) * losses
        losses = ops.binary_crossentropy(smooth, predictions)
        return ops.mean((yes * targets + no * (1 - targets)) * losses, axis=-1)

    return changed


def compile_model(
    model: "keras.Model", options: TrainedOptions, steps: int, weights: np.ndarray | None = None
) -> None:
    """Give a network its loss and its optimizer.

    Args:
        model: what `ajuste.training.build.build` gave.
        options: the optimizer, its learning rate and schedule. `cosine` lowers the rate to zero
            over the training (Loshchilov and Hutter, 2017), `constant` keeps it. `clip_norm` bounds
            the norm of the gradient of all weights together (Pascanu et al., 2013).
        steps: the batches of the whole training.
        weights: of the classes (see `keras_loss`).
    """
    optimizers = backend.keras.optimizers
    rate: Any = options.learning_rate
    if options.schedule == "cosine":
        rate = optimizers.schedules.CosineDecay(rate, steps)
    make = getattr(optimizers, OPTIMIZERS[options.optimizer])
    averaged = {}
    if options.average_weights:
        of_epoch = steps // options.epochs
        averaged = {
            "use_ema": True,
            "ema_momentum": options.average_weights,
            "ema_overwrite_frequency": of_epoch,
        }
    optimizer = make(learning_rate=rate, global_clipnorm=options.clip_norm, **averaged)
    model.compile(optimizer, loss=keras_loss(options.loss, weights, options.label_smoothing))
