"""Hostile input: each case is refused in one line, or taken for what it is. Nothing is dropped."""

import contextlib
import gzip
import io
import json
import os
import stat
import struct
import sys
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, edit, run

from ajuste import errors
from ajuste.config import reader
from ajuste.data import archive, csv_reader, download, reviews, text, vectors
from ajuste.data.text import Encoder
from serving import predict

MEGABYTE = 1 << 20
HEAD = b"review,label\n"


def refusal(call) -> str:
    """The one line that a call ends the process with."""
    with pytest.raises(SystemExit) as end:
        errors.run("stage", call)
    said = end.value.code
    assert isinstance(said, str)
    assert said.isprintable()  # one line, and nothing that a terminal would act upon
    assert len(said) < 600 + 2 * len(str(Path.cwd()))
    assert "; " in said  # what to do stands after what is wrong
    return said


@contextlib.contextmanager
def without_rights():
    """Be nobody for a while, since root may read everything."""
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
    """Fail if the block held more than that at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


# CSV

REFUSED_CSV = {
    "UTF-16 with a mark": (
        "review,label\ngood,a\n".encode("utf-16"),
        "line 1: not UTF-8; save the file as UTF-8 (iconv -f utf-16",
    ),
    "UTF-16 without a mark": ("review,label\ngood,a\n".encode("utf-16-le"), "line 1: a NUL byte"),
    "UTF-16, big end first": ("review,label\ngood,a\n".encode("utf-16-be"), "line 1: a NUL byte"),
    "UTF-32": ("review,label\ngood,a\n".encode("utf-32"), "line 1: not UTF-8"),
    "Latin-1": (HEAD + "genial,a\nmal\xedsima,b\n".encode("latin-1"), "line 3: not UTF-8"),
    "Windows-1252": (
        HEAD + "\u201cgood\u201d,a\n".encode("cp1252"),
        "line 2: not UTF-8; save the file as UTF-8 (iconv -f cp1252",
    ),
    "Shift JIS": (HEAD + "\u6620\u753b,a\n".encode("shift_jis"), "line 2: not UTF-8"),
    "one bad byte, deep in the file": (
        HEAD + b"fine,a\n" * 100_000 + b"caf\xe9,b\nfine,a\n",
        "line 100002: not UTF-8",
    ),
    "one bad byte after lone carriage returns": (
        b"review,label\rfine,a\rcaf\xe9,b\r",
        "line 3: not UTF-8",
    ),
    "a surrogate": (HEAD + b"\xed\xa0\x80,a\n", "line 2: not UTF-8"),
    "an overlong character": (HEAD + b"\xc0\xaf,a\n", "line 2: not UTF-8"),
    "cut within a character": (HEAD + b"good,a\ncaf\xc3", "line 3: not UTF-8"),
    "a NUL in a text": (HEAD + b"good,a\nb\0ad,b\n", "line 3: a NUL byte"),
    "a NUL in the header": (b"rev\0iew,label\ngood,a\n", "line 1: a NUL byte"),
    "a NUL in a quoted line end": (HEAD + b'"good\n\0",a\n', "line 3: a NUL byte"),
    "a quote that never closes": (
        HEAD + b'good,a\n"bad,b\nfine,a\n',
        "line 3: unexpected end of data; check the quotes",
    ),
    "a quote that never closes, and much after it": (
        HEAD + b'good,a\n"bad,b\n' + b"fine,a\n" * 500_000,
        "line 3: unexpected end of data",
    ),
    "a quote that closes within a field": (HEAD + b'"good" film,a\n', "line 2: ',' expected after"),
    "a stray quote that meets another": (HEAD + b'"good,a\nbad,b\n"fine",a\n', "line 2: ',' exp"),
    "a field without bounds": (
        HEAD + b'good,a\n"' + b"no end\n" * (csv_reader.LONGEST // 7 + 1) + b'",b\n',
        "line 3: field larger than field limit",
    ),
    "a line without end": (
        HEAD + b"x" * (csv_reader.LONGEST + 1),
        "line 2: 16,777,216 characters without a line end",
    ),
    "a header that names a column twice": (
        b"review,label,review\na,b,c\n",
        "`review` stands twice",
    ),
    "another column twice": (b"review,label,n,n\na,b,1,2\n", "line 1: column `n` stands twice"),
    "two columns without a name": (b"review,label,,\na,b,,\n", "line 1: column `` stands twice"),
    "a header and no more": (HEAD, "no rows below the header"),
    "a header and blank lines": (HEAD + b"\n\r\n\n", "no rows below the header"),
    "nothing": (b"", "line 1: empty; it needs a header"),
    "a byte order mark and no more": (b"\xef\xbb\xbf", "line 1: empty"),
    "blank lines and no more": (b"\n\n\n", "line 1: empty"),
    "no header": (b"good,a\nbad,b\n", "line 1: no column `review` when split at `,`"),
    "semicolons": (
        b"review;label\ngood;a\n",
        "there is: `review;label`; name one of them, or another separator",
    ),
    "tabs": (b"review\tlabel\ngood\ta\n", "there is: `review\\tlabel`"),
    "a row that is too short": (HEAD + b"good,a\nbad\n", "line 3: 1 fields where the header has 2"),
    "a row that is too long": (HEAD + b"good,a\nbad, very,b\n", "line 3: 3 fields where the"),
    "a row of spaces": (HEAD + b"good,a\n   \nbad,b\n", "line 3: 1 fields where the header has 2"),
    "a hundred thousand columns, none of them": (
        ",".join(f"c{n}" for n in range(100_000)).encode() + b"\n",
        "`c9`, ...; name one of them",
    ),
    "a hundred thousand fields": (HEAD + b"," * 99_999 + b"\n", "line 2: 100000 fields where the"),
    "a header for the terminal": (
        b"\x1b[2J\x07,label\nx,a\n",
        "there is: `\\x1b[2J\\x07`, `label`",
    ),
    "a header with line ends": (b'"a\nb","c\r\nd"\nx,a\n', "there is: `a\\nb`, `c\\r\\nd`"),
    "a header that turns the line around": (
        "\u202erebal,label\nx,a\n".encode(),
        "there is: `\\u202erebal`",
    ),
    "a header of megabytes": (b"x" * MEGABYTE + b",label\ngood,a\n", "xxx...`, `label`"),
    "a web page": (b"<!doctype html>\n<html>Not found</html>\n", "there is: `<!doctype html>`"),
    "JSON": (b'[{"review": "good", "label": "a"}]\n', "line 1: no column `review`"),
    "gzip": (gzip.compress(HEAD + b"good,a\n", mtime=0), "line 1: not UTF-8"),
}


@pytest.mark.parametrize("case", REFUSED_CSV)
def test_a_csv_that_is_refused(tmp_path, case):
    content, expected = REFUSED_CSV[case]
    path = tmp_path / "reviews.csv"
    path.write_bytes(content)
    said = refusal(lambda: reviews.from_csv(path, "review", "label", None, ","))
    assert said.startswith(f"stage: {path}")
    assert expected in said


LONG = "good film " * MEGABYTE  # ten megabytes
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
    "a row of ten megabytes": (HEAD + f"{LONG},a\n".encode(), [(LONG, "a", 2)]),
    "a field of ten megabytes, over many lines": (
        HEAD + b'"' + b"good\n" * (2 * MEGABYTE) + b'",a\nbad,b\n',
        [("good\n" * (2 * MEGABYTE), "a", 2), ("bad", "b", 2 * MEGABYTE + 3)],
    ),
    "only emoji": (HEAD + "\U0001f600\u2764,a\n".encode(), [("\U0001f600\u2764", "a", 2)]),
    "only white space": (HEAD + b'"  ",a\n\t,b\n', [("  ", "a", 2), ("\t", "b", 3)]),
    "an empty text": (HEAD + b",a\n", [("", "a", 2)]),
    "from right to left": (
        HEAD + "\u0633\u064a\u0646\u0645\u0627,a\n".encode(),
        [("\u0633\u064a\u0646\u0645\u0627", "a", 2)],
    ),
    "without width, and many marks": (
        HEAD + f"go\u200bod\u200d{chr(0x301) * 5000},a\n".encode(),
        [(f"go\u200bod\u200d{chr(0x301) * 5000}", "a", 2)],
    ),
    "numbers as labels": (HEAD + b"1,007\n2,1e5\n", [("1", "007", 2), ("2", "1e5", 3)]),
    "no values elsewhere": (HEAD + b"NA,null\nnan,1e5\n", [("NA", "null", 2), ("nan", "1e5", 3)]),
    "what a spreadsheet would run": (HEAD + b"=1+1,@a\n", [("=1+1", "@a", 2)]),
    "a hundred thousand columns": (
        b"review,label," + b",".join(b"%d" % n for n in range(99_998)) + b"\ngood" + b"," * 99_999,
        [("good", "", 2)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TAKEN_CSV)
def test_a_csv_that_is_taken_as_it_is(tmp_path, case, capsys):
    content, expected = TAKEN_CSV[case]
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
    said = f"{path}: 6 blank lines, which are no rows (lines 2, 7, 8, 9, 11, ...)\n"
    assert capsys.readouterr().err == said


def test_where_there_is_one_column_a_blank_line_is_a_row(tmp_path, capsys):
    path = tmp_path / "texts.csv"
    path.write_bytes(b"review\n\ngood\n\n")
    rows = [(line, row["review"]) for line, row in csv_reader.read_csv(path, ["review"])]
    assert rows == [(2, ""), (3, "good"), (4, "")]
    assert capsys.readouterr().err == ""


# What stands where a file is needed


def nothing(path):
    """Leave the path empty."""


def forbidden(path):
    path.write_text("x")
    path.chmod(0)


def device(path):
    path.symlink_to("/dev/zero")


INSTEAD = {
    "nothing": (nothing, "no such file"),
    "a folder": (Path.mkdir, "a folder, where a file is needed"),
    "a FIFO": (os.mkfifo, "a device or a pipe, where a file is needed"),
    "a device": (device, "a device or a pipe, where a file is needed"),
    "a link to nothing": (lambda path: path.symlink_to("none"), "no such file"),
    "a link to itself": (lambda path: path.symlink_to(path), "too many levels of symbolic links"),
    "no permission": (forbidden, "permission denied"),
}
READERS = {
    "parameters": reader.read,
    "CSV": lambda path: list(csv_reader.read_csv(path, ["review"])),
    "vectors": lambda path: vectors.from_file({"good"}, path, 2),
    "vocabulary": text.read_vocabulary,
    "archive": lambda path: download.check_digest(path, "0" * 64, "delete it"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("case", INSTEAD)
def test_no_file_to_read(tmp_path, case, reader):
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
def test_a_name_that_no_file_has(tmp_path, name):
    (tmp_path / "file").write_text("x")
    said = refusal(lambda: list(csv_reader.read_csv(tmp_path / name, ["review"])))
    assert said.endswith("check the path")


# Word vectors

LINES = b"good 1 0\nbad -1 0\n"
REFUSED_VECTORS = {
    "nothing": (b"", "empty; it needs lines of a word and 2 numbers"),
    "NaN": (b"good 1 nan\n", "line 1: 'nan' is no finite decimal number"),
    "infinity": (b"bad 1 0\ngood 1 -inf\n", "line 2: '-inf' is no finite decimal number"),
    "infinity in full": (b"good 1 Infinity\n", "line 1: 'Infinity' is no finite"),
    "too large for any float": (b"good 1 1e400\n", "line 1: a number is too large for 32 bits"),
    "too large for 32 bits": (b"good 1 1e39\n", "line 1: a number is too large for 32 bits"),
    "hexadecimal": (b"good 1 0x10\n", "line 1: '0x10' is no finite"),
    "an underscore": (b"good 1 1_0\n", "line 1: '1_0' is no finite"),
    "a decimal comma": (b"good 1 0,5\n", "line 1: '0,5' is no finite"),
    "digits of another script": ("good 1 \u0661\n".encode(), "line 1: '\u0661' is no finite"),
    "a tab after a number": (b"good 1 0\t\n", "line 1: '0\\t' is no finite"),
    "a NUL after a number": (b"good 1 0\0\n", "line 1: '0\\x00' is no finite"),
    "two spaces": (b"good 1  0\n", "line 1: 3 numbers after the word, expected 2"),
    "bytes that are no number": (b"good 1 \xff\n", "is no finite"),
    "tabs between": (b"good\t1\t0\n", "line 1: 0 numbers after the word, expected 2"),
    "commas between": (b"good,1,0\n", "line 1: 0 numbers after the word, expected 2"),
    "a larger width": (b"good 1 0 3\n", "line 1: 3 numbers after the word, expected 2"),
    "a smaller width": (LINES + b"film 1\n", "line 3: 1 numbers after the word, expected 2"),
    "an empty line": (b"good 1 0\n\nbad -1 0\n", "line 2: 0 numbers after the word"),
    "a line of spaces": (b"good 1 0\n   \nbad -1 0\n", "line 2: 0 numbers after the word"),
    "no last line end": (b"good 1 0\nbad -1 0", "line 2: no line end, so the file is cut"),
    "cut within a word": (LINES + b"fil", "line 3: 0 numbers after the word"),
    "two lines in one": (b"good 1 0bad -1 0\n", "line 1: 4 numbers after the word, expected 2"),
    "lone carriage returns": (b"good 1 0\rbad -1 0\r", "line 1: 4 numbers after the word"),
    "a header that announces more": (b"3 2\n" + LINES, "2 vectors, 3 announced in line 1"),
    "a header that announces less": (b"1 2\n" + LINES, "2 vectors, 1 announced in line 1"),
    "a header of another width": (b"2 3\n" + LINES, "line 1: vectors of 3 numbers announced"),
    "a header and no more": (b"2 2\n", "empty"),
    "a header of thousands of digits": (b"9" * 5000 + b" 2\n", "line 1: 1 numbers after the word"),
    "Latin-1": ("caf\xe9 1 0\n".encode("latin-1"), "line 1: the word is not UTF-8"),
    "UTF-16": (LINES.decode().encode("utf-16"), "line 1: the word is not UTF-8"),
    "a line without end": (b"good " + b"1 " * MEGABYTE, "line 1: 262,144 bytes without a line"),
    "zeros without end": (LINES + b"\0" * (64 * MEGABYTE), "line 3: 262,144 bytes without a"),
    "word2vec's binary format": (
        b"2 2\ngood " + struct.pack("<2f", 1, 0) + b"\nbad " + struct.pack("<2f", -1, 0) + b"\n",
        "line 2: 1 numbers after the word",
    ),
    "gzip": (gzip.compress(LINES, mtime=0), "line 1"),
}


@pytest.mark.parametrize("case", REFUSED_VECTORS)
def test_vectors_that_are_refused(tmp_path, case):
    content, expected = REFUSED_VECTORS[case]
    path = tmp_path / "vectors.txt"
    path.write_bytes(content)
    with little_memory():
        said = refusal(lambda: vectors.from_file({"good", "caf\xe9"}, path, 2))
    assert said.startswith(f"stage: {path}")
    assert expected in said


TAKEN_VECTORS = {
    "word2vec's header": (b"2 2\n" + LINES, ["good", "bad"]),
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


@pytest.mark.parametrize("case", TAKEN_VECTORS)
def test_vectors_that_are_taken(tmp_path, case, capsys):
    content, words = TAKEN_VECTORS[case]
    path = tmp_path / "vectors.txt"
    path.write_bytes(content)
    assert list(vectors.from_file(set(words), path, 2)) == words
    assert capsys.readouterr().err == ""


def test_doubled_words_are_counted_with_their_lines(tmp_path, capsys):
    path = tmp_path / "vectors.txt"
    path.write_bytes(LINES + b"good 5 5\nfilm 1 1\nbad 6 6\nfilm 2 2\n")
    found = vectors.from_file({"good", "bad"}, path, 2)
    assert {word: vector.tolist() for word, vector in found.items()} == {
        "good": [1, 0],
        "bad": [-1, 0],
    }
    said = f"{path}: 2 vectors of words that have one already (lines 3, 5)\n"
    assert capsys.readouterr().err == said


# Archives of reviews

FILM = b"http://www.imdb.com/title/tt1/usercomments\n"
GOOD = {
    "aclImdb/train/pos/0_9.txt": b"good",
    "aclImdb/test/neg/0_1.txt": b"bad",
    "aclImdb/train/urls_pos.txt": FILM,
    "aclImdb/test/urls_neg.txt": FILM,
}


def tar(members, fold=gzip.compress) -> bytes:
    """An archive of `(name, content)` and of `TarInfo`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as made:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                made.addfile(member)
            else:
                name, content = member
                made.addfile(sized(name, len(content)), io.BytesIO(content))
    return fold(buffer.getvalue())


