import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options
from hypothesis import example, given
from hypothesis import strategies as st

from ajuste.report import document
from ajuste.report.document import (
    Bullets,
    Chart,
    Code,
    Drawing,
    Entries,
    Entry,
    Fold,
    Heading,
    Strong,
    Table,
    Text,
)
from ajuste.report.page import html_page

HOSTILE = [
    "**bold** _it_ ~~gone~~ `code` ``two`` ```\nfence\n``` # heading",
    "<script>alert(1)</script><img src=x onerror=alert(1)></code></details><!-- ",
    "@name @org/team #12 GH-12 a@b.org https://example.org www.example.org 1234567",
    "[link](javascript:alert(1)) ![image](https://example.org/x.png) [x]: http://x",
    "| a | b |\n|---|---|\n| c \\| d | \\",
    "ends in `",
    "` begins",
    "  ",
    "",
    "\x00\x1b[31mred\x07 \u202edlrow olleh\u2066 \u200f\x85 \u2028 next\r\nline",
    "&lt;b&gt; &#64;name $x^2$ :smile: --- ===",
    "``````` `` `",
]


class Tree(HTMLParser):
    """The elements of a page, in order, and the text in each `code`."""

    def __init__(self):
        super().__init__()
        self.elements, self.codes, self.plain, self.inside = [], [], [], 0

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, attributes))
        if tag == "code":
            self.inside += 1
            self.codes.append("")

    def handle_endtag(self, tag):
        self.elements.append(f"/{tag}")
        self.inside -= tag == "code"

    def handle_data(self, data):
        if self.inside:
            self.codes[-1] += data
        else:
            self.plain.append(data)

    def handle_comment(self, data):
        self.elements.append("comment")


def rendered(page):
    tree = Tree()
    tree.feed(page)
    tree.close()
    return tree


def github(blocks):
    """The document as GitHub renders it, but with any HTML left in, so that a test sees it."""
    text = document.markdown(blocks)
    return rendered(
        cmarkgfm.github_flavored_markdown_to_html(text, options=Options.CMARK_OPT_UNSAFE)
    )


def blocks(text):
    code = Code(text)
    return [
        Heading(2, "Title"),
        Text(["before ", code, " after"]),
        Bullets([[code, " → ", code, " (it is ", code, "): ", code], "next"]),
        Table(["a", "b"], [[code, "x"], ["y", code]]),
        Fold("more", [Bullets([[code]])]),
        Text(["end"]),
    ]


@pytest.mark.parametrize("show", [github, lambda b: rendered(html_page(b))])
@given(st.text(max_size=60) | st.sampled_from(HOSTILE))
@example("\\|")
@example("a`b``c")
def test_code_is_never_markup(show, text):
    found, harmless = show(blocks(text)), show(blocks("word"))
    assert found.elements == harmless.elements
    assert found.plain == harmless.plain
    line = re.sub(document.INVISIBLE, "\N{REPLACEMENT CHARACTER}", " ".join(text.splitlines()))
    assert len(found.codes) == len(harmless.codes)
    for code in found.codes:
        assert code == line or not line.strip()


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_never_markup(text):
    for show in (github, lambda b: rendered(html_page(b))):
        # GitHub makes a link of an address; there is no other markup
        found = [e for e in show([Text(["x ", text, " y"])]).elements if e not in ("/a",)]
        assert {e if isinstance(e, str) else e[0] for e in found} <= {
            *(
                "p",
                "/p",
                "a",
                "html",
                "head",
                "meta",
                "title",
                "/title",
                "style",
                "/style",
                "/head",
            ),
            *("body", "main", "/main", "/body", "/html"),
        }


@pytest.mark.parametrize("text", HOSTILE)
def test_text_in_a_drawing_or_an_entry_is_never_markup(text):
    def elements(text):
        spec = {"data": {"values": [{"word": text, text: 1}]}}
        entries = Entries([Entry(text, text or "a kind", text, [(text, 0.5)])])
        return rendered(html_page([Drawing(spec, text), entries])).elements

    found, harmless = elements(text), elements("word")
    assert [e if isinstance(e, str) else e[0] for e in found] == [
        e if isinstance(e, str) else e[0] for e in harmless
    ]


def test_libraries_are_only_in_a_page_that_draws():
    assert "vegaEmbed" in html_page([Drawing({"mark": "point"}, "a point")])
    assert "<script" not in html_page([Text(["no drawing"])])


def test_the_pieces_of_a_document():
    text = document.markdown(
        [
            Heading(1, "A *title*"),
            Text([Strong("Bold"), " and ", Code("a|b")]),
            Table(["", "n"], [[Code("a|b"), "1|2"]]),
            Fold("More & more", [Text(["inside"])]),
            Chart("<svg></svg>", "xychart-beta\n  line [1, 2]", "two"),
        ]
    )
    assert text == (
        "# A \\*title\\*\n\n"
        "**Bold** and `a|b`\n\n"
        "|  | n |\n| --- | --- |\n| `a\\|b` | 1\\|2 |\n\n"
        "<details>\n<summary>More &amp; more</summary>\n\ninside\n\n</details>\n\n"
        "```mermaid\nxychart-beta\n  line [1, 2]\n```\n"
    )


def test_the_page_holds_the_drawing_and_is_well_formed():
    page = html_page(
        [
            Heading(1, "T"),
            Chart("<svg><g/></svg>", "xychart-beta", "two lines"),
            Fold("more", [Text(["in"])]),
        ]
    )
    assert '<div class="picture" role="img" aria-label="two lines"><svg><g/></svg></div>' in page
    body = page[page.index("<h1>") : page.index("</main>")]
    ElementTree.fromstring(f"<body>{body}</body>")
    assert "mermaid" not in page
