r"""The text processing of `ajuste.data.text` as a TensorFlow graph: raw strings in, words out.

TensorFlow's regular expressions (RE2) cannot look ahead or behind, and TensorFlow cannot normalize
Unicode. So a table replaces each character by what `ajuste.data.text` makes of it alone, a second
table composes a letter and a mark, and words are found in a text that has the kind of each
character before it. The result differs from `ajuste.data.text` only for

- marks that cannot be composed with the letter before them in the order in which they are written,
  and more than thirty marks on one letter;
- a capital sigma at the end of a word, if an apostrophe or a mark is beside it;
- tags and folders (`C:\new`) whose names have letters outside ASCII;
- characters without a width between a digit and a superscript.
"""

import sys
import unicodedata
from functools import cache
from html import unescape
from html.entities import html5
from typing import TYPE_CHECKING

import numpy as np
import regex

from ajuste.data.text import ELEMENTS, normalized
from ajuste.training import backend

if TYPE_CHECKING:
    from ajuste.training.backend import tf

LARGEST = sys.maxunicode
SURROGATES = range(0xD800, 0xE000)
DIGITS = 8
"""Of the number in a reference such as `&#8217;`; a longer one is no character."""
MARKS_ON_A_LETTER = 3
"""The maximum that Unicode composes with a letter."""
PAIR = LARGEST + 1
NOT_THERE = "\n"
"""What a table gives for a character that it does not have."""
SPACE = r"[\s\pZ]"

ALONE = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
KINDS = {
    "a": rf"[\p{{L}}&&[{ALONE}]]",
    "b": rf"[\p{{M}}&&[{ALONE}]]",
    "c": rf"[\p{{N}}&&[{ALONE}]]",
    "e": rf"[{ALONE}]",
    "l": r"\p{L}",
    "m": r"\p{M}",
    "n": r"\p{N}",
    "p": r"\p{Extended_Pictographic}",
    "q": "'",
    "d": "[.,/]",
}
"""The kind of a character is the first of these that it matches, else `o`."""
TOKEN = "|".join(  # as in `ajuste.data.text`, but each character follows its kind
    [
        "[abce].(?:[bm].)*",
        "(?:[cn].)+(?:d.(?:[cn].)+)+",
        "[alcn].(?:[alcnbm].)*(?:q.[alcn].(?:[alcnbm].)*)*",
        "p.",
    ]
)


Tables = dict[str, "tf.lookup.StaticHashTable"]


def tables() -> Tables:
    """What `words` looks up; a SavedModel must have it as an attribute of its module."""
    special = [*range(0xA0), *SURROGATES, *range(0xFDD0, 0xFDF0), LARGEST + 1]
    special += [code for code in range(LARGEST + 1) if code & 0xFFFE == 0xFFFE]
    characters = _every().replace(NOT_THERE, "")
    alone = normalized(NOT_THERE.join(characters)).split(NOT_THERE)
    changed = {old: new for old, new in zip(characters, alone, strict=True) if old != new}
    return {
        "entities": table(html5, ""),
        "references": table({code: unescape(f"&#{code};") for code in special}, NOT_THERE),
        "characters": table(changed, NOT_THERE),
        "pairs": table(_pairs(), 0),
    }


def table(content: dict, default: str | int) -> "tf.lookup.StaticHashTable":
    """A table from strings or whole numbers to such, with what it gives for other keys."""
    tf = backend.tf
    keys, values = (
        tf.constant(list(part), tf.string if isinstance(one, str) else tf.int64)
        for part, one in ((content, next(iter(content))), (content.values(), default))
    )
    initializer = tf.lookup.KeyValueTensorInitializer(keys, values)
    return tf.lookup.StaticHashTable(initializer, tf.constant(default, values.dtype))


def words(texts: "tf.Tensor", tables: Tables) -> "tf.RaggedTensor":
    """The words of texts, in lower case and in order.

    Args:
        texts: strings in UTF-8, (n,).
        tables: those of `tables`.

    Returns:
        strings (n, any).
    """
    strings = backend.tf.strings
    texts = _unescaped(strings.unicode_transcode(texts, "UTF-8", "UTF-8"), tables)
    for pattern, new in [*_markup(), *_escaped_spaces()]:
        texts = strings.regex_replace(texts, pattern, new)
    codes = _composed(_normalized(texts, tables), tables)
    apart = strings.regex_replace(_with_kinds(codes), f"(?s)({TOKEN})|..", r"\1 ")
    return strings.regex_replace(strings.split(apart), "(?s).(.)", r"\1")


