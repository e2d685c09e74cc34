"""A run in one plain sentence: how it fits, how good it is, what to try next."""

from typing import Any

from ajuste.evaluation.fit import OPTIMAL
from ajuste.evaluation.remedies import propose
from ajuste.evaluation.scores import Score

MOST_SURE = 0.99  # the model of the noise is not exact enough to say more


def sentence(fit: dict[str, Any], quality: str, settings: dict[str, Any]) -> str:
    """The sentence.

    Args:
        fit: the verdict and its numbers, as `Fit.as_json` gives them.
        quality: see below.
        settings: the parameters of the run, all of `params.yaml`.
    """
    verdict = fit["verdict"].capitalize() + (" fit" if fit["verdict"] == OPTIMAL else "")
    if chance := sure(fit):
        verdict += f" ({chance} sure)"
    named = dict.fromkeys(remedy.what for remedy in propose(fit, settings))
    return f"{verdict}; {quality}. Try {' or '.join([*named][:2])}."


def sure(fit: dict[str, Any]) -> str:
    """The probability of the verdict, such as `93 %`; empty if it is undecided."""
    chance = fit.get("probability", {}).get(fit["verdict"])
    return "" if chance is None else _percent(min(chance, MOST_SURE))


def quality(score: str, beside: dict[str, Score], explained: dict[str, float], loss: float) -> str:
    """How good a network is in validation, beside the baselines.

    Args:
        score: a score of the task. Of the loss, the share that is explained is given.
        beside: its values for the network, for the linear baseline, and for always predicting the
            class frequencies, in this order.
        explained: the shares of the loss that the network and the linear baseline explain, if they
            are known (`explained` of the fit).
        loss: the validation loss of the network.
    """
    if score != "loss" and None not in beside.values():
        network, linear, majority = (
            _percent(value) if score == "accuracy" else f"{value:.2f}" for value in beside.values()
        )
        named = "right" if score == "accuracy" else score.replace("_", " ")
        return (
            f"{network} {named} in validation, where the linear baseline gets {linear} and the "
            f"label frequencies {majority}"
        )
    if "validation" not in explained:
        return f"the validation loss is {loss:.3g}"
    known = f"{_percent(explained['validation'])} of the validation loss explained"
    if "linear" not in explained:
        return known
    return f"{known}, where the linear baseline explains {_percent(explained['linear'])}"


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")
