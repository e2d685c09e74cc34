"""Numbers as the reports print them."""

NONE = "—"


def number(value: float | None, form: str, missing: str = NONE) -> str:
    """A number with a true minus sign, or `missing` for None.

    Args:
        value: the number.
        form: how `format` prints it, such as `.3f`.
        missing: what is printed for None.
    """
    return missing if value is None else minus(format(value, form))


def minus(text: str) -> str:
    """A printed number, or several, with a true minus sign for each hyphen."""
    return text.replace("-", "\N{MINUS SIGN}")


def many(count: int, one: str, more: str = "") -> str:
    """A count with its noun: `1 remedy`, `2 remedies`."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"
