"""Whole files or none: every write goes to a temporary neighbour that is then renamed."""

import glob
import hashlib
import io
import json
import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from ajuste.errors import PipelineError

UNFINISHED = ".*.part"
"""What is left beside a target if the process is killed while it writes; nobody reads it."""


def check_readable(path: Path, advice: str) -> None:
    """Refuse what cannot be read as a file; a FIFO or a device could be waited for without end.

    Raises:
        PipelineError: it is missing, a folder or a device, or may not be read; `advice` says what
            to do.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            kind = "folder" if path.is_dir() else "device or a pipe"
            raise PipelineError(f"{path}: a {kind}, where a file is needed; {advice}")
        path.open("rb").close()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise PipelineError(f"{path}: {reason}; {advice}") from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, which takes its place if the block ends without an error.

    The folder is made where it is missing. After an error the temporary file is gone and whatever
    stood at `path` is untouched. Each process has a temporary file of its own, and takes away those
    of processes that were killed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        process = left.name.removesuffix(".part").rpartition(".")[2]
        if process.isdecimal() and len(process) < 10 and not psutil.pid_exists(int(process)):
            left.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk has no name of its own
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 with the same line ends on every system, so that the hash is the same too."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON (no NaN), two spaces deep, keys in the order given.

    Raises:
        ValueError: a number is NaN or infinite; JSON has neither.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Give one line to whatever is said of a file that is not what was written.

    Raises:
        PipelineError: the file is damaged. That it is missing or may not be read stays an OSError.
    """
    try:
        yield
    except Exception as error:  # a flipped bit can be anything to pandas, NumPy and zipfile
        if isinstance(error, OSError) and error.errno:
            raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise PipelineError(
            f"{path}: damaged ({reason}); delete it, then `dvc repro`, or `dvc checkout`"
        ) from None


def read_json(path: Path) -> Any:
    """The value in a JSON file written by `write_json`; see `reading` for errors."""
    with reading(path):
        return json.loads(path.read_text(encoding="utf-8"))


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write named arrays as an uncompressed `.npz`; equal arrays give equal bytes.

    `numpy.savez` leaves the size of a member open, and how that is noted differs from one release
    of Python to the next.
    """
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue())


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The named arrays of an `.npz`; pickled objects are refused. See `reading` for errors."""
    with reading(path), np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def read_array(path: Path) -> np.ndarray:
    """The array of an `.npy`; pickled objects are refused. See `reading` for errors."""
    with reading(path):
        return np.load(path, allow_pickle=False)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in lower-case hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def recorded(path: Path, result: Path) -> dict[str, Any] | None:
    """The record at `path` if it describes the file `result`, else None.

    A record is a JSON object; its `sha256` is the digest of the file that it describes.
    """
    try:
        record = read_json(path)
        return record if record["sha256"] == sha256(result) else None
    except (FileNotFoundError, PipelineError, KeyError, TypeError):
        return None
