"""Read a user's CSV row by row, with the line number of each, and refuse what cannot be read."""

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path

from ajuste.errors import PipelineError

Row = tuple[int, dict[str, str]]


def read_csv(path: Path, needed: list[str], separator: str = ",") -> Iterator[Row]:
    """Yield `(line, fields)` for every record of a CSV file in UTF-8, with or without a BOM.

    Args:
        path: the file; its first record names the columns.
        needed: the columns that must be there.
        separator: the one character between two fields.

    A blank line is a record with an empty text where there is one column, and no record where there
    are more.

    Yields:
        The number of the line on which the record starts, counted from 1 (a quoted field may hold
        line ends, so records and lines differ), and the record as `{column: text}`, with the
        columns in the file's order and each text as it stands.

    Raises:
        PipelineError: no such file; no rows; not UTF-8; a NUL byte; a quote that is never closed;
            a column that is missing or named twice; a record with too few or too many fields.
            It names the line. Faults in the header come with the first row asked for.
    """
    csv.field_size_limit(2**31 - 1)  # the most that a C long holds everywhere
    end = rows = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(_without_nul(file, path), delimiter=separator, strict=True)
            header = next(reader, None)
            _check_header(header, needed, path, separator)
            end = reader.line_num
            for fields in reader:
                start, end = end + 1, reader.line_num
                if not fields and len(header) > 1:
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
    except FileNotFoundError:
        raise PipelineError(f"{path}: no such file; check the path") from None
    except IsADirectoryError:
        raise PipelineError(f"{path}: a folder, where a CSV file is needed") from None
    except UnicodeDecodeError:
        raise PipelineError(
            f"{path}, line {_first_undecodable_line(path)}: not UTF-8; save the file as UTF-8 "
            f"(iconv -f {_likely_encoding(path)} -t utf-8 {path} > utf8.csv)"
        ) from None
    except csv.Error as error:
        raise PipelineError(
            f"{path}, line {end + 1}: {error}; check the quotes of this record"
        ) from None


def _without_nul(lines: Iterator[str], path: Path) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise PipelineError(
                f"{path}, line {number}: a NUL byte; save the file as UTF-8 text, not UTF-16"
            )
        yield line


def _check_header(header: list[str] | None, needed: list[str], path: Path, separator: str) -> None:
    if header is None:
        raise PipelineError(f"{path}: empty; it needs a header and at least one row")
    columns = ", ".join(f"`{name}`" for name in header)
    for name in needed:
        if name not in header:
            raise PipelineError(
                f"{path}, line 1: no column `{name}` when split at `{separator}`; "
                f"there is: {columns}"
            )
    doubled = sorted({name for name in header if header.count(name) > 1})
    if doubled:
        raise PipelineError(f"{path}, line 1: column `{doubled[0]}` stands twice; rename one")


def _likely_encoding(path: Path) -> str:
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "latin1"


def _first_undecodable_line(path: Path) -> int:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 1
