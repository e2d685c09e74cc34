"""Interactive charts: Vega-Lite specifications from tables, and the libraries that draw them.

Colours that mean the same are the same in all charts; the page chooses light or dark ones.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

LIBRARIES = Path(__file__).with_name("plots_page.html")
"""The page template of `dvc plots show` (see `ajuste.report.plots_page`) holds them."""

Spec = dict[str, Any]

PARTS = {"train": "training", "validation": "validation"}


def libraries() -> str:
    """The `script` element that defines `vegaEmbed`, with its licence."""
    text = LIBRARIES.read_text(encoding="utf-8")
    return re.search(r"<!-- Vega,.*?</script>", text, re.DOTALL)[0]


def learning_curve(curves: dict[str, list[float]], score: str, kept: int | None) -> Spec:
    """A score by epoch, with a scale of its own and the kept epoch marked.

    Args:
        curves: the values of each epoch, by part (`train`, `validation`).
        score: what they are.
        kept: the epoch whose weights were kept, counted from 1.
    """
    rows = [row for part, values in curves.items() for row in _epochs(values, score, part=part)]
    parts: Spec = {"field": "part", "type": "nominal", "legend": TOP}
    lines = _lines(rows, score, color=parts | {"scale": {"domain": list(PARTS.values())}})
    if not kept:
        return {**_sized(), **lines}
    mark: Spec = {
        "data": {"values": [{"epoch": kept, "mark": "kept"}]},
        "encoding": {"x": {"field": "epoch", "type": "quantitative"}},
        "layer": [
            {"mark": {"type": "rule", "strokeDash": [4, 4], "color": GREY}},
            {
                "mark": {"type": "text", "baseline": "top", "dx": -4, "align": "right"},
                "encoding": {"text": {"field": "mark"}, "y": {"value": 2}},
            },
        ],
    }
    return {**_sized(), "layer": [lines, mark]}


def overlaid_curves(networks: dict[str, dict[str, list[float]]], score: str) -> Spec:
    """A score by epoch of several networks; training is dashed.

    Args:
        networks: by name, the values of each epoch by part (`train`, `validation`).
        score: what they are.
    """
    rows = [
        row
        for name, curves in networks.items()
        for part, values in curves.items()
        for row in _epochs(values, score, part=part, network=name)
    ]
    named: Spec = {"field": "network", "type": "nominal", "legend": TOP, "sort": None}
    dashes = {"domain": list(PARTS.values()), "range": [[4, 4], [1, 0]]}
    parts: Spec = {"field": "part", "type": "nominal", "legend": None, "scale": dashes}
    return {**_sized(), **_lines(rows, score, color=named, strokeDash=parts)}


TOP = {"orient": "top", "title": None}
GREY = "#888888"


def _epochs(values: list[float], score: str, part: str, **named: str) -> list[Spec]:
    part = PARTS[part]
    return [
        {"epoch": epoch, score: value, "part": part, **named}
        for epoch, value in enumerate(values, start=1)
    ]


def _lines(rows: list[Spec], score: str, **channels: Spec) -> Spec:
    epochs = {"axis": {"tickMinStep": 1, "format": "d"}, "scale": {"nice": False}}
    return {
        "data": {"values": rows},
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": {"field": "epoch", "type": "quantitative", **epochs},
            "y": {"field": score, "type": "quantitative", "scale": {"zero": False}},
            **channels,
            "tooltip": _tooltip(*rows[0]),
        },
    }


def curve(table: pd.DataFrame, x: str, y: str, diagonal: bool) -> Spec:
    """A curve in the unit square, such as ROC; `diagonal` is what says nothing, or is perfect."""
    line: Spec = {
        "data": {"values": _rows(table)},
        "mark": {"type": "line", "point": len(table) < FEW_POINTS},
        "encoding": {
            "x": _share(x),
            "y": _share(y),
            "order": {"field": "place"},
            "tooltip": _tooltip(*table.columns),
        },
    }
    if "reviews" in table:
        line["mark"] = {"type": "point", "filled": True}
        sizes = {"scale": {"range": [20, 400]}, "legend": None}
        line["encoding"]["size"] = {"field": "reviews", "type": "quantitative", **sizes}
    if not diagonal:
        return {**_sized(), **line}
    ends: Spec = {
        "data": {"values": [{x: 0, y: 0}, {x: 1, y: 1}]},
        "mark": {"type": "line", "strokeDash": [4, 4], "color": GREY, "strokeWidth": 1},
        "encoding": {"x": _share(x), "y": _share(y)},
    }
    return {**_sized(), "layer": [ends, line]}


FEW_POINTS = 40


def counts(table: pd.DataFrame, rows: str, columns: str) -> Spec:
    """How often each pair of values occurs, such as a confusion matrix.

    Args:
        table: a row for each review.
        rows: the column that is drawn downwards.
        columns: the column that is drawn across.
    """
    found = table.groupby([rows, columns]).size().rename("reviews").reset_index()
    half = float(found["reviews"].max()) / 2
    return {
        **_sized(),
        "data": {"values": found.to_dict("records")},
        "encoding": {
            "x": {"field": columns, "type": "nominal", "axis": {"labelAngle": 0, "orient": "top"}},
            "y": {"field": rows, "type": "nominal"},
            "tooltip": _tooltip(rows, columns, "reviews"),
        },
        "layer": [
            {
                "mark": "rect",
                "encoding": {
                    "color": {
                        "field": "reviews",
                        "type": "quantitative",
                        "scale": {"scheme": "blues"},
                        "legend": None,
                    }
                },
            },
            {
                "mark": {"type": "text", "fontSize": 14},
                "encoding": {
                    "text": {"field": "reviews", "format": ","},
                    "color": {
                        "condition": {"test": f"datum.reviews > {half}", "value": "#ffffff"},
                        "value": "#000000",
                    },
                },
            },
        ],
    }


def intervals(table: pd.DataFrame, name: str, score: str) -> Spec:
    """A score with its interval, if it has one, for each row of a table.

    Args:
        table: `name`, `score`, and perhaps its ends with `_low` and `_high`.
        name: the column of the names.
        score: the column of the values.
    """
    across: Spec = {"type": "quantitative", "title": title(score)}
    across |= {"scale": {"zero": False}, "axis": {"tickCount": 8}}
    points: Spec = {
        "mark": {"type": "point", "filled": True, "size": 70},
        "encoding": {"x": {"field": score, **across}},
    }
    layers = [points]
    if f"{score}_low" in table:
        x2 = {"field": f"{score}_high", "title": title(score)}  # one title for the axis
        span = {"x": {"field": f"{score}_low", **across}, "x2": x2}
        layers.insert(0, {"mark": {"type": "rule", "strokeWidth": 2}, "encoding": span})
    shown = [column for column in table if column in (name, "reviews") or score in column]
    return {
        **_sized(height=28 * len(table)),
        "data": {"values": _rows(table[shown])},
        "encoding": {
            "y": {"field": name, "type": "nominal", "sort": None, "title": None},
            "tooltip": _tooltip(*shown),
        },
        "layer": layers,
    }


def scatter(table: pd.DataFrame, x: str, y: str) -> Spec:
    """A point for each row, such as the predicted by the actual number."""
    return {
        **_sized(),
        "data": {"values": _rows(table)},
        "mark": {"type": "point", "opacity": 0.4},
        "encoding": {
            axis: {"field": column, "type": "quantitative", "title": title(column)}
            for axis, column in (("x", x), ("y", y))
        },
    }


def word_map(table: pd.DataFrame) -> Spec:
    """Words as points in the plane, with their sentiment: `word`, `sentiment`, `x`, `y`."""
    axis = {"type": "quantitative", "axis": None}
    return {
        **_sized(height=420),
        "data": {"values": _rows(table)},
        "encoding": {
            "x": {"field": "x", **axis},
            "y": {"field": "y", **axis},
            "color": {
                "field": "sentiment",
                "type": "nominal",
                "scale": {"domain": ["positive", "negative"]},
                "legend": {"orient": "top", "title": None},
            },
        },
        "layer": [
            {"mark": {"type": "point", "filled": True}},
            {
                "mark": {"type": "text", "align": "left", "dx": 6},
                "encoding": {"text": {"field": "word"}},
            },
        ],
    }


def translated(spec: Any, say: Callable[[str], str]) -> Any:
    """A specification whose titles and names are said in another language.

    These are the titles, also those that Vega-Lite would make of the names of fields, and the
    values of `TRANSLATED`; words, labels and numbers stay.
    """
    if isinstance(spec, list):
        return [translated(one, say) for one in spec]
    if not isinstance(spec, dict):
        return spec
    found = {key: translated(value, say) for key, value in spec.items()}
    if isinstance(found.get("title"), str):
        found["title"] = say(found["title"])
    elif "field" in found and "title" not in found:
        found["title"] = say(title(found["field"]))
    if isinstance(found.get("domain"), list):
        found["domain"] = [say(one) if isinstance(one, str) else one for one in found["domain"]]
    if isinstance(found.get("values"), list):
        found["values"] = [
            {key: say(value) if key in TRANSLATED else value for key, value in row.items()}
            for row in found["values"]
        ]
    return found


TRANSLATED = ("part", "mark", "sentiment", "slice")


def title(name: str) -> str:
    """The name of a column as an axis shows it."""
    return name.replace("_", " ")


def _sized(height: int = 240) -> Spec:
    return {"width": "container", "height": height}


def _share(column: str) -> Spec:
    scale = {"domain": [0, 1]}
    return {"field": column, "type": "quantitative", "scale": scale, "title": title(column)}


def _tooltip(*columns: str) -> list[Spec]:
    return [{"field": column, "title": title(column)} for column in columns]


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows with their places, without the values that JSON does not have."""
    placed = table.assign(place=range(len(table)))
    return placed.astype(object).where(placed.notna(), None).to_dict("records")
