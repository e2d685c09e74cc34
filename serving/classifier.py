"""A trained model with its encoder, from raw text to an answer."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ajuste.data.text import PADDING, SPECIAL, UNKNOWN, Encoder, tokens
from ajuste.errors import PipelineError
from ajuste.tasks import decode, output_names
from ajuste.training import model_file
from ajuste.training.backend import keras


class Classifier:
    """Says of texts what it was trained for, just as the pipeline did of the test part."""

    def __init__(self, model: keras.Model, encoder: Encoder) -> None:
        self.model = model
        self.encoder = encoder

    @classmethod
    def load(cls, folder: Path) -> "Classifier":
        """Read the folder that the stage `train` wrote; it needs nothing from outside.

        Raises:
            PipelineError: a file is missing or damaged, or they do not belong together.
        """
        encoder = Encoder.load(folder)
        model = model_file.load(folder / "model.keras")
        _check_fit(model, encoder, folder)
        return cls(model, encoder)

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


def _check_fit(model: keras.Model, encoder: Encoder, folder: Path) -> None:
    labels = len(output_names(encoder.task, encoder.labels))
    for what, found, expected in (
        ("takes", model.input_shape, (None, encoder.max_length)),
        ("gives", model.output_shape, (None, labels)),
        *(
            ("knows", (layer.input_dim,), (len(SPECIAL) + len(encoder.counts),))
            for layer in model.layers
            # Where `max_features` bounds what is known, the ids come to it by way of that bound.
            if isinstance(layer, keras.layers.Embedding) and layer.input is model.inputs[0]
        ),
    ):
        if found != expected:
            raise PipelineError(
                f"{folder}: the model {what} {found}, its encoder {expected}; they are of two "
                "trainings, run `dvc repro`"
            )
