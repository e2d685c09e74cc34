"""Pictures of results as SVG text; equal results give equal text."""

import io
import math
import statistics

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from study.collect import Result

COLUMNS = 4
COLOURS = {"train": "#1f77b4", "validation": "#d95f02"}
STYLE = {
    "svg.hashsalt": "ajuste",  # of the ids in the file
    "svg.fonttype": "none",  # text stays text: small, and can be searched
    "font.family": "sans-serif",
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def losses(results: list[Result]) -> str:
    """One panel an experiment: its training and validation loss by epoch, on one scale for all.

    All results must have curves.

    The scale ends at three times the median of what each experiment has as its highest loss; a
    curve that leaves it ends at the edge of its panel.
    """
    rows = math.ceil(len(results) / COLUMNS)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 0.5 + 1.8 * rows), layout="constrained")
        panels = list(figure.subplots(rows, COLUMNS, sharey=True, squeeze=False).flat)
        highest = [max(map(max, result.curves.values())) for result in results]
        limit = 1.05 * min(max(highest), 3 * statistics.median(highest))
        for axes, result in zip(panels, results, strict=False):
            for part, values in result.curves.items():
                epochs = range(1, len(values) + 1)
                mark = "o" if len(values) == 1 else ""
                axes.plot(epochs, values, color=COLOURS[part], marker=mark)
            verdict = f"\n{result.verdict}" if result.verdict else ""
            axes.set_title(f"{result.experiment.name}{verdict}", fontsize=8)
            axes.set_ylim(0, limit)
            axes.xaxis.get_major_locator().set_params(integer=True)
        for axes in panels[len(results) :]:
            axes.set_axis_off()
        figure.supxlabel("epoch")
        figure.supylabel("loss")
        handles = [
            Line2D([], [], color=COLOURS[part], label=label)
            for part, label in (("train", "training"), ("validation", "validation"))
        ]
        figure.legend(handles=handles, loc="outside upper center", ncols=2, frameon=False)
        return svg(figure)


def gradients(results: list[Result]) -> str:
    """The norm of the gradient that reaches each step back in time, on a logarithmic scale.

    All results must have it.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, max(4.5, 0.2 * len(results))), layout="constrained")
        axes = figure.subplots()
        colours = matplotlib.colormaps["tab20"].colors
        for number, result in enumerate(results):
            # A norm of zero has no logarithm: its place stays empty.
            norms = [norm if norm > 0 else math.nan for norm in result.gradient]
            axes.plot(
                norms,
                color=colours[number % len(colours)],
                linestyle=("-", "--", ":")[number // len(colours) % 3],
                label=result.experiment.name,
            )
        axes.set_yscale("log")
        axes.set_xlabel("steps back from the last word")
        axes.set_ylabel("norm of the gradient")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
        return svg(figure)


def svg(figure: Figure) -> str:
    """A figure as text that stands in a page; drawn within `STYLE` it depends on nothing else."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]  # without the prologue, which HTML does not take
