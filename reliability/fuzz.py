"""Read damaged files, for a given time, and check that each is read correctly or refused.

    python -m reliability.fuzz [--seconds 120] [--seed 1] [--keep FOLDER]
    python -m reliability.fuzz --repeat FILE

Bytes of valid files are changed, moved, cut and mixed. A reader must return a result or refuse the
file with one line. A result must be complete: for a CSV file, it has the records that Python's own
`csv` finds in strict mode, without the blank lines that the reader has counted. An input with
another outcome is a fault. It is saved, and the command that repeats it is printed.
"""

import argparse
import codecs
import contextlib
import csv
import io
import random
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from ajuste.config import reader
from ajuste.data import encoder, vectors
from ajuste.data.csv_reader import read_csv
from ajuste.errors import PipelineError, run

SEEDS = {
    "csv": [
        b'review,label\nA good film,positive\n"Bad, and\nlong ""really""",negative\n\nSo so,\n',
        '\ufeffrese\u00f1a;n\r\n\u00f1o\u00f1o;1\r\n"dos\r\nl\u00edneas";2\r\n'.encode(),
        "review\ngood \U0001f600\n\n\u0633\u064a\u0646\u0645\u0627\n".encode(),
        b"review,n\rone,1\rtwo,2\r",
    ],
    "vectors": [
        b"the 0.418 0.24968\n, 0.013441 0.23682\n. 0.151 -0.301\n\xc3\xa9t\xc3\xa9 1e-3 -2.5E+1\n",
        b"3 2\ngood 1 0\nat the end 0.5 .5\nbad -1 0\n",
        b"\xef\xbb\xbfgood 1 0\r\nbad 0 1\r\n",
    ],
    "vocabulary": [
        b"<padding>\t0\n<unknown>\t0\nthe\t9000\ngood\t12\n\xc3\xa9pico\t5\n",
        "<padding>\t0\n<unknown>\t0\n\U0001f600\t7\n7/10\t6\ndon't\t5\n".encode(),
    ],
    "params": [
        b"seed: 1\nmodel: gru  # one\ndata:\n  csv:\n    labels:\n    - bad\n    - 'go: od'\n",
        b"a: &x {b: [1, 2.5, ~], c: !!bool yes}\nd: *x\ne: 2026-11-25\nf: |\n  two\n  lines\n",
    ],
}
"""Valid files of each kind."""

NASTY = [
    *(b"\0", b"\n", b"\r", b"\r\n", b"\n\n", b'"', b'""', b'"""', b",", b";", b"\t", b" ", b"  "),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x80"),
    *(b"\xe2\x80\xa8", b"\xc2\x85", b"\x0b", b"\x0c", b"\x1c", b"\x1b[2J", b"\xe2\x80\xae"),
    *(b"nan", b"inf", b"-", b"1e400", b"1e39", b"1_0", b"0x1p3", b"-0", b"9" * 5000, b"1" * 30),
    *(b"good", b"review", b"<unknown>", b"<padding>", b"2 2\n", b"\xd9\xa1", b"\xcc\x81" * 40),
]
"""Bytes that often break readers of text."""

KEEP = Path(tempfile.gettempdir()) / "ajuste-fuzz"
SCRATCH = "/dev/shm" if Path("/dev/shm").is_dir() else None  # in memory: ten times faster
WIDTH = 2
WORDS = {"good", "bad", "the", "at the end", "\u00e9t\u00e9"}

Reader = Callable[[Path], object]


def mutated(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """A file with some changes; parts of `other` can be mixed in."""
    data = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 3, 8])):
        start, end = sorted(chance.randint(0, len(data)) for _ in range(2))
        end = min(end, start + chance.choice([1, 1, 1, 8, 1000]))
        piece = bytes(data[start:end])
        match chance.randrange(9):
            case 0 if data:
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            case 1:
                data[start:start] = chance.choice(NASTY)
            case 2:
                data[start:end] = chance.choice(NASTY)
            case 3:
                del data[start:end]
            case 4:
                data[start:start] = piece * chance.choice([1, 2, 50])
            case 5:
                data[start:start] = chance.randbytes(chance.randint(1, 8))
            case 6:
                cut = chance.randint(0, len(other))
                data[start:] = other[cut:]
            case 7:
                del data[start:]
            case 8:
                data[start:end] = piece[::-1]
    return bytes(data)


def left_out(said: io.StringIO, what: str) -> int:
    """The number of lines that a reader has skipped, by its message."""
    count = re.search(rf"([\d,]+) {what}", said.getvalue())
    return int(count[1].replace(",", "")) if count else 0


def read_table(path: Path) -> None:
    """Read a CSV file and compare the result with that of `csv`.

    Raises:
        AssertionError: the rows differ.
    """
    separator = ";" if b";" in path.read_bytes()[:200] else ","
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        rows = list(read_csv(path, [], separator))
    counted = len(rows) + left_out(said, "blank lines")
    with path.open(encoding="utf-8-sig", newline="") as file:
        records = list(csv.reader(file, delimiter=separator, strict=True))[1:]
    assert counted == len(records), f"{counted} rows and blank lines of {len(records)} records"
    given = [list(row.values()) for _, row in rows]
    empty = [""] if rows and len(rows[0][1]) == 1 else None
    expected = [record or empty for record in records if record or empty]
    assert given == expected, "a row differs from Python's csv"
    lines = [line for line, _ in rows]
    assert lines == sorted(set(lines)), "the line numbers are not in order"


