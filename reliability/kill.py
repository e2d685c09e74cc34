"""Kill `dvc repro` at random moments, and see that the next one ends as if nothing had been.

`python -m reliability.kill --kills 100 --seed 1` clones the last commit, makes it small, and runs
its stages once without disturbance. Then, for each kill, it takes a copy of the state before one of
the stages, starts `dvc repro` there, ends it and all its processes with SIGKILL at a moment drawn
at random, looks whether anything half written stands at its final name, and runs `dvc repro` again,
which must end in the same hashes.
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
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ajuste import errors
from ajuste.config import reader
from ajuste.errors import PipelineError
from ajuste.repository import integrity, recover
from reliability import clones

REVIEWS, EPOCHS = 300, 3
LOCK_SECONDS = 0.2  # DVC says that it writes dvc.lock before it does, and takes about so long
IN_PLACE = "metrics/train/"  # DVCLive writes there, and only `evaluate` reads it, after `train`
LOCK = "Updating lock file"
STAGE = re.compile(r"^Running stage '(\w+)'", re.MULTILINE)

Hashes = dict[str, str]


@dataclass(frozen=True)
class State:
    """The repository as it is before a stage runs.

    Attributes:
        stage: that stage.
        folder: a clone in this state, to be copied.
        seconds: how long `dvc repro` of that stage takes.
    """

    stage: str
    folder: Path
    seconds: float


@dataclass(frozen=True)
class Moment:
    """When to kill.

    Attributes:
        line: what DVC must have said first; nothing for its start.
        seconds: how long after that.
    """

    line: str
    seconds: float


@dataclass(frozen=True)
class Killed:
    """What a kill did.

    Attributes:
        stage: the one that was under way, or was to come.
        phase: what was going on.
        torn: what DVC could not read any more, and had to be put back.
        faults: what is not as it should be.
        reordered: whether the bytes of `dvc.lock` are others. Cut off between two stages it is
            one that DVC can read, and the stages that it then lacks come last.
        scraps: whether DVC left a temporary file of its own, which nobody reads.
    """

    stage: str
    phase: str
    torn: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    reordered: bool = False
    scraps: bool = False


def outputs(folder: Path, named: Iterable[str]) -> Hashes:
    """The hashes of the files that stand at, or below, the paths of outputs."""
    found = {}
    for path in (folder / name for name in named):
        files = [path] if path.is_file() else sorted(path.rglob("*"))
        names = {one.relative_to(folder).as_posix(): one for one in files if one.is_file()}
        found |= {
            name: integrity.md5(one)
            for name, one in names.items()
            if not integrity.is_unfinished(one)
        }
    return found


def files(folder: Path) -> set[str]:
    """The files of a working tree, but for what Git, DVC and Python keep."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {
        path.as_posix()
        for path in found
        if path.parts[0] not in (".git", ".dvc") and "__pycache__" not in path.parts
    }


def strike(folder: Path, moment: Moment) -> tuple[str, str]:
    """Start `dvc repro` in a clone and kill it.

    Returns:
        The stage that was under way, empty where none was, and what was going on.
    """
    log = folder.with_name(f"{folder.name}.log")
    with (
        log.open("w", encoding="utf-8") as output,
        clones.started([*clones.DVC, "repro"], folder, output) as process,
    ):
        while moment.line not in log.read_text(encoding="utf-8") and process.poll() is None:
            time.sleep(0.002)
        with suppress(subprocess.TimeoutExpired):
            process.wait(moment.seconds)
        ended = process.poll() is not None
    said = log.read_text(encoding="utf-8")
    log.unlink()
    began = STAGE.findall(said)
    if ended:
        phase = "it had ended"
    elif LOCK in said.rsplit("Running stage", 1)[-1]:
        phase = "dvc.lock, or between two stages"
    elif began:
        phase = "in the stage, or as DVC kept what it wrote"
    else:
        phase = "before it ran"
    return (began or [""])[-1], phase


def faults_at_once(folder: Path, start: Hashes, final: Hashes) -> list[str]:
    """What a kill must not leave: an output, or an object of the cache, that is half written."""
    there = outputs(folder, final)
    half = [
        name
        for name, digest in there.items()
        if digest not in (start.get(name), final.get(name)) and not name.startswith(IN_PLACE)
    ]
    damaged = integrity.damaged(folder / ".dvc/cache/files/md5")
    return [f"{name} is half written" for name in [*half, *map(str, damaged)]]


def repeat(folder: Path) -> tuple[list[str], list[str]]:
    """Run `dvc repro` after a kill, and after `python -m ajuste.repository.recover` if it fails.

    Returns:
        What had to be put back because DVC could not read it, and what DVC said if it failed all
        the same.
    """
    torn: list[str] = []
    while True:
        try:
            clones.dvc(folder, "repro")
        except PipelineError as error:
            mended = recover.recover(folder)
            if not mended:
                return torn, [str(error)]
            torn += mended
        else:
            return torn, []


def faults_in_the_end(folder: Path, whole: Path) -> list[str]:
    """How a clone differs from one that was not disturbed."""
    found = []
    if lock(folder) != lock(whole):
        found.append("another dvc.lock")
    if outputs(folder, paths(whole)) != outputs(whole, paths(whole)):
        found.append("other outputs")
    left = [name for name in files(folder) - files(whole) if not _is_scrap(name)]
    return [*found, *(f"{name} is left" for name in sorted(left))]


def _is_scrap(name: str) -> bool:
    return fnmatchcase(Path(name).name, integrity.DVC_UNFINISHED)


