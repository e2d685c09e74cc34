"""Hostile input: each case is refused in one line or read correctly; no row is dropped."""

import contextlib
import gzip
import io
import json
import os
import stat
import sys
import tarfile
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT, edit, run

from ajuste import errors
from ajuste.config import reader
from ajuste.data import archive, csv_reader, download, reviews, vectors
from ajuste.data.encoder import Encoder, read_vocabulary
from ajuste.errors import printable
from serving import predict
from serving.classifier import Classifier

MEGABYTE = 1 << 20
HEAD = b"review,label\n"
MOST = 2 * MEGABYTE


def refusal(call) -> str:
    """The line with which a call ends the process."""
    with pytest.raises(SystemExit) as end:
        errors.run("stage", call)
    said = end.value.code
    assert isinstance(said, str)
    assert said.isprintable()  # one line, without commands to a terminal
    assert len(said) < 600 + 2 * len(str(Path.cwd()))
    assert "; " in said  # the problem; what to do
    return said


@contextlib.contextmanager
def without_rights():
    """Run the block as another user, because root can read every file."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@contextlib.contextmanager
def little_memory(most: int = 32 * MEGABYTE):
    """Fail if the block used more memory."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


# CSV

REFUSED_CSV = {
    "UTF-16": ("review\n".encode("utf-16"), "not UTF-8; save the file as UTF-8 (iconv -f utf-16"),
    "UTF-16 without a mark": ("review\ngood\n".encode("utf-16-le"), "line 1: a NUL byte"),
    "Windows-1252": (HEAD + b"\x93good\x94,a\n", "as UTF-8 (iconv -f cp1252"),
    "one bad byte": (HEAD + b"fine,a\n" * 100_000 + b"caf\xe9,b\n", "line 100002: not UTF-8"),
    "bad after carriage returns": (b"review,label\rfine,a\rcaf\xe9,b\r", "line 3: not UTF-8"),
    "a surrogate": (HEAD + b"\xed\xa0\x80,a\n", "line 2: not UTF-8"),
    "cut within a character": (HEAD + b"good,a\ncaf\xc3", "line 3: not UTF-8"),
    "a NUL in a text": (HEAD + b"good,a\nb\0ad,b\n", "line 3: a NUL byte"),
    "a NUL in a quoted line": (HEAD + b'"good\n\0",a\n', "line 3: a NUL byte"),
    "an open quote": (HEAD + b'good,a\n"bad,b\n' + b"x,a\n" * 9999, "line 3: unexpected end of"),
    "a quote within a field": (HEAD + b'"good" film,a\n', "line 2: ',' expected after"),
    "a long field": (HEAD + b'x,a\n"' + b"\n" * (MOST + 1) + b'",b\n', "line 3: field larger than"),
    "a line without end": (HEAD + b"x" * (MOST + 1), "line 2: 2,097,152 characters without a"),
    "two equal columns": (b"review,label,n,n\na,b,1,2\n", "line 1: two columns are named `n`"),
    "two columns without a name": (b"review,label,,\na,b,,\n", "line 1: two columns are named ``"),
    "a header and blank lines": (HEAD + b"\n\r\n\n", "no rows below the header"),
    "nothing": (b"", "line 1: empty; it needs a header"),
    "only a byte order mark": (b"\xef\xbb\xbf", "line 1: empty"),
    "only blank lines": (b"\n\n\n", "line 1: empty"),
    "another separator": (b"review;n\ngood;a\n", "the file has `review;n`; correct the name"),
    "a semicolon": (b"n;label;review\n1;a;x\n", "; the separator of this file is `;`"),
    "a tab": (b"label\treview\na\tx\n", "; the separator of this file is `\\t`"),
    "an Excel file": (b"sep=;\nlabel;review\n", "line 2: no column `review` with"),
    "only the line for Excel": (b"sep=;\n", "line 2: empty; it needs a header"),
    "a misspelt column": (b"reveiw,label\nx,a\n", "did you mean `reveiw`?"),
    "quotes with backslashes": (
        HEAD + b'fine,a\n"a \\"good\\" film",a\n',
        """line 3: ',' expected after '"'; write a quote inside a quoted text twice (""), not as""",
    ),
    "a quote with a backslash before a separator": (
        HEAD + b'"a \\", b",a\n',
        'line 2: 3 fields, the header has 2; write a quote inside a quoted text twice (""), not',
    ),
    "a row that is too short": (HEAD + b"good,a\nbad\n", "line 3: 1 fields, the header has 2"),
    "a row that is too long": (HEAD + b"good,a\nbad, so,b\n", "line 3: 3 fields, the header has 2"),
    "many columns": (",".join(f"c{n}" for n in range(100_000)).encode(), "`c9`, ...; correct"),
    "commands": ("\x1b[2J\u202e,n\nx,a\n".encode(), "the file has `\\x1b[2J\\u202e`, `n`"),
    "a header with line ends": (b'"a\nb","c\r\nd"\nx,a\n', "the file has `a\\nb`, `c\\r\\nd`"),
    "a header of a megabyte": (b"x" * MEGABYTE + b",label\ngood,a\n", "xxx...`, `label`"),
}  # fmt: skip


