"""Keras on TensorFlow, with fixed settings and without the start-up messages.

`backend.keras` and `backend.tf` are imported at first use, which takes seconds.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from ajuste.errors import open_streams
from ajuste.training.portable import divide_exactly, fix_caches, set_variables

# Only fatal messages: without a GPU TensorFlow logs errors that are harmless, and a real error is
# an exception as well.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextmanager
def _quiet() -> Iterator[None]:
    # TensorFlow's libraries write to file descriptor 2 while they load, whatever the log level.
    # If the import fails, their messages are shown.
    open_streams()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            yield
        except BaseException:
            messages.seek(0)
            os.write(stderr, messages.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


@contextmanager
def _defaults() -> Iterator[None]:
    # Keras reads its backend, float type and epsilon, and limits on epochs and steps, from
    # `~/.keras/keras.json` and from variables. They would change the results without a trace.
    for name in [name for name in os.environ if name.startswith("KERAS_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory() as home:
        os.environ["KERAS_HOME"] = home
        try:
            yield
        finally:
            del os.environ["KERAS_HOME"]


_loaded: dict[str, ModuleType] = {}
_portable = False


def start(threads: int = 1, portable: bool = True) -> None:
    """Import Keras and TensorFlow; the first use of `backend.keras` does it with the defaults.

    TensorFlow's operations are deterministic. This also keeps Keras from compiling predictions with
    XLA, whose code depends on the processor.

    Args:
        threads: within an operation. Another number gives another order of summation.
        portable: use the settings of `ajuste.training.portable`, if this system has them.

    Raises:
        RuntimeError: TensorFlow is already in use with another number of threads.
    """
    global _portable
    if portable:
        set_variables()
    with _quiet(), _defaults():
        import keras
        import tensorflow as tf
        from tensorflow.python.framework.ops import gradient_registry

        # TensorFlow looks for a GPU here, and writes messages about it.
        tf.config.list_physical_devices()
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.experimental.enable_op_determinism()
    if portable:
        divide_exactly(tf, gradient_registry)
        _portable = fix_caches()
    _loaded.update(keras=keras, tf=tf)


def __getattr__(name: str) -> ModuleType:
    if name not in ("keras", "tf"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if not _loaded:
        start()
    return _loaded[name]


def is_portable() -> bool:
    """Whether a training here gives the same bytes as on another processor."""
    return _portable


def seed(value: int) -> None:
    """Seed Python, NumPy and TensorFlow."""
    __getattr__("keras").utils.set_random_seed(value)


def verbosity() -> int:
    """Keras' `verbose`: a progress bar in a terminal, one line per epoch in a log."""
    return 1 if sys.stdout.isatty() else 2
