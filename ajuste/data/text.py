"""From raw text to token ids, by the same code in training and in use."""

import hashlib
import html
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import regex
from pydantic import Field, model_validator

from ajuste.config import reader
from ajuste.errors import PipelineError, excerpt
from ajuste.files import check_readable, read_json, write_json, write_text
from ajuste.tasks import TASKS, THRESHOLD, check_labels, output_names

PADDING, UNKNOWN = 0, 1
SPECIAL = ["<padding>", "<unknown>"]  # not words: `tokens` never yields an angle bracket

VOCABULARY_FILE = "vocabulary.tsv"
ENCODER_FILE = "encoder.json"
MEND = "run `dvc repro`, or `dvc pull`"

# The elements of HTML. A list of names, because `I <3 it, but <sigh> who knows > me` is prose.
_ELEMENTS = (
    "a|abbr|acronym|address|area|article|aside|audio|b|base|bdi|bdo|big|blink|blockquote|body|"
    "button|canvas|caption|center|cite|code|col|colgroup|data|datalist|dd|del|details|dfn|dialog|"
    "dir|div|dl|dt|em|embed|fieldset|figcaption|figure|font|footer|form|frame|frameset|h[1-6]|"
    "head|header|hgroup|hr|html|i|iframe|img|input|ins|kbd|label|legend|li|link|main|map|mark|"
    "marquee|menu|meta|meter|nav|nobr|noframes|noscript|object|ol|optgroup|option|output|p|param|"
    "picture|pre|progress|q|rp|rt|ruby|s|samp|script|search|section|select|slot|small|source|span|"
    "strike|strong|style|sub|summary|sup|svg|table|tbody|td|template|textarea|tfoot|th|thead|time|"
    r"title|tr|track|tt|u|ul|var|video|wbr|[a-z]\w*+:[a-z][\w-]*+"
)
# `<a href=x>` is a tag, `<a real shame>` is prose; `<x-box size="3">` is a tag, `<x-box>` is prose.
_OTHER_MARKUP = rf"""(?xi)
    </?(?:{_ELEMENTS}) (?: \s*+ (?:/\s*+)? | \s[^<>=]*+=[^<>]*+ ) >
    | <[a-z][\w-]*+ \s [^<>"']*+ (?<==) ["'] [^<>]*+ >
    | <!\[CDATA\[ | <(?: !doctype\b | !\[ | \?xml\b ) [^<>]*+ >
"""
_LINE_BREAK = r"</?br(?:\s*+(?:/\s*+)?|\s[^<>=]*+=[^<>]*+)>"
_MARKUP = regex.compile(rf"{_OTHER_MARKUP} | {_LINE_BREAK}")
_MARKUP_TO_COUNT = regex.compile(rf"{_OTHER_MARKUP} | <!--")
# Comments, scripts and styles with what they contain. Without an end they are not hidden; to look
# for the end of each of thousands would take hours, so the search is given up after the first.
_HIDDEN = [
    regex.compile(rf"(?is){start}.*?(?:{end}|\Z(*SKIP)(*FAIL))")
    for start, end in [
        ("<!--", "(?<=<!--)-?>|-->"),
        (r"<script\b[^<>]*+>", r"</script\s*+>"),
        (r"<style\b[^<>]*+>", r"</style\s*+>"),
    ]
]
# The ampersand of an entity, escaped again, any number of times: `&amp;lt;` for `&lt;`.
_ESCAPED_AGAIN = regex.compile(r"(?i)&(?:(?:amp|#0{0,9}38|#x0{0,9}26);)+(?=#?\w{1,40};)")
# Thousands of digits in a reference make Python's `html` fail; thousands of marks on a letter make
# `unicodedata` run for hours. Thirty marks are enough (Unicode's Stream-Safe Text Format).
_ENDLESS_REFERENCE = regex.compile(r"&#[0-9]{100,}")
_ENDLESS_MARKS = regex.compile(r"(\p{M}{30})\p{M}+")
# A line end or tab that is written as `\n`, but not the folder in `C:\new`.
_ESCAPED_SPACE = regex.compile(
    r"(\b[A-Za-z]:(?:\\++(?![nrt](?!\p{Ll}))[^\\\s]*+)+)|(?<!\\)\\++[nrt]"
)
_INVISIBLE = regex.compile(r"\p{Default_Ignorable_Code_Point}+")
# NFKC makes digits and letters of these; they are not part of the number or word beside them.
_APART = regex.compile(
    r"(?V1)[[\p{No}\u2116\u2120]--[\xb2\xb3\xb9\u2070-\u2089]]"
    r"|(?<=\p{Nd})(?=\p{No})|(?<=\p{No})(?=\p{Nd})"
)
# NFKC makes the letters TM of a trade mark sign, which is an emoji, and of the Korean letters in
# use others that no word vectors have.
_NORMALIZED = regex.compile(r"(?V1)[[^\p{Extended_Pictographic}\u3131-\u318e]\u24c2]+")
_VOCABULARY_LINE = regex.compile(r"([^\t]+)\t([0-9]{1,18})")
_AS_TYPED = str.maketrans(
    dict.fromkeys(
        "`\xb4\u02b9\u02bb\u02bc\u02bd\u02be\u02bf\u02c8\u02ca\u02cb\u0384\u055a\u05f3\u07f4\u07f5"
        "\u1fbd\u1fbf\u1ffd\u1ffe\u2018\u2019\u201b\u2032\u2035\u275b\u275c\ua78c\uff07\uff40",
        "'",
    )
    | {"\u2044": "/", "\uff9e": "\u3099", "\uff9f": "\u309a"}  # marks that \p{M} does not know
)
# In scripts without spaces, each character is a token: the text between two spaces is a phrase, and
# few phrases occur twice.
_TOKEN = regex.compile(
    r"""(?V1x)
    [\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]\p{M}*
    | \p{N}+ (?: [.,/]\p{N}+ )+
    | [\p{L}\p{N}][\p{L}\p{M}\p{N}]* (?: '[\p{L}\p{N}][\p{L}\p{M}\p{N}]* )*
    | \p{Extended_Pictographic}
    """
)


