"""A document as an HTML page that needs no other file and no network."""

import html
import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from string import Template
from typing import Any

from ajuste.report.document import (
    Bullets,
    Chart,
    Code,
    Drawing,
    Entries,
    Entry,
    Fold,
    Heading,
    Model,
    PageBlock,
    Picture,
    Strong,
    Table,
    Text,
    pieces_of,
    visible,
)
from ajuste.report.language import CODES, ENGLISH, NUMBER, Say, speaker
from ajuste.report.numbers import minus
from ajuste.report.vega import libraries, translated

PAGE = Template("""<!doctype html>
<html lang="$language">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --line: #ccc; --failed: #fde8e8; --up: #1b5e20; --down: #b3261e }
@media (prefers-color-scheme: dark) {
  :root { --line: #555; --failed: #5c1f1f; --up: #81c784; --down: #f2a19b }
}
body { background: Canvas; color: CanvasText; font: 16px/1.5 system-ui, sans-serif;
  margin: 2rem auto; max-width: 80rem; overflow-wrap: break-word; padding: 0 1rem }
p, li { max-width: 60rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: .875rem; margin: 1rem 0;
  width: 100% }
th, td { border-bottom: 1px solid var(--line); padding: .4rem; text-align: left;
  vertical-align: top }
figure { margin: 1rem 0 }
figure svg { height: auto; max-width: 100% }
.picture { background: #fff }
.drawings { display: grid; gap: 0 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)) }
.drawing { width: 100% }
.failed { background: var(--failed) }
.up { color: var(--up) } .down { color: var(--down) }
.lines { white-space: pre-line }
.entries label { white-space: nowrap }
.words { display: flex; flex-wrap: wrap; gap: 0 1rem; list-style: none; padding: 0 }
details.entry { border-bottom: 1px solid var(--line); padding: .4rem 0 }
textarea { box-sizing: border-box; font: inherit; max-width: 60rem; width: 100% }
summary { cursor: pointer }
</style>
</head>
<body>
<main>
$body
</main>
$scripts
</body>
</html>
""")

DRAW = """<script>
const dark = matchMedia("(prefers-color-scheme: dark)");
const formatLocale = {
  es: {decimal: ",", thousands: ".", grouping: [3], currency: ["", "\u00a0\u20ac"]},
}[document.documentElement.lang];
function draw() {
  const text = dark.matches ? "#ddd" : "#222", grid = dark.matches ? "#444" : "#ddd";
  const config = {
    background: "transparent", view: {stroke: null},
    axis: {labelColor: text, titleColor: text, gridColor: grid, domainColor: grid, tickColor: grid,
      labelFontSize: 12, titleFontSize: 12},
    legend: {labelColor: text, labelFontSize: 12}, text: {color: text}, rule: {color: text},
    point: {color: dark.matches ? "#64a8e8" : "#1f77b4"}, numberFormat: ".3~f",
    range: {category: dark.matches ? ["#64a8e8", "#f5a25d"] : ["#1f77b4", "#b84f00"]},
  };
  for (const place of document.querySelectorAll(".drawing")) {
    const spec = JSON.parse(place.nextElementSibling.textContent);
    const tooltip = {theme: dark.matches ? "dark" : "light"};
    vegaEmbed(place, spec, {actions: false, config, formatLocale, renderer: "svg", tooltip});
  }
}
draw();
dark.addEventListener("change", draw);
</script>"""

TRIED = {
    "known": "{known} of {words} words are known.",
    "unknown": "No word is known.",
    "few": "Most words are unknown: do not rely on this answer.",
    "short": "A short text: the network has learned from whole reviews.",
    "towards": "Towards {label}, in points that the answer changes without the word:",
}
EXAMPLES = ("One of the best films I have seen.", "A dull plot, and terrible acting.")
BROWSER = Path(__file__).with_name("browser.js")

SEARCH = """<script>
for (const list of document.querySelectorAll(".entries")) {
  const [text, kind] = list.querySelectorAll("input, select"), count = list.querySelector("output");
  const all = [...list.querySelectorAll(".entry")], more = list.querySelector("button");
  let most = 20;
  const filter = () => {
    const wanted = text.value.toLowerCase();
    const found = all.filter(one => (!kind.value || one.dataset.kind === kind.value)
      && one.textContent.toLowerCase().includes(wanted));
    const shown = new Set(found.slice(0, most));
    for (const one of all) one.hidden = !shown.has(one);
    count.value = `${shown.size} / ${found.length}`;
    more.hidden = shown.size === found.length;
  };
  more.addEventListener("click", () => { most = Infinity; filter(); });
  text.addEventListener("input", filter);
  kind.addEventListener("input", filter);
  filter();
}
</script>"""


