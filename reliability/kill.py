"""Kill `dvc repro` at random moments, and check that the last run ends as if nothing had happened.

`python -m reliability.kill --kills 100 --seed 1` clones the last commit, reduces its data, and runs
the pipeline once without a kill. Then it starts `dvc repro` in another clone, sends SIGKILL to it
and its child processes at a random moment, looks for files that are half written, and starts it
again, until the pipeline has ended. The results must have the same hashes. Then the next clone
follows, until there were as many kills as asked for.
"""

import argparse
import random
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ajuste import errors
from ajuste.errors import PipelineError
from ajuste.repository import integrity, recover, throwaway
from reliability import clones

REVIEWS, EPOCHS = 300, 3
IN_PLACE = "metrics/train/"  # DVCLive writes there; `evaluate` alone reads it, after `train`
RUNNING, LOCK = "Running stage", "Updating lock file"
MOMENTS = [("", 2.0), *[(RUNNING, 4.0)] * 3, *[(f"{RUNNING}.*{LOCK}", 0.2)] * 4]
"""When to kill: up to so many seconds after DVC has printed what matches (empty: its start)."""

Hashes = dict[str, str]


@dataclass
class Result:
    """The result of some kills.

    Attributes:
        kills: how many, by what DVC was doing.
        restored: the files that DVC could not read after a kill, how often.
        faults: what is wrong.
    """

    kills: Counter[str] = field(default_factory=Counter)
    restored: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def outputs(folder: Path, named: Iterable[str]) -> Hashes:
    """The hashes of the files at these paths, or in the folders at these paths."""
    found = {}
    for path in (folder / name for name in named):
        for file in [path, *sorted(path.rglob("*"))]:
            if file.is_file() and not integrity.is_unfinished(file):
                found[file.relative_to(folder).as_posix()] = integrity.md5(file)
    return found


def files(folder: Path) -> set[str]:
    """The files of a working tree, without temporary ones and those of Git, DVC and Python."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {
        path.as_posix()
        for path in found
        if not {".git", ".dvc", "__pycache__"} & {*path.parts} and not integrity.is_unfinished(path)
    }


def strike(folder: Path, pattern: str, seconds: float) -> str:
    """Start `dvc repro` in a clone, and kill it some seconds after its output has matched.

    Returns:
        What DVC was doing; empty if it had ended.
    """
    log = folder.with_name(f"{folder.name}.log")
    printed = partial(log.read_text, encoding="utf-8")
    with (
        log.open("w", encoding="utf-8") as output,
        throwaway.started([*clones.DVC, "repro"], folder, output) as process,
    ):
        while not re.search(pattern, printed(), re.DOTALL) and process.poll() is None:
            time.sleep(0.002)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        ended = process.poll() is not None
    steps = re.findall(rf"(?:^|\n)({RUNNING} .*|{LOCK})", printed())
    log.unlink()
    return "" if ended else ["starting DVC", *steps][-1]


def final_hashes(whole: Path) -> Hashes:
    """The hashes of all outputs of a clone and of the objects in its cache."""
    return outputs(whole, [*paths(whole), clones.OBJECTS])


def faults_at_once(folder: Path, start: Hashes, final: Hashes) -> list[str]:
    """The outputs and objects of the cache that a kill has left half written."""
    return [
        f"{name} is half written"
        for name, digest in outputs(folder, final).items()
        if digest not in (start.get(name), final.get(name)) and not name.startswith(IN_PLACE)
    ]


def faults_in_the_end(folder: Path, whole: Path) -> list[str]:
    """How a clone differs from one without a kill; the stages of `dvc.lock` may be reordered."""
    found = []
    if lock(folder) != lock(whole):
        found.append("another dvc.lock")
    if outputs(folder, paths(whole)) != outputs(whole, paths(whole)):
        found.append("other outputs")
    return [*found, *(f"{name} is left" for name in sorted(files(folder) - files(whole)))]


def paths(folder: Path) -> list[str]:
    """The paths of all outputs of a clone in which all stages have run."""
    return [out["path"] for stage in lock(folder).values() for out in stage["outs"]]


def lock(folder: Path) -> dict[str, Any]:
    """The stages of the `dvc.lock` of a clone."""
    return integrity.stages((folder / integrity.LOCK).read_text(encoding="utf-8"))


def kill(folder: Path, whole: Path, chance: random.Random, most: int, result: Result) -> None:
    """Run the pipeline in a clone, killed at random moments.

    Args:
        folder: a clone in which not all stages have run.
        whole: a clone after a run without a kill.
        chance: draws the moments.
        most: how many kills `result` may have.
        result: to it the kills and the faults are added.
    """
    final = final_hashes(whole)
    start = outputs(folder, final)
    while result.kills.total() < most:
        pattern, longest = chance.choice(MOMENTS)
        doing = strike(folder, pattern, chance.uniform(0, longest))
        if not doing:
            break
        result.kills[doing] += 1
        result.faults += faults_at_once(folder, start, final)
        result.restored.update(recover.recover(folder))
    try:
        clones.dvc(folder, "repro")
    except PipelineError as error:
        result.faults.append(str(error))
    else:
        result.faults += faults_in_the_end(folder, whole)


def main() -> None:
    """Kill as often as asked, and report."""
    parser = argparse.ArgumentParser(
        prog="python -m reliability.kill", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--kills", type=int, default=100, help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (%(default)s)")
    asked = parser.parse_args()
    chance, result, runs = random.Random(asked.seed), Result(), 0
    with throwaway.scratch() as folder:
        start, whole = folder / "start", folder / "whole"
        clones.clone(Path.cwd(), start)
        clones.shrink(start, clones.bundled_slice(start, REVIEWS), EPOCHS)
        shutil.copytree(start, whole, symlinks=True)
        clones.dvc(whole, "repro", "--force")
        while result.kills.total() < asked.kills:
            runs += 1
            place = shutil.copytree(start, folder / str(runs), symlinks=True)
            kill(place, whole, chance, asked.kills, result)
            shutil.rmtree(place)
            outcome = "; ".join(result.faults) or "no fault"
            print(f"after run {runs}: {result.kills.total()} kills, {outcome}", flush=True)
    for doing, times in result.kills.most_common():
        print(f"{times:4} kills after: {doing}")
    restored = ", ".join(f"{name} {times} times" for name, times in result.restored.items())
    print(f"{result.kills.total()} kills in {runs} runs; restored: {restored or 'nothing'}")
    if result.faults:
        raise PipelineError(f"{len(result.faults)} faults, see above")


if __name__ == "__main__":
    errors.run("kill", main)
