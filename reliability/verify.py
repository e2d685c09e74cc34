"""Run the last commit again in a fresh clone without a cache, and compare the results.

`python -m reliability.verify` (or `make verify`) checks whether every stage gives the same bytes.
If not, it says which stage differs first, and by how much. The exit code is 0 if nothing differs.
"""

import argparse
import json
from graphlib import TopologicalSorter
from hashlib import sha256
from pathlib import Path
from typing import Any

from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc_data.index import DataIndexDirError

from ajuste import errors
from ajuste.errors import PipelineError
from ajuste.files import ENVIRONMENT
from ajuste.repository import cache, integrity, throwaway
from ajuste.repository.git import git, show
from reliability import clones, compare

MODEL = "data/model/model.keras"
AVX2 = "X86_V3"  # in NumPy's words, the instruction set that portable settings need

Files = dict[str, bytes]
Stages = dict[str, Any]


def in_order(stages: Stages) -> list[str]:
    """The names of the stages in an order in which they can run."""
    maker = {path: name for name, stage in stages.items() for path in _hashes(stage, "outs")}
    read = {
        name: {maker[path] for path in _hashes(stage, "deps") if path in maker}
        for name, stage in stages.items()
    }
    return list(TopologicalSorter(read).static_order())


def differences(
    old: Stages, new: Stages, old_files: Files, new_files: Files
) -> dict[str, list[str]]:
    """How stages differ, in the order in which they run: what they were made from, their outputs.

    Args:
        old: the stages of the committed `dvc.lock`.
        new: the stages of the `dvc.lock` after the new run.
        old_files: the committed outputs, by path, as far as they are available.
        new_files: the outputs of the new run.
    """
    found: dict[str, list[str]] = {}
    made = {path for stage in new.values() for path in _hashes(stage, "outs")}
    for name in in_order({**old, **new}):
        then, now = old.get(name, {}), new.get(name, {})
        lines = _inputs(then, now, made)
        had, has = _hashes(then, "outs"), _hashes(now, "outs")
        for path in {**had, **has}:
            if words := _output(path, had.get(path), has.get(path), old_files, new_files):
                lines.append(f"{path}: {words}")
        if lines:
            found[name] = lines
    return found


def _hashes(stage: dict[str, Any], kind: str) -> dict[str, str]:
    return {entry["path"]: entry.get("md5", "") for entry in stage.get(kind, [])}


def _inputs(then: dict[str, Any], now: dict[str, Any], made: set[str]) -> list[str]:
    """How the command, the parameters and the files of a stage differ, without `made` files."""
    if not then or not now:
        return ["the stage is new" if now else "the stage is missing"]
    lines = []
    if then["cmd"] != now["cmd"]:
        lines.append(f"made by `{then['cmd']}`, now `{now['cmd']}`")
    old, new = _hashes(then, "deps"), _hashes(now, "deps")
    changed = [path for path in {**old, **new} if old.get(path) != new.get(path)]
    if files := [path for path in changed if path not in made]:
        lines.append(f"made from a different {', '.join(files)}")
    params = [compare.flat(stage.get("params", {})) for stage in (then, now)]
    if words := compare.differences(*params):
        lines.append(f"made with different parameters: {words}")
    return lines


def _output(path: str, then: str | None, now: str | None, old: Files, new: Files) -> str:
    """How an output with these hashes differs, in words."""
    if then is None or now is None:
        return "is missing" if now is None else "is new"
    had, has = (
        {name: file for name, file in files.items() if f"{name}/".startswith(f"{path}/")}
        for files in (old, new)
    )
    if not had:
        return "" if then == now else "another hash (the committed file is not available here)"
    words = []
    for name in sorted({*had, *has}):
        if name not in has or name not in had:
            words.append(f"{name} is {'missing' if name in had else 'new'}")
        elif how := compare.describe(name, had[name], has[name]):
            words.append(how if name == path else f"{name}: {how}")
    if not words and then != now:
        return "the committed dvc.lock has another hash than the committed file"
    return "; ".join(words)


