"""From a short list in YAML to the experiments that DVC is asked to run."""

import hashlib
import json
import re
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from ajuste.config import reader
from ajuste.config.check import faults
from ajuste.errors import PipelineError
from ajuste.evaluation import remedies
from ajuste.training import networks

REMEDY = "-remedy"
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
BARE = r"[A-Za-z_][A-Za-z0-9_./-]*"
NO_TEXT = ("null", "true", "false", "nan", "inf")  # what Hydra takes for something else


class Expected(reader.Params):
    """`expected` of an entry: what somebody else reports."""

    train_accuracy: reader.Share | None = None
    train_loss: float | None = None
    validation_accuracy: reader.Share | None = None
    validation_loss: float | None = None
    verdict: Literal["underfitting", "overfitting", "optimal"] | None = None
    smaller_gap_than: reader.Name | None = None  # another experiment of the list


class Entry(reader.Params):
    """One of `experiments`: an experiment, or a grid of them."""

    name: reader.Name
    about: str = ""
    set: dict[str, Any] = Field(default_factory=dict)
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default_factory=dict)
    expected: Expected = Field(default_factory=Expected)


class Study(reader.Params):
    """The whole file."""

    title: reader.Name
    intro: str = ""
    follow: bool = False
    experiments: Annotated[list[Entry], Field(min_length=1)]


@dataclass(frozen=True)
class Experiment:
    """What is asked of DVC.

    Attributes:
        name: of the DVC experiment.
        overrides: full key of `params.yaml` to value; no value is a dictionary.
        about: for the report.
        expected: what somebody else reports of it.
        remedy_of: the name of the experiment that it is meant to mend, or empty.
    """

    name: str
    overrides: dict[str, Any] = field(default_factory=dict)
    about: str = ""
    expected: Expected = field(default_factory=Expected)
    remedy_of: str = ""


@dataclass(frozen=True)
class Plan:
    """A list, read and with its grids spread out."""

    title: str
    intro: str
    follow: bool
    experiments: list[Experiment]


def load(path: Path) -> Plan:
    """Read a list.

    Raises:
        PipelineError: there is no such file, or it has faults; all are named at once.
    """
    if not path.is_file():
        raise PipelineError(f"{path}: not found; name a list such as studies/lecture.yaml")
    try:
        return plan(reader.checked(reader.read(path), Study, name=path, named=_named))
    except PipelineError as error:
        message = str(error)
        raise PipelineError(
            *(message if str(path) in message else f"{path}: {message}").split("\n  ")
        ) from None


def plan(study: Study) -> Plan:
    """Spread the grids out.

    Raises:
        PipelineError: a name is no name for an experiment, or is there twice.
    """
    experiments = [one for entry in study.experiments for one in spread(entry)]
    names = [experiment.name for experiment in experiments]
    wrong = [
        f"`{name}` is no name for an experiment: letters, digits, `-`, `_` and `.`"
        for name in names
        if not re.fullmatch(NAME, name) or ".." in name or name.endswith((".", ".lock"))
    ]
    twice = [name for name, count in Counter(names).items() if count > 1]
    wrong += [f"two experiments are named `{name}`" for name in twice]
    if study.follow:
        wrong += [
            f"`{name}{REMEDY}` is what the remedy of `{name}` is named; give it another name"
            for name in names
            if f"{name}{REMEDY}" in names
        ]
    if wrong:
        raise PipelineError("; ".join(wrong))
    return Plan(study.title, study.intro, study.follow, experiments)


def spread(entry: Entry) -> list[Experiment]:
    """The experiments of one entry: one, or one for each combination of its grid.

    Raises:
        PipelineError: its name has braces around what is no key of its grid or of `set`.
    """
    named = re.findall(r"\{([^{}]*)\}", entry.name)
    if unknown := [key for key in named if key not in {**entry.set, **entry.grid}]:
        valid = ", ".join({**entry.set, **entry.grid}) or "none"
        raise PipelineError(f"`{entry.name}`: `{unknown[0]}` is not set; valid: {valid}")
    experiments = []
    for values in product(*entry.grid.values()):
        overrides = {**entry.set, **dict(zip(entry.grid, values, strict=True))}
        name = entry.name
        for key in named:
            name = name.replace(f"{{{key}}}", _in_name(overrides[key]))
        if not named:
            name = "-".join([name, *map(_in_name, values)])
        experiments.append(Experiment(name, flat(overrides), entry.about, entry.expected))
    return experiments


