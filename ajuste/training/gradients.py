"""The size of the gradient of the loss: in each layer, and back through time.

Sources: Bengio, Simard and Frasconi, 1994 (learning long-term dependencies is difficult); Pascanu,
Mikolov and Bengio, 2013 (vanishing and exploding gradients).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ajuste.data.encoder import PADDING
from ajuste.training import backend

if TYPE_CHECKING:
    from ajuste.training.backend import keras, tf

VANISHED = 1e-4
"""With this share of the gradient of the last layer, a layer learns almost nothing."""

EXPLODED = 100.0
"""The gradient of a cross-entropy is about 1; steps this large destroy what was learned."""

Norms = dict[str, float]
Loss = str | Callable[..., "tf.Tensor"]
"""The name of a loss in Keras, or a function (see `ajuste.training.options.keras_loss`)."""


def layer_norms(
    model: "keras.Model", loss: Loss, token_ids: np.ndarray, targets: np.ndarray
) -> Callable[[], Norms]:
    """A function that measures the gradient of the mean loss in each layer.

    Args:
        model: the network; its weights may change between two calls.
        loss: its loss, without penalties.
        token_ids: int32 (n, max_length); dropout is off.
        targets: float (n, outputs).

    Returns:
        A function without arguments. It returns, for each layer with trainable weights, the
        Euclidean norm of the gradient with respect to all of them.
    """
    keras, tf = backend.keras, backend.tf
    trained = [layer for layer in model.layers if layer.trainable_weights]
    inputs, wanted = tf.constant(token_ids), tf.constant(targets, tf.float32)

    @tf.function
    def measure() -> list["tf.Tensor"]:
        weights = [[weight.value for weight in layer.trainable_weights] for layer in trained]
        with tf.GradientTape() as tape:
            losses = keras.losses.get(loss)(wanted, model(inputs, training=False))
            value = tf.reduce_mean(losses)
        # Dense, since the gradient of an embedding has one slice for each occurrence of a word.
        return [
            tf.linalg.global_norm([tf.convert_to_tensor(part) for part in found])
            for found in tape.gradient(value, weights)
        ]

    return lambda: {layer.name: float(norm) for layer, norm in zip(trained, measure(), strict=True)}


def trouble(norms: Norms, baseline_loss: float) -> dict[str, str]:
    """A sentence for each layer whose gradient vanishes or explodes.

    Args:
        norms: those of `layer_norms`, in the order of the layers.
        baseline_loss: the scale of the loss, which can be large in a regression.
    """
    last = list(norms.values())[-1]
    found = {}
    for layer, norm in norms.items():
        if not norm <= EXPLODED * max(1.0, baseline_loss):
            found[layer] = (
                f"the gradient of layer `{layer}` explodes (norm {norm:.2g}); set `clip_norm` or "
                "lower the `learning_rate`"
            )
        elif norm < VANISHED * last:
            found[layer] = (
                f"the gradient of layer `{layer}` vanishes (norm {norm:.2g}, last layer {last:.2g})"
                ", so it hardly learns; use another `activation`, fewer layers, or an LSTM or GRU"
            )
    return found


def through_time(
    model: "keras.Model", loss: Loss, token_ids: np.ndarray, targets: np.ndarray
) -> np.ndarray | None:
    """How much the loss depends on the state at each step back in time.

    The norm of the gradient of a review's loss with respect to the state after a step of the
    recurrent layer, averaged over the reviews. The state is the hidden state, and for an LSTM also
    the cell state, which is its memory.

    Args:
        model: a network; its last recurrent layer that returns only its last state is measured.
        loss: its loss.
        token_ids: int32 (n, max_length), padded at the end. The last words of each review are used,
            as many as the shortest review has.
        targets: float (n, outputs).

    Returns:
        float64 (length,): after the last step, then step by step back. None for a network without
        such a layer.
    """
    keras, tf = backend.keras, backend.tf
    recurrent = [layer for layer in model.layers if isinstance(layer, keras.layers.RNN)]
    summaries = [layer for layer in recurrent if not layer.return_sequences]
    if not summaries:
        return None
    layer = summaries[-1]
    sequence, *_ = keras.tree.flatten(layer.input)  # its mask may follow
    vectors = _last_words(keras.Model(model.input, sequence), token_ids)
    head = keras.Model(layer.output, model.output)
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        states = layer.get_initial_state(len(token_ids))
        steps = []
        for step in range(vectors.shape[1]):
            _, states = layer.cell(vectors[:, step], states, training=False)
            # A copy, so that an LSTM's cell state does not count again in its hidden state.
            states = [tf.identity(state) for state in states]
            steps.append(states)
        value = tf.reduce_sum(keras.losses.get(loss)(targets, head(states[0], training=False)))
    found = tape.gradient(value, steps, unconnected_gradients="zero")
    norms = [float(tf.reduce_mean(tf.norm(tf.concat(parts, axis=-1), axis=-1))) for parts in found]
    return np.array(norms[::-1])


def _last_words(before: "keras.Model", token_ids: np.ndarray) -> "tf.Tensor":
    """The output of `before` for the last words, float32 (n, length, width), without padding."""
    lengths = (token_ids != PADDING).sum(axis=1)
    positions = lengths[:, None] - lengths.min() + np.arange(lengths.min())
    return backend.tf.gather(before(token_ids, training=False), positions, batch_dims=1)
