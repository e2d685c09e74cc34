"""A trained model with its encoder, from raw text to an answer."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ajuste import model_file
from ajuste.backend import keras
from ajuste.tasks import decode
from ajuste.text import PADDING, UNKNOWN, Encoder, tokens


class Classifier:
    """Says of texts what it was trained for, just as the pipeline did of the test part."""

    def __init__(self, model: keras.Model, encoder: Encoder) -> None:
        self.model = model
        self.encoder = encoder

    @classmethod
    def load(cls, folder: Path) -> "Classifier":
        """Read the folder that the stage `train` wrote; it needs nothing from outside.

        Raises:
            PipelineError: a file is missing or damaged.
        """
        return cls(model_file.load(folder / "model.keras"), Encoder.load(folder))

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """What the network says of each text (see `ajuste.tasks`).

        Returns:
            float32 (n, outputs). A row of NaN stands for a text without a single known word, of
            which nothing can be said.
        """
        if not texts:
            return np.zeros((0, self.model.output_shape[1]), dtype=np.float32)
        token_ids = self.encoder.encode([tokens(text) for text in texts])
        predictions = model_file.predict(self.model, token_ids)
        predictions[np.isin(token_ids, (PADDING, UNKNOWN)).all(axis=1)] = np.nan
        return predictions

    def probability(self, texts: Sequence[str]) -> np.ndarray:
        """For the task `binary` the probability that each text is positive, float32 (n,)."""
        return self.predict(texts)[:, 0]

    def label(self, predictions: np.ndarray) -> list[str | None]:
        """What predictions (n, outputs) say in words (see `ajuste.tasks.decode`); None for NaN."""
        said = decode(self.encoder.task, predictions, self.encoder.labels)
        nothing = np.isnan(predictions).all(axis=1)
        return [None if n else label for n, label in zip(nothing, said, strict=True)]
