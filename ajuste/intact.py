"""Whether the pipeline's files are the ones that DVC recorded: `python -m ajuste.intact`.

DVC takes a file whose time and size are unchanged, and an object of its cache that is read-only,
for what they were. So a bit that flips on the disk goes unseen: `dvc status` says that all is up
to date, and `dvc checkout` copies the damaged object. `cache.verify` changes nothing of that (DVC
3.67). Here every file is hashed.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from subprocess import run as command
from typing import Any

from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from voluptuous import Invalid

from ajuste.errors import PipelineError, run
from ajuste.files import UNFINISHED

LOCK = Path("dvc.lock")
PIPELINE = Path("dvc.yaml")


def md5(path: Path) -> str:
    """The hash that DVC has of a file, or of a folder, which is that of a list of its files."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    inside = [(inner.relative_to(path).parts, inner) for inner in path.rglob("*")]
    listed = [
        {"md5": md5(inner), "relpath": "/".join(parts)}
        for parts, inner in sorted(inside)
        if inner.is_file() and not fnmatchcase(inner.name, UNFINISHED)
    ]
    return hashlib.md5(json.dumps(listed).encode()).hexdigest() + ".dir"


def recorded(lock: Path) -> dict[str, str]:
    """The path of every output with the hash that DVC last had of it; none without a lock.

    Raises:
        PipelineError: the file is torn, or holds what Git leaves of a conflict.
    """
    if not lock.exists():
        return {}
    try:
        stages = COMPILED_LOCKFILE_SCHEMA(_yaml(lock))["stages"].values()
    except (YAMLError, UnicodeDecodeError, Invalid):
        raise PipelineError(
            f"{lock}: torn or in conflict; `git checkout {lock}` brings back the last committed "
            "one, and `dvc repro` what came after it, out of the cache"
        ) from None
    outs = [out for stage in stages for out in stage.get("outs", [])]
    return {out["path"]: out["md5"] for out in outs if "md5" in out}


def changed(outputs: dict[str, str]) -> list[Path]:
    """The outputs that are there and are not what was recorded."""
    return [Path(o) for o, digest in outputs.items() if Path(o).exists() and md5(Path(o)) != digest]


def demand(stage: str) -> None:
    """Check what a stage reads of other stages, where it is DVC that runs it.

    DVC has brought `dvc.lock` up to date before that. Who runs a stage by hand may have changed
    what it reads.

    Raises:
        PipelineError: an input is not what was recorded.
    """
    if "DVC_STAGE" not in os.environ:
        return
    outputs = recorded(LOCK)
    read = _yaml(PIPELINE)["stages"][stage]["deps"]
    for path in changed({dep: outputs[dep] for dep in read if dep in outputs}):
        raise PipelineError(
            f"{path}: damaged, it is not what {LOCK} has; `python -m ajuste.intact` finds what "
            "else is, then `dvc repro` makes it anew"
        )


def damaged(cache: Path) -> Iterator[Path]:
    """The objects of a cache of DVC whose content is not what their name says."""
    for path in sorted((cache / "files/md5").glob("??/*")):
        name = path.parent.name + path.name.removesuffix(".dir")
        if len(name) == 32 and md5(path) != name:
            yield path


def main() -> None:
    """Name what is damaged, and bring DVC to see it.

    A damaged object of the cache is deleted. A file of the workspace that is not what was recorded
    stays, with a new time, so that DVC hashes it: the next `dvc repro` makes it anew.
    """
    outputs = recorded(LOCK)
    told = command(["dvc", "cache", "dir"], capture_output=True, text=True, check=False)
    if told.returncode:
        raise PipelineError(f"`dvc cache dir` failed: {' '.join(told.stderr.split())}")
    for path in damaged(Path(told.stdout.strip())):
        path.unlink()
        print(f"intact: {path}: damaged, deleted")
    for path in changed(outputs):
        for file in [path, *path.rglob("*")]:
            file.touch()
        print(f"intact: {path}: not what {LOCK} has")


def _yaml(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    run("intact", main)
