import random
import time

import numpy as np
import pytest

from ajuste.data.encoder import PADDING, UNKNOWN, Encoder, count_words
from ajuste.data.text import has_markup, text_key, tokens
from ajuste.errors import PipelineError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Great!<br /><br />Really GREAT.", ["great", "really", "great"]),
        ("<i>don't</i> 'quote' rock'n'roll", ["don't", "quote", "rock'n'roll"]),
        ("I\u2019d J\u030c", ["i'd", "\u01f0"]),
        ("AT&amp;T &lt;br /&gt; x", ["at", "t", "x"]),
        ("I <3 this movie > that", ["i", "3", "this", "movie", "that"]),
        ("3 <great cast, but > 2 <SIGH> <BR>x", ["3", "great", "cast", "but", "2", "sigh", "x"]),
        ("7/10, 8.5/10. 1,000 2nd 3D", ["7/10", "8.5/10", "1,000", "2nd", "3d"]),
        ("ÉPICO mañana Ñoño", ["épico", "mañana", "ñoño"]),
        ("ΕΥΧΑΡΙΣΤΩ", ["ευχαριστω"]),
        ("Супер", ["супер"]),
        ("हिन्दी", ["हिन्दी"]),
        ("我喜欢", ["我", "喜", "欢"]),
        ("so good 😀❤\ufe0f", ["so", "good", "😀", "❤"]),
        ("a \ufb01ne \uff26\uff29\uff2c\uff2d \U0001d406", ["a", "fine", "film", "g"]),
        ("2\xbd \xbd/10 10\xb2 m\xb2 x\u2026y",
         ["2", "1/2", "1/2", "10", "10", "2", "m2", "x", "y"]),
        ("Oscar\u2122 \u21165 \u314b\u314b \uff76\uff9e",
         ["oscar", "\u2122", "no", "5", "\u314b\u314b", "\u30ac"]),
        ("su\xadper \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \U0001f468\u200d\U0001f467",
         ["super", "\u0645\u06cc\u062e\u0648\u0627\u0647\u0645", "\U0001f468", "\U0001f467"]),
        ("a<!-- b -->c<!--> d <script>e</script", ["a", "c", "d", "e", "script"]),
        ("<a href=x>link</a> <a real shame> <x-y id='z'>w <x-y>",
         ["link", "a", "real", "shame", "w", "x", "y"]),
        (r"a\nb\\r\\ncd Q:\nIs C:\new\temp isn\'t",
         ["a", "b", "cd", "q", "is", "c", "new", "temp", "isn't"]),
        ("R&amp;amp;D a=1&amp;copy=2", ["r", "d", "a", "1", "copy", "2"]),
        ("  ...!?  ", []),
        ("", []),
    ],
)  # fmt: skip
def test_tokens(text, words):
    assert tokens(text) == words


def test_composed_and_decomposed_letters_are_the_same_word():
    assert tokens("cafe\u0301") == tokens("café")


ENDLESS = [
    "&amp;", "&#38;", "<!--", "<script>", "</script ", "<style><script>", "<a ", "x=", '<a ="=',
    "<br", "a-", "\\", "\\n", "C:\\n", "\uff9e\u093c", "\u0344", "\u200d\u0301\u0323", "\xbd", " ",
]  # fmt: skip


@pytest.mark.parametrize("start", ["", "<a ", "</script>", "<x-", "<o:", "C:", "a"])
@pytest.mark.parametrize("part", ENDLESS)
def test_long_texts_without_an_end_take_no_longer_than_others(start, part):
    text = start + part * (60_000 // len(part))
    begin = time.process_time()
    tokens(text)
    has_markup(text)
    assert time.process_time() - begin < 1


def test_only_copies_have_the_same_key():
    assert text_key("A film!<br />Good.") == text_key("a  FILM, good")
    assert text_key("A good film") != text_key("A bad film")
    assert text_key("!!!") != text_key("???")


def test_the_vocabulary_does_not_depend_on_the_order_of_the_texts():
    texts = [list("abcab"), list("cdz"), list("zx")]
    expected = {"a": 2, "b": 2, "c": 2, "z": 2}
    for seed in range(5):
        random.Random(seed).shuffle(texts)
        assert list(count_words(texts, 2).items()) == list(expected.items())


@pytest.fixture
def encoder():
    return Encoder({"good": 9, "bad": 7, "film": 5}, 3, "last", "binary", ["negative", "positive"])


def test_encode_pads_at_the_end_and_leaves_unknown_words_out(encoder):
    assert encoder.encode([["a", "bad", "film"], ["good"]]).tolist() == [
        [3, 4, PADDING],
        [2, PADDING, PADDING],
    ]


@pytest.mark.parametrize(("keep", "kept"), [("last", [3, 4, 2]), ("first", [2, 3, 4])])
def test_encode_keeps_the_chosen_end_of_a_longer_text(encoder, keep, kept):
    encoder = Encoder(encoder.counts, 3, keep, encoder.task, encoder.labels)
    assert encoder.encode([["good", "bad", "x", "film", "good"]]).tolist() == [kept]


def test_no_row_is_all_padding(encoder):
    token_ids = encoder.encode([[], ["x"]])
    assert token_ids.tolist() == [[UNKNOWN, PADDING, PADDING]] * 2
    assert token_ids.dtype == np.int32


def test_an_encoder_is_the_same_after_saving_and_loading(encoder, tmp_path):
    encoder.save(tmp_path)
    assert Encoder.load(tmp_path) == encoder
    lines = (tmp_path / "vocabulary.tsv").read_text().splitlines()
    assert lines[encoder.ids["bad"]] == "bad\t7"


def test_a_missing_encoder_says_what_to_run(tmp_path):
    with pytest.raises(PipelineError, match="dvc repro"):
        Encoder.load(tmp_path)
