"""DVC's cache: what a project has in it."""

import json
from collections.abc import Iterable
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.output import Output
from dvc.repo import Repo

from ajuste.errors import PipelineError
from ajuste.repository.integrity import is_whole


def repository(root: Path) -> Repo:
    """The DVC repository in a folder.

    Raises:
        PipelineError: there is none, or DVC cannot read its settings.
    """
    try:
        return Repo(str(root))
    except DvcException as error:
        raise _one_line(error) from None


def outputs(repo: Repo) -> list[Output]:
    """The outputs of all stages and `.dvc` files for which DVC has recorded a hash.

    Raises:
        PipelineError: DVC cannot read one of its files.
    """
    try:
        return [out for out in repo.index.outs if out.hash_info]
    except DvcException as error:
        raise _one_line(error) from None


def _one_line(error: DvcException) -> PipelineError:
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
