"""Run the last commit anew, in a fresh clone without a cache, and compare with what is committed.

`python -m reliability.verify` (or `make verify`) says whether every stage gives the same bytes, and
otherwise which one differs first, and by how much. It ends with 0 if all is the same, 1 if not.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc_data.index import DataIndexDirError

from ajuste import errors
from ajuste.errors import PipelineError
from ajuste.repository import cache, integrity
from ajuste.repository.git import git, show
from ajuste.training import environment
from reliability import clones, compare

RECORD = "reports/train/environment.json"  # what the committed weights were made with

Files = dict[str, bytes]
Stages = dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """How a stage differs from what is committed of it.

    Attributes:
        inputs: what it was made from then and what now, in words, one each.
        outputs: by path, in words.
        follows: the stages before it that differ too.
    """

    inputs: list[str] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    follows: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """All that differs, one thing each."""
        return [*self.inputs, *(f"{path}: {how}" for path, how in self.outputs.items())]

    def short(self) -> str:
        """What it was made from, and the first output that differs."""
        outputs = self.lines()[len(self.inputs) :]
        more = [f"and {len(outputs) - 1} more outputs"] if len(outputs) > 1 else []
        return "; ".join([*self.inputs, *outputs[:1], *more])


def before(stages: Stages) -> dict[str, list[str]]:
    """For each stage those whose outputs it reads, in an order in which they can run."""
    maker = {out["path"]: name for name, stage in stages.items() for out in stage.get("outs", [])}
    read = {
        name: [maker[dep["path"]] for dep in stage.get("deps", []) if dep["path"] in maker]
        for name, stage in stages.items()
    }
    return {name: read[name] for name in TopologicalSorter(read).static_order()}


def differences(
    old: Stages, new: Stages, old_files: Files, new_files: Files
) -> dict[str, Difference]:
    """The stages that differ, in the order in which they run.

    Args:
        old: the stages of the committed `dvc.lock`.
        new: those of the `dvc.lock` that a fresh run wrote.
        old_files: the outputs that are committed, by their path; those that are not to be had are
            left out.
        new_files: the outputs of the fresh run.

    Returns:
        By its name, the `Difference` of each.
    """
    found: dict[str, Difference] = {}
    made = {path for stage in new.values() for path in _outs(stage)}
    for name, read in before({**old, **new}).items():
        then, now = old.get(name, {}), new.get(name, {})
        outputs = {}
        for path in dict.fromkeys(
            out["path"] for out in then.get("outs", []) + now.get("outs", [])
        ):
            if words := _output(path, _hash(then, path), _hash(now, path), old_files, new_files):
                outputs[path] = words
        inputs = list(_inputs(then, now, made))
        follows = [one for one in dict.fromkeys(read) if one in found]
        if inputs or outputs:
            found[name] = Difference(inputs, outputs, follows)
    return found


def _outs(stage: dict[str, Any]) -> list[str]:
    return [out["path"] for out in stage.get("outs", [])]


def _hash(stage: dict[str, Any], path: str) -> str:
    return next((out["md5"] for out in stage.get("outs", []) if out["path"] == path), "")


def _output(path: str, then: str, now: str, old: Files, new: Files) -> str:
    """How an output differs, in words."""
    if not (then and now):
        return "is new" if now else "is not made any more"
    had, has = ({name: file for name, file in files.items() if _within(name, path)}
                for files in (old, new))  # fmt: skip
    if not had:
        return "" if then == now else "another hash (what is committed is neither here nor pulled)"
    told = []
    for name in sorted({*had, *has}):
        if name not in has or name not in had:
            words = "is not made any more" if name in had else "is new"
        else:
            words = compare.describe(name, had[name], has[name])
        if words:
            told.append(words if name == path else f"{name.removeprefix(path + '/')}: {words}")
    if not told and then != now:
        told = ["another hash in dvc.lock than that of the committed file"]
    return "; ".join(told)


def _within(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}/")


def _inputs(then: dict[str, Any], now: dict[str, Any], made: set[str]) -> Iterator[str]:
    """What a stage was made from then and is now, but for what other stages made."""
    if not then or not now:
        yield "the stage is new" if now else "there is no such stage any more"
        return
    if then["cmd"] != now["cmd"]:
        yield f"made by `{then['cmd']}`, now `{now['cmd']}`"
    old, new = ({dep["path"]: dep.get("md5") for dep in stage.get("deps", [])
                 if dep["path"] not in made} for stage in (then, now))  # fmt: skip
    if changed := [path for path in {**old, **new} if old.get(path) != new.get(path)]:
        yield f"made with another {', '.join(changed)}"
    if words := compare.leaves(then.get("params", {}), now.get("params", {})):
        yield f"made with other parameters: {words}"


def committed(root: Path, commit: str, stages: Stages) -> Files:
    """The outputs of a commit, out of Git and of DVC's cache or its remote, as far as they are."""
    files = DVCFileSystem(str(root), rev=commit)
    found = {}
    for path in (path for stage in stages.values() for path in _outs(stage)):
        try:
            names = files.find(path) if files.isdir(path) else [path]
            found |= {name: files.read_bytes(name) for name in names}
        except (DvcException, DataIndexDirError, OSError):
            continue
    return found


