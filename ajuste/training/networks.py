"""The networks: one builder function each, and what they share.

To add one, write its builder here, list it in `NETWORKS`, and give it an entry under `models` in
`params.yaml`. The keyword arguments of the builder are the options of the entry; their annotations
are the schema.
"""

import inspect
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, create_model, model_validator

from ajuste.config import reader
from ajuste.data.text import PADDING, SPECIAL, UNKNOWN
from ajuste.tasks import CATEGORICAL_CROSSENTROPY, TASKS
from ajuste.training import backend

if TYPE_CHECKING:
    from ajuste.training.backend import keras

OPTIMIZERS = {"sgd": "SGD", "adagrad": "Adagrad", "rmsprop": "RMSprop", "adam": "Adam"}
"""The optimizers: names in `params.yaml`, and in Keras."""

OF_TASK = {"loss": "losses", "class_weight": "class_weights", "threshold": "thresholds"}
"""The options whose valid values depend on the task, and their names in `ajuste.tasks.Task`."""

FAR_BELOW = 1e9  # what a maximum over words never takes

Embed = Callable[..., "keras.KerasTensor"]
"""`embed(token_ids, masked)`: int32 (batch, length) in, float32 (batch, length, width) out."""


Activation = Literal["linear", "sigmoid", "relu", "tanh"]
# The upper bounds are far above useful values, so that a larger one can only be a mistake.
MaxFeatures = Annotated[int, Field(gt=len(SPECIAL), le=1_000_000)]
"""How many token ids a network tells apart, as `input_dim` of Keras' `Embedding`: padding, unknown
and the most frequent words. All rarer words count as unknown."""
Layers = Annotated[list[reader.Width], Field(max_length=100)]


class Options(reader.Params):
    """The options of every entry of `models`."""

    network: str
    optimizer: Literal[*OPTIMIZERS]
    learning_rate: Annotated[float, Field(gt=0)]
    schedule: Literal["constant", "cosine"]
    batch_size: Annotated[int, Field(gt=0, le=1_000_000)]
    epochs: Annotated[int, Field(gt=0, le=100_000)]
    patience: reader.Count = 0
    loss: str | None = None
    class_weight: str | None = None
    threshold: str | None = None
    l1: reader.Penalty = 0.0
    l2: reader.Penalty = 0.0
    clip_norm: Annotated[float, Field(gt=0)] | None = None


class EmbeddingOptions(Options):
    """The options of an entry whose network reads word vectors."""

    embedding: Literal["frozen", "trained", "scratch"]
    embedding_width: reader.Width | None = None
    max_features: MaxFeatures | None = None

    @model_validator(mode="after")
    def _scratch_has_a_size(self) -> "EmbeddingOptions":
        sizes = (self.embedding_width is not None, self.max_features is not None)
        if sizes != (self.embedding == "scratch",) * 2:
            raise ValueError(
                "`embedding: scratch` needs `embedding_width` and `max_features`; with `frozen` or "
                "`trained` they must not be set"
            )
        return self


def dense(
    token_ids: "keras.KerasTensor",
    embed: Embed,
    *,
    units: Layers,
    activation: Activation = "relu",
    dropout: reader.Rate = 0.0,
    pooling: Literal["none", "average", "max"] = "none",
) -> "keras.KerasTensor":
    """All vectors of a review side by side, then a dense layer for each of `units`.

    Dropout follows each dense layer; without a dense layer it follows the vectors. With `pooling`
    the average or the maximum of the vectors takes the place of all of them.
    """
    vectors = embed(token_ids, masked=False)
    if pooling == "none":
        features = backend.keras.layers.Flatten()(vectors)
    else:
        features = _pool(vectors, token_ids, pooling)
    return _hidden(features, units, activation, dropout)


def _pool(
    vectors: "keras.KerasTensor", token_ids: "keras.KerasTensor", pooling: str
) -> "keras.KerasTensor":
    """The average or the maximum over the words of a review; 0 if it has no word."""
    ops = backend.keras.ops
    words = ops.expand_dims(ops.cast(token_ids != PADDING, "float32"), -1)
    count = ops.sum(words, axis=1)
    if pooling == "average":
        return ops.sum(vectors * words, axis=1) / ops.maximum(count, 1.0)
    largest = ops.max(vectors * words - (1.0 - words) * FAR_BELOW, axis=1)
    return largest * ops.minimum(count, 1.0)


