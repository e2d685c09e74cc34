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


class Options(params.Params):
    """What every entry of `models` has, whatever its network."""

    network: str
    embedding: Literal["frozen", "trained", "scratch"]
    embedding_width: params.Positive | None = None
    max_features: Annotated[int, Field(gt=UNKNOWN)] | None = None
    optimizer: Literal[*OPTIMIZERS]
    learning_rate: Annotated[float, Field(gt=0)]
    schedule: Literal["constant", "cosine"]
    batch_size: params.Positive
    epochs: params.Positive
    patience: params.Count = 0

    @model_validator(mode="after")
    def _scratch_has_a_size(self) -> "Options":
        sizes = (self.embedding_width is not None, self.max_features is not None)
        if sizes != (self.embedding == "scratch",) * 2:
            raise ValueError(
                "`embedding_width` and `max_features` go with `embedding: scratch`, and with no "
                "other"
            )
        return self


def dense(
    token_ids: keras.KerasTensor, embed: Embed, *, units: list[params.Positive]
) -> keras.KerasTensor:
    """All vectors of a review side by side, then a rectified dense layer for each of `units`."""
    features = layers.Flatten()(embed(token_ids, masked=False))
    for width in units:
        features = layers.Dense(width, activation="relu")(features)
    return features


def simple_rnn(
    token_ids: keras.KerasTensor,
    embed: Embed,
    *,
    units: params.Positive,
    dropout: params.Rate = 0.0,
    recurrent_dropout: params.Rate = 0.0,
) -> keras.KerasTensor:
    """A simple recurrent layer (Elman, 1990); its last state."""
    layer = layers.SimpleRNN(
        units, dropout=dropout, recurrent_dropout=recurrent_dropout, name="simple_rnn"
    )
    return layer(embed(token_ids, masked=True))


def lstm(
    token_ids: keras.KerasTensor,
    embed: Embed,
    *,
    units: params.Positive,
    dropout: params.Rate = 0.0,
    recurrent_dropout: params.Rate = 0.0,
) -> keras.KerasTensor:
    """Long short-term memory (Hochreiter and Schmidhuber, 1997); its last state."""
    layer = layers.LSTM(units, dropout=dropout, recurrent_dropout=recurrent_dropout, name="lstm")
    return layer(embed(token_ids, masked=True))


def gru(
    token_ids: keras.KerasTensor,
    embed: Embed,
    *,
    units: params.Positive,
    dropout: params.Rate = 0.0,
    recurrent_dropout: params.Rate = 0.0,
) -> keras.KerasTensor:
    """Gated recurrent unit (Cho et al., 2014), in the form with two biases; its last state."""
    layer = layers.GRU(units, dropout=dropout, recurrent_dropout=recurrent_dropout, name="gru")
    return layer(embed(token_ids, masked=True))


NETWORKS: dict[str, Callable[..., keras.KerasTensor]] = {
    "dense": dense,
    "simple_rnn": simple_rnn,
    "lstm": lstm,
    "gru": gru,
}


def build(
    name: str, entry: dict[str, Any], embedding_matrix: np.ndarray, max_length: int
) -> tuple[keras.Model, Options]:
    """The network that an entry of `models` describes.

    Args:
        name: the entry's name, for messages.
        entry: the entry, as `params.yaml` has it.
        embedding_matrix: float32 (vocabulary, width), row 0 for padding.
        max_length: the number of token ids of a review.

    Returns:
        The model, int32 (batch, max_length) in and float32 (batch, 1) out, the probability of the
        positive class; and the options common to all networks.

    Raises:
        PipelineError: an option is unknown, missing, or has a value that does not fit.
    """
    key = f"models.{name}"
    network = entry.get("network")
    if not isinstance(network, str) or network not in NETWORKS:
        raise PipelineError(
            f"params.yaml: `{key}.network` is {network!r}; valid: {', '.join(NETWORKS)}"
        )
    own = _own_options(NETWORKS[network])
    schema = create_model(network, __base__=Options, **own)
    try:
        options = schema.model_validate(entry)
    except ValidationError as error:
        raise PipelineError(f"params.yaml: {params.describe(error, key, schema)}") from None
    token_ids = keras.Input((max_length,), dtype="int32", name="token_ids")
    embed = _embedding(options, embedding_matrix)
    chosen = {option: getattr(options, option) for option in own}
    features = NETWORKS[network](token_ids, embed, **chosen)
    probability = layers.Dense(1, activation="sigmoid", name="probability")(features)
    model = keras.Model(token_ids, probability, name=name)
    return model, options


def _own_options(builder: Callable[..., keras.KerasTensor]) -> dict[str, Any]:
    """The keyword-only arguments of a builder, as the fields of a schema."""
    return {
        name: (argument.annotation, ... if argument.default is argument.empty else argument.default)
        for name, argument in inspect.signature(builder).parameters.items()
        if argument.kind is argument.KEYWORD_ONLY
    }


def compile_model(model: keras.Model, options: Options, steps: int) -> None:
    """Give a network its loss and its optimizer.

    Args:
        model: what `build` gave.
        options: the optimizer, its learning rate and schedule. `cosine` lets the rate fall to zero
            over the training (Loshchilov and Hutter, 2017), `constant` leaves it as it is.
        steps: the batches of the whole training.
    """
    rate: Any = options.learning_rate
    if options.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    optimizer = OPTIMIZERS[options.optimizer](learning_rate=rate)
    model.compile(optimizer, loss="binary_crossentropy", metrics=["accuracy"])


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
