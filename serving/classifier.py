"""A trained model and its encoder: from raw text to an answer."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ajuste.data.text import SPECIAL, UNKNOWN, Encoder, tokens
from ajuste.errors import PipelineError
from ajuste.tasks import decode, output_names
from ajuste.training import backend, model_file, networks

if TYPE_CHECKING:
    from ajuste.training.backend import keras


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
        encoder = Encoder.load(folder)
        model = model_file.load(folder / "model.keras")
        _check_fit(model, encoder, folder)
        return cls(model, encoder)

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """The network's output for each text (see `ajuste.tasks`).

        Returns:
            float32 (n, outputs). The row of a text without a word that the network knows is NaN.
        """
        if not texts:
            return np.zeros((0, self.model.output_shape[1]), dtype=np.float32)
        token_ids = self.encoder.encode([tokens(text) for text in texts])
        predictions = model_file.predict(self.model, token_ids)
        known = (token_ids > UNKNOWN) & (token_ids < networks.known_ids(self.model))
        predictions[~known.any(axis=1)] = np.nan
        return predictions

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
        ("input", model.input_shape, (None, encoder.max_length)),
        ("output", model.output_shape, (None, labels)),
        *(
            ("vocabulary", (layer.input_dim,), (len(SPECIAL) + len(encoder.counts),))
            for layer in model.layers
            # With `max_features`, the embedding follows an operation that bounds the token ids.
            if isinstance(layer, backend.keras.layers.Embedding) and layer.input is model.inputs[0]
        ),
    ):
        if found != expected:
            raise PipelineError(
                f"{folder}: the {what} of model.keras has the shape {found}, but the encoder needs "
                f"{expected}: the files are from two trainings; run `dvc repro`"
            )
