"""The tasks: what a network is asked for, and with it the head, the losses and the targets.

Everywhere `targets` and `predictions` are float arrays (n, outputs), one row a review.

| task | labels of a review | targets | head | losses |
|---|---|---|---|---|
| binary | one of two | (n, 1), 0 or 1 | sigmoid | binary cross-entropy |
| multiclass | one of k | (n, k), one 1 a row | softmax | categorical cross-entropy |
| multilabel | any of k, `a|c` | (n, k), 0 or 1 | sigmoid | binary cross-entropy |
| regression | a number | (n, 1) | linear | squared or absolute error |
| unit_regression | a number in a range | (n, 1), scaled to 0..1 | sigmoid | squared error or binary cross-entropy |
"""  # noqa: E501

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

THRESHOLD = 0.5
SEPARATOR = "|"
"""What stands between the labels of one review, where it may have several."""

SMALLEST = 1e-7
"""The least probability that a cross-entropy is given, Keras' `epsilon`."""

LARGEST_LABEL = 1e12

BINARY_CROSSENTROPY = "binary_crossentropy"
CATEGORICAL_CROSSENTROPY = "categorical_crossentropy"
SQUARED_ERROR = "mean_squared_error"
ABSOLUTE_ERROR = "mean_absolute_error"


@dataclass(frozen=True)
class Task:
    """What goes with a task.

    Attributes:
        activation: of the network's last layer.
        losses: those it may be trained with, by their names in Keras; the first is the default.
    """

    activation: str
    losses: tuple[str, ...]


TASKS = {
    "binary": Task("sigmoid", (BINARY_CROSSENTROPY,)),
    "multiclass": Task("softmax", (CATEGORICAL_CROSSENTROPY,)),
    "multilabel": Task("sigmoid", (BINARY_CROSSENTROPY,)),
    "regression": Task("linear", (SQUARED_ERROR, ABSOLUTE_ERROR)),
    "unit_regression": Task("sigmoid", (SQUARED_ERROR, BINARY_CROSSENTROPY)),
}

NUMERIC = ("regression", "unit_regression")
"""The tasks whose labels are numbers; the `labels` of the data are then the ends of their range."""


def check_labels(task: str, labels: Sequence[str]) -> None:
    """Hold labels, in the form that `encode` takes them in, against what the task asks for.

    Raises:
        ValueError: there are too few or too many of them, one stands twice, or they are no range.
    """
    fewest, most = {"multiclass": (2, math.inf), "multilabel": (1, math.inf)}.get(task, (2, 2))
    if not fewest <= len(labels) <= most:
        raise ValueError(f"{len(labels)} labels do not fit task {task}")
    if len(set(labels)) < len(labels):
        raise ValueError("a label stands twice")
    if task in NUMERIC:
        low, high = map(float, labels)
        if not low < high:
            raise ValueError("the labels are not the lowest and the highest number")
        check_range(low, high)


def check_range(low: float, high: float) -> None:
    """Hold the lowest and the highest of numbers against what a network, of 32 bits, can learn.

    Raises:
        ValueError: their squares would have no place there, or a thousandth of their range none
            beside them.
    """
    largest, width = max(abs(low), abs(high)), high - low
    if largest > LARGEST_LABEL or width < max(1 / LARGEST_LABEL, largest / 10_000):
        raise ValueError(
            f"the labels {low:g} and {high:g} are too large, or too close to each other, for 32 "
            "bits; count in another unit, or from another zero"
        )


