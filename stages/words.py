"""Show and measure how close words of the same sentiment are in the embedding."""

import warnings
from pathlib import Path

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

from ajuste.config import reader, schema
from ajuste.data.encoder import SPECIAL, VOCABULARY_FILE, read_vocabulary
from ajuste.files import FLOATS, read_array, replacing, write_json
from stages import check

VOCABULARY = Path("data/tokens") / VOCABULARY_FILE
MATRIX = Path("data/embedding/matrix.npy")
METRICS = Path("metrics/words.json")
REPORTS = Path("reports/words")
DECIMALS = 6  # the later digits of a matrix product depend on the processor
FEWEST = 3  # two points are always on one line
# Blue and orange: colour-blind people can distinguish them, and they are readable on white.
LOOKS = {"positive": ("#0072b2", "o"), "negative": ("#b34700", "^")}
SIDES = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)]
GAPS = [6, 12, 18]  # points


def neighbours(unit: np.ndarray, row: int, count: int) -> list[tuple[int, float]]:
    """The rows nearest to one row by cosine, without the row itself and without rows of zeros.

    Args:
        unit: float64 (words, width), rows of length 1 or 0.
        row: the row whose neighbours are wanted.
        count: the maximum number of neighbours.

    Returns:
        Pairs of row and cosine, the nearest first; equals are in the order of the vocabulary.
    """
    cosine = np.round(unit @ unit[row], DECIMALS)
    others = np.flatnonzero(unit.any(axis=1))
    others = others[others != row]
    nearest = others[np.argsort(-cosine[others], kind="stable")[:count]]
    return [(int(other), float(cosine[other])) for other in nearest]


def likeness(unit: np.ndarray, positive: np.ndarray) -> dict[str, float | None]:
    """How close words of the same sentiment are, compared with words of opposite sentiment.

    Args:
        unit: float64 (n, width), the vectors of the chosen words, of length 1.
        positive: bool (n,), which words are positive; the others are negative.

    Returns:
        `cosine_alike` and `cosine_opposite`, the means over the pairs of words of the same and of
        opposite sentiment; `cosine_difference`; `nearest_alike`, the share of words whose nearest
        word has the same sentiment (about 0.5 by chance), which needs two words of each. A value
        that cannot be measured is None.
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
    """The first two principal components of points.

    The sign of a component is arbitrary; scikit-learn makes its largest weight positive.

    Args:
        points: float64 (n, width); n is at least 2.

    Returns:
        float64 (n, 2), the coordinates, and (2,), the share of the variance that each keeps. Of
        points with less than two dimensions the second is zero.
    """
    points = np.pad(points, [(0, 0), (0, 1)])  # two components need a width of two
    with np.errstate(invalid="ignore"):  # points that are all the same have no variance
        fitted = PCA(2, svd_solver="full").fit(points)
    places = np.round(fitted.transform(points), DECIMALS) + 0.0  # + 0.0: no -0 in the table
    return places, np.nan_to_num(fitted.explained_variance_ratio_)


def place_labels(points: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Places for the labels of points, with as little overlap of labels and points as possible.

    One label after another takes the place beside its point that covers least; of equal places,
    the nearest (a greedy form of Christensen, Marks and Shieber 1995).

    Args:
        points: float64 (n, 2), in the unit of the drawing.
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
        words: the words whose neighbours are wanted; each is in `rows`.
        count: the maximum number of neighbours.
    """
    names = {row: word for word, row in rows.items()}
    listed = [
        (word, rank, names[row], cosine)
        for word in words
        for rank, (row, cosine) in enumerate(neighbours(unit, rows[word], count), start=1)
    ]
    return pd.DataFrame(listed, columns=["word", "rank", "neighbour", "cosine"])


def word_map(unit: np.ndarray, sentiments: dict[str, str]) -> tuple[pd.DataFrame, np.ndarray]:
    """The words on the plane of their first two principal components.

    Args:
        unit: float64 (n, width), the vectors of the words, of length 1.
        sentiments: the n words, each with its sentiment.

    Returns:
        Columns `word`, `sentiment`, `x`, `y`, without rows if there are fewer than `FEWEST` words;
        and the share of the variance that each axis keeps.
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
        shares: (2,), the share of the variance that each axis keeps.
        path: the file to write.
    """
    settings = {"svg.hashsalt": "ajuste", "svg.fonttype": "none"}
    with matplotlib.style.context(["default", settings]), warnings.catch_warnings():
        # The text stays text: the viewer's fonts draw it, not the font of this machine.
        warnings.filterwarnings("ignore", message="Glyph")
        figure = Figure(figsize=(9, 7), dpi=72)
        axes = figure.add_axes((0.08, 0.08, 0.89, 0.86))
        if table.empty:
            axes.set_axis_off()
            message = f"Fewer than {FEWEST} words of both sentiments have a vector: no map."
            axes.text(0.5, 0.5, message, ha="center", va="center")
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
    axes.apply_aspect()  # after this the limits and the places of the points are fixed
    sizes = np.array([label.get_window_extent().size for label in labels])
    points = axes.transData.transform(table[["x", "y"]])
    centres = axes.transData.inverted().transform(place_labels(points, sizes))
    for label, centre in zip(labels, centres, strict=True):
        label.set_position(centre)


def main() -> None:
    """Measure and map words of both sentiments and list neighbours; skip words without a vector."""
    count = reader.load("words", schema.Words).neighbours
    key, language = schema.language_in_use()
    unit = normalize(read_array(MATRIX)[len(SPECIAL) :].astype(np.float64))
    vocabulary = read_vocabulary(VOCABULARY)
    rows = {word: row for row, word in enumerate(vocabulary) if unit[row].any()}
    sentiments = {
        **dict.fromkeys(language.positive, "positive"),
        **dict.fromkeys(language.negative, "negative"),
    }
    known = {word: sentiment for word, sentiment in sentiments.items() if word in rows}
    asked = [word for word in language.neighbours_of if word in rows]
    chosen = unit[[rows[word] for word in known]]

    measured = likeness(chosen, np.array(list(known.values()), dtype=str) == "positive")
    table, shares = word_map(chosen, known)
    tables = {"map": table, "neighbours": neighbour_table(unit, rows, asked, count)}
    for name, content in tables.items():
        with replacing(REPORTS / f"{name}.csv") as temporary:
            content.to_csv(temporary, index=False, lineterminator="\n", float_format=FLOATS)
    draw(table, shares, REPORTS / "map.svg")
    write_json(METRICS, {"known": len(known), **measured})
    if not sentiments:
        print(f"words: `{key}` has no positive and negative words: no map")
    else:
        said = (
            summary(measured) if len(known) >= FEWEST else f"no map; does `{key}` fit the reviews?"
        )
        print(f"words: {len(known)} of {len(sentiments)} words of `{key}` have a vector; {said}")
    without = [word for word in (*sentiments, *language.neighbours_of) if word not in rows]
    without = list(dict.fromkeys(without))
    if without:
        print(
            f"words: {len(without)} are not in the vocabulary or have no vector, and are left out: "
            f"{' '.join(without)}"
        )


def summary(measured: dict[str, float | None]) -> str:
    """The measurements of `likeness` in a sentence."""
    if measured["nearest_alike"] is None:
        return "too few words to compare"
    return (
        f"mean cosine {measured['cosine_alike']:.2f} within a sentiment, "
        f"{measured['cosine_opposite']:.2f} between the two; "
        f"{measured['nearest_alike']:.0%} have a nearest word of the same sentiment"
    )


if __name__ == "__main__":
    check.run("words", main)
