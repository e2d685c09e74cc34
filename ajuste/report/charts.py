"""Charts as SVG text, and one as Mermaid text; equal data give equal text."""

import io
import math
from itertools import chain

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ajuste.report.document import Chart

COLUMNS = 4
PART_NAMES = {"train": "training", "validation": "validation"}
COLOURS = {
    ("head", "train"): "#1f77b4",
    ("head", "validation"): "#d95f02",
    ("base", "train"): "#9ecae1",
    ("base", "validation"): "#fdae6b",
}
STYLE = {
    "svg.hashsalt": "ajuste",  # so equal charts have equal ids
    "svg.fonttype": "none",  # text stays text
    "font.family": "sans-serif",
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
ABOUT_SIDES = "loss by epoch; the base is pale, training is blue, validation is orange"

Losses = dict[str, list[float]]
"""The loss of each epoch, by part (`train`, `validation`)."""


def loss_panels(panels: dict[str, Losses], kept: dict[str, int]) -> str:
    """One panel for each run with its losses by epoch; each panel has its own scale, from zero.

    Args:
        panels: the curves of each run by the title of its panel; no curve is empty.
        kept: the epoch whose weights were kept, by the same title; it gets a dotted line.
    """
    rows = math.ceil(len(panels) / COLUMNS)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 0.5 + 1.8 * rows), layout="constrained")
        grid = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
        for axes, (title, curves) in zip(grid, panels.items(), strict=False):
            for part, values in curves.items():
                _draw_curve(axes, values, color=COLOURS["head", part])
            if title in kept:
                axes.axvline(kept[title], color="#999", linestyle=":", linewidth=0.8)
            axes.set_title(title, fontsize=8)
            axes.set_ylim(bottom=0)
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        figure.supxlabel("epoch")
        figure.supylabel("loss")
        handles = [
            Line2D([], [], color=COLOURS["head", part], label=name)
            for part, name in PART_NAMES.items()
        ]
        figure.legend(handles=handles, loc="outside upper center", ncols=2, frameon=False)
        return svg(figure)


def gradients(norms: dict[str, list[float]]) -> str:
    """The norm of the gradient at each step back in time, on a logarithmic scale.

    Args:
        norms: the norms of each run, by its name.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, max(4.5, 0.2 * len(norms))), layout="constrained")
        axes = figure.subplots()
        colours = matplotlib.colormaps["tab20"].colors
        for number, (name, values) in enumerate(norms.items()):
            axes.plot(
                [norm if norm > 0 else math.nan for norm in values],  # zero has no logarithm
                color=colours[number % len(colours)],
                linestyle=("-", "--", ":")[number // len(colours) % 3],
                label=name,
            )
        axes.set_yscale("log")
        axes.set_xlabel("steps back from the last word")
        axes.set_ylabel("norm of the gradient")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
        return svg(figure)


def two_sides(base: Losses, head: Losses) -> Chart | None:
    """Training and validation loss of both sides of a change; None if there are no curves."""
    curves = {
        (side, part): losses
        for side, parts in (("base", base), ("head", head))
        for part, losses in parts.items()
        if losses
    }
    return (
        Chart(_two_sides_svg(curves), _two_sides_mermaid(curves), ABOUT_SIDES) if curves else None
    )


def _two_sides_svg(curves: dict[tuple[str, str], list[float]]) -> str:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 3.5), layout="constrained")
        axes = figure.subplots()
        for (side, part), losses in curves.items():
            label = f"{PART_NAMES[part]}, {side}"
            _draw_curve(axes, losses, color=COLOURS[side, part], label=label)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss")
        axes.legend(frameon=False)
        return svg(figure)


def _two_sides_mermaid(curves: dict[tuple[str, str], list[float]]) -> str:
    """An XY chart of Mermaid, which GitHub draws: https://mermaid.js.org/syntax/xyChart.html.

    It has no legend, so the title explains the colours. It stretches short lines on a numeric
    axis, so the epochs are categories.
    """
    epochs = range(1, max(map(len, curves.values())) + 1)
    palette = ", ".join(COLOURS[key] for key in curves)
    highest = max(chain.from_iterable(curves.values()))
    lines = [
        f'%%{{init: {{"themeVariables": {{"xyChart": {{"plotColorPalette": "{palette}"}}}}}}}}%%',
        "xychart-beta",
        f'  title "Loss ({ABOUT_SIDES.split("; ")[1]})"',
        f'  x-axis "epoch" [{", ".join(map(str, epochs))}]',
        f'  y-axis "loss" 0 --> {1.05 * highest:.4g}',
    ]
    lines += [f"  line [{', '.join(f'{loss:.4g}' for loss in curve)}]" for curve in curves.values()]
    return "\n".join(lines)


def _draw_curve(axes: Axes, losses: list[float], **looks: str) -> None:
    mark = "o" if len(losses) == 1 else ""
    axes.plot(range(1, len(losses) + 1), losses, marker=mark, **looks)
    axes.xaxis.get_major_locator().set_params(integer=True)


def svg(figure: Figure) -> str:
    """A figure as SVG text, without the prologue, which is not allowed in HTML."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
