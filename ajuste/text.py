"""From raw text to token ids: one path, taken in training and in use alike."""

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

from ajuste.errors import PipelineError
from ajuste.files import read_json, reading, write_json, write_text

PADDING, UNKNOWN = 0, 1
SPECIAL = ["<padding>", "<unknown>"]  # no word: `tokens` never yields an angle bracket

VOCABULARY_FILE = "vocabulary.tsv"
ENCODER_FILE = "encoder.json"

# By name, since `I <3 it, but <sigh> who knows > me` is prose.
TAGS = (
    "a|b|big|blockquote|center|code|div|em|font|h[1-6]|hr|i|img|li|ol|p|pre|s|small|span|strike|"
    "strong|sub|sup|table|tbody|td|th|tr|tt|u|ul"
)
_MARKUP = regex.compile(rf"(?i)</?(?:br|{TAGS})\b[^<>]*>")
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2019\u02bc\uff07\u00b4`", "'"))
# Scripts written without spaces give one token a character: what stands between spaces there is a
# phrase, and hardly any phrase comes twice.
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

    Entities are resolved and markup such as `<br />` is removed; the text is composed (Unicode
    NFC) and lower-cased by Unicode's rules. A word is a run of letters, marks and digits, with
    apostrophes inside it kept, and so are the marks inside a number (`8.5`, `7/10`); an emoji is a
    word too.

    >>> tokens("Don&#39;t miss it!<br />\u00c9pico \U0001f600")
    ["don't", 'miss', 'it', '\xe9pico', '\U0001f600']
    """
    text = _MARKUP.sub(" ", html.unescape(text))
    text = unicodedata.normalize("NFC", text).lower().translate(_APOSTROPHES)
    return _TOKEN.findall(text)


def text_key(text: str) -> str:
    """What two reviews share when they are the same but for case, markup, spaces and punctuation.

    Reviews without a word are told apart by their characters.
    """
    return " ".join(tokens(text)) or text


def count_words(token_lists: Iterable[Sequence[str]], min_count: int) -> dict[str, int]:
    """Every word that comes at least `min_count` times, with its count.

    The most frequent stand first and equals in alphabetical order, so that the result does not
    depend on the order of the texts.
    """
    counts = Counter(token for tokens_ in token_lists for token in tokens_)
    kept = ((word, count) for word, count in counts.items() if count >= min_count)
    return dict(sorted(kept, key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True)
class Encoder:
    """Turns texts into token ids of one length, by a vocabulary that training fixed.

    Attributes:
        counts: how often each word came in training, in the order of the ids, which begin at 2;
            0 is padding, and 1 stands for a text in which no word is known.
        max_length: the tokens kept of a text.
        keep: which end of a longer text is kept.
        task: what is asked of a text, a key of `ajuste.tasks.TASKS`.
        labels: the names of the classes, the negative one first where there are two; the lowest
            and the highest value where the task is one of numbers.
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

        Words outside the vocabulary are left out, so that what is kept is known. No row is all
        padding: one without a known word holds the id 1 once.

        Args:
            token_lists: what `tokens` gave for each of n texts.

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
        write_text(folder / VOCABULARY_FILE, "\n".join(lines) + "\n")
        settings = {
            "max_length": self.max_length,
            "keep": self.keep,
            "task": self.task,
            "labels": self.labels,
        }
        write_json(folder / ENCODER_FILE, settings)

    @classmethod
    def load(cls, folder: Path) -> "Encoder":
        """Read what `save` wrote.

        Raises:
            PipelineError: a file is missing or is not what `save` wrote.
        """
        try:
            counts = read_vocabulary(folder / VOCABULARY_FILE)
            return cls(counts=counts, **read_json(folder / ENCODER_FILE))
        except (FileNotFoundError, TypeError) as error:
            raise PipelineError(
                f"{folder}: no usable encoder ({error}); run `dvc repro`, or `dvc pull`"
            ) from None


def read_vocabulary(path: Path) -> dict[str, int]:
    """The words and counts of a `vocabulary.tsv`, in the order of their ids, which begin at 2.

    Raises:
        PipelineError: the file is not one that `Encoder.save` wrote.
    """
    with reading(path):
        *lines, rest = path.read_text(encoding="utf-8").split("\n")[len(SPECIAL) :]
        if rest:
            raise ValueError("the last line has no end")
        return {word: int(count) for word, count in (line.split("\t") for line in lines)}
