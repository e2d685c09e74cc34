"""Two runs on one page: `python -m study.side_by_side A B`, or `make compare A=nn B=gru`.

A run is an experiment, the workspace, or a revision of Git. Nothing is trained or judged again; the
page is the only file that is written.
"""

import argparse
import json
import sys
import webbrowser
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException

from ajuste.config import reader
from ajuste.config.reader import parse
from ajuste.errors import PipelineError, run
from ajuste.evaluation import scores
from ajuste.evaluation.significance import Answers
from ajuste.files import write_text
from ajuste.report import vega
from ajuste.report.document import Drawing, Entries, Entry, Heading, PageBlock, Table, Text
from ajuste.report.language import ENGLISH, Say, speaker
from ajuste.report.numbers import NONE, number
from ajuste.report.page import html_page
from ajuste.report.run import LINE_BREAK
from ajuste.repository.git import git
from ajuste.tasks import NUMERIC, decode, probabilities
from study import answers, collect

PAGE = Path("reports/compare.html")
WORKSPACE = "workspace"
CURVES = "metrics/train/plots/metrics/{part}/{score}.tsv"
MOST = 200
"""So many reviews are listed."""

Curves = dict[str, dict[str, list[float]]]


@dataclass(frozen=True)
class Side:
    """A run.

    Attributes:
        name: as it was asked for.
        trained: `metrics/train/metrics.json`.
        fit: of `metrics/evaluate.json`.
        curves: the values of each epoch, by score and part.
        validation: the answers to the validation part.
    """

    name: str
    trained: dict[str, Any]
    fit: dict[str, Any]
    curves: Curves
    validation: Answers

    @cached_property
    def predictions(self) -> np.ndarray:
        """Of the validation part, (n, outputs)."""
        return self.validation.predictions[0]

    @cached_property
    def labels(self) -> list[str]:
        """The answers (see `ajuste.tasks.decode`)."""
        told = self.validation
        return decode(told.task, self.predictions, told.labels, told.thresholds[0])