def cases(table: dict):
    """A test for each case of a table, with the name of the case."""
    return pytest.mark.parametrize(("content", "expected"), table.values(), ids=table)


@cases(REFUSED_CSV)
def test_a_csv_that_is_refused(tmp_path, monkeypatch, content, expected):
    monkeypatch.setattr(csv_reader, "LONGEST", MOST)
    path = tmp_path / "reviews.csv"
    path.write_bytes(content)
    said = refusal(lambda: reviews.from_csv(path, "review", "label", None, ","))
    assert said.startswith(f"stage: {path}")
    assert expected in said


TAKEN_CSV = {
    "a byte order mark": (b"\xef\xbb\xbf" + HEAD + b"good,a\n", [("good", "a", 2)]),
    "CRLF": (b"review,label\r\ngood,a\r\nbad,b\r\n", [("good", "a", 2), ("bad", "b", 3)]),
    "lone carriage returns": (b"review,label\rgood,a\rbad,b", [("good", "a", 2), ("bad", "b", 3)]),
    "mixed line ends": (
        b'review,label\r\ngood,a\n"b\rad\r\n!",b\rfine,a',
        [("good", "a", 2), ("b\rad\r\n!", "b", 3), ("fine", "a", 6)],
    ),
    "line ends of Unicode": (
        HEAD + "a\x85b\u2028c\x0bd\x0ce,a\nbad,b\n".encode(),
        [("a\x85b\u2028c\x0bd\x0ce", "a", 2), ("bad", "b", 3)],
    ),
    "no last line end": (HEAD + b"good,a", [("good", "a", 2)]),
    "a field of ten megabytes, over many lines": (
        HEAD + b'"' + b"good\n" * (2 * MEGABYTE) + b'",a\nbad,b\n',
        [("good\n" * (2 * MEGABYTE), "a", 2), ("bad", "b", 2 * MEGABYTE + 3)],
    ),
    "without width, and many marks": (
        HEAD + f"go\u200bod\u200d{chr(0x301) * 5000},a\n".encode(),
        [(f"go\u200bod\u200d{chr(0x301) * 5000}", "a", 2)],
    ),
    "null values elsewhere": (HEAD + b"NA,null\nnan,7\n", [("NA", "null", 2), ("nan", "7", 3)]),
    "the first line of Excel": (b"SEP=,\r\n" + HEAD + b"good,a\n", [("good", "a", 3)]),
    "the first line of Excel, after a mark": (
        b'\xef\xbb\xbf"sep=,"\n' + HEAD + b"good,a\n",
        [("good", "a", 3)],
    ),
    "spaces around names and labels": (
        "review , label\u00a0\n good ,\u00a0a \n".encode(),
        [(" good ", "a", 2)],
    ),
    "what a spreadsheet would run": (HEAD + b"=1+1,@a\n", [("=1+1", "@a", 2)]),
    "a hundred thousand columns": (
        b"review,label," + b",".join(b"%d" % n for n in range(99_998)) + b"\ngood" + b"," * 99_999,
        [("good", "", 2)],
    ),
}  # fmt: skip


@cases(TAKEN_CSV)
def test_a_csv_is_read_without_changes(tmp_path, content, expected, capsys):
    path = tmp_path / "reviews.csv"
    path.write_bytes(content)
    table = reviews.from_csv(path, "review", "label", None, ",")
    assert list(zip(table["review"], table["label"], table["origin"], strict=True)) == [
        (review, label, f"line {line}") for review, label, line in expected
    ]
    assert capsys.readouterr().err == ""


def test_blank_lines_are_counted_with_their_numbers(tmp_path, capsys):
    path = tmp_path / "reviews.csv"
    path.write_bytes(b'review,label\n\ngood,a\n"\n\n",b\n\r\n\r\rfine,a\n\n\n')
    table = reviews.from_csv(path, "review", "label", None, ",")
    assert table["origin"].tolist() == ["line 3", "line 4", "line 10"]
    said = f"{path}: skipped 6 blank lines (lines 2, 7, 8, 9, 11, ...)\n"
    assert capsys.readouterr().err == said