def _unescaped(texts: "tf.Tensor", tables: Tables) -> "tf.Tensor":
    """Texts without the entities of HTML."""
    tf = backend.tf
    again = r"(?i)&(?:(?:amp|#0{0,9}38|#x0{0,9}26);)+(#?\w{1,40};)"
    texts = tf.strings.regex_replace(texts, again, r"&\1")
    texts = tf.strings.regex_replace(texts, "&#[0-9]{100,}", " ")
    pieces = tf.strings.split(tf.strings.join(["&", texts]), "&")
    piece = pieces.flat_values
    first = tf.gather(pieces.row_splits, pieces.value_rowids()) + 1
    place = tf.range(tf.size(piece, tf.int64))
    names = "|".join(sorted(html5, key=len, reverse=True))
    entity = f"(?s)^(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|{names})?.*$"
    name = tf.where(place > first, tf.strings.regex_replace(piece, entity, r"\1"), "")
    is_number = tf.strings.substr(name, 0, 1) == "#"
    value = tf.where(is_number, _character(name, tables), tables["entities"].lookup(name))
    rest = tf.strings.substr(piece, tf.strings.length(name), tf.strings.length(piece))
    ampersand = tf.where(place > first, "&", "")
    resolved = tf.strings.join([tf.where(name == "", ampersand, value), rest])
    return tf.strings.reduce_join(pieces.with_flat_values(resolved), axis=-1)


def _character(name: "tf.Tensor", tables: Tables) -> "tf.Tensor":
    """The character of references such as `#233;` and `#xe9`, (n,); anything for other names."""
    tf = backend.tf
    digits = tf.strings.regex_replace(name, "^#[xX]?0*|;$", "")
    digits = tf.strings.regex_replace(digits, f"[0-9a-fA-F]{{{DIGITS + 1},}}", "9" * DIGITS)
    padded = tf.strings.substr(tf.strings.join(["0" * DIGITS, digits]), -DIGITS, DIGITS)
    codes = tf.reshape(tf.cast(tf.io.decode_raw(padded, tf.uint8), tf.int64), [-1, DIGITS])
    values = tf.where(codes <= ord("9"), codes - ord("0"), codes % 32 + 9)
    is_hex = tf.strings.regex_full_match(name, "#[xX].*")
    base = tf.where(is_hex, tf.constant(16, tf.int64), 10)[:, None]
    number = tf.reduce_sum(values * base ** np.arange(DIGITS)[::-1], axis=1)
    changed = tables["references"].lookup(tf.clip_by_value(number, 0, LARGEST + 1))
    usual = tf.where(changed == NOT_THERE, tf.cast(number, tf.int32), 0)
    same = tf.strings.unicode_encode(usual[:, None], "UTF-8")
    return tf.where(changed == NOT_THERE, same, changed)


def _markup() -> list[tuple[str, str]]:
    """What HTML hides, and its tags, each with a space for it."""
    element = rf"(?:{ELEMENTS}|br)".replace("*+", "*")
    tags = (
        rf"(?i)</?{element}(?:{SPACE}*(?:/{SPACE}*)?|{SPACE}[^<>=]*=[^<>]*)>"
        rf"|<[a-z][\w-]*{SPACE}[^<>\"']*=[\"'][^<>]*>"
        r"|<!\[CDATA\[|<(?:!doctype\b|!\[|\?xml\b)[^<>]*>"
    )
    hidden = [
        r"(?s)<!--(?:-?>|.*?-->)",
        rf"(?is)<script\b[^<>]*>.*?</script{SPACE}*>",
        rf"(?is)<style\b[^<>]*>.*?</style{SPACE}*>",
    ]
    return [(pattern, " ") for pattern in [*hidden, tags]]


