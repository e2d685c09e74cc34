"""Show and measure that words of like sentiment lie close together in the embedding."""

import warnings
from pathlib import Path

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ajuste.config import reader, schema
from ajuste.data.text import SPECIAL, VOCABULARY_FILE, read_vocabulary
from ajuste.files import read_array, replacing, write_json
from stages import check

VOCABULARY = Path("data/tokens") / VOCABULARY_FILE
MATRIX = Path("data/embedding/matrix.npy")
METRICS = Path("metrics/words.json")
REPORTS = Path("reports/words")
DECIMALS = 6  # the last digits of a matrix product depend on the processor
FEWEST = 3  # two points lie on a line, whatever they are
# Blue and orange, which every colour vision tells apart, dark enough for text on white.
LOOKS = {"positive": ("#0072b2", "o"), "negative": ("#b34700", "^")}
SIDES = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)]
GAPS = [6, 12, 18]  # points


def unit_rows(matrix: np.ndarray) -> np.ndarray:
    """Each row brought to length 1, as float64; a row of zeros stays one."""
    matrix = matrix.astype(np.float64)
    length = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.divide(matrix, length, out=np.zeros_like(matrix), where=length > 0)


def neighbours(unit: np.ndarray, row: int, count: int) -> list[tuple[int, float]]:
    """The rows most like one row, without itself and without rows of zeros.

    Args:
        unit: float64 (words, width), rows of length 1 or 0.
        row: whose neighbours.
        count: how many at most.

    Returns:
        Pairs of row and cosine, the nearest first; of equals, the first in the vocabulary.
    """
    cosine = np.round(unit @ unit[row], DECIMALS)
    others = np.flatnonzero(unit.any(axis=1))
    others = others[others != row]
    nearest = others[np.argsort(-cosine[others], kind="stable")[:count]]
    return [(int(other), float(cosine[other])) for other in nearest]


def likeness(unit: np.ndarray, positive: np.ndarray) -> dict[str, float | None]:
    """How close words of like sentiment lie, against those of opposite sentiment.

    Args:
        unit: float64 (n, width), the chosen words' vectors at length 1.
        positive: bool (n,), which of them are positive; the others are negative.

    Returns:
        `cosine_alike` and `cosine_opposite`, the means over the pairs of words of one sentiment
        and of both; `cosine_difference`; `nearest_alike`, the share of the words whose nearest
        one is of the same sentiment (about a half if sentiment played no part), for two words of
        each at least. What cannot be measured is None.
    """
    cosine = np.round(unit @ unit.T, DECIMALS)
    pairs = np.triu(np.ones(cosine.shape, dtype=bool), k=1)
    same = positive[:, None] == positive
    alike, opposite = _mean(cosine[pairs & same]), _mean(cosine[pairs & ~same])
    difference = nearest_alike = None
    if alike is not None and opposite is not None:
        difference = round(alike - opposite, DECIMALS)
    if min(positive.sum(), (~positive).sum()) >= 2:
        np.fill_diagonal(cosine, -np.inf)
        nearest = cosine.argmax(axis=1)
        nearest_alike = float((positive[nearest] == positive).mean())
    return {
        "cosine_alike": alike,
        "cosine_opposite": opposite,
        "cosine_difference": difference,
        "nearest_alike": nearest_alike,
    }


def _mean(values: np.ndarray) -> float | None:
    return round(float(values.mean()), DECIMALS) if values.size else None


