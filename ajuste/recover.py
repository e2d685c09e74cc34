"""Put back what DVC cannot read any more after it was killed: `python -m ajuste.recover`.

DVC 3.67 writes `dvc.lock` and its list of locks in place. Cut off there, they stop every later
`dvc repro`. Nothing is lost with them: the last `dvc.lock` is in Git, and what has been computed
since is in the cache, from where `dvc repro` takes it.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from dvc.dvcfile import Lockfile
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ajuste.errors import PipelineError, run
from ajuste.files import write_text
from ajuste.git import show

LOCK = "dvc.lock"
RUNNING = ".dvc/tmp/rwlock"  # who reads and writes what at the moment


def stages(text: str, name: str = LOCK) -> dict[str, Any]:
    """The stages in the text of a `dvc.lock`.

    Raises:
        PipelineError: it is not whole.
    """
    try:
        found = YAML(typ="safe", pure=True).load(text)["stages"]
        for stage in found.values():
            [one["path"] for one in [*stage.get("deps", []), *stage.get("outs", [])]]
    except (YAMLError, TypeError, KeyError, AttributeError):
        raise PipelineError(
            f"{name}: not what DVC writes (cut off as it was written?); `python -m ajuste.recover` "
            "puts the last committed one back, and `dvc repro` takes what came after it out of the "
            "cache"
        ) from None
    return found


def recover(root: Path) -> list[str]:
    """Put back what is torn, unless DVC is running.

    Returns:
        The files that were: `dvc.lock` is now as it was committed, or gone if it never was; the
        list of locks is gone, since nobody holds one.

    Raises:
        PipelineError: `root` is no repository of DVC.
    """
    try:
        repo = Repo(str(root))
    except DvcException as error:
        raise PipelineError(f"DVC: {' '.join(str(error).split())}") from None
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


def _is_whole(repo: Repo) -> bool:
    try:
        Lockfile(repo, str(Path(repo.root_dir) / LOCK)).load()
    except DvcException:
        return False
    return True


def main() -> None:
    """Put back what is torn here, and name it."""
    for name in recover(Path.cwd()):
        print(f"recover: {name} was cut off as DVC wrote it; put back")


if __name__ == "__main__":
    run("recover", main)
