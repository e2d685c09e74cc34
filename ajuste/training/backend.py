"""Keras, without the start-up messages of TensorFlow, and what makes its results repeat.

`backend.keras` and `backend.tf` are loaded when they are first asked for, which takes seconds.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType

from ajuste.errors import open_streams

# Only what is fatal: what TensorFlow calls an error on a machine without a GPU is none, and what
# is one comes as an exception.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextmanager
def _quiet() -> Iterator[None]:
    # TensorFlow's libraries write to file descriptor 2 while they load, at a level that no setting
    # reaches. What they wrote is shown after all if the import fails.
    open_streams()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            said.seek(0)
            os.write(kept, said.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@cache
def _load() -> dict[str, ModuleType]:
    with _quiet():
        import keras
        import tensorflow as tf

        # It looks for a GPU, and writes what it thinks of the search.
        tf.config.list_physical_devices()
    return {"keras": keras, "tf": tf}


def __getattr__(name: str) -> ModuleType:
    if name not in ("keras", "tf"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _load()[name]


def seed(value: int) -> None:
    """Fix the sources of chance: Python's, NumPy's, TensorFlow's, and the order of operations."""
    loaded = _load()
    loaded["keras"].utils.set_random_seed(value)
    loaded["tf"].config.experimental.enable_op_determinism()


def verbosity() -> int:
    """Keras' `verbose`: a progress bar in a terminal, a line an epoch in a log."""
    return 1 if sys.stdout.isatty() else 2
