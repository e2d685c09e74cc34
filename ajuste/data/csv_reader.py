"""Read a user's CSV row by row, with the line number of each, and refuse what cannot be read."""

import codecs
import csv
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from ajuste.errors import Lines, PipelineError, excerpt, printable
from ajuste.files import check_readable

Row = tuple[int, dict[str, str]]

COLUMNS_SHOWN = 10

LONGEST = 1 << 24
"""The most characters of a line and of a field, some three million words: what is longer is no
text, but a quote that is never closed or a file of another kind."""


def read_csv(path: Path, needed: list[str], separator: str = ",") -> Iterator[Row]:
    """Yield `(line, fields)` for every record of a CSV file in UTF-8, with or without a BOM.

    Args:
        path: the file; its first record names the columns.
        needed: the columns that must be there.
        separator: the one character between two fields.

    A blank line is a record with an empty text where there is one column. Where there are more it
    is none; at the end of the file, standard error says how many there were, and on which lines.

    Yields:
        The number of the line on which the record starts, counted from 1 (a quoted field may hold
        line ends, so records and lines differ), and the record as `{column: text}`, with the
        columns in the file's order and each text as it stands.

    Raises:
        PipelineError: no such file; no rows; not UTF-8; a NUL byte; a quote that is never closed;
            a line or a field longer than `LONGEST`; a column that is missing or named twice; a
            record with too few or too many fields. It names the line. Faults in the header come
            with the first row asked for.
    """
    check_readable(path, "check the path")
    csv.field_size_limit(LONGEST)
    end = rows = 0
    blank = Lines()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(_lines(file, path), delimiter=separator, strict=True)
            header = next(reader, None)
            _check_header(header, needed, path, separator)
            end = reader.line_num
            for fields in reader:
                start, end = end + 1, reader.line_num
                if not fields and len(header) > 1:
                    blank.add(start)
                    continue
                fields = fields or [""]
                if len(fields) != len(header):
                    raise PipelineError(
                        f"{path}, line {start}: {len(fields)} fields where the header has "
                        f"{len(header)}; put quotes around a text that holds `{separator}`, a "
                        "quote or a line end"
                    )
                rows += 1
                yield start, dict(zip(header, fields, strict=True))
            if not rows:
                raise PipelineError(f"{path}: no rows below the header; it needs some to work on")
            if blank.count:
                said = f"{path}: {blank.count:,} blank lines, which are no rows ({blank})"
                print(printable(said), file=sys.stderr)
    except UnicodeDecodeError:
        raise PipelineError(
            f"{path}, line {_first_undecodable_line(path)}: not UTF-8; save the file as UTF-8 "
            f"(iconv -f {_likely_encoding(path)} -t utf-8 {path} > utf8.csv)"
        ) from None
    except csv.Error as error:
        raise PipelineError(
            f"{path}, line {end + 1}: {error}; check the quotes of this record"
        ) from None


def _lines(file: TextIO, path: Path) -> Iterator[str]:
    for number, line in enumerate(iter(lambda: file.readline(LONGEST), ""), start=1):
        if "\0" in line:
            raise PipelineError(
                f"{path}, line {number}: a NUL byte; save the file as UTF-8 text, not UTF-16"
            )
        if len(line) == LONGEST:
            raise PipelineError(
                f"{path}, line {number}: {LONGEST:,} characters without a line end; is it a CSV "
                "file? save it as one"
            )
        yield line


def _check_header(header: list[str] | None, needed: list[str], path: Path, separator: str) -> None:
    if not header:
        raise PipelineError(f"{path}, line 1: empty; it needs a header and at least one row")
    columns = ", ".join(f"`{excerpt(name)}`" for name in header[:COLUMNS_SHOWN])
    more = ", ..." if len(header) > COLUMNS_SHOWN else ""
    for name in needed:
        if name not in header:
            raise PipelineError(
                f"{path}, line 1: no column `{name}` when split at `{separator}`; "
                f"there is: {columns}{more}; name one of them, or another separator"
            )
    doubled = sorted(name for name, count in Counter(header).items() if count > 1)
    if doubled:
        raise PipelineError(
            f"{path}, line 1: column `{excerpt(doubled[0])}` stands twice; rename one"
        )


def _likely_encoding(path: Path) -> str:
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "cp1252"


def _first_undecodable_line(path: Path) -> int:
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        for number, line in enumerate(iter(lambda: file.readline(LONGEST), ""), start=1):
            if any("\udc80" <= character <= "\udcff" for character in line):
                return number
    return 1
