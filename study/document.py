"""A document of headings, paragraphs, tables and pictures, as Markdown and as an HTML page."""

import html
import re
from dataclasses import dataclass, field
from string import Template


class Code(str):
    """Text that is set as code."""

    __slots__ = ()


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the title."""

    level: int
    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph, in pieces of text and code."""

    pieces: list[str]


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: list[str]


@dataclass(frozen=True)
class Table:
    """A table; the rows whose numbers are in `marked` are to be seen at once."""

    header: list[str]
    rows: list[list[str]]
    marked: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Picture:
    """A drawing, with the name of its file and a description."""

    name: str
    svg: str
    about: str


Block = Heading | Text | Bullets | Table | Picture


def markdown(blocks: list[Block], folder: str) -> str:
    """The blocks as GitHub's Markdown; the pictures are in `folder`."""
    return "\n\n".join(_markdown(block, folder) for block in blocks) + "\n"


def _markdown(block: Block, folder: str) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {_plain(text)}"
        case Text(pieces):
            return "".join(map(_plain, pieces))
        case Bullets(items):
            return "\n".join(f"- {_plain(item)}" for item in items)
        case Picture(name, _, about):
            return f"![{about}]({folder}/{name}.svg)"
        case Table(header, rows):
            lines = [header, ["---"] * len(header), *rows]
            return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _plain(text: str) -> str:
    """Text in which nothing is taken for markup."""
    line = " ".join(text.split("\n"))
    if isinstance(text, Code):
        fence = "``" if "`" in line else "`"
        return f"{fence}{line}{fence}"
    return re.sub(r"([\\`*_\[\]<>#|&])", r"\\\1", line)


def _cell(text: str) -> str:
    # In a table GitHub splits at | even inside code.
    return _plain(text).replace("|", r"\|") if isinstance(text, Code) else _plain(text)


PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>$title</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem }
p, li { max-width: 60rem }
table { border-collapse: collapse; font-size: .875rem; width: 100% }
th, td { border-bottom: 1px solid #ccc; padding: .4rem; text-align: left; vertical-align: top }
svg { height: auto; max-width: 100% }
.failed { background: #fde8e8 }
</style>
$body
</html>
""")


def page(blocks: list[Block]) -> str:
    """The blocks as an HTML page that needs no other file; the first is the title."""
    title = html.escape(blocks[0].text) if isinstance(blocks[0], Heading) else ""
    return PAGE.substitute(title=title, body="\n".join(map(_html, blocks)))


def _html(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"<h{level}>{html.escape(text)}</h{level}>"
        case Text(pieces):
            return f"<p>{''.join(map(_escaped, pieces))}</p>"
        case Bullets(items):
            return "<ul>\n" + "\n".join(f"<li>{_escaped(item)}" for item in items) + "\n</ul>"
        case Picture(_, svg, about):
            return f'<figure role="img" aria-label="{html.escape(about)}">{svg}</figure>'
        case Table(header, rows, marked):
            lines = ["<table>", f"<tr>{''.join(f'<th>{_escaped(name)}' for name in header)}</tr>"]
            for number, row in enumerate(rows):
                state = ' class="failed"' if number in marked else ""
                lines.append(f"<tr{state}>{''.join(f'<td>{_escaped(cell)}' for cell in row)}</tr>")
            return "\n".join([*lines, "</table>"])


def _escaped(text: str) -> str:
    escaped = html.escape(text)
    return f"<code>{escaped}</code>" if isinstance(text, Code) else escaped