def principal_components(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The plane that keeps most of the points' variance (Pearson 1901, Hotelling 1933).

    The sign of a component is free; here its largest weight is positive.

    Args:
        points: float64 (n, width).

    Returns:
        float64 (n, 2), the coordinates in that plane, and (2,), the share of the variance that
        each keeps. Of points with less than two dimensions the second is zero.
    """
    centred = points - points.mean(axis=0)
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    largest = np.abs(axes).argmax(axis=1)
    axes *= np.sign(axes[np.arange(len(axes)), largest])[:, None]
    variance = spread**2
    places, shares = np.zeros((len(points), 2)), np.zeros(2)
    kept = min(2, len(axes))
    places[:, :kept] = centred @ axes[:kept].T
    shares[:kept] = variance[:kept] / max(variance.sum(), np.finfo(float).tiny)
    return np.round(places, DECIMALS) + 0.0, shares  # + 0.0: no -0 in the table


def place_labels(points: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Where the labels of points go, so that they cover neither one another nor a point.

    One after another, each takes the first of the places beside its point, near ones first, where
    it covers least (after Christensen, Marks and Shieber 1995).

    Args:
        points: float64 (n, 2).
        sizes: float64 (n, 2), the width and height of each label, in the same unit.

    Returns:
        float64 (n, 2), the centres of the labels.
    """
    centres = points.copy()
    taken = np.hstack([points - GAPS[0] / 2, points + GAPS[0] / 2])  # left, low, right, high
    for index, (point, size) in enumerate(zip(points, sizes, strict=True)):
        steps = np.array([np.array(side) * (gap + size / 2) for gap in GAPS for side in SIDES])
        low, high = point + steps - size / 2, point + steps + size / 2
        common = np.minimum(high[:, None], taken[:, 2:]) - np.maximum(low[:, None], taken[:, :2])
        best = np.clip(common, 0, None).prod(axis=2).sum(axis=1).argmin()
        centres[index] = point + steps[best]
        taken = np.vstack([taken, np.hstack([low[best], high[best]])])
    return centres


def neighbour_table(
    unit: np.ndarray, rows: dict[str, int], words: list[str], count: int
) -> pd.DataFrame:
    """The neighbours of each of `words`: columns `word`, `rank`, `neighbour`, `cosine`.

    Args:
        unit: float64 (vocabulary, width), rows of length 1 or 0.
        rows: the row of each word that has a vector.
        words: of these, the ones asked about.
        count: how many neighbours at most.
    """
    names = {row: word for word, row in rows.items()}
    listed = [
        (word, rank, names[row], cosine)
        for word in words
        for rank, (row, cosine) in enumerate(neighbours(unit, rows[word], count), start=1)
    ]
    return pd.DataFrame(listed, columns=["word", "rank", "neighbour", "cosine"])


def word_map(unit: np.ndarray, sentiments: dict[str, str]) -> tuple[pd.DataFrame, np.ndarray]:
    """Where the words lie in the plane of their first two principal components.

    Args:
        unit: float64 (n, width), the words' vectors at length 1.
        sentiments: the n words, each with its sentiment.

    Returns:
        Columns `word`, `sentiment`, `x`, `y`, without a row for fewer than `FEWEST` words; and
        the share of the variance that each axis keeps.
    """
    if len(sentiments) < FEWEST:
        return pd.DataFrame(columns=["word", "sentiment", "x", "y"]), np.zeros(2)
    places, shares = principal_components(unit)
    table = pd.DataFrame(sentiments.items(), columns=["word", "sentiment"])
    return table.assign(x=places[:, 0], y=places[:, 1]), shares


def draw(table: pd.DataFrame, shares: np.ndarray, path: Path) -> None:
    """Write the map as an SVG; the same table gives the same bytes.

    Args:
        table: columns `word`, `sentiment`, `x`, `y`.
        shares: (2,), the share of the variance that either axis keeps.
        path: where to.
    """
    settings = {"svg.hashsalt": "ajuste", "svg.fonttype": "none"}
    with matplotlib.style.context(["default", settings]), warnings.catch_warnings():
        # The text stays text, drawn in a font of whoever looks at it.
        warnings.filterwarnings("ignore", message="Glyph")
        figure = Figure(figsize=(9, 7), dpi=72)
        axes = figure.add_axes((0.08, 0.08, 0.89, 0.86))
        if table.empty:
            axes.set_axis_off()
            said = f"Fewer than {FEWEST} of the chosen words have a vector: no map."
            axes.text(0.5, 0.5, said, ha="center", va="center")
        else:
            axes.set_xlabel(f"first principal component ({shares[0]:.0%} of the variance)")
            axes.set_ylabel(f"second principal component ({shares[1]:.0%})")
            _draw_words(axes, table)
        with replacing(path) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})


def _draw_words(axes: Axes, table: pd.DataFrame) -> None:
    for sentiment, rows in table.groupby("sentiment", sort=False):
        colour, marker = LOOKS[sentiment]
        axes.scatter(rows["x"], rows["y"], s=20, color=colour, marker=marker, label=sentiment)
    axes.margins(0.12)
    axes.set_aspect("equal", adjustable="datalim")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
    labels = [
        axes.text(0, 0, word, color=LOOKS[sentiment][0], size=11, ha="center", va="center")
        for word, sentiment in zip(table["word"], table["sentiment"], strict=True)
    ]
    axes.autoscale_view()
    axes.apply_aspect()  # from here on the limits stand, and with them where the points are
    sizes = np.array([label.get_window_extent().size for label in labels])
    points = axes.transData.transform(table[["x", "y"]])
    centres = axes.transData.inverted().transform(place_labels(points, sizes))
    for label, centre in zip(labels, centres, strict=True):
        label.set_position(centre)


def main() -> None:
    """Measure and map the chosen words, list neighbours; words without a vector are left out."""
    settings = reader.load("words", schema.Words)
    unit = unit_rows(read_array(MATRIX)[len(SPECIAL) :])
    vocabulary = read_vocabulary(VOCABULARY)
    rows = {word: row for row, word in enumerate(vocabulary) if unit[row].any()}
    sentiments = {
        **dict.fromkeys(settings.positive, "positive"),
        **dict.fromkeys(settings.negative, "negative"),
    }
    known = {word: sentiment for word, sentiment in sentiments.items() if word in rows}
    asked = [word for word in settings.neighbours_of if word in rows]
    chosen = unit[[rows[word] for word in known]]

    measured = likeness(chosen, np.array(list(known.values()), dtype=str) == "positive")
    table, shares = word_map(chosen, known)
    tables = {
        "map": table,
        "neighbours": neighbour_table(unit, rows, asked, settings.neighbours),
    }
    for name, content in tables.items():
        with replacing(REPORTS / f"{name}.csv") as temporary:
            content.to_csv(temporary, index=False, lineterminator="\n", float_format="%.6g")
    draw(table, shares, REPORTS / "map.svg")
    write_json(METRICS, {"known": len(known), **measured})
    without = [word for word in (*sentiments, *settings.neighbours_of) if word not in rows]
    without = list(dict.fromkeys(without))
    print(f"words: {len(known)} of {len(sentiments)} known, {summary(measured)}")
    if without:
        print(f"words: {len(without)} without a vector, left out: {' '.join(without)}")


def summary(measured: dict[str, float | None]) -> str:
    """What `likeness` measured, in words."""
    if measured["nearest_alike"] is None:
        return "too few to compare"
    return (
        f"mean cosine {measured['cosine_alike']:.2f} within a sentiment, "
        f"{measured['cosine_opposite']:.2f} between the two; "
        f"{measured['nearest_alike']:.0%} have their nearest in their own"
    )


if __name__ == "__main__":
    check.run("words", main)
