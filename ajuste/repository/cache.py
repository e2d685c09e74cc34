"""DVC's cache: what a project has in it."""

import json
from collections.abc import Iterable
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.output import Output
from dvc.repo import Repo

from ajuste.errors import PipelineError
from ajuste.repository.integrity import is_whole

ASIDE = ".damaged"


def repository(root: Path) -> Repo:
    """The DVC repository in a folder.

    Raises:
        PipelineError: there is none, or DVC cannot read its settings.
    """
    try:
        return Repo(str(root))
    except DvcException as error:
        raise one_line(error) from None


def at(root: Path, commit: str) -> Repo:
    """The DVC repository in a commit, with the settings of the working tree.

    With those of the commit, DVC 3.67 would look for a remote such as `../storage` below `/`.

    Raises:
        PipelineError: there is none, or DVC cannot read its settings.
    """
    try:
        return Repo(str(root), rev=commit, config=repository(root).config)
    except DvcException as error:
        raise one_line(error) from None


def outputs(repo: Repo) -> list[Output]:
    """The outputs of all stages and `.dvc` files; `hash_info` is empty if DVC recorded no hash.

    Raises:
        PipelineError: DVC cannot read one of its files.
    """
    try:
        return list(repo.index.outs)
    except DvcException as error:
        raise one_line(error) from None


def one_line(error: DvcException) -> PipelineError:
    """The error of DVC for the user."""
    return PipelineError(f"DVC: {' '.join(str(error).split())}")


def objects(repo: Repo, digests: Iterable[str]) -> list[Path]:
    """The objects with these hashes that the cache has.

    Args:
        repo: the repository. Its cache may be shared: objects of other projects are not returned.
        digests: MD5 hashes, as in `dvc.lock`. For a folder, the objects of its files are returned
            too, unless the object that lists them is damaged.
    """
    folder = Path(repo.cache.local.path)
    found: dict[Path, None] = {}
    for digest in digests:
        path = folder / digest[:2] / digest[2:]
        if not path.is_file():
            continue
        found[path] = None
        if path.suffix == ".dir" and is_whole(path):
            members = [member["md5"] for member in json.loads(path.read_bytes())]
            found |= dict.fromkeys(objects(repo, members))
    return list(found)


def has(repo: Repo, digest: str) -> bool:
    """Whether the cache has an object, and for a folder the objects of all its files."""
    path = Path(repo.cache.local.path) / digest[:2] / digest[2:]
    if not path.is_file() or path.suffix != ".dir":
        return path.is_file()
    return is_whole(path) and all(has(repo, one["md5"]) for one in json.loads(path.read_bytes()))


def set_aside(repo: Repo, digests: Iterable[str]) -> list[Path]:
    """Rename the damaged ones among some objects (see `objects`), so that DVC does not use them.

    Returns:
        Their new names.
    """
    damaged = [path for path in objects(repo, digests) if not is_whole(path)]
    return [path.rename(path.with_name(path.name + ASIDE)) for path in damaged]
