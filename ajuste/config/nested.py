"""Nested dictionaries."""

from typing import Any


def flatten(tree: dict[str, Any], separator: str = ".") -> dict[str, Any]:
    """The values of nested dictionaries by their full keys: `{"a": {"b": 1}}` gives `{"a.b": 1}`.

    An empty dictionary counts as a value.
    """
    flat = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            below = flatten(value, separator)
            flat |= {f"{key}{separator}{inner}": leaf for inner, leaf in below.items()}
        else:
            flat[str(key)] = value
    return flat