def _escaped_spaces() -> list[tuple[str, str]]:
    r"""Line ends and tabs that are written as `\n`, but not the folder in `C:\new`."""
    name = r"[^\\\s]*"
    folder = rf"\\+(?:[^nrt\\\s]|[nrt]\p{{Ll}}){name}"
    end = r"\\+(?:\s|$)"
    drive = rf"\b[A-Za-z]:(?:(?:{folder})+(?:{end})?|{end})"
    return [(rf"({drive})|\\+[nrt]", r"\1 "), (r"\\'", "'")]


def _normalized(texts: "tf.Tensor", tables: Tables) -> "tf.RaggedTensor":
    """The characters of texts in lower case; those that mean the same are the same.

    Returns:
        their code points, int32 (n, any).
    """
    tf = backend.tf
    for pattern, new in [
        (r"(\p{Nd})(\p{No})", r"\1 \2"),
        (r"(\p{No})(\p{Nd})", r"\1 \2"),
        ("(\\p{L})\u03a3(\\P{L}|$)", "\\1\u03c2\\2"),
    ]:
        texts = tf.strings.regex_replace(texts, pattern, new)
    characters = tf.strings.unicode_split(texts, "UTF-8")
    found = tables["characters"].lookup(characters.flat_values)
    replaced = tf.where(found == NOT_THERE, characters.flat_values, found)
    texts = tf.strings.reduce_join(characters.with_flat_values(replaced), axis=-1)
    return tf.strings.unicode_decode(texts, "UTF-8")


def _composed(texts: "tf.RaggedTensor", tables: Tables) -> "tf.RaggedTensor":
    """Code points, with one for a letter and the marks after it, if Unicode has one (NFC)."""
    tf = backend.tf
    codes, rows = tf.cast(texts.flat_values, tf.int64), texts.value_rowids()
    for _ in range(MARKS_ON_A_LETTER):
        whole = tables["pairs"].lookup(codes[:-1] * PAIR + codes[1:])
        is_pair = (whole > 0) & (rows[:-1] == rows[1:])
        is_pair &= ~tf.concat([[False], is_pair], axis=0)[:-1]  # a mark belongs to one pair
        ends = tf.zeros_like(codes[:1], tf.bool)
        codes = tf.where(
            tf.concat([is_pair, ends], axis=0), tf.concat([whole, codes[-1:]], axis=0), codes
        )
        kept = ~tf.concat([ends, is_pair], axis=0)
        codes, rows = codes[kept], rows[kept]
    return tf.RaggedTensor.from_value_rowids(tf.cast(codes, tf.int32), rows, texts.nrows())


def _with_kinds(texts: "tf.RaggedTensor") -> "tf.Tensor":
    """Texts as strings, (n,), from code points; each character follows its kind."""
    tf = backend.tf
    kinds = np.full(LARGEST + 1, ord("o"), np.uint8)
    for kind, members in reversed(KINDS.items()):
        found = regex.findall(f"(?V1){members}", _every())
        kinds[[ord(character) for character in found]] = ord(kind)
    codes = texts.flat_values
    pairs = tf.stack([tf.cast(tf.gather(kinds, codes), tf.int32), codes], axis=1)
    doubled = tf.RaggedTensor.from_row_splits(tf.reshape(pairs, [-1]), 2 * texts.row_splits)
    return tf.strings.unicode_encode(doubled, "UTF-8")


@cache
def _every() -> str:
    return "".join(chr(code) for code in range(LARGEST + 1) if code not in SURROGATES)


@cache
def _pairs() -> dict[int, int]:
    """For a character and the one after it, as a number, the character that they make."""
    parts = {}
    for character in _every():
        whole = unicodedata.normalize("NFD", character)
        if len(whole) > 1 and unicodedata.normalize("NFC", whole) == character:
            parts[unicodedata.normalize("NFC", whole[:-1]), whole[-1]] = character
    marks = {mark for _, mark in parts if unicodedata.combining(mark)}
    for letter in {letter for letter in parts.values() if unicodedata.decomposition(letter)}:
        for mark in marks:  # marks in another order than that of Unicode
            together = unicodedata.normalize("NFC", letter + mark)
            if len(together) == 1:
                parts[letter, mark] = together
    return {
        ord(letter) * PAIR + ord(mark): ord(whole)
        for (letter, mark), whole in parts.items()
        if len(letter) == 1
    }