def test_in_a_file_with_one_column_a_blank_line_is_a_row(tmp_path, capsys):
    path = tmp_path / "texts.csv"
    path.write_bytes(b"review\n\ngood\n\n")
    rows = [(line, row["review"]) for line, row in csv_reader.read_csv(path, ["review"])]
    assert rows == [(2, ""), (3, "good"), (4, "")]
    assert capsys.readouterr().err == ""


# Something else in the place of a file


def nothing(path):
    """Leave the path empty."""


def forbidden(path):
    path.write_text("x")
    path.chmod(0)


def device(path):
    path.symlink_to("/dev/zero")


INSTEAD = {
    "nothing": (nothing, "no such file"),
    "a folder": (Path.mkdir, "this is a folder, but a file is needed"),
    "a FIFO": (os.mkfifo, "this is a device or a pipe, but a file is needed"),
    "a device": (device, "this is a device or a pipe, but a file is needed"),
    "a link to nothing": (lambda path: path.symlink_to("none"), "no such file"),
    "a link to itself": (lambda path: path.symlink_to(path), "too many levels of symbolic links"),
    "no permission": (forbidden, "permission denied"),
}
READERS = {
    "parameters": reader.read,
    "CSV": lambda path: list(csv_reader.read_csv(path, ["review"])),
    "vectors": lambda path: vectors.from_file({"good"}, path, 2),
    "vocabulary": read_vocabulary,
    "archive": lambda path: download.check_digest(path, "0" * 64, "delete it"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("case", INSTEAD)
def test_something_else_in_the_place_of_a_file_is_refused(tmp_path, case, reader):
    make, expected = INSTEAD[case]
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents[:2]:
        folder.chmod(folder.stat().st_mode | stat.S_IXOTH)
    path = tmp_path / "file"
    make(path)
    with without_rights() if make is forbidden else contextlib.nullcontext():
        said = refusal(lambda: READERS[reader](path))
    assert said.startswith(f"stage: {path}: {expected}")


@pytest.mark.parametrize("name", ["a\0b", "x" * 300, "file/below"])
def test_an_impossible_file_name_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("x")
    said = refusal(lambda: list(csv_reader.read_csv(tmp_path / name, ["review"])))
    assert said.endswith("check the path")


# Word vectors

LINES = b"good 1 0\nbad -1 0\n"
FIRST = {"good": [1, 0], "bad": [-1, 0]}
REFUSED_VECTORS = {
    "nothing": (b"", "no vectors; each line must have a word and 2 numbers"),
    "too large for 32 bits": (b"good 1 1e39\n", "line 1: a number is too large for 32 bits"),
    **{
        f"the number {field}": (f"good 1 {field}\n".encode(), f"line 1: {field!r} is not a finite")
        for field in ("nan", "-inf", "Infinity", "0x10", "1_0", "0,5", "\u0661", "0\t", "0\0")
    },
    "bytes that are not a number": (b"good 1 \xff\n", "is not a finite"),
    "another separator": (b"good\t1\t0\n", "line 1: 0 numbers after the word, expected 2"),
    "two spaces": (b"good 1  0\n", "line 1: 3 numbers after the word, expected 2"),
    "a larger width": (b"good 1 0 3\n", "line 1: 3 numbers after the word, expected 2"),
    "a smaller width": (LINES + b"film 1\n", "line 3: 1 numbers after the word, expected 2"),
    "an empty line": (b"good 1 0\n\nbad -1 0\n", "line 2: 0 numbers after the word"),
    "no last line end": (b"good 1 0\nbad -1 0", "line 2: the last line has no line end"),
    "cut off within a word": (LINES + b"fil", "line 3: 0 numbers after the word"),
    "two lines in one": (b"good 1 0bad -1 0\n", "line 1: 4 numbers after the word, expected 2"),
    "carriage returns": (b"good 1 0\rbad -1 0\r", "line 1: 4 numbers after the word"),
    "a header with a larger count": (b"3 2\n" + LINES, "2 vectors, but line 1 announces 3"),
    "a header with a smaller count": (b"1 2\n" + LINES, "2 vectors, but line 1 announces 1"),
    "a header of another width": (b"2 3\n" + LINES, "line 1: the vectors have width 3, expected 2"),
    "only a header": (b"2 2\n", "no vectors"),
    "a header of thousands of digits": (b"9" * 5000 + b" 2\n", "line 1: 1 numbers after the word"),
    "Latin-1": ("caf\xe9 1 0\n".encode("latin-1"), "line 1: the word is not UTF-8"),
    "a line without end": (b"good " + b"1 " * MEGABYTE, "line 1: 262,144 bytes without a line"),
    "zeros without end": (LINES + b"\0" * (64 * MEGABYTE), "line 3: 262,144 bytes without a"),
    "word2vec's binary format": (b"2 2\ngood " + bytes(8) + b"\n", "line 2: 1 numbers"),
}  # fmt: skip


@cases(REFUSED_VECTORS)
def test_vectors_that_are_refused(tmp_path, content, expected):
    path = tmp_path / "vectors.txt"
    path.write_bytes(content)
    with little_memory():
        said = refusal(lambda: vectors.from_file({"good", "caf\xe9"}, path, 2))
    assert said.startswith(f"stage: {path}")
    assert printable(expected) in said


TAKEN_VECTORS = {
    "word2vec's header": (b"2 2\n" + LINES, ["good", "bad"]),
    "no last line end, but the right count": (b"2 2\n" + LINES[:-1], ["good", "bad"]),
    "a byte order mark": (b"\xef\xbb\xbf" + LINES, ["good", "bad"]),
    "a byte order mark before a header": (b"\xef\xbb\xbf2 2\n" + LINES, ["good", "bad"]),
    "CRLF": (LINES.replace(b"\n", b"\r\n"), ["good", "bad"]),
    "spaces at the end": (LINES.replace(b"\n", b" \n"), ["good", "bad"]),
    "words with spaces": (b". . 1 0\nat the end 1 0\n" + LINES, [". .", "at the end", "good"]),
    "words with spaces of Unicode": ("a\xa0b 1 0\n\u2009 2 0\n".encode(), ["a\xa0b", "\u2009"]),
    "words that are numbers": (b"1 1 0\n2.5 1 0\nnan 1 0\n", ["1", "2.5", "nan"]),
    "any way to write a number": (b"good +1.e0 -.5E-3\nbad 1e-400 00\n", ["good", "bad"]),
    "emoji and marks": ("\U0001f600 1 0\ne\u0301 1 0\n".encode(), ["\U0001f600", "e\u0301"]),
}


@cases(TAKEN_VECTORS)
def test_vectors_that_are_read(tmp_path, content, expected, capsys):
    path = tmp_path / "vectors.txt"
    path.write_bytes(content)
    assert list(vectors.from_file(set(expected), path, 2)) == expected
    assert capsys.readouterr().err == ""


def test_doubled_words_are_counted_with_their_lines(tmp_path, capsys):
    path = tmp_path / "vectors.txt"
    path.write_bytes(LINES + b"good 5 5\nfilm 1 1\nbad 6 6\nfilm 2 2\n")
    found = vectors.from_file({"good", "bad"}, path, 2)
    assert {word: vector.tolist() for word, vector in found.items()} == FIRST
    assert found["good"].dtype == np.float32
    said = f"{path}: 2 vectors of words that already have a vector were skipped (lines 3, 5)\n"
    assert capsys.readouterr().err == said


# Archives

FILM = b"http://www.imdb.com/title/tt1/usercomments\n"
GOOD = {
    "aclImdb/train/pos/0_9.txt": b"good",
    "aclImdb/test/neg/0_1.txt": b"bad",
    "aclImdb/train/urls_pos.txt": FILM,
    "aclImdb/test/urls_neg.txt": FILM,
}
REVIEW = "aclImdb/train/pos/1_9.txt"
NAME = "glove.6B.50d.txt"
WIDE = b"good" + b" 1" * 50 + b"\n"


def tar(members: dict[str, bytes], mode: str = "w:gz", links: tuple[str, ...] = ()) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as made:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
        for name in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            made.addfile(info)
    return buffer.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return buffer.getvalue()


def read_tar(path: Path, content: bytes):
    path.write_bytes(content)
    url = f"https://example.org/{path.name}"
    return reviews.stanford(url, download.sha256(path), path.parent, "sentiment")


def read_zip(path: Path, content: bytes):
    path.write_bytes(content)
    url = f"https://example.org/{path.name}"
    return vectors.stanford({"good"}, url, download.sha256(path), 50, path.parent)


WHOLE = tar(GOOD)
REFUSED_TAR = {
    "nothing": (b"", "the first file is not readable"),
    "a web page": (b"<!doctype html>", "the first file is not readable"),
    "gzip of another file": (gzip.compress(b"good\n" * 400), "the first file is not readable"),
    "not compressed": (tar(GOOD, "w"), "the first file is not readable"),
    "cut off": (WHOLE[:-20], "is not readable (Compressed file ended"),
    "a damaged block": (WHOLE[:30] + b"\xff\xff" + WHOLE[32:], "is not readable"),
    "no reviews": (tar({"other/train/pos/0_9.txt": b"x"}), "no reviews in aclImdb/"),
    "not a review": (tar({"aclImdb/train/pos/x.txt": b"x"}), "pos/x.txt is not a review"),
    "a review that is not UTF-8": (tar({REVIEW: b"caf\xe9"}), f"{REVIEW} is not readable ('utf-8'"),
}  # fmt: skip
MANY = zipped({NAME: WIDE * 4_000})
REFUSED_ZIP = {
    "nothing": (b"", f"{NAME} is not readable"),
    "a tar": (tar({NAME: WIDE}), f"{NAME} is not readable"),
    "another file": (zipped({"glove.txt": WIDE}), f"{NAME} is not readable"),
    "cut off": (MANY[:-40], f"{NAME} is not readable"),
    "a damaged block": (MANY[:200] + bytes(20) + MANY[220:], NAME),
    "vectors that are cut off": (zipped({NAME: WIDE + WIDE[:-20]}), f"{NAME}, line 2: 40 numbers"),
    "a line of 200 megabytes": (zipped({NAME: b"\0" * (200 * MEGABYTE)}), "line 1: 262,144 bytes"),
}


@cases(REFUSED_TAR | REFUSED_ZIP)
def test_an_archive_that_is_refused(tmp_path, content, expected):
    read = read_zip if NAME in expected or "line" in expected else read_tar
    path = tmp_path / "archive"
    with little_memory():
        said = refusal(lambda: read(path, content))
    assert said.startswith(f"stage: {path}")
    assert expected in said
    assert list(tmp_path.iterdir()) == [path]


def test_the_texts_of_an_archive_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MOST_UNPACKED", 100)
    said = refusal(lambda: read_tar(tmp_path / "a.tar.gz", tar({**GOOD, REVIEW: b"x" * 101})))
    assert f"{REVIEW} is not readable (more than 100 bytes)" in said


def test_members_that_are_no_reviews_are_skipped_and_nothing_is_unpacked(tmp_path):
    beside = {"aclImdb/imdb.vocab": b"the\n" * MEGABYTE, "aclImdb/train/unsup/0_0.txt": b"\xff"}
    outside = {"../x": b"x", "/etc/ajuste": b"x"}
    links = (REVIEW, "aclImdb/x")
    with little_memory():
        table = read_tar(tmp_path / "a.tar.gz", tar({**beside, **outside, **GOOD}, links=links))
    assert table["review"].tolist() == ["good", "bad"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]


# The files beside a model

ENCODER = Encoder({"good": 9, "bad": 7, "film": 5}, 4, "last", "binary", ["negative", "positive"])
WORDS = b"<padding>\t0\n<unknown>\t0\ngood\t9\nbad\t7\nfilm\t5\n"
REFUSED_VOCABULARY = [
    (b"", "no words"),
    (WORDS[:-3], "line 5: no line end, the file is cut off"),
    (WORDS.replace(b"film\t5\n", b""), "this vocabulary does not belong to"),
    (WORDS + b"new\t5\n", "this vocabulary does not belong to"),
    (WORDS + b"film\t5\n", "line 6: 'film\\t5' is not valid: expected a word"),
    (WORDS + b"<unknown>\t0\n", "line 6: '<unknown>\\t0'"),
    (WORDS[24:], "line 1: 'good\\t9' is"),
    (WORDS.replace(b"good\t9\nbad\t7", b"bad\t7\ngood\t9"), "this vocabulary does not belong to"),
    (WORDS.replace(b"bad", b"bae"), "this vocabulary does not belong to"),
    (WORDS.replace(b"bad", b"b\xe9d"), "line 4: not UTF-8"),
    (WORDS.decode().encode("utf-16"), "line 1: not UTF-8"),
    (WORDS.replace(b"bad", b""), "line 4: '\\t7' is not"),
    (WORDS.replace(b"\n", b"\r\n"), "line 1: '<padding>\\t0\\r' is not"),
    *((WORDS.replace(b"7", count), "line 4: ") for count in (b"", b"x", b"-7", b"7_0", b"7" * 99)),
]  # fmt: skip
REFUSED_SETTINGS = [
    *((wrong, "encoder.json: damaged") for wrong in ("", '{"keep"', "[" * 100_000, "9" * 5000)),
    ("[]", "expected `name: value` pairs, not []"),
    ("max_length", None, "`max_length` is missing"),
    ("vocabulary_sha256", None, "`vocabulary_sha256`"),
    ("vocabulary_sha256", "0" * 32, "`vocabulary_sha256`"),
    ("vocabulary_sha256", "0" * 64, "this vocabulary does not belong to"),
    ("shuffle", True, "`shuffle` is not known"),
    ("max_length", -4, "must be greater than 0, not -4"),
    *(("max_length", wrong, "must be a valid integer") for wrong in ("4", 4.5, True)),
    ("keep", "middle", "'first', 'last' or 'both', not 'middle'"),
    ("task", "translate", "not 'translate'"),
    ("task", "regression", "could not convert string to float"),
    ("labels", ["a", "b", "c"], "3 labels do not fit task binary"),
    ("labels", [0, 1], "valid string, not 0"),
    ("labels", ["a", "a"], "two labels are equal"),
]  # fmt: skip


def spoil_settings(folder: Path, change: tuple) -> str:
    """Change `encoder.json`: its text, or the value of a key; return the expected message."""
    path = folder / "encoder.json"
    *spoilt, expected = change
    if len(spoilt) == 1:
        path.write_text(spoilt[0])
    else:
        settings = json.loads(path.read_text()) | dict([spoilt])
        path.write_text(json.dumps({k: v for k, v in settings.items() if v is not None}))
    return expected


@pytest.mark.parametrize(("content", "expected"), REFUSED_VOCABULARY)
def test_a_vocabulary_that_is_refused(tmp_path, content, expected):
    ENCODER.save(tmp_path)
    path = tmp_path / "vocabulary.tsv"
    assert path.read_bytes() == WORDS
    path.write_bytes(content)
    said = refusal(lambda: Encoder.load(tmp_path))
    assert said.startswith(f"stage: {path}")
    assert expected in said


@pytest.mark.parametrize("change", REFUSED_SETTINGS)
def test_settings_of_an_encoder_that_are_refused(tmp_path, change):
    ENCODER.save(tmp_path)
    expected = spoil_settings(tmp_path, change)
    said = refusal(lambda: Encoder.load(tmp_path))
    assert said.startswith(f"stage: {tmp_path}")
    assert expected in said


# The input of `predict`


@pytest.fixture
def known(monkeypatch):
    """A model that calls every text with a known word positive."""

    def answer(token_ids):
        return np.full((len(token_ids), 1), 0.75, dtype=np.float32)

    network = SimpleNamespace(predict=answer, outputs=1, distinct_ids=1 << 30)
    monkeypatch.setattr(predict, "load_encoder", lambda folder: ENCODER)
    monkeypatch.setattr(
        predict.Classifier, "load", lambda folder, few: Classifier(network, ENCODER)
    )


REFUSED_TEXTS = {
    "nothing": ("", "'': the text has no word that the model knows; use a longer text"),
    "white space": (" \t\n", "' \\t\\n': the text has no word"),
    "marks without a letter": ("\u0301" * 10, "no word"),
    "nothing that has a width": ("\u200b\u200d\ufeff", "'\\u200b\\u200d\\ufeff': the text has no"),
    "commands to the terminal": ("\x1b[2J\x07\r", "'\\x1b[2J\\x07\\r': the text has no word"),
    "what turns the line around": ("\u202e!", "'\\u202e!': the text has no word"),
    "bytes that are no text": ("\udcff\udcfe", "'\\udcff\\udcfe': the text has no word"),
    "ten megabytes of nothing": ("." * (10 * MEGABYTE), "....': the text has no word"),
    "a reference of thousands of digits": ("&#" + "9" * 5000 + ";", "...': the text has no word"),
}  # fmt: skip


@cases(REFUSED_TEXTS)
def test_a_text_without_a_known_word_is_unknown(known, capsys, content, expected):
    said = refusal(lambda: predict.main([content]))
    assert expected in said
    assert capsys.readouterr().out == "unknown\n"


TAKEN_TEXTS = {
    "a megabyte": "good film " * 100_000,
    "one word of ten megabytes, and a known one": "x" * (10 * MEGABYTE) + " good",
    "megabytes of marks on a letter": "good e" + "\u0301\u0327" * MEGABYTE,
    "megabytes of references": "good " + "&#65;&lt;" * 100_000,
    "megabytes of markup that is not closed": "good" + "<br " * 300_000,
    "from right to left, and a known word": "\u0633\u064a\u0646\u0645\u0627 good",
    "between bytes that are no text": "\udcff good \udcff",
    "in capitals of another width": "\uff27\uff2f\uff2f\uff24 good",
    "a reference out of range": "good &#1114112; &#xD800; &#0;",
}


@pytest.mark.parametrize("case", TAKEN_TEXTS)
def test_a_text_with_a_known_word_is_scored(known, capsys, case):
    predict.main([TAKEN_TEXTS[case]])
    assert capsys.readouterr().out == "positive (75.0%)\n"


def test_commands_to_a_terminal_in_a_label_are_escaped(known, capsys, monkeypatch):
    labels = ["bad", "\x1b[2J\rfine \u202e\xe9"]
    monkeypatch.setattr(Classifier, "label", lambda self, predictions: labels[1:])
    monkeypatch.setattr(predict, "load_encoder", lambda folder: replace(ENCODER, labels=labels))
    predict.main(["good"])
    assert capsys.readouterr().out == "\\x1b[2J\\rfine \\u202e\xe9 (75.0%)\n"


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        (b"text\ngood\n", [], "line 1: no column `review`"),
        (b"review\ngood\n", ["--column", "\x1b[2J"], "no column `\\x1b[2J`"),
        (b"review;n\ngood;1\n", [], "the file has `review;n`; the separator of this file is `;`"),
        (b"review,probability\ngood,1\n", [], "in.csv, line 1: there is a column `proba"),
        (b"review\ngood\nb\xe9d\n", [], "line 3: not UTF-8"),
        (b"review,n\n" + b"good,1\n" * 5000 + b'"bad,2\n', [], "line 5002: unexpected end of data"),
    ],
)
def test_a_file_that_cannot_be_scored_leaves_nothing(known, in_tmp, content, options, expected):
    (in_tmp / "in.csv").write_bytes(content)
    before = sorted(in_tmp.iterdir())
    command = ["--csv", "in.csv", "--output", "out.csv", *options]
    assert expected in refusal(lambda: predict.main(command))
    assert sorted(in_tmp.iterdir()) == before


