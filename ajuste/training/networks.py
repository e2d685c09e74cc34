"""The networks: one builder function each.

To add one, write its builder here, list it in `NETWORKS`, and give it an entry under `models` in
`params.yaml`. The keyword arguments of the builder are the options of the entry; their annotations
are the schema.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from ajuste.config import reader
from ajuste.training import backend, ngrams
from ajuste.training.layers import (
    Pooling,
    attention,
    bounded,
    hidden,
    is_word,
    normalized,
    pool,
)
from ajuste.training.options import Activation, Layers, Length, MaxFeatures

if TYPE_CHECKING:
    from ajuste.training.backend import keras

Embed = Callable[..., "keras.KerasTensor"]
"""`embed(token_ids, masked)`: int32 (batch, length) in, float32 (batch, length, width) out."""
Count = Callable[[int], ngrams.NGrams]
"""`count(order)`: the n-grams of the training part."""


def dense(
    token_ids: "keras.KerasTensor",
    embed: Embed,
    *,
    units: Layers,
    activation: Activation = "relu",
    dropout: reader.Rate = 0.0,
    pooling: Literal["none", Pooling] = "none",
) -> "keras.KerasTensor":
    """All vectors of a review side by side, then a dense layer for each of `units`.

    Dropout follows each dense layer; without a dense layer it follows the vectors. With `pooling`
    the average or the maximum of the vectors takes the place of all of them.
    """
    vectors = embed(token_ids, masked=False)
    if pooling == "none":
        features = backend.keras.layers.Flatten()(vectors)
    else:
        features = pool(vectors, token_ids, pooling)
    return hidden(features, units, activation, dropout)


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
    words = multi_hot(bounded(token_ids, max_features))[:, 1:]  # without the padding
    return hidden(words, units, activation, dropout, dropout_layers)


def bag_of_ngrams(
    token_ids: "keras.KerasTensor",
    count: Count,
    *,
    order: Annotated[int, Field(gt=0, le=3)] = 3,
    units: Layers,
    activation: Activation = "relu",
    dropout: reader.Rate = 0.0,
) -> "keras.KerasTensor":
    """Which n-grams of up to `order` words a review contains, each with a learned vector.

    The vectors begin at zero. They are weighted by the inverse document frequency and by naive
    Bayes ratios (see `ajuste.training.ngrams`), added, and divided by the length of the review's
    vector of frequencies. Without `units` a vector has a number for each output, which makes the
    network linear; the first of `units` is its width otherwise, and the others are dense layers.
    Dropout leaves out n-grams.
    """
    ops, layers = backend.keras.ops, backend.keras.layers
    found = count(order)
    places = ngrams.places(token_ids, found)
    outputs = found.ratios.shape[1]
    width = units[0] if units else outputs
    ratios = np.abs(found.ratios).max(axis=1, keepdims=True) if units else found.ratios
    idf = found.idf[:, None]
    table = np.vstack([np.zeros((1, 1 + ratios.shape[1])), np.hstack([idf, idf * ratios])])
    fixed = layers.Embedding(*table.shape, weights=[table], trainable=False, name="weighting")
    weighting = fixed(places)
    start = "uniform" if units else "zeros"
    learned = layers.Embedding(
        len(table), width, embeddings_initializer=start, name="ngram_vectors"
    )(places)
    learned = layers.Dropout(dropout, noise_shape=(None, None, 1))(learned)
    length = ops.sqrt(ops.sum(ops.square(weighting[:, :, :1]), axis=1))
    total = ops.sum(weighting[:, :, 1:] * learned, axis=1) / ops.maximum(length, 1.0)
    if not units:
        return total
    return hidden(layers.Activation(activation)(total), units[1:], activation, dropout)


def _recurrent(layer: str, name: str) -> Callable[..., "keras.KerasTensor"]:
    def recurrent(
        token_ids: "keras.KerasTensor",
        embed: Embed,
        *,
        units: reader.Width,
        activation: Activation = "tanh",
        dropout: reader.Rate = 0.0,
        recurrent_dropout: reader.Rate = 0.0,
        bidirectional: bool = False,
        pooling: Literal["last", Pooling] = "last",
    ) -> "keras.KerasTensor":
        """One recurrent layer over the vectors of a review; its last state, or all pooled.

        With `bidirectional` a second one reads the review from its end (Schuster and Paliwal,
        1997), and the states of both are side by side.
        """
        layers = backend.keras.layers
        settings = {"dropout": dropout, "recurrent_dropout": recurrent_dropout}
        every = pooling != "last"
        read = getattr(layers, layer)(
            units, activation=activation, name=name, return_sequences=every, **settings
        )
        if bidirectional:
            read = layers.Bidirectional(read, name="bidirectional")
        states = read(embed(token_ids, masked=True))
        return pool(states, token_ids, pooling) if every else states

    return recurrent


def convolution(
    token_ids: "keras.KerasTensor",
    embed: Embed,
    *,
    filters: reader.Width,
    regions: Annotated[list[Length], Field(min_length=1, max_length=20)],
    units: Layers,
    activation: Activation = "relu",
    dropout: reader.Rate = 0.0,
    pooling: Pooling = "max",
) -> "keras.KerasTensor":
    """Filters over regions of adjacent words, pooled over the review (Kim, 2014).

    There are `filters` for each size in `regions`, and dropout follows the pooling.
    """
    layers = backend.keras.layers
    vectors = embed(token_ids, masked=False) * is_word(token_ids)
    pooled = []
    for size in regions:
        read = layers.Conv1D(
            filters, size, padding="same", activation=activation, name=f"regions_of_{size}"
        )
        pooled.append(pool(read(vectors), token_ids, pooling))
    features = pooled[0] if len(pooled) == 1 else layers.Concatenate()(pooled)
    return hidden(layers.Dropout(dropout)(features), units, activation, dropout)


def transformer(
    token_ids: "keras.KerasTensor",
    embed: Embed,
    *,
    width: reader.Width,
    heads: Annotated[int, Field(gt=0, le=100)],
    blocks: Annotated[int, Field(gt=0, le=100)],
    dropout: reader.Rate = 0.0,
    pooling: Pooling = "average",
    max_length: Length,
) -> "keras.KerasTensor":
    """Blocks of self-attention and two dense layers, with learned positions (Vaswani et al., 2017).

    Each part of a block reads normalized vectors, and adds to them (Xiong et al., 2020); `width` is
    that of the vectors, which a dense layer makes from the word vectors.
    """
    layers, ops = backend.keras.layers, backend.keras.ops
    positions = ops.cumsum(ops.ones_like(token_ids), axis=1) - 1
    states = layers.Dense(width, name="projection")(embed(token_ids, masked=False))
    states = states + layers.Embedding(max_length, width, name="positions")(positions)
    states = layers.Dropout(dropout)(states)
    for _ in range(blocks):
        attended = attention(normalized(states), token_ids, width, heads)
        states = states + layers.Dropout(dropout)(attended)
        inner = layers.Dense(4 * width, activation="relu")(normalized(states))
        states = states + layers.Dropout(dropout)(layers.Dense(width)(inner))
    pooled = pool(normalized(states), token_ids, pooling)
    return layers.Dropout(dropout)(pooled)


NETWORKS: dict[str, Callable[..., "keras.KerasTensor"]] = {
    "dense": dense,
    "bag_of_words": bag_of_words,
    "bag_of_ngrams": bag_of_ngrams,
    # Elman, 1990
    "simple_rnn": _recurrent("SimpleRNN", "simple_rnn"),
    # Hochreiter and Schmidhuber, 1997
    "lstm": _recurrent("LSTM", "lstm"),
    # Cho et al., 2014, in the form with two biases
    "gru": _recurrent("GRU", "gru"),
    "convolution": convolution,
    "transformer": transformer,
}
