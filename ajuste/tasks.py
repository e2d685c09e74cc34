"""The tasks of a network: its head, its losses, its scores and the targets of each.

In all modules `targets` and `predictions` are float arrays (n, outputs), a row for each review.

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
"""The probability from which a label is given, unless training chooses another one."""
SEPARATOR = "|"
"""The separator between the labels of one review, for `multilabel`."""

Threshold = Sequence[float] | np.ndarray | float
"""Of `binary`, or one for each label of `multilabel`; the other tasks do not use it."""

SMALLEST = 1e-7
"""The minimum probability in a cross-entropy, Keras' `epsilon`."""

LARGEST_LABEL = 1e12

BINARY_CROSSENTROPY = "binary_crossentropy"
CATEGORICAL_CROSSENTROPY = "categorical_crossentropy"
SQUARED_ERROR = "mean_squared_error"
ABSOLUTE_ERROR = "mean_absolute_error"


@dataclass(frozen=True)
class Task:
    """The head, the losses and the scores of a task.

    Attributes:
        activation: the activation of the last layer.
        losses: the valid losses, by their names in Keras; the first is the default.
        scores: what can be the main score (`ajuste.evaluation.scores`); the first is the default.
            The calibration error cannot: always to predict the class frequencies makes it 0.
        class_weights: the valid values of the option `class_weight` of a network.
        thresholds: the valid values of its option `threshold`: scores of one output.
    """

    activation: str
    losses: tuple[str, ...]
    scores: tuple[str, ...]
    class_weights: tuple[str, ...] = ("balanced",)
    thresholds: tuple[str, ...] = ()


_OF_PROBABILITIES = ("loss", "roc_auc", "average_precision")
ORDERED = (ABSOLUTE_ERROR, "quadratic_weighted_kappa")
"""Scores of `multiclass` if all labels are numbers, such as stars."""
_OF_ONE_OUTPUT = ("accuracy", "balanced_accuracy", "f1", "matthews")
_OF_NUMBERS = (ABSOLUTE_ERROR, SQUARED_ERROR, "loss", "r2", "rank_correlation")

TASKS = {
    "binary": Task(
        activation="sigmoid",
        losses=(BINARY_CROSSENTROPY,),
        scores=("accuracy", "f1", "macro_f1", "matthews", *_OF_PROBABILITIES),
        thresholds=(*_OF_ONE_OUTPUT, "macro_f1"),
    ),
    "multiclass": Task(
        activation="softmax",
        losses=(CATEGORICAL_CROSSENTROPY,),
        scores=("accuracy", "macro_f1", "matthews", *ORDERED, *_OF_PROBABILITIES),
    ),
    "multilabel": Task(
        activation="sigmoid",
        losses=(BINARY_CROSSENTROPY,),
        scores=("exact_match", "accuracy", "micro_f1", "macro_f1", *_OF_PROBABILITIES),
        thresholds=_OF_ONE_OUTPUT,
    ),
    "regression": Task(
        activation="linear",
        losses=(SQUARED_ERROR, ABSOLUTE_ERROR),
        scores=_OF_NUMBERS,
        class_weights=(),
    ),
    "unit_regression": Task(
        activation="sigmoid",
        losses=(SQUARED_ERROR, BINARY_CROSSENTROPY),
        scores=_OF_NUMBERS,
        class_weights=(),
    ),
}

NUMERIC = ("regression", "unit_regression")
"""The tasks whose labels are numbers; then the `labels` of the data are the ends of a range."""


def check_labels(task: str, labels: Sequence[str]) -> None:
    """Check that labels, in the form that `encode` accepts, fit the task.

    Raises:
        ValueError: there are too few or too many, two are equal, or they are not a range.
    """
    fewest, most = {"multiclass": (2, math.inf), "multilabel": (1, math.inf)}.get(task, (2, 2))
    if not fewest <= len(labels) <= most:
        raise ValueError(f"{len(labels)} labels do not fit task {task}")
    if len(set(labels)) < len(labels):
        raise ValueError("two labels are equal")
    if task in NUMERIC:
        low, high = map(float, labels)
        if not low < high:
            raise ValueError("the first number is not below the second")
        check_range(low, high)


