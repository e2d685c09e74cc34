"""A network that Keras runs, for those that `serving.numpy_network` does not know."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ajuste.training import backend, explain, model_file

if TYPE_CHECKING:
    from ajuste.training.backend import keras


class KerasNetwork:
    """A network of `serving.classifier` (see there)."""

    def __init__(self, model: "keras.Model") -> None:
        self.model = model
        self.length: int | None = model.input_shape[1]
        self.outputs: int = model.output_shape[1]
        self.distinct_ids = explain.distinct_ids(model)
        self.vocabularies = [
            layer.input_dim
            for network in explain.members(model) or [model]
            for layer in network.layers
            # With `max_features`, the embedding follows an operation that bounds the token ids.
            if isinstance(layer, backend.keras.layers.Embedding)
            and layer.input is network.inputs[0]
        ]

    @classmethod
    def load(cls, path: Path) -> "KerasNetwork":
        """Read a `.keras` file.

        Raises:
            PipelineError: see `ajuste.training.model_file.load`.
        """
        return cls(model_file.load(path))

    def predict(self, token_ids: np.ndarray) -> np.ndarray:
        """See `ajuste.training.model_file.predict`."""
        return model_file.predict(self.model, token_ids)
