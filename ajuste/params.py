"""Read a section of `params.yaml`, checked against the schema of the one who asks for it."""

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ajuste.errors import PipelineError

Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Penalty = Annotated[float, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what NumPy takes
Name = Annotated[str, Field(min_length=1)]
Schema = TypeVar("Schema")

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Params(BaseModel):
    """Base of every schema: types are not converted, and a key that nobody reads is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def read(path: Path = Path("params.yaml")) -> dict[str, Any]:
    """The whole file as nested dictionaries.

    Raises:
        PipelineError: there is no such file, or it is not a YAML mapping.
    """
    try:
        # YAML 1.2, as DVC writes it: in PyYAML's 1.1 a plain `no` is false, and 1e-3 a text.
        params = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PipelineError(f"{path}: not found; run from the repository's root") from None
    except (YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise PipelineError(f"{path}: not readable as YAML: {reason}") from None
    if not isinstance(params, dict):
        raise PipelineError(f"{path}: expected `name: value` pairs at the top level")
    return params


def load(key: str, schema: type[Schema], path: Path = Path("params.yaml")) -> Schema:
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
    try:
        return TypeAdapter(schema).validate_python(value, strict=True)
    except ValidationError as error:
        raise PipelineError(f"{path}: {describe(error, key, schema)}") from None


def describe(error: ValidationError, key: str, schema: Any = None) -> str:
    """Every fault that pydantic found, in one line, each with the full name of its key."""
    return "; ".join(_fault(fault, key, schema) for fault in error.errors())


def _fault(fault: Any, key: str, schema: Any) -> str:
    name = ".".join([key, *map(str, fault["loc"])])
    if fault["type"] == "extra_forbidden":
        return f"`{name}` is not known; valid: {', '.join(getattr(schema, 'model_fields', ()))}"
    if fault["type"] == "missing":
        return f"`{name}` is missing"
    if fault["type"] == "value_error":  # of a validator of ours, about the whole section
        return f"`{name}`: {fault['ctx']['error']}"
    message = fault["msg"][0].lower() + fault["msg"][1:]
    hint = " (put quotes around it)" if fault["type"] == "string_type" else ""
    return f"`{name}`: {message}, not {fault['input']!r}{hint}"
