"""Show how the experiments fit, side by side: `python -m study.compare`, or `make compare`."""

import argparse
import json
import math
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import yaml

from ajuste.config import reader
from ajuste.config.nested import flatten
from ajuste.errors import printable, run
from ajuste.evaluation.scores import MAIN
from ajuste.files import read_json
from ajuste.report.numbers import NONE
from ajuste.repository import integrity
from ajuste.repository.git import show
from ajuste.repository.integrity import LOCK
from study import collect, plan
from study.means import mean

WIDTH = 80
LINES = 6  # of a cell
LONGEST = 10  # characters of the name of a model on one line
VALIDATION = "data/split/validation.parquet"
LATEST, WORKSPACE = "the last commit", "workspace"


@dataclass(frozen=True)
class Run:
    """A training and its results.

    Attributes:
        names: of the experiments that have exactly these results.
        options: the parameters that its stages read, by their full keys, as `dvc.lock` has them.
        data: the hash of its validation reviews.
        code: the hashes of what its training depends on.
        trained: `metrics/train/metrics.json`.
        tested: `metrics/evaluate.json`.
        seconds: the time of its training, if it ran in a study here.
    """

    names: list[str]
    options: dict[str, Any]
    data: str | None
    code: dict[str, Any]
    trained: dict[str, Any]
    tested: dict[str, Any]
    seconds: float | None = None

    @property
    def score(self) -> str:
        """What is compared: accuracy, or the loss for numbers."""
        return "accuracy" if "accuracy" in self.trained["validation"] else "loss"

    @property
    def main(self) -> str:
        """What is compared on the test part: the main score, or the loss for numbers."""
        main = self.options.get("evaluate.score") or MAIN.get(self.options.get("task"))
        return main or self.score if self.score == "accuracy" else self.score

    @property
    def verdict(self) -> str:
        """On the fit."""
        return (self.tested.get("fit") or {}).get("verdict") or ""

    @property
    def model(self) -> str:
        """The name of the network."""
        return str(self.options.get("model", ""))

    @property
    def measure(self) -> tuple[Any, ...]:
        """Runs with equal ones can be ranked: the data, and for a loss the function."""
        if self.score == "accuracy":
            return self.data, self.score
        return self.data, self.options.get("task"), *collect.loss(self.trained)


@dataclass
class Row:
    """Trainings that differ in their seed only; the first is the latest."""

    runs: list[Run] = field(default_factory=list)

    @property
    def first(self) -> Run:
        """The latest one."""
        return self.runs[0]

    @property
    def name(self) -> str:
        """An experiment's name if it has one; a star marks the workspace."""
        names = [name for one in self.runs for name in one.names]
        own = [name for name in names if name not in (LATEST, WORKSPACE)]
        own.sort(key=lambda name: name.startswith("seed-"))  # those of a pull request's report
        seeds = f" ({len(self.runs)} seeds)" if len(self.runs) > 1 else ""
        star = " *" if WORKSPACE in names and (own or LATEST in names) else ""
        return (own or sorted(names))[0] + seeds + star

    def values(self, read: Callable[[Run], Any]) -> list[float]:
        """A number of each training; empty if one lacks it."""
        found = [read(one) for one in self.runs]
        is_number = [isinstance(one, int | float) and math.isfinite(one) for one in found]
        return found if all(is_number) else []


def runs(root: Path, with_seconds: bool = False) -> Iterator[Run]:
    """The results in the workspace, in the last commit and in the experiments, the latest first.

    Raises:
        PipelineError: a file of the workspace is damaged, or there is no Git repository.
    """
    references = {"HEAD": LATEST, **collect.experiments(root)}  # demands a repository
    if (root / collect.TRAIN).exists():
        lock, tested = root / LOCK, root / collect.EVALUATE
        yield _run(
            WORKSPACE,
            lock.read_text(encoding="utf-8", errors="replace") if lock.exists() else "",
            read_json(root / collect.TRAIN),
            read_json(tested) if tested.exists() else {},
        )
    journal = collect.journal(root) if with_seconds else {}
    for reference, name in references.items():
        if not (trained := show(root, reference, collect.TRAIN)):
            continue
        seconds = None
        if journal:
            digest = plan.digest(collect.params(root, reference, name))
            seconds = journal.get(digest, {}).get("seconds")
        lock, tested = (show(root, reference, path) for path in (LOCK, collect.EVALUATE))
        yield _run(name, lock, json.loads(trained), json.loads(tested or "{}"), seconds)


