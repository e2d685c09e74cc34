"""A trained model and its encoder: from raw text to an answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ajuste.data.encoder import MEND, SPECIAL, UNKNOWN, Encoder
from ajuste.data.text import tokens
from ajuste.errors import PipelineError
from ajuste.files import check_readable
from ajuste.tasks import decode, output_names
from ajuste.training import explain
from serving import numpy_network
from serving.keras_network import KerasNetwork

MODEL_FILE = "model.keras"


class Network(Protocol):
    """A trained network.

    Attributes:
        length: the number of token ids that it needs; None if it takes any number.
        outputs: the number of its outputs.
        distinct_ids: how many token ids it tells apart; larger ones count as unknown to it.
        vocabularies: the number of token ids that each of its embeddings has a vector for.
    """

    length: int | None
    outputs: int

    distinct_ids: int
    vocabularies: list[int]

    def predict(self, token_ids: np.ndarray) -> np.ndarray:
        """Predictions, float32 (n, outputs), for token ids, int32 (n, max_length)."""
        ...


@dataclass(frozen=True)
class Answer:
    """The answer about a text.

    Attributes:
        label: see `Classifier.label`.
        prediction: the network's output, float32 (outputs,).
        words: the number of words of the text.
        known: how many of them the network knows.
        seen: how many known words the network sees: at most `max_length` of them.
        effects: the known words that the network sees, in order, each with what it does, float32
            (outputs,) (see `ajuste.training.explain.effects`). Empty if not asked for.
    """

    label: str | None
    prediction: np.ndarray
    words: int
    known: int
    seen: int
    effects: dict[str, np.ndarray]


def load_encoder(folder: Path) -> Encoder:
    """The encoder of a folder that the stage `train` wrote, before TensorFlow is loaded.

    Raises:
        PipelineError: a file is missing, or the encoder is damaged.
    """
    encoder = Encoder.load(folder)
    check_readable(folder / MODEL_FILE, MEND)
    return encoder


class Classifier:
    """Answers about texts, computed as the pipeline does for the test part."""

    def __init__(self, network: Network, encoder: Encoder) -> None:
        self.network = network
        self.encoder = encoder

    @classmethod
    def load(cls, folder: Path | str, few: bool = False) -> "Classifier":
        """Read the folder that the stage `train` wrote; no other file is needed.

        Args:
            folder: the folder.
            few: for a few texts any network answers sooner without TensorFlow, which takes seconds
                to import; for many only those that are as fast without it.

        Raises:
            PipelineError: a file is missing or damaged, or the files are of two trainings.
        """
        folder = Path(folder)
        encoder = load_encoder(folder)
        path = folder / MODEL_FILE
        network = numpy_network.load(path)
        if not network or not (few or network.is_fast):
            network = KerasNetwork.load(path)
        _check_fit(network, encoder, folder)
        return cls(network, encoder)

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """The network's output for each text (see `ajuste.tasks`).

        Returns:
            float32 (n, outputs). The row of a text without a word that the network knows is NaN.
        """
        return self._predict(self.encoder.encode([tokens(text) for text in texts]))

    def answers(self, texts: Sequence[str], why: bool = False) -> list[Answer]:
        """The answer about each text; with `why` also what each word does to it."""
        token_lists = [tokens(text) for text in texts]
        token_ids = self.encoder.encode(token_lists)
        predictions = self._predict(token_ids)
        effects = self._effects(token_ids, predictions) if why else [{} for _ in texts]
        ids, end = self.encoder.ids, self.network.distinct_ids
        return [
            Answer(
                label=label,
                prediction=prediction,
                words=len(words),
                known=sum(ids.get(word, end) < end for word in words),
                seen=int(self._is_known(row).sum()),
                effects=effect,
            )
            for label, prediction, words, row, effect in zip(
                self.label(predictions), predictions, token_lists, token_ids, effects, strict=True
            )
        ]

    def _predict(self, token_ids: np.ndarray) -> np.ndarray:
        if not len(token_ids):
            return np.zeros((0, self.network.outputs), dtype=np.float32)
        predictions = self.network.predict(token_ids)
        predictions[~self._is_known(token_ids).any(axis=1)] = np.nan
        return predictions

    def _is_known(self, token_ids: np.ndarray) -> np.ndarray:
        return (token_ids > UNKNOWN) & (token_ids < self.network.distinct_ids)

    def _effects(
        self, token_ids: np.ndarray, predictions: np.ndarray
    ) -> list[dict[str, np.ndarray]]:
        words, known = [*SPECIAL, *self.encoder.counts], self._is_known(token_ids)
        return [
            {words[id_]: effect for id_, effect in found.items()}
            for found in explain.effects(self.network.predict, known, token_ids, predictions)
        ]

    def probability(self, texts: Sequence[str]) -> np.ndarray:
        """The probability that each text is positive, float32 (n,).

        Raises:
            ValueError: the task is not `binary`.
        """
        if self.encoder.task != "binary":
            raise ValueError(
                "`probability` works only for the task binary, but this model has the task "
                f"{self.encoder.task}; use `predict`, which has a column for each output"
            )
        return self.predict(texts)[:, 0]

    def label(self, predictions: np.ndarray) -> list[str | None]:
        """The labels of predictions (n, outputs) (see `ajuste.tasks.decode`); None for NaN."""
        told = self.encoder
        labels = decode(told.task, predictions, told.labels, told.threshold)
        unknown = np.isnan(predictions).all(axis=1)
        return [None if u else label for u, label in zip(unknown, labels, strict=True)]


def _check_fit(network: Network, encoder: Encoder, folder: Path) -> None:
    labels = output_names(encoder.task, encoder.labels)
    for what, found, expected in (
        ("input", (None, network.length), (None, network.length and encoder.max_length)),
        ("output", (None, network.outputs), (None, len(labels))),
        *(
            ("vocabulary", (size,), (len(SPECIAL) + len(encoder.counts),))
            for size in network.vocabularies
        ),
    ):
        if found != expected:
            raise PipelineError(
                f"{folder}: the {what} of model.keras has the shape {found}, but the encoder needs "
                f"{expected}: the files are from two trainings; run `dvc repro`"
            )