def flat(overrides: dict[str, Any]) -> dict[str, Any]:
    """Overrides by the keys of single values: `{"a": {"b": 1}}` is `{"a.b": 1}`."""
    leaves: dict[str, Any] = {}
    for key, value in overrides.items():
        if isinstance(value, dict) and value:
            leaves |= flat({f"{key}.{inner}": leaf for inner, leaf in value.items()})
        else:
            leaves[key] = value
    return leaves


def merged(given: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """The parameters after the overrides.

    Raises:
        PipelineError: a key is not there. New ones are taken under `models` alone, where the
            network itself says what options it knows.
    """
    result = deepcopy(given)
    for key, value in overrides.items():
        *parents, last = key.split(".")
        place: Any = result
        for part in parents:
            if part not in place and key.startswith("models."):
                place[part] = {}
            place = _below(place, part, key)
            if not isinstance(place, dict):
                raise PipelineError(f"no `{key}` in params.yaml: `{part}` has nothing under it")
        if not key.startswith("models."):
            _below(place, last, key)
        place[last] = value
    return result


def _below(place: dict[str, Any], part: str, key: str) -> Any:
    if part not in place:
        raise PipelineError(f"no `{key}` in params.yaml; {reader.not_one_of(part, place)}")
    return place[part]


def check(study: Plan, given: dict[str, Any]) -> None:
    """Hold the parameters of each experiment of a list against the schema.

    Raises:
        PipelineError: an override has a key that is not there (see `merged`), or brings a fault
            that `given` does not have; all are named at once.
    """
    before = faults(given, networks.options)
    found = []
    for experiment in study.experiments:
        try:
            brought = faults(merged(given, experiment.overrides), networks.options)
        except PipelineError as error:
            brought = [str(error)]
        found += [f"experiment `{experiment.name}`: {one}" for one in brought if one not in before]
    if found:
        raise reader.FaultsError(study.title, found)


def digest(values: dict[str, Any]) -> str:
    """What tells one set of parameters from another: 12 hexadecimal digits."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def command(experiment: Experiment, given: dict[str, Any]) -> list[str]:
    """What runs it: `dvc exp run`, with a `+` before the keys that `given` does not have."""
    words = ["dvc", "exp", "run", "--name", experiment.name]
    for key, value in experiment.overrides.items():
        new = "" if _has(given, key.split(".")) else "+"
        words += ["-S", f"{new}{key}={hydra(value)}"]
    return words


def hydra(value: Any) -> str:
    """A value in the grammar of `-S`: https://hydra.cc/docs/advanced/override_grammar/basic/."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(hydra, value))}]"
    if isinstance(value, dict):
        return "{}"
    if not isinstance(value, str):
        return repr(value)
    if re.fullmatch(BARE, value) and value.lower() not in NO_TEXT:
        return value
    escaped = value.replace("'", r"\'")
    return f"'{escaped}'"


def remedy(
    experiment: Experiment, fit: dict[str, Any], values: dict[str, Any]
) -> Experiment | None:
    """The experiment with the first remedy proposed, where it is not optimal and one is known.

    Args:
        experiment: what was run; of a remedy there is no remedy.
        fit: `fit` of its `metrics/evaluate.json`.
        values: its parameters, overrides included.
    """
    if experiment.remedy_of or not fit:
        return None
    proposed = remedies.propose(fit, values)
    if not proposed:
        return None
    return Experiment(
        name=experiment.name + REMEDY,
        overrides={**experiment.overrides, **flat(proposed[0].changes)},
        about=proposed[0].why,
        remedy_of=experiment.name,
    )


def _has(given: Any, parts: list[str]) -> bool:
    for part in parts:
        if not isinstance(given, dict) or part not in given:
            return False
        given = given[part]
    return True


def _in_name(value: Any) -> str:
    text = "-".join(map(str, value)) if isinstance(value, list) else str(value)
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-") or "none"


def _named(place: reader.Place) -> str:
    """What a place in the file is called: experiments are counted from 1."""
    if place[:1] == ("experiments",) and len(place) > 1:
        rest = ".".join(map(str, place[2:])) or "it"
        return f"experiment {place[1] + 1}: `{rest}`"
    return f"`{'.'.join(map(str, place))}`"
