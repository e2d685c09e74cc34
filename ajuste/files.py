"""Write files whole or not at all: each write goes to a temporary file, which is then renamed."""

import glob
import hashlib
import io
import json
import os
import secrets
import stat
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ajuste.errors import PipelineError

UNFINISHED = ".*.part"
"""Temporary files. A process that is killed leaves one beside its target; nothing reads it."""

DAY = 24 * 60 * 60  # seconds

DIGITS = 6
"""The significant digits of numbers in metrics, curves and reports."""
FLOATS = f"%.{DIGITS}g"

ENVIRONMENT = Path("reports/train/environment.json")
"""Where `train` records its environment: in Git, but not an output, for it differs by machine."""


def check_readable(path: Path, advice: str) -> None:
    """Refuse a path that is not a readable file; reading a pipe or a device could wait forever.

    Raises:
        PipelineError: the path is missing, is a folder or a device, or may not be read; `advice`
            says what to do.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            kind = "folder" if path.is_dir() else "device or a pipe"
            raise PipelineError(f"{path}: this is a {kind}, but a file is needed; {advice}")
        path.open("rb").close()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise PipelineError(f"{path}: {reason}; {advice}") from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; the file there replaces `path` if the block has no error.

    The folder is created if it is missing. After an error the temporary file is removed and `path`
    is unchanged. Its name is random, so that processes may write to one `path` at the same time,
    also from containers that share a volume. Temporary files that a killed process left are removed
    when they are a day old.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 16}.part"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > DAY:
                left.unlink()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk gives no name
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 with the same line ends on every system, so that the hash is the same."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON with an indent of two spaces and the keys in the given order.

    Raises:
        ValueError: a number is NaN or infinite, which JSON does not have.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def significant(value: Any) -> Any:
    """A JSON value whose floats have `DIGITS` significant digits.

    The last digits of a float depend on the processor: logarithms, for example, differ.
    """
    if isinstance(value, dict):
        return {name: significant(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [significant(inner) for inner in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn any error of a reader into one line that names the file.

    Raises:
        PipelineError: the file is damaged. A file that is missing or may not be read remains an
            OSError.
    """
    try:
        yield
    except Exception as error:  # pandas, NumPy and zipfile raise almost anything
        if isinstance(error, OSError) and error.errno:
            raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise PipelineError(
            f"{path}: damaged ({reason}); delete it, then run `dvc checkout` or `dvc repro`"
        ) from None


def read_json(path: Path) -> Any:
    """The value in a JSON file written by `write_json`; see `reading` for errors."""
    with reading(path):
        return json.loads(path.read_text(encoding="utf-8"))


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write named arrays as an uncompressed `.npz`; equal arrays give equal bytes.

    The bytes that `numpy.savez` writes depend on the release of Python.
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
