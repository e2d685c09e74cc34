"""Read a list of experiments in YAML, and turn each into a command of DVC."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ajuste.config import reader
from ajuste.config.check import faults
from ajuste.config.nested import flatten
from ajuste.errors import PipelineError
from ajuste.evaluation import remedies
from ajuste.evaluation.fit import OVERFITTING, UNDERFITTING
from ajuste.training import entry_schema

REMEDY = "-remedy"
LONELY = "`seeds` does not go with `follow` or `expected`, which are about one training"
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
BARE = r"[A-Za-z_][A-Za-z0-9_./-]*"
MOST_SEEDS = 100
NO_TEXT = ("null", "true", "false", "nan", "inf")  # unquoted, Hydra reads them as values


class Expected(reader.Params):
    """`expected` of an entry: results from elsewhere, such as those of the lecture."""

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


Seeds = Annotated[list[reader.Seed], Field(min_length=1)]


def _seeds(given: Any) -> Any:
    """`seeds: 5` is short for the list from 1 to 5."""
    is_count = type(given) is int and 0 < given <= MOST_SEEDS
    return list(range(1, given + 1)) if is_count else given


class Study(reader.Params):
    """The whole file."""

    title: reader.Name
    intro: str = ""
    follow: bool = False
    test: bool = False
    seeds: Annotated[Seeds | None, BeforeValidator(_seeds)] = None
    compare_with: reader.Name | None = None  # an experiment of the list
    experiments: Annotated[list[Entry], Field(min_length=1)]


@dataclass(frozen=True)
class Experiment:
    """An experiment for DVC to run.

    Attributes:
        name: of the DVC experiment.
        overrides: full key of `params.yaml` to value; no value is a dictionary.
        about: for the report.
        expected: results from elsewhere.
        remedy_of: the name of the experiment that it is to improve, or empty.
        repeats: in a study with seeds, the name of the experiment without its seed, or empty.
    """

    name: str
    overrides: dict[str, Any] = field(default_factory=dict)
    about: str = ""
    expected: Expected = field(default_factory=Expected)
    remedy_of: str = ""
    repeats: str = ""


@dataclass(frozen=True)
class Plan:
    """A list whose grids and seeds are expanded.

    Attributes:
        title: for the report.
        intro: the same.
        follow: whether the first remedy of each experiment is tried.
        experiments: what to run.
        test: whether the report shows the test part.
        compare_with: the experiment that the others are compared with, or empty.
    """

    title: str
    intro: str
    follow: bool
    experiments: list[Experiment]
    test: bool = False
    compare_with: str = ""


def load(path: Path) -> Plan:
    """Read a list.

    Raises:
        PipelineError: there is no such file, or it has faults (the message has all of them).
    """
    if not path.is_file():
        raise PipelineError(
            f"{path}: not found; give the path of a list, such as studies/lecture.yaml"
        )
    try:
        return plan(reader.checked(reader.read(path), Study, name=path, named=_named))
    except PipelineError as error:
        message = str(error)
        raise PipelineError(
            *(message if str(path) in message else f"{path}: {message}").split("\n  ")
        ) from None


def plan(study: Study) -> Plan:
    """Expand the grids and the seeds.

    Raises:
        PipelineError: a name is invalid, used twice, or not that of an experiment; or `seeds` is
            missing or does not fit.
    """
    experiments = [one for entry in study.experiments for one in expand(entry)]
    names = [experiment.name for experiment in experiments]
    wrong = [
        f"`{name}` is not a valid name; use letters, digits, `-`, `_` and `.`"
        for name in names
        if not re.fullmatch(NAME, name) or ".." in name or name.endswith((".", ".lock"))
    ]
    twice = [name for name, count in Counter(names).items() if count > 1]
    wrong += [f"two experiments have the name `{name}`; rename one" for name in twice]
    if study.follow:
        wrong += [
            f"`{name}{REMEDY}` is the name of the remedy for `{name}`; rename the experiment"
            for name in names
            if f"{name}{REMEDY}" in names
        ]
    if study.seeds:
        wrong += [f"`seeds` has {seed} twice" for seed, n in Counter(study.seeds).items() if n > 1]
        wrong += [LONELY] if study.follow or any(map(_expects, experiments)) else []
    if study.compare_with:
        if study.compare_with not in names:
            unknown = reader.not_one_of(study.compare_with, names)
            wrong.append(f"`compare_with` is '{study.compare_with}'; {unknown}")
        if len(study.seeds or []) < 2:
            wrong.append("`compare_with` needs `seeds` of 2 or more: one training has no interval")
    if wrong:
        raise PipelineError("; ".join(wrong))
    repeated = [repeat(one, seed) for one in experiments for seed in study.seeds or []]
    of_list = study.title, study.intro, study.follow, repeated or experiments
    return Plan(*of_list, study.test, study.compare_with or "")


def repeat(experiment: Experiment, seed: int) -> Experiment:
    """The same experiment with a seed."""
    overrides = {**experiment.overrides, "seed": seed}
    name = f"{experiment.name}-seed-{seed}"
    return Experiment(name, overrides, experiment.about, repeats=experiment.name)


def _expects(experiment: Experiment) -> bool:
    return experiment.expected != Expected()


def expand(entry: Entry) -> list[Experiment]:
    """The experiments of one entry: one, or one for each combination of its grid.

    Raises:
        PipelineError: the name has a key in braces that is not in `grid` or `set`.
    """
    named = re.findall(r"\{([^{}]*)\}", entry.name)
    if unknown := [key for key in named if key not in {**entry.set, **entry.grid}]:
        valid = ", ".join({**entry.set, **entry.grid}) or "none"
        raise PipelineError(
            f"`{entry.name}`: the key `{unknown[0]}` in the name is neither in `set` nor in "
            f"`grid`; valid: {valid}"
        )
    experiments = []
    for values in product(*entry.grid.values()):
        overrides = {**entry.set, **dict(zip(entry.grid, values, strict=True))}
        name = entry.name
        for key in named:
            name = name.replace(f"{{{key}}}", _in_name(overrides[key]))
        if not named:
            name = "-".join([name, *map(_in_name, values)])
        experiments.append(Experiment(name, flatten(overrides), entry.about, entry.expected))
    return experiments


def merged(given: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """The parameters after the overrides.

    Raises:
        PipelineError: a key is not in `params.yaml`. Only below `models` a new key is allowed; the
            schema of the network decides there.
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
                raise PipelineError(
                    f"no `{key}` in params.yaml: `{part}` is a single value, not a section"
                )
        if not key.startswith("models."):
            _below(place, last, key)
        place[last] = value
    return result


