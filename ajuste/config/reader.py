"""Read `params.yaml`, whole or by section, checked against a schema that names every fault."""

import warnings
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from reprlib import Repr
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode
from ruamel.yaml.reader import ReaderError

from ajuste.errors import PipelineError, excerpt
from ajuste.files import check_readable

# What is beyond these upper bounds can only be a mistake, and would end without memory.
Positive = Annotated[int, Field(gt=0, le=10**9)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Width = Annotated[int, Field(gt=0, le=10_000)]  # of a layer, or of a vector
Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Penalty = Annotated[float, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what NumPy takes
Name = Annotated[str, Field(min_length=1)]
FileName = Annotated[str, Field(pattern=r"^[^\x00]+$")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Schema = TypeVar("Schema")

FILE = Path("params.yaml")
SHOWN = 60  # characters of a value, in a message

_TAG = "tag:yaml.org,2002:"
_OF_KEYS = (f"{_TAG}str", f"{_TAG}merge")
_BRIEF = Repr()  # a list that holds another ten times, and so on, would be long without end
_BRIEF.maxlevel, _BRIEF.maxstring, _BRIEF.maxother = 3, 3 * SHOWN, 3 * SHOWN


class Params(BaseModel):
    """Base of every schema: types are not converted, and a key that nobody reads is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class FaultsError(PipelineError):
    """What is wrong with a file of parameters: one line, or of several faults a line each.

    Attributes:
        faults: the faults, without the name of the file.
    """

    def __init__(self, name: Path | str, faults: list[str]) -> None:
        faults = [" ".join(fault.splitlines()) for fault in faults]  # a key may hold a line end
        first, *others = faults if len(faults) == 1 else [f"{len(faults)} faults", *faults]
        super().__init__(f"{name}: {first}", *others)
        self.faults = faults


def read(path: Path = FILE) -> dict[str, Any]:
    """The whole file as nested dictionaries.

    Raises:
        PipelineError: there is no such file, or it is not a YAML mapping.
    """
    check_readable(path, "run from the repository's root, where it can be read")
    try:
        return parse(path.read_text(encoding="utf-8"), path)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise PipelineError(f"{path}, line {line}: not UTF-8; save the file as UTF-8") from None


class _Constructor(SafeConstructor):
    """Refuses keys that are no texts or stand twice, and names the line of what is no value."""

    def construct_mapping(self, node: Node, deep: bool = False) -> dict[str, Any]:
        keys = [key for key, _ in node.value] if isinstance(node, MappingNode) else []
        seen: set[str] = set()
        for key in keys:
            text = key.value if isinstance(key, ScalarNode) else "that is a list or has keys"
            surrogate = any("\ud800" <= char <= "\udfff" for char in text)
            if key.tag not in _OF_KEYS or surrogate:
                raise _no_value(key, f"the key {excerpt(text)} is no text; put quotes around it")
            if text in seen:
                raise _no_value(key, f'found duplicate key "{excerpt(text)}"')
            seen.add(text)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:  # a date that is none
            raise _no_value(node, str(error)) from None
        except LookupError:  # which `!!bool abc` is to ruamel, and `!!int ""`
            tag = node.tag.replace(_TAG, "!!")
            raise _no_value(node, f"{excerpt(node.value)!r} is no {tag}") from None


def _no_value(node: Node, problem: str) -> ConstructorError:
    return ConstructorError(problem=problem, problem_mark=node.start_mark)


def parse(text: str, name: Path | str) -> dict[str, Any]:
    """The nested dictionaries that the text of a file stands for; `name` is that of the file.

    Raises:
        PipelineError: it is not a YAML mapping, or has a key twice; it names the line.
    """
    try:
        # YAML 1.2, as DVC writes it: in PyYAML's 1.1 a plain `no` is false, and 1e-3 a text.
        yaml = YAML(typ="safe", pure=True)
        yaml.Constructor = _Constructor
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)  # YAML lets the later one count
            params = yaml.load(text)
    except MarkedYAMLError as error:
        reason = " ".join(str(error.problem or error.context).split())
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        advice = "indent with spaces" if r"'\t'" in reason else "correct it"
        raise PipelineError(f"{name}{where}: not readable as YAML: {reason}; {advice}") from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise PipelineError(
            f"{name}, line {line}: not readable as YAML: the character {error.character:#x}; "
            "take it out"
        ) from None
    except (YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise PipelineError(f"{name}: not readable as YAML: {reason}; correct it") from None
    if not isinstance(params, dict):
        raise PipelineError(
            f"{name}: expected `name: value` pairs at the top level; is it the right file?"
        )
    return params


def load(key: str, schema: type[Schema], path: Path = FILE) -> Schema:
    """The value under `key`, dots leading to nested ones, as an instance of `schema`.

    Args:
        key: for example `split` or `data.csv`.
        schema: a subclass of `Params`, or any type that pydantic can check.
        path: the file.

    Raises:
        PipelineError: the key is missing or its value does not fit; all faults are named at once.
    """
    value: Any = read(path)
    reached = []
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            known = ", ".join(map(str, value)) if isinstance(value, dict) else "none"
            place = f"under `{'.'.join(reached)}`" if reached else "at the top level"
            raise PipelineError(f"{path}: no `{part}` {place}; there is: {known}")
        value = value[part]
        reached.append(part)
    return checked(value, schema, key, path)


Place = tuple[str | int, ...]


def checked(
    value: Any,
    schema: type[Schema],
    key: str = "",
    name: Path | str = FILE,
    named: Callable[[Place], str] | None = None,
) -> Schema:
    """A value as an instance of `schema`.

    Args:
        value: what the YAML has.
        schema: a subclass of `Params`, or any type that pydantic can check.
        key: the full key of the value; empty for the whole file.
        name: that of the file.
        named: what a place within the value is called, where that is not its full key.

    Raises:
        FaultsError: it does not fit.
    """

    def full_key(place: Place) -> str:
        return f"`{'.'.join(map(str, (key, *place) if key else place))}`"

    try:
        return TypeAdapter(schema).validate_python(value, strict=True)
    except ValidationError as error:
        faults = _faults(error.errors(include_url=False), schema, value, named or full_key)
        raise FaultsError(name, faults) from None


def meant(word: object, known: Iterable[object]) -> str:
    """Which of the words that are known another one may have been meant for; empty for none."""
    word = word.casefold() if isinstance(word, str) else ""
    # `dropout_layers` is no misspelt `dropout`.
    words = {str(one).casefold(): str(one) for one in known if len(word) <= len(str(one)) + 3}
    close = get_close_matches(word, words, n=1)
    return words[close[0]] if close else ""


def not_one_of(word: object, known: Iterable[object], of_what: str = "") -> str:
    """What is to be said of a word that is none of the known ones: the one meant, and all."""
    known = list(map(str, known))
    close = meant(word, known)
    question = f"did you mean `{close}`? " if close else ""
    return f"{question}valid{of_what}: {', '.join(known)}"


def _faults(found: list[Any], schema: Any, value: Any, named: Callable[[Place], str]) -> list[str]:
    """A line for each of the faults that pydantic found; a misspelt key is not missing besides."""
    unknown = {
        fault["loc"]: _meant_key(fault["loc"], schema, value)
        for fault in found
        if fault["type"] == "extra_forbidden"
    }
    misspelt = {(*place[:-1], key) for place, key in unknown.items()}
    lines = []
    for fault in found:
        place, kind = fault["loc"], fault["type"]
        if place[-1:] == ("[key]",):  # the key itself, and not what stands under it
            place = place[:-1]
        if kind == "extra_forbidden":
            valid = ", ".join(_keys(schema, place[:-1]))
            said = f"did you mean `{unknown[place]}`?" if unknown[place] else f"valid: {valid}"
            lines.append(f"{named(place)} is not known; {said}")
        elif kind != "missing":
            lines.append(f"{named(place)}: {_message(fault)}")
        elif place not in misspelt:
            lines.append(f"{named(place)} is missing")
    return lines


def _message(fault: Any) -> str:
    kind, value = fault["type"], fault["input"]
    if kind == "value_error":  # of a validator of ours, about the whole section
        return str(fault["ctx"]["error"])
    if kind in ("model_type", "dict_type"):
        return f"expected `name: value` pairs, not {shown(value)}"
    message = fault["msg"][0].lower() + fault["msg"][1:]
    if kind in ("too_short", "too_long"):
        return message.replace(" after validation", "")
    message = f"{message}, not {shown(value)}"
    if kind == "string_type":
        return f"{message} (put quotes around it)"
    if kind == "literal_error":
        # "'a', 'b' or 'c'"
        close = meant(value, fault["ctx"]["expected"].split("'")[1::2])
        return f"{message}; did you mean `{close}`?" if close else message
    return message


def shown(value: Any) -> str:
    """A value as YAML has it, or nearly so; cut where it is long."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    try:
        text = _BRIEF.repr(value)
    except ValueError:  # which Python makes of thousands of digits
        return "so large a number"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _keys(schema: Any, place: Place) -> dict[str, Any]:
    """The keys that a schema knows at a place within it, and the schema of each."""
    for part in place:
        schema = get_args(schema)[0] if isinstance(part, int) else _keys(schema, ())[part]
    return {field.alias or key: field.annotation for key, field in schema.model_fields.items()}


def _meant_key(place: Place, schema: Any, value: Any) -> str:
    """The key that one which is not known was meant for: rather one that is not there besides."""
    *above, key = place
    valid = _keys(schema, tuple(above))
    for part in above:
        value = value[part]
    return meant(key, [one for one in valid if one not in value]) or meant(key, valid)
