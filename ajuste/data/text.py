"""From raw text to words, by the same code in training and in use."""

import html
import re
import unicodedata

import regex

# The elements of HTML. A list of names, because `I <3 it, but <sigh> who knows > me` is prose.
ELEMENTS = (
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
    </?(?:{ELEMENTS}) (?: \s*+ (?:/\s*+)? | \s[^<>=]*+=[^<>]*+ ) >
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
# The same for ASCII, in lower case; it is twice as fast.
_ASCII_TOKEN = re.compile(r"[0-9]+(?:[.,/][0-9]+)+|[a-z0-9]+(?:'[a-z0-9]+)*")


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
    text = normalized(text)
    return (_ASCII_TOKEN if text.isascii() else _TOKEN).findall(text)


def normalized(text: str) -> str:
    """The text in lower case, with characters that mean the same made the same (see `tokens`)."""
    if text.isascii():
        return text.lower().replace("`", "'")
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
