"""From words to token ids, by the same code in training and in use."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from ajuste.config import reader
from ajuste.errors import PipelineError, excerpt
from ajuste.files import (
    check_readable,
    read_arrays,
    read_json,
    reading,
    write_arrays,
    write_json,
    write_text,
)
from ajuste.tasks import TASKS, THRESHOLD, check_labels, output_names

PADDING, UNKNOWN = 0, 1
SPECIAL = ["<padding>", "<unknown>"]  # not words: no word has an angle bracket

Keep = Literal["first", "last", "both"]
"""What is kept of a longer text: its first words, its last, or half of each (Sun et al., 2019)."""

Arrays = dict[str, np.ndarray]
"""A part: `token_ids`, int32 (n, max_length), and `targets`, float32 (n, outputs)."""

VOCABULARY_FILE = "vocabulary.tsv"
ENCODER_FILE = "encoder.json"
MEND = "run `dvc repro`, or `dvc pull`"
_VOCABULARY_LINE = re.compile(r"([^\t]+)\t([0-9]{1,18})")


def count_words(token_lists: Iterable[Sequence[str]], min_count: int) -> dict[str, int]:
    """Every word that occurs at least `min_count` times, with its count.

    The most frequent come first; equals are in alphabetical order, so that the result does not
    depend on the order of the texts.
    """
    counts = Counter(token for tokens_ in token_lists for token in tokens_)
    kept = ((word, count) for word, count in counts.items() if count >= min_count)
    return dict(sorted(kept, key=lambda item: (-item[1], item[0])))


def word_ids(words: Iterable[str]) -> dict[str, int]:
    """The id of each word of a vocabulary, which begin at 2."""
    return {word: id_ for id_, word in enumerate(words, start=len(SPECIAL))}


def known_ids(words: Sequence[str], ids: Mapping[str, int]) -> list[int]:
    """The ids of the known words of a text, in order; the id 1 alone, if it has none."""
    return [ids[word] for word in words if word in ids] or [UNKNOWN]


def pad(rows: Sequence[Sequence[int]], max_length: int, keep: Keep) -> np.ndarray:
    """Token ids of one length, padded at the end.

    Args:
        rows: the token ids of each of n texts.
        max_length: the number of token ids that are kept of a text. With `keep: both` these are
            its first and its last words; of an odd number, one more of the last.
        keep: what is kept of a longer text.

    Returns:
        int32 (n, max_length).
    """
    head = {"first": max_length, "last": 0, "both": max_length // 2}[keep]
    token_ids = np.full((len(rows), max_length), PADDING, dtype=np.int32)
    for padded, row in zip(token_ids, rows, strict=True):
        if len(row) <= max_length:
            padded[: len(row)] = row
        else:
            padded[:head] = row[:head]
            padded[head:] = row[len(row) - max_length + head :]
    return token_ids


def write_part(path: Path, rows: Sequence[Sequence[int]], targets: np.ndarray) -> None:
    """Write the reviews of a part, whole, for `read_part`.

    Args:
        path: the file, `.npz`.
        rows: the token ids of each of n reviews.
        targets: float32 (n, outputs).
    """
    lengths = np.array([len(row) for row in rows], dtype=np.int32)
    token_ids = np.fromiter(chain.from_iterable(rows), dtype=np.int32)
    write_arrays(path, token_ids=token_ids, lengths=lengths, targets=targets)


def read_rows(path: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """What `write_part` wrote: the token ids of each of n reviews, and the targets (n, outputs).

    Raises:
        PipelineError: the file is missing or damaged.
    """
    part = read_arrays(path)
    with reading(path):
        rows = np.split(part["token_ids"], np.cumsum(part["lengths"])[:-1])
        return rows, part["targets"]


def read_part(path: Path, max_length: int, keep: Keep) -> dict[str, np.ndarray]:
    """The reviews of a part, as a network reads them.

    Returns:
        `token_ids`, int32 (n, max_length), see `pad`; `targets`, float32 (n, outputs).

    Raises:
        PipelineError: the file is missing or damaged.
    """
    rows, targets = read_rows(path)
    return {"token_ids": pad(rows, max_length, keep), "targets": targets}


class _Settings(reader.Params):
    """`encoder.json`: the settings of an `Encoder`, and the digest of its vocabulary."""

    max_length: reader.Positive
    keep: Keep
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
        keep: what is kept of a longer text (see `pad`).
        task: a key of `ajuste.tasks.TASKS`.
        labels: the names of the classes, the negative one first if there are two; for tasks of
            numbers the lowest and the highest value.
        threshold: the probability from which a label is given: one for all, or one for each label.
    """

    counts: dict[str, int]
    max_length: int
    keep: Keep
    task: str
    labels: list[str]
    threshold: list[float] = field(default_factory=lambda: [THRESHOLD])

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of each word."""
        return word_ids(self.counts)

    def encode(self, token_lists: Iterable[Sequence[str]]) -> np.ndarray:
        """Token ids of tokenized texts (see `known_ids` and `pad`): int32 (n, max_length)."""
        return pad(
            [known_ids(words, self.ids) for words in token_lists], self.max_length, self.keep
        )

    def save(self, folder: Path) -> None:
        """Write `vocabulary.tsv` (see `write_vocabulary`) and `encoder.json`."""
        digest = write_vocabulary(folder / VOCABULARY_FILE, self.counts)
        settings = {
            "max_length": self.max_length,
            "keep": self.keep,
            "task": self.task,
            "labels": self.labels,
            "threshold": self.threshold,
            "vocabulary_sha256": digest,
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


def write_vocabulary(path: Path, counts: Mapping[str, int]) -> str:
    """Write a word and its count on each line; the line is the id, from 0.

    Returns:
        The SHA-256 of the file.
    """
    words = {**dict.fromkeys(SPECIAL, 0), **counts}
    content = "".join(f"{word}\t{count}\n" for word, count in words.items())
    write_text(path, content)
    return hashlib.sha256(content.encode()).hexdigest()


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