def _below(place: dict[str, Any], part: str, key: str) -> Any:
    if part not in place:
        raise PipelineError(f"no `{key}` in params.yaml; {reader.not_one_of(part, place)}")
    return place[part]


def check(study: Plan, given: dict[str, Any]) -> None:
    """Check the parameters of each experiment against the schema.

    Raises:
        PipelineError: an override has an unknown key (see `merged`) or a value that DVC cannot
            set, or causes a fault that `given` does not have; the message has all of them.
    """
    found = [f"experiment `{one.name}`: {fault}" for one, fault in caused(study.experiments, given)]
    if found:
        raise reader.FaultsError(study.title, found)


def caused(
    experiments: list[Experiment], given: dict[str, Any]
) -> Iterator[tuple[Experiment, str]]:
    """The faults that the overrides of each experiment cause (see `check`)."""
    before = faults(given, entry_schema.options)
    for experiment in experiments:
        try:
            command(experiment, given)
            after = faults(merged(given, experiment.overrides), entry_schema.options)
        except PipelineError as error:
            after = [str(error)]
        yield from ((experiment, one) for one in after if one not in before)


def digest(values: dict[str, Any]) -> str:
    """An identifier of a set of parameters: 12 hexadecimal digits."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def command(experiment: Experiment, given: dict[str, Any]) -> list[str]:
    """The `dvc exp run` of an experiment, with a `+` before each key that `given` does not have."""
    words = ["dvc", "exp", "run", "--name", experiment.name]
    known = [f"{key}." for key in flatten(given)]
    for key, value in experiment.overrides.items():
        new = "" if any(one.startswith(f"{key}.") for one in known) else "+"
        words += ["-S", f"{new}{key}={hydra(value)}"]
    return words


def hydra(value: Any) -> str:
    """A value in the grammar of `-S`: https://hydra.cc/docs/advanced/override_grammar/basic/.

    Raises:
        PipelineError: the value is a text that OmegaConf would not take literally.
    """
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
    if "${" in value or value == "???":
        raise PipelineError(f"DVC cannot set the value {value!r}; write it into params.yaml")
    if re.fullmatch(BARE, value) and value.lower() not in NO_TEXT:
        return value
    # Hydra reads a backslash as an escape only before a quote: OverrideLexer.g4, QUOTED_VALUE.
    escaped = re.sub(
        r"(\\*)('|\Z)", lambda found: found[1] * 2 + found[2].replace("'", r"\'"), value
    )
    return f"'{escaped}'"


def remedy(
    experiment: Experiment, fit: dict[str, Any], values: dict[str, Any]
) -> Experiment | None:
    """The experiment that tries the first remedy for a fit; None if there is no remedy.

    Args:
        experiment: what was run; a remedy does not get another remedy.
        fit: `fit` of its `metrics/evaluate.json`.
        values: its parameters, overrides included.
    """
    if experiment.remedy_of or fit.get("verdict") not in (OVERFITTING, UNDERFITTING):
        return None
    first = next((one for one in remedies.propose(fit, values) if not one.instead), None)
    if not first:
        return None
    return Experiment(
        name=experiment.name + REMEDY,
        overrides=remedied(experiment.overrides, first),
        about=f"{first.what}: {first.why}",
        remedy_of=experiment.name,
    )


def remedied(overrides: dict[str, Any], remedy: remedies.Remedy) -> dict[str, Any]:
    """The overrides of an experiment, changed by a remedy."""
    kept = {  # an option of another model would have no effect
        key: value
        for key, value in overrides.items()
        if not key.startswith("models.") or key.startswith(f"models.{remedy.model}.")
    }
    return {**kept, "model": remedy.model, **flatten(remedy.changes)}


def _in_name(value: Any) -> str:
    text = "-".join(map(str, value)) if isinstance(value, list) else str(value)
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-") or "none"


def _named(place: reader.Place) -> str:
    """How messages name a place in the file; experiments count from 1."""
    if place[:1] == ("experiments",) and len(place) > 1:
        rest = ".".join(map(str, place[2:])) or "it"
        return f"experiment {place[1] + 1}: `{rest}`"
    return f"`{'.'.join(map(str, place))}`"
