"""One experiment of the demo, in a process of its own: `python -m demo.simulator`.

It runs as in a study: DVC trains in a clone (`study.run`), so the working tree does not change, and
the experiment keeps its name. Each line of its output that is JSON tells how far it is.
"""

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

from ajuste import errors
from ajuste.errors import PipelineError
from ajuste.evaluation import remedies
from ajuste.evaluation.sentence import sure
from study import collect, plan, run
from study.collect import Base, Result
from study.plan import Entry, Experiment, Study

RUNNING, DONE, FAILED, STOPPED = "running", "done", "failed", "stopped"
PARTS = ("train", "validation")
WORKER = collect.FOLDER / "worker-1"


class Simulator:
    """Starts one experiment at a time, and knows how far it is.

    Attributes:
        state: `name`; `state`, one of the above; `curves`, the losses of each part by epoch; at the
            end `fit`, `scores` and `remedies` (see `outcome`); `error`, why it failed.
    """

    def __init__(self, root: Path) -> None:
        self.state: dict[str, Any] = {}
        self._root = root
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    def shown(self) -> dict[str, Any]:
        """The state, with the `stage` that runs."""
        log = self._root / collect.LOGS / f"{self.state.get('name')}.part"
        stages = re.findall(r"^> python -m (stages\.\w+)", _text(log), re.MULTILINE)
        return {**self.state, "stage": (stages or ["dvc"])[-1]}

    async def start(self, name: str, overrides: dict[str, Any]) -> None:
        """Start an experiment.

        Raises:
            PipelineError: another one runs.
        """
        if self.state.get("state") == RUNNING:
            raise PipelineError(f"the experiment {self.state['name']} is running; stop it first")
        self.state = {"name": name, "state": RUNNING, "curves": {}}
        asked = json.dumps({"name": name, "overrides": overrides})
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "demo.simulator", asked),
            cwd=self._root,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 24,  # bytes of a line
        )
        self._reading = asyncio.create_task(self._read(self._process))

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        said = asyncio.create_task(process.stderr.read())
        async for line in process.stdout:
            if line.startswith(b"{"):
                self.state.update(json.loads(line))
        failed = await process.wait()
        lines = (await said).decode(errors="replace").strip().splitlines()
        if self.state["state"] == RUNNING:
            self.state["state"] = FAILED if failed else DONE
            if failed:
                self.state["error"] = lines[-1] if lines else "no reason given"

    async def stop(self) -> None:
        """Stop the experiment, if one runs; nothing of it is kept."""
        if self.state.get("state") == RUNNING:
            self.state["state"] = STOPPED
            self._process.terminate()
        if self._reading:
            await self._reading


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


class _One(run.Queue):
    """The queue of a single experiment; it prints the curves as they come."""

    def __init__(self, start: Base, experiment: Experiment) -> None:
        self._start, self._waiting = start, [experiment]
        self.result: Result | None = None

    def next(self) -> Experiment | None:
        return self._waiting.pop() if self._waiting else None

    def ended(self, result: Result, how: str) -> None:
        self.result = result

    def stops(self, experiment: Experiment, losses: list[float]) -> bool:
        curves = {
            part: collect.losses(self._start.root / WORKER / collect.CURVES.format(part=part))
            for part in PARTS
        }
        print(json.dumps({"curves": curves}), flush=True)
        return False


def typed(overrides: dict[str, Any]) -> dict[str, Any]:
    """The overrides; a text is read as YAML, as in `params.yaml`, and 0,5 as 0.5.

    Raises:
        PipelineError: a text is not YAML.
    """
    read: dict[str, Any] = {}
    for key, value in overrides.items():
        if not isinstance(value, str):
            read[key] = value
            continue
        try:
            read[key] = YAML(typ="safe").load(re.sub(r"^(\d+),(\d+)$", r"\1.\2", value.strip()))
        except YAMLError:
            raise PipelineError(f"`{key}`: {value!r} is not a value; write it as YAML") from None
    return read


def outcome(start: Base, result: Result) -> dict[str, Any]:
    """What the page shows at the end.

    Returns:
        `curves`; `fit`, the verdict with its sentence and reason; `sure`, its probability such as
        `93 %`, or empty; `scores`, those of the training and the validation part; `remedies`, each
        with `what`, `why` and its `overrides`.
    """
    overrides = result.experiment.overrides
    values = plan.merged(start.params, overrides)
    proposed = remedies.propose(result.fit, values) if result.verdict else []
    return {
        "curves": result.curves,
        "fit": result.fit,
        "sure": sure(result.fit) if result.verdict else "",
        "scores": {part: result.train.get(part, {}) for part in PARTS},
        "remedies": [
            {"what": one.what, "why": one.why, "overrides": plan.remedied(overrides, one)}
            for one in proposed
            if not one.instead
        ],
    }


def main() -> None:
    """Run the experiment that the argument describes in JSON; print how far it is."""
    asked = json.loads(sys.argv[1])
    start = collect.base(Path.cwd())
    entry = Entry(name=asked["name"], set=typed(asked["overrides"]))
    study = plan.plan(Study(title=asked["name"], experiments=[entry]))
    plan.check(study, start.params)
    [experiment] = study.experiments
    if collect.is_done(start, experiment):
        result = collect.collect(start, experiment)
    else:
        queue = _One(start, experiment)
        run.run_queue(start, queue, [experiment], jobs=1)
        result = queue.result
    if result.failure:
        raise PipelineError(result.failure)
    print(json.dumps(outcome(start, result)), flush=True)


if __name__ == "__main__":
    errors.run("demo", main)
