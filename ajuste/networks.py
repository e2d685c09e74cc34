"""The networks: one builder function each, and what is common to all of them.

To add one, write its builder here, list it in `NETWORKS`, and give it an entry under `models` in
`params.yaml`. The keyword arguments of the builder are the options of the entry, checked by their
annotations.
"""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError, create_model, model_validator

from ajuste import params
from ajuste.backend import keras
from ajuste.errors import PipelineError
from ajuste.tasks import TASKS
from ajuste.text import UNKNOWN

layers, ops = keras.layers, keras.ops

OPTIMIZERS = {
    "sgd": keras.optimizers.SGD,
    "adagrad": keras.optimizers.Adagrad,
    "rmsprop": keras.optimizers.RMSprop,
    "adam": keras.optimizers.Adam,
}

Embed = Callable[..., keras.KerasTensor]
"""`embed(token_ids, masked)`: int32 (batch, length) in, float32 (batch, length, width) out."""


ACTIVATIONS = ("linear", "sigmoid", "relu", "tanh")
Activation = Literal[*ACTIVATIONS]


class Options(params.Params):
    """What every entry of `models` has, whatever its network."""

    network: str
    optimizer: Literal[*OPTIMIZERS]
    learning_rate: Annotated[float, Field(gt=0)]
    schedule: Literal["constant", "cosine"]
    batch_size: params.Positive
    epochs: params.Positive
    patience: params.Count = 0
    loss: str | None = None
    l1: params.Penalty = 0.0
    l2: params.Penalty = 0.0
    clip_norm: Annotated[float, Field(gt=0)] | None = None


class EmbeddingOptions(Options):
    """What the entry of a network that reads word vectors has besides."""

    embedding: Literal["frozen", "trained", "scratch"]
    embedding_width: params.Positive | None = None
    max_features: Annotated[int, Field(gt=UNKNOWN)] | None = None

    @model_validator(mode="after")
    def _scratch_has_a_size(self) -> "EmbeddingOptions":
        sizes = (self.embedding_width is not None, self.max_features is not None)
        if sizes != (self.embedding == "scratch",) * 2:
            raise ValueError(
                "`embedding_width` and `max_features` go with `embedding: scratch`, and with no "
                "other"
            )
        return self


def dense(
    token_ids: keras.KerasTensor,
    embed: Embed,
    *,
    units: list[params.Positive],
    activation: Activation = "relu",
    dropout: params.Rate = 0.0,
) -> keras.KerasTensor:
    """All vectors of a review side by side, then a dense layer for each of `units`.

    Dropout follows each of them, or the vectors where there is none.
    """
    return _hidden(layers.Flatten()(embed(token_ids, masked=False)), units, activation, dropout)


def bag_of_words(
    token_ids: keras.KerasTensor,
    *,
    max_features: Annotated[int, Field(gt=UNKNOWN)],
    units: list[params.Positive],
    activation: Activation = "relu",
    dropout: params.Rate = 0.0,
    dropout_layers: params.Positive = 1,
) -> keras.KerasTensor:
    """Which of the `max_features` most frequent words a review holds, then dense layers.

    The input is multi-hot: order and number of the words are lost, rarer ones count as unknown.
    `dropout_layers` dropouts follow each dense layer, one after another.
    """
    known = ops.where(token_ids <= max_features, token_ids, UNKNOWN)
    padding_and_words = layers.CategoryEncoding(1 + max_features, output_mode="multi_hot")(known)
    return _hidden(padding_and_words[:, 1:], units, activation, dropout, dropout_layers)


def _hidden(
    features: keras.KerasTensor,
    units: list[int],
    activation: str,
    dropout: float,
    dropout_layers: int = 1,
) -> keras.KerasTensor:
    for width in units or [None]:
        if width:
            features = layers.Dense(width, activation=activation)(features)
        for _ in range(dropout_layers if dropout else 0):
            features = layers.Dropout(dropout)(features)
    return features


def _recurrent(layer: type[keras.layers.RNN], name: str) -> Callable[..., keras.KerasTensor]:
    def recurrent(
        token_ids: keras.KerasTensor,
        embed: Embed,
        *,
        units: params.Positive,
        activation: Activation = "tanh",
        dropout: params.Rate = 0.0,
        recurrent_dropout: params.Rate = 0.0,
    ) -> keras.KerasTensor:
        """One recurrent layer over the vectors of a review; its last state."""
        settings = {"dropout": dropout, "recurrent_dropout": recurrent_dropout}
        read = layer(units, activation=activation, name=name, **settings)
        return read(embed(token_ids, masked=True))

    return recurrent