def check_range(low: float, high: float) -> None:
    """Check that a network with 32-bit numbers can learn numbers in a range.

    Raises:
        ValueError: their squares, or a thousandth of the range, would not fit in 32 bits.
    """
    largest, width = max(abs(low), abs(high)), high - low
    if largest > LARGEST_LABEL or width < max(1 / LARGEST_LABEL, largest / 10_000):
        raise ValueError(
            f"the labels {low:g} and {high:g} are too large, or too close to each other, for 32 "
            "bits; rescale or shift the labels"
        )


def ordered(task: str, labels: Sequence[str]) -> bool:
    """Whether the classes are in an order, because all labels are numbers."""
    try:
        return task == "multiclass" and all(math.isfinite(float(label)) for label in labels)
    except ValueError:
        return False


def encode(task: str, texts: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """The targets of reviews, float32 (n, outputs).

    Args:
        task: a key of `TASKS`.
        texts: the label of each of n reviews, as in the source: a name, several names separated
            by `|`, nothing, or a number.
        labels: the names of the classes, the negative one first if there are two; for tasks of
            numbers the lowest and the highest value.

    Raises:
        ValueError: a label is not in `labels`. The stage `validate` refuses such labels before.
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
    """The labels in a text: the text itself, or for `multilabel` the names between the bars."""
    if task != "multilabel":
        return [text]
    return [label.strip() for label in text.split(SEPARATOR) if label.strip()]


def positive(outputs: np.ndarray, threshold: Threshold = THRESHOLD) -> np.ndarray:
    """Whether each of the targets or predictions (n, outputs) is a yes, bool (n, outputs)."""
    return outputs >= np.asarray(threshold, dtype=np.float64)


def decode(
    task: str, predictions: np.ndarray, labels: Sequence[str], threshold: Threshold = THRESHOLD
) -> list[str]:
    """The label that predictions (n, outputs) give each review, as text.

    The inverse of `encode`. A number is rounded to a thousandth of its range or finer: for a range
    of 1 to 10 to two decimals.
    """
    if task in NUMERIC:
        digits = decimals(labels)
        values = np.round(numbers(task, predictions, labels), digits) + 0.0  # no `-0.00`
        return [f"{value:.{digits}f}" for value in values]
    if task == "binary":
        return [labels[int(yes)] for yes in positive(predictions, threshold)[:, 0]]
    if task == "multiclass":
        return [labels[place] for place in predictions.argmax(axis=1)]
    return [
        SEPARATOR.join(label for label, value in zip(labels, row, strict=True) if value)
        for row in positive(predictions, threshold)
    ]


def numbers(task: str, outputs: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Numbers on the scale of the source, float64 (n,), from targets or predictions (n, 1).

    A prediction beyond the range of the labels becomes the end of the range.
    """
    values = outputs[:, 0].astype(np.float64)
    low, high = map(float, labels)
    return (low + values * (high - low) if task == "unit_regression" else values).clip(low, high)


def decimals(labels: Sequence[str]) -> int:
    """How many decimals of a number are shown: a thousandth of the range of `labels`, or finer."""
    low, high = map(float, labels)
    return max(0, 3 - math.ceil(math.log10(high - low)))


def probability_names(task: str, labels: Sequence[str]) -> list[str]:
    """The names of the columns of `probabilities`."""
    if task in NUMERIC:
        return []
    if task == "multilabel":
        return [f"probability_{label}" for label in labels]
    return ["probability"]


def probabilities(task: str, predictions: np.ndarray) -> np.ndarray:
    """The probabilities that belong to the labels of `decode`, (n, columns).

    For `binary` the probability of the positive class, whatever the label is; for `multiclass` that
    of the label; for `multilabel` one for each label; for numbers there are no columns.
    """
    if task in NUMERIC:
        return predictions[:, :0]
    return predictions.max(axis=1, keepdims=True) if task == "multiclass" else predictions


def output_names(task: str, labels: Sequence[str]) -> list[str]:
    """The names of the outputs of a network."""
    if task in NUMERIC:
        return ["output"]
    return ["probability"] if task == "binary" else [f"probability_{label}" for label in labels]


def accuracy(
    task: str, targets: np.ndarray, predictions: np.ndarray, threshold: Threshold = THRESHOLD
) -> float | None:
    """The share of correct labels; for `multilabel` over all labels of all reviews.

    None for tasks of numbers: no number is correct to the last digit.
    """
    if task in NUMERIC:
        return None
    if task == "multiclass":
        return float((predictions.argmax(axis=1) == targets.argmax(axis=1)).mean())
    return float((positive(predictions, threshold) == positive(targets)).mean())


def class_weights(task: str, targets: np.ndarray) -> np.ndarray:
    """The weights that make all classes count equally, as in Keras and scikit-learn (`balanced`).

    A class has the weight n / (k n_c) if n_c of n reviews are of it and k classes occur; their mean
    over the reviews is 1. A class that does not occur has the weight 1. For multilabel each label
    is a task of its own, with the classes yes and no.

    Args:
        task: one of the tasks of classes.
        targets: of the training part, (n, outputs).

    Returns:
        float64 (2, outputs): the weight of a target of 0, which multiclass does not use, and of 1.
    """
    ones = targets.sum(axis=0, dtype=np.float64)
    counts = np.stack([0 * ones if task == "multiclass" else len(targets) - ones, ones])
    classes = (counts > 0).sum(axis=None if task == "multiclass" else 0)
    return np.divide(len(targets), classes * counts, out=np.ones_like(counts), where=counts > 0)


def reweighted(loss: str, predictions: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Probabilities (n, outputs), or (outputs,), for reviews that count by their class.

    By Bayes' rule, they are proportional to the probability times the weight (Saerens, Latinne and
    Decaestecker, 2002). None changes nothing.
    """
    if weights is None:
        return predictions
    no, yes = weights
    found = predictions * yes
    if loss == CATEGORICAL_CROSSENTROPY:
        return found / found.sum(axis=-1, keepdims=True)
    return found / (found + (1 - predictions) * no)


def review_losses(
    loss: str, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """The loss of each review, float64 (n,); training minimizes its mean.

    Penalties on the weights are not included: they do not depend on the review.

    Args:
        loss: one of the losses of `TASKS`. It is the mean over the outputs; categorical
            cross-entropy is the sum.
        targets: (n, outputs).
        predictions: (n, outputs).
        weights: those of `class_weights`, for a cross-entropy.
    """
    targets, predictions = targets.astype(np.float64), predictions.astype(np.float64)
    if loss == SQUARED_ERROR:
        return ((targets - predictions) ** 2).mean(axis=1)
    if loss == ABSOLUTE_ERROR:
        return np.abs(targets - predictions).mean(axis=1)
    p = np.clip(predictions, SMALLEST, 1 - SMALLEST)
    no, yes = (1.0, 1.0) if weights is None else weights
    if loss == CATEGORICAL_CROSSENTROPY:
        return -(yes * targets * np.log(p)).sum(axis=1)
    return -(yes * targets * np.log(p) + no * (1 - targets) * np.log1p(-p)).mean(axis=1)


def constant(loss: str, targets: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The best prediction that does not depend on the review, float64 (outputs,).

    It is the class frequencies, or the mean; for the absolute error the median.

    Args:
        loss: one of the losses of `TASKS`.
        targets: the targets of the training part, (n, outputs).
        weights: those of `class_weights`.
    """
    middle = np.median if loss == ABSOLUTE_ERROR else np.mean
    return reweighted(loss, middle(targets.astype(np.float64), axis=0), weights)


def baseline_loss(loss: str, targets: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The loss of `constant`; for two classes of equal size it is ln 2."""
    answers = np.broadcast_to(constant(loss, targets, weights), targets.shape)
    return float(review_losses(loss, targets, answers, weights).mean())


def least_loss(loss: str, targets: np.ndarray) -> float:
    """The mean loss of a network that predicts the targets (n, outputs) themselves.

    It is the entropy of the targets for a cross-entropy whose targets are between 0 and 1; else 0.
    """
    least = float(review_losses(loss, targets, targets).mean())
    return least if least > 10 * SMALLEST else 0.0