def sized(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    return info


def kind(name: str, type_: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = type_, link
    return info


def header_of(type_: bytes, size: int) -> bytes:
    """A header that says of what follows that it belongs to it, and then zeros of that size."""
    info = sized("././@Header", size)
    info.type = type_
    return gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * size)


def declared(size: int) -> bytes:
    """A member that says it is so large, and is not there."""
    return gzip.compress(sized("aclImdb/imdb.vocab", size).tobuf(tarfile.GNU_FORMAT))


def described(**fields: str) -> bytes:
    """A review under a header of its own that says more of it."""
    info = sized(REVIEW, 9)
    info.pax_headers = {name.replace("_", "."): value for name, value in fields.items()}
    return gzip.compress(
        info.tobuf(tarfile.PAX_FORMAT) + b"good film".ljust(512, b"\0") + b"\0" * 1024
    )


def headers_of_headers(count: int) -> bytes:
    info = sized("././@Header", 512)
    info.type = tarfile.XHDTYPE
    return gzip.compress((info.tobuf(tarfile.USTAR_FORMAT) + b"\0" * 512) * count)


REVIEW = "aclImdb/train/pos/1_9.txt"
WHOLE = tar(GOOD.items())
REFUSED_TAR = {
    "a name that climbs": (tar([*GOOD.items(), ("aclImdb/../../x", b"")]), "points outside"),
    "an absolute name": (tar([*GOOD.items(), ("/etc/x", b"")]), "'/etc/x' points outside"),
    "a drive": (tar([*GOOD.items(), ("C:\\x", b"")]), "points outside"),
    "a name for the terminal": (tar([("/\x1b[2J\n", b"")]), "points outside"),
    "a symbolic link": (tar([kind(REVIEW, tarfile.SYMTYPE, "/etc/passwd")]), "is a link"),
    "a hard link": (tar([*GOOD.items(), kind(REVIEW, tarfile.LNKTYPE, "x")]), "is a link"),
    "a link elsewhere": (tar([kind("aclImdb/x", tarfile.SYMTYPE, "/")]), "'aclImdb/x' is a link"),
    "a character device": (tar([kind(REVIEW, tarfile.CHRTYPE)]), "is no file"),
    "a block device": (tar([kind("aclImdb/x", tarfile.BLKTYPE)]), "'aclImdb/x' is no file"),
    "a FIFO": (tar([kind(REVIEW, tarfile.FIFOTYPE)]), "is no file"),
    "a member that says it is huge": (declared(3 << 30), "more than the 2,147,483,648 bytes"),
    "a review that says it is huge": (
        gzip.compress(sized(REVIEW, 1 << 30).tobuf(tarfile.GNU_FORMAT)),
        "holds aclImdb/train/pos/1_9.txt of 1,073,741,824 bytes",
    ),
    "a long name that is huge": (header_of(tarfile.GNUTYPE_LONGNAME, 200 * MEGABYTE), "unpacks to"),
    "a long link that is huge": (header_of(tarfile.GNUTYPE_LONGLINK, 200 * MEGABYTE), "unpacks to"),
    "an extended header that is huge": (header_of(tarfile.XHDTYPE, 200 * MEGABYTE), "unpacks to"),
    "headers of headers": (headers_of_headers(900), "not a readable .tar.gz (maximum recursion"),
    "a file with holes": (described(GNU_sparse_map="0,4", GNU_sparse_size="9"), "with holes"),
    "an entry of a header that says it is huge": (
        gzip.compress(
            gzip.decompress(described(comment="x" * 30)).replace(
                b" comment=" + b"x" * 21, b"9" * 27 + b" c="
            )
        ),
        "not a readable .tar.gz",
    ),
    "a file with holes nowhere": (described(GNU_sparse_size="9"), "with holes"),
    "holes that are no numbers": (
        described(GNU_sparse_map="a,b", GNU_sparse_size="9"),
        "not a readable .tar.gz (invalid literal",
    ),
    "a size that is no number": (described(GNU_sparse_size="x"), "not a readable .tar.gz (invalid"),
    "holes told of in the file": (
        described(GNU_sparse_major="1", GNU_sparse_minor="0"),
        "not a readable .tar.gz (not enough values",
    ),
    "a header that is not UTF-8": (
        gzip.compress(gzip.decompress(described(hdrcharset="?")).replace(b"=?", b"=\xff")),
        "not a readable .tar.gz",
    ),
    "much after the end mark": (
        gzip.compress(gzip.decompress(WHOLE) + b"\0" * (200 * MEGABYTE)),
        "unpacks to more than its members are",
    ),
    "cut": (WHOLE[:-20], "not a readable .tar.gz"),
    "cut before it was compressed, within a member": (
        gzip.compress(gzip.decompress(WHOLE)[:1300]),
        "not a readable .tar.gz",
    ),
    "cut before it was compressed, between two members": (
        gzip.compress(gzip.decompress(WHOLE)[:1024]),
        "it ends before its end mark",
    ),
    "a wrong checksum": (WHOLE[:-8] + b"\0\0\0\0" + WHOLE[-4:], "CRC check failed"),
    "a damaged block": (WHOLE[:30] + b"\xff\xff" + WHOLE[32:], "not a readable .tar.gz"),
    "not compressed": (tar(GOOD.items(), bytes), "not a readable .tar.gz (Not a gzipped file"),
    "a zip": (b"PK\x03\x04" + bytes(100), "not a readable .tar.gz (Not a gzipped file"),
    "gzip of something else": (gzip.compress(b"good film\n" * 200), "not a readable .tar.gz"),
    "nothing": (b"", "not a readable .tar.gz"),
    "nothing, compressed": (gzip.compress(b""), "not a readable .tar.gz"),
    "a member that stands twice": (
        tar([*GOOD.items(), ("./aclImdb/train/pos/0_9.txt", b"other")]),
        "holds aclImdb/train/pos/0_9.txt twice",
    ),
    "a file among the reviews that is none": (
        tar([*GOOD.items(), ("aclImdb/train/pos/notes.txt", b"x")]),
        "aclImdb/train/pos/notes.txt is no review",
    ),
    "a review that is not UTF-8": (tar([(REVIEW, b"caf\xe9")]), f"{REVIEW} is not UTF-8"),
    "no reviews": (tar([("other/train/pos/0_9.txt", b"x")]), "holds no reviews under aclImdb/"),
}  # fmt: skip


def read_tar(path: Path, content: bytes):
    path.write_bytes(content)
    url = f"https://example.org/{path.name}"
    return reviews.stanford(url, download.sha256(path), path.parent, "sentiment")


@pytest.mark.parametrize("case", REFUSED_TAR)
def test_an_archive_of_reviews_that_is_refused(tmp_path, case):
    content, expected = REFUSED_TAR[case]
    path = tmp_path / "a.tar.gz"
    with little_memory():
        said = refusal(lambda: read_tar(path, content))
    assert said.startswith(f"stage: {path}: ")
    assert expected in said
    assert list(tmp_path.iterdir()) == [path]


def test_many_members_are_bounded_together(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MOST_UNPACKED", 10_000)
    members = [(f"aclImdb/other/{number}", b"x" * 1000) for number in range(11)]
    said = refusal(lambda: read_tar(tmp_path / "a.tar.gz", tar([*GOOD.items(), *members])))
    assert "unpacked up to 'aclImdb/other/9' it is more than the 10,000 bytes allowed" in said


def test_an_archive_of_reviews_with_much_beside_them_is_taken(tmp_path):
    beside = [
        kind("aclImdb", tarfile.DIRTYPE),
        kind("aclImdb/train/pos/", tarfile.DIRTYPE),
        ("aclImdb/imdb.vocab", b"the\n" * MEGABYTE),
        ("aclImdb/train/unsup/0_0.txt", b"\xff"),
    ]
    with little_memory():
        table = read_tar(tmp_path / "a.tar.gz", tar([*beside, *GOOD.items()]))
    assert table["review"].tolist() == ["good", "bad"]


# Archives of word vectors

NAME = "glove.6B.50d.txt"
WIDE = b"good" + b" 1" * 50 + b"\n"


def zipped(members, method=zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as made:
        for name, content in members:
            made.writestr(name, content)
    return buffer.getvalue()


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def patched(content: bytes, offset: int, value: bytes) -> bytes:
    """Overwrite a field of the one entry in an archive's directory."""
    place = content.index(b"PK\x01\x02") + offset
    return content[:place] + value + content[place + len(value) :]


@pytest.fixture(scope="module")
def doubled_zip():
    with pytest.warns(UserWarning, match="Duplicate name"):
        return zipped([(NAME, WIDE), (NAME, WIDE)])


MANY = zipped([(NAME, WIDE * 4_000)])
REFUSED_ZIP = {
    "a name that climbs": (zipped([(NAME, WIDE), ("../x", b"")]), "points outside"),
    "an absolute name": (zipped([(NAME, WIDE), ("/x", b"")]), "points outside"),
    "a drive": (zipped([(NAME, WIDE), ("C:/x", b"")]), "points outside"),
    "a link": (zipped([(link(NAME), b"/etc/passwd")]), f"its member {NAME} is a link"),
    "another file": (zipped([("glove.txt", WIDE)]), f"no readable {NAME} in it"),
    "a folder of that name": (zipped([(NAME + "/", b"")]), f"no readable {NAME} in it"),
    "encrypted": (patched(zipped([(NAME, WIDE)]), 8, b"\x01\x00"), "is encrypted"),
    "an unknown compression": (patched(zipped([(NAME, WIDE)]), 10, b"\x63\x00"), "no readable"),
    "a directory that says it is huge": (
        patched(zipped([(NAME, WIDE)]), 24, b"\xfe\xff\xff\xff"),
        "unpacks to 4,294,967,294 bytes, more than the 2,147,483,648 allowed",
    ),
    "a directory that says it is small": (patched(MANY, 24, b"\x10\x27\x00\x00"), "no readable"),
    "a directory that says it is small, to a line end": (
        patched(MANY, 24, struct.pack("<L", 10 * len(WIDE))),
        "Bad CRC-32",
    ),
    "a wrong checksum": (patched(MANY, 16, bytes(4)), "Bad CRC-32"),
    "a line of 200 megabytes": (
        zipped([(NAME, WIDE + b"\0" * (200 * MEGABYTE))]),
        "line 2: 262,144 bytes without a line end",
    ),
    "cut": (MANY[:-40], "no readable"),
    "cut and mended": (MANY[: len(MANY) // 2] + MANY[len(MANY) // 2 + 20 :], "no readable"),
    "a damaged block": (MANY[:200] + bytes(20) + MANY[220:], NAME),
    "a tar": (tar([(NAME, WIDE)]), "no readable"),
    "nothing": (b"", "no readable"),
    "an empty member": (zipped([(NAME, b"")]), f"{NAME}: empty"),
}  # fmt: skip


def read_zip(path: Path, content: bytes):
    path.write_bytes(content)
    url = f"https://example.org/{path.name}"
    return vectors.stanford({"good"}, url, download.sha256(path), 50, path.parent)


@pytest.mark.parametrize("case", REFUSED_ZIP)
def test_an_archive_of_vectors_that_is_refused(tmp_path, case):
    content, expected = REFUSED_ZIP[case]
    path = tmp_path / "a.zip"
    with little_memory():
        said = refusal(lambda: read_zip(path, content))
    assert said.startswith(f"stage: {path}")
    assert expected in said
    assert list(tmp_path.iterdir()) == [path]


def test_a_doubled_member_is_refused(tmp_path, doubled_zip):
    said = refusal(lambda: read_zip(tmp_path / "a.zip", doubled_zip))
    assert f"it holds {NAME} twice" in said


def test_vectors_that_unpack_to_too_much_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(vectors, "MOST_UNPACKED", 1000)
    said = refusal(lambda: read_zip(tmp_path / "a.zip", MANY))
    assert f"unpacks to {4_000 * len(WIDE):,} bytes, more than the 1,000 allowed" in said


# What lies beside a model

ENCODER = Encoder({"good": 9, "bad": 7, "film": 5}, 4, "last", "binary", ["negative", "positive"])
REFUSED_VOCABULARY = {
    "nothing": (lambda old: b"", "holds no words"),
    "cut within a line": (lambda old: old[:-3], "line 5: cut, without a line end"),
    "cut within a word": (lambda old: old[:-5], "line 5: cut, without a line end"),
    "cut at a line end": (lambda old: old[: old.rindex(b"film")], "not the vocabulary that"),
    "the last line twice": (lambda old: old + b"film\t5\n", "line 6: 'film\\t5' is no word with"),
    "one word more": (lambda old: old + b"new\t5\n", "not the vocabulary that"),
    "another order": (
        lambda old: old.replace(b"good\t9\nbad\t7", b"bad\t7\ngood\t9"),
        "not the vocabulary that",
    ),
    "a doubled word": (lambda old: old.replace(b"film", b"good"), "line 5: 'good\\t5' is no word"),
    "the special words twice": (lambda old: old + b"<unknown>\t0\n", "line 6: '<unknown>\\t0'"),
    "no special words": (lambda old: b"".join(old.splitlines(True)[2:]), "line 1: 'good\\t9' is"),
    "not UTF-8": (lambda old: old.replace(b"bad", b"b\xe9d"), "line 4: not UTF-8"),
    "UTF-16": (lambda old: old.decode().encode("utf-16"), "line 1: not UTF-8"),
    "a count that is none": (lambda old: old.replace(b"\t7", b"\tx"), "line 4: 'bad\\tx' is no"),
    "a negative count": (lambda old: old.replace(b"\t7", b"\t-7"), "line 4: 'bad\\t-7' is no"),
    "a count with an underscore": (lambda old: old.replace(b"\t7", b"\t7_0"), "line 4: "),
    "a count of thousands of digits": (lambda old: old.replace(b"\t7", b"\t" + b"7" * 5000), "4: "),
    "no count": (lambda old: old.replace(b"\t7", b""), "line 4: 'bad' is no word with its count"),
    "no word": (lambda old: old.replace(b"bad", b""), "line 4: '\\t7' is no word"),
    "CRLF": (lambda old: old.replace(b"\n", b"\r\n"), "line 1: '<padding>\\t0\\r' is no word"),
    "one flipped bit": (lambda old: old.replace(b"bad", b"bae"), "not the vocabulary that"),
}
REFUSED_SETTINGS = {
    "nothing": (lambda old: "", "encoder.json: damaged"),
    "cut": (lambda old: old[:-5], "encoder.json: damaged"),
    "a list": (lambda old: "[]", "expected `name: value` pairs, not []"),
    "nested without end": (lambda old: "[" * 100_000, "encoder.json: damaged"),
    "a number of thousands of digits": (lambda old: "9" * 5000, "encoder.json: damaged"),
    "a missing key": ("max_length", None, "`max_length` is missing"),
    "no digest of the vocabulary": ("vocabulary_sha256", None, "`vocabulary_sha256`"),
    "a key that nobody reads": ("shuffle", True, "`shuffle` is not known"),
    "a negative length": ("max_length", -4, "input should be greater than 0, not -4"),
    "a length of 0": ("max_length", 0, "greater than 0"),
    "a length that is a text": ("max_length", "4", "should be a valid integer, not '4'"),
    "a length that is a fraction": ("max_length", 4.5, "should be a valid integer"),
    "a length that is true": ("max_length", True, "should be a valid integer"),
    "an unknown end": ("keep", "middle", "'first' or 'last', not 'middle'"),
    "an unknown task": ("task", "translate", "not 'translate'"),
    "three labels for two": ("labels", ["a", "b", "c"], "3 labels do not fit task binary"),
    "no labels": ("labels", [], "0 labels do not fit task binary"),
    "labels that are numbers": ("labels", [0, 1], "valid string, not 0"),
    "a label twice": ("labels", ["a", "a"], "a label stands twice"),
    "words for a range": ("task", "regression", "could not convert string to float"),
    "a range that 32 bits do not hold": (
        lambda old: (
            old.replace("binary", "regression")
            .replace("negative", "-1e308")
            .replace("positive", "1.7e308")
        ),
        "the labels -1e+308 and 1.7e+308 are too large",
    ),
    "a digest of another kind": ("vocabulary_sha256", "0" * 32, "vocabulary_sha256`"),
    "the digest of another vocabulary": ("vocabulary_sha256", "0" * 64, "not the vocabulary that"),
}


def spoil_settings(folder: Path, change: tuple) -> str:
    """Change `encoder.json`; return what is to be said of it."""
    path = folder / text.ENCODER_FILE
    old = path.read_text()
    if callable(change[0]):
        path.write_text(change[0](old))
        return change[1]
    key, value, expected = change
    settings = json.loads(old) | {key: value}
    path.write_text(json.dumps({k: v for k, v in settings.items() if v is not None}))
    return expected


@pytest.mark.parametrize("case", REFUSED_VOCABULARY)
def test_a_vocabulary_that_is_refused(tmp_path, case):
    ENCODER.save(tmp_path)
    path = tmp_path / text.VOCABULARY_FILE
    spoil, expected = REFUSED_VOCABULARY[case]
    path.write_bytes(spoil(path.read_bytes()))
    said = refusal(lambda: Encoder.load(tmp_path))
    assert said.startswith(f"stage: {path}")
    assert expected in said


@pytest.mark.parametrize("case", REFUSED_SETTINGS)
def test_settings_of_an_encoder_that_are_refused(tmp_path, case):
    ENCODER.save(tmp_path)
    expected = spoil_settings(tmp_path, REFUSED_SETTINGS[case])
    said = refusal(lambda: Encoder.load(tmp_path))
    assert said.startswith(f"stage: {tmp_path}")
    assert expected in said


# What `predict` is given


class Known:
    """In place of a trained model: sure of every text with a word that it knows."""

    encoder = ENCODER

    def predict(self, texts):
        ids = ENCODER.encode([text.tokens(t) for t in texts])
        return np.where((ids > 1).any(axis=1, keepdims=True), 0.75, np.nan).astype(np.float32)

    def label(self, predictions):
        return [None if np.isnan(row).all() else "positive" for row in predictions]


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setattr(predict, "load_classifier", lambda folder: Known())


REFUSED_TEXTS = {
    "nothing": ("", "'': no word that the model knows; give it a longer text"),
    "white space": (" \t\n", "' \\t\\n': no word"),
    "emoji that it does not know": ("\U0001f600", "'\U0001f600': no word"),
    "marks without a letter": ("\u0301" * 10, "no word"),
    "nothing that has a width": ("\u200b\u200d\ufeff", "'\\u200b\\u200d\\ufeff': no word"),
    "commands to the terminal": ("\x1b[2J\x07\r", "'\\x1b[2J\\x07\\r': no word"),
    "what turns the line around": ("\u202e!", "'\\u202e!': no word"),
    "bytes that are no text": ("\udcff\udcfe", "'\\udcff\\udcfe': no word"),
    "another script": ("\u0441\u043a\u0443\u0447\u043d\u043e", "no word that the model knows"),
    "ten megabytes of nothing": ("." * (10 * MEGABYTE), "....': no word"),
    "a reference of thousands of digits": ("&#" + "9" * 5000 + ";", "...': no word"),
    "markup alone": ("<br />" * 10, "no word"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED_TEXTS)
def test_a_text_that_nothing_can_be_said_of(known, capsys, case):
    given, expected = REFUSED_TEXTS[case]
    said = refusal(lambda: predict.score_texts(predict.arguments([given])))
    assert expected in said
    assert capsys.readouterr().out == "unknown\n"


TAKEN_TEXTS = {
    "ten megabytes": "good film " * MEGABYTE,
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
def test_a_text_of_which_something_can_be_said(known, capsys, case):
    predict.score_texts(predict.arguments([TAKEN_TEXTS[case]]))
    assert capsys.readouterr().out == "positive (75.0%)\n"


def test_a_label_with_commands_to_the_terminal_is_printed_without_them(known, capsys, monkeypatch):
    monkeypatch.setattr(Known, "label", lambda self, predictions: ["\x1b[2J\rfine \u202e\xe9"])
    predict.score_texts(predict.arguments(["good"]))
    assert capsys.readouterr().out == "\\x1b[2J\\rfine \\u202e\xe9 (75.0%)\n"


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        (b"text\ngood\n", [], "line 1: no column `review`"),
        (b"review\ngood\n", ["--column", "\x1b[2J"], "no column `\\x1b[2J`"),
        (b"review;n\ngood;1\n", [], "there is: `review;n`; name one of them, or another separator"),
        (b"review,probability\ngood,1\n", [], "has a column `probability` already"),
        (b"review\ngood\nb\xe9d\n", [], "line 3: not UTF-8"),
        (b"review,n\n" + b"good,1\n" * 5000 + b'"bad,2\n', [], "line 5002: unexpected end of data"),
        (b"review,n\n" + b"good,1\n" * 5000 + b"bad\n", [], "line 5002: 1 fields"),
        (b"review\n", [], "no rows below the header"),
    ],
)
def test_a_file_that_cannot_be_scored_leaves_nothing(known, in_tmp, content, options, expected):
    (in_tmp / "in.csv").write_bytes(content)
    before = sorted(in_tmp.iterdir())
    asked = predict.arguments(["--csv", "in.csv", "--output", "out.csv", *options])
    assert expected in refusal(lambda: predict.score_csv(asked))
    assert sorted(in_tmp.iterdir()) == before


def test_a_scored_file_has_each_row_or_says_which_are_none(known, in_tmp, capsys):
    content = 'review,n\ngood,1\n\n"go\rod",2\n\U0001f600,3\n"good\r\n",4\n,5\n'
    Path("in.csv").write_bytes(content.encode())
    predict.score_csv(predict.arguments(["--csv", "in.csv", "--output", "out.csv"]))
    rows = [(line, *row.values()) for line, row in csv_reader.read_csv(Path("out.csv"), ["review"])]
    assert rows == [
        (2, "good", "1", "positive", "0.750000"),
        (3, "go\rod", "2", "", ""),
        (5, "\U0001f600", "3", "", ""),
        (6, "good\r\n", "4", "positive", "0.750000"),
        (8, "", "5", "", ""),
    ]
    assert capsys.readouterr().err == (
        "in.csv: 1 blank lines, which are no rows (lines 3)\n"
        "3 rows have no word that the model knows (lines 4, 6, 9)\n"
    )


@pytest.mark.parametrize("separator", ["", ",,", '"', "\n", "\0", "\udcff"])
def test_a_separator_that_is_none(in_tmp, capsys, separator):
    with pytest.raises(SystemExit) as end:
        predict.arguments(["--csv", "a", "--output", "b", "--separator", separator])
    assert end.value.code == 2
    assert "--separator takes one character" in capsys.readouterr().err


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
        (SAYS, f"2>&- {PIPE}", 141, "", ""),
        (MUCH, PIPE, 141, "", ""),
        (SAYS, "2>/dev/null >/dev/full", 1, "", ""),
        (MUCH, ">/dev/full", 1, "", "stage: No space left on device\n"),
        ("print('good')", ">/dev/full", 1, "", "stage: No space left on device\n"),
        (FAULT, ">&-", 1, "", "stage: no film; add one\n"),
        (FAULT, PIPE, 1, "", "stage: no film; add one\n"),
        (FAULT, ">/dev/full", 1, "", "stage: no film; add one\n"),
        (FAULT, "2>&-", 1, "good\n", ""),
    ],
)
def test_streams_that_are_closed_full_or_read_by_nobody(
    monkeypatch, program, streams, code, out, err
):
    monkeypatch.setenv("PYTHONUNBUFFERED", "")
    main = f"def main():\n  time.sleep(0.1); {program}"
    lines = f"import sys, time\nfrom ajuste import errors\n{main}\nerrors.run('stage', main)"
    command = [sys.executable, "-c", lines]
    done = run("bash", "-c", f'"$@" {streams}', "bash", *command, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)


def test_a_file_does_not_take_the_place_of_a_closed_stream(tmp_path):
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
        "fetch: a\\n\\x1b[2J.csv, line 3: unexpected end of data; check the quotes of this record\n"
    )
    assert not Path("data").exists()


def test_predict_ends_with_one_line_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "in.csv").write_text("text\ngood\n")
    command = [sys.executable, "-m", "serving.predict", "--csv", "in.csv", "--output", "out.csv"]
    done = run(*command, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("predict: in.csv, line 1: no column `review`")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out.csv").exists()
