"""What to try next: the lecture's remedies for a verdict, as commands that can be pasted.

Against overfitting: dropout, a smaller network, a penalty on the weights; and before these, where
the validation loss has turned, stopping there. Against underfitting: less of all that, a trained
embedding, a larger network, a longer input; and before these, where the loss was still falling,
more epochs. A remedy only touches options that the network has: those that its entry in
`params.yaml` lists, and those that every network has.
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ajuste.evaluation.fit import OVERFITTING, UNDERFITTING

DROPOUT = 0.3
PENALTY = 0.001
PATIENCE = 2
FIRST_LAYER = 32  # of a network that has no hidden layer yet
HOLDING_BACK = {
    "dropout": "dropout",
    "recurrent_dropout": "recurrent dropout",
    "l1": "L1 penalty",
    "l2": "L2 penalty",
}
EVERYWHERE = ("l2", "patience")  # what an entry may leave out, whatever its network


@dataclass(frozen=True)
class Remedy:
    """A parameter to change, by its full name, and why.

    Attributes:
        changes: the parameter and its new value.
        why: what it does.
        new: whether `params.yaml` does not have it yet.
    """

    changes: dict[str, Any]
    why: str
    new: bool = False

    @property
    def command(self) -> str:
        """The experiment that tries it; `+` adds a parameter."""
        add = "+" if self.new else ""
        settings = (f"{add}{key}={_plain(value)}" for key, value in self.changes.items())
        return f"dvc exp run {' '.join(f'-S {shlex.quote(setting)}' for setting in settings)}"


def propose(fit: dict[str, Any], settings: dict[str, Any]) -> list[Remedy]:
    """The remedies for a run, the first to be tried first.

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
        Remedy({f"models.{model}.{option}": value}, why, new=option not in entry)
        for option, value, why in found
        if option in entry or option in EVERYWHERE
    ]
    if fit["verdict"] == UNDERFITTING:
        longer = {"tokenize.max_length": 2 * settings["tokenize"]["max_length"]}
        remedies.append(Remedy(longer, "a longer input: more of each review"))
    return remedies


def advise(fit: dict[str, Any], settings: dict[str, Any]) -> str:
    """The verdict, its reason and what to try, for the end of a run: a line, and one a remedy."""
    remedies = propose(fit, settings)
    lines = [f"fit: {fit['verdict']}: {fit['reason']}", *(["Try:"] if remedies else [])]
    width = max((len(remedy.command) for remedy in remedies), default=0)
    lines += [f"  {remedy.command:<{width}}  # {remedy.why}" for remedy in remedies]
    return "\n".join(lines)


Change = tuple[str, Any, str]


def _against_overfitting(entry: dict[str, Any], turned: bool) -> Iterator[Change]:
    units = entry.get("units")
    if turned and not entry.get("patience"):
        yield "patience", PATIENCE, "stop when validation gets worse, and keep the best epoch"
    if not entry.get("dropout"):
        yield "dropout", DROPOUT, "dropout, so that no unit can rely on another"
    if units and units != _times(0.5, units):
        yield "units", _times(0.5, units), "a smaller network, which can learn less by heart"
    if not entry.get("l2"):
        yield "l2", PENALTY, "an L2 penalty, which keeps the weights small"
    if entry.get("embedding") == "trained":
        yield "embedding", "frozen", "leave the word vectors as they come: fewer weights to learn"


def _against_underfitting(entry: dict[str, Any], improving: bool) -> Iterator[Change]:
    epochs = ("epochs", 2 * entry.get("epochs", 1), "more epochs: twice as many")
    if improving:
        yield epochs
    for option, what in HOLDING_BACK.items():
        if entry.get(option):
            yield option, 0.0, f"without the {what}, which holds the network back"
    if entry.get("embedding") == "frozen":
        yield "embedding", "trained", "a trained embedding, which adapts the word vectors"
    yield "units", _times(2, entry.get("units") or [FIRST_LAYER // 2]), "a larger network"
    if not improving:
        yield epochs


def _times(factor: float, units: int | list[int]) -> int | list[int]:
    if isinstance(units, list):
        return [_times(factor, width) for width in units]
    return max(1, int(factor * units))


def _plain(value: Any) -> str:
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)
