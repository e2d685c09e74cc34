"""From raw text to token ids, by the same code in training and in use."""

import hashlib
import html
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import regex
from pydantic import model_validator

from ajuste.config import reader
from ajuste.errors import PipelineError, excerpt
from ajuste.files import check_readable, read_json, write_json, write_text
from ajuste.tasks import TASKS, check_labels

PADDING, UNKNOWN = 0, 1
SPECIAL = ["<padding>", "<unknown>"]  # not words: `tokens` never yields an angle bracket

VOCABULARY_FILE = "vocabulary.tsv"
ENCODER_FILE = "encoder.json"
MEND = "run `dvc repro`, or `dvc pull`"

# A list of names, because `I <3 it, but <sigh> who knows > me` is prose.
TAGS = (
    "a|b|big|blockquote|center|code|div|em|font|h[1-6]|hr|i|img|li|ol|p|pre|s|small|span|strike|"
    "strong|sub|sup|table|tbody|td|th|tr|tt|u|ul"
)
_MARKUP = regex.compile(rf"(?i)</?(?:br|{TAGS})\b[^<>]*>")
# Thousands of digits in a reference make Python's `html` fail; thousands of marks on a letter make
# `unicodedata` run for hours. Thirty marks are enough (Unicode's Stream-Safe Text Format).
_ENDLESS_REFERENCE = regex.compile(r"&#[0-9]{100,}")
_ENDLESS_MARKS = regex.compile(r"(\p{M}{30})\p{M}+")
_VOCABULARY_LINE = regex.compile(r"([^\t]+)\t([0-9]{1,18})")
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2019\u02bc\uff07\u00b4`", "'"))
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

    Entities are resolved and markup such as `<br />` is removed; the text is lower-cased by
    Unicode's rules and then composed (Unicode NFC), because some letters have a composed form only
    in lower case. A word is a run of letters, marks and digits, with the apostrophes inside it; a
    number can contain `.`, `,` and `/` (`8.5`, `7/10`); an emoji is a word.

    >>> tokens("Don&#39;t miss it!<br />\u00c9pico \U0001f600")
    ["don't", 'miss', 'it', '\xe9pico', '\U0001f600']
    """
    text = _MARKUP.sub(" ", html.unescape(_ENDLESS_REFERENCE.sub(" ", text)))
    text = unicodedata.normalize("NFC", _ENDLESS_MARKS.sub(r"\1", text).lower())
    text = _ENDLESS_MARKS.sub(r"\1", text)  # again: NFC replaces some marks by several
    return _TOKEN.findall(text.translate(_APOSTROPHES))


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
    vocabulary_sha256: reader.Sha256

    @model_validator(mode="after")
    def _labels_fit_the_task(self) -> "_Settings":
        check_labels(self.task, self.labels)
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
    """

    counts: dict[str, int]
    max_length: int
    keep: Literal["first", "last"]
    task: str
    labels: list[str]

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
