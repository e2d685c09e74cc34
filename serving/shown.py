"""Answers as text: lines on the screen and cells of a CSV file."""

import unicodedata
from bisect import bisect
from itertools import accumulate

import numpy as np

from ajuste.data.encoder import Encoder
from ajuste.errors import PipelineError, printable
from ajuste.tasks import (
    NUMERIC,
    decimals,
    probabilities,
    probability_names,
    split_labels,
)
from serving.classifier import Answer

ANSWER = {
    "binary": "sentiment",
    "multiclass": "label",
    "multilabel": "labels",
    "regression": "value",
    "unit_regression": "value",
}
"""The name of the column of answers; the columns of probabilities follow it."""
WHY = ["known_words", "why"]
WORDS = 10  # with the largest effect


def columns(encoder: Encoder, every: bool, why: bool) -> list[str]:
    """The names of the columns of `cells`.

    Args:
        encoder: the encoder of the model.
        every: whether each label has a column for its probability.
        why: whether to add `WHY`.

    Raises:
        PipelineError: the labels are numbers, which have no probabilities.
    """
    task, labels = encoder.task, encoder.labels
    if every and task in NUMERIC:
        raise PipelineError(
            f"--probabilities: the task {task} predicts a number, not probabilities; leave it out"
        )
    names = [*probability_names(task, labels), *(f"probability_{one}" for one in labels if every)]
    return [ANSWER[task], *dict.fromkeys(names), *(WHY if why else [])]


def cells(encoder: Encoder, answer: Answer, every: bool, why: bool) -> list[str]:
    """The cells of an answer, for the columns of `columns`; empty without a known word."""
    names = columns(encoder, every, False)
    counted = (
        [str(answer.known), " | ".join(_effects(encoder, answer, points=False))] if why else []
    )
    if answer.label is None:
        return ["" for _ in names] + counted
    outputs = answer.prediction[None]
    given = zip(
        probability_names(encoder.task, encoder.labels),
        probabilities(encoder.task, outputs)[0],
        strict=True,
    )
    of_labels = label_probabilities(encoder, answer) if every else {}
    named = {f"probability_{label}": p for label, p in of_labels.items()} | dict(given)
    return [answer.label, *(f"{named[name]:.6f}" for name in names[1:]), *counted]


def shown(encoder: Encoder, label: str | None, prediction: np.ndarray) -> str:
    """An answer on the screen: `positive (76.2%)`, `drama|comedy`, `none` (no label), `7.25`.

    A text without a known word has the answer `unknown`.
    """
    if label is None:
        return "unknown"
    if encoder.task == "binary":
        chance = prediction[0] if label == encoder.labels[1] else 1 - prediction[0]
        return f"{label} ({chance:.1%})"
    if encoder.task == "multiclass":
        return f"{label} ({prediction.max():.1%})"
    return label or "none"


def beside(answers: list[str], texts: list[str], width: int | None) -> list[str]:
    """Two columns: answers, and the texts that they belong to.

    Args:
        answers: what `shown` gave.
        texts: a text for each answer; white space in it becomes one space.
        width: of the terminal, to which lines are shortened; None does not shorten them.
    """
    column = max(map(_cells, answers))
    lines = []
    for answer, text in zip(answers, texts, strict=True):
        line = f"{answer}{' ' * (column - _cells(answer))}  {' '.join(text.split())}".rstrip()
        lines.append(line if width is None else _shortened(printable(line), width))
    return lines


def _cells(text: str) -> int:
    """The cells of a terminal that a text takes: a wide character takes two, a mark none."""
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in printable(text)
    )


def _shortened(line: str, width: int) -> str:
    ends = list(accumulate(map(_cells, line[: 4 * width])))
    return line if ends[-1] <= width else f"{line[: bisect(ends, width - 3)]}..."


def details(encoder: Encoder, answer: Answer, every: bool, why: bool) -> list[str]:
    """The lines below an answer on the screen: probabilities, and what the words did."""
    lines = []
    if every and answer.label is not None:
        lines += [f"{p:6.1%} {label}" for label, p in label_probabilities(encoder, answer).items()]
    if why:
        lines += _effects(encoder, answer, points=True)
        some = (
            ""
            if answer.seen == answer.known
            else f"; the network sees the {encoder.keep} {answer.seen}"
        )
        lines.append(f"{answer.known} of {answer.words} words are known{some}")
    return [f"  {line}" for line in lines]


def label_probabilities(encoder: Encoder, answer: Answer) -> dict[str, float]:
    """The probability of each label; empty for numbers, and for a text without a known word."""
    if encoder.task in NUMERIC or answer.label is None:
        return {}
    found = answer.prediction
    if encoder.task == "binary":
        found = np.array([1 - found[0], found[0]])
    return dict(zip(encoder.labels, found.tolist(), strict=True))


def _effects(encoder: Encoder, answer: Answer, points: bool) -> list[str]:
    """The words with the largest effect, the largest first: `good +0.213, but -0.100`.

    + means that a word speaks for the label, or raises the number. For `multilabel` there is a text
    for each label of the answer; if it has none, for the most probable label.

    Args:
        encoder: the encoder of the model.
        answer: the answer with its effects.
        points: whether probabilities are in percentage points; the text says for which label.
    """
    found = []
    for label, sizes in effects(encoder, answer).items():
        numeric = encoder.task in NUMERIC
        digits = decimals(encoder.labels) if numeric else 1 if points else 3
        scaled = {
            word: 100 * size if points and not numeric else size for word, size in sizes.items()
        }
        largest = sorted(scaled.items(), key=lambda item: -abs(item[1]))[:WORDS]
        words = [f"{word} {size:+.{digits}f}" for word, size in largest if round(size, digits)]
        prefix = f"{label}: " if encoder.task == "multilabel" else ""
        if points:
            prefix = "change of the value: " if numeric else f"points for {label}: "
        found.append(prefix + (", ".join(words) or "no word changes it"))
    return found


def effects(encoder: Encoder, answer: Answer) -> dict[str, dict[str, float]]:
    """The effect of each word on the labels of the answer, or on its number.

    Empty for a text without a known word.
    """
    task, labels, prediction = encoder.task, encoder.labels, answer.prediction
    if answer.label is None:
        return {}
    if task in NUMERIC:
        low, high = map(float, labels)
        unit = high - low if task == "unit_regression" else 1.0
        # Also of a number beyond the range, which is answered with the end of the range.
        sizes = {word: unit * float(change[0]) for word, change in answer.effects.items()}
        return {answer.label: sizes}
    if task == "binary":
        asked = {answer.label: (0, 1 if answer.label == labels[1] else -1)}
    else:
        named = split_labels(task, answer.label) or [labels[prediction.argmax()]]
        asked = {label: (labels.index(label), 1) for label in named}
    return {
        label: {word: sign * float(change[place]) for word, change in answer.effects.items()}
        for label, (place, sign) in asked.items()
    }
