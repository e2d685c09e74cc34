"""Repair what DVC does not: `python -m ajuste.repository.recover`.

DVC 3.67 writes `dvc.lock` and its list of running commands in place. If it is killed meanwhile,
every later `dvc repro` fails. Nothing is lost: Git has the last `dvc.lock`, and the cache has the
later results, which `dvc repro` takes from there. DVC also does not see a bit that flipped on the
disk (see `ajuste.repository.integrity`).
"""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
from dvc.dvcfile import Lockfile
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo

from ajuste.errors import PipelineError, run
from ajuste.files import write_text
from ajuste.repository import cache, integrity
from ajuste.repository.git import show
from ajuste.repository.integrity import LOCK

RUNNING = ".dvc/tmp/rwlock"  # DVC's list of the commands that read and write at the moment
CONFLICT = "<<<<<<< "


def recover(root: Path) -> list[str]:
    """Restore the files that a killed DVC has cut off, unless DVC is running.

    Returns:
        The files that were cut off. `dvc.lock` is restored from the last commit, or removed if it
        was never committed; the list of running commands is removed.

    Raises:
        PipelineError: `root` is not a DVC repository, or `dvc.lock` has a merge conflict.
    """
    repo = cache.repository(root)
    lock, cut_off = root / LOCK, []
    with alone(repo) as is_alone:
        if is_alone and lock.exists() and not _is_whole(repo):
            if CONFLICT in lock.read_text(encoding="utf-8", errors="replace"):
                raise PipelineError(
                    f"{LOCK}: a merge conflict; choose a side with `git checkout --ours {LOCK}` or "
                    "`--theirs`, then run `dvc repro`"
                )
            committed = show(root, "HEAD", f"./{LOCK}")
            write_text(lock, committed) if committed else lock.unlink()
            cut_off.append(LOCK)
        if is_alone and _writers(root) is None:
            (root / RUNNING).unlink()
            cut_off.append(RUNNING)
    return cut_off


def expose(root: Path) -> tuple[list[str], list[str]]:
    """Make damage visible to DVC, so that the next `dvc repro` repairs it, unless DVC is running.

    Only objects that `dvc.lock` and the `.dvc` files name are hashed; a shared cache may have
    others. A damaged object is renamed and not deleted: it may be the only copy of a file that was
    added with `dvc add`. Outputs that differ from `dvc.lock` are kept, because a user may have
    changed them on purpose; a new time makes DVC hash them.

    Returns:
        The new names of the damaged objects, and the outputs.

    Raises:
        PipelineError: `root` is not a DVC repository, or DVC cannot read its files.
    """
    repo = cache.repository(root)
    with alone(repo) as is_alone:
        if not is_alone:
            return [], []
        outputs = integrity.changed(root, integrity.recorded(root))
        named = [out.hash_info.value for out in cache.outputs(repo) if out.hash_info]
        aside = cache.set_aside(repo, named)
        for output in outputs:
            for path in [root / output, *(root / output).rglob("*")]:
                os.utime(path)
    return [*map(str, aside)], outputs


@contextmanager
def alone(repo: Repo) -> Iterator[bool]:
    """Whether no other DVC is running; if so, none can start within the block."""
    with ExitStack() as held:
        try:
            held.enter_context(repo.lock)
        except LockError:
            yield False
            return
        # While a stage runs, DVC does not hold the lock, but is in its list.
        yield not any(map(psutil.pid_exists, _writers(Path(repo.root_dir)) or []))


def _writers(root: Path) -> list[int] | None:
    """The processes that DVC lists as writing; None if the list is cut off."""
    running = root / RUNNING
    try:
        listed = json.loads(running.read_text(encoding="utf-8")) if running.exists() else {}
        return [one["pid"] for one in listed.get("write", {}).values()]
    except (ValueError, AttributeError, KeyError, TypeError):
        return None


def _is_whole(repo: Repo) -> bool:
    try:
        Lockfile(repo, str(Path(repo.root_dir) / LOCK)).load()
    except DvcException:
        return False
    return True


def main() -> None:
    """Restore what is cut off, make damage visible to DVC, and print both."""
    for name in recover(Path.cwd()):
        done = "restored from the last commit" if Path(name).exists() else "removed"
        print(f"recover: {name} was cut off when DVC was killed; {done}")
    objects, outputs = expose(Path.cwd())
    for name in objects:
        print(
            f"recover: an object of the cache was damaged and is now {name}; run `dvc repro`, or "
            "for a file that was added with `dvc add`: `dvc pull`, or `dvc add` it again"
        )
    for name in outputs:
        print(f"recover: {name} differs from {LOCK}; `dvc repro` will check it again")


if __name__ == "__main__":
    run("recover", main)
