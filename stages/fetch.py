"""Get the labelled reviews from the source that `data.source` names."""

from pathlib import Path
from typing import Annotated, Generic, Literal, TypeVar

import pandas as pd
from pydantic import Field, model_validator

from ajuste import params, reviews
from ajuste.errors import PipelineError, run
from ajuste.files import replacing, write_json
from ajuste.tables import SEPARATOR
from ajuste.tasks import TASKS

DOWNLOADS = Path("data/downloads")
REVIEWS = Path("data/raw/reviews.parquet")
LABELS = Path("data/raw/labels.json")

GIVEN_LABELS = {
    "sentiment": {"binary": reviews.SENTIMENT, "multiclass": reviews.SENTIMENT},
    "stars": {
        "multiclass": reviews.STARS,
        "regression": reviews.STAR_RANGE,
        "unit_regression": reviews.STAR_RANGE,
    },
}
"""The labels of the corpus for each task that they are fit for."""


class Bundled(params.Params):
    """`data.bundled`: the digest of the package's data file."""

    sha256: params.Sha256


class Stanford(params.Params):
    """`data.stanford`: where the archive is, its digest, and which of its labels to take."""

    url: params.Name
    sha256: params.Sha256
    label: Literal[*GIVEN_LABELS]


Labels = TypeVar("Labels")
Number = Annotated[float, Field(allow_inf_nan=False)]
OneOfSeveral = Annotated[params.Name, Field(pattern=r"^[^|\s]([^|]*[^|\s])?$")]
Ends = Annotated[list[Number], Field(min_length=2, max_length=2)]
CSV_LABELS = {
    "binary": Annotated[list[params.Name], Field(min_length=2, max_length=2)],
    "multiclass": Annotated[list[params.Name], Field(min_length=2)],
    "multilabel": Annotated[list[OneOfSeveral], Field(min_length=1)],
    "regression": Ends,
    "unit_regression": Ends,
}
"""What `data.csv.labels` holds for each task."""


class Csv(params.Params, Generic[Labels]):
    """`data.csv`: a user's own file, its columns, and its labels (see `CSV_LABELS`)."""

    path: params.Name
    separator: Annotated[str, Field(pattern=SEPARATOR)]
    text: params.Name
    label: params.Name
    group: params.Name | None
    labels: Labels

    @model_validator(mode="after")
    def _labels_differ(self) -> "Csv":
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("`labels` names one twice")
        if isinstance(self.labels[0], float) and self.labels != sorted(self.labels):
            raise ValueError("`labels` takes the lowest number first, then the highest")
        return self


SOURCES = {"bundled": Bundled, "stanford": Stanford, "csv": Csv}


def fetch(
    source: Bundled | Stanford | Csv, task: str, downloads: Path
) -> tuple[pd.DataFrame, list[str]]:
    """The table of reviews (see `ajuste.reviews`), and their labels (see `ajuste.tasks.encode`).

    Args:
        source: what to read.
        task: what the labels are for.
        downloads: the folder where an archive is kept.

    Raises:
        PipelineError: the data cannot be had, are not what `source` says, or have no labels for
            the task.
    """
    match source:
        case Bundled(sha256=digest):
            labels = given_labels("sentiment", task, "bundled")
            return reviews.bundled(digest), labels
        case Stanford(url=url, sha256=digest, label=label):
            labels = given_labels(label, task, "stanford")
            return reviews.stanford(url, digest, downloads, label), labels
        case Csv():
            table = reviews.from_csv(
                Path(source.path), source.text, source.label, source.group, source.separator
            )
            return table, [x if isinstance(x, str) else f"{x:.15g}" for x in source.labels]


def given_labels(kind: str, task: str, source: str) -> list[str]:
    """The labels of the corpus for a task.

    Raises:
        PipelineError: labels of this kind are not fit for it.
    """
    fit = GIVEN_LABELS[kind]
    if task not in fit:
        raise PipelineError(
            f"the labels of {source} ({kind}) are not fit for task {task}; set `task` to "
            f"{' or '.join(fit)}, or name other labels with `data.source` or `data.stanford.label`"
        )
    return fit[task]


def main() -> None:
    """Fetch from the source in `params.yaml`; write the table and its labels."""
    task = params.load("task", Literal[*TASKS])
    name = params.load("data.source", Literal[*SOURCES])
    schema = Csv[CSV_LABELS[task]] if name == "csv" else SOURCES[name]
    table, labels = fetch(params.load(f"data.{name}", schema), task, DOWNLOADS)
    with replacing(REVIEWS) as temporary:
        table.to_parquet(temporary, index=False)
    write_json(LABELS, labels)
    print(f"fetch: {len(table):,} reviews from {name}")


if __name__ == "__main__":
    run("fetch", main)
