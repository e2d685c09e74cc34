"""A revision of the project and its results.

They come from Git and from DVC's cache or remote; the working tree does not change.
"""

import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from dvc.api import DVCFileSystem
from dvc.dependency import ParamsDependency
from dvc.dependency.base import Dependency
from dvc.exceptions import DvcException
from dvc.output import Output
from dvc.stage import Stage

from ajuste.config import reader
from ajuste.config.nested import flatten
from ajuste.errors import PipelineError
from ajuste.evaluation.significance import Answers
from ajuste.repository import cache
from ajuste.repository.git import git, show
from pull_request.changes import MISSING
from study import answers, collect

EVALUATE = "metrics/evaluate.json"
TRAIN = "metrics/train/metrics.json"
CURVE = "metrics/train/plots/metrics/{part}/loss.tsv"

WORKSPACE = "workspace"
CHANGED = {"modified": "has changed", "new": "is new", "deleted": "is missing"}


class UnreadableError(PipelineError):
    """The results of a revision cannot be read; the message says why, in one line."""


@dataclass(frozen=True)
class Revision:
    """A commit.

    Attributes:
        root: the repository.
        name: its name in the command.
        commit: its full hash.
        params: its `params.yaml`; empty if it has none.
        unreproduced: the stages whose results are out of date, with the reasons.
    """

    root: Path
    name: str
    commit: str
    params: dict[str, Any]
    unreproduced: dict[str, list[str]]

    @property
    def short(self) -> str:
        """The short hash, or `workspace` for the working tree."""
        return WORKSPACE if self.name == WORKSPACE else self.commit[:7]

    @property
    def has_pipeline(self) -> bool:
        """Whether it has `params.yaml` and `dvc.yaml`."""
        return bool(self.params) and bool(show(self.root, self.commit, "dvc.yaml"))

    @property
    def has_results(self) -> bool:
        """Whether it has `dvc.lock`."""
        return bool(show(self.root, self.commit, "dvc.lock"))


@dataclass(frozen=True)
class Result:
    """The results of one training of a revision.

    Attributes:
        lock: the stages of `dvc.lock`.
        metrics: the content of each metrics file.
        curves: the loss of each epoch, for `train` and `validation`.
        answers: to the test reviews, of one training.
    """

    lock: dict[str, Any]
    metrics: dict[str, Any]
    curves: dict[str, list[float]]
    answers: Answers

    @property
    def scores(self) -> dict[str, Any]:
        """The metrics of the stage `evaluate`."""
        return self.metrics[EVALUATE]

    @property
    def verdict(self) -> str:
        """underfitting, overfitting, optimal or undecided; empty in older results."""
        return self.scores.get("fit", {}).get("verdict", "")

    @property
    def sentence(self) -> str:
        """How it fits, how good it is and what to try; empty in older results."""
        return self.scores.get("fit", {}).get("sentence", "")


def find(root: Path, name: str) -> Revision:
    """A revision by a name of Git or of a DVC experiment.

    `workspace` is the working tree: the files that Git tracks, with their uncommitted changes.

    Raises:
        PipelineError: there is no such commit, or its `params.yaml` or `dvc.yaml` is faulty.
    """
    if name == WORKSPACE:
        commit = _working_tree(root)
    else:
        commit = _committed(root, name) or _experiment(root, name) or _remote(root, name)
        if not commit:
            raise PipelineError(f"{name}: no such revision or experiment; {_advice(root, name)}")
    bare = Revision(root, name, commit, collect.params(root, commit, name), {})
    return replace(bare, unreproduced=_unreproduced(bare)) if bare.has_pipeline else bare


def _committed(root: Path, name: str) -> str:
    """The commit with a name of Git, or an empty string."""
    asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    try:
        return git(root, *asked).strip()
    except PipelineError:
        return ""


def _experiment(root: Path, name: str) -> str:
    """The commit of an experiment, or an empty string; of several, the one that starts from HEAD.

    Raises:
        PipelineError: there are several, and none starts from HEAD.
    """
    found = [ref for ref, called in collect.experiments(root).items() if called == name]
    head = git(root, "rev-parse", "HEAD").strip()
    here = [ref for ref in found if ref == collect.ref(head, name)]
    if len(found) > 1 and not here:
        raise PipelineError(
            f"{name}: {len(found)} experiments have this name, and none starts from HEAD; use the "
            "commit of one"
        )
    return _committed(root, (here or found)[0]) if found else ""


def _remote(root: Path, name: str) -> str:
    """The commit of a branch that only a remote has, or an empty string; `git switch` does so too.

    A clone of one branch has no other local branch.
    """
    branch, before = re.fullmatch(r"([^~^]*)(.*)", name, re.DOTALL).groups()  # `main~1`
    found = [one for one in _names(root, "refs/remotes") if one.partition("/")[2] == branch]
    if len(found) != 1:
        return ""
    print(f"{branch}: there is no such branch here, so {found[0]} is used")
    return _committed(root, f"refs/remotes/{found[0]}{before}")


def _advice(root: Path, name: str) -> str:
    """What to do about an unknown name."""
    known = [WORKSPACE, *_names(root, "refs/heads", "refs/tags")]
    known += [one.partition("/")[2] for one in _names(root, "refs/remotes")]
    known += collect.experiments(root).values()
    close = reader.meant(name, known)
    question = f"did you mean `{close}`? " if close else ""
    if git(root, "rev-parse", "--is-shallow-repository").strip() == "true":
        return f"{question}the clone is shallow; `git fetch --unshallow` gets older commits"
    if remotes := git(root, "remote").split():
        every = f"git fetch --tags {remotes[0]} '+refs/heads/*:refs/remotes/{remotes[0]}/*'"
        return f"{question}`{every}` gets all branches and tags"
    return f"{question}valid: {', '.join(dict.fromkeys(known))}, or a commit"