def read(root: Path, name: str) -> Side:
    """Read a run.

    Args:
        root: the repository.
        name: of an experiment (the latest of this name), `workspace`, or a revision of Git.

    Raises:
        PipelineError: there is no such run, or its results are neither here nor in a remote.
    """
    named = {found: ref for ref, found in reversed(collect.experiments(root).items())}
    try:
        commit = f"{named.get(name, name)}^{{commit}}"
        revision = None if name == WORKSPACE else git(root, "rev-parse", "--verify", commit).strip()
        files = DVCFileSystem(str(root), rev=revision)
        params = parse(files.read_text("params.yaml"), f"params.yaml of {name}")
        trained = json.loads(files.read_text(collect.TRAIN))
        tested = json.loads(files.read_text(collect.EVALUATE))
        told = answers.read(files, params, trained, "validation")
        curves = _curves(files)
    except (PipelineError, DvcException, OSError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PipelineError(
            f"{name}: there are no results of this run here ({reason}); give the name of an "
            f"experiment (`dvc exp show`), HEAD for the last commit, or workspace; `dvc pull` "
            f"fetches what a remote has"
        ) from None
    return Side(name, trained, tested.get("fit") or {}, curves, told)


def _curves(files: DVCFileSystem) -> Curves:
    found: Curves = {}
    for score in ("loss", "accuracy"):
        for part in vega.PARTS:
            path = CURVES.format(part=part, score=score)
            if files.exists(path):
                values = collect.column(files.read_text(path), score, "\t")
                found.setdefault(score, {})[part] = values
    return found


def blocks(one: Side, other: Side, language: str = ENGLISH) -> list[PageBlock]:
    """The page: the scores, the curves, and the validation reviews on which the runs differ.

    Args:
        one: a run.
        other: another run.
        language: a key of `ajuste.report.language.CODES`.
    """
    sides, say = (one, other), speaker(language)
    title = say("{one} and {other}", one=one.name, other=other.name)
    made: list[PageBlock] = [Heading(1, title), table(sides, say)]
    for side in sides:
        if "sentence" in side.fit and language == ENGLISH:  # `evaluate` writes it in English
            made.append(Text([f"{side.name}: {side.fit['sentence']}"]))
    made.append(Heading(2, say("Learning curves")))
    for score in (score for score in one.curves if score in other.curves):
        about = say("{score} of both by epoch; training is dashed", score=say(score))
        curves = {side.name: side.curves[score] for side in sides}
        made.append(Drawing(vega.overlaid_curves(curves, score), about))
    return [*made, *differences(one, other, say)]


def table(sides: tuple[Side, ...], say: Say) -> Table:
    """How each run fits and what it scores in validation, with 95 % intervals."""
    rows = []
    for side in sides:
        told = side.validation
        given = told.task, told.loss, told.targets, side.predictions, told.labels
        main = scores.MAIN[told.task]
        found = scores.score(*given, main, told.groups, told.thresholds[0])
        low, high = (f"{found[f'{main}_{end}']:.3f}" for end in ("low", "high"))
        rows.append(
            [
                side.name,
                say(side.fit.get("verdict") or NONE),
                f"{side.trained['parameters']['trainable']:,}",
                number(side.trained["train"]["loss"], ".3f"),
                number(side.trained["validation"]["loss"], ".3f"),
                say(
                    "{value} ({low} to {high})",
                    value=number(found[main], ".3f"),
                    low=low,
                    high=high,
                ),
                number(found.get("calibration_error"), ".3f"),
            ]
        )
    main = say(vega.title(scores.MAIN[sides[0].validation.task]))
    names = [say("run"), say("fit"), say("trained parameters")]
    names += [say("training loss"), say("validation loss")]
    names.append(say("{score} in validation (95 % interval)", score=main))
    return Table([*names, say("calibration error")], rows)


def differences(one: Side, other: Side, say: Say) -> Iterator[PageBlock]:
    """The validation reviews that the runs answer differently, the largest difference first."""
    yield Heading(2, say("Where they differ"))
    told = one.validation
    same = told.reviews == other.validation.reviews and told.labels == other.validation.labels
    if not same or told.task != other.validation.task:
        yield Text([say("The runs have other validation reviews or labels: there is no list.")])
        return
    actual, labels = decode(told.task, told.targets, told.labels), (one.labels, other.labels)
    errors = [np.abs(side.predictions - told.targets).max(axis=1) for side in (one, other)]
    apart = np.abs(one.predictions - other.predictions).max(axis=1)
    differ = [row for row in np.argsort(-apart, kind="stable") if labels[0][row] != labels[1][row]]

    def kind(row: int) -> str:
        if told.task in NUMERIC:
            closer = other if errors[0][row] > errors[1][row] else one
            return say("{name} is closer", name=closer.name)
        right = [
            side.name
            for side, given in zip((one, other), labels, strict=True)
            if given[row] == actual[row]
        ]
        return say("{name} is right", name=right[0]) if right else say("both are wrong")

    kinds = {row: kind(row) for row in differ}
    counts = [f"{name}: {count}" for name, count in Counter(kinds.values()).most_common()]
    said = say(
        "They answer {count} of {reviews} validation reviews differently{kinds}.",
        count=f"{len(differ):,}",
        reviews=f"{len(told.reviews):,}",
        kinds=f" ({', '.join(counts)})" if counts else "",
    )
    listed = say(" The first {count} are listed.", count=MOST) if len(differ) > MOST else ""
    yield Text([said + listed])
    entries = []
    for row in differ[:MOST]:
        said = (f"{side.name}: {_said(side, row, say)}" for side in (one, other))
        plain = LINE_BREAK.sub("\n", told.reviews[row])
        title = say("label {actual}; {answers}", actual=actual[row], answers="; ".join(said))
        entries.append(Entry(f"{title}: {plain[:50]}…", kinds[row], plain, words=[]))
    yield Entries(entries)


def _said(side: Side, row: int, say: Say) -> str:
    """The answer to a review, with its probability if it has one."""
    told, label = side.validation, side.labels[row]
    shares = probabilities(told.task, side.predictions[[row]])[0]
    if len(shares) != 1:
        return label
    share = 1 - shares[0] if told.task == "binary" and label == told.labels[0] else shares[0]
    return f"{label} ({say(f'{share:.2f}')})"


def main() -> None:
    """Write the page, and open it if somebody is there to see it."""
    parser = argparse.ArgumentParser(prog="python -m study.side_by_side", description=__doc__)
    parser.add_argument("one", help="an experiment, a revision of Git, or `workspace`")
    parser.add_argument("other", help="the same")
    asked = parser.parse_args()
    sides = read(Path.cwd(), asked.one), read(Path.cwd(), asked.other)
    language = reader.read()["report"]["language"]
    write_text(PAGE, html_page(blocks(*sides, language), language))
    print(f"compare: {PAGE}")
    if sys.stdout.isatty():
        webbrowser.open(PAGE.resolve().as_uri())


if __name__ == "__main__":
    run("compare", main)
