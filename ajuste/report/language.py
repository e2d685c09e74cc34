"""The language of a report. English is in the code; a catalogue has what another language says.

A catalogue is a YAML file of this folder: for each English text its translation, with the same
fields in braces. A text that it lacks, such as the name of a slice of one's own, stays as it is.
"""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

ENGLISH = "english"
CODES = {ENGLISH: "en", "spanish": "es"}
"""The languages, with the codes that HTML has for them."""

NUMBER = re.compile(r"[+\-\u2212\u00b1]?[0-9][0-9,]*(\.[0-9]+)?( %)?")
"""A number as English writes it."""
COMMAS = str.maketrans(",.", ".,")

Say = Callable[..., str]
"""`say(text, **fields)`: the translation of a text, with its fields filled in."""


@cache
def catalogue(language: str) -> dict[str, str]:
    """The translations of the English texts; empty for English."""
    if language == ENGLISH:
        return {}
    text = Path(__file__).with_name(f"{language}.yaml").read_text(encoding="utf-8")
    return YAML(typ="safe").load(text)


def speaker(language: str = ENGLISH) -> Say:
    """What says a text or a number in a language, a key of `CODES`."""
    known = catalogue(language)

    def local(value: object) -> object:
        is_number = isinstance(value, str) and NUMBER.fullmatch(value)
        return value.translate(COMMAS) if is_number and language != ENGLISH else value

    def say(text: str, **fields: object) -> str:
        found = known.get(text, local(text))
        return found.format(**{key: local(one) for key, one in fields.items()}) if fields else found

    return say
