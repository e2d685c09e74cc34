"""The schema of `params.yaml`; the options of `models` are in `ajuste.training.networks`."""

import unicodedata
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ajuste.config.reader import (
    FILE,
    LABEL,
    ONE_OF_SEVERAL,
    Count,
    FaultsError,
    FileName,
    Name,
    Params,
    Positive,
    Rate,
    Seed,
    Separator,
    Sha256,
    Share,
    Threads,
    Width,
    load,
    not_one_of,
    shown,
)
from ajuste.tasks import TASKS, check_range

Task = Literal[*TASKS]

SENTIMENT = ["negative", "positive"]
STARS = ["1", "2", "3", "4", "7", "8", "9", "10"]  # the corpus has no neutral reviews
STAR_RANGE = ["1", "10"]

GIVEN_LABELS = {
    "sentiment": {"binary": SENTIMENT, "multiclass": SENTIMENT},
    "stars": {
        "multiclass": STARS,
        "regression": STAR_RANGE,
        "unit_regression": STAR_RANGE,
    },
}
"""The labels of the IMDB corpus, for each task that they fit."""


def given_labels(kind: str, task: str, source: str) -> list[str]:
    """The labels of the IMDB corpus for a task.

    Args:
        kind: a key of `GIVEN_LABELS`.
        task: a key of `TASKS`.
        source: the source of the corpus, for the message.

    Raises:
        FaultsError: labels of this kind do not fit the task.
    """
    fit = GIVEN_LABELS[kind]
    if task not in fit:
        other = " or `data.stanford.label`" if source == "stanford" else ""
        fault = (
            f"`task`: the labels of {source} ({kind}) do not fit the task {task}; set `task` to "
            f"{' or '.join(fit)}, or change `data.source`{other}"
        )
        raise FaultsError(FILE, [fault])
    return fit[task]


class BundledReviews(Params):
    """`data.bundled`: the digest of the package's data file."""

    sha256: Sha256


class StanfordReviews(Params):
    """`data.stanford`: the address of the archive, its digest, and which labels to use."""

    url: Name
    sha256: Sha256
    label: Literal[*GIVEN_LABELS]


def _as_text(value: Any) -> Any:
    """A label that YAML reads as a number, as it is in a CSV file."""
    return str(value) if type(value) in (int, float) else value


def _keys_of_one_kind(mapping: Any) -> Any:
    if isinstance(mapping, dict) and len({isinstance(key, str) for key in mapping}) > 1:
        raise ValueError(
            "some keys are texts and others are not, which DVC cannot sort; put quotes around all "
            "of them"
        )
    return mapping


LabelText = Annotated[str, BeforeValidator(_as_text)]
Mapping = Annotated[
    dict[Annotated[LabelText, AfterValidator(str.strip)], LabelText | None],
    BeforeValidator(_keys_of_one_kind),
]


class AnyCsv(Params):
    """`data.csv`: a user's own file, its columns and its labels, for any task."""

    path: FileName
    separator: Separator
    text: Name
    label: Name
    group: Name | None
    labels: Annotated[list[Any], Field(min_length=1)]
    mapping: Mapping = Field(default_factory=dict)


Labels = TypeVar("Labels")
Class = Annotated[LabelText, Field(pattern=LABEL)]
OneOfSeveral = Annotated[LabelText, Field(pattern=ONE_OF_SEVERAL)]
Ends = Annotated[list[float], Field(min_length=2, max_length=2)]
CSV_LABELS = {
    "binary": Annotated[list[Class], Field(min_length=2, max_length=2)],
    "multiclass": Annotated[list[Class], Field(min_length=2)],
    "multilabel": Annotated[list[OneOfSeveral], Field(min_length=1)],
    "regression": Ends,
    "unit_regression": Ends,
}
"""The type of `data.csv.labels` for each task."""


class Csv(AnyCsv, Generic[Labels]):
    """`data.csv` with the labels of a task (see `CSV_LABELS`)."""

    labels: Labels

    @model_validator(mode="after")
    def _labels_differ(self) -> "Csv":
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("`labels` has a label twice; the labels must be different")
        if isinstance(self.labels[0], float):
            low, high = self.labels
            if low > high:
                raise ValueError("`labels` must have the lowest number first, then the highest")
            check_range(low, high)
        return self

    @model_validator(mode="after")
    def _mapped_to_labels(self) -> "Csv":
        for name, label in self.mapping.items():
            if fault := label is not None and self._not_a_label(label):
                raise ValueError(f"`mapping` of {shown(name)} is {shown(label)}; {fault}")
        return self

    def _not_a_label(self, label: str) -> str:
        if not isinstance(self.labels[0], float):
            return "" if label in self.labels else not_one_of(label, self.labels)
        low, high = self.labels
        try:
            fits = low <= float(label) <= high
        except ValueError:
            fits = False
        return "" if fits else f"valid: a number from {low:g} to {high:g}, or null"


