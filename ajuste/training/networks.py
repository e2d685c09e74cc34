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
from pydantic import Field, create_model

from ajuste.config import reader
from ajuste.data.encoder import PADDING, UNKNOWN
from ajuste.tasks import NUMERIC, TASKS, constant
from ajuste.training import backend, ngrams
from ajuste.training.calibration import scores_of
from ajuste.training.options import (
    Activation,
    EmbeddingOptions,
    Layers,
    Length,
    MaxFeatures,
    Options,
    TrainedOptions,
    penalize,
)

if TYPE_CHECKING:
    from ajuste.training.backend import keras

OF_TASK = {"loss": "losses", "class_weight": "class_weights", "threshold": "thresholds"}
"""The options whose valid values depend on the task, and their names in `ajuste.tasks.Task`."""

SMALL_VARIANCE = 1e-3  # as in Keras
FAR_BELOW = 1e9  # what a maximum over words never takes

Arrays = dict[str, np.ndarray]
"""A part: `token_ids`, int32 (n, max_length), and `targets`, float32 (n, outputs)."""
Embed = Callable[..., "keras.KerasTensor"]
"""`embed(token_ids, masked)`: int32 (batch, length) in, float32 (batch, length, width) out."""
Count = Callable[[int], ngrams.NGrams]
"""`count(order)`: the n-grams of the training part."""
Pooling = Literal["average", "max", "attention"]


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
        features = _pool(vectors, token_ids, pooling)
    return _hidden(features, units, activation, dropout)


def _pool(
    vectors: "keras.KerasTensor", token_ids: "keras.KerasTensor", pooling: Pooling
) -> "keras.KerasTensor":
    """The average or the maximum over the words of a review; 0 if it has no word.

    `attention` is an average whose weights are learned: the softmax of a score of each vector
    (Yang et al., 2016, with one linear layer for the score).
    """
    ops = backend.keras.ops
    words = _is_word(token_ids)
    count = ops.sum(words, axis=1)
    if pooling == "average":
        return ops.sum(vectors * words, axis=1) / ops.maximum(count, 1.0)
    if pooling == "attention":
        score = backend.keras.layers.Dense(1, name="attention", use_bias=False)(vectors)
        weights = _softmax(score - (1.0 - words) * FAR_BELOW, axis=1)
        return ops.sum(vectors * words * weights, axis=1)
    largest = ops.max(vectors * words - (1.0 - words) * FAR_BELOW, axis=1)
    return largest * ops.minimum(count, 1.0)


def _softmax(scores: "keras.KerasTensor", axis: int) -> "keras.KerasTensor":
    # The kernel of TensorFlow's softmax estimates 1 / x (see `ajuste.training.portable`).
    ops = backend.keras.ops
    shares = ops.exp(scores - ops.max(scores, axis=axis, keepdims=True))
    return shares / ops.sum(shares, axis=axis, keepdims=True)


