"""Run experiments in parallel: each worker has a clone, which shares DVC's cache.

Two runs of DVC in one checkout block each other, and its queue loses tasks (dvc #10673). So each
worker is a `git clone --shared` in `.dvc/tmp/study`, with the DVC cache and run cache of the
repository. Its experiments are Git references, which are fetched from it. The working tree of the
repository does not change, and the clones are removed at the end.
"""

import asyncio
import fcntl
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from dvc.repo import Repo

from ajuste.data.download import default_folder
from ajuste.errors import PipelineError
from ajuste.files import read_json, write_json
from ajuste.repository import inputs
from ajuste.repository.git import clone, git
from ajuste.repository.throwaway import share_cache
from ajuste.training.environment import cores
from study import collect, plan
from study.collect import FOLDER, JOURNAL, LOGS, Base, Result
from study.plan import Experiment, Plan

SHARED = ("embed", "baseline")  # most experiments share the stages up to these
RECORD = Path("data/record/train.json")  # seconds and environment of the last training
DVC = [sys.executable, "-m", "dvc"]
POLL = 0.5  # seconds between two looks at the curve of a training
STOPPED = "stopped by its curve"


def check_clean(root: Path, excepted: list[str]) -> None:
    """Refuse to run if there are changes that the experiments would not contain.

    Args:
        root: the repository.
        excepted: prefixes of the paths that may have changed.

    Raises:
        PipelineError: a tracked file has uncommitted changes.
    """
    listed = git(root, "status", "--porcelain", "-z", "--untracked-files=no", "--no-renames")
    changed = [line[3:] for line in listed.split("\0") if line]
    if kept := [path for path in changed if not path.startswith(tuple(excepted))]:
        raise PipelineError(
            f"uncommitted changes in {', '.join(kept)}; experiments start from the last commit, so "
            "commit or revert the changes first"
        )


def run(start: Base, study: Plan, jobs: int) -> list[Result]:
    """Run the experiments that are not done yet, `jobs` at a time.

    Args:
        start: the commit that the experiments start from.
        study: the list.
        jobs: the number of workers, which share the cores.

    Returns:
        The results, in the order in which the experiments ended.

    Raises:
        PipelineError: see `run_queue`.
    """
    missing = [one for one in study.experiments if not collect.is_done(start, one)]
    listed = _List(start, study)
    run_queue(start, listed, missing, min(jobs, len(study.experiments)))
    return listed.results


class Queue:
    """Where the workers get their experiments, and where the results go; one thread calls it."""

    def next(self) -> Experiment | None:
        """The next experiment to run; None if there is none at the moment."""
        raise NotImplementedError

    def ended(self, result: Result, how: str) -> None:
        """Take the result of an experiment; `how` says how long it ran."""
        raise NotImplementedError

    def stops(self, experiment: Experiment, losses: list[float]) -> bool:
        """Whether to stop a training that runs, by its validation loss after each epoch."""
        return False


def run_queue(start: Base, queue: Queue, sample: list[Experiment], jobs: int) -> None:
    """Run experiments until the queue is empty, `jobs` at a time.

    Args:
        start: the commit that the experiments start from.
        queue: the experiments.
        sample: experiments that read every file that those of the queue can read.
        jobs: the number of workers, which share the cores.

    Raises:
        PipelineError: a file that they read is not tracked or not at hand, another study is
            running, or a stage that all experiments share failed.
    """
    given = [plan.merged(start.params, one.overrides) for one in sample]
    added = inputs.demand(start.root, start.commit, f"commit {start.commit[:7]}", given)
    inputs.fetch(start.root, start.commit, added)
    with _alone(start.root / FOLDER):
        try:
            asyncio.run(_until_told(_Workers(start, queue, jobs).run()))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None


def rename(start: Base, name: str) -> str:
    """Give an experiment the name `NAME-replaced`, or `NAME-replaced-2` and so on if that is taken.

    Returns:
        Its new name, or an empty string if there is no such experiment.
    """
    reference = collect.ref(start.commit, name)
    taken = git(start.root, "for-each-ref", "--format=%(refname)", f"{reference}*").split()
    if reference not in taken:
        return ""
    ends = ("-replaced", *(f"-replaced-{number}" for number in range(2, len(taken) + 2)))
    end = next(end for end in ends if reference + end not in taken)
    git(start.root, "update-ref", reference + end, reference)
    return name + end


