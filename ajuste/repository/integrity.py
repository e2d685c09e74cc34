"""Whether the files of the pipeline are those that DVC recorded.

DVC hashes a file again only if its time or size has changed, and never an object of its cache that
is read-only. So it does not see a bit that flips on the disk: `dvc status` reports no change, and
`dvc checkout` copies the damaged object. The setting `cache.verify` does not help (DVC 3.67). The
functions here hash every file that they are asked about.
"""

import hashlib
import json
import os
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from ajuste.errors import PipelineError
from ajuste.files import UNFINISHED

LOCK = "dvc.lock"
DVC_UNFINISHED = ".*.tmp"
"""Files that a killed DVC leaves beside an output; Git and DVC ignore them."""


def md5(path: Path) -> str:
    """The hash that DVC gives to a file, or to a folder (the hash of a list of its files)."""
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
    """Whether a file is a temporary one that a killed process has left."""
    return any(fnmatchcase(path.name, pattern) for pattern in (UNFINISHED, DVC_UNFINISHED))


def stages(text: str, name: str = LOCK) -> dict[str, Any]:
    """The stages in the text of a `dvc.lock`; `name` stands for it in the message.

    Raises:
        PipelineError: the text is cut off.
    """
    try:
        found = yaml.load(text, yaml.CSafeLoader)["stages"]  # ten times as fast as safe_load
        for stage in found.values():
            [one["path"] for one in [*stage.get("deps", []), *stage.get("outs", [])]]
    except (yaml.YAMLError, TypeError, KeyError, AttributeError):
        raise PipelineError(
            f"{name}: not a complete lock file of DVC; run `python -m ajuste.repository.recover` "
            "to restore the committed one, then `dvc repro`"
        ) from None
    return found


def recorded(root: Path) -> dict[str, str]:
    """The hash of each output of the pipeline, by its path, as `dvc.lock` has it.

    Returns:
        An empty dictionary if there is no `dvc.lock`.

    Raises:
        PipelineError: `dvc.lock` is cut off.
    """
    lock = root / LOCK
    if not lock.exists():
        return {}
    found = stages(lock.read_text(encoding="utf-8", errors="replace")).values()
    outputs = [output for stage in found for output in stage.get("outs", [])]
    return {output["path"]: output["md5"] for output in outputs if "md5" in output}


def changed(root: Path, outputs: dict[str, str]) -> list[str]:
    """The outputs that exist and do not have the recorded hash."""
    existing = [output for output in outputs if (root / output).exists()]
    return [output for output in existing if md5(root / output) != outputs[output]]


def is_whole(path: Path) -> bool:
    """Whether an object of DVC's cache has the hash that its path names."""
    return md5(path) == path.parent.name + path.name.removesuffix(".dir")


def demand() -> None:
    """Check those inputs of the stage that DVC is running which other stages wrote.

    DVC has just brought `dvc.lock` up to date. A user who runs a stage by hand may have changed its
    inputs on purpose, so nothing is checked then.

    Raises:
        PipelineError: an input does not have the recorded hash.
    """
    if not (name := os.environ.get("DVC_STAGE")):
        return
    from dvc.repo import Repo  # slow, and it changes how the process logs

    root = Path.cwd()
    outputs = recorded(root)
    # DVC knows the stage by the name in dvc.yaml, and fills in templates and `foreach`.
    [stage] = Repo(str(root)).stage.collect(name)
    read = [dep.def_path for dep in stage.deps if dep.def_path in outputs]
    for dep in changed(root, {dep: outputs[dep] for dep in read}):
        raise PipelineError(
            f"{dep}: damaged, its hash is not the one in {LOCK}; run `python -m "
            "ajuste.repository.recover` to find all damage, then `dvc repro`"
        )
