"""Scores and their differences in words: a share of right predictions is in points (hundredths)."""

from ajuste.report.numbers import minus

CALLED = {"f1": "F1", "roc_auc": "ROC AUC", "r2": "R²", "matthews": "Matthews correlation"}
SHARES = ("accuracy", "exact_match")


def named(score: str) -> str:
    """The name of a score in a sentence."""
    return CALLED.get(score, score.replace("_", " "))


def amount(score: str, value: float, signed: bool = True) -> str:
    """A difference in a score."""
    sign = "+" if signed else ""
    if score in SHARES:
        return minus(f"{100 * value:{sign}.1f} points")
    return minus(f"{value:{sign}.3g}")


def span(score: str, low: float, high: float) -> str:
    """The interval of a difference."""
    return f"{amount(score, low)} to {amount(score, high)}".replace(" points", "")


def margin(score: str, value: float) -> str:
    """A margin as it was set, without more digits: `1 point`, `0.5 points`, `0.01`."""
    if score not in SHARES:
        return f"{value:g}"
    points = f"{100 * value:g}"
    return f"{points} point" if points == "1" else f"{points} points"
