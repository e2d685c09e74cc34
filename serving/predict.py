"""Predict the label of texts, or of each row of a CSV file, with a trained model."""

import argparse
import csv
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, TextIO

from tqdm import tqdm

from ajuste.config.reader import SEPARATOR, separator
from ajuste.data.csv_reader import LONGEST, Row, read_csv
from ajuste.data.encoder import Encoder
from ajuste.errors import Lines, PipelineError, excerpt, printable, run
from ajuste.files import replacing
from serving import shown
from serving.classifier import Answer, Classifier, load_encoder

MODEL = Path("data/model")
STREAM = "-"
"""In place of a text or a file: standard input or standard output."""
STDIN = Path("/dev/stdin")
BATCH, BATCH_WHY = 4096, 256  # texts


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse and check the command line."""
    parser = argparse.ArgumentParser(prog="python -m serving.predict", description=__doc__)
    add = parser.add_argument
    add("text", nargs="*", help="texts, each in quotes; - reads one text per line of the input")
    add("--csv", type=Path, help="a CSV file in UTF-8, instead of texts; - is standard input")
    add("--column", default="review", help="the name of the column with the texts (%(default)s)")
    add(
        "--separator",
        default=",",
        type=separator,
        help="the character between two fields of a CSV file, or tab (%(default)s)",
    )
    add("--output", type=Path, help="the CSV file to write; - is standard output")
    add("--probabilities", action="store_true", help="the probability of every label")
    add("--why", action="store_true", help="what each word did to the answer")
    add("--model", type=Path, default=MODEL, help="folder of the model (%(default)s)")
    add("--rev", help="take the model of a version (v1.2.0) or of a revision of Git instead")
    asked = parser.parse_args(argv)
    if bool(asked.text) == bool(asked.csv):
        parser.error("give texts, or - for texts from standard input, or --csv FILE")
    if STREAM in asked.text and len(asked.text) > 1:
        parser.error("- reads the texts from standard input; give no other text")
    if asked.output and not all(map(_is_utf8, [*asked.text, asked.column])):
        parser.error("--output needs texts in UTF-8")
    if not _is_utf8(asked.separator) or not re.fullmatch(SEPARATOR, asked.separator):
        parser.error("--separator takes one character or tab, and not a quote or a line end")
    if asked.output and str(asked.output) != STREAM and asked.output.exists():
        if not asked.output.is_file():
            parser.error(f"--output {asked.output} exists and is not a file")
        if asked.csv and asked.csv.exists() and asked.output.samefile(asked.csv):
            parser.error("--output and --csv are the same file; give another name to --output")
    return asked


def _is_utf8(text: str) -> bool:
    """Whether an argument was UTF-8: Python replaces any other byte by a surrogate."""
    return not re.search("[\ud800-\udfff]", text)


# Input


def source(asked: argparse.Namespace) -> Iterator[Row]:
    """The texts as rows: each has a number, and a text in the column `asked.column`."""
    if asked.csv:
        return read_csv(in_file(asked), [asked.column], asked.separator)
    texts = lines(sys.stdin.buffer) if asked.text == [STREAM] else enumerate(asked.text, start=1)
    return ((number, {asked.column: text}) for number, text in texts)


def is_given(asked: argparse.Namespace) -> bool:
    """Whether the texts are on the command line."""
    return bool(asked.text) and asked.text != [STREAM]


def in_name(asked: argparse.Namespace) -> Path:
    """The file of the texts."""
    return asked.csv if asked.csv and str(asked.csv) != STREAM else STDIN


def in_file(asked: argparse.Namespace) -> Path:
    """A file that can be read twice: standard input is first copied to a temporary file."""
    if (path := in_name(asked)) != STDIN:
        return path
    with tempfile.TemporaryFile() as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.seek(0)
        os.dup2(file.fileno(), sys.stdin.fileno())
    return STDIN


def lines(file: BinaryIO) -> Iterator[tuple[int, str]]:
    """Yield the lines of a stream with their numbers, from 1, without the line ends.

    Raises:
        PipelineError: there are no lines; a line is not UTF-8, too long or has a NUL byte.
    """
    number = 0
    for number, line in enumerate(iter(lambda: file.readline(LONGEST), b""), start=1):
        where = f"{STDIN}, line {number}"
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise PipelineError(f"{where}: not UTF-8; give text in UTF-8") from None
        if "\0" in text:
            raise PipelineError(f"{where}: a NUL byte; give text in UTF-8")
        if len(line) == LONGEST:
            raise PipelineError(f"{where}: {LONGEST:,} bytes without a line end; check the input")
        yield number, text.rstrip("\r\n")
    if not number:
        raise PipelineError(f"{STDIN}: no lines; give one text on each line")


# Answers


class Doubts:
    """The texts whose answers are missing, or not reliable.

    Args:
        asked: the command line.
    """

    def __init__(self, asked: argparse.Namespace) -> None:
        self.source, lines = ("predict", "texts") if is_given(asked) else (in_name(asked), "lines")
        self.unknown, self.few, self.count = Lines(lines), Lines(lines), 0

    def add(self, line: int, answer: Answer) -> None:
        """Note an answer if the model knows no word of the text, or fewer than half."""
        self.count += 1
        if answer.label is None:
            self.unknown.add(line)
        elif 2 * answer.known < answer.words:
            self.few.add(line)

    def warn(self) -> None:
        """Print up to two lines on standard error."""
        for found, what in (
            (self.unknown, "no word that the model knows; there is no answer"),
            (self.few, "more unknown than known words; do not rely on the answer"),
        ):
            if found.count:
                share = f"{found.count:,} of {self.count:,} texts"
                warning = f"{self.source}: {share} have {what} ({found})"
                print(printable(warning), file=sys.stderr)


def answered(
    asked: argparse.Namespace, rows: Iterator[Row], doubts: Doubts
) -> Iterator[list[tuple[dict[str, str], Answer]]]:
    """The answers in lists, so that an input of any length fits into memory."""
    typed = asked.text == [STREAM] and sys.stdin.isatty()
    size = 1 if typed else BATCH_WHY if asked.why else BATCH
    # Before TensorFlow is loaded, so that a fault in the input shows at once.
    batch = [] if typed else list(islice(rows, size))
    classifier = Classifier.load(asked.model, few=is_given(asked))
    if typed:
        print("Type a text and Enter; Ctrl-D ends.", file=sys.stderr)
    while batch := batch or list(islice(rows, size)):
        answers = classifier.answers([row[asked.column] for _, row in batch], asked.why)
        for (line, _), answer in zip(batch, answers, strict=True):
            doubts.add(line, answer)
        yield [(row, answer) for (_, row), answer in zip(batch, answers, strict=True)]
        batch = []


def write_csv(asked: argparse.Namespace, added: list[str], encoder: Encoder) -> None:
    """Copy the rows to a CSV file and add the columns with the answers.

    Args:
        asked: the command line.
        added: the names of these columns.
        encoder: the encoder of the model.

    Raises:
        PipelineError: the input cannot be read, or has one of the added columns already.
    """
    rows, doubts = source(asked), Doubts(asked)
    first = next(rows)  # a fault in the header shows before the model is loaded
    if taken := [name for name in added if name in first[1]]:
        where = f"{in_name(asked)}, line 1" if asked.csv else "--column"
        raise PipelineError(f"{where}: there is a column `{taken[0]}` already; rename it")
    to_stream = str(asked.output) == STREAM
    quiet = not sys.stderr.isatty() or (to_stream and sys.stdout.isatty())
    with opened(asked.output) as file, tqdm(unit=" rows", disable=quiet) as bar:
        write_row = row_writer(file, asked.separator)
        write_row([*first[1], *added])
        for batch in answered(asked, chain([first], rows), doubts):
            for row, answer in batch:
                new = shown.cells(encoder, answer, asked.probabilities, asked.why)
                write_row([*row.values(), *new])
            bar.update(len(batch))
    doubts.warn()
    if not to_stream:
        print(f"{asked.output}: {doubts.count:,} rows")


@contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """A file to write, which replaces `path` at the end; or standard output, in UTF-8."""
    if str(path) == STREAM:
        sys.stdout.reconfigure(encoding="utf-8", errors="strict", newline="")
        yield sys.stdout
    else:
        with (
            replacing(path) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            yield file


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


def print_answers(asked: argparse.Namespace, encoder: Encoder) -> None:
    """Print one line for each text: the answer, and the text if there can be several.

    Raises:
        PipelineError: the input cannot be read, or an argument has no word that the model knows;
            the others are printed.
    """
    doubts = Doubts(asked)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for batch in answered(asked, source(asked), doubts):
        said = [shown.shown(encoder, answer.label, answer.prediction) for _, answer in batch]
        if not is_given(asked) or len(asked.text) > 1:
            said = shown.beside(said, [row[asked.column] for row, _ in batch], width)
        for (_, answer), line in zip(batch, said, strict=True):
            details = shown.details(encoder, answer, asked.probabilities, asked.why)
            for one in (line, *details):  # a label may contain any character
                print(printable(one))
        if is_given(asked) and (without := [row for row, answer in batch if answer.label is None]):
            text = without[0][asked.column]
            raise PipelineError(
                f"{excerpt(text)!r}: the text has no word that the model knows; use a longer text "
                "in the language of the training reviews"
            )
    doubts.warn()


def main(argv: list[str] | None = None) -> None:
    """Predict for the texts or the file that the command line names."""
    asked = arguments(argv)
    with _model(asked) as asked.model:
        encoder = load_encoder(asked.model)
        added = shown.columns(encoder, asked.probabilities, asked.why)
        if asked.output:
            write_csv(asked, added, encoder)
        else:
            print_answers(asked, encoder)


def _model(asked: argparse.Namespace) -> AbstractContextManager[Path]:
    if not asked.rev:
        return nullcontext(asked.model)
    from serving import versions  # needs DVC, which a server lacks

    return versions.folder(Path.cwd(), asked.rev)


if __name__ == "__main__":
    run("predict", main)