def test_a_scored_file_has_every_row(known, in_tmp, capsys):
    content = 'review,n\ngood,1\n\n"go\rod",2\n\U0001f600,3\n"good\r\n",4\n,5\n'
    Path("in.csv").write_bytes(content.encode())
    predict.main(["--csv", "in.csv", "--output", "out.csv"])
    rows = [(line, *row.values()) for line, row in csv_reader.read_csv(Path("out.csv"), ["review"])]
    assert rows == [
        (2, "good", "1", "positive", "0.750000"),
        (3, "go\rod", "2", "", ""),
        (5, "\U0001f600", "3", "", ""),
        (6, "good\r\n", "4", "positive", "0.750000"),
        (8, "", "5", "", ""),
    ]
    assert capsys.readouterr().err == (
        "in.csv: skipped 1 blank lines (lines 3)\n"
        "in.csv: 3 of 5 texts have no word that the model knows; there is no answer "
        "(lines 4, 6, 9)\n"
    )


@pytest.mark.parametrize("separator", ["", ",,", '"', "\n", "\0", "\udcff"])
def test_an_invalid_separator_is_refused(in_tmp, capsys, separator):
    with pytest.raises(SystemExit) as end:
        predict.arguments(["--csv", "a", "--output", "b", "--separator", separator])
    assert end.value.code == 2
    assert "--separator takes one character or tab" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "no lines; give one text on each line"),
        (b"good\nb\xe9d\n", "line 2: not UTF-8"),
        ("good".encode("utf-16"), "line 1: not UTF-8"),
        (b"good\nba\0d\n", "line 2: a NUL byte"),
        (b"good\n" + b"x" * (1 << 24), "line 2: 16,777,216 bytes without a line end"),
    ],
)
@pytest.mark.parametrize("options", [[], ["--output", "-"], ["--output", "out.csv"]])
def test_standard_input_that_is_not_text_is_refused(
    known, in_tmp, monkeypatch, capsys, content, expected, options
):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert f"/dev/stdin{',' if 'line ' in expected else ':'} {expected}" in refusal(
        lambda: predict.main(["-", *options])
    )
    assert capsys.readouterr().out in ("", "review,sentiment,probability\n")
    assert not Path("out.csv").exists()


