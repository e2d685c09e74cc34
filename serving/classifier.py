"""A trained model and its encoder: from raw text to an answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ajuste.data.encoder import MEND, SPECIAL, Encoder
from ajuste.data.text import tokens
from ajuste.errors import PipelineError
from ajuste.files import check_readable
from ajuste.tasks import decode, output_names
from ajuste.training import backend, explain, model_file

if TYPE_CHECKING:
    from ajuste.training.backend import keras


MODEL_FILE = "model.keras"


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

    def __init__(self, model: "keras.Model", encoder: Encoder) -> None:
        self.model = model
        self.encoder = encoder

    @classmethod
    def load(cls, folder: Path | str) -> "Classifier":
        """Read the folder that the stage `train` wrote; no other file is needed.

        Raises:
            PipelineError: a file is missing or damaged, or the files are of two trainings.
        """
        folder = Path(folder)
        encoder = load_encoder(folder)
        model = model_file.load(folder / MODEL_FILE)
        _check_fit(model, encoder, folder)
        return cls(model, encoder)

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
        ids, end = self.encoder.ids, explain.distinct_ids(self.model)
        return [
            Answer(
                label=label,
                prediction=prediction,
                words=len(words),
                known=sum(ids.get(word, end) < end for word in words),
                seen=int(explain.is_known(self.model, row).sum()),
                effects=effect,
            )
            for label, prediction, words, row, effect in zip(
                self.label(predictions), predictions, token_lists, token_ids, effects, strict=True
            )
        ]

    def _predict(self, token_ids: np.ndarray) -> np.ndarray:
        if not len(token_ids):
            return np.zeros((0, self.model.output_shape[1]), dtype=np.float32)
        predictions = model_file.predict(self.model, token_ids)
        predictions[~explain.is_known(self.model, token_ids).any(axis=1)] = np.nan
        return predictions

    def _effects(
        self, token_ids: np.ndarray, predictions: np.ndarray
    ) -> list[dict[str, np.ndarray]]:
        words = [*SPECIAL, *self.encoder.counts]
        return [
            {words[id_]: effect for id_, effect in found.items()}
            for found in explain.effects(self.model, token_ids, predictions)
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


def _check_fit(model: "keras.Model", encoder: Encoder, folder: Path) -> None:
    labels = len(output_names(encoder.task, encoder.labels))
    for what, found, expected in (
        ("input", model.input_shape, (None, model.input_shape[1] and encoder.max_length)),
        ("output", model.output_shape, (None, labels)),
        *(
            ("vocabulary", (layer.input_dim,), (len(SPECIAL) + len(encoder.counts),))
            for network in explain.members(model) or [model]
            for layer in network.layers
            # With `max_features`, the embedding follows an operation that bounds the token ids.
            if isinstance(layer, backend.keras.layers.Embedding)
            and layer.input is network.inputs[0]
        ),
    ):
        if found != expected:
            raise PipelineError(
                f"{folder}: the {what} of model.keras has the shape {found}, but the encoder needs "
                f"{expected}: the files are from two trainings; run `dvc repro`"
            )
