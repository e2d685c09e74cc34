"""Get the labelled reviews from the source that `data.source` names."""

from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field, model_validator

from ajuste import params, reviews
from ajuste.errors import run
from ajuste.files import replacing, write_json
from ajuste.tables import SEPARATOR

DOWNLOADS = Path("data/downloads")
REVIEWS = Path("data/raw/reviews.parquet")
LABELS = Path("data/raw/labels.json")


class Bundled(params.Params):
    """`data.bundled`: the digest of the package's data file."""

    sha256: params.Sha256


class Stanford(params.Params):
    """`data.stanford`: where the archive is, and its digest."""

    url: params.Name
    sha256: params.Sha256


class Csv(params.Params):
    """`data.csv`: a user's own file, its two columns, and its labels from negative to positive."""

    path: params.Name
    separator: Annotated[str, Field(pattern=SEPARATOR)]
    text: params.Name
    label: params.Name
    labels: Annotated[list[params.Name], Field(min_length=2, max_length=2)]

    @model_validator(mode="after")
    def _labels_differ(self) -> "Csv":
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("`labels` names one twice")
        return self


SOURCES = {"bundled": Bundled, "stanford": Stanford, "csv": Csv}


def fetch(source: Bundled | Stanford | Csv, downloads: Path) -> tuple[pd.DataFrame, list[str]]:
    """The table of reviews (see `ajuste.reviews`), and their labels from negative to positive.

    Args:
        source: what to read.
        downloads: the folder where an archive is kept.

    Raises:
        PipelineError: the data cannot be had, or are not what `source` says.
    """
    match source:
        case Bundled(sha256=digest):
            return reviews.bundled(digest), reviews.LABELS
        case Stanford(url=url, sha256=digest):
            return reviews.stanford(url, digest, downloads), reviews.LABELS
        case Csv():
            table = reviews.from_csv(Path(source.path), source.text, source.label, source.separator)
            return table, source.labels


def main() -> None:
    """Fetch from the source in `params.yaml`; write the table and its labels."""
    name = params.load("data.source", Literal[*SOURCES])
    table, labels = fetch(params.load(f"data.{name}", SOURCES[name]), DOWNLOADS)
    with replacing(REVIEWS) as temporary:
        table.to_parquet(temporary, index=False)
    write_json(LABELS, labels)
    print(f"fetch: {len(table):,} reviews from {name}")


if __name__ == "__main__":
    run("fetch", main)