def bag_of_words(
    token_ids: "keras.KerasTensor",
    *,
    max_features: MaxFeatures,
    units: Layers,
    activation: Activation = "relu",
    dropout: reader.Rate = 0.0,
    dropout_layers: Annotated[int, Field(gt=0, le=100)] = 1,
) -> "keras.KerasTensor":
    """Which words a review contains (see `MaxFeatures`), then dense layers.

    The input is multi-hot: the order and the number of the words are lost. `dropout_layers` dropout
    layers follow each dense layer.
    """
    multi_hot = backend.keras.layers.CategoryEncoding(max_features, output_mode="multi_hot")
    words = multi_hot(_bounded(token_ids, max_features))[:, 1:]  # without the padding
    return _hidden(words, units, activation, dropout, dropout_layers)


def _bounded(token_ids: "keras.KerasTensor", max_features: int) -> "keras.KerasTensor":
    return backend.keras.ops.where(token_ids < max_features, token_ids, UNKNOWN)


def known_ids(model: "keras.Model") -> int:
    """How many token ids a network tells apart: all larger ones count as unknown to it."""
    for layer in model.layers:
        if layer.name == "embedding":
            return layer.input_dim
        if isinstance(layer, backend.keras.layers.CategoryEncoding):
            return layer.num_tokens
    return np.iinfo(np.int32).max


def _hidden(
    features: "keras.KerasTensor",
    units: list[int],
    activation: str,
    dropout: float,
    dropout_layers: int = 1,
) -> "keras.KerasTensor":
    layers = backend.keras.layers
    for width in units or [None]:
        if width:
            features = layers.Dense(width, activation=activation)(features)
        for _ in range(dropout_layers if dropout else 0):
            features = layers.Dropout(dropout)(features)
    return features


def _recurrent(layer: str, name: str) -> Callable[..., "keras.KerasTensor"]:
    def recurrent(
        token_ids: "keras.KerasTensor",
        embed: Embed,
        *,
        units: reader.Width,
        activation: Activation = "tanh",
        dropout: reader.Rate = 0.0,
        recurrent_dropout: reader.Rate = 0.0,
        pooling: Literal["last", "average", "max"] = "last",
    ) -> "keras.KerasTensor":
        """One recurrent layer over the vectors of a review; its last state, or all pooled."""
        make = getattr(backend.keras.layers, layer)
        settings = {"dropout": dropout, "recurrent_dropout": recurrent_dropout}
        every = pooling != "last"
        read = make(units, activation=activation, name=name, return_sequences=every, **settings)
        states = read(embed(token_ids, masked=True))
        return _pool(states, token_ids, pooling) if every else states

    return recurrent


NETWORKS: dict[str, Callable[..., "keras.KerasTensor"]] = {
    "dense": dense,
    "bag_of_words": bag_of_words,
    # Elman, 1990
    "simple_rnn": _recurrent("SimpleRNN", "simple_rnn"),
    # Hochreiter and Schmidhuber, 1997
    "lstm": _recurrent("LSTM", "lstm"),
    # Cho et al., 2014, in the form with two biases
    "gru": _recurrent("GRU", "gru"),
}


def options(name: str, entry: Any, task: str | None = None) -> Options:
    """Check the options of an entry of `models`; this does not import Keras.

    Args:
        name: the entry's name, for messages.
        entry: the entry, as `params.yaml` has it.
        task: a key of `ajuste.tasks.TASKS`, which decides the losses, class weights and thresholds
            that are allowed; None for an entry that is not in use, so that those of any task are.

    Raises:
        FaultsError: an option is unknown, missing, or has a value that does not fit.
    """
    key = f"models.{name}"
    reader.checked(entry, dict[str, Any], key)
    network = entry.get("network")
    if not isinstance(network, str) or network not in NETWORKS:
        raise reader.FaultsError(reader.FILE, [_no_network(key, entry)])
    found = reader.checked(entry, _schema(network), key)
    tasks = [TASKS[task]] if task else TASKS.values()
    allowed = {
        option: list(dict.fromkeys(value for one in tasks for value in getattr(one, of_task)))
        for option, of_task in OF_TASK.items()
    }
    faults = [
        f"`{key}.{option}` is {reader.shown(value)}; {_advice(value, valid, task)}"
        for option, valid in allowed.items()
        if (value := getattr(found, option)) not in (None, *valid)
    ]
    if faults:
        raise reader.FaultsError(reader.FILE, faults)
    return found.model_copy(update={"loss": found.loss or allowed["loss"][0]})


def _advice(value: str, valid: list[str], task: str | None) -> str:
    of_task = f" for `task: {task}`" if task else ""
    if not valid:
        return f"there is none{of_task}; set it to null or remove it"
    return reader.not_one_of(value, valid, of_task)


