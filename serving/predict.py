"""Predict the label of a text, or of each row of a CSV file, with a trained model."""

import argparse
import csv
import re
import sys
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np
from tqdm import tqdm

from ajuste.config.reader import SEPARATOR, separator
from ajuste.data.csv_reader import Row, read_csv
from ajuste.errors import Lines, PipelineError, excerpt, printable, run
from ajuste.files import replacing
from ajuste.tasks import probabilities, probability_names

if TYPE_CHECKING:
    from ajuste.data.text import Encoder
    from serving.classifier import Classifier

MODEL = Path("data/model")
ANSWER = {
    "binary": "sentiment",
    "multiclass": "label",
    "multilabel": "labels",
    "regression": "value",
    "unit_regression": "value",
}
"""The name of the column of answers; the columns of probabilities follow it."""
BATCH = 4096


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse and check the command line."""
    parser = argparse.ArgumentParser(prog="python -m serving.predict", description=__doc__)
    parser.add_argument("text", nargs="*", help="one or more texts, each in quotes")
    parser.add_argument("--csv", type=Path, help="a CSV file in UTF-8, instead of texts")
    parser.add_argument(
        "--column", default="review", help="the name of the column with the texts (%(default)s)"
    )
    parser.add_argument(
        "--separator",
        default=",",
        type=separator,
        help="the character between two fields of the CSV file, or tab (%(default)s)",
    )
    parser.add_argument("--output", type=Path, help="the CSV file to write")
    parser.add_argument(
        "--model", type=Path, default=MODEL, help="folder of the model (%(default)s)"
    )
    asked = parser.parse_args(argv)
    if bool(asked.text) == bool(asked.csv):
        parser.error("give a text, or --csv FILE --output FILE")
    if bool(asked.csv) != bool(asked.output):
        parser.error("--csv needs --output, and --output needs --csv")
    surrogate = "\ud800" <= asked.separator <= "\udfff"  # a byte that is not UTF-8
    if surrogate or not re.fullmatch(SEPARATOR, asked.separator):
        parser.error("--separator takes one character or tab, and not a quote or a line end")
    if asked.output and asked.output.exists():
        if not asked.output.is_file():
            parser.error(f"--output {asked.output} exists and is not a file")
        if asked.output.samefile(asked.csv):
            parser.error("--output and --csv are the same file; give another name to --output")
    return asked


def batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """The rows in lists of at most 4,096, so that a file of any length fits into memory."""
    while batch := list(islice(rows, BATCH)):
        yield batch


def load_classifier(folder: Path) -> "Classifier":
    """The trained model. TensorFlow is imported here and not above, since that takes seconds."""
    from serving.classifier import Classifier

    return Classifier.load(folder)


def score_csv(asked: argparse.Namespace) -> None:
    """Copy the rows of one CSV file to another and add columns with the answers.

    The new columns are that of `ANSWER` and those of `ajuste.tasks.probability_names`. They stay
    empty for a text without a word that the model knows; standard error lists the lines.

    Raises:
        PipelineError: the file cannot be read, or has one of the added columns already.
    """
    rows = batches(read_csv(asked.csv, [asked.column], asked.separator))
    first = next(rows)  # before the model is loaded, so that a fault in the header shows at once
    columns = list(first[0][1])
    classifier = load_classifier(asked.model)
    task = classifier.encoder.task
    added = [ANSWER[task], *probability_names(task, classifier.encoder.labels)]
    if taken := [name for name in added if name in columns]:
        raise PipelineError(
            f"{asked.csv}, line 1: the header has a column `{taken[0]}` already; rename it"
        )

    count, unknown = 0, Lines()
    with (
        replacing(asked.output) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
        tqdm(unit=" rows", disable=not sys.stderr.isatty()) as bar,
    ):
        write_row = row_writer(file, asked.separator)
        write_row([*columns, *added])
        for batch in chain([first], rows):
            predictions = classifier.predict([row[asked.column] for _, row in batch])
            for (line, row), label, values in zip(
                batch,
                classifier.label(predictions),
                probabilities(task, predictions),
                strict=True,
            ):
                if label is None:
                    unknown.add(line)
                    answer = [""] * len(added)
                else:
                    answer = [label, *(f"{value:.6f}" for value in values)]
                write_row([*row.values(), *answer])
            count += len(batch)
            bar.update(len(batch))
    if unknown.count:
        warning = (
            f"{asked.csv}: {unknown.count:,} rows have no word that the model knows; their new "
            f"columns are empty ({unknown})"
        )
        print(printable(warning), file=sys.stderr)
    print(f"{asked.output}: {count:,} rows")


def row_writer(file: TextIO, separator: str) -> Callable[[list[str]], object]:
    """A function that writes a record to a CSV file, so that any reader gets the same fields."""
    plain, quoted = (
        csv.writer(file, delimiter=separator, lineterminator="\n", quoting=quoting)
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    )

    def write(fields: list[str]) -> None:
        # Before 3.13, Python puts no quotes around a carriage return.
        (quoted if any("\r" in field for field in fields) else plain).writerow(fields)

    return write


def score_texts(asked: argparse.Namespace) -> None:
    """Print one line for each text: the label, with its probability if it is a class.

    Raises:
        PipelineError: a text has no word that the model knows; the others are printed.
    """
    classifier = load_classifier(asked.model)
    predictions = classifier.predict(asked.text)
    labels = classifier.label(predictions)
    for label, row in zip(labels, predictions, strict=True):
        answer = "unknown" if label is None else shown(classifier.encoder, label, row)
        print(printable(answer))  # a label may contain any character
    if None in labels:
        text = asked.text[labels.index(None)]
        raise PipelineError(
            f"{excerpt(text)!r}: the text has no word that the model knows; use a longer text in "
            "the language of the training reviews"
        )


def shown(encoder: "Encoder", label: str, prediction: np.ndarray) -> str:
    """An answer on the screen: `positive (76.2%)`, `drama|comedy`, `none` (no label), `7.25`."""
    if encoder.task == "binary":
        chance = prediction[0] if label == encoder.labels[1] else 1 - prediction[0]
        return f"{label} ({chance:.1%})"
    if encoder.task == "multiclass":
        return f"{label} ({prediction.max():.1%})"
    return label or "none"


def main() -> None:
    """Predict for the texts or the file that the command line names."""
    asked = arguments()
    (score_csv if asked.csv else score_texts)(asked)


if __name__ == "__main__":
    run("predict", main)
