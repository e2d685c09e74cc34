"""Build the Keras model of an entry of `models`."""

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from ajuste.data.encoder import Arrays
from ajuste.tasks import NUMERIC, TASKS, constant
from ajuste.training import backend, entry_schema, ngrams
from ajuste.training.calibration import scores_of
from ajuste.training.layers import bounded
from ajuste.training.networks import NETWORKS, Embed, bag_of_ngrams, dense
from ajuste.training.options import EmbeddingOptions, TrainedOptions, penalize

if TYPE_CHECKING:
    from ajuste.training.backend import keras


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
    chosen = entry_schema.options(name, entry, task)
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
            vectors = layer(bounded(token_ids, options.max_features))
        else:
            layer = layers.Embedding(
                *matrix.shape,
                weights=[matrix * options.embedding_scale],
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
