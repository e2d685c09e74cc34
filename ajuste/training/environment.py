"""What a result was computed with: on record beside it, and no part of what is hashed."""

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ajuste.errors import PipelineError
from ajuste.files import read_json, sha256, write_json
from ajuste.training.backend import tf

PACKAGES = ("tensorflow", "keras", "numpy")
PROCESSOR = {
    "model name": "name",
    "vendor_id": "vendor",
    "cpu family": "family",
    "model": "model",
    "CPU implementer": "implementer",
    "CPU part": "part",
}
"""What Linux tells of a processor, and what it is called here; each kind of processor has some."""
VARIABLES = (
    "MKL_NUM_THREADS",
    "NPY_DISABLE_CPU_FEATURES",
    "OMP_NUM_THREADS",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_NUM_THREADS",
    "TF_DETERMINISTIC_OPS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
)
CPUINFO, CACHES = Path("/proc/cpuinfo"), Path("/sys/devices/system/cpu/cpu0/cache")


def describe() -> dict[str, Any]:
    """What the last digits of a result may depend on.

    Returns:
        `python` and `packages` with their versions; `system` and `machine`, such as `Linux` and
        `x86_64`; `processor`, its name and kind; `caches`, their sizes, by which matrix products
        are cut into blocks, and so the order in which they are summed (on Linux; elsewhere there
        are none); `instruction_set`, what the processor has beyond the least that NumPy needs, by
        NumPy's names; `cores`, those that this process may use; `threads` within and between
        TensorFlow's operations, 0 where the variables below tell, or it takes one a core;
        `variables`, those of the environment that bear upon it and are set.
    """
    threading = tf.config.threading
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(CPUINFO),
        "caches": _caches(CACHES),
        "instruction_set": np.show_config(mode="dicts")["SIMD Extensions"].get("found", []),
        "cores": cores(),
        "threads": {
            "within": threading.get_intra_op_parallelism_threads(),
            "between": threading.get_inter_op_parallelism_threads(),
        },
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def _processor(cpuinfo: Path) -> dict[str, str]:
    if not cpuinfo.exists():
        return {"name": platform.processor()}
    first = cpuinfo.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    told = dict(re.findall(r"^(.+?)\s*:[ ]?(.*)$", first, re.MULTILINE))
    return {ours: told[theirs] for theirs, ours in PROCESSOR.items() if theirs in told}


def _caches(folder: Path) -> dict[str, str]:
    found = {}
    for index in sorted(folder.glob("index*")):
        told = {name: (index / name).read_text().strip() for name in ("level", "type", "size")}
        kind = "" if told["type"] == "Unified" else f" {told['type'].lower()}"
        found[f"L{told['level']}{kind}"] = told["size"]
    return found


def _recorded(path: Path) -> str | None:
    try:
        return read_json(path)["sha256"]
    except (FileNotFoundError, PipelineError, KeyError, TypeError):
        return None  # also where a merge has left its marks in it: it is written anew


def cores() -> int:
    """The number of processor cores that this process may use."""
    of_process = getattr(os, "sched_getaffinity", None)
    return len(of_process(0)) if of_process else os.cpu_count() or 1


def words(described: dict[str, Any]) -> str:
    """What `describe` or `record` has, in one line."""
    return _words({name: value for name, value in described.items() if name != "sha256"})


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(inner)}" for name, inner in value.items())
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def record(path: Path, result: Path, described: dict[str, Any]) -> None:
    """Note at `path` what the file `result` was computed with, as `describe` has it.

    A record of the very same bytes stays as it is: that they come out elsewhere too changes nothing
    of what it tells.
    """
    digest = sha256(result)
    if _recorded(path) != digest:
        write_json(path, {"sha256": digest, **described})
