"""Throwaway clones: their folder, their cache, and processes in them.

The processes run without the settings of the user.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from dvc.config import Config
from dvc.repo import Repo

from ajuste.data.download import default_folder

PREFIX = "ajuste-"


@contextmanager
def scratch(parent: Path | None = None) -> Iterator[Path]:
    """A temporary folder that is removed after the block, also on SIGTERM and SIGHUP.

    Args:
        parent: where it is made; by default in the folder of the system for temporary files.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets it
            signal.signal(number, signal.default_int_handler)
    with TemporaryDirectory(prefix=PREFIX, dir=parent) as folder:
        yield Path(folder)


def share_cache(repo: Repo, folder: Path) -> None:
    """Let a clone use the DVC cache and run cache of a repository, and its local settings.

    Args:
        repo: the repository.
        folder: the root of the project in the clone.
    """
    with suppress(FileNotFoundError):
        shutil.copy(Path(repo.root_dir) / ".dvc/config.local", folder / ".dvc/config.local")
    with Config(str(folder / ".dvc")).edit("local") as local:
        local["cache"]["dir"] = repo.cache.local_cache_dir
        local["core"]["site_cache_dir"] = str(folder / ".dvc/tmp/site_cache")


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """The environment variables of a process in a clone.

    DVC's own files stay in the clone, so settings of the user and the machine have no effect.
    The folder of downloads is that of this checkout.

    Args:
        folder: the clone.
        variables: added to the others.
    """
    isolated = {
        f"DVC_{name}_DIR": str(folder / ".dvc/tmp" / name.lower())
        for name in ("SITE_CACHE", "GLOBAL_CONFIG", "SYSTEM_CONFIG")
    }
    return {
        **os.environ,
        "AJUSTE_DOWNLOADS": str(default_folder().absolute()),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "DVC_NO_ANALYTICS": "1",
        **isolated,
        **variables,
    }


@contextmanager
def started(
    command: list[str],
    folder: Path,
    output: int | IO[str] | None,
    before: Callable[[], None] | None = None,
    **variables: str,
) -> Iterator[subprocess.Popen[str]]:
    """Start a command in a clone; after the block it and all its child processes are killed.

    Args:
        command: the program and its arguments.
        folder: the clone.
        output: where standard output and standard error go, as in `subprocess`.
        before: called in the new process before the program starts.
        variables: environment variables to add.
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
        preexec_fn=before,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
