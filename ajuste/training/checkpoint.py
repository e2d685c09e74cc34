"""The state of a training on disk, from which an interrupted training resumes with equal results.

Keras' own `BackupAndRestore` does not save the state of dropout and of early stopping, nor curves.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from ajuste.config import reader
from ajuste.errors import PipelineError
from ajuste.files import read_arrays, write_arrays

if TYPE_CHECKING:
    from ajuste.training.backend import keras

ASK = "AJUSTE_RESUME"
"""The environment variable that, set to 1, makes a training resume from its checkpoint."""

Curve = list[dict[str, float]]
"""The metrics at the end of each epoch, by name."""


class _Description(reader.Params):
    """The description in a checkpoint."""

    training: str
    curve: list[dict[str, Annotated[float, Field(allow_inf_nan=True)]]]  # of a gradient
    best: reader.Count


def identity(settings: dict[str, Any], files: Iterable[Path]) -> str:
    """A digest that is equal for two trainings only if they give the same weights.

    Args:
        settings: all parameters and the environment of the training, as JSON.
        files: its input and its code.
    """
    digest = sha256(json.dumps(settings, sort_keys=True).encode())
    for path in files:
        digest.update(sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@dataclass(frozen=True)
class Checkpoint:
    """The file for the state of a training, and the training's `identity`."""

    path: Path
    training: str

    def save(self, model: "keras.Model", curve: Curve, best: list[np.ndarray]) -> None:
        """Save the state after an epoch.

        Args:
            model: compiled; its weights, its random generators and its optimizer are saved.
            curve: the metrics of all epochs so far.
            best: the weights of the best epoch so far.
        """
        arrays = {f"state_{i}": np.array(value) for i, value in enumerate(_state(model))}
        arrays |= {f"best_{i}": weight for i, weight in enumerate(best)}
        description = {"training": self.training, "curve": curve, "best": len(best)}
        write_arrays(self.path, description=np.array(json.dumps(description)), **arrays)

    def restore(self, model: "keras.Model") -> tuple[Curve, list[np.ndarray]]:
        """Restore the state of a model that `save` wrote, if this is asked for (see `ASK`).

        Args:
            model: compiled, at the start of its training.

        Returns:
            The saved curve and best weights. Both are empty, and the model is unchanged, if it is
            not asked for or there is no usable checkpoint; a message gives the reason.
        """
        if os.environ.get(ASK, "0") in ("", "0"):
            return [], []
        try:
            arrays = read_arrays(self.path)
            saved = reader.checked(json.loads(str(arrays.pop("description"))), _Description)
            best = [arrays[f"best_{i}"] for i in range(saved.best)]
        except FileNotFoundError:
            return _none("there is no checkpoint")
        except (PipelineError, ValueError, KeyError, RecursionError):
            return _none(f"{self.path} is damaged")
        if saved.training != self.training:
            return _none(
                f"{self.path} was written by a training with other parameters, data, code, "
                "versions or threads"
            )
        model.optimizer.build(model.trainable_variables)
        state = _state(model)
        kept = [arrays.get(f"state_{i}", np.array(None)) for i in range(len(state))]
        if [(a.shape, a.dtype) for a in kept] != [(v.shape, v.dtype) for v in state]:
            return _none(f"{self.path} is damaged")
        for variable, value in zip(state, kept, strict=True):
            variable.assign(value)
        print(f"train: resumes after epoch {len(saved.curve)}")
        return saved.curve, best

    def remove(self) -> None:
        """Delete the checkpoint of a training that has ended."""
        self.path.unlink(missing_ok=True)


def _none(why: str) -> tuple[Curve, list[np.ndarray]]:
    print(f"train: {why}; the training starts from the beginning")
    return [], []


def _state(model: "keras.Model") -> list["keras.Variable"]:
    # Besides its weights, `model.variables` has its random generators, and metrics, which Keras
    # resets in each epoch.
    of_metrics = {id(variable) for variable in model.metrics_variables}
    own = [variable for variable in model.variables if id(variable) not in of_metrics]
    return [*own, *model.optimizer.variables]
