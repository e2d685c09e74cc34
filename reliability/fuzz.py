"""Feed the readers of files damaged ones, for as long as asked, and see that none gets through.

    python -m reliability.fuzz [--seconds 120] [--seed 1] [--keep FOLDER]
    python -m reliability.fuzz --repeat FILE

Valid files are taken and bytes of them changed, moved, cut and mixed. A reader may give a result,
or refuse with one line; nothing else. Where it takes a file, what it gave and what it counted as
left out must be all that is there: for a CSV file, the records that Python's own `csv` finds in
strict mode. The headers of an archive get their checksums again, without which none would be read.
An input that does not hold to this is kept, and its path printed with what repeats it.
"""

import argparse
import codecs
import contextlib
import csv
import gzip
import io
import random
import re
import sys
import tarfile
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ajuste.config import reader
from ajuste.data import archive, text, vectors
from ajuste.data.csv_reader import read_csv
from ajuste.errors import PipelineError, run


def _tar(form: int) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as tar:
        for name, content in (("pos/0_9.txt", b"good"), (f"neg/{'x' * 120}\u00e9.txt", b"bad")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.pax_headers = {"comment": "GNU.sparse.map=0,4"}
            tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


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
    "archive": [_tar(tarfile.PAX_FORMAT), _tar(tarfile.GNU_FORMAT)],
}
"""Valid files of each kind."""

NASTY = [
    *(b"\0", b"\n", b"\r", b"\r\n", b"\n\n", b'"', b'""', b'"""', b",", b";", b"\t", b" ", b"  "),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x80"),
    *(b"\xe2\x80\xa8", b"\xc2\x85", b"\x0b", b"\x0c", b"\x1c", b"\x1b[2J", b"\xe2\x80\xae"),
    *(b"nan", b"inf", b"-", b"1e400", b"1e39", b"1_0", b"0x1p3", b"-0", b"9" * 5000, b"1" * 30),
    *(b"good", b"review", b"<unknown>", b"<padding>", b"2 2\n", b"\xd9\xa1", b"\xcc\x81" * 40),
]
"""What has broken readers of text before."""

KEEP = Path(tempfile.gettempdir()) / "ajuste-fuzz"
SCRATCH = "/dev/shm" if Path("/dev/shm").is_dir() else None  # in memory: ten times the cases
BLOCK = 512  # bytes: what a tar is made of
WIDTH = 2
WORDS = {"good", "bad", "the", "at the end", "\u00e9t\u00e9"}

Reader = Callable[[Path], None]


def mutated(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """A file with some changes; `other` is one to mix it with."""
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
    """How many lines a reader said it had left out."""
    count = re.search(rf": ([\d,]+) {what}", said.getvalue())
    return int(count[1].replace(",", "")) if count else 0


def read_table(path: Path) -> None:
    """Read a CSV file, by the first column of its header, and hold it against `csv`.

    Raises:
        AssertionError: a row was lost or made up.
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
    assert given == expected, "a row is not what Python's csv reads"
    lines = [line for line, _ in rows]
    assert lines == sorted(set(lines)), "the numbers of the lines do not rise"


def read_vectors(path: Path) -> None:
    """Read vectors two wide, and hold them against the words that the lines begin with.

    Raises:
        AssertionError: one was lost or made up, or is no vector.
    """
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        found = vectors.from_file(WORDS, path, WIDTH)
    lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
    words = [line.rstrip(b"\r ").rsplit(b" ", WIDTH)[0].decode() for line in lines]
    expected = [word for word in words if word in WORDS]
    assert list(found) == list(dict.fromkeys(expected)), "not the words that are there"
    assert len(found) + left_out(said, "vectors of words") == len(expected), "one was lost"
    for vector in found.values():
        assert vector.shape == (WIDTH,), "a vector of another width"
        assert abs(vector).max() < float("inf"), "a vector that is not finite"


def read_vocabulary(path: Path) -> None:
    """Read a vocabulary; what is taken must come back as it was from `Encoder.save`."""
    counts = text.read_vocabulary(path)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        encoder = text.Encoder(counts, 1, "last", "binary", ["a", "b"])
        encoder.save(Path(folder))
        assert text.Encoder.load(Path(folder)) == encoder, "not what was saved"


def read_params(path: Path) -> None:
    """Read parameters; what is taken has texts for keys, at any depth."""
    waiting: list[Any] = [reader.read(path)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            assert all(isinstance(key, str) for key in value), "a key that is no text"
        if isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value


def read_archive(path: Path) -> None:
    """Read the files of an archive; no name is given twice."""
    names = [name for name, _ in archive.texts(path, re.compile(".*", re.DOTALL))]
    assert len(names) == len(set(names)), "a name that comes twice"


def written(kind: str, content: bytes) -> bytes:
    """What a file holds: a tar is packed, with the checksums that its headers ought to have."""
    if kind != "archive":
        return content
    data = bytearray(content)
    for start in range(0, len(data) - BLOCK + 1, BLOCK):
        if data[start + 257 : start + 262] == b"ustar":
            data[start + 148 : start + 156] = b" " * 8
            data[start + 148 : start + 156] = b"%06o\0 " % sum(data[start : start + BLOCK])
    return gzip.compress(data, compresslevel=1, mtime=0)


READERS: dict[str, Reader] = {
    "csv": read_table,
    "vectors": read_vectors,
    "vocabulary": read_vocabulary,
    "params": read_params,
    "archive": read_archive,
}


def outcome(reader: Reader, path: Path) -> str:
    """What came of reading a file: `taken`, the kind of the refusal, or `FAULT` and why.

    A refusal without its numbers, names and quotations is its kind.
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
    """Kinds and damaged files without end; the same for the same seed."""
    while True:
        kind = chance.choice(list(SEEDS))
        content = chance.choice(SEEDS[kind])
        found = mutated(content, chance.choice(SEEDS[chance.choice(list(SEEDS))]), chance)
        yield kind, written(kind, found)


def fuzz(
    seed: int, folder: Path, seconds: float = float("inf"), most: float = float("inf")
) -> tuple[Counter[str], list[Path]]:
    """Try cases until the time is over or `most` have been tried.

    Args:
        seed: of the changes.
        folder: where an input that is a fault is kept.
        seconds: how long.
        most: how many.

    Returns:
        How often each outcome came, and the inputs that are faults.
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
    """What the user asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m reliability.fuzz", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--seconds", type=float, default=120, help="how long (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the changes (%(default)s)")
    parser.add_argument("--keep", type=Path, default=KEEP, help="for faults (%(default)s)")
    parser.add_argument("--repeat", type=Path, metavar="FILE", help="try one that was kept again")
    return parser.parse_args()


def main() -> None:
    """Fuzz, or repeat one case; a fault ends in an error."""
    asked = arguments()
    if asked.repeat:
        reader = READERS.get(asked.repeat.suffix[1:])
        if not reader:
            raise PipelineError(f"{asked.repeat}: no kind; end its name in .{', .'.join(SEEDS)}")
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
        raise PipelineError(
            f"{len(kept):,} faults; the inputs are in {asked.keep}, repeat and mend"
        )


if __name__ == "__main__":
    run("fuzz", main)
