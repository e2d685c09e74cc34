"""Settings under which a training on the CPU gives the same bytes on different processors.

They hold for every x86-64 processor with AVX2, on Linux. Elsewhere (macOS, arm64) results are the
same on one kind of processor only. What depends on the processor in TensorFlow 2.21:

- oneDNN's operations, which TensorFlow uses only if the processor has AVX-512 VNNI: switched off;
- the instructions of the kernel in Eigen's matrix products, which is oneDNN's too: at most AVX2;
- the size of the caches, by which Eigen divides a product into blocks, and so orders its sum:
  fixed. TensorFlow has no setting for it, so `fix_caches` writes into Eigen's own variable;
- estimates of 1 / x and 1 / sqrt(x), which Intel and AMD compute from different tables: replaced by
  divisions (`divide_exactly`). Only the kernel of softmax still has one: for the task multiclass,
  the last digit of a prediction may depend on the vendor, but no weight does.

The rest of TensorFlow and Eigen is compiled for one set of instructions.
"""

import ctypes
import mmap
import os
import platform
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

VARIABLES = {"TF_ENABLE_ONEDNN_OPTS": "0", "ONEDNN_MAX_CPU_ISA": "AVX2"}
OVERRULED = re.compile(
    r"(DNNL|ONEDNN|TF_ONEDNN|TF_XLA|XLA)_\w+|TENSORFLOW_USE_CUSTOM_CONTRACTION_KERNEL"
)
"""Variables that change which code TensorFlow runs on a CPU."""

CACHES = (32 << 10, 512 << 10, 32 << 20)
"""The sizes of L1, L2 and L3 in bytes, for every processor. Those of an AMD EPYC of 2021."""
SIZES = "_ZZN5Eigen8internal20manage_caching_sizesENS_6ActionEPlS2_S2_E12m_cacheSizes"
INITIALIZED = SIZES.replace("_ZZ", "_ZGVZ", 1)
"""Eigen's variable, static in `internal::manage_caching_sizes`, and its guard (Itanium C++ ABI)."""
LIBRARY = re.compile(r"libtensorflow_(cc|framework)\.so\.\d+")

MAPS = Path("/proc/self/maps")
SECTIONS = np.dtype(
    {
        "names": ["type", "offset", "size", "link"],
        "formats": ["<u4", "<u8", "<u8", "<u4"],
        "offsets": [4, 24, 32, 40],
        "itemsize": 64,
    }
)
SYMBOLS = np.dtype(
    {
        "names": ["name", "section", "value"],
        "formats": ["<u4", "<u2", "<u8"],
        "offsets": [0, 6, 8],
        "itemsize": 24,
    }
)
"""Parts of the records in a 64-bit ELF file (System V ABI, Object Files)."""
SYMBOL_TABLE = 2  # the type of its section


def set_variables() -> None:
    """Set the environment variables that TensorFlow reads when it is imported."""
    for name in [name for name in os.environ if OVERRULED.fullmatch(name)]:
        del os.environ[name]
    os.environ |= VARIABLES


def fix_caches() -> bool:
    """Make Eigen divide matrix products as for `CACHES`, before the first product.

    Returns:
        Whether it could be done: TensorFlow is loaded, on Linux on an x86-64 processor, and its
        library has the variable.
    """
    if platform.machine() != "x86_64" or not MAPS.exists():
        return False
    fixed = []
    for path, start in _libraries().items():
        found = symbols(path, (SIZES, INITIALIZED))
        if len(found) == 2:
            (ctypes.c_long * 3).from_address(start + found[SIZES])[:] = CACHES
            ctypes.c_byte.from_address(start + found[INITIALIZED]).value = 1
            fixed.append(path)
    return bool(fixed)


def divide_exactly(tf: ModuleType, gradient_registry: Any) -> None:
    """Keep the operations `Reciprocal` and `Rsqrt` out of trainings.

    The first is in the gradient of logarithms, and so of every cross-entropy. Grappler's arithmetic
    optimizer makes the second out of x / sqrt(y), which RMSprop and Adagrad compute.

    Args:
        tf: TensorFlow.
        gradient_registry: its functions that build gradients.
    """
    gradients = gradient_registry._registry  # public functions only add to it
    gradients["Log"]["type"] = lambda op, gradient: gradient / op.inputs[0]
    gradients["Log1p"]["type"] = lambda op, gradient: gradient / (1 + op.inputs[0])
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})


def _libraries() -> dict[Path, int]:
    """The loaded libraries of TensorFlow, and the address of each."""
    found: dict[Path, int] = {}
    for line in MAPS.read_text().splitlines():
        addresses, _, _, _, _, *name = line.split(maxsplit=5)
        if name and LIBRARY.fullmatch(Path(name[0]).name):
            found.setdefault(Path(name[0]), int(addresses.partition("-")[0], 16))
    return found


def symbols(path: Path, names: tuple[str, ...]) -> dict[str, int]:
    """The values of those symbols that the symbol table of a 64-bit ELF file has."""
    found = {}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start, count = (int.from_bytes(content[a:b], "little") for a, b in ((40, 48), (60, 62)))
        sections = np.frombuffer(content[start : start + count * SECTIONS.itemsize], SECTIONS)
        for section in sections[sections["type"] == SYMBOL_TABLE]:
            strings = _bytes(content, sections[section["link"]])
            table = np.frombuffer(_bytes(content, section), SYMBOLS)
            for name in names:
                place = strings.find(b"\0" + name.encode() + b"\0") + 1
                if place:
                    [symbol] = table[(table["name"] == place) & (table["section"] != 0)]
                    found[name] = int(symbol["value"])
    return found


def _bytes(content: mmap.mmap, section: np.void) -> bytes:
    return content[int(section["offset"]) : int(section["offset"] + section["size"])]
