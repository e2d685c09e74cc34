"""A training that was cut off, on disk: all it takes to go on as if it had not been.

Keras' own `BackupAndRestore` leaves out the state of dropout and of early stopping, and the curves.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from ajuste.config import reader
from ajuste.errors import PipelineError
from ajuste.files import read_arrays, write_arrays
from ajuste.training.backend import keras

ASK = "AJUSTE_RESUME"
"""The environment variable that, set to 1, asks a training to go on where one was cut off."""

Curve = list[dict[str, float]]
"""What was measured at the end of each epoch, by the name of the metric."""


class _Told(reader.Params):
    """What a checkpoint tells of its arrays."""

    training: str
    curve: list[dict[str, Annotated[float, Field(allow_inf_nan=True)]]]  # a gradient may be
    best: reader.Count


def identity(settings: dict[str, Any], files: Iterable[Path]) -> str:
    """A digest that two trainings share if they give the same weights.

    Args:
        settings: every parameter of the training, and what it runs with, as JSON can hold it.
        files: what it reads, and its code.
    """
    digest = sha256(json.dumps(settings, sort_keys=True).encode())
    for path in files:
        digest.update(sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@dataclass(frozen=True)
class Checkpoint:
    """Where the state of a training is kept, and which training it is (see `identity`)."""

    path: Path
    training: str

    def save(self, model: keras.Model, curve: Curve, best: list[np.ndarray]) -> None:
        """Keep what the epochs that `curve` tells of have left.

        Args:
            model: compiled; its weights, the states of its random generators and of its optimizer.
            curve: what was measured so far.
            best: the weights of the best epoch so far.
        """
        arrays = {f"state_{i}": np.array(value) for i, value in enumerate(_state(model))}
        arrays |= {f"best_{i}": weight for i, weight in enumerate(best)}
        told = json.dumps({"training": self.training, "curve": curve, "best": len(best)})
        write_arrays(self.path, told=np.array(told), **arrays)

    def restore(self, model: keras.Model) -> tuple[Curve, list[np.ndarray]]:
        """Bring a model to where `save` found it, if that is asked for (see `ASK`).

        Args:
            model: compiled, as the training began with it.

        Returns:
            The curve and the best weights that were kept. Both are empty, and the model is as it
            was, where nothing was asked for or there is nothing to go on from; it says so.
        """
        if os.environ.get(ASK, "0") in ("", "0"):
            return [], []
        try:
            arrays = read_arrays(self.path)
            told = reader.checked(json.loads(str(arrays.pop("told"))), _Told)
            best = [arrays[f"best_{i}"] for i in range(told.best)]
        except FileNotFoundError:
            return _anew("no training was cut off")
        except (PipelineError, ValueError, KeyError, RecursionError):
            return _anew(f"{self.path} is damaged")
        if told.training != self.training:
            return _anew(
                f"what {self.path} holds was cut off with other parameters, data, code or versions"
            )
        model.optimizer.build(model.trainable_variables)
        state = _state(model)
        kept = [arrays.get(f"state_{i}", np.array(None)) for i in range(len(state))]
        if [(a.shape, a.dtype) for a in kept] != [(v.shape, v.dtype) for v in state]:
            return _anew(f"{self.path} is damaged")
        for variable, value in zip(state, kept, strict=True):
            variable.assign(value)
        print(f"train: goes on after epoch {len(told.curve)}")
        return told.curve, best

    def remove(self) -> None:
        """Forget a training that has come to its end."""
        self.path.unlink(missing_ok=True)


def _anew(why: str) -> tuple[Curve, list[np.ndarray]]:
    print(f"train: {why}; the training starts from the beginning")
    return [], []


def _state(model: keras.Model) -> list[keras.Variable]:
    # Beside its weights a model has the states of its random generators, and of metrics, which
    # every epoch begins anew.
    of_metrics = {id(variable) for variable in model.metrics_variables}
    own = [variable for variable in model.variables if id(variable) not in of_metrics]
    return [*own, *model.optimizer.variables]