def outputs(root: Path, stages: Stages, commit: str | None = None) -> Files:
    """The outputs in a working tree, or those of a commit as far as Git, cache and remote have."""
    files = DVCFileSystem(str(root), rev=commit)
    found = {}
    for path in (path for stage in stages.values() for path in _hashes(stage, "outs")):
        try:
            names = files.find(path) if files.isdir(path) else [path]
            found |= {name: files.read_bytes(name) for name in names}
        except (DvcException, DataIndexDirError, OSError):
            continue
    return found


def settings(record: dict[str, Any]) -> compare.Values:
    """What of a record of the environment can have changed the results, by name.

    With portable settings the processor, its caches and its cores cannot.
    """
    if record.get("portable") and AVX2 in record.get("instruction_set", []):
        cannot = ("processor", "caches", "instruction_set", "cores")
        record = {name: value for name, value in record.items() if name not in cannot}
        record["threads"] = record["threads"]["within"]
    return compare.flat({**record, "sha256": ""})


def environments(then: str, now: str, model: bytes | None) -> str:
    """How the environments of two trainings differ, in words.

    Args:
        then: the committed record, as text; empty if there is none.
        now: that of the new training.
        model: the committed model, if it is available.
    """
    if not then or not now:
        return "no record of it in the commit" if now else "no record of it here"
    old, new = json.loads(then), json.loads(now)
    if model and sha256(model).hexdigest() != old["sha256"]:
        return f"{ENVIRONMENT} of the commit describes another model"
    words = compare.differences(settings(old), settings(new))
    return words or "nothing differs that can change results"


def summary(stages: int, found: dict[str, list[str]]) -> str:
    """The result in one line."""
    if not found:
        return f"all {stages} stages give what is committed, byte for byte"
    first, *others = found
    more = f"; stages after that differ too: {', '.join(others)}" if others else ""
    return f"differs first in {first}: {found[first][0]}{more}"


def check_cache(root: Path, stages: Stages) -> int:
    """Hash the objects of DVC's cache that some stages read or wrote.

    Returns:
        How many there are.

    Raises:
        PipelineError: some are damaged.
    """
    entries = [{**_hashes(stage, "deps"), **_hashes(stage, "outs")} for stage in stages.values()]
    digests = [digest for hashes in entries for digest in hashes.values()]
    found = cache.objects(cache.repository(root), digests)
    if damaged := [path for path in found if not integrity.is_whole(path)]:
        raise PipelineError(
            f"{len(damaged)} of {len(found)} objects in DVC's cache are damaged; run `python -m "
            "ajuste.repository.recover`, then `dvc pull` or `dvc repro`"
        )
    return len(found)


def _say(line: str) -> None:
    print(f"verify: {line}", flush=True)


def main() -> None:
    """Check the cache, run the last commit again, compare."""
    argparse.ArgumentParser(
        prog="python -m reliability.verify", description=__doc__.splitlines()[0]
    ).parse_args()
    root = Path.cwd()
    commit = git(root, "rev-parse", "HEAD").strip()
    text = show(root, commit, "dvc.lock")
    if not text:
        raise PipelineError("the last commit has no dvc.lock; run `dvc repro` and commit it")
    old = integrity.stages(text, "dvc.lock of the last commit")
    _say(f"{check_cache(root, old)} objects in DVC's cache, none damaged")
    if changed := git(root, "status", "--porcelain", "--untracked-files=no").splitlines():
        files = ", ".join(line[3:] for line in changed)
        _say(f"commit {commit[:7]} is verified, without the uncommitted changes in {files}")
    with throwaway.scratch() as folder:
        place = folder / "clone"
        clones.clone(root, place)
        # Without --force, DVC would skip a stage whose outputs are all in Git.
        clones.dvc(place, "repro", "--force", show=True)
        new = integrity.stages((place / "dvc.lock").read_text(encoding="utf-8"))
        committed = outputs(root, old, commit)
        found = differences(old, new, committed, outputs(place, new))
        now = place / ENVIRONMENT
        record = now.read_text(encoding="utf-8") if now.exists() else ""
    words = environments(show(root, commit, str(ENVIRONMENT)), record, committed.get(MODEL))
    _say(f"environment of the training: {words}")
    for name, lines in found.items():
        for line in lines:
            _say(f"{name} differs: {line}")
    if found:
        raise PipelineError(summary(len(new), found))
    _say(summary(len(new), found))


if __name__ == "__main__":
    errors.run("verify", main)
