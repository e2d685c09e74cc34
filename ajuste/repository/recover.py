"""Put right what DVC does not: `python -m ajuste.repository.recover`.

DVC 3.67 writes `dvc.lock` and its list of locks in place. Cut off there, they stop every later
`dvc repro`. Nothing is lost with them: the last `dvc.lock` is in Git, and what has been computed
since is in the cache, from where `dvc repro` takes it. And it does not see a bit that flipped on
the disk (see `ajuste.repository.integrity`): here it is brought to.
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
from ajuste.repository import integrity
from ajuste.repository.git import show
from ajuste.repository.integrity import LOCK

RUNNING = ".dvc/tmp/rwlock"  # who reads and writes what at the moment
ASIDE = ".damaged"
CONFLICT = "<<<<<<< "


def recover(root: Path) -> list[str]:
    """Put back what is torn, unless DVC is running.

    Returns:
        The files that were: `dvc.lock` is now as it was committed, or gone if it never was; the
        list of locks is gone, since nobody holds one.

    Raises:
        PipelineError: `root` is no repository of DVC, or a merge has left its marks in `dvc.lock`.
    """
    repo = _repository(root)
    torn = []
    with _alone(repo) as alone:
        if alone and (root / LOCK).exists() and not _is_whole(repo):
            if CONFLICT in (root / LOCK).read_text(encoding="utf-8", errors="replace"):
                raise PipelineError(
                    f"{LOCK}: a merge conflict; take a side, with `git checkout --ours {LOCK}` or "
                    "`--theirs`, then `dvc repro`"
                )
            committed = show(root, "HEAD", f"./{LOCK}")
            write_text(root / LOCK, committed) if committed else (root / LOCK).unlink()
            torn.append(LOCK)
        if alone and _writers(root) is None:
            (root / RUNNING).unlink()
            torn.append(RUNNING)
    return torn


def expose(root: Path) -> tuple[list[str], list[str]]:
    """Have DVC see what was damaged, so that the next `dvc repro` makes it anew.

    Objects of the cache that are damaged are moved aside, beside their place: `dvc repro` cannot
    make what `dvc add` keeps, and a damaged copy may be the only one. Outputs that are not what
    `dvc.lock` has stay and get a new time, upon which DVC hashes them; they may have been changed
    on purpose. While DVC is running nothing is done.

    Returns:
        The objects, by the names that they have now, and the outputs.

    Raises:
        PipelineError: `root` is no repository of DVC, or its `dvc.lock` is not whole.
    """
    repo = _repository(root)
    with _alone(repo) as alone:
        if not alone:
            return [], []
        objects = integrity.damaged(Path(repo.cache.local.path))
        aside = [path.rename(path.with_name(path.name + ASIDE)) for path in objects]
        outputs = integrity.changed(root, integrity.recorded(root))
        for output in outputs:
            for path in [root / output, *(root / output).rglob("*")]:
                os.utime(path)
    return [*map(str, aside)], outputs


@contextmanager
def _alone(repo: Repo) -> Iterator[bool]:
    """Whether no DVC is at work in a repository; then none begins to be within the block."""
    with ExitStack() as held:
        try:
            held.enter_context(repo.lock)
        except LockError:
            yield False
            return
        # While a stage runs, DVC holds its list of locks and not the lock.
        yield not any(map(psutil.pid_exists, _writers(Path(repo.root_dir)) or []))


def _writers(root: Path) -> list[int] | None:
    """The processes that the list of locks says write something; None where it is torn."""
    running = root / RUNNING
    try:
        told = json.loads(running.read_text(encoding="utf-8")) if running.exists() else {}
        return [one["pid"] for one in told.get("write", {}).values()]
    except (ValueError, AttributeError, KeyError, TypeError):
        return None


def cache(root: Path) -> Path:
    """Where the objects of a repository are.

    Raises:
        PipelineError: DVC cannot read its settings.
    """
    return Path(_repository(root).cache.local.path)


def _repository(root: Path) -> Repo:
    try:
        return Repo(str(root))
    except DvcException as error:
        raise PipelineError(f"DVC: {' '.join(str(error).split())}") from None


def _is_whole(repo: Repo) -> bool:
    try:
        Lockfile(repo, str(Path(repo.root_dir) / LOCK)).load()
    except DvcException:
        return False
    return True


def main() -> None:
    """Put back what is torn here, have DVC see what is damaged, and name it all."""
    for name in recover(Path.cwd()):
        print(f"recover: {name} was cut off as DVC wrote it; put back")
    objects, outputs = expose(Path.cwd())
    for name in objects:
        print(
            f"recover: an object of the cache was damaged, and is now {name}; `dvc repro` makes it "
            "anew, but for what `dvc add` keeps: that is in a remote, or in the file itself"
        )
    for name in outputs:
        print(f"recover: {name} is not what DVC recorded; `dvc repro` will see that")


if __name__ == "__main__":
    run("recover", main)