def fresh(folder: Path, stages: Stages) -> Files:
    """The outputs in a working tree."""
    found = {}
    for path in (folder / path for stage in stages.values() for path in _outs(stage)):
        inner = [path] if path.is_file() else sorted(path.rglob("*"))
        found |= {
            one.relative_to(folder).as_posix(): one.read_bytes() for one in inner if one.is_file()
        }
    return found


def summary(stages: int, found: dict[str, Difference]) -> str:
    """What came of it, in one line."""
    if not found:
        return f"all {stages} stages give what is committed, byte for byte"
    first, *others = [f"{name}: {one.short()}" for name, one in found.items() if not one.follows]
    following = [name for name, one in found.items() if one.follows]
    return ". ".join([
        f"differs first in {first}",
        *(f"Also {other}" for other in others),
        *([f"What follows differs too: {', '.join(following)}"] if following else []),
    ])  # fmt: skip


def _say(line: str) -> None:
    print(f"verify: {line}", flush=True)


def main() -> None:
    """Check the cache, run the last commit anew, compare."""
    argparse.ArgumentParser(
        prog="python -m reliability.verify", description=__doc__.splitlines()[0]
    ).parse_args()
    root = Path.cwd()
    commit = git(root, "rev-parse", "HEAD").strip()
    text = show(root, commit, "dvc.lock")
    if not text:
        raise PipelineError("the last commit has no dvc.lock; run `dvc repro` and commit it")
    old = integrity.stages(text, "dvc.lock of the last commit")
    _say(f"{cache.check(root, old)} objects in DVC's cache, all whole")
    changed = git(root, "status", "--porcelain", "--untracked-files=no").splitlines()
    if changed:
        files = ", ".join(line[3:] for line in changed)
        _say(f"uncommitted changes in {files} are left out: it is {commit[:7]} that is verified")
    with clones.scratch() as folder:
        place = folder / "clone"
        clones.clone(root, place)
        # A stage all of whose outputs are in Git would pass for done.
        clones.dvc(place, "repro", "--force", show=True)
        new = integrity.stages((place / "dvc.lock").read_text(encoding="utf-8"))
        found = differences(old, new, committed(root, commit, old), fresh(place, new))
        now = place / RECORD
        record = now.read_text(encoding="utf-8") if now.exists() else ""
    if then := show(root, commit, RECORD):
        _say(f"what is committed was made with {environment.words(json.loads(then))}")
        if record != then:
            _say(f"what differs from it, here, with {environment.words(json.loads(record))}")
    for name, difference in found.items():
        for line in difference.lines():
            _say(f"{name} differs: {line}")
    if found:
        raise PipelineError(summary(len(new), found))
    _say(summary(len(new), found))


if __name__ == "__main__":
    errors.run("verify", main)