def read_vectors(path: Path) -> None:
    """Read vectors of width 2 and compare their words with the lines.

    Raises:
        AssertionError: the words differ, or a vector is not valid.
    """
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        found = vectors.from_file(WORDS, path, WIDTH)
    lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
    words = [line.rstrip(b"\r ").rsplit(b" ", WIDTH)[0].decode() for line in lines]
    expected = [word for word in words if word in WORDS]
    assert list(found) == list(dict.fromkeys(expected)), "the words differ"
    assert len(found) + left_out(said, "vectors of words") == len(expected), "one was lost"
    for vector in found.values():
        assert vector.shape == (WIDTH,), "a vector of another width"
        assert abs(vector).max() < float("inf"), "a vector that is not finite"


def read_vocabulary(path: Path) -> None:
    """Read a vocabulary; it must be the same after `Encoder.save` and `Encoder.load`."""
    counts = encoder.read_vocabulary(path)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        made = encoder.Encoder(counts, 1, "last", "binary", ["a", "b"])
        made.save(Path(folder))
        assert encoder.Encoder.load(Path(folder)) == made, "the encoder differs"


READERS: dict[str, Reader] = {
    "csv": read_table,
    "vectors": read_vectors,
    "vocabulary": read_vocabulary,
    "params": reader.read,
}


def outcome(reader: Reader, path: Path) -> str:
    """The outcome of reading a file: `taken`, the kind of refusal, or `FAULT` and the reason.

    The kind of a refusal is its message without numbers, names and quotations.
    """
    try:
        reader(path)
    except PipelineError as error:
        said = str(error)
        if not said.startswith(str(path)) or not said.isprintable() or "; " not in said:
            return f"FAULT: not one line of what, where and what to do: {said!r}"
        kind = re.sub(r"[`'\"].*[`'\"]|\d[\d,]*", "#", said.removeprefix(str(path)))
        return re.sub(r"^(, line #)?: ", "", kind).split(";")[0][:70]
    except Exception as error:
        return f"FAULT: {''.join(traceback.format_exception_only(error)).strip()}"
    return "taken"


def cases(chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """Kinds and damaged files, without end; the same seed gives the same cases."""
    while True:
        kind = chance.choice(list(SEEDS))
        content = chance.choice(SEEDS[kind])
        found = mutated(content, chance.choice(SEEDS[chance.choice(list(SEEDS))]), chance)
        yield kind, found


def fuzz(
    seed: int, folder: Path, seconds: float = float("inf"), most: float = float("inf")
) -> tuple[Counter[str], list[Path]]:
    """Try cases until the time is over, or until there were `most` cases.

    Args:
        seed: the seed of the changes.
        folder: the folder for inputs with a fault.
        seconds: the maximum time.
        most: the maximum number of cases.

    Returns:
        The count of each outcome, and the saved inputs.
    """
    outcomes: Counter[str] = Counter()
    kept = []
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        for number, (kind, content) in enumerate(cases(random.Random(seed))):
            if number >= most or time.monotonic() > end:
                break
            path = Path(scratch) / kind
            path.write_bytes(content)
            found = outcome(READERS[kind], path)
            outcomes[f"{kind}: {found}"] += 1
            if found.startswith("FAULT"):
                kept.append(folder / f"{seed}-{number}.{kind}")
                folder.mkdir(parents=True, exist_ok=True)
                kept[-1].write_bytes(content)
    return outcomes, kept


def arguments() -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m reliability.fuzz", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--seconds", type=float, default=120, help="time to run (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the changes (%(default)s)")
    parser.add_argument("--keep", type=Path, default=KEEP, help="folder for faults (%(default)s)")
    parser.add_argument("--repeat", type=Path, metavar="FILE", help="repeat a saved input")
    return parser.parse_args()


def main() -> None:
    """Fuzz, or repeat one case; fail if there is a fault."""
    asked = arguments()
    if asked.repeat:
        reader = READERS.get(asked.repeat.suffix[1:])
        if not reader:
            raise PipelineError(
                f"{asked.repeat}: unknown kind; the name must end in .{', .'.join(SEEDS)}"
            )
        found = outcome(reader, asked.repeat)
        print(f"{asked.repeat}: {found}")
        sys.exit(found.startswith("FAULT"))
    started = time.monotonic()
    outcomes, kept = fuzz(asked.seed, asked.keep, asked.seconds)
    count = outcomes.total()
    for found, times in outcomes.most_common():
        print(f"{times:9,}  {found}")
    print(
        f"seed {asked.seed}: {count:,} cases of {sum(map(len, SEEDS.values()))} files, "
        f"{count / (time.monotonic() - started):,.0f} a second, {len(kept):,} faults"
    )
    for path in kept:
        print(f"python -m reliability.fuzz --repeat {path}")
    if kept:
        raise PipelineError(f"{len(kept):,} faults, saved in {asked.keep}; repeat and correct them")


if __name__ == "__main__":
    run("fuzz", main)