def tokens(text: str) -> list[str]:
    r"""The words of a text, in lower case and in order.

    A word is a run of letters, marks and digits, with the apostrophes inside it; a number can
    contain `.`, `,` and `/` (`8.5`, `7/10`); an emoji is a word. First

    - entities are resolved, however often they were escaped;
    - HTML tags such as `<br />` are removed; comments, scripts and styles with what they contain;
    - `\n`, `\r` and `\t`, written as two characters, become spaces, but not in `C:\new`;
    - characters without a width are removed, such as soft hyphens, and the joiners in emoji,
      Persian and Indic words (the parts of a Persian word are one word);
    - all kinds of apostrophes become `'`;
    - characters that look different and mean the same become the same (Unicode NFKC: `film` with
      a ligature, full-width letters); `\xb2` is `2` and `\xbd` is `1/2`, but in no case a part of
      the number before it;
    - the text is lower-cased by Unicode's rules, and composed again (NFC), because some letters
      have a composed form only in lower case.

    >>> tokens("Don&#39;t miss it!<br />\u00c9pico \U0001f600")
    ["don't", 'miss', 'it', '\xe9pico', '\U0001f600']
    """
    if "&" in text:
        text = html.unescape(_ENDLESS_REFERENCE.sub(" ", _ESCAPED_AGAIN.sub("&", text)))
    if "<" in text:
        for hidden in _HIDDEN:
            text = hidden.sub(" ", text)
        text = _MARKUP.sub(" ", text)
    if "\\" in text:
        text = _ESCAPED_SPACE.sub(r"\1 ", text).replace("\\'", "'")
    return _TOKEN.findall(_normalized(text))


def _normalized(text: str) -> str:
    if text.isascii():
        return text.lower().translate(_AS_TYPED)
    text = _APART.sub(r" \g<0> ", _INVISIBLE.sub("", text).translate(_AS_TYPED))
    text = _ENDLESS_MARKS.sub(r"\1", text)
    text = _NORMALIZED.sub(lambda part: unicodedata.normalize("NFKC", part[0]), text)
    text = unicodedata.normalize("NFC", text.lower())
    # Again: normalization replaces some marks by several, and some characters by apostrophes.
    return _ENDLESS_MARKS.sub(r"\1", text).translate(_AS_TYPED)


def has_markup(text: str) -> bool:
    """Whether a text has HTML other than line breaks, or an entity that was escaped twice."""
    if "&" in text:
        if _ESCAPED_AGAIN.search(text):
            return True
        text = html.unescape(_ENDLESS_REFERENCE.sub(" ", text))
    return "<" in text and _MARKUP_TO_COUNT.search(text) is not None


def text_key(text: str) -> str:
    """A key that is equal if two reviews differ only in case, markup, spaces and punctuation.

    The key of a review without words is the review itself.
    """
    return " ".join(tokens(text)) or text


def count_words(token_lists: Iterable[Sequence[str]], min_count: int) -> dict[str, int]:
    """Every word that occurs at least `min_count` times, with its count.

    The most frequent come first; equals are in alphabetical order, so that the result does not
    depend on the order of the texts.
    """
    counts = Counter(token for tokens_ in token_lists for token in tokens_)
    kept = ((word, count) for word, count in counts.items() if count >= min_count)
    return dict(sorted(kept, key=lambda item: (-item[1], item[0])))


