"""The schema of an entry of `models`, which its network decides, and the check of an entry."""

import inspect
from functools import cache
from typing import Annotated, Any

from pydantic import Field, create_model

from ajuste.config import reader
from ajuste.tasks import TASKS
from ajuste.training.networks import NETWORKS
from ajuste.training.options import EmbeddingOptions, Options, TrainedOptions

OF_TASK = {"loss": "losses", "class_weight": "class_weights", "threshold": "thresholds"}
"""The options whose valid values depend on the task, and their names in `ajuste.tasks.Task`."""

MAJORITY, ENSEMBLE = "majority", "ensemble"


class EnsembleOptions(Options):
    """The options of an entry that combines others: the entries themselves, by their names."""

    members: Annotated[dict[reader.Name, dict[str, Any]], Field(min_length=2)]


UNTRAINED: dict[str, type[Options]] = {MAJORITY: Options, ENSEMBLE: EnsembleOptions}
"""Values of `network` that are not trained epoch by epoch (see `ajuste.training.entry`)."""


def options(name: str, entry: Any, task: str | None = None) -> Options:
    """Check the options of an entry of `models`; this does not import Keras.

    Args:
        name: the entry's name, for messages.
        entry: the entry, as `params.yaml` has it.
        task: a key of `ajuste.tasks.TASKS`, which decides the losses, class weights and thresholds
            that are allowed; None for an entry that is not in use, so that those of any task are.

    Raises:
        FaultsError: an option is unknown, missing, or has a value that does not fit.
    """
    key = f"models.{name}"
    reader.checked(entry, dict[str, Any], key)
    network = entry.get("network")
    if not isinstance(network, str) or network not in (*NETWORKS, *UNTRAINED):
        raise reader.FaultsError(reader.FILE, [_no_network(key, entry)])
    found = reader.checked(entry, _schema(network), key)
    tasks = [TASKS[task]] if task else TASKS.values()
    allowed = {
        option: list(dict.fromkeys(value for one in tasks for value in getattr(one, of_task)))
        for option, of_task in OF_TASK.items()
    }
    faults = [
        f"`{key}.{option}` is {reader.shown(value)}; {_advice(value, valid, task)}"
        for option, valid in allowed.items()
        if (value := getattr(found, option)) not in (None, *valid)
    ]
    if isinstance(found, EnsembleOptions):
        faults += _of_members(name, found, task)
    if faults:
        raise reader.FaultsError(reader.FILE, faults)
    return found.model_copy(update={"loss": found.loss or allowed["loss"][0]})


def _of_members(name: str, ensemble: EnsembleOptions, task: str | None) -> list[str]:
    faults = []
    for member, entry in ensemble.members.items():
        try:
            network = options(f"{name}.members.{member}", entry, task).network
        except reader.FaultsError as error:
            faults += error.faults
            continue
        if network in UNTRAINED:
            faults.append(
                f"`models.{name}.members.{member}.network` is {network}; a member must be one of "
                f"{', '.join(NETWORKS)}"
            )
    return faults


def _advice(value: str, valid: list[str], task: str | None) -> str:
    of_task = f" for `task: {task}`" if task else ""
    if not valid:
        return f"there is none{of_task}; set it to null or remove it"
    return reader.not_one_of(value, valid, of_task)


def _no_network(key: str, entry: dict[str, Any]) -> str:
    """The fault of an entry without a valid `network`."""
    known = [*NETWORKS, *UNTRAINED]
    if "network" in entry:
        network = entry["network"]
        valid = reader.not_one_of(network, known)
        return f"`{key}.network` is {reader.shown(network)}; {valid}"
    for option in entry:
        if reader.meant(option, ["network"]):
            return f"`{key}.{option}` is not known; did you mean `network`?"
    return f"`{key}.network` is missing; valid: {', '.join(known)}"


@cache
def _schema(network: str) -> type[Options]:
    """The options of a network: the common ones, and the keyword-only arguments of its builder."""
    if network in UNTRAINED:
        return UNTRAINED[network]
    arguments = inspect.signature(NETWORKS[network]).parameters
    own = {
        name: (argument.annotation, ... if argument.default is argument.empty else argument.default)
        for name, argument in arguments.items()
        if argument.kind is argument.KEYWORD_ONLY
    }
    base = EmbeddingOptions if "embed" in arguments else TrainedOptions
    return create_model(network, __base__=base, **own)
