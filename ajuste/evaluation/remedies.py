"""The lecture's remedies for a verdict, as commands to paste.

Against overfitting: dropout, a smaller network, a penalty on the weights; first of all, if the
validation loss rises again, early stopping. Against underfitting: less regularization, a trained
embedding, a larger network, a longer input; first of all, if the loss still falls, more epochs. A
remedy changes only options that the network has: those of its entry in `params.yaml`, and those of
every network.
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ajuste.evaluation.fit import OVERFITTING, UNDERFITTING

DROPOUT = 0.3
PENALTY = 0.001
PATIENCE = 2
FIRST_LAYER = 32  # units, for a network without a hidden layer
HOLDING_BACK = {
    "dropout": "dropout",
    "recurrent_dropout": "recurrent dropout",
    "l1": "L1 penalty",
    "l2": "L2 penalty",
}
EVERYWHERE = ("l2", "patience")  # every network has them, also if its entry does not


@dataclass(frozen=True)
class Remedy:
    """A change of a parameter, and its reason.

    Attributes:
        model: the model that it is for. The command selects it: DVC ignores an option of a model
            that is not selected.
        changes: the full name of the parameter and its new value.
        why: the effect of the change.
        new: whether the parameter is missing in `params.yaml`.
    """

    model: str
    changes: dict[str, Any]
    why: str
    new: bool = False

    @property
    def command(self) -> str:
        """The experiment that tries it; `+` adds a parameter."""
        add = "+" if self.new else ""
        changes = (f"{add}{key}={_plain(value)}" for key, value in self.changes.items())
        settings = [f"model={self.model}", *changes]
        return f"dvc exp run {' '.join(f'-S {shlex.quote(setting)}' for setting in settings)}"


def propose(fit: dict[str, Any], settings: dict[str, Any]) -> list[Remedy]:
    """The remedies for a run, in the order in which to try them.

    Args:
        fit: its verdict and numbers, as `Fit.as_json` gives them.
        settings: the parameters of the run, all of `params.yaml`.

    Returns:
        An empty list for a fit that is optimal or undecided.
    """
    model = settings["model"]
    entry = settings["models"][model]
    if fit["verdict"] == OVERFITTING:
        found = _against_overfitting(entry, fit["kept_epoch"] > fit["best_epoch"])
    elif fit["verdict"] == UNDERFITTING:
        found = _against_underfitting(entry, fit["improving"])
    else:
        return []
    remedies = [
        Remedy(model, {f"models.{model}.{option}": value}, why, new=option not in entry)
        for option, value, why in found
        if option in entry or option in EVERYWHERE
    ]
    if fit["verdict"] == UNDERFITTING:
        longer = {"tokenize.max_length": 2 * settings["tokenize"]["max_length"]}
        remedies.append(Remedy(model, longer, "a longer input: more of each review"))
    return remedies


def advise(fit: dict[str, Any], settings: dict[str, Any]) -> str:
    """A line with the verdict and its reason, and one for each remedy."""
    remedies = propose(fit, settings)
    lines = [f"fit: {fit['verdict']}: {fit['reason']}", *(["Try:"] if remedies else [])]
    width = max((len(remedy.command) for remedy in remedies), default=0)
    lines += [f"  {remedy.command:<{width}}  # {remedy.why}" for remedy in remedies]
    return "\n".join(lines)


Change = tuple[str, Any, str]


def _against_overfitting(entry: dict[str, Any], turned: bool) -> Iterator[Change]:
    units = entry.get("units")
    if turned and not entry.get("patience"):
        yield "patience", PATIENCE, "stop if validation gets worse, and keep the best epoch"
    if not entry.get("dropout"):
        yield "dropout", DROPOUT, "dropout: no unit can rely on a single other one"
    if units and units != _times(0.5, units):
        yield "units", _times(0.5, units), "a smaller network, which can memorize less"
    if not entry.get("l2"):
        yield "l2", PENALTY, "an L2 penalty: it keeps the weights small"
    if entry.get("embedding") == "trained":
        yield "embedding", "frozen", "frozen word vectors: fewer weights to learn"


def _against_underfitting(entry: dict[str, Any], improving: bool) -> Iterator[Change]:
    epochs = ("epochs", 2 * entry.get("epochs", 1), "twice as many epochs")
    if improving:
        yield epochs
    for option, what in HOLDING_BACK.items():
        if entry.get(option):
            yield option, 0.0, f"no {what}: it restrains the network"
    if entry.get("embedding") == "frozen":
        yield "embedding", "trained", "a trained embedding: it adapts the word vectors"
    yield "units", _times(2, entry.get("units") or [FIRST_LAYER // 2]), "a larger network"
    if not improving:
        yield epochs


def _times(factor: float, units: int | list[int]) -> int | list[int]:
    if isinstance(units, list):
        return [_times(factor, width) for width in units]
    return max(1, int(factor * units))


def _plain(value: Any) -> str:
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)
