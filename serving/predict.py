"""Tell the sentiment of a sentence, or of every row of a CSV file."""

import argparse
import csv
import re
import sys
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from ajuste.errors import PipelineError, run
from ajuste.files import replacing
from ajuste.tables import SEPARATOR, Row, read_csv

if TYPE_CHECKING:
    from serving.classifier import Classifier

MODEL = Path("data/model")
ADDED = ["sentiment", "probability"]
BATCH = 4096


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """What the user asks for."""
    parser = argparse.ArgumentParser(prog="python -m serving.predict", description=__doc__)
    parser.add_argument("text", nargs="*", help="the text, or several of them in quotes")
    parser.add_argument("--csv", type=Path, help="a CSV file in UTF-8 to score instead")
    parser.add_argument("--column", default="review", help="its column of texts (%(default)s)")
    parser.add_argument("--separator", default=",", help="what separates its fields (%(default)s)")
    parser.add_argument("--output", type=Path, help="the CSV file to write")
    parser.add_argument(
        "--model", type=Path, default=MODEL, help="folder of the model (%(default)s)"
    )
    asked = parser.parse_args(argv)
    if bool(asked.text) == bool(asked.csv):
        parser.error("give a text, or --csv FILE --output FILE")
    if bool(asked.csv) != bool(asked.output):
        parser.error("--csv and --output go together")
    if not re.fullmatch(SEPARATOR, asked.separator):
        parser.error("--separator takes one character, no quote and no line end")
    if asked.output and asked.output.exists():
        if not asked.output.is_file():
            parser.error(f"--output {asked.output} is there and is not a file")
        if asked.output.samefile(asked.csv):
            parser.error("--output is the file that --csv names; give it another name")
    return asked


def batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """The rows in lists of at most 4,096, so that a file of any length fits into memory."""
    while batch := list(islice(rows, BATCH)):
        yield batch


def load_classifier(folder: Path) -> "Classifier":
    """The trained model; TensorFlow is imported here, late, since that takes seconds."""
    from serving.classifier import Classifier

    return Classifier.load(folder)


def score_csv(asked: argparse.Namespace) -> None:
    """Write the rows of one CSV file to another, in order and as they are, with two more columns.

    `sentiment` is the label and `probability` that of the positive class. Where a text has no word
    that the model knows both stay empty, and standard error says how many and on which lines.

    Raises:
        PipelineError: the file cannot be read, or has one of the added columns already.
    """
    rows = batches(read_csv(asked.csv, [asked.column], asked.separator))
    first = next(rows)  # faults of the header show before the model is loaded
    columns = list(first[0][1])
    if taken := [name for name in ADDED if name in columns]:
        raise PipelineError(f"{asked.csv}, line 1: has a column `{taken[0]}` already; rename it")

    classifier = load_classifier(asked.model)
    count, unknown = 0, []
    with (
        replacing(asked.output) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
        tqdm(unit=" rows", disable=not sys.stderr.isatty()) as bar,
    ):
        writer = csv.writer(file, delimiter=asked.separator, lineterminator="\n")
        writer.writerow([*columns, *ADDED])
        for batch in chain([first], rows):
            probability = classifier.probability([row[asked.column] for _, row in batch])
            for (line, row), label, value in zip(
                batch, classifier.label(probability), probability, strict=True
            ):
                writer.writerow([*row.values(), label, f"{value:.6f}" if label else ""])
                if not label:
                    unknown.append(line)
            count += len(batch)
            bar.update(len(batch))
    if unknown:
        shown = ", ".join(map(str, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        print(f"{len(unknown):,} rows without a known word (lines {shown})", file=sys.stderr)
    print(f"{asked.output}: {count:,} rows")


def score_texts(asked: argparse.Namespace) -> None:
    """Print the sentiment of each text and the probability of that sentiment, a line a text.

    Raises:
        PipelineError: a text has no word that the model knows; the others are printed.
    """
    classifier = load_classifier(asked.model)
    probability = classifier.probability(asked.text)
    labels = classifier.label(probability)
    for label, value in zip(labels, probability, strict=True):
        print(f"{label} ({max(value, 1 - value):.1%})" if label else "unknown")
    if "" in labels:
        text = asked.text[labels.index("")]
        raise PipelineError(f"{text!r}: no word that the model knows; give it a longer text")


def main() -> None:
    """Score what the command line asks for."""
    asked = arguments()
    (score_csv if asked.csv else score_texts)(asked)


if __name__ == "__main__":
    run("predict", main)
