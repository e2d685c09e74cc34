"""What a result was computed with: on record beside it, and no part of what is hashed."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ajuste.backend import tf
from ajuste.files import read_json, sha256, write_json

PACKAGES = ("tensorflow", "keras", "numpy")


def describe() -> dict[str, Any]:
    """What the last digits of a result may depend on.

    Returns:
        `python` and `packages` with their versions; `system` and `machine`, such as `Linux` and
        `x86_64`; `instruction_set`, what the processor has beyond the least that NumPy needs, by
        NumPy's names; `cores`, those that this process may use; `threads` within and between
        TensorFlow's operations, 0 where it takes one a core.
    """
    threading = tf.config.threading
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "system": platform.system(),
        "machine": platform.machine(),
        "instruction_set": np.show_config(mode="dicts")["SIMD Extensions"]["found"],
        "cores": _cores(),
        "threads": {
            "within": threading.get_intra_op_parallelism_threads(),
            "between": threading.get_inter_op_parallelism_threads(),
        },
    }


def _cores() -> int:
    # What the scheduler lets this process use, where the system tells.
    of_process = getattr(os, "sched_getaffinity", None)
    return len(of_process(0)) if of_process else os.cpu_count() or 1


def record(path: Path, result: Path) -> None:
    """Note at `path` what the file `result` was computed with.

    A record of the very same bytes stays as it is: that they come out elsewhere too changes nothing
    of what it tells.
    """
    digest = sha256(result)
    if not path.exists() or read_json(path).get("sha256") != digest:
        write_json(path, {"sha256": digest, **describe()})