class _List(Queue):
    """The experiments of a study and the remedies for them, those that take longest first."""

    def __init__(self, start: Base, study: Plan) -> None:
        self.start = start
        self.follow = study.follow
        self.waiting = list(study.experiments)
        self.total = len(study.experiments)
        self.results: list[Result] = []
        self._sort()

    def next(self) -> Experiment | None:
        """The next experiment that an earlier call has not run."""
        while self.waiting:
            experiment = self.waiting.pop(0)
            if not collect.is_done(self.start, experiment):
                return experiment
            self.ended(collect.collect(self.start, experiment), "done before")
        return None

    def ended(self, result: Result, how: str) -> None:
        """Print how an experiment ended, and queue the remedy for it."""
        self.results.append(result)
        width = len(str(self.total))
        outcome = f"FAILED, {result.failure}" if result.failure else _outcome(result)
        count = f"[{len(self.results):{width}}/{self.total}]"
        say(f"{count} {result.experiment.name}: {outcome}, {how}")
        if self.follow and (remedy := collect.follow_up(self.start, result)):
            self.total += 1
            self.waiting.append(remedy)
            self._sort()

    def _sort(self) -> None:
        """Those that are done come first, then by the time of the last training, longest first."""
        known = collect.journal(self.start.root)
        took = {key: training["seconds"] for key, training in known.items()}

        def place(one: Experiment) -> tuple[bool, float]:
            seconds = took.get(collect.journal_key(self.start, one), 0)
            return not collect.is_done(self.start, one), -seconds

        self.waiting.sort(key=place)


