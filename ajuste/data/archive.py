"""Read archives that may be hostile: as a stream, bounded, and nothing of them is written."""

import gzip
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from ajuste.errors import PipelineError

MOST_UNPACKED = 2 << 30
"""The most bytes that are unpacked of an archive; of those that are known it is one gigabyte."""

LONGEST = 1 << 24
"""The most bytes of a text; the longest of the corpus has fourteen thousand."""

_OF_HEADERS = (ValueError, OverflowError, RecursionError)
"""What Python's tarfile ends with where it takes a number out of a header unseen, and goes one call
deeper for each header."""

_BETWEEN_MEMBERS = 1 << 20  # the most bytes that headers may take, and what is read ahead
_CHUNK = 1 << 16
_END_OF_TAR = 1024  # as many zeros


def texts(path: Path, wanted: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """The texts in a `.tar.gz`, one after another, each with its name in the archive.

    Args:
        path: the archive, which is read to its end.
        wanted: the names of the files to read; a `./` in front is no part of them.

    Raises:
        PipelineError: it is damaged, cut or no `.tar.gz`; it unpacks to more than `MOST_UNPACKED`;
            a member points outside, has holes, is neither a file nor a folder, or is wanted and
            stands twice, is longer than `LONGEST` or not UTF-8.
    """
    seen: set[str] = set()
    left = MOST_UNPACKED
    try:
        with gzip.open(path) as unpacked:
            stream = _Stream(unpacked, path)
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    left -= member.size
                    _check(member, path, left)
                    stream.allowed = member.size + _BETWEEN_MEMBERS
                    name = member.name.removeprefix("./")
                    if member.isfile() and wanted.fullmatch(name):
                        if name in seen or member.size > LONGEST:
                            fault = "twice" if name in seen else f"of {member.size:,} bytes"
                            raise PipelineError(
                                f"{path}: refused, it holds {name} {fault}; get another"
                            )
                        seen.add(name)
                        yield name, _decoded(archive.extractfile(member).read(), name, path)
            stream.read_to_the_end()
    except (tarfile.TarError, EOFError, OSError, zlib.error, *_OF_HEADERS) as error:
        raise PipelineError(f"{path}: not a readable .tar.gz ({error}); delete it") from None


def check_member(name: str, archive: Path) -> None:
    """Refuse an archive whose member would land outside the folder it is unpacked into.

    Raises:
        PipelineError: `name` is absolute, climbs with `..`, or names a drive.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive:
        raise PipelineError(f"{archive}: refused, its member {name!r} points outside; get another")


def _decoded(content: bytes, name: str, path: Path) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise PipelineError(f"{path}: {name} is not UTF-8; get another archive") from None


def _check(member: tarfile.TarInfo, path: Path, left: int) -> None:
    check_member(member.name, path)
    if not (member.isfile() or member.isdir()):
        kind = "a link" if member.islnk() or member.issym() else "no file"
        raise PipelineError(f"{path}: refused, {member.name!r} is {kind}; get another")
    if member.issparse():
        raise PipelineError(
            f"{path}: refused, {member.name!r} is a file with holes; get another, or pack it anew "
            "without them"
        )
    if left < 0:
        raise PipelineError(
            f"{path}: refused, unpacked up to {member.name!r} it is more than the "
            f"{MOST_UNPACKED:,} bytes allowed; get another"
        )


class _Stream:
    """What an archive unpacks to, of which `allowed` more bytes may be read.

    A tar file says of each member how large it is, but it can hold headers of any size.
    """

    def __init__(self, unpacked: BinaryIO, path: Path) -> None:
        self.unpacked, self.path = unpacked, path
        self.allowed = _BETWEEN_MEMBERS
        self.last = b""

    def read(self, size: int) -> bytes:
        data = self.unpacked.read(size)
        self.allowed -= len(data)
        if self.allowed < 0:
            raise PipelineError(
                f"{self.path}: refused, it unpacks to more than its members are; get another"
            )
        self.last = (self.last + data)[-_END_OF_TAR:]
        return data

    def read_to_the_end(self) -> None:
        """Read what follows the last member, which is little; gzip then compares its checksum."""
        self.allowed = _BETWEEN_MEMBERS
        while self.read(_CHUNK):
            pass
        if self.last.strip(b"\0") or len(self.last) < _END_OF_TAR:
            raise tarfile.ReadError("it ends before its end mark")
