import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ajuste.data.csv_reader import read_csv
from ajuste.errors import PipelineError


def rows(path, content: bytes | str, needed=("review",), separator=","):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_csv(path, list(needed), separator))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "reviews.csv"


def test_each_row_comes_with_the_line_it_starts_on(path):
    content = 'review,n\n"two\nlines",1\nplain,2\n\n"a ""quote"", a comma",3\n'
    assert rows(path, content) == [
        (2, {"review": "two\nlines", "n": "1"}),
        (4, {"review": "plain", "n": "2"}),
        (6, {"review": 'a "quote", a comma', "n": "3"}),
    ]


def test_a_byte_order_mark_is_not_part_of_the_first_column(path):
    assert rows(path, b"\xef\xbb\xbfreview\nx\n") == [(2, {"review": "x"})]


def test_another_separator(path):
    assert rows(path, "review;n\na, b;1\n", separator=";") == [(2, {"review": "a, b", "n": "1"})]


def test_words_that_mean_nothing_elsewhere_stay_text(path):
    assert [row["review"] for _, row in rows(path, "review\nNA\nnull\nnan\n1e5\n")] == [
        "NA",
        "null",
        "nan",
        "1e5",
    ]


def test_a_blank_line_is_a_row_where_there_is_one_column(path):
    assert rows(path, "review\na\n\nb\n") == [
        (2, {"review": "a"}),
        (3, {"review": ""}),
        (4, {"review": "b"}),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"review\n", "no rows"),
        (b"review,n\n\n\n", "no rows"),
        (b"text\nx\n", "line 1: no column `review` when split at `,`; there is: `text`"),
        (b"review,review\na,b\n", "line 1: column `review` stands twice"),
        (b"review,n\nfine,1\ncaf\xe9,2\n", "line 3: not UTF-8"),
        (b"review,n\nfine,1\na,b,2\n", "line 3: 3 fields where the header has 2"),
        (b"review,n\nfine,1\nshort\n", "line 3: 1 fields where the header has 2"),
        (b'review,n\nfine,1\n"never closed,2\nx,3\n', "line 3: unexpected end of data"),
        (b"review\na\0b\n", "line 2: a NUL byte"),
        ("review\nx\n".encode("utf-16"), "not UTF-8; save the file as UTF-8 (iconv -f utf-16"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(path, content, said):
    with pytest.raises(PipelineError) as error:
        rows(path, content)
    assert said in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_no_file(path):
    with pytest.raises(PipelineError, match="no such file"):
        list(read_csv(path, ["review"]))


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"))


@given(st.lists(st.tuples(texts, texts.filter(bool)), min_size=1))
def test_what_was_written_is_what_is_read(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("review", "n"), *table])
    read = [(row["review"], row["n"]) for _, row in read_csv(path, ["review"])]
    assert read == table