def _no_network(key: str, entry: dict[str, Any]) -> str:
    """The fault of an entry without a valid `network`."""
    if "network" in entry:
        network = entry["network"]
        valid = reader.not_one_of(network, NETWORKS)
        return f"`{key}.network` is {reader.shown(network)}; {valid}"
    for option in entry:
        if reader.meant(option, ["network"]):
            return f"`{key}.{option}` is not known; did you mean `network`?"
    return f"`{key}.network` is missing; valid: {', '.join(NETWORKS)}"


@cache
def _schema(network: str) -> type[Options]:
    """The options of a network: the common ones, and the keyword-only arguments of its builder."""
    arguments = inspect.signature(NETWORKS[network]).parameters
    own = {
        name: (argument.annotation, ... if argument.default is argument.empty else argument.default)
        for name, argument in arguments.items()
        if argument.kind is argument.KEYWORD_ONLY
    }
    base = EmbeddingOptions if "embed" in arguments else Options
    return create_model(network, __base__=base, **own)


def build(
    name: str,
    entry: dict[str, Any],
    embedding_matrix: np.ndarray,
    max_length: int,
    task: str = "binary",
    outputs: int = 1,
) -> tuple["keras.Model", Options]:
    """Build the network that an entry of `models` describes.

    Args:
        name: the entry's name, for messages.
        entry: the entry, as `params.yaml` has it.
        embedding_matrix: float32 (vocabulary, width), row 0 for padding.
        max_length: the number of token ids of a review.
        task: a key of `ajuste.tasks.TASKS`; it decides the activation of the last layer.
        outputs: the columns of its targets.

    Returns:
        The model, int32 (batch, max_length) in and float32 (batch, outputs) out; and the options
        common to all networks, `loss` among them.

    Raises:
        FaultsError: an option is unknown, missing, or has a value that does not fit.
    """
    keras = backend.keras
    chosen = options(name, entry, task)
    builder = NETWORKS[chosen.network]
    token_ids = keras.Input((max_length,), dtype="int32", name="token_ids")
    inputs = [token_ids]
    if isinstance(chosen, EmbeddingOptions):
        inputs.append(_embedding(chosen, embedding_matrix))
    own = inspect.getfullargspec(builder).kwonlyargs
    features = builder(*inputs, **{option: getattr(chosen, option) for option in own})
    head = keras.layers.Dense(outputs, activation=TASKS[task].activation, name="output")
    model = keras.Model(token_ids, head(features), name=name)
    _penalize(model, chosen)
    return model, chosen


def _penalize(model: "keras.Model", options: Options) -> None:
    """Put the L1 and L2 penalties on all trainable weights except biases."""
    if options.l1 or options.l2:
        penalty = backend.keras.regularizers.L1L2(options.l1, options.l2)
        for weight in model.trainable_weights:
            if len(weight.shape) > 1:
                weight.regularizer = penalty


def keras_loss(name: str, weights: np.ndarray | None) -> Any:
    """The loss for Keras: its name, or a function if the reviews count by their class.

    Args:
        name: one of the losses of `TASKS`.
        weights: those of `ajuste.tasks.class_weights`, (2, outputs), or None.
    """
    if weights is None:
        return name
    ops = backend.keras.ops
    no, yes = weights.astype(np.float32)

    def weighted(targets: Any, predictions: Any) -> Any:
        targets = ops.cast(targets, "float32")
        if name == CATEGORICAL_CROSSENTROPY:
            losses = ops.categorical_crossentropy(targets, predictions)
            return ops.sum(yes * targets, axis=-1) * losses
        losses = ops.binary_crossentropy(targets, predictions)
        return ops.mean((yes * targets + no * (1 - targets)) * losses, axis=-1)

    return weighted


def compile_model(
    model: "keras.Model", options: Options, steps: int, weights: np.ndarray | None = None
) -> None:
    """Give a network its loss and its optimizer.

    Args:
        model: what `build` gave.
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
    optimizer = make(learning_rate=rate, global_clipnorm=options.clip_norm)
    model.compile(optimizer, loss=keras_loss(options.loss, weights))


def _embedding(options: EmbeddingOptions, matrix: np.ndarray) -> Embed:
    def embed(token_ids: "keras.KerasTensor", masked: bool) -> "keras.KerasTensor":
        layers = backend.keras.layers
        if options.embedding == "scratch":
            size = options.max_features, options.embedding_width
            layer = layers.Embedding(*size, mask_zero=masked, name="embedding")
            return layer(_bounded(token_ids, options.max_features))
        layer = layers.Embedding(
            *matrix.shape,
            weights=[matrix],
            name="embedding",
            mask_zero=masked,
            trainable=options.embedding == "trained",
        )
        return layer(token_ids)

    return embed
