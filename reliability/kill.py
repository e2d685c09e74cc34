"""Kill `dvc repro` at random moments, and check that the next run ends as if nothing had happened.

`python -m reliability.kill --kills 100 --seed 1` clones the last commit, reduces its data, and runs
its stages once without a kill. For each kill it copies the state before one of the stages, starts
`dvc repro`, sends SIGKILL to it and its child processes at a random moment, looks for files that
are half written, and runs `dvc repro` again. That run must end in the same hashes.
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
from pathlib import Path
from typing import Any

from ajuste import errors
from ajuste.errors import PipelineError
from ajuste.repository import integrity, recover
from reliability import clones

REVIEWS, EPOCHS = 300, 3
LOCK_SECONDS = 0.2  # from DVC's message to the end of writing dvc.lock, about
IN_PLACE = "metrics/train/"  # DVCLive writes there; `evaluate` alone reads it, after `train`
LOCK = "Updating lock file"
STAGE = re.compile(r"^Running stage '(\w+)'", re.MULTILINE)

Hashes = dict[str, str]


@dataclass(frozen=True)
class State:
    """The repository before a stage runs.

    Attributes:
        stage: that stage.
        folder: a clone in this state, to be copied.
        seconds: how long `dvc repro` takes for that stage.
    """

    stage: str
    folder: Path
    seconds: float


@dataclass(frozen=True)
class Moment:
    """When to kill: some seconds after DVC has printed a text (empty: after its start)."""

    text: str
    seconds: float


@dataclass(frozen=True)
class Killed:
    """The result of a kill.

    Attributes:
        stage: the stage that ran, or that was to run next.
        phase: what DVC was doing.
        cut_off: the files that DVC could not read any more and that were restored.
        faults: what is wrong.
    """

    stage: str
    phase: str
    cut_off: list[str] = field(default_factory=list)
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


def strike(folder: Path, moment: Moment) -> tuple[str, str]:
    """Start `dvc repro` in a clone and kill it.

    Returns:
        The stage that ran, empty if none did, and what DVC was doing.
    """
    log = folder.with_name(f"{folder.name}.log")
    with (
        log.open("w", encoding="utf-8") as output,
        clones.started([*clones.DVC, "repro"], folder, output) as process,
    ):
        while moment.text not in log.read_text(encoding="utf-8") and process.poll() is None:
            time.sleep(0.002)
        with suppress(subprocess.TimeoutExpired):
            process.wait(moment.seconds)
        ended = process.poll() is not None
    said = log.read_text(encoding="utf-8")
    log.unlink()
    started = STAGE.findall(said)
    if ended:
        phase = "it had ended"
    elif LOCK in said.rsplit("Running stage", 1)[-1]:
        phase = "writing dvc.lock, or between two stages"
    elif started:
        phase = "in the stage, or saving its outputs"
    else:
        phase = "before a stage"
    return (started or [""])[-1], phase


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


def repeat(folder: Path) -> tuple[list[str], list[str]]:
    """Run `dvc repro` after a kill; if it fails, first `ajuste.repository.recover`.

    Returns:
        The files that were restored because DVC could not read them, and the error if DVC still
        failed.
    """
    cut_off: list[str] = []
    while True:
        try:
            clones.dvc(folder, "repro")
        except PipelineError as error:
            restored = recover.recover(folder)
            if not restored:
                return cut_off, [str(error)]
            cut_off += restored
        else:
            return cut_off, []


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


def prepare(root: Path, folder: Path) -> tuple[Path, list[State]]:
    """Run the pipeline once, stage by stage.

    Args:
        root: the repository, whose last commit is used.
        folder: where the clones go.

    Returns:
        The clone in which all stages have run, and the state before each stage. Each state has the
        results of the stages after its own in its cache, which saves time.
    """
    whole = folder / "whole"
    clones.clone(root, whole)
    clones.shrink(whole, clones.bundled_slice(root, REVIEWS), EPOCHS)
    states, kept = [], [_kept(whole)]
    for stage in clones.dvc(whole, "stage", "list", "--name-only").split():
        shutil.copytree(whole, folder / stage, symlinks=True)
        began = time.monotonic()
        clones.dvc(whole, "repro", stage)
        states.append(State(stage, folder / stage, time.monotonic() - began))
        kept.append(_kept(whole))
    for state, has in zip(states, kept[1:], strict=True):
        for name in kept[-1] - has:
            copied = state.folder / name
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(whole / name, copied)
    return whole, states


def _kept(folder: Path) -> set[str]:
    """The files in the cache of a clone."""
    found = (folder / ".dvc/cache").rglob("*")
    return {path.relative_to(folder).as_posix() for path in found if path.is_file()}


def moments(states: list[State], kills: int, seed: int) -> list[tuple[State, Moment]]:
    """When to kill: equally often for each stage, a quarter of the times while DVC ends it.

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
    shutil.copytree(state.folder, place, symlinks=True)
    try:
        final = final_hashes(whole)
        start = outputs(place, final)
        stage, phase = strike(place, moment)
        faults = faults_at_once(place, start, final)
        cut_off, failed = repeat(place)
        faults += failed or faults_in_the_end(place, whole)
        return Killed(stage or state.stage, phase, cut_off, faults)
    finally:
        shutil.rmtree(place)


def report(done: list[Killed]) -> str:
    """The results as a table and a sentence."""
    phases = list(dict.fromkeys(one.phase for one in done))
    count = Counter((one.stage, one.phase) for one in done)
    lines = ["| stage | " + " | ".join(phases) + " | total |", "|---" * (len(phases) + 2) + "|"]
    for stage in dict.fromkeys(one.stage for one in done):
        row = [count[stage, phase] for phase in phases]
        lines.append(f"| {stage} | {' | '.join(map(str, row))} | {sum(row)} |")
    cut_off = Counter(name for one in done for name in one.cut_off)
    restored = ", ".join(f"{name} {times} times" for name, times in cut_off.items()) or "nothing"
    same = sum(not one.faults for one in done)
    lines += ["", f"{len(done)} kills; {same} ended in the same hashes; restored: {restored}"]
    return "\n".join(lines)


def main() -> None:
    """Kill as often as asked, and report."""
    parser = argparse.ArgumentParser(
        prog="python -m reliability.kill", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--kills", type=int, default=100, help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (%(default)s)")
    asked = parser.parse_args()
    began = time.monotonic()
    done: list[Killed] = []
    with clones.scratch() as folder:
        whole, states = prepare(Path.cwd(), folder)
        print(f"without a kill: {sum(state.seconds for state in states):.0f} s", flush=True)
        for state, moment in moments(states, asked.kills, asked.seed):
            one = trial(state, moment, whole, folder / "trial")
            done.append(one)
            outcome = "; ".join(one.faults) or "recovered"
            restored = f", {' and '.join(one.cut_off)} restored" if one.cut_off else ""
            print(f"[{len(done)}] {one.stage}: {one.phase}: {outcome}{restored}", flush=True)
    print(f"\n{report(done)}; {time.monotonic() - began:.0f} s in total")
    if faulty := [one for one in done if one.faults]:
        raise PipelineError(f"{len(faulty)} of {len(done)} kills left a fault, see above")


if __name__ == "__main__":
    errors.run("kill", main)
