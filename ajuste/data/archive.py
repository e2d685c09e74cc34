"""Read the texts in a `.tar.gz` as a stream; nothing is written to disk.

The digest of an archive is checked before it is opened, so it is the archive that the user chose.
"""

import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from ajuste.errors import PipelineError

MOST_UNPACKED = 2 << 30
"""The maximum bytes of all texts in an archive; the corpus has 66 MB."""


def texts(path: Path, wanted: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """The texts in a `.tar.gz`, one after another, each with its name in the archive.

    Args:
        path: the archive.
        wanted: the names of the files to read, without a leading `./`; others are skipped, and so
            are links and devices.

    Raises:
        PipelineError: it is damaged, cut off or not a `.tar.gz`; a wanted file is not UTF-8; or
            the wanted files have more than `MOST_UNPACKED` bytes.
    """
    left, name = MOST_UNPACKED, "the first file"
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if member.isfile() and wanted.fullmatch(name):
                    left -= member.size
                    if left < 0:
                        raise ValueError(f"more than {MOST_UNPACKED:,} bytes")
                    yield name, archive.extractfile(member).read().decode("utf-8")
    except (tarfile.TarError, EOFError, OSError, zlib.error, ValueError) as error:
        raise PipelineError(
            f"{path}: {name} is not readable ({error}); check that it is the right .tar.gz archive"
        ) from None
