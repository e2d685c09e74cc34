"""Read a user's CSV file row by row, with line numbers; refuse a file that is not readable."""

import codecs
import csv
import re
import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

from ajuste.config.reader import meant
from ajuste.errors import Lines, PipelineError, excerpt, printable
from ajuste.files import check_readable

Row = tuple[int, dict[str, str]]

COLUMNS_SHOWN = 10

SEPARATORS = ",;\t|"
"""The usual ones."""

LINES_LOOKED_AT = 20
"""The lines that the separator is guessed from."""

BACKSLASH = 'write a quote inside a quoted text twice (""), not as \\"'

QUOTES = 'check the quotes of this record; a quote inside a quoted text is written twice ("")'

_NAMED_SEPARATOR = re.compile(r"sep=(.)", re.IGNORECASE)
"""The first line of a file for Excel."""

LONGEST = 1 << 24
"""The maximum characters of a line and of a field, about three million words. A longer one is a
quote that is not closed, or a file of another kind."""


def read_csv(path: Path, needed: list[str], separator: str = ",") -> Iterator[Row]:
    """Yield `(line, fields)` for every record of a CSV file in UTF-8, with or without a BOM.

    White space around a name of the header does not count. A first line `sep=;`, which Excel reads,
    is skipped. If the file has one column, a blank line is a record with an empty text. Otherwise
    blank lines are skipped; at the end of the file, standard error gets their number and places.

    Args:
        path: the file; its first record names the columns.
        needed: the columns that the file must have, without white space around their names.
        separator: the character between two fields.

    Yields:
        The number of the line on which the record starts, counted from 1 (a quoted field can
        contain line ends), and the record as `{column: text}`, in the order of the columns.

    Raises:
        PipelineError: no such file; no rows; not UTF-8; a NUL byte; a quote that is not closed; a
            line or a field longer than `LONGEST`; a missing column, or two of the same name; a
            record with too few or too many fields. The message names the line.
    """
    check_readable(path, "check the path")
    csv.field_size_limit(LONGEST)
    end = rows = 0
    blank = Lines()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(_lines(file, path), delimiter=separator, strict=True)
            header = next(reader, None)
            if header and _NAMED_SEPARATOR.fullmatch(separator.join(header)):
                end, header = reader.line_num, next(reader, None)
            header = header and [name.strip() for name in header]
            _check_header(header, needed, f"{path}, line {end + 1}", separator)
            end = reader.line_num
            for fields in reader:
                start, end = end + 1, reader.line_num
                if not fields and len(header) > 1:
                    blank.add(start)
                    continue
                fields = fields or [""]
                if len(fields) != len(header):
                    advice = (
                        BACKSLASH
                        if any(field.endswith("\\") for field in fields)
                        else f"put quotes around a text that contains `{separator}`, a quote or a "
                        "line end"
                    )
                    raise PipelineError(
                        f"{path}, line {start}: {len(fields)} fields, the header has "
                        f"{len(header)}; {advice}"
                    )
                rows += 1
                yield start, dict(zip(header, fields, strict=True))
            if not rows:
                raise PipelineError(f"{path}: no rows below the header; add at least one")
            if blank.count:
                note = f"{path}: skipped {blank.count:,} blank lines ({blank})"
                print(printable(note), file=sys.stderr)
    except UnicodeDecodeError:
        raise PipelineError(
            f"{path}, line {_first_undecodable_line(path)}: not UTF-8; save the file as UTF-8 "
            f"(iconv -f {_likely_encoding(path)} -t utf-8 {shlex.quote(str(path))} > utf8.csv)"
        ) from None
    except csv.Error as error:
        with path.open(encoding="utf-8", newline="") as file:
            backslash = any('\\"' in line for line in islice(file, end, reader.line_num))
        advice = BACKSLASH if backslash else QUOTES
        if (other := guessed_separator(path)) != separator:
            advice = f"the separator of this file is `{other}`"
        raise PipelineError(f"{path}, line {end + 1}: {error}; {advice}") from None


def guessed_separator(path: Path) -> str:
    """The separator in the first line `sep=;`, or the usual one that fits the first lines best.

    Raises:
        PipelineError: no such file.
    """
    check_readable(path, "check the path")
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        header, *lines = [file.readline(LONGEST) for _ in range(LINES_LOOKED_AT)]
    if named := _NAMED_SEPARATOR.fullmatch(header.strip('\r\n "')):
        return named[1]

    def fit(separator: str) -> tuple[int, ...]:
        columns = len(_split(header, separator))
        alike = sum(len(_split(line, separator)) == columns for line in lines)
        return columns > 1, alike, columns, -header.count(f"{separator} ")  # a comma in a name

    return max(SEPARATORS, key=fit)


def _split(line: str, separator: str) -> list[str]:
    """The names in a header, which may have faults."""
    one_line = re.sub(r"[\r\n\0]", " ", line)
    return [name.strip() for name in next(csv.reader([one_line], delimiter=separator), [])]


def _lines(file: TextIO, path: Path) -> Iterator[str]:
    for number, line in enumerate(iter(lambda: file.readline(LONGEST), ""), start=1):
        if "\0" in line:
            raise PipelineError(
                f"{path}, line {number}: a NUL byte; save the file as UTF-8 text, not UTF-16"
            )
        if len(line) == LONGEST:
            raise PipelineError(
                f"{path}, line {number}: {LONGEST:,} characters without a line end; check that it "
                "is a CSV file"
            )
        yield line


def _check_header(header: list[str] | None, needed: list[str], where: str, separator: str) -> None:
    if not header:
        raise PipelineError(f"{where}: empty; it needs a header and at least one row")
    columns = ", ".join(f"`{excerpt(name)}`" for name in header[:COLUMNS_SHOWN])
    more = ", ..." if len(header) > COLUMNS_SHOWN else ""
    for name in needed:
        if name not in header:
            line = separator.join(header)
            advice = "correct the name or the separator"
            if close := len(header) > 1 and meant(name, header):
                advice = f"did you mean `{close}`?"
            for other in SEPARATORS:
                if set(needed) <= set(_split(line, other)):
                    advice = f"the separator of this file is `{other}`"
            raise PipelineError(
                f"{where}: no column `{name}` with the separator `{separator}`; the file "
                f"has {columns}{more}; {advice}"
            )
    doubled = sorted(name for name, count in Counter(header).items() if count > 1)
    if doubled:
        raise PipelineError(f"{where}: two columns are named `{excerpt(doubled[0])}`; rename one")


def _likely_encoding(path: Path) -> str:
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "cp1252"


def _first_undecodable_line(path: Path) -> int:
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        for number, line in enumerate(iter(lambda: file.readline(LONGEST), ""), start=1):
            if any("\udc80" <= character <= "\udcff" for character in line):
                return number
    return 1