def _names(root: Path, *kinds: str) -> list[str]:
    """The names of branches and tags, without the first part `refs/heads/` or the like."""
    listed = git(root, "for-each-ref", "--format=%(refname)", *kinds).split()
    return [one.split("/", 2)[2] for one in listed if not one.endswith("/HEAD")]


def _working_tree(root: Path) -> str:
    """A commit of the files that Git tracks; equal files give the same commit.

    The commit of `git stash create` contains the time, so its results would not be found again.
    """
    stashed = git(root, "stash", "create").strip()
    head, date = git(root, "show", "--no-patch", "--format=%H %cI", "HEAD").split()
    if not stashed:
        return head
    commit = ("commit-tree", f"{stashed}^{{tree}}", "-p", head, "-m", WORKSPACE)
    return git(root, *commit, GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date).strip()


def is_same(one: Revision, other: Revision) -> bool:
    """Whether two revisions have the same results: one commit, or one `dvc.lock` up to date."""
    if one.commit == other.commit:
        return True
    locks = [show(side.root, side.commit, "dvc.lock") for side in (one, other)]
    return locks[0] == locks[1] != "" and not (one.unreproduced or other.unreproduced)


def untracked(root: Path) -> list[str]:
    """The files of the working tree that Git neither tracks nor ignores."""
    listed = git(root, "ls-files", "-z", "--others", "--exclude-standard")
    return [name for name in listed.split("\0") if name]


def _unreproduced(revision: Revision) -> dict[str, list[str]]:
    """The output of `dvc status` in a checkout of the revision, without the `.dvc` files.

    The output of another stage or of a `.dvc` file has changed if its hash there differs from the
    one in `dvc.lock` of the stage that reads it. A frozen stage does not look at what it reads.
    """
    try:
        repo = cache.at(revision.root, revision.commit)
        made = {out.fs_path: out for stage in repo.index.stages for out in stage.outs}
        run = [stage for stage in repo.index.stages if not stage.is_data_source]
        found = {stage.name: list(_reasons(stage, made)) for stage in run}
    except DvcException as error:
        reason = " ".join(str(error).split())
        raise PipelineError(f"{revision.name}: dvc.yaml is not readable: {reason}") from None
    return {name: reasons for name, reasons in found.items() if reasons}


def _reasons(stage: Stage, made: dict[str, Output]) -> Iterator[str]:
    if not any(one.hash_info for one in (*stage.deps, *stage.outs)):
        yield "was never run"
        return
    if stage.cmd_changed:
        yield "its command has changed"
    for dependency in () if stage.frozen else stage.deps:
        path = PurePosixPath(dependency.fs_path)
        holding = next((made[str(one)] for one in (path, *path.parents) if str(one) in made), None)
        if holding and holding.use_cache:
            if dependency.hash_info.value != _recorded(dependency, holding):
                yield f"{dependency} has changed"
        else:
            yield from _changes(dependency)
    for out in stage.outs:
        if not out.use_cache and out.status():  # a metric that Git keeps
            yield f"{out} is not the output of the stage"


def _recorded(dependency: Dependency, holding: Output) -> str | None:
    """The hash of what a stage reads, which is an output or a file in it."""
    if dependency.fs_path == holding.fs_path:
        return holding.hash_info.value
    try:
        return dependency.repo.dvcfs.info(dependency.fs_path).get("md5")
    except FileNotFoundError:  # the folder has no such file, or its list is not in the cache
        return None


def _changes(dependency: Dependency) -> Iterator[str]:
    """The changes of a file, or of each parameter."""
    if isinstance(dependency, ParamsDependency):
        old, new = flatten(dependency.hash_info.value or {}), flatten(dependency.read_params())
        names = [one for one in {**old, **new} if old.get(one, MISSING) != new.get(one, MISSING)]
        yield from (f"{one} has changed" for one in names)
    else:
        yield from (f"{path} {CHANGED.get(how, how)}" for path, how in dependency.status().items())


def read(root: Path, commit: str) -> Result:
    """The results that are recorded in a commit.

    Args:
        root: the repository.
        commit: of a branch or of an experiment.

    Raises:
        UnreadableError: they are neither in the cache nor in a remote, or have an unknown format.
    """
    try:
        files = DVCFileSystem(str(root), rev=commit)
        params = reader.parse(files.read_text("params.yaml"), "params.yaml")
        paths = sorted(str(metric) for metric in files.repo.index.metrics)
        metrics = {path: json.loads(files.read_text(path)) for path in paths if files.exists(path)}
        curves = {part: _curve(files, part) for part in ("train", "validation")}
        return Result(
            lock=reader.parse(files.read_text("dvc.lock"), "dvc.lock")["stages"],
            metrics=metrics,
            curves=curves,
            answers=answers.read(files, params, metrics.get(TRAIN, {}), "test"),
        )
    except (DvcException, OSError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableError(
            f"the outputs of {commit[:7]} are neither in the DVC cache nor in a remote ({reason})"
        ) from None
    except (KeyError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UnreadableError(f"unknown format of the results of {commit[:7]} ({reason})") from None


def _curve(files: DVCFileSystem, part: str) -> list[float]:
    path = CURVE.format(part=part)
    if not files.exists(path):
        return []
    return pd.read_csv(io.StringIO(files.read_text(path)), sep="\t")["loss"].tolist()


def together(results: Iterable[Result]) -> Answers:
    """The answers of several trainings to the same test reviews."""
    return answers.together(result.answers for result in results)
