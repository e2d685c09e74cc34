"""What to try next after a run, as commands to paste.

The lecture's remedies against overfitting: early stopping, dropout, a smaller network, a penalty on
the weights. Against underfitting: more epochs, less regularization, a trained embedding, a larger
network. Beyond the lecture: another learning rate, clipped gradients, another cell, pooling, a
longer input, word vectors of the reviews, more data, a look at the labels. A remedy changes only
options that the network has: those of its entry in `params.yaml`, and those of every network.
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ajuste.evaluation.fit import OPTIMAL, OVERFITTING, UNDERFITTING

DROPOUT = 0.3
PENALTY = 0.001
PATIENCE = 2
CLIP_NORM = 1.0
FIRST_LAYER = 32  # units, for a network without a hidden layer
HARDLY_MOVES = 0.1  # the share of the loss that training explains, if the learning rate is too low
SCATTERS = 0.075  # how far the training loss scatters, if the learning rate is too high
KNOWS_LITTLE = 0.3  # the share that the linear baseline explains, if the labels may be at fault
HOLDING_BACK = {
    "dropout": "dropout",
    "recurrent_dropout": "recurrent dropout",
    "l1": "L1 penalty",
    "l2": "L2 penalty",
}
# Entries may leave these out; `pooling` is proposed only for networks that have it.
OPTIONAL = ("l2", "patience", "clip_norm", "dropout", "pooling")
RECURRENT = ("simple_rnn", "lstm", "gru")
ERRORS = "reports/evaluate/errors.csv"


@dataclass(frozen=True)
class Remedy:
    """Something to try, and its reason.

    Attributes:
        what: a noun phrase, such as "a larger network".
        why: the effect.
        model: the model that it is for. The command selects it: DVC ignores an option of a model
            that is not selected.
        changes: the full names of the parameters and their new values.
        new: the parameters that are missing in `params.yaml`.
        instead: the command or the file, if it is no experiment.
    """

    what: str
    why: str
    model: str = ""
    changes: dict[str, Any] = field(default_factory=dict)
    new: frozenset[str] = frozenset()
    instead: str = ""

    @property
    def command(self) -> str:
        """The experiment that tries it; `+` adds a parameter."""
        changes = (
            f"{'+' if key in self.new else ''}{key}={_plain(value)}"
            for key, value in self.changes.items()
        )
        settings = [f"model={self.model}", *changes]
        tried = f"dvc exp run {' '.join(f'-S {shlex.quote(setting)}' for setting in settings)}"
        return self.instead or tried


Change = tuple[dict[str, Any], str, str]
"""Options of the model (or full names of other parameters) with their values, what, why."""


def propose(fit: dict[str, Any], settings: dict[str, Any]) -> list[Remedy]:
    """What to try next, in this order.

    Args:
        fit: the verdict and its numbers, as `Fit.as_json` gives them.
        settings: the parameters of the run, all of `params.yaml`.
    """
    model = settings["model"]
    entry = settings["models"][model]
    if entry.get("network") == "majority":
        others = [key for key, one in settings["models"].items() if "epochs" in one]
        return [
            Remedy("a model that reads the reviews", "this one does not", *others[:1] or [model])
        ]
    if fit["verdict"] == OVERFITTING:
        changes = _against_overfitting(entry, fit)
    elif fit["verdict"] == UNDERFITTING:
        changes = _against_underfitting(entry, settings, fit)
    elif fit["verdict"] == OPTIMAL:
        changes = [] if beats_linear(fit) else _larger(entry)
    else:
        changes = _to_read_it(entry, settings, fit)
    found = []
    for options, what, why in changes:
        own = {key for key in options if "." not in key}
        if own <= {*entry, *OPTIONAL}:
            prefix = f"models.{model}."
            values = {prefix + key if key in own else key: options[key] for key in options}
            new = frozenset(prefix + key for key in own if key not in entry)
            found.append(Remedy(what, why, model, values, new))
    if fit["verdict"] == UNDERFITTING and entry.get("network") == "simple_rnn":
        grus = [key for key, one in settings["models"].items() if one.get("network") == "gru"]
        gated = [Remedy("a GRU", "its gates carry the gradient over many words", *grus[:1])]
        at = 1 if fit["scatter"] > SCATTERS else 0
        found[at:at] = gated if grus else []
    found += _beyond_the_network(fit, model)
    if not found:
        seed = {"seed": settings["seed"] + 1}
        found = [Remedy("another seed", "shows how much is chance", model, seed)]
    return found


def beats_linear(fit: dict[str, Any]) -> bool:
    """Whether the validation loss is at most that of the linear baseline; no if none is known."""
    explained = fit.get("explained", {})
    return explained.get("validation", 0) >= explained.get("linear", 1)


def advise(fit: dict[str, Any], settings: dict[str, Any]) -> str:
    """The sentence (see `ajuste.evaluation.sentence`), the reason, and a line for each remedy."""
    remedies = propose(fit, settings)
    width = max(len(remedy.command) for remedy in remedies)
    tried = (f"  {remedy.command:<{width}}  # {remedy.what}: {remedy.why}" for remedy in remedies)
    return "\n".join([fit["sentence"], f"The fit: {fit['reason']}.", "Try:", *tried])


def _against_overfitting(entry: dict[str, Any], fit: dict[str, Any]) -> Iterator[Change]:
    units, patience = entry.get("units"), entry.get("patience")
    turned = fit["kept_epoch"] > fit["best_epoch"]
    if fit["scatter"] > SCATTERS:
        yield _slower(entry, 10)
    if entry.get("network") == "dense" and entry.get("pooling", "none") == "none":
        yield {"pooling": "average"}, "pooling", "one weight for each dimension, not for each place"
    if turned and not patience:
        yield {"patience": PATIENCE}, "early stopping", "keeps the epoch with the lowest loss"
    if patience and fit["kept_epoch"] <= 2:
        yield _slower(entry, 3)
    if not entry.get("dropout"):
        yield {"dropout": DROPOUT}, "dropout", "no unit can rely on a single other one"
    if units and units != _times(0.5, units) and not beats_linear(fit):
        yield {"units": _times(0.5, units)}, "a smaller network", "it can memorize less"
    if not entry.get("l2"):
        yield {"l2": PENALTY}, "an L2 penalty", "keeps the weights small"
    if entry.get("embedding") == "trained":
        yield {"embedding": "frozen"}, "frozen word vectors", "fewer weights to learn"


def _against_underfitting(
    entry: dict[str, Any], settings: dict[str, Any], fit: dict[str, Any]
) -> Iterator[Change]:
    if fit["scatter"] > SCATTERS:
        yield _slower(entry, 10)
        if entry.get("network") in RECURRENT and not entry.get("clip_norm"):
            yield {"clip_norm": CLIP_NORM}, "clipped gradients", "no step is too large"
    elif fit["explained"]["train"] < HARDLY_MOVES and "learning_rate" in entry:
        rate = _rate(10 * entry["learning_rate"])
        yield {"learning_rate": rate}, "a higher learning rate", "the loss hardly moves"
    epochs = {"epochs": 2 * entry.get("epochs", 1)}, "twice the epochs", "more time to learn"
    if fit["improving"]:
        yield epochs
    for option, what in HOLDING_BACK.items():
        if entry.get(option):
            yield {option: 0.0}, f"no {what}", "it restrains the network"
    yield from _larger(entry)
    if not fit["improving"]:
        yield epochs
    if entry.get("embedding") in ("frozen", "trained") and settings["embed"]["source"] == "bundled":
        own = {"embed.source": "corpus"}
        yield own, "word vectors of these reviews", "learnt from the training part"


def _larger(entry: dict[str, Any]) -> Iterator[Change]:
    length = {"max_length": 2 * entry.get("max_length", 0)}
    pooled = entry.get("network") in RECURRENT and entry.get("pooling", "last") == "last"
    if pooled:
        yield {"pooling": "max"}, "pooling", "every word is as near to the answer as the last"
    yield length, "a longer input", "more of each review"
    if entry.get("embedding") == "frozen":
        yield {"embedding": "trained"}, "a trained embedding", "it adapts the word vectors"
    wider = _times(2, entry.get("units") or [FIRST_LAYER // 2])
    yield {"units": wider}, "a larger network", "it can learn more"


def _to_read_it(
    entry: dict[str, Any], settings: dict[str, Any], fit: dict[str, Any]
) -> Iterator[Change]:
    """What makes a verdict possible, by the cause that there is none."""
    split, cause = settings["split"], fit["cause"]
    if cause == "epochs":
        yield {"epochs": 10}, "more epochs", "a curve needs a few"
    if cause in ("loss", "scatter"):
        yield _slower(entry, 10)
    if cause == "split":
        yield {"split.seed": split["seed"] + 1}, "another split", "shows whether it was chance"
    if cause == "noise" and split["validation"] < 0.2:
        more = {"split.validation": 2 * split["validation"]}
        yield more, "a larger validation part", "less noise in the gap"


def _beyond_the_network(fit: dict[str, Any], model: str) -> Iterator[Remedy]:
    explained = fit.get("explained", {})
    if fit["verdict"] != OVERFITTING and explained.get("linear", 1) < KNOWS_LITTLE:
        yield Remedy("a look at the labels", "the surest errors come first", instead=ERRORS)
    if fit["verdict"] == OVERFITTING or (fit["verdict"] == OPTIMAL and beats_linear(fit)):
        half = {"split.train_share": 0.5}
        yield Remedy(
            "more data", "trains on half: if that is clearly worse, more data helps", model, half
        )


def _slower(entry: dict[str, Any], factor: int) -> Change:
    rate = {"learning_rate": _rate(entry.get("learning_rate", 0.001) / factor)}
    return rate, "a lower learning rate", "smaller steps"


def _rate(rate: float) -> float:
    return float(f"{rate:.1g}")


def _times(factor: float, units: int | list[int]) -> int | list[int]:
    if isinstance(units, list):
        return [_times(factor, width) for width in units]
    return max(1, int(factor * units))


def _plain(value: Any) -> str:
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)
