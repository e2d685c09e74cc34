"""Read the space of a search in YAML: which parameters of a network to try, and their values."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import AfterValidator, Field, model_validator

from ajuste.config import reader
from ajuste.config.nested import flatten
from ajuste.config.reader import FaultsError
from ajuste.errors import PipelineError
from ajuste.files import significant
from study import plan
from study.plan import Experiment

SECTIONS = ("models", "tokenize", "embed")
OF_LOSS = ("loss", "class_weight")
CANNOT = (
    "cannot be searched, because trials must have the same validation reviews and the same loss; "
    f"valid: keys below {', '.join(SECTIONS)}, but not {' and '.join(OF_LOSS)} of a model"
)


def _number(given: Any) -> Any:
    if type(given) not in (int, float) or not math.isfinite(given):
        raise ValueError(f"must be a number, not {reader.shown(given)}")
    return given


Number = Annotated[Any, AfterValidator(_number)]  # an integer stays one


class Range(reader.Params):
    """The values of a parameter: from `low` to `high`, both included; integers if all are."""

    low: Number
    high: Number
    step: Number | None = None
    log: bool = False

    @model_validator(mode="after")
    def _has_values(self) -> "Range":
        if self.low >= self.high:
            raise ValueError("`low` must be below `high`")
        if self.log and self.low <= 0:
            raise ValueError("`log` needs a `low` above 0")
        if self.log and self.step is not None:
            raise ValueError("`log` and `step` exclude each other; remove one")
        if self.step is not None:
            steps = (self.high - self.low) / self.step if self.step > 0 else 0
            if steps < 1 or abs(steps - round(steps)) > 1e-9:
                raise ValueError("`high` must be `low` and a number of whole `step`s")
        return self


Choices = Annotated[list[Any], Field(min_length=2)]


class File(reader.Params):
    """The whole file."""

    model: reader.Name
    set: dict[str, Any] = Field(default_factory=dict)
    parameters: Annotated[dict[reader.Name, Any], Field(min_length=1)]
    seed: reader.Seed = 1


@dataclass(frozen=True)
class Space:
    """A space to search.

    Attributes:
        name: of the file; the trials are named after it.
        fixed: the overrides of all trials, `model` among them.
        parameters: the values of each parameter, by its full key.
        seed: of the sampler.
    """

    name: str
    fixed: dict[str, Any]
    parameters: dict[str, list[Any] | Range]
    seed: int

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """What Optuna samples: a number, or the place of a choice in its list."""
        return {key: _distribution(values) for key, values in self.parameters.items()}

    def overrides(self, sampled: dict[str, Any]) -> dict[str, Any]:
        """Those of a trial, for what Optuna sampled; floats have six digits."""
        values = {key: _value(self.parameters[key], one) for key, one in sampled.items()}
        return flatten({**self.fixed, **values})

    def trial_name(self, number: int) -> str:
        """The name of the experiment of a trial; trials count from 1."""
        return f"search-{self.name}-{number}"

    def corners(self) -> Iterator[Experiment]:
        """Experiments that together have each choice and each end of a range."""
        ends = {
            key: values if isinstance(values, list) else [values.low, values.high]
            for key, values in self.parameters.items()
        }
        first = {key: values[0] for key, values in ends.items()}
        for key, values in ends.items():
            for value in values:
                yield Experiment(self.name, flatten({**self.fixed, **first, key: value}))

    def digest(self, commit: str) -> str:
        """Identifies the space and the commit that its trials start from."""
        return plan.digest({"commit": commit, "space": repr(self)})


def load(path: Path, given: dict[str, Any]) -> Space:
    """Read a space.

    Args:
        path: the file.
        given: `params.yaml` of the commit that the trials start from.

    Raises:
        PipelineError: there is no such file, or it has faults (the message has all of them).
    """
    if not path.is_file():
        raise PipelineError(
            f"{path}: not found; give the path of a space, such as searches/gru.yaml"
        )
    if not re.fullmatch(plan.NAME, path.stem):
        raise PipelineError(
            f"{path}: the trials are named after the file, so rename it; use letters, digits, `-`, "
            "`_` and `.`"
        )
    file = reader.checked(reader.read(path), File, name=path)
    parameters, found = {}, []
    for key, values in file.parameters.items():
        kind = Choices if isinstance(values, list) else Range
        try:
            parameters[key] = reader.checked(values, kind, f"parameters.{key}", path)
        except FaultsError as error:
            found += error.faults
    fixed = flatten({"model": file.model, **file.set})
    found += [
        f"`{key}` is in `parameters` and has a fixed value; remove one"
        for key in file.parameters
        if key in fixed
    ]
    found += ["`set.model`: give `model` at the top level"] if "model" in file.set else []
    found += _not_searched(file, given)
    space = Space(path.stem, fixed, parameters, file.seed)
    if not found:
        found += dict.fromkeys(fault for _, fault in plan.caused(list(space.corners()), given))
    if found:
        raise FaultsError(path, found)
    return space


def _not_searched(file: File, given: dict[str, Any]) -> Iterator[str]:
    """Faults of the keys: they must have an effect, and keep the losses comparable."""
    entry = given.get("models", {}).get(file.model) or {}
    for key in file.parameters:
        section, *below = key.split(".")
        if section not in SECTIONS or not below or below[-1] in OF_LOSS:
            yield f"`parameters.{key}` {CANNOT}"
        elif section == "models" and entry and below[0] != file.model:
            yield f"`parameters.{key}` has no effect on `model: {file.model}`; remove it"


def _distribution(values: list[Any] | Range) -> BaseDistribution:
    if isinstance(values, list):
        return CategoricalDistribution(range(len(values)))
    numbers = [values.low, values.high, values.step or 1]
    if all(isinstance(number, int) for number in numbers):
        return IntDistribution(*numbers[:2], log=values.log, step=numbers[2])
    return FloatDistribution(values.low, values.high, log=values.log, step=values.step)


def _value(values: list[Any] | Range, sampled: Any) -> Any:
    if isinstance(values, list):
        return values[sampled]
    return min(max(significant(sampled), values.low), values.high)