def _run(
    name: str,
    lock: str,
    trained: dict[str, Any],
    tested: dict[str, Any],
    seconds: float | None = None,
) -> Run:
    stages = integrity.stages(lock, f"{LOCK} of {name}") if lock else {}
    options: dict[str, Any] = {}
    for stage in stages.values():
        for read in stage.get("params", {}).values():
            options |= flatten(read)
    code = {one["path"]: one.get("md5") for one in stages.get("train", {}).get("deps", [])}
    outs = stages.get("split", {}).get("outs", [])
    data = next((out.get("md5") for out in outs if out["path"] == VALIDATION), None)
    return Run([name], options, data, code, trained, tested, seconds)


def rows(found: Sequence[Run]) -> list[Row]:
    """Trainings with equal options, data and code in one row, and equal results once."""
    made: list[tuple[Any, Row]] = []
    for one in found:
        options = {key: value for key, value in one.options.items() if key != "seed"}
        key = options, one.data, one.code
        for known, row in made:
            if known != key:
                continue
            same = [old for old in row.runs if old.options.get("seed") == one.options.get("seed")]
            if not same:
                row.runs.append(one)
                break
            if same[0].trained == one.trained:
                same[0].names.extend(one.names)
                break
        else:
            made.append((key, Row([one])))
    return [row for _, row in made]


def ranked(found: Sequence[Row], measure: tuple[Any, ...]) -> list[Row]:
    """The rows of a measure, the best validation first; then the others, which have no rank."""

    def place(row: Row) -> tuple[bool, bool, float]:
        if row.first.measure != measure:
            return True, True, 0.0
        values = row.values(lambda one: one.trained["validation"].get(one.score))
        sign = -1 if row.first.score == "accuracy" else 1
        return False, not values, sign * sum(values) / len(values) if values else 0.0

    return sorted(found, key=place)


def changes(one: Run, base: dict[str, Any], short: bool = True) -> list[str]:
    """The options of a run that differ from those of `params.yaml`, such as `units=64`.

    Args:
        one: the run.
        base: the parameters to differ from, by their full keys.
        short: whether a key is shortened to its last parts, as long as it has one meaning.
    """
    own = f"models.{one.model}."
    before = {key: value for key, value in base.items() if key in one.options or own in key}
    said = []
    for key in {**before, **one.options}:
        if key in ("model", "seed"):
            continue
        old, new = (_plain(side.get(key, "unset")) for side in (base, one.options))
        if old != new:
            said.append(f"{_short(key, {*base, *one.options}, own) if short else key}={new}")
    return said


def _short(key: str, known: set[str], own: str) -> str:
    """The last parts of a key that no other key has; the options of other models do not count."""
    others = {other for other in known - {key} if own in other or not other.startswith("models.")}
    parts = key.split(".")
    ends = (".".join(parts[place:]) for place in range(len(parts) - 1, -1, -1))
    return next(end for end in ends if not any(f".{other}".endswith(f".{end}") for other in others))


def _plain(value: Any) -> str:
    """A value as text, the same for `1e-05` and `0.00001`: YAML 1.1 reads one of them as text."""
    if isinstance(value, list):
        return f"[{','.join(map(_plain, value))}]"
    if value is None or isinstance(value, bool | dict):
        return json.dumps(value)
    try:
        return f"{float(value):.10g}"
    except ValueError:
        return str(value)


def cells(
    row: Row, base: dict[str, Any], current: Run, wide: bool, test: bool = False
) -> list[str]:
    """The cells of a row, see `header`."""

    def of(part: str, score: str = row.first.score) -> str:
        return mean(row.values(lambda one: one.trained.get(part, {}).get(score)))

    def of_test(score: str) -> str:
        return mean(row.values(lambda one: one.tested.get(score)))

    verdicts = Counter(one.verdict for one in row.runs)
    fits = [f"{name} ({count})" if len(verdicts) > 1 else name for name, count in verdicts.items()]
    changed = changes(row.first, base, short=not wide)
    other = " (other data)" if row.first.measure != current.measure else ""
    shown = [
        printable(row.name + other),
        printable(row.first.model),
        "\n".join(map(printable, changed)),
        of("train"),
        of("validation"),
        *([of_test(current.main)] if test else []),
        "\n".join(fits),
    ]
    if not wide:
        return shown
    parameters = row.first.trained.get("parameters", {})
    seconds = row.values(lambda one: one.seconds)
    return [
        *(cell.replace("\n", ", ") for cell in shown),
        *(of(part, "loss") for part in ("train", "validation", "generalization_gap")),
        *([of_test("loss")] if test else []),
        *(f"{parameters[of]:,}" if of in parameters else NONE for of in ("total", "trainable")),
        f"{sum(seconds) / len(seconds):.0f}" if seconds else NONE,
    ]


