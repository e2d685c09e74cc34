"""Get the labelled reviews from the source in `data.source`."""

from pathlib import Path

import pandas as pd

from ajuste.config import reader, schema
from ajuste.config.schema import BundledReviews, Csv, StanfordReviews, given_labels
from ajuste.data import reviews
from ajuste.data.download import default_folder
from ajuste.files import replacing, write_json
from stages import check

REVIEWS = Path("data/raw/reviews.parquet")
LABELS = Path("data/raw/labels.json")


def fetch(
    source: BundledReviews | StanfordReviews | Csv, task: str, downloads: Path
) -> tuple[pd.DataFrame, list[str]]:
    """The table of reviews (see `ajuste.data.reviews`), and the labels (see `tasks.encode`).

    Args:
        source: a section of `data`.
        task: a key of `TASKS`.
        downloads: the folder for archives.

    Raises:
        PipelineError: the data are not available, do not match `source`, or have no labels for
            the task.
    """
    match source:
        case BundledReviews(sha256=digest):
            labels = given_labels("sentiment", task, "bundled")
            return reviews.bundled(digest), labels
        case StanfordReviews(url=url, sha256=digest, label=label):
            labels = given_labels(label, task, "stanford")
            return reviews.stanford(url, digest, downloads, label), labels
        case Csv():
            table = reviews.from_csv(
                Path(source.path), source.text, source.label, source.group, source.separator
            )
            return table, [x if isinstance(x, str) else f"{x:.15g}" for x in source.labels]


def main() -> None:
    """Fetch the reviews; write the table and the labels."""
    task = reader.load("task", schema.Task)
    data = reader.load("data", schema.Data)
    source = getattr(data, data.source)
    if data.source == "csv":
        source = reader.load("data.csv", Csv[schema.CSV_LABELS[task]])
    table, labels = fetch(source, task, default_folder())
    with replacing(REVIEWS) as temporary:
        table.to_parquet(temporary, index=False)
    write_json(LABELS, labels)
    print(f"fetch: {len(table):,} reviews from {data.source}")


if __name__ == "__main__":
    check.run("fetch", main)
