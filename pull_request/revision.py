"""A revision of the project: whether its results are there, and what they are.

Everything comes out of Git and DVC's cache (or its remote); the working tree is not touched.
"""

import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from dvc.api import DVCFileSystem
from dvc.dependency.base import Dependency
from dvc.exceptions import DvcException
from dvc.output import Output
from dvc.repo import Repo
from dvc.stage import Stage
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ajuste.errors import PipelineError
from ajuste.evaluation.significance import Answers
from ajuste.repository.git import git, show
from ajuste.tasks import SEPARATOR, TASKS, encode, output_names
from pull_request.changes import leaves

LABELS = "data/raw/labels.json"
TEST = "data/split/test.parquet"
PREDICTIONS = "reports/evaluate/predictions.csv"
EVALUATE = "metrics/evaluate.json"
TRAIN = "metrics/train/metrics.json"
CURVE = "metrics/train/plots/metrics/{part}/loss.tsv"

WORKSPACE = "workspace"
CHANGED = {"modified": "has changed", "new": "is new", "deleted": "is gone"}


class UnreadableError(Exception):
    """The results of a revision are not to be had; the message says why, in one line."""


@dataclass(frozen=True)
class Revision:
    """A commit.

    Attributes:
        root: the repository.
        name: what the user called it.
        commit: its full hash.
        params: its `params.yaml`; empty where it has none.
        unreproduced: for each stage whose results are not those of what is committed, why.
    """

    root: Path
    name: str
    commit: str
    params: dict[str, Any]
    unreproduced: dict[str, list[str]]

    @property
    def short(self) -> str:
        """The hash as people write it; the working tree has none that lasts."""
        return WORKSPACE if self.name == WORKSPACE else self.commit[:7]

    @property
    def has_pipeline(self) -> bool:
        """Whether there is anything to reproduce."""
        return bool(self.params) and bool(show(self.root, self.commit, "dvc.yaml"))

    @property
    def has_results(self) -> bool:
        """Whether it was ever reproduced."""
        return bool(show(self.root, self.commit, "dvc.lock"))


@dataclass(frozen=True)
class Result:
    """What one training of a revision came to.

    Attributes:
        lock: the stages of `dvc.lock`.
        metrics: for each file of metrics what is in it.
        curves: of `train` and `validation` the loss of each epoch.
        answers: to the test reviews, with one training.
    """

    lock: dict[str, Any]
    metrics: dict[str, Any]
    curves: dict[str, list[float]]
    answers: Answers

    @property
    def scores(self) -> dict[str, Any]:
        """What `evaluate` measured."""
        return self.metrics[EVALUATE]

    @property
    def verdict(self) -> str:
        """underfitting, overfitting, optimal or undecided; empty in older results."""
        return self.scores.get("fit", {}).get("verdict", "")


