"""How far the gradient of the loss reaches: back through the layers, and back through time.

Sources: Bengio, Simard and Frasconi, 1994 (learning long-term dependencies is difficult); Pascanu,
Mikolov and Bengio, 2013 (vanishing and exploding gradients).
"""

from collections.abc import Callable

import numpy as np

from ajuste.data.text import PADDING
from ajuste.training.backend import keras, tf

VANISHED = 1e-4
"""A layer learns next to nothing where its gradient is this small beside that of the last layer."""

EXPLODED = 100.0
"""The gradient of a cross-entropy is of the order of 1; steps this large undo what was learned."""

Norms = dict[str, float]


def layer_norms(
    model: keras.Model, loss: str, token_ids: np.ndarray, targets: np.ndarray
) -> Callable[[], Norms]:
    """A function that measures the gradient of the mean loss, layer by layer, as the weights are.

    Args:
        model: the network; it may be trained on between two calls.
        loss: the name of its loss, penalties left out.
        token_ids: int32 (n, max_length), the reviews to measure on; dropout is off.
        targets: float (n, outputs).

    Returns:
        A function of nothing. It gives for each layer that has weights to train the Euclidean norm
        of the gradient with respect to all of them.
    """
    trained = [layer for layer in model.layers if layer.trainable_weights]
    inputs, wanted = tf.constant(token_ids), tf.constant(targets, tf.float32)

    @tf.function
    def measure() -> list[tf.Tensor]:
        weights = [[weight.value for weight in layer.trainable_weights] for layer in trained]
        with tf.GradientTape() as tape:
            losses = keras.losses.get(loss)(wanted, model(inputs, training=False))
            value = tf.reduce_mean(losses)
        # Dense, since an embedding's comes in pieces, one for each time that a word comes.
        return [
            tf.linalg.global_norm([tf.convert_to_tensor(part) for part in found])
            for found in tape.gradient(value, weights)
        ]

    return lambda: {layer.name: float(norm) for layer, norm in zip(trained, measure(), strict=True)}


def trouble(norms: Norms, baseline_loss: float) -> dict[str, str]:
    """What is wrong with the gradients: for each layer that is in trouble, a sentence.

    Args:
        norms: in the order of the layers, what `layer_norms` gave.
        baseline_loss: the scale of the loss, which in a regression may be anything.
    """
    last = list(norms.values())[-1]
    said = {}
    for layer, norm in norms.items():
        if not norm <= EXPLODED * max(1.0, baseline_loss):
            said[layer] = (
                f"the gradient of layer `{layer}` explodes (norm {norm:.2g}); set `clip_norm` or "
                "lower the `learning_rate`"
            )
        elif norm < VANISHED * last:
            said[layer] = (
                f"the gradient of layer `{layer}` vanishes (norm {norm:.2g}, beside {last:.2g} of "
                "the last layer), so that it hardly learns; take another `activation`, fewer "
                "layers, or an LSTM or GRU"
            )
    return said


def through_time(
    model: keras.Model, loss: str, token_ids: np.ndarray, targets: np.ndarray
) -> np.ndarray | None:
    """How much each step back in time still matters to the loss.

    The norm of the gradient of a review's loss with respect to the state that the recurrent layer
    hands from one step to the next, averaged over the reviews. The state is the hidden state, and
    for an LSTM the cell state with it, since that is what carries its memory.

    Args:
        model: its last recurrent layer that hands on its last state alone is looked at, if there is
            one; what follows that depends on nothing else.
        loss: the name of its loss.
        token_ids: int32 (n, max_length), padded at the end. The reviews are laid end to end and
            cut at the front to the length of the shortest.
        targets: float (n, outputs).

    Returns:
        float64 (length,): first after the last step, then step by step back. None for a network
        without such a layer.
    """
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
            # Parted here, so that an LSTM's cell state is not counted again in its hidden state.
            states = [tf.identity(state) for state in states]
            steps.append(states)
        value = tf.reduce_sum(keras.losses.get(loss)(targets, head(states[0], training=False)))
    found = tape.gradient(value, steps, unconnected_gradients="zero")
    norms = [float(tf.reduce_mean(tf.norm(tf.concat(parts, axis=-1), axis=-1))) for parts in found]
    return np.array(norms[::-1])


def _last_words(before: keras.Model, token_ids: np.ndarray) -> tf.Tensor:
    """What `before` makes of token ids, float32 (n, length, width), without the padding."""
    lengths = (token_ids != PADDING).sum(axis=1)
    positions = lengths[:, None] - lengths.min() + np.arange(lengths.min())
    return tf.gather(before(token_ids, training=False), positions, batch_dims=1)
