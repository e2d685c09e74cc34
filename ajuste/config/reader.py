"""Read `params.yaml`, whole or by section, and check it against a schema."""

import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from reprlib import Repr
from typing import Annotated, Any, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError

from ajuste.errors import PipelineError, excerpt
from ajuste.files import check_readable

FILE_NAME = r"^[^\x00]+$"
SHA256 = "^[0-9a-f]{64}$"
SEPARATOR = r'^[^"\r\n\x00]$'  # of a CSV file: one character, but no quote, line end or NUL
LABEL = r"^\S([\s\S]*\S)?$"
ONE_OF_SEVERAL = r"^[^|\s]([^|]*[^|\s])?$"  # a label of `multilabel`
IN_WORDS = {
    FILE_NAME: "must be the name of a file",
    SHA256: "must be 64 hexadecimal digits in lower case",
    SEPARATOR: "must be one character other than a quote or a line end, or tab",
    LABEL: "must be a label without a space at its start or end",
    ONE_OF_SEVERAL: "must be a label without `|`, and without a space at its start or end",
}
"""What a message says about a value that does not match a pattern."""


def separator(given: Any) -> Any:
    r"""The separator of a CSV file that is meant by `\t` (two characters) or `tab`."""
    return "\t" if given in ("\\t", "tab") else given


