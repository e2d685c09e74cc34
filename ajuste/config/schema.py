"""What `params.yaml` may hold; the options of `models` are in `ajuste.training.networks`."""

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import Field, model_validator

from ajuste.config.reader import (
    FILE,
    Count,
    FaultsError,
    FileName,
    Name,
    Params,
    Positive,
    Rate,
    Seed,
    Sha256,
    Share,
    Width,
)
from ajuste.tasks import TASKS, check_range

Task = Literal[*TASKS]

SEPARATOR = r'^[^"\r\n\x00]$'
"""What may stand between two fields of a CSV file: one character, no quote, line end or NUL."""

SENTIMENT = ["negative", "positive"]
STARS = ["1", "2", "3", "4", "7", "8", "9", "10"]  # none that is lukewarm was taken into the corpus
STAR_RANGE = ["1", "10"]

GIVEN_LABELS = {
    "sentiment": {"binary": SENTIMENT, "multiclass": SENTIMENT},
    "stars": {
        "multiclass": STARS,
        "regression": STAR_RANGE,
        "unit_regression": STAR_RANGE,
    },
}
"""The labels of the IMDB corpus for each task that they are fit for."""


def given_labels(kind: str, task: str, source: str) -> list[str]:
    """The labels of the IMDB corpus for a task.

    Args:
        kind: a key of `GIVEN_LABELS`.
        task: what they are for.
        source: what the corpus is read from, for the message.

    Raises:
        FaultsError: labels of this kind are not fit for it.
    """
    fit = GIVEN_LABELS[kind]
    if task not in fit:
        fault = (
            f"`task`: the labels of {source} ({kind}) are not fit for task {task}; set `task` to "
            f"{' or '.join(fit)}, or name other labels with `data.source` or `data.stanford.label`"
        )
        raise FaultsError(FILE, [fault])
    return fit[task]


class BundledReviews(Params):
    """`data.bundled`: the digest of the package's data file."""

    sha256: Sha256


class StanfordReviews(Params):
    """`data.stanford`: where the archive is, its digest, and which of its labels to take."""

    url: Name
    sha256: Sha256
    label: Literal[*GIVEN_LABELS]


class AnyCsv(Params):
    """`data.csv`: a user's own file, its columns, and its labels, whatever the task."""

    path: FileName
    separator: Annotated[str, Field(pattern=SEPARATOR)]
    text: Name
    label: Name
    group: Name | None
    labels: Annotated[list[Any], Field(min_length=1)]


Labels = TypeVar("Labels")
OneOfSeveral = Annotated[Name, Field(pattern=r"^[^|\s]([^|]*[^|\s])?$")]
Ends = Annotated[list[float], Field(min_length=2, max_length=2)]
CSV_LABELS = {
    "binary": Annotated[list[Name], Field(min_length=2, max_length=2)],
    "multiclass": Annotated[list[Name], Field(min_length=2)],
    "multilabel": Annotated[list[OneOfSeveral], Field(min_length=1)],
    "regression": Ends,
    "unit_regression": Ends,
}
"""What `data.csv.labels` holds for each task."""


class Csv(AnyCsv, Generic[Labels]):
    """`data.csv` with the labels of a task (see `CSV_LABELS`)."""

    labels: Labels

    @model_validator(mode="after")
    def _labels_differ(self) -> "Csv":
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("`labels` names one twice")
        if isinstance(self.labels[0], float):
            low, high = self.labels
            if low > high:
                raise ValueError("`labels` takes the lowest number first, then the highest")
            check_range(low, high)
        return self


class Data(Params):
    """`data`: where the reviews come from."""

    source: Literal["bundled", "stanford", "csv"]
    bundled: BundledReviews
    stanford: StanfordReviews
    csv: AnyCsv


class Validate(Params):
    """`validate`: the bounds. The shares are of all reviews."""

    min_reviews: Positive
    min_words: Count
    max_words: Positive
    min_class_share: Share
    max_duplicates: Share
    max_conflicts: Share
    max_markup: Share
    max_control: Share


class Split(Params):
    """`split`: the shares of the reviews that are held out, and what chooses them."""

    seed: Seed
    by: Literal["review", "group"]
    validation: Rate
    test: Rate

    @model_validator(mode="after")
    def _leaves_some_to_train(self) -> "Split":
        if self.validation <= 0 or self.test <= 0 or self.validation + self.test >= 1:
            raise ValueError("`validation` and `test` must be above 0, and below 1 together")
        return self


class Tokenize(Params):
    """`tokenize`: which words are known, and how much of a review is kept."""

    min_count: Positive
    max_length: Annotated[int, Field(gt=0, le=100_000)]  # a book has so many words
    keep: Literal["first", "last"]


class BundledVectors(Params):
    """`embed.bundled`: the digest of the package's array."""

    sha256: Sha256


class StanfordVectors(Params):
    """`embed.stanford`: where the archive is, its digest, and which of its widths to take."""

    url: Name
    sha256: Sha256
    width: Literal[50, 100, 200, 300]


class VectorFile(Params):
    """`embed.file`: a text file of vectors, and how many numbers each line holds."""

    path: FileName
    width: Width


class Embed(Params):
    """`embed`: where the vectors come from."""

    source: Literal["bundled", "stanford", "file"]
    standardize: bool
    bundled: BundledVectors
    stanford: StanfordVectors
    file: VectorFile


class Words(Params):
    """`words`: the words of either sentiment, and those whose neighbours are listed."""

    positive: list[Name]
    negative: list[Name]
    neighbours_of: list[Name]
    neighbours: Positive

    @model_validator(mode="after")
    def _each_word_once(self) -> "Words":
        words = [*self.positive, *self.negative]
        twice = sorted({word for word in words if words.count(word) > 1})
        if twice:
            raise ValueError(f"in `positive` and `negative` more than once: {', '.join(twice)}")
        return self


class FitBounds(Params):
    """`evaluate.fit`: the bounds of the verdict, as shares of the baseline loss."""

    max_gap: Share
    max_rise: Share
    min_explained: Share
    min_progress: Share


class Evaluate(Params):
    """`evaluate`: where the slices are cut, and the bounds of the verdict on the fit."""

    short_words: Count
    long_words: Count
    rare_count: Positive
    rare_share: Share
    negations: list[Name]
    fit: FitBounds


class Gate(Params):
    """`gate`: what a pull request must hold, or its check fails."""

    bounds: dict[Name, float]
    allow: list[Literal["drop", "overfitting"]]


class File(Params):
    """All of `params.yaml`."""

    seed: Seed
    model: Name
    task: Task
    data: Data
    validation: Validate = Field(alias="validate")  # which pydantic has a method of the name of
    split: Split
    tokenize: Tokenize
    embed: Embed
    words: Words
    models: dict[Name, dict[str, Any]]
    evaluate: Evaluate
    gate: Gate
