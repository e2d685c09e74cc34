"""Throwaway clones of the repository, and DVC in them, cut off from all that lies outside."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import pandas as pd

from ajuste.config import reader
from ajuste.data import reviews
from ajuste.errors import PipelineError
from ajuste.repository.git import git
from study import collect

DVC = [sys.executable, "-m", "dvc"]
SLICE = "data/slice.csv"


@contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder that goes with the block, also where the process is told to end."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    told = [number for number in (signal.SIGTERM, signal.SIGHUP) if not _ignored(number)]
    before = {number: signal.signal(number, end) for number in told}
    try:
        with TemporaryDirectory(prefix="ajuste-") as folder:
            yield Path(folder)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignored(number: int) -> bool:  # as nohup sets it
    return signal.getsignal(number) is signal.SIG_IGN


def clone(root: Path, folder: Path) -> None:
    """The last commit of a repository in a folder of its own, with nothing in DVC's cache.

    Files that `dvc add` keeps are brought along, out of the cache of the repository.

    Raises:
        PipelineError: they are not in that cache.
    """
    commit = git(root, "rev-parse", "HEAD").strip()
    git(root, "clone", "--quiet", "--shared", "--no-checkout", str(root), str(folder))
    git(folder, "checkout", "--quiet", "--detach", commit)
    if added := git(folder, "ls-files", "*.dvc").splitlines():
        cache = subprocess.run(
            [*DVC, "cache", "dir"], cwd=root, capture_output=True, text=True, check=True
        )
        remote = ("remote", "add", "--local", "--default", "origin-cache")
        dvc(folder, *remote, cache.stdout.splitlines()[-1])
        dvc(folder, "pull", "--quiet", *added)


def bundled_slice(root: Path, count: int) -> pd.DataFrame:
    """The first reviews of either label in the bundled corpus, `count` in all."""
    digest = reader.load("data.bundled.sha256", reader.Sha256, root / "params.yaml")
    table = reviews.bundled(digest).groupby("label").head(count // 2)
    return table.reset_index(drop=True)


def shrink(folder: Path, table: pd.DataFrame, epochs: int = 1) -> None:
    """Make a clone quick: a few reviews and epochs, so that its stages take seconds.

    Args:
        folder: the clone.
        table: the reviews; its columns but `origin` become those of the CSV that it reads.
        epochs: how many every network trains.
    """
    table.drop(columns="origin").to_csv(folder / SLICE, index=False)
    path = folder / "params.yaml"
    text = path.read_text(encoding="utf-8")
    for pattern, new in (
        (r"^  source: \w+$", "  source: csv"),
        (r"^    path: .*\.csv$", f"    path: {SLICE}"),
        (r"^    text: .*$", "    text: review"),
        (r"^    label: (?!sentiment$|stars$).*$", "    label: label"),
        (r"^    labels:\n    - .*\n    - .*$", "    labels:\n    - negative\n    - positive"),
    ):
        text, found = re.subn(pattern, new, text, count=1, flags=re.MULTILINE)
        assert found, pattern
    text = re.sub(r"epochs: \d+", f"epochs: {epochs}", text)
    path.write_text(text, encoding="utf-8")


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """The variables of a process in a clone.

    Args:
        folder: the clone, which holds what DVC keeps beside its cache; the settings of the user
            and of the machine do not reach in.
        variables: what is set besides.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    own = {
        f"DVC_{name}_DIR": str(folder / ".dvc/tmp" / name.lower())
        for name in ("SITE_CACHE", "GLOBAL_CONFIG", "SYSTEM_CONFIG")
    }
    return {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1", **own, **variables}


@contextmanager
def started(
    command: list[str],
    folder: Path,
    output: int | IO[str] | None,
    *,
    umask: int = -1,
    before: Callable[[], None] | None = None,
    **variables: str,
) -> Iterator[subprocess.Popen[str]]:
    """Start a command in a clone, in a group of its own of which the block leaves nothing.

    Args:
        command: the program and its arguments.
        folder: the clone.
        output: what takes all that it says, as `subprocess` has it.
        umask: of the process; -1 is that of this one.
        before: called in the process before the program takes over.
        variables: of its environment.
    """
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment(folder, **variables),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
        umask=umask,
        preexec_fn=before,
    )
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL to a process that `started` has started, and to all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def dvc(folder: Path, *arguments: str, show: bool = False, **settings: object) -> str:
    """Run DVC in a clone.

    Args:
        folder: the clone.
        arguments: of DVC.
        show: whether what it says is printed as it comes.
        settings: see `started`.

    Returns:
        What it said.

    Raises:
        PipelineError: it failed.
    """
    said = []
    with started([*DVC, *arguments], folder, subprocess.PIPE, **settings) as process:
        for line in process.stdout:
            said.append(line)
            if show:
                print(line, end="", flush=True)
        code = process.wait()
    if code:
        reason = collect.reason("\n" + "".join(said))
        raise PipelineError(f"dvc {' '.join(arguments)}: {reason}")
    return "".join(said)