def html_page(blocks: Sequence[PageBlock], language: str = ENGLISH) -> str:
    """The blocks as an HTML page that needs no other file; the first block is the title.

    Args:
        blocks: in the language of the page.
        language: a key of `ajuste.report.language.CODES`, for what the page itself says.
    """
    say = speaker(language)
    title = html.escape(blocks[0].text) if isinstance(blocks[0], Heading) else ""
    parts = []
    for is_drawing, group in groupby(blocks, lambda block: isinstance(block, Drawing)):
        inner = "\n".join(_html(block, say) for block in group)
        parts.append(f'<div class="drawings">\n{inner}\n</div>' if is_drawing else inner)
    scripts = []
    if any(isinstance(block, Drawing) for block in blocks):
        scripts += [libraries(), DRAW]
    if any(isinstance(block, Model) for block in blocks):
        scripts.append(f"<script>{BROWSER.read_text(encoding='utf-8')}</script>")
    if any(isinstance(block, Entries) for block in blocks):
        scripts.append(SEARCH)
    body, script = "\n".join(parts), "\n".join(scripts)
    return PAGE.substitute(language=CODES[language], title=title, body=body, scripts=script)


def _html(block: PageBlock, say: Say) -> str:
    match block:
        case Heading(level, text):
            return f"<h{level}>{html.escape(text)}</h{level}>"
        case Text(pieces):
            return f"<p>{''.join(map(_escaped, pieces))}</p>"
        case Bullets(items):
            lines = (f"<li>{''.join(map(_escaped, pieces_of(item)))}" for item in items)
            return "\n".join(["<ul>", *lines, "</ul>"])
        case Picture(svg=svg, about=about) | Chart(svg=svg, about=about):
            drawn = f'<div class="picture" role="img" aria-label="{html.escape(about)}">{svg}</div>'
            return f"<figure>{drawn}</figure>"
        case Drawing(spec, about):
            place = f'<div class="drawing" role="img" aria-label="{html.escape(about)}"></div>'
            caption = f"<figcaption>{_escaped(about)}</figcaption>"
            return f"<figure>{place}{_data(translated(spec, say))}{caption}</figure>"
        case Model(packed):
            texts = {name: say(text) for name, text in TRIED.items()}
            label = f'<label for="review">{say("Write or paste a whole review:")}</label>'
            field = '<textarea id="review" rows="4"></textarea>'
            examples = " ".join(
                f'<button type="button" class="example">{one}</button>' for one in EXAMPLES
            )
            place = '<div id="answer" aria-live="polite"></div>'
            form = f"<p>{label}{field}</p><p>{examples}</p>{place}"
            return form + _data({**packed, "texts": texts}, "model")
        case Entries(entries):
            return _entries(entries, say)
        case Table(header, rows, marked):
            names = "".join(f'<th scope="col">{_escaped(name)}' for name in header)
            lines = ['<div class="wide" tabindex="0">', "<table>", f"<tr>{names}</tr>"]
            for number, row in enumerate(rows):
                state = ' class="failed"' if number in marked else ""
                cells = (say(cell) if NUMBER.fullmatch(cell) else cell for cell in row)
                lines.append(
                    f"<tr{state}>{''.join(f'<td>{_escaped(cell)}' for cell in cells)}</tr>"
                )
            return "\n".join([*lines, "</table>", "</div>"])
        case Fold(title, inner):
            body = "\n".join(_html(one, say) for one in inner)
            return f"<details>\n<summary>{html.escape(title)}</summary>\n{body}\n</details>"


def _data(value: Any, name: str = "") -> str:
    # Text cannot end the element: JSON writes `<` as an escape too.
    text = json.dumps(value, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    named = f' id="{name}"' if name else ""
    return f'<script type="application/json"{named}>{text}</script>'


def _entries(entries: list[Entry], say: Say) -> str:
    kinds = "".join(
        f"<option>{html.escape(kind)}"
        for kind in dict.fromkeys(one.kind for one in entries if one.kind)
    )
    lines = [
        '<div class="entries">',
        f'<p><label>{say("Search")} <input type="search"></label>',
        f'<label>{say("Kind")} <select><option value="">{say("all")}{kinds}</select></label>',
        f'<output></output> <button type="button">{say("show all")}</button></p>',
    ]
    for one in entries:
        words = "".join(
            f'<li class="{way}">{_escaped(word)} {say(minus(f"{effect:+.2f}"))}'
            for word, effect in one.words
            for way in ["up" if effect > 0 else "down"]
        )
        lines += [
            f'<details class="entry" data-kind="{html.escape(one.kind)}">',
            f"<summary>{_escaped(one.title)}</summary>",
            f'<p class="lines">{_escaped(one.text)}</p>',
            f'<ul class="words">{words}</ul>' if words else "",
            "</details>",
        ]
    return "\n".join([*filter(None, lines), "</div>"])


def _escaped(text: str) -> str:
    escaped = html.escape(visible(text))
    if isinstance(text, Code):
        return f"<code>{escaped}</code>"
    return f"<strong>{escaped}</strong>" if isinstance(text, Strong) else escaped