def header(wide: bool, test: bool = False) -> list[str]:
    """The names of the columns."""
    parts = ["train", "valid", *(["test"] if test else [])]
    names = ["experiment", "model", "changed", *parts, "fit"]
    losses = ["train loss", "valid loss", "gap of loss", *(["test loss"] if test else [])]
    return [*names, *losses, "parameters", "trained", "seconds"] if wide else names


def table(lines: Sequence[Sequence[str]], width: int | None = None) -> list[str]:
    """The lines of a table; long cells are wrapped to keep a width.

    Args:
        lines: the cells of each row, the header first, with the columns of `header`.
        width: in characters; then the names and the changes share what the other columns leave,
            and a number and its interval are on two lines.
    """
    if width:
        lines = [[*one[:3], *(cell.replace(" ", "\n") for cell in one[3:-1]), one[-1]]
                 for one in lines]  # fmt: skip
    columns = zip(*lines, strict=True)
    widths = [max(len(part) for cell in one for part in cell.split("\n")) for one in columns]
    if width:
        widths[1] = min(widths[1], LONGEST)
        room = width - widths[1] - sum(widths[3:]) - 2 * (len(widths) - 1)
        widths[0] = min(widths[0], max(room // 2, room - widths[2]))
        widths[2] = min(widths[2], room - widths[0])
    made = []
    for line in lines:
        parts = [_wrapped(cell, size) for cell, size in zip(line, widths, strict=True)]
        for beside in zip_longest(*parts, fillvalue=""):
            padded = (f"{one:<{size}}" for one, size in zip(beside, widths, strict=True))
            made.append("  ".join(padded).rstrip())
    return made


def _wrapped(cell: str, size: int) -> list[str]:
    """The lines of a cell; a change that is too long continues after its `=`."""
    lines = []
    for part in cell.split("\n"):
        key, equals, value = part.partition("=")
        pieces = [key + equals, value] if equals and len(part) > size else [part]
        lines += [one for piece in pieces for one in textwrap.wrap(piece, size)]
    return lines if len(lines) <= LINES else [*lines[: LINES - 1], "..."]


def _committed(root: Path) -> dict[str, Any]:
    """The parameters of the last commit, by their full keys; empty if it has none.

    They are read as YAML 1.1, like those of `dvc.lock`: in both, `no` is false.

    Raises:
        PipelineError: `params.yaml` is faulty.
    """
    if not collect.params(root, "HEAD", LATEST):
        return {}
    return flatten(yaml.load(show(root, "HEAD", reader.FILE.name), yaml.CSafeLoader))


def report(root: Path, wide: bool = False, test: bool = False) -> list[str]:
    """The lines that compare all runs; those on the data of the first one are ranked.

    Args:
        root: the repository.
        wide: whether the lines are long, with all columns.
        test: whether the test part is shown. Who chooses by it has no test part left: the best of
            many scores on the same reviews is partly luck.

    Raises:
        PipelineError: see `runs`.
    """
    found = list(runs(root, with_seconds=wide))
    if not found:
        return ["no results yet; run `dvc repro`, or an experiment: `dvc exp run -S model=lstm`"]
    current = found[0]
    base = _committed(root)
    ordered = ranked(rows(found), current.measure)
    made = [cells(row, base, current, wide, test) for row in ordered]
    first, main = current.score, current.main
    scores = f"{first} and, on the test part, {main}" if test and first != main else first
    lines = [f"{scores.replace('_', ' ')}; the best validation first".capitalize()]
    lines += table([header(wide, test), *made], None if wide else WIDTH)
    if any(" *" in one[0] for one in made):
        lines.append("* is also in the workspace.")
    if any("±" in cell for one in made for cell in one):
        lines.append("± is a 95 % interval over the seeds (Student's t).")
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m study.compare", description=__doc__)
    parser.add_argument("--wide", action="store_true", help="all columns, in long lines")
    parser.add_argument("--test", action="store_true", help="the test part too; choose without it")
    print(*report(Path.cwd(), **vars(parser.parse_args())), sep="\n")


if __name__ == "__main__":
    run("compare", main)