def paths(folder: Path) -> list[str]:
    """The paths of all outputs of a clone in which all stages have run."""
    return [out["path"] for stage in lock(folder).values() for out in stage["outs"]]


def lock(folder: Path) -> dict[str, Any]:
    """The stages of the `dvc.lock` of a clone."""
    return integrity.stages((folder / integrity.LOCK).read_text(encoding="utf-8"))


def prepare(root: Path, folder: Path) -> tuple[Path, list[State]]:
    """Run the pipeline once, stage by stage.

    Args:
        root: the repository, whose last commit it is.
        folder: where the clones go.

    Returns:
        The clone in which all stages have run, and the states before each of them. Each state has
        in its cache what the stages after its own wrote, so that a repetition takes these from
        there; what its own stage wrote it has not.
    """
    whole = folder / "whole"
    clones.clone(root, whole)
    clones.shrink(whole, clones.bundled_slice(root, REVIEWS), EPOCHS)
    order = reader.read(whole / "dvc.yaml")["stages"]
    states, kept = [], [_kept(whole)]
    for stage in order:
        copy(whole, folder / stage)
        began = time.monotonic()
        clones.dvc(whole, "repro", stage)
        states.append(State(stage, folder / stage, time.monotonic() - began))
        kept.append(_kept(whole))
    for state, had, has in zip(states, kept, kept[1:], strict=False):
        for name in kept[-1] - has:
            copied = state.folder / name
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(whole / name, copied)
        assert had | (kept[-1] - has) == _kept(state.folder)
    return whole, states


def _kept(folder: Path) -> set[str]:
    """The files in the cache of a clone."""
    found = (folder / ".dvc/cache").rglob("*")
    return {path.relative_to(folder).as_posix() for path in found if path.is_file()}


def copy(source: Path, target: Path) -> None:
    """Copy a clone as it stands."""
    shutil.copytree(source, target, symlinks=True)


def moments(states: list[State], kills: int, seed: int) -> list[tuple[State, Moment]]:
    """When to kill: every stage gets its share, and a quarter of it falls where DVC notes its end.

    The others are spread evenly over the time that DVC takes for the stage.
    """
    chance = random.Random(seed)
    drawn = []
    for number in range(kills):
        state = states[number % len(states)]
        if number // len(states) % 4 == 0:
            moment = Moment(LOCK, chance.uniform(0, LOCK_SECONDS))
        else:
            moment = Moment("", chance.uniform(0, state.seconds))
        drawn.append((state, moment))
    return drawn


def trial(state: State, moment: Moment, whole: Path, place: Path) -> Killed:
    """Kill once in a copy of a state, and repeat."""
    copy(state.folder, place)
    try:
        final = outputs(whole, paths(whole))
        start = outputs(place, final)
        stage, phase = strike(place, moment)
        faults = faults_at_once(place, start, final)
        torn, failed = repeat(place)
        faults += failed or faults_in_the_end(place, whole)
        texts = {(clone / integrity.LOCK).read_bytes() for clone in (place, whole)}
        reordered, scraps = len(texts) > 1, any(map(_is_scrap, files(place)))
        return Killed(stage or state.stage, phase, torn, faults, reordered, scraps)
    finally:
        shutil.rmtree(place)


def report(done: list[Killed]) -> str:
    """What came of the kills, as a table and a sentence."""
    stages = list(dict.fromkeys(one.stage for one in done))
    phases = list(dict.fromkeys(one.phase for one in done))
    count = Counter((one.stage, one.phase) for one in done)
    lines = ["| stage | " + " | ".join(phases) + " | in all |", "|---" * (len(phases) + 2) + "|"]
    for stage in stages:
        row = [count[stage, phase] for phase in phases]
        lines.append(f"| {stage} | {' | '.join(map(str, row))} | {sum(row)} |")
    torn = Counter(name for one in done for name in one.torn)
    faulty = sum(bool(one.faults) for one in done)
    said = f"{len(done)} kills; {len(done) - faulty} ended in the same hashes and files"
    order = f"{sum(one.reordered for one in done)} with the stages of dvc.lock in another order"
    left = f"{sum(one.scraps for one in done)} with a temporary file of DVC left"
    put_back = ", ".join(f"{name} {number} times" for name, number in torn.items()) or "nothing"
    return "\n".join([*lines, "", f"{said}, {order}, {left}; torn and put back first: {put_back}"])


def main() -> None:
    """Kill as often as asked, and report."""
    parser = argparse.ArgumentParser(
        prog="python -m reliability.kill", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--kills", type=int, default=100, help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (%(default)s)")
    asked = parser.parse_args()
    began = time.monotonic()
    with clones.scratch() as folder:
        whole, states = prepare(Path.cwd(), folder)
        print(f"undisturbed: {sum(state.seconds for state in states):.0f} s", flush=True)
        done = []
        for state, moment in moments(states, asked.kills, asked.seed):
            done.append(trial(state, moment, whole, folder / "trial"))
            told = "; ".join(done[-1].faults) or "recovered"
            torn = f" after {', '.join(done[-1].torn)} was put back" if done[-1].torn else ""
            order = ", with dvc.lock in another order" if done[-1].reordered else ""
            where = f"[{len(done)}] {done[-1].stage}: {done[-1].phase}"
            print(f"{where}: {told}{torn}{order}", flush=True)
    print(f"\n{report(done)}; {time.monotonic() - began:.0f} s in all")
    if faulty := [one for one in done if one.faults]:
        raise PipelineError(f"{len(faulty)} of {len(done)} kills left something: see above")


if __name__ == "__main__":
    errors.run("kill", main)