def test_each_line_of_standard_input_has_an_answer(known, monkeypatch, capsys):
    content = "\ufeffA good\xa0film.\r\n\n\x1b[2J bad x y\nfilm".encode()
    for options, expected in (
        ([], "positive (75.0%)  A good film.\nunknown\npositive (75.0%)  \\x1b[2J bad x y\n"),
        (
            ["--output", "-"],
            "review,sentiment,probability\nA good\xa0film.,positive,0.750000\n,,\n",
        ),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        predict.main(["-", *options])
        said = capsys.readouterr()
        assert said.out.startswith(expected)
        assert len(said.out.splitlines()) == 4 + bool(options)
        assert said.err == (
            "/dev/stdin: 1 of 4 texts have no word that the model knows; there is no answer "
            "(lines 2)\n"
            "/dev/stdin: 1 of 4 texts have more unknown than known words; do not rely on the "
            "answer (lines 3)\n"
        )


def test_a_text_that_is_not_utf8_cannot_be_in_a_file(capsys):
    with pytest.raises(SystemExit):
        predict.arguments(["\udcff", "--output", "-"])
    assert "--output needs texts in UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("separator", ["\t", "\\t", "tab"])
def test_a_tab_can_be_written_in_three_ways(separator):
    asked = ["--csv", "a", "--output", "b", "--separator", separator]
    assert predict.arguments(asked).separator == "\t"


# The commands themselves

SAYS = "print('good'); print('rare', file=sys.stderr); sys.stderr.isatty()"
MUCH = "print('good' * 10**6)"
FAULT = "print('good'); raise errors.PipelineError('no film; add one')"
PIPE = "| true; exit ${PIPESTATUS[0]}"


@pytest.mark.parametrize(
    ("program", "streams", "code", "out", "err"),
    [
        (SAYS, "", 0, "good\n", "rare\n"),
        (SAYS, ">&-", 0, "", "rare\n"),
        (SAYS, "2>&-", 0, "good\n", ""),
        (SAYS, "<&- >&- 2>&-", 0, "", ""),
        (MUCH, PIPE, 141, "", ""),
        (SAYS, "2>/dev/null >/dev/full", 1, "", ""),
        (MUCH, ">/dev/full", 1, "", "stage: No space left on device\n"),
        (FAULT, ">&-", 1, "", "stage: no film; add one\n"),
        (FAULT, "2>&-", 1, "good\n", ""),
    ],
)
def test_streams_that_are_closed_full_or_read_by_nobody(
    monkeypatch, program, streams, code, out, err
):
    monkeypatch.setenv("PYTHONUNBUFFERED", "")
    main = f"def main():\n  {program}"
    lines = f"import sys\nfrom ajuste import errors\n{main}\nerrors.run('stage', main)"
    command = [sys.executable, "-c", lines]
    done = run("bash", "-c", f'"$@" {streams}', "bash", *command, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)


def test_a_new_file_does_not_get_the_output_of_a_closed_stream(tmp_path):
    main = f"lambda: (open({str(tmp_path / 'out')!r}, 'w'), os.write(1, b'x'), os.write(2, b'x'))"
    program = f"import os\nfrom ajuste import errors\nerrors.run('stage', {main})"
    run("bash", "-c", '"$@" >&- 2>&-', "bash", sys.executable, "-c", program, cwd=ROOT)
    assert (tmp_path / "out").read_text() == ""


def test_a_stage_ends_with_one_line_and_writes_nothing(in_tmp, monkeypatch):
    changes = {"source: bundled\n  # 25": "source: csv\n  # 25"}
    changes["data/examples/resenas.csv"] = r'"a\n\x1b[2J.csv"'
    edit(Path("params.yaml"), changes)
    Path("a\n\x1b[2J.csv").write_text('rese\xf1a,opini\xf3n\nbuena,buena\n"mala,mala\n')
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    done = run(sys.executable, "-m", "stages.fetch", cwd=in_tmp, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "fetch: a\\n\\x1b[2J.csv, line 3: unexpected end of data; check the quotes of this record; "
        'a quote inside a quoted text is written twice ("")\n'
    )
    assert not Path("data").exists()


def test_predict_ends_with_one_line_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "in.csv").write_text("text\ngood\n")
    ENCODER.save(tmp_path / "data/model")
    (tmp_path / "data/model/model.keras").touch()
    command = [sys.executable, "-m", "serving.predict", "--csv", "in.csv", "--output", "out.csv"]
    done = run(*command, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("predict: in.csv, line 1: no column `review`")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out.csv").exists()
