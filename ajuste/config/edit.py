"""Change values in the text of `params.yaml`, and keep its comments."""

import io
from typing import Any

from ruamel.yaml import YAML, RoundTripRepresenter
from ruamel.yaml.comments import CommentedMap

Key = tuple[str, ...]


def with_values(text: str, values: dict[Key, Any]) -> str:
    """The text with other values; comments and all other values stay.

    Args:
        text: a YAML mapping.
        values: the new value of each key, a dictionary, a list or a scalar.
    """
    yaml = _yaml()
    params = yaml.load(text)
    for (*above, key), value in values.items():
        parent = params
        for part in above:
            if not isinstance(parent.get(part), dict):
                parent[part] = CommentedMap()
            parent = parent[part]
        last = key if key in parent else next(reversed(parent), None)
        comment = _take_comment(parent, last) if last is not None else None
        parent[key] = yaml.load(as_text(value))
        *place, slot = _end(parent, key)
        if comment:
            place[0].ca.items.setdefault(place[1], [None] * 4)[slot] = comment
    stream = io.StringIO()
    yaml.dump(params, stream)
    return stream.getvalue()


def as_text(value: Any) -> str:
    """A value in block style, as DVC writes it."""
    stream = io.StringIO()
    _yaml().dump(value, stream)
    return stream.getvalue().removesuffix("...\n")


class _Representer(RoundTripRepresenter):
    """Writes null as a word."""


_Representer.add_representer(
    type(None), lambda self, _: self.represent_scalar("tag:yaml.org,2002:null", "null")
)


def _yaml() -> YAML:
    yaml = YAML()
    yaml.Representer = _Representer
    yaml.default_flow_style, yaml.preserve_quotes = False, True
    return yaml


def _end(parent: Any, key: Any) -> tuple[Any, Any, int]:
    """Where ruamel keeps the comment that follows a value: a container, a key of it, a slot."""
    value = parent[key]
    if isinstance(value, dict) and value:
        return _end(value, next(reversed(value)))
    if isinstance(value, list) and value:
        return _end(value, len(value) - 1)
    return parent, key, 2 if isinstance(parent, dict) else 0


def _take_comment(parent: Any, key: Any) -> Any:
    container, last, slot = _end(parent, key)
    held = container.ca.items.get(last)
    comment = held[slot] if held else None
    if comment:
        held[slot] = None
    return comment
