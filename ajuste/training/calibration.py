"""Fit to the validation part, after the training: a temperature, and the weights of an ensemble.

A network that overfits is surer than it is right. Dividing its logits by one number, the
temperature, corrects that and changes no label (Guo et al., 2017).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, softmax

from ajuste.tasks import SMALLEST, TASKS, review_losses

if TYPE_CHECKING:
    from ajuste.training.backend import keras

DECIMALS = 3
"""Of a weight; later ones change the loss by little, and depend on the processor."""

LINKS: dict[str, tuple[Callable, Callable]] = {
    "sigmoid": (lambda p: np.log(p) - np.log1p(-p), expit),
    "softmax": (np.log, lambda scores: softmax(scores, axis=1)),
}
"""From probabilities to scores, and back, for the activations that give probabilities."""


def scores_of(task: str, predictions: np.ndarray) -> np.ndarray:
    """The scores that the last activation made the predictions of, float64 (n, outputs)."""
    predictions = predictions.astype(np.float64)
    if TASKS[task].activation not in LINKS:
        return predictions
    to_scores, _ = LINKS[TASKS[task].activation]
    return to_scores(np.clip(predictions, SMALLEST, 1 - SMALLEST))


def fit_weights(
    task: str,
    loss: str,
    targets: np.ndarray,
    predictions: Sequence[np.ndarray],
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """The weights of the scores of several networks whose sum has the lowest loss.

    None is negative. With one network, its weight is 1 divided by the temperature.

    Args:
        task: a key of `ajuste.tasks.TASKS`.
        loss: one of its losses.
        targets: of the validation part, (n, outputs).
        predictions: of each of k networks, (n, outputs).
        weights: of the classes in the loss (see `ajuste.tasks.class_weights`).

    Returns:
        float64 (k,), rounded to `DECIMALS`.
    """
    scores = np.stack([scores_of(task, one) for one in predictions])
    _, back = LINKS.get(TASKS[task].activation, (None, lambda total: total))

    def mean_loss(shares: np.ndarray) -> float:
        answers = back(np.tensordot(shares, scores, axes=1))
        return float(review_losses(loss, targets, answers, weights).mean())

    start = np.full(len(scores), 1 / len(scores))
    found = minimize(mean_loss, start, bounds=[(0, None)] * len(scores), method="L-BFGS-B")
    return found.x.round(DECIMALS)


def scale(model: "keras.Model", weight: float) -> None:
    """Multiply the scores of a network, those before its last activation, by a number."""
    output = model.get_layer("output")
    output.set_weights([np.float32(weight) * part for part in output.get_weights()])
