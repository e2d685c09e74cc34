"""What labels mean: which one is negative, and the names that `data.csv.mapping` gives them."""

import re
import unicodedata
from collections.abc import Iterable

from ajuste.tasks import NUMERIC, SEPARATOR, split_labels

WORDS = {
    -1: """
        bad badly negative neg no false n f poor worse worst awful terrible horrible hate hated
        dislike disliked unhappy sad down low fail failed reject rejected detractor disagree
        unfavorable unfavourable thumbs-down
        malo mala mal negativo negativa falso falsa pesimo pesima odio triste bajo baja desfavorable
        insatisfecho insatisfecha
        negatif mauvais non faux negativ schlecht nein falsch nao ruim cattivo
    """,
    1: """
        good well positive pos yes true y t great better best excellent love loved like liked happy
        satisfied up high pass passed accept accepted promoter agree favorable favourable thumbs-up
        bueno buena buen bien positivo positiva si s verdadero verdadera v cierto excelente optimo
        optima feliz contento contenta satisfecho satisfecha alto alta favorable
        positif bon oui vrai positiv gut ja wahr bom boa sim buono
    """,
}
"""Negative and positive words in English, Spanish, French, German, Portuguese and Italian."""

_POLARITY = {word: sign for sign, words in WORDS.items() for word in words.split()}
NO_LABEL = frozenset(["na", "n/a", "nan", "null", "none", "nil", "?", "-", "--", "unlabeled"])
"""Values that spreadsheets and programs write where there is no label."""

_NEGATION = re.compile(r"(?:not?|sin|non|un|dis|in|im|des|desa)[ _-]?")


def plain(label: str) -> str:
    """The label in lower case, without accents and outer white space."""
    letters = unicodedata.normalize("NFKD", label.strip().casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def polarity(label: str) -> int:
    """-1 for a negative word, 1 for a positive one, 0 for a label that is neither."""
    return _POLARITY.get(re.sub(r"[ _]", "-", plain(label)), 0)


def negative_first(one: str, other: str) -> bool | None:
    """Whether the first of two labels is the negative one; None if their names do not say it."""
    numbers = [re.fullmatch(r"[+-]?[0-9]+(?:[.,][0-9]+)?", plain(label)) for label in (one, other)]
    if all(numbers):
        first, second = (float(number[0].replace(",", ".")) for number in numbers)
        return first < second
    short, long = plain(one), plain(other)
    for first, second, answer in ((short, long, False), (long, short, True)):
        if second.endswith(first) and _NEGATION.fullmatch(second.removesuffix(first)):
            return answer is not (polarity(first) < 0)
    meaning = polarity(one) - polarity(other)
    return None if meaning == 0 else meaning < 0


def decimal_point(label: str) -> str:
    """A number with a point in place of its decimal comma.

    Before three digits a comma can separate thousands, so `1,234` stays, for `validate` to refuse.
    """
    return re.sub(r"^([+-]?[0-9]*),([0-9]{1,2}|[0-9]{4,})$", r"\1.\2", label)


def mapped(labels: Iterable[str], mapping: dict[str, str | None], task: str) -> list[str | None]:
    """The labels under the names that `data.csv.mapping` gives them.

    For `multilabel` each name of a label is mapped. For tasks of numbers a decimal comma becomes a
    point.

    Args:
        labels: the label of each review, as in the source.
        mapping: the new name of a label, or None for one whose reviews are left out. Other labels
            stay as they are.
        task: a key of `TASKS`.

    Returns:
        The label of each review, or None for one that is left out.
    """

    def new(label: str) -> str | None:
        names = [mapping.get(name, name) for name in split_labels(task, label)]
        if task in NUMERIC and names != [None]:
            return decimal_point(names[0])
        return None if None in names else SEPARATOR.join(names)

    return [new(label) for label in labels] if mapping or task in NUMERIC else list(labels)