# A number above these upper bounds is a mistake: the run would need too much memory.
Positive = Annotated[int, Field(gt=0, le=10**9)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Width = Annotated[int, Field(gt=0, le=10_000)]  # of a layer or a vector
Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Penalty = Annotated[float, Field(ge=0)]
Threads = Annotated[int, Field(gt=0, le=1024)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # the seeds that NumPy accepts
Name = Annotated[str, Field(min_length=1)]
FileName = Annotated[str, Field(pattern=FILE_NAME)]
Separator = Annotated[str, BeforeValidator(separator), Field(pattern=SEPARATOR)]
Sha256 = Annotated[str, Field(pattern=SHA256)]
Schema = TypeVar("Schema")

FILE = Path("params.yaml")
SHOWN = 60  # characters of a value in a message

warnings.simplefilter("ignore", ReusedAnchorWarning)  # YAML allows to reuse an anchor
_ODD = r"(?:[^\S \t\r\n]|[\u200b\u2060\ufeff])"  # space that is a letter in YAML
_ODD_SPACE = re.compile(
    rf"^\s*(?:-\s*)?{_ODD}|:\s*{_ODD}|{_ODD}\s*$|^[^:'\"]*{_ODD}[^:'\"]*:(?:\s|$)"
)
_BRIEF = Repr()  # YAML can repeat a list by aliases until its text needs gigabytes
_BRIEF.maxlevel, _BRIEF.maxstring, _BRIEF.maxother = 3, 3 * SHOWN, 3 * SHOWN


class Params(BaseModel):
    """Base of every schema: types are not converted, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class FaultsError(PipelineError):
    """The faults of a file of parameters: one line, or a line for each of several.

    Attributes:
        faults: the faults, without the name of the file.
    """

    def __init__(self, name: Path | str, faults: list[str]) -> None:
        faults = [" ".join(fault.splitlines()) for fault in faults]  # a key can contain a line end
        first, *others = faults if len(faults) == 1 else [f"{len(faults)} faults", *faults]
        super().__init__(f"{name}: {first}", *others)
        self.faults = faults


def read(path: Path = FILE) -> dict[str, Any]:
    """The whole file as nested dictionaries.

    Raises:
        PipelineError: there is no such file, or it is not a YAML mapping in UTF-8.
    """
    check_readable(path, "run the command in the root of the repository")
    try:
        return parse(path.read_text(encoding="utf-8"), path)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise PipelineError(f"{path}, line {line}: not UTF-8; save the file as UTF-8") from None


def parse(text: str, name: Path | str) -> dict[str, Any]:
    """The nested dictionaries in the YAML text of a file; `name` is the name of the file.

    YAML 1.2, as DVC uses it. In YAML 1.1 (PyYAML), `no` would mean false, and `1e-3` would be a
    string.

    Raises:
        PipelineError: it is not a YAML mapping, has a key twice, or has a no-break space where a
            space is meant; the message names the line.
    """
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        content = re.sub(r"(^|\s)#.*", r"\1", line)
        if not content.isascii() and _ODD_SPACE.search(content):
            character = unicodedata.name(re.search(_ODD, content)[0], "control character").lower()
            raise PipelineError(
                f"{name}, line {number}: a {character} in `{excerpt(content.strip())}`, which is a "
                "letter in YAML; replace it by a space, or remove it at the end of the line"
            )
    try:
        params = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise PipelineError(f"{name}{where}: {_not_yaml(error.problem or error.context)}") from None
    except (YAMLError, ValueError, LookupError, RecursionError) as error:  # such as 2020-13-45
        raise PipelineError(f"{name}: {_not_yaml(error)}") from None
    if not isinstance(params, dict):
        raise PipelineError(
            f"{name}: expected `name: value` pairs at the top level; is it the right file?"
        )
    return params


def _not_yaml(problem: object) -> str:
    reason = " ".join(str(problem).split())[:200]
    advice = "indent with spaces" if r"'\t'" in reason else "correct it"
    return f"not readable as YAML: {reason}; {advice}"


def load(key: str, schema: type[Schema], path: Path = FILE) -> Schema:
    """The value at `key`, as an instance of `schema`.

    Args:
        key: for example `split`, or `data.csv` for a nested value.
        schema: a subclass of `Params`, or any type that pydantic can check.
        path: the file.

    Raises:
        PipelineError: the key is missing, or its value does not fit; the message names every fault.
    """
    value: Any = read(path)
    reached = []
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            known = ", ".join(map(str, value)) if isinstance(value, dict) else "none"
            place = f"under `{'.'.join(reached)}`" if reached else "at the top level"
            raise PipelineError(f"{path}: no `{part}` {place}; valid: {known}")
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
        value: the value from the YAML file.
        schema: a subclass of `Params`, or any type that pydantic can check.
        key: the full key of the value; empty for the whole file.
        name: the name of the file.
        named: gives the name of a place within the value; the default is its full key.

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
    """The known word that `word` may be a misspelling of; empty if there is none."""
    word = word.casefold() if isinstance(word, str) else ""
    # `dropout_layers` is not a misspelling of `dropout`.
    words = {str(one).casefold(): str(one) for one in known if len(word) <= len(str(one)) + 3}
    close = get_close_matches(word, words, n=1)
    return words[close[0]] if close else ""


def not_one_of(word: object, known: Iterable[object], of_what: str = "") -> str:
    """The advice for an unknown word: the word that was probably meant, and all valid ones."""
    known = list(map(str, known))
    close = meant(word, known)
    question = f"did you mean `{close}`? " if close else ""
    return f"{question}valid{of_what}: {', '.join(known)}"


def _faults(found: list[Any], schema: Any, value: Any, named: Callable[[Place], str]) -> list[str]:
    """A line for each fault that pydantic found; a misspelt key is not reported as missing too."""
    unknown = {
        fault["loc"]: _meant_key(fault["loc"], schema, value)
        for fault in found
        if fault["type"] == "extra_forbidden"
    }
    misspelt = {(*place[:-1], key) for place, key in unknown.items()}
    lines = []
    for fault in found:
        place, kind = fault["loc"], fault["type"]
        if place[-1:] == ("[key]",):  # the key itself, not its value
            place = place[:-1]
        if kind == "extra_forbidden":
            valid = ", ".join(_keys(schema, place[:-1]))
            advice = f"did you mean `{unknown[place]}`?" if unknown[place] else f"valid: {valid}"
            lines.append(f"{named(place)} is not known; {advice}")
        elif kind != "missing":
            lines.append(f"{named(place)}: {_message(fault)}")
        elif place not in misspelt:
            lines.append(f"{named(place)} is missing")
    return lines


def _message(fault: Any) -> str:
    kind, value = fault["type"], fault["input"]
    if kind == "value_error":  # from our own validators, about the whole section
        return str(fault["ctx"]["error"])
    if kind in ("model_type", "dict_type"):
        return f"expected `name: value` pairs, not {shown(value)}"
    message = fault["msg"].replace("should", "must", 1).removeprefix("Input ")
    message = message[0].lower() + message[1:]
    if kind in ("too_short", "too_long"):
        return message.replace(" after validation", "")
    if kind == "string_pattern_mismatch":
        message = IN_WORDS.get(fault["ctx"]["pattern"], message)
    message = f"{message}, not {shown(value)}"
    if kind == "string_type":
        return f"{message} (put quotes around it)"
    if kind == "literal_error":
        # "'a', 'b' or 'c'"
        close = meant(value, fault["ctx"]["expected"].split("'")[1::2])
        return f"{message}; did you mean `{close}`?" if close else message
    return message


def shown(value: Any) -> str:
    """A value, nearly as YAML writes it; a long one is cut."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    try:
        text = _BRIEF.repr(value)
    except ValueError:  # Python's answer to thousands of digits
        return "such a large number"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _keys(schema: Any, place: Place) -> dict[str, Any]:
    """The valid keys at a place within a schema, with the schema of each."""
    for part in place:
        inner = get_args(schema)  # of a list, or of a mapping with free keys
        schema = inner[-1] if inner else _keys(schema, ())[part]
    return {field.alias or key: field.annotation for key, field in schema.model_fields.items()}


def _meant_key(place: Place, schema: Any, value: Any) -> str:
    """The valid key that an unknown key probably misspells; missing keys come first."""
    *above, key = place
    valid = _keys(schema, tuple(above))
    for part in above:
        value = value[part]
    return meant(key, [one for one in valid if one not in value]) or meant(key, valid)
