"""Get the labelled reviews from the source in `data.source`."""

import sys
from pathlib import Path

import pandas as pd

from ajuste.config import reader, schema
from ajuste.config.schema import BundledReviews, Csv, StanfordReviews, given_labels
from ajuste.data import reviews
from ajuste.data.download import default_folder
from ajuste.data.labels import mapped, negative_first
from ajuste.errors import printable
from ajuste.files import replacing, write_json
from ajuste.tasks import split_labels
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
            given = {name for label in set(table["label"]) for name in split_labels(task, label)}
            if unused := ", ".join(f"`{name}`" for name in source.mapping if name not in given):
                _note(f"`data.csv.mapping` has labels that no review has ({unused}); correct them")
            table["label"] = mapped(table["label"], source.mapping, task)
            return table, [x if isinstance(x, str) else f"{x:.15g}" for x in source.labels]


def _note(text: str) -> None:
    print(printable(f"fetch: note: {text}"), file=sys.stderr)


def main() -> None:
    """Fetch the reviews; write the table and the labels."""
    task = reader.load("task", schema.Task)
    data = reader.load("data", schema.Data)
    source = getattr(data, data.source)
    if data.source == "csv":
        source = reader.load("data.csv", Csv[schema.CSV_LABELS[task]])
    table, labels = fetch(source, task, default_folder())
    if task == "binary" and negative_first(*labels) is False:
        first, second = labels
        _note(
            f"`data.csv.labels` has {first!r} first, so `probability` is that of {second!r}; if "
            f"{first!r} is the positive label, swap them in {reader.FILE}"
        )
    with replacing(REVIEWS) as temporary:
        table.to_parquet(temporary, index=False)
    write_json(LABELS, labels)
    left_out = table["label"].isna().sum()
    said = f"; data.csv.mapping leaves out {left_out:,} of them" if left_out else ""
    print(f"fetch: {len(table):,} reviews from {data.source}{said}")


if __name__ == "__main__":
    check.run("fetch", main)
