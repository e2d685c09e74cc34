"""Put right what DVC does not: `python -m ajuste.recover`.

DVC 3.67 writes `dvc.lock` and its list of locks in place. Cut off there, they stop every later
`dvc repro`. Nothing is lost with them: the last `dvc.lock` is in Git, and what has been computed
since is in the cache, from where `dvc repro` takes it. And it does not see a bit that flipped on
the disk (see `ajuste.intact`): here it is brought to.
"""

import json
from contextlib import suppress
from pathlib import Path

from dvc.dvcfile import Lockfile
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo

from ajuste import intact
from ajuste.errors import PipelineError, run
from ajuste.files import write_text
from ajuste.git import show
from ajuste.intact import LOCK

RUNNING = ".dvc/tmp/rwlock"  # who reads and writes what at the moment


def recover(root: Path) -> list[str]:
    """Put back what is torn, unless DVC is running.

    Returns:
        The files that were: `dvc.lock` is now as it was committed, or gone if it never was; the
        list of locks is gone, since nobody holds one.

    Raises:
        PipelineError: `root` is no repository of DVC.
    """
    repo = _repository(root)
    torn = []
    with suppress(LockError), repo.lock:
        if (root / LOCK).exists() and not _is_whole(repo):
            committed = show(root, "HEAD", LOCK)
            write_text(root / LOCK, committed) if committed else (root / LOCK).unlink()
            torn.append(LOCK)
        running = root / RUNNING
        try:
            json.loads(running.read_text(encoding="utf-8") if running.exists() else "{}")
        except ValueError:
            running.unlink()
            torn.append(RUNNING)
    return torn


def expose(root: Path) -> list[str]:
    """Have DVC see what was damaged, so that the next `dvc repro` makes it anew.

    Objects of the cache that are damaged are deleted. Outputs that are not what `dvc.lock` has stay
    and get a new time, upon which DVC hashes them; they may have been changed on purpose.

    Returns:
        What was found.

    Raises:
        PipelineError: `root` is no repository of DVC, or its `dvc.lock` is not whole.
    """
    objects = intact.damaged(cache(root))
    for path in objects:
        path.unlink()
    outputs = intact.changed(root, intact.recorded(root))
    for output in outputs:
        for path in [root / output, *(root / output).rglob("*")]:
            path.touch()
    return [*map(str, objects), *outputs]


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
    for name in expose(Path.cwd()):
        print(f"recover: {name} is not what DVC recorded; `dvc repro` will see that")


if __name__ == "__main__":
    run("recover", main)