class _Workers:
    """The state of a call of `run_queue`; all of it runs in one thread."""

    def __init__(self, start: Base, queue: Queue, jobs: int) -> None:
        self.start = start
        self.queue = queue
        self.jobs = jobs
        self.prepared = jobs == 1

    async def run(self) -> None:
        idle = list(range(self.jobs, 0, -1))
        running: dict[asyncio.Task[tuple[Result, str]], int] = {}
        try:
            while True:
                while idle and (experiment := self.queue.next()):
                    if not self.prepared:
                        await self._prepare()
                    number = idle.pop()
                    say(f"start {experiment.name}")
                    running[asyncio.create_task(self._one(number, experiment))] = number
                if not running:
                    return
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    idle.append(running.pop(task))
                    self.queue.ended(*task.result())
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _prepare(self) -> None:
        """Run the shared stages once, so that the workers find their outputs in the cache."""
        say(f"start the stages that all share (dvc repro {' '.join(SHARED)})")
        began = time.monotonic()
        worker = await self._worker(1)
        await self._dvc(worker, "repro", *SHARED, threads=cores())
        self.prepared = True
        say(f"done, {time.monotonic() - began:.0f} s")

    async def _worker(self, number: int) -> Path:
        """The clone of a worker, in the state of the commit; made if it is missing."""
        root = self.start.root
        worker = root / FOLDER / f"worker-{number}"
        if not worker.exists():
            clone(root, worker, self.start.commit)
            share_cache(Repo(str(root)), worker)
            if added := git(worker, "ls-files", "*.dvc").splitlines():
                await self._dvc(worker, "checkout", "--quiet", "--allow-missing", *added)
        git(worker, "reset", "--quiet", "--hard", self.start.commit)
        git(worker, "clean", "--quiet", "--force", "-d")
        (worker / RECORD).unlink(missing_ok=True)
        return worker

    async def _dvc(self, folder: Path, *arguments: str, threads: int = 0) -> None:
        """Run a DVC command that all experiments need.

        Raises:
            PipelineError: it failed.
        """
        log = self.start.root / LOGS / f"{folder.name}.part"
        failed = await self._call([*DVC, *arguments], folder, log, threads=threads)
        text = log.read_text(encoding="utf-8", errors="replace")
        log.unlink()
        if failed:
            raise PipelineError(f"dvc {' '.join(arguments)}: {collect.reason(text)}")

    async def _one(self, number: int, experiment: Experiment) -> tuple[Result, str]:
        """Run one experiment in a worker and fetch it from there."""
        began = time.monotonic()
        kept = self.start.root / LOGS / f"{experiment.name}.log"
        kept.unlink(missing_ok=True)
        log = kept.with_suffix(".part")
        worker = await self._worker(number)
        command = [*DVC, *plan.command(experiment, self.start.params)[1:]]
        head = collect.header(self.start, experiment)
        stopped = asyncio.create_task(self._stopped(worker, experiment))
        failed = await self._call(command, worker, log, head, stopped=stopped)
        if failed is None:
            log.unlink()
            shutil.rmtree(worker)  # DVC was killed in it
            result = Result(experiment, failure=STOPPED, curves={"validation": stopped.result()})
            return result, f"{time.monotonic() - began:.0f} s"
        if not failed:
            reference = collect.ref(self.start.commit, experiment.name)
            if kept_as := rename(self.start, experiment.name):
                say(
                    f"an earlier experiment {experiment.name} had different parameters; its new "
                    f"name is {kept_as}"
                )
            git(
                self.start.root,
                *("-c", "gc.auto=0", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head"),
                *(str(worker), f"+{reference}:{reference}"),
            )
            if (worker / RECORD).exists():
                training = {collect.journal_key(self.start, experiment): read_json(worker / RECORD)}
                path = self.start.root / JOURNAL
                write_json(path, {**collect.journal(self.start.root), **training})
            if not collect.is_done(self.start, experiment):
                with log.open("a") as file:
                    file.write("DVC ran it with different parameters\n")
                failed = 1
        if failed:
            log.replace(kept)
        else:
            log.unlink()
        return collect.collect(self.start, experiment), f"{time.monotonic() - began:.0f} s"

    async def _stopped(self, worker: Path, experiment: Experiment) -> list[float]:
        """Wait until the queue stops a training; return its validation loss after each epoch."""
        path = worker / collect.CURVES.format(part="validation")
        committed = losses = collect.losses(path)  # of the last commit, until the training writes
        while True:
            await asyncio.sleep(POLL)
            before, losses = losses, collect.losses(path)
            if losses not in (before, committed) and self.queue.stops(experiment, losses):
                return losses

    async def _call(
        self,
        command: list[str],
        folder: Path,
        log: Path,
        head: str = "",
        threads: int = 0,
        stopped: asyncio.Task[Any] | None = None,
    ) -> int | None:
        """Run a command with its output in a log; if this is cancelled, kill all its processes.

        Args:
            command: the program and its arguments.
            folder: where it runs.
            log: the file for its output, after a first line.
            head: the first line.
            threads: the number that it may use; 0 is the share of one worker.
            stopped: when this ends, the processes are killed too.

        Returns:
            The exit code; None if it was stopped.
        """
        share = str(threads or max(1, cores() // self.jobs))
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "AJUSTE_DOWNLOADS": str(self.start.root / default_folder()),  # all workers share it
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(self.start.root / FOLDER / "site"),  # `_sweep` looks for it
            "OMP_NUM_THREADS": share,
            "TF_NUM_INTEROP_THREADS": share,
        }
        with log.open("w", encoding="utf-8") as file:
            file.write(f"{head}\n")
            file.flush()
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=folder,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,  # a process group, which can be killed as one
            )
        ended = asyncio.create_task(process.wait())
        try:
            tasks = filter(None, (ended, stopped))
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return process.returncode
        finally:
            if stopped:
                stopped.cancel()
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


async def _until_told(work: Any) -> Any:
    """Await `work`, and cancel it if the process gets a signal to end."""
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup` ignores SIGHUP
            loop.add_signal_handler(number, task.cancel)
    return await work


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Lock the study folder for one call, and remove what an earlier call left in it.

    Raises:
        PipelineError: another call has the lock.
    """
    (folder / LOGS.name).mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PipelineError(
                "another study or pull-request report is running in this repository; wait until it "
                "ends"
            ) from None
        _sweep(folder)
        try:
            yield
        finally:
            _sweep(folder)


def _sweep(folder: Path) -> None:
    """End the processes that a killed study left, and remove the workers."""
    left = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("DVC_SITE_CACHE_DIR") == str(folder / "site"):
                process.kill()
                left.append(process)
    psutil.wait_procs(left, timeout=10)
    for worker in [*folder.glob("worker-*"), folder / "site"]:
        shutil.rmtree(worker, ignore_errors=True)
    for log in (folder / LOGS.name).glob("*.part"):
        log.unlink()


def say(line: str) -> None:
    """Print a line that tells how far the work is."""
    print(line, flush=True)  # in a log too, at once


def _outcome(result: Result) -> str:
    validation = result.train.get("validation", {})
    scores = ", ".join(f"{name} {value:.3f}" for name, value in validation.items())
    return f"{result.verdict or 'no verdict'}, validation {scores or 'not known'}"
