"""A document of headings, paragraphs, tables and pictures, as Markdown and as an HTML page.

Text is never read as markup. Texts from outside, such as a review or the value of a parameter, are
`Code`, in which GitHub does not look for links or an `@name` either.
"""

import html
import re
from dataclasses import dataclass, field
from typing import Any


class Code(str):
    """Text in a code font."""

    __slots__ = ()


class Strong(str):
    """Bold text."""

    __slots__ = ()


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the title."""

    level: int
    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph: pieces of text, code and bold text."""

    pieces: list[str]


@dataclass(frozen=True)
class Bullets:
    """A list; an item is a text or a list of pieces."""

    items: list[str | list[str]]


@dataclass(frozen=True)
class Table:
    """A table; the page highlights the rows whose numbers are in `marked`."""

    header: list[str]
    rows: list[list[str]]
    marked: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Picture:
    """A drawing in a file, with the name of the file and a description."""

    name: str
    svg: str
    about: str


@dataclass(frozen=True)
class Chart:
    """A drawing that Markdown contains as Mermaid text."""

    svg: str
    mermaid: str
    about: str


@dataclass(frozen=True)
class Fold:
    """Blocks that a click on their title shows."""

    title: str
    blocks: list["Block"]


@dataclass(frozen=True)
class Drawing:
    """An interactive chart, only for pages: a specification of Vega-Lite and a description."""

    spec: dict[str, Any]
    about: str


@dataclass(frozen=True)
class Entry:
    """A text with its title, its kind, and words with their numbers."""

    title: str
    kind: str
    text: str
    words: list[tuple[str, float]]


@dataclass(frozen=True)
class Entries:
    """A list of entries, only for pages, which a reader can search and filter by kind."""

    entries: list[Entry]


@dataclass(frozen=True)
class Model:
    """A field, only for pages, in which the model answers (see `ajuste.training.browser`)."""

    packed: dict[str, Any]


Block = Heading | Text | Bullets | Table | Picture | Chart | Fold
PageBlock = Block | Drawing | Entries | Model


INVISIBLE = "[\x00-\x08\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"


def markdown(blocks: list[Block], folder: str = "") -> str:
    """The blocks as GitHub's Markdown; the pictures are in `folder`."""
    return "\n\n".join(_markdown(block, folder) for block in blocks) + "\n"


def _markdown(block: Block, folder: str) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {_marked(text)}"
        case Text(pieces):
            return "".join(map(_marked, pieces))
        case Bullets(items):
            return "\n".join(f"- {''.join(map(_marked, pieces_of(item)))}" for item in items)
        case Picture(name=name, about=about):
            return f"![{about}]({folder}/{name}.svg)"
        case Chart(mermaid=mermaid):
            return f"```mermaid\n{mermaid}\n```"
        case Fold(title, inner):
            # without the blank lines GitHub reads the inner blocks as HTML
            summary = f"<details>\n<summary>{html.escape(title)}</summary>"
            return f"{summary}\n\n{markdown(inner, folder)}\n</details>"
        case Table(header, rows):
            lines = [header, ["---"] * len(header), *rows]
            return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def pieces_of(item: str | list[str]) -> list[str]:
    """The pieces of an item of a list."""
    return [item] if isinstance(item, str) else item


def _marked(text: str) -> str:
    """A piece in Markdown, with all markup in its text escaped."""
    line = visible(text)
    if isinstance(text, Code):
        return _code_span(line)
    escaped = re.sub(r"([\\`*_\[\]<>#|&~$])", r"\\\1", line)
    return f"**{escaped}**" if isinstance(text, Strong) else escaped


def _code_span(line: str) -> str:
    """Text between more backticks than it has in a row (CommonMark, 6.1)."""
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    stripped = line.startswith(" ") and line.endswith(" ") and line.strip(" ")
    pad = " " if not line or stripped or "`" in (line[0], line[-1]) else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def visible(text: str) -> str:
    """The text on one line, without control characters and marks of writing direction."""
    return re.sub(INVISIBLE, "\N{REPLACEMENT CHARACTER}", " ".join(text.splitlines()))


def _cell(text: str) -> str:
    # GitHub splits a row at each |, in code too, except at \|.
    return _marked(text).replace("|", r"\|") if isinstance(text, Code) else _marked(text)
