"""Read the results of experiments from Git, where DVC keeps them."""

import csv
import io
import json
import re
import shlex
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException

from ajuste.config.reader import parse
from ajuste.errors import PipelineError
from ajuste.evaluation.significance import Answers
from ajuste.files import read_json
from ajuste.repository.git import git, show
from study import answers, plan
from study.plan import Experiment, Plan

FOLDER = Path(".dvc/tmp/study")
LOGS = FOLDER / "logs"
JOURNAL = FOLDER / "trainings.json"

TRAIN = "metrics/train/metrics.json"
EVALUATE = "metrics/evaluate.json"
SPLIT = "metrics/split.json"
BASELINE = "metrics/baseline.json"
CURVES = "metrics/train/plots/metrics/{part}/loss.tsv"
VALIDATION = "data/predictions/validation.npz"
REFERENCE = r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/[^/]+"  # DVC keeps others below refs/exps
GRADIENT = "reports/train/gradient_through_time.csv"


@dataclass(frozen=True)
class Result:
    """An experiment and its results; a result that is missing is empty.

    Attributes:
        experiment: its name and overrides.
        command: the shell command that runs it.
        train: `metrics/train/metrics.json`.
        scores: `metrics/evaluate.json`.
        split: `metrics/split.json`, the number of reviews of each part.
        baseline: `metrics/baseline.json`.
        curves: the loss of each epoch, for `train` and `validation`.
        gradient: the norm of the gradient at each step, the last step first.
        validation: the answers to the validation part (see `validation`), for remedies and what
            they are for.
        answers: in a study with seeds, to the reviews of each part that is shown.
        seconds: the time of its training, if it ran here.
        environment: software and processor of its training (`ajuste.training.environment`), if it
            ran here.
        failure: why there are no results, in one line.
        log: the path of its log, if it failed.
    """

    experiment: Experiment
    command: str = ""
    train: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    split: dict[str, Any] = field(default_factory=dict)
    baseline: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)
    gradient: list[float] = field(default_factory=list)
    validation: dict[str, np.ndarray] = field(default_factory=dict)
    answers: dict[str, Answers] = field(default_factory=dict)
    seconds: float | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    failure: str = ""
    log: str = ""

    @property
    def fit(self) -> dict[str, Any]:
        """The verdict on the fit, with its reasons."""
        return self.scores.get("fit") or {}

    @property
    def verdict(self) -> str:
        """underfitting, overfitting, optimal or undecided; empty if there is none."""
        return self.fit.get("verdict") or ""


@dataclass(frozen=True)
class Base:
    """The commit that experiments start from.

    Attributes:
        root: the repository.
        commit: its full hash.
        params: its `params.yaml`.
    """

    root: Path
    commit: str
    params: dict[str, Any]


def loss(train: dict[str, Any]) -> tuple[Any, ...]:
    """What the loss of a training is: only equal ones can be compared."""
    return train.get("loss_function"), train.get("class_weight")


def base(root: Path) -> Base:
    """HEAD of a repository.

    Raises:
        PipelineError: there is no commit, or it has no `params.yaml`.
    """
    commit = git(root, "rev-parse", "HEAD").strip()
    given = params(root, commit, "the last commit")
    if not given:
        raise PipelineError(
            "the last commit has no params.yaml here; run the command in the root of the repository"
        )
    return Base(root, commit, given)


def params(root: Path, commit: str, name: str) -> dict[str, Any]:
    """The `params.yaml` of a commit; empty if it has none.

    Raises:
        PipelineError: the file is faulty; the message has the `name` of the commit.
    """
    try:
        text = show(root, commit, "params.yaml")
    except UnicodeDecodeError:
        raise PipelineError(f"params.yaml of {name}: not UTF-8; save it as UTF-8") from None
    return parse(text, f"params.yaml of {name}") if text else {}


def ref(commit: str, name: str) -> str:
    """The Git reference of an experiment that starts from a commit."""
    return f"refs/exps/{commit[:2]}/{commit[2:]}/{name}"


def experiments(root: Path) -> dict[str, str]:
    """The name of each experiment by its Git reference; the latest comes first."""
    listed = git(
        root, "for-each-ref", "--sort=-committerdate", "--format=%(refname)", "refs/exps"
    ).split()
    return {one: one.split("/")[4] for one in listed if re.fullmatch(REFERENCE, one)}


def is_done(start: Base, experiment: Experiment) -> bool:
    """Whether an experiment has this name and exactly these parameters."""
    found = params(start.root, ref(start.commit, experiment.name), experiment.name)
    return found == plan.merged(start.params, experiment.overrides)


