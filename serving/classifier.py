"""A trained model with its encoder, from raw text to a probability."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ajuste import model_file
from ajuste.backend import keras
from ajuste.scores import predicted
from ajuste.text import PADDING, UNKNOWN, Encoder, tokens


class Classifier:
    """Tells the sentiment of texts, just as the pipeline did of the test part."""

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

    def probability(self, texts: Sequence[str]) -> np.ndarray:
        """The probability that each text is positive.

        Returns:
            float32 (n,). NaN stands for a text without a single known word, of which nothing can
            be said.
        """
        if not texts:
            return np.zeros(0, dtype=np.float32)
        token_ids = self.encoder.encode([tokens(text) for text in texts])
        probability = model_file.predict(self.model, token_ids)
        says_nothing = np.isin(token_ids, (PADDING, UNKNOWN)).all(axis=1)
        return np.where(says_nothing, np.float32(np.nan), probability)

    def label(self, probability: np.ndarray) -> list[str]:
        """The label of each probability, and an empty one where it is NaN."""
        names = [self.encoder.labels[index] for index in predicted(probability)]
        return ["" if np.isnan(p) else name for p, name in zip(probability, names, strict=True)]
