"""Write the report on the run: one page that needs no other file and no network."""

from pathlib import Path

import pandas as pd

from ajuste.config import reader
from ajuste.evaluation.remedies import propose
from ajuste.evaluation.sentence import sure
from ajuste.files import read_json, reading, write_text
from ajuste.report import run
from ajuste.report.page import html_page
from stages import check

CURVES = Path("metrics/train/plots/metrics")
EVALUATED = "calibration confusion errors layers precision_recall regression roc slices words"
TABLES = [Path(f"reports/evaluate/{name}.csv") for name in EVALUATED.split()]
TABLES += [Path(f"reports/words/{name}.csv") for name in ("map", "neighbours")]
METRICS = {
    "tested": "metrics/evaluate.json",
    "baseline": "metrics/baseline.json",
    "trained": "metrics/train/metrics.json",
    "split": "metrics/split.json",
    "validated": "metrics/validate.json",
    "labels": "data/raw/labels.json",
    "browser": "reports/evaluate/browser.json",
}
PAGE = Path("reports/index.html")


def read_curves(folder: Path) -> dict[str, dict[str, dict[str, list[float]]]]:
    """The curves below DVCLive's folder: by network, score and part (see `run.Run`)."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for path in sorted(folder.rglob("*.tsv"), key=lambda path: (path.stem != "loss", path)):
        *network, part, score = path.relative_to(folder).with_suffix("").parts
        if part in ("train", "validation"):
            values = pd.read_csv(path, sep="\t")[score].tolist()
            found.setdefault("/".join(network), {}).setdefault(score, {})[part] = values
    return found


TEXTS = ("layer", "neighbour", "origin", "output", "review", "sentiment", "slice", "type", "word")
"""The columns of texts, which may look like numbers: the word `10`, the shape `16`."""


def read_table(path: Path) -> pd.DataFrame:
    """A table of the reports: an empty cell is NaN in a column of numbers, else an empty text."""
    with reading(path):
        kinds = dict.fromkeys(TEXTS, str)
        table = pd.read_csv(path, dtype=kinds, keep_default_na=False, na_values=[""])
    texts = table.select_dtypes(exclude="number").columns
    return table.fillna(dict.fromkeys(texts, ""))


def main() -> None:
    """Read what the stages wrote; write the page."""
    metrics = {name: read_json(Path(path)) for name, path in METRICS.items()}
    tables = {path.stem: read_table(path) for path in TABLES}
    settings = reader.read()
    fit = metrics["tested"]["fit"]
    found = run.Run(
        settings,
        curves=read_curves(CURVES),
        tables=tables,
        sure=sure(fit),
        remedies=[(one.command, one.what, one.why) for one in propose(fit, settings)],
        **metrics,
    )
    write_text(PAGE, html_page(run.blocks(found), settings["report"]["language"]))
    print(f"report: {PAGE}")


if __name__ == "__main__":
    check.run("report", main)