NETWORKS: dict[str, Callable[..., keras.KerasTensor]] = {
    "dense": dense,
    "bag_of_words": bag_of_words,
    # Elman, 1990
    "simple_rnn": _recurrent(layers.SimpleRNN, "simple_rnn"),
    # Hochreiter and Schmidhuber, 1997
    "lstm": _recurrent(layers.LSTM, "lstm"),
    # Cho et al., 2014, in the form with two biases
    "gru": _recurrent(layers.GRU, "gru"),
}


def build(
    name: str,
    entry: dict[str, Any],
    embedding_matrix: np.ndarray,
    max_length: int,
    task: str = "binary",
    outputs: int = 1,
) -> tuple[keras.Model, Options]:
    """The network that an entry of `models` describes.

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
        PipelineError: an option is unknown, missing, or has a value that does not fit.
    """
    key = f"models.{name}"
    network = entry.get("network")
    if not isinstance(network, str) or network not in NETWORKS:
        raise PipelineError(
            f"params.yaml: `{key}.network` is {network!r}; valid: {', '.join(NETWORKS)}"
        )
    builder = NETWORKS[network]
    own = _own_options(builder)
    reads_vectors = "embed" in inspect.signature(builder).parameters
    schema = create_model(network, __base__=EmbeddingOptions if reads_vectors else Options, **own)
    try:
        options = schema.model_validate(entry)
    except ValidationError as error:
        raise PipelineError(f"params.yaml: {params.describe(error, key, schema)}") from None
    losses = TASKS[task].losses
    if options.loss not in (None, *losses):
        raise PipelineError(
            f"params.yaml: `{key}.loss` is {options.loss!r}; valid for `task: {task}`: "
            f"{', '.join(losses)}"
        )
    options = options.model_copy(update={"loss": options.loss or losses[0]})
    token_ids = keras.Input((max_length,), dtype="int32", name="token_ids")
    inputs = [token_ids, _embedding(options, embedding_matrix)] if reads_vectors else [token_ids]
    features = builder(*inputs, **{option: getattr(options, option) for option in own})
    head = layers.Dense(outputs, activation=TASKS[task].activation, name="output")
    model = keras.Model(token_ids, head(features), name=name)
    _penalize(model, options)
    return model, options


def _own_options(builder: Callable[..., keras.KerasTensor]) -> dict[str, Any]:
    """The keyword-only arguments of a builder, as the fields of a schema."""
    return {
        name: (argument.annotation, ... if argument.default is argument.empty else argument.default)
        for name, argument in inspect.signature(builder).parameters.items()
        if argument.kind is argument.KEYWORD_ONLY
    }


def _penalize(model: keras.Model, options: Options) -> None:
    """Put the L1 and L2 penalties on all weights that are trained, but not on biases."""
    if options.l1 or options.l2:
        penalty = keras.regularizers.L1L2(options.l1, options.l2)
        for weight in model.trainable_weights:
            if len(weight.shape) > 1:
                weight.regularizer = penalty


def compile_model(model: keras.Model, options: Options, steps: int) -> None:
    """Give a network its loss and its optimizer.

    Args:
        model: what `build` gave.
        options: the optimizer, its learning rate and schedule. `cosine` lets the rate fall to zero
            over the training (Loshchilov and Hutter, 2017), `constant` leaves it as it is.
            `clip_norm` bounds the norm of the gradient of all weights together (Pascanu et al.,
            2013).
        steps: the batches of the whole training.
    """
    rate: Any = options.learning_rate
    if options.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    make = OPTIMIZERS[options.optimizer]
    optimizer = make(learning_rate=rate, global_clipnorm=options.clip_norm)
    model.compile(optimizer, loss=options.loss)


def _embedding(options: Options, matrix: np.ndarray) -> Embed:
    def embed(token_ids: keras.KerasTensor, masked: bool) -> keras.KerasTensor:
        if options.embedding == "scratch":
            size = options.max_features
            token_ids = ops.where(token_ids < size, token_ids, UNKNOWN)
            return layers.Embedding(
                size, options.embedding_width, mask_zero=masked, name="embedding"
            )(token_ids)
        layer = layers.Embedding(
            *matrix.shape,
            weights=[matrix],
            name="embedding",
            mask_zero=masked,
            trainable=options.embedding == "trained",
        )
        return layer(token_ids)

    return embed