def encode(task: str, texts: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """The targets of reviews, float32 (n, outputs).

    Args:
        task: a key of `TASKS`.
        texts: the label of each of n reviews, as the source has it: a name, several of them with
            `|` between, none at all, or a number.
        labels: the names of the classes, the negative one first where there are two; the lowest
            and the highest value where the labels are numbers.

    Raises:
        ValueError: a label is not what `labels` allows. The stage `validate` lets none pass.
    """
    if task in NUMERIC:
        values = np.array([float(text) for text in texts], dtype=np.float32)[:, None]
        low, high = map(float, labels)
        return (values - low) / np.float32(high - low) if task == "unit_regression" else values
    places = {label: place for place, label in enumerate(labels)}
    targets = np.zeros((len(texts), len(labels)), dtype=np.float32)
    for row, text in zip(targets, texts, strict=True):
        for label in split_labels(task, text):
            if label not in places:
                raise ValueError(f"label {label!r} is not one of {', '.join(labels)}")
            row[places[label]] = 1
    return targets[:, 1:] if task == "binary" else targets


def split_labels(task: str, text: str) -> list[str]:
    """The labels that one text names: itself, or for `multilabel` those between the bars."""
    if task != "multilabel":
        return [text]
    return [label.strip() for label in text.split(SEPARATOR) if label.strip()]


def decode(task: str, predictions: np.ndarray, labels: Sequence[str]) -> list[str]:
    """What predictions (n, outputs) say of each review, in the words of `labels`.

    The inverse of `encode` for targets; a number is rounded to a thousandth of its range or finer,
    which from 1 to 10 is two decimals.
    """
    if task in NUMERIC:
        low, high = map(float, labels)
        decimals = max(0, 3 - math.ceil(math.log10(high - low)))
        values = np.round(numbers(task, predictions, labels), decimals) + 0.0  # no `-0.00`
        return [f"{value:.{decimals}f}" for value in values]
    if task == "binary":
        return [labels[int(value >= THRESHOLD)] for value in predictions[:, 0]]
    if task == "multiclass":
        return [labels[place] for place in predictions.argmax(axis=1)]
    return [
        SEPARATOR.join(label for label, value in zip(labels, row, strict=True) if value)
        for row in predictions >= THRESHOLD
    ]


def numbers(task: str, outputs: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Numbers on the scale of the source, float64 (n,), from targets or predictions (n, 1)."""
    values = outputs[:, 0].astype(np.float64)
    low, high = map(float, labels)
    return low + values * (high - low) if task == "unit_regression" else values


def probability_names(task: str, labels: Sequence[str]) -> list[str]:
    """What the columns of `probabilities` are called."""
    if task in NUMERIC:
        return []
    if task == "multilabel":
        return [f"probability_{label}" for label in labels]
    return ["probability"]


def probabilities(task: str, predictions: np.ndarray) -> np.ndarray:
    """The probabilities that stand beside what `decode` says, (n, columns).

    For `binary` it is that of the positive class, whatever is said; for `multiclass` that of the
    class that is said; for `multilabel` there is one of each label, and for numbers there is none.
    """
    if task in NUMERIC:
        return predictions[:, :0]
    return predictions.max(axis=1, keepdims=True) if task == "multiclass" else predictions


def output_names(task: str, labels: Sequence[str]) -> list[str]:
    """What the outputs of a network are called, one name each."""
    if task in NUMERIC:
        return ["output"]
    return ["probability"] if task == "binary" else [f"probability_{label}" for label in labels]


def accuracy(task: str, targets: np.ndarray, predictions: np.ndarray) -> float | None:
    """The share of labels that are right, for `multilabel` over all labels of all reviews.

    None where the targets are numbers, since no number is right to the last digit.
    """
    if task in NUMERIC:
        return None
    if task == "multiclass":
        return float((predictions.argmax(axis=1) == targets.argmax(axis=1)).mean())
    return float(((predictions >= THRESHOLD) == (targets >= THRESHOLD)).mean())


def review_losses(loss: str, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """The loss of each review, float64 (n,): its mean is what training makes small.

    Penalties on the weights are no part of it: they are the same whatever the review.

    Args:
        loss: one of the losses of `TASKS`; the mean over the outputs, but for categorical
            cross-entropy, which is the sum.
        targets: (n, outputs).
        predictions: (n, outputs).
    """
    targets, predictions = targets.astype(np.float64), predictions.astype(np.float64)
    if loss == SQUARED_ERROR:
        return ((targets - predictions) ** 2).mean(axis=1)
    if loss == ABSOLUTE_ERROR:
        return np.abs(targets - predictions).mean(axis=1)
    p = np.clip(predictions, SMALLEST, 1 - SMALLEST)
    if loss == CATEGORICAL_CROSSENTROPY:
        return -(targets * np.log(p)).sum(axis=1)
    return -(targets * np.log(p) + (1 - targets) * np.log1p(-p)).mean(axis=1)


def baseline_loss(loss: str, targets: np.ndarray) -> float:
    """The loss of the best answer that does not look at the review.

    It is the class frequencies, or the mean; for the absolute error the median. For two classes
    alike in number it is ln 2.

    Args:
        loss: one of the losses of `TASKS`.
        targets: those of the training part, (n, outputs).
    """
    middle = np.median if loss == ABSOLUTE_ERROR else np.mean
    answer = np.broadcast_to(middle(targets.astype(np.float64), axis=0), targets.shape)
    return float(review_losses(loss, targets, answer).mean())
