"""Whether the files of the pipeline are those that DVC recorded.

DVC takes a file whose time and size are unchanged, and an object of its cache that is read-only,
for what they were. So a bit that flips on the disk goes unseen: `dvc status` says that all is up
to date, and `dvc checkout` copies the damaged object. `cache.verify` changes nothing of that (DVC
3.67). Here every file is hashed.
"""

import hashlib
import json
import os
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ajuste.errors import PipelineError
from ajuste.files import UNFINISHED

LOCK = "dvc.lock"
PIPELINE = "dvc.yaml"
DVC_UNFINISHED = ".*.tmp"
"""What DVC leaves beside an output if it is killed; Git and DVC do not see it."""
OBJECT = re.compile(r"^[0-9a-f]{2}/[0-9a-f]{30}(\.dir)?$")  # in a cache; DVC writes to other names


def md5(path: Path) -> str:
    """The hash by which DVC knows a file, or a folder: then it is that of a list of its files."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    inside = {inner.relative_to(path).as_posix(): inner for inner in path.rglob("*")}
    listed = [
        {"md5": md5(inner), "relpath": name}
        for name, inner in sorted(inside.items())
        if inner.is_file() and not is_unfinished(inner)
    ]
    return hashlib.md5(json.dumps(listed).encode(), usedforsecurity=False).hexdigest() + ".dir"


def is_unfinished(path: Path) -> bool:
    """Whether a file is what a killed process left beside the one that it was to write."""
    return any(fnmatchcase(path.name, pattern) for pattern in (UNFINISHED, DVC_UNFINISHED))


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
            f"{name}: not what DVC writes (cut off as it was written?); `python -m "
            "ajuste.repository.recover` restores the committed one, and `dvc repro` takes later "
            "results from the cache"
        ) from None
    return found


def recorded(root: Path) -> dict[str, str]:
    """The path of every output with the hash that DVC last had of it; none without a lock.

    Raises:
        PipelineError: `dvc.lock` is not whole.
    """
    lock = root / LOCK
    if not lock.exists():
        return {}
    found = stages(lock.read_text(encoding="utf-8", errors="replace")).values()
    outputs = [output for stage in found for output in stage.get("outs", [])]
    return {output["path"]: output["md5"] for output in outputs if "md5" in output}


def changed(root: Path, outputs: dict[str, str]) -> list[str]:
    """Those outputs that are there and have another hash than what was recorded."""
    there = [output for output in outputs if (root / output).exists()]
    return [output for output in there if md5(root / output) != outputs[output]]


def is_whole(path: Path) -> bool:
    """Whether an object of a cache has the hash that its path says."""
    return md5(path) == path.parent.name + path.name.removesuffix(".dir")


def damaged(cache: Path) -> list[Path]:
    """The objects in a cache of DVC (`files/md5`) that are not whole."""
    named = [path for path in sorted(cache.rglob("*")) if OBJECT.match(_name(path, cache))]
    return [path for path in named if path.is_file() and not is_whole(path)]


def _name(path: Path, cache: Path) -> str:
    return path.relative_to(cache).as_posix()


def demand(stage: str) -> None:
    """Check what a stage reads of other stages, where it is DVC that runs it.

    DVC has brought `dvc.lock` up to date before that. Who runs a stage by hand may have changed
    what it reads.

    Raises:
        PipelineError: an input is not what was recorded.
    """
    if "DVC_STAGE" not in os.environ:
        return
    root = Path.cwd()
    outputs = recorded(root)
    pipeline = YAML(typ="safe", pure=True).load((root / PIPELINE).read_text(encoding="utf-8"))
    read = [dep for dep in pipeline["stages"][stage]["deps"] if dep in outputs]
    for dep in changed(root, {dep: outputs[dep] for dep in read}):
        raise PipelineError(
            f"{dep}: damaged, it is not what {LOCK} has; `python -m ajuste.repository.recover` "
            "finds what else is damaged, then `dvc repro` makes it again"
        )
