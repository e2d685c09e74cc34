"""The environment of a training: saved beside the model, and not part of what is hashed."""

import os
import platform
import re
from pathlib import Path
from typing import Any

import numpy as np

from ajuste.files import recorded, sha256, write_json
from ajuste.training import backend

PROCESSOR = {
    "model name": "name",
    "vendor_id": "vendor",
    "cpu family": "family",
    "model": "model",
    "CPU implementer": "implementer",
    "CPU part": "part",
}
"""Fields of `/proc/cpuinfo`, and their names in the record; each processor has some of them."""
VARIABLES = re.compile(
    r"(DNNL|GOMP|KMP|MKL|NPY|OMP|ONEDNN|OPENBLAS|XLA)_\w+|CUDA_VISIBLE_DEVICES|NVIDIA_TF32_OVERRIDE|"
    r"TF_(CUDNN_\w+|DETERMINISTIC_OPS|DISABLE_MKL|ENABLE_ONEDNN_OPTS|NUM_INT(ER|RA)OP_THREADS|"
    r"ONEDNN_\w+|XLA_FLAGS)"
)
"""Environment variables that may change a result; `backend` overrules those of Keras. Not all of
`TF_`: Terraform uses this prefix too, and for secrets."""
CPUINFO, CACHES = Path("/proc/cpuinfo"), Path("/sys/devices/system/cpu/cpu0/cache")


def describe() -> dict[str, Any]:
    """Everything that the last digits of a result may depend on.

    Returns:
        `python` and `packages`: versions; `system` and `machine`: such as `Linux` and `x86_64`;
        `processor`: its name and kind; `caches`: their sizes, which decide how matrix products are
        cut into blocks, and so the order of summation (on Linux only, where known);
        `instruction_set`: the processor's extensions, by NumPy's names; `cores`: those that this
        process may use; `threads`: within and between TensorFlow's operations (0: a variable or
        the number of cores decides; those between change no result); `portable`: whether processor,
        caches and cores change no result (see `backend.start`); `variables`: those of `VARIABLES`
        that are set.
    """
    threading = backend.tf.config.threading
    return {
        "python": platform.python_version(),
        "packages": {
            "tensorflow": backend.tf.__version__,  # that of tensorflow-cpu, too
            "keras": backend.keras.__version__,
            "numpy": np.__version__,
        },
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
        "portable": backend.is_portable(),
        "variables": {
            name: value for name, value in sorted(os.environ.items()) if VARIABLES.fullmatch(name)
        },
    }


def _processor(cpuinfo: Path) -> dict[str, str]:
    if not cpuinfo.exists():
        return {"name": platform.processor()}
    first = cpuinfo.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    fields = dict(re.findall(r"^(.+?)\s*:[ ]?(.*)$", first, re.MULTILINE))
    return {ours: fields[theirs] for theirs, ours in PROCESSOR.items() if theirs in fields}


def _caches(folder: Path) -> dict[str, str]:
    found = {}
    for index in sorted(folder.glob("index*")):
        try:
            level, kind, size = (
                (index / name).read_text().strip() for name in ("level", "type", "size")
            )
        except OSError:  # virtual machines on arm64 leave some of these files out
            continue
        found[f"L{level}" if kind == "Unified" else f"L{level} {kind.lower()}"] = size
    return found


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
    """Write to `path` the environment (see `describe`) in which the file `result` was made.

    A record of a file with the same bytes stays: another environment that gives the same bytes adds
    nothing. To read a record, and to know whether it is about a file, see `ajuste.files.recorded`.
    """
    if recorded(path, result) is None:
        write_json(path, {"sha256": sha256(result), **described})