class _Settings(reader.Params):
    """`encoder.json`: the settings of an `Encoder`, and the digest of its vocabulary."""

    max_length: reader.Positive
    keep: Literal["first", "last"]
    task: Literal[*TASKS]
    labels: list[reader.Name]
    threshold: list[reader.Share] = Field(default_factory=lambda: [THRESHOLD])
    vocabulary_sha256: reader.Sha256

    @model_validator(mode="after")
    def _labels_fit_the_task(self) -> "_Settings":
        check_labels(self.task, self.labels)
        if len(self.threshold) not in (1, len(output_names(self.task, self.labels))):
            raise ValueError("`threshold` must have one number, or one for each label")
        return self


@dataclass(frozen=True)
class Encoder:
    """Converts texts to token ids of a fixed length, with the vocabulary of the training part.

    Attributes:
        counts: the count of each word in the training part, in the order of the ids, which begin
            at 2; 0 is padding, and 1 marks a text without a known word.
        max_length: the number of tokens that are kept of a text.
        keep: the end of a longer text that is kept.
        task: a key of `ajuste.tasks.TASKS`.
        labels: the names of the classes, the negative one first if there are two; for tasks of
            numbers the lowest and the highest value.
        threshold: the probability from which a label is given: one for all, or one for each label.
    """

    counts: dict[str, int]
    max_length: int
    keep: Literal["first", "last"]
    task: str
    labels: list[str]
    threshold: list[float] = field(default_factory=lambda: [THRESHOLD])

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of each word."""
        return {word: id_ for id_, word in enumerate(self.counts, start=len(SPECIAL))}

    def encode(self, token_lists: Sequence[Sequence[str]]) -> np.ndarray:
        """Token ids of tokenized texts, padded at the end.

        Words outside the vocabulary are left out. No row is all padding: a row without a known
        word has the id 1 once.

        Args:
            token_lists: the result of `tokens` for each of n texts.

        Returns:
            int32 array of shape (n, max_length).
        """
        window = slice(-self.max_length, None) if self.keep == "last" else slice(self.max_length)
        token_ids = np.full((len(token_lists), self.max_length), PADDING, dtype=np.int32)
        for row, words in zip(token_ids, token_lists, strict=True):
            known = [self.ids[word] for word in words if word in self.ids][window] or [UNKNOWN]
            row[: len(known)] = known
        return token_ids

    def save(self, folder: Path) -> None:
        """Write `vocabulary.tsv` (word, count; the line is the id, from 0) and `encoder.json`."""
        lines = [
            *(f"{word}\t0" for word in SPECIAL),
            *(f"{w}\t{n}" for w, n in self.counts.items()),
        ]
        vocabulary = "\n".join(lines) + "\n"
        write_text(folder / VOCABULARY_FILE, vocabulary)
        settings = {
            "max_length": self.max_length,
            "keep": self.keep,
            "task": self.task,
            "labels": self.labels,
            "threshold": self.threshold,
            "vocabulary_sha256": hashlib.sha256(vocabulary.encode()).hexdigest(),
        }
        write_json(folder / ENCODER_FILE, settings)

    @classmethod
    def load(cls, folder: Path) -> "Encoder":
        """Read what `save` wrote.

        Raises:
            PipelineError: a file is missing or damaged, or the two files do not match.
        """
        path = folder / ENCODER_FILE
        check_readable(path, MEND)
        try:
            settings = reader.checked(read_json(path), _Settings).model_dump()
        except reader.FaultsError as error:
            raise PipelineError(f"{path}: {'; '.join(error.faults)}; {MEND}") from None
        counts = read_vocabulary(folder / VOCABULARY_FILE)
        digest = hashlib.sha256((folder / VOCABULARY_FILE).read_bytes()).hexdigest()
        if digest != settings.pop("vocabulary_sha256"):
            raise PipelineError(
                f"{folder / VOCABULARY_FILE}: this vocabulary does not belong to {ENCODER_FILE} "
                f"(another SHA-256); {MEND}"
            )
        return cls(counts=counts, **settings)


def read_vocabulary(path: Path) -> dict[str, int]:
    """The words and counts of a `vocabulary.tsv`, in the order of their ids, which begin at 2.

    Raises:
        PipelineError: it is missing or damaged; the message names the line.
    """
    check_readable(path, MEND)
    content = path.read_bytes()
    try:
        lines = content.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise PipelineError(f"{path}, line {number}: not UTF-8; {MEND}") from None
    if lines.pop():
        raise PipelineError(
            f"{path}, line {len(lines) + 1}: no line end, the file is cut off; {MEND}"
        )
    counts: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        match = _VOCABULARY_LINE.fullmatch(line)
        special = SPECIAL[number - 1] if number <= len(SPECIAL) else None
        if not match or match[1] in counts or special not in (None, match[1]):
            raise PipelineError(
                f"{path}, line {number}: {excerpt(line)!r} is not valid: expected a word that "
                f"is not in an earlier line, a tab and a count; {MEND}"
            )
        counts[match[1]] = int(match[2])
    if len(counts) <= len(SPECIAL):
        raise PipelineError(f"{path}: no words; {MEND}")
    return {word: count for word, count in counts.items() if word not in SPECIAL}
