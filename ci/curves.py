"""The learning curves of both sides in one picture."""

from itertools import chain

import matplotlib
from matplotlib.figure import Figure

from ajuste.document import Chart
from study.charts import STYLE, svg

ABOUT = "loss by epoch; pale is the base, blue is training, orange is validation"
COLOURS = {
    ("base", "train"): "#9ecae1",
    ("base", "validation"): "#fdae6b",
    ("head", "train"): "#1f77b4",
    ("head", "validation"): "#d95f02",
}
NAMES = {"train": "training", "validation": "validation"}

Curves = dict[tuple[str, str], list[float]]
"""For each side and part the loss of each epoch."""


def chart(base: dict[str, list[float]], head: dict[str, list[float]]) -> Chart | None:
    """Training and validation loss of either side; None where there are no curves.

    Args:
        base: of each part the losses, or nothing.
        head: the same.
    """
    curves = {
        (side, part): losses
        for side, parts in (("base", base), ("head", head))
        for part, losses in parts.items()
        if losses
    }
    return Chart(drawn(curves), mermaid(curves), ABOUT) if curves else None


def mermaid(curves: Curves) -> str:
    """An XY chart of Mermaid, which GitHub draws: https://mermaid.js.org/syntax/xyChart.html.

    Its lines have no legend, and it stretches those that are short over a numeric axis: so the
    colours are told in the title, and the epochs are categories.
    """
    epochs = range(1, max(map(len, curves.values())) + 1)
    palette = ", ".join(COLOURS[key] for key in curves)
    highest = max(chain.from_iterable(curves.values()))
    lines = [
        f'%%{{init: {{"themeVariables": {{"xyChart": {{"plotColorPalette": "{palette}"}}}}}}}}%%',
        "xychart-beta",
        f'  title "Loss ({ABOUT.split("; ")[1]})"',
        f'  x-axis "epoch" [{", ".join(map(str, epochs))}]',
        f'  y-axis "loss" 0 --> {1.05 * highest:.4g}',
    ]
    lines += [f"  line [{', '.join(f'{loss:.4g}' for loss in curve)}]" for curve in curves.values()]
    return "\n".join(lines)


def drawn(curves: Curves) -> str:
    """The same as SVG."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 3.5), layout="constrained")
        axes = figure.subplots()
        for (side, part), losses in curves.items():
            axes.plot(
                range(1, len(losses) + 1),
                losses,
                color=COLOURS[side, part],
                label=f"{NAMES[part]}, {side}",
                marker="o" if len(losses) == 1 else "",
            )
        axes.set_ylim(bottom=0)
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False)
        return svg(figure)