def _normalized(states: "keras.KerasTensor") -> "keras.KerasTensor":
    # Layer normalization without scale and shift; Keras' layer estimates 1 / sqrt(x).
    ops = backend.keras.ops
    centred = states - ops.mean(states, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
    return centred / ops.sqrt(variance + SMALL_VARIANCE)


def _is_word(token_ids: "keras.KerasTensor") -> "keras.KerasTensor":
    """1 for a word and 0 for padding, float32 (batch, length, 1)."""
    ops = backend.keras.ops
    return ops.expand_dims(ops.cast(token_ids != PADDING, "float32"), -1)


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
    return _hidden(layers.Activation(activation)(total), units[1:], activation, dropout)


def _bounded(token_ids: "keras.KerasTensor", max_features: int) -> "keras.KerasTensor":
    return backend.keras.ops.where(token_ids < max_features, token_ids, UNKNOWN)


def distinct_ids(model: "keras.Model") -> int:
    """How many token ids a network tells apart: all larger ones count as unknown to it."""
    inner = [layer for layer in model.layers if isinstance(layer, backend.keras.Model)]
    if inner:
        return max(map(distinct_ids, inner))
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
        return _pool(states, token_ids, pooling) if every else states

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
    vectors = embed(token_ids, masked=False) * _is_word(token_ids)
    pooled = []
    for size in regions:
        read = layers.Conv1D(
            filters, size, padding="same", activation=activation, name=f"regions_of_{size}"
        )
        pooled.append(_pool(read(vectors), token_ids, pooling))
    features = pooled[0] if len(pooled) == 1 else layers.Concatenate()(pooled)
    return _hidden(layers.Dropout(dropout)(features), units, activation, dropout)


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
        attended = _attention(_normalized(states), token_ids, width, heads)
        states = states + layers.Dropout(dropout)(attended)
        inner = layers.Dense(4 * width, activation="relu")(_normalized(states))
        states = states + layers.Dropout(dropout)(layers.Dense(width)(inner))
    pooled = _pool(_normalized(states), token_ids, pooling)
    return layers.Dropout(dropout)(pooled)


def _attention(
    states: "keras.KerasTensor", token_ids: "keras.KerasTensor", width: int, heads: int
) -> "keras.KerasTensor":
    """Scaled dot-product attention to all words of a review, with several heads."""
    layers, ops = backend.keras.layers, backend.keras.ops
    size = max(1, width // heads)
    hidden = FAR_BELOW * (1.0 - ops.expand_dims(ops.transpose(_is_word(token_ids), (0, 2, 1)), 1))
    query, key, value = (
        layers.EinsumDense("bld,dhk->bhlk", (heads, None, size))(states) for _ in range(3)
    )
    scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) / size**0.5 - hidden
    seen = ops.matmul(_softmax(scores, axis=-1), value)
    return layers.EinsumDense("bhlk,hkd->bld", (None, width))(seen)


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
MAJORITY, ENSEMBLE = "majority", "ensemble"


class EnsembleOptions(Options):
    """The options of an entry that combines others: the entries themselves, by their names."""

    members: Annotated[dict[reader.Name, dict[str, Any]], Field(min_length=2)]


UNTRAINED: dict[str, type[Options]] = {MAJORITY: Options, ENSEMBLE: EnsembleOptions}
"""Values of `network` that are not trained epoch by epoch (see `ajuste.training.entry`)."""


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
    if not isinstance(network, str) or network not in (*NETWORKS, *UNTRAINED):
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
    if isinstance(found, EnsembleOptions):
        faults += _of_members(name, found, task)
    if faults:
        raise reader.FaultsError(reader.FILE, faults)
    return found.model_copy(update={"loss": found.loss or allowed["loss"][0]})


def _of_members(name: str, ensemble: EnsembleOptions, task: str | None) -> list[str]:
    faults = []
    for member, entry in ensemble.members.items():
        try:
            network = options(f"{name}.members.{member}", entry, task).network
        except reader.FaultsError as error:
            faults += error.faults
            continue
        if network in UNTRAINED:
            faults.append(
                f"`models.{name}.members.{member}.network` is {network}; a member must be one of "
                f"{', '.join(NETWORKS)}"
            )
    return faults


def _advice(value: str, valid: list[str], task: str | None) -> str:
    of_task = f" for `task: {task}`" if task else ""
    if not valid:
        return f"there is none{of_task}; set it to null or remove it"
    return reader.not_one_of(value, valid, of_task)


def _no_network(key: str, entry: dict[str, Any]) -> str:
    """The fault of an entry without a valid `network`."""
    known = [*NETWORKS, *UNTRAINED]
    if "network" in entry:
        network = entry["network"]
        valid = reader.not_one_of(network, known)
        return f"`{key}.network` is {reader.shown(network)}; {valid}"
    for option in entry:
        if reader.meant(option, ["network"]):
            return f"`{key}.{option}` is not known; did you mean `network`?"
    return f"`{key}.network` is missing; valid: {', '.join(known)}"


@cache
def _schema(network: str) -> type[Options]:
    """The options of a network: the common ones, and the keyword-only arguments of its builder."""
    if network in UNTRAINED:
        return UNTRAINED[network]
    arguments = inspect.signature(NETWORKS[network]).parameters
    own = {
        name: (argument.annotation, ... if argument.default is argument.empty else argument.default)
        for name, argument in arguments.items()
        if argument.kind is argument.KEYWORD_ONLY
    }
    base = EmbeddingOptions if "embed" in arguments else TrainedOptions
    return create_model(network, __base__=base, **own)


def build(
    name: str,
    entry: dict[str, Any],
    embedding_matrix: np.ndarray,
    task: str = "binary",
    outputs: int = 1,
    train: Arrays | None = None,
) -> tuple["keras.Model", TrainedOptions]:
    """Build the network that an entry of `models` describes.

    Args:
        name: the entry's name, for messages.
        entry: the entry, as `params.yaml` has it.
        embedding_matrix: float32 (vocabulary, width), row 0 for padding.
        task: a key of `ajuste.tasks.TASKS`; it decides the activation of the last layer.
        outputs: the columns of its targets.
        train: the training part, for networks that count its n-grams.

    Returns:
        The model, int32 (batch, length) in and float32 (batch, outputs) out; and the options common
        to all networks, `loss` among them. The length is at most `max_length`; for a dense network
        it is `max_length`.

    Raises:
        FaultsError: an option is unknown, missing, or has a value that does not fit.
    """
    keras = backend.keras
    chosen = options(name, entry, task)
    builder = NETWORKS[chosen.network]
    length = chosen.max_length if builder is dense else None
    token_ids = keras.Input((length,), dtype="int32", name="token_ids")
    arguments = inspect.getfullargspec(builder)
    given = {option: getattr(chosen, option) for option in arguments.kwonlyargs}
    if "embed" in arguments.args:
        given["embed"] = _embedding(chosen, embedding_matrix)
    if "count" in arguments.args:
        given["count"] = lambda order: ngrams.count(
            **train, order=order, classes=task not in NUMERIC
        )
    features = builder(token_ids, **given)
    head = keras.layers.Dense(outputs, activation=TASKS[task].activation, name="output")
    model = keras.Model(token_ids, head(features), name=name)
    if builder is bag_of_ngrams and not chosen.units:
        # The features are scores already; all are zero, so it begins with the class frequencies.
        frequencies = constant(chosen.loss, train["targets"])
        start = scores_of(task, frequencies[None])[0].round(ngrams.DECIMALS)
        head.set_weights([np.eye(outputs), start])
    penalize(model, chosen)
    return model, chosen


def _embedding(options: EmbeddingOptions, matrix: np.ndarray) -> Embed:
    layers = backend.keras.layers

    def embed(token_ids: "keras.KerasTensor", masked: bool) -> "keras.KerasTensor":
        if options.embedding == "scratch":
            size = options.max_features, options.embedding_width
            layer = layers.Embedding(*size, mask_zero=masked, name="embedding")
            vectors = layer(_bounded(token_ids, options.max_features))
        else:
            layer = layers.Embedding(
                *matrix.shape,
                weights=[matrix],
                name="embedding",
                mask_zero=masked,
                trainable=options.embedding == "trained",
            )
            vectors = layer(token_ids)
        if options.word_dropout:
            words = (None, None, 1)
            vectors = layers.Dropout(options.word_dropout, noise_shape=words)(vectors)
        if options.embedding_dropout:
            vectors = layers.SpatialDropout1D(options.embedding_dropout)(vectors)
        return vectors

    return embed