def find(root: Path, name: str) -> Revision:
    """A revision by any name that Git knows, or by that of an experiment of DVC.

    `workspace` is the working tree as it stands: what Git tracks of it, committed or not.

    Raises:
        PipelineError: there is no such commit, or its `params.yaml` or `dvc.yaml` is faulty.
    """
    if name == WORKSPACE:
        commit = _working_tree(root)
    else:
        commit = _committed(root, name) or _experiment(root, name)
        if not commit:
            raise PipelineError(
                f"{name}: no such revision or experiment here; `git fetch origin` gets what the "
                "clone lacks (with --unshallow, if it is shallow)"
            )
    try:
        params = _yaml(show(root, commit, "params.yaml"))
    except (YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise PipelineError(f"{name}: params.yaml is not readable as YAML: {reason}") from None
    bare = Revision(root, name, commit, params, {})
    return replace(bare, unreproduced=_unreproduced(bare)) if bare.has_pipeline else bare


def _committed(root: Path, name: str) -> str:
    """The commit that Git knows by a name, or nothing."""
    asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    try:
        return git(root, *asked).strip()
    except PipelineError:
        return ""


def _experiment(root: Path, name: str) -> str:
    """The commit of the experiment of a name, or nothing; of several, the one that began at HEAD.

    Raises:
        PipelineError: there are several, and none of them did.
    """
    listed = git(root, "for-each-ref", "--format=%(refname) %(objectname)", "refs/exps").split()
    found = dict(zip(listed[::2], listed[1::2], strict=True))
    found = {ref: commit for ref, commit in found.items() if ref.endswith(f"/{name}")}
    head = git(root, "rev-parse", "HEAD").strip()
    here = [commit for ref, commit in found.items() if f"/{head[:2]}/{head[2:]}/" in ref]
    if len(found) > 1 and not here:
        raise PipelineError(
            f"{name}: {len(found)} experiments are called so, and none began at HEAD; name the "
            "commit of one"
        )
    return next(iter(here or found.values()), "")


def _working_tree(root: Path) -> str:
    """A commit of what Git tracks as it stands; the same one for the same state.

    That of `git stash create` has the time in it, so what was run on it would not be found again.
    """
    stashed = git(root, "stash", "create").strip()
    head, date = git(root, "show", "--no-patch", "--format=%H %cI", "HEAD").split()
    if not stashed:
        return head
    commit = ("commit-tree", f"{stashed}^{{tree}}", "-p", head, "-m", WORKSPACE)
    return git(root, *commit, GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date).strip()


def untracked(root: Path) -> list[str]:
    """The files of the working tree that a commit of it leaves out, those ignored aside."""
    listed = git(root, "ls-files", "-z", "--others", "--exclude-standard")
    return [name for name in listed.split("\0") if name]


def _yaml(text: str) -> dict[str, Any]:
    found = YAML(typ="safe", pure=True).load(text) if text else {}
    return found if isinstance(found, dict) else {}


def _unreproduced(revision: Revision) -> dict[str, list[str]]:
    """What `dvc status` would say of a checkout of the revision.

    A dependency that a stage makes is not there to be looked at: it has changed if what `dvc.lock`
    says of it differs between the stage that makes it and the one that reads it.
    """
    try:
        repo = Repo(str(revision.root), rev=revision.commit)
        made = {str(out): out for stage in repo.index.stages for out in stage.outs}
        found = {stage.name: list(_reasons(stage, made)) for stage in repo.index.stages}
    except DvcException as error:
        reason = " ".join(str(error).split())
        raise PipelineError(f"{revision.name}: dvc.yaml is not readable: {reason}") from None
    return {name: reasons for name, reasons in found.items() if reasons}


def _reasons(stage: Stage, made: dict[str, Output]) -> Iterator[str]:
    if not any(dependency.hash_info for dependency in stage.deps):
        yield "was never run"
        return
    if stage.cmd_changed:
        yield "its command has changed"
    for dependency in stage.deps:
        if str(dependency) in made and made[str(dependency)].use_cache:
            if dependency.hash_info != made[str(dependency)].hash_info:
                yield f"{dependency} was made anew"
        else:
            yield from _told(dependency)
    for out in stage.outs:
        if not out.use_cache and out.status():  # a metric that Git keeps
            yield f"{out} is not what the stage wrote"


def _told(dependency: Dependency) -> Iterator[str]:
    """What a status says: of a file in a word, of parameters in one each."""
    for name, changed in dependency.status().items():
        if isinstance(changed, str):
            yield f"{name} {CHANGED.get(changed, changed)}"
            continue
        recorded, actual = dependency.hash_info.value, dependency.read_params()
        for key, how in changed.items():
            if how == "modified":
                old, new = (dict(leaves(values[key], key)) for values in (recorded, actual))
                differing = (one for one in {**old, **new} if old.get(one) != new.get(one))
                yield from (f"{one} has changed" for one in differing)
            else:
                yield f"{key} {CHANGED.get(how, how)}"


def read(root: Path, commit: str) -> Result:
    """The results that are recorded in a commit.

    Args:
        root: the repository.
        commit: a commit, or one that DVC made of an experiment.

    Raises:
        UnreadableError: they are neither in the cache nor in the remote, or they are of another
            form.
    """
    try:
        files = DVCFileSystem(str(root), rev=commit)
        params = _yaml(files.read_text("params.yaml"))
        paths = sorted(str(metric) for metric in files.repo.index.metrics)
        metrics = {path: json.loads(files.read_text(path)) for path in paths if files.exists(path)}
        curves = {part: _curve(files, part) for part in ("train", "validation")}
        return Result(
            lock=_yaml(files.read_text("dvc.lock"))["stages"],
            metrics=metrics,
            curves=curves,
            answers=_answers(files, params),
        )
    except (DvcException, OSError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableError(
            f"what DVC keeps of {commit[:7]} is neither in its cache nor in a remote ({reason})"
        ) from None
    except (KeyError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UnreadableError(
            f"the results of {commit[:7]} are of another form ({reason})"
        ) from None


def _curve(files: DVCFileSystem, part: str) -> list[float]:
    path = CURVE.format(part=part)
    if not files.exists(path):
        return []
    return pd.read_csv(io.StringIO(files.read_text(path)), sep="\t")["loss"].tolist()


def _answers(files: DVCFileSystem, params: dict[str, Any]) -> Answers:
    task = params.get("task", "binary")
    labels = json.loads(files.read_text(LABELS))
    # Threads that read a Python object abort now and then as the process ends (arrow #34314).
    test = pd.read_parquet(io.BytesIO(files.read_bytes(TEST)), use_threads=False)
    table = pd.read_csv(io.BytesIO(files.read_bytes(PREDICTIONS)), keep_default_na=False)
    if len(table) != len(test):
        raise ValueError(f"{PREDICTIONS} has {len(table)} rows for {len(test)} reviews")
    members = table["slices"].str.split(SEPARATOR) if "slices" in table else []
    names = {name: None for row in members for name in row if name}
    return Answers(
        task=task,
        loss=TASKS[task].losses[0],
        labels=labels,
        reviews=test["review"].tolist(),
        targets=encode(task, test["label"].tolist(), labels),
        predictions=table[output_names(task, labels)].to_numpy(np.float32)[None],
        slices={name: np.array([name in row for row in members]) for name in names},
    )


def together(results: Iterable[Result]) -> Answers:
    """The answers of several trainings, which were asked about the same test reviews."""
    answers = [result.answers for result in results]
    return replace(answers[0], predictions=np.concatenate([one.predictions for one in answers]))