def header(start: Base, experiment: Experiment) -> str:
    """The first line of a log. It shows whether the log belongs to this commit and command."""
    return f"{start.commit} {shlex.join(plan.command(experiment, start.params))}"


def journal_key(start: Base, experiment: Experiment) -> str:
    """The key of a training in the journal; it depends on the parameters, not on the name."""
    return plan.digest(plan.merged(start.params, experiment.overrides))


def journal(root: Path) -> dict[str, dict[str, Any]]:
    """The trainings that ran here, each with its seconds and its environment."""
    path = root / JOURNAL
    return read_json(path) if path.exists() else {}


def collect(start: Base, experiment: Experiment) -> Result:
    """The results of one experiment."""
    command = shlex.join(plan.command(experiment, start.params))
    if not is_done(start, experiment):
        log = start.root / LOGS / f"{experiment.name}.log"
        text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        if text.startswith(header(start, experiment) + "\n"):
            return Result(experiment, command, failure=reason(text), log=str(LOGS / log.name))
        return Result(experiment, command, failure="not run yet")
    revision = ref(start.commit, experiment.name)
    paths = {"train": TRAIN, "scores": EVALUATE, "split": SPLIT, "baseline": BASELINE}
    files = {
        name: json.loads(show(start.root, revision, path) or "{}") for name, path in paths.items()
    }
    curves = {
        part: column(show(start.root, revision, CURVES.format(part=part)), "loss", "\t")
        for part in ("train", "validation")
    }
    return Result(
        experiment,
        command,
        **files,
        curves={part: values for part, values in curves.items() if values},
        gradient=column(show(start.root, revision, GRADIENT), "norm", ","),
        **journal(start.root).get(journal_key(start, experiment), {}),
    )


def validation(start: Base, result: Result) -> dict[str, np.ndarray]:
    """`targets` and `predictions` of the validation part; empty if the cache has lost them."""
    try:
        files = DVCFileSystem(str(start.root), rev=ref(start.commit, result.experiment.name))
        return dict(np.load(io.BytesIO(files.read_bytes(VALIDATION))))
    except (DvcException, OSError):
        return {}


def answered(start: Base, result: Result, parts: Iterable[str]) -> dict[str, Answers]:
    """The answers to the reviews of each part; those that the cache has lost are left out."""
    if result.failure:
        return {}
    files = DVCFileSystem(str(start.root), rev=ref(start.commit, result.experiment.name))
    values, found = plan.merged(start.params, result.experiment.overrides), {}
    for part in parts:
        with suppress(DvcException, OSError):
            found[part] = answers.read(files, values, result.train, part)
    return found


def follow_up(start: Base, result: Result) -> Experiment | None:
    """The experiment that tries the first remedy for a result (see `plan.remedy`)."""
    values = plan.merged(start.params, result.experiment.overrides)
    return plan.remedy(result.experiment, result.fit, values)


def collect_all(start: Base, study: Plan, test: bool = False) -> list[Result]:
    """The results of a study; a remedy comes after the experiment that it is for.

    Args:
        start: the commit that the experiments start from.
        study: the list.
        test: whether the test part is shown.
    """
    results = []
    parts = ["validation", *(["test"] if test else [])]
    for experiment in study.experiments:
        result = collect(start, experiment)
        if experiment.repeats:
            result = replace(result, answers=answered(start, result, parts))
        results.append(result)
        if study.follow and (remedy := follow_up(start, result)):
            both = result, collect(start, remedy)
            results[-1:] = [replace(one, validation=validation(start, one)) for one in both]
    return results


def reason(log: str) -> str:
    """Why a run failed, in one line of its log.

    It is the last line of the stage, or the error of DVC if the stage wrote none or was killed. An
    indented line continues the line before it.
    """
    lines = re.sub("\n +", "; ", log).splitlines()[1:]
    lines = [line.strip() for line in lines if line.strip()]
    faults = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    started = max(
        (at for at, line in enumerate(lines) if line.startswith("> ")), default=len(lines)
    )
    said = [line for line in lines[started + 1 :] if not line.startswith(("ERROR: ", "WARNING: "))]
    killed = [fault for fault in faults if "exited with -" in fault]
    return (killed or said or faults or lines or ["no reason given"])[-1]


def losses(path: Path) -> list[float]:
    """The loss after each epoch, in a curve that a training may be writing."""
    try:
        whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
    except OSError:
        return []
    return column(whole, "loss", "\t")


def column(text: str, name: str, separator: str) -> list[float]:
    """The numbers of a column of a table as text."""
    rows = csv.DictReader(io.StringIO(text), delimiter=separator)
    return [float(row[name]) for row in rows]