class Data(Params):
    """`data`: the source of the reviews."""

    source: Literal["bundled", "stanford", "csv"]
    bundled: BundledReviews
    stanford: StanfordReviews
    csv: AnyCsv


Fault = Literal["empty", "label", "length", "duplicate", "conflict", "markup", "control"]
"""What can be wrong with a review (`ajuste.data.facts.faults`)."""


class Validate(Params):
    """`validate`: the bounds, a share is of all reviews; and the faulty reviews to leave out."""

    min_reviews: Positive
    min_words: Count
    max_words: Positive
    min_class_share: Share
    max_duplicates: Share
    max_conflicts: Share
    max_markup: Share
    max_control: Share
    drop: list[Fault]


class Split(Params):
    """`split`: the shares of the reviews that are held out, and how they are chosen."""

    seed: Seed
    by: Literal["review", "group"]
    validation: Rate
    test: Rate
    train_share: Annotated[float, Field(gt=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _leaves_some_to_train(self) -> "Split":
        if self.validation <= 0 or self.validation + self.test >= 1:
            raise ValueError("`validation` must be above 0, and with `test` below 1")
        return self


class Tokenize(Params):
    """`tokenize`: which words are in the vocabulary."""

    min_count: Positive


class BundledVectors(Params):
    """`embed.bundled`: the digest of the package's array."""

    sha256: Sha256


class StanfordVectors(Params):
    """`embed.stanford`: the address of the archive, its digest, and the width of the vectors."""

    url: Name
    sha256: Sha256
    width: Literal[50, 100, 200, 300]


class VectorFile(Params):
    """`embed.file`: a text file of vectors, and their width."""

    path: FileName
    width: Width


class CorpusVectors(Params):
    """`embed.corpus`: the options of `ajuste.data.learnt.learn`."""

    width: Width
    window: Annotated[int, Field(gt=0, le=1000)]
    sample: Share


VectorSource = Literal["bundled", "stanford", "file", "corpus"]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Embed(Params):
    """`embed`: the sources of the word vectors, one or a list."""

    source: Annotated[list[VectorSource], BeforeValidator(_as_list), Field(min_length=1)]
    standardize: bool
    bundled: BundledVectors
    stanford: StanfordVectors
    file: VectorFile
    corpus: CorpusVectors

    @model_validator(mode="after")
    def _each_source_once(self) -> "Embed":
        if len(set(self.source)) < len(self.source):
            raise ValueError("`source` has a source twice; remove one")
        return self


class Words(Params):
    """`words`: how many neighbours are listed."""

    neighbours: Positive


def _as_token(word: str) -> str:
    """A word in the form that `ajuste.data.text.tokens` gives."""
    return unicodedata.normalize("NFC", word.lower())


WordList = list[Annotated[Name, AfterValidator(_as_token)]]


class Language(Params):
    """An entry of `languages`: words of the language of the reviews."""

    negations: WordList
    positive: WordList
    negative: WordList
    neighbours_of: WordList

    @model_validator(mode="after")
    def _each_word_once(self) -> "Language":
        words = [*self.positive, *self.negative]
        twice = sorted({word for word in words if words.count(word) > 1})
        if twice:
            raise ValueError(f"`positive` and `negative` name these twice: {', '.join(twice)}")
        return self


def language_in_use() -> tuple[str, Language]:
    """The key and the entry of `languages` that `language` names.

    Raises:
        PipelineError: there is no such entry, or it does not fit.
    """
    key = f"languages.{load('language', Name)}"
    return key, load(key, Language)


class FitBounds(Params):
    """`evaluate.fit`: the bounds of the verdict on the fit, as shares of the baseline loss."""

    max_gap: Share
    max_rise: Share
    min_explained: Share
    min_of_linear: Share
    min_progress: Share


class Evaluate(Params):
    """`evaluate`: the main score, and the bounds of the verdict on the fit."""

    score: Name | None
    fit: FitBounds


class Report(Params):
    """`report`: the page on the run."""

    language: Literal["english", "spanish"]


class Gate(Params):
    """`gate`: the conditions that a pull request must meet."""

    bounds: dict[Name, float]
    margin: Annotated[float, Field(gt=0)]
    reference: Name | None
    allow: list[Literal["drop", "overfitting"]]


class File(Params):
    """All of `params.yaml`."""

    seed: Seed
    threads: Threads
    portable: bool
    model: Name
    task: Task
    language: Name
    data: Data
    validation: Validate = Field(alias="validate")  # pydantic has a method of this name
    split: Split
    tokenize: Tokenize
    embed: Embed
    words: Words
    languages: dict[Name, Language]
    models: dict[Name, dict[str, Any]]
    evaluate: Evaluate
    report: Report
    gate: Gate
