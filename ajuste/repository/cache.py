"""Hold what DVC's cache has of the results against their hashes.

DVC does not hash an object of its cache again once that is write-protected, so it takes a flipped
bit for what was computed. `python -m ajuste.repository.cache` finds it, in seconds.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ajuste import errors
from ajuste.errors import PipelineError
from ajuste.repository import integrity, recover
from ajuste.repository.integrity import is_whole


@dataclass(frozen=True)
class Object:
    """An object of the cache.

    Attributes:
        output: the file or folder of the pipeline that it belongs to.
        path: where it is.
    """

    output: str
    path: Path


def objects(cache: Path, stages: dict[str, Any]) -> Iterator[Object]:
    """The objects that the cache has of what the stages read and wrote.

    Those of a folder whose list is damaged are not known.
    """
    for stage in stages.values():
        for entry in [*stage.get("deps", []), *stage.get("outs", [])]:
            for digest in _named(cache, entry.get("md5", "")):
                path = cache / digest[:2] / digest[2:]
                if path.is_file():
                    yield Object(entry["path"], path)


def _named(cache: Path, digest: str) -> Iterator[str]:
    if not digest:
        return
    yield digest
    path = cache / digest[:2] / digest[2:]
    if digest.endswith(".dir") and path.is_file() and is_whole(path):
        yield from (member["md5"] for member in json.loads(path.read_bytes()))


def check(root: Path, stages: dict[str, Any]) -> int:
    """Hold the objects of a repository against their hashes.

    Args:
        root: the repository.
        stages: those of the `dvc.lock` in question.

    Returns:
        How many there are.

    Raises:
        PipelineError: some are damaged.
    """
    cache = recover.cache(root)
    found = list(objects(cache, stages))
    paths = dict.fromkeys(one.path for one in found)
    if damaged := [path for path in paths if not is_whole(path)]:
        outputs = dict.fromkeys(one.output for one in found if one.path in damaged)
        raise PipelineError(
            f"{len(damaged)} of {len(paths)} objects in DVC's cache are damaged, of "
            f"{', '.join(outputs)}: `python -m ajuste.repository.recover` moves them aside, and "
            "then `dvc pull` or `dvc repro` brings them back"
        )
    return len(paths)


def main() -> None:
    """Check what the `dvc.lock` of the working tree names."""
    argparse.ArgumentParser(
        prog="python -m ajuste.repository.cache", description=__doc__.splitlines()[0]
    ).parse_args()
    root = Path.cwd()
    path = root / "dvc.lock"
    if not path.exists():
        raise PipelineError("dvc.lock: not found; run from the repository's root")
    stages = integrity.stages(path.read_text(encoding="utf-8", errors="replace"))
    print(f"cache: {check(root, stages)} objects, all whole")


if __name__ == "__main__":
    errors.run("cache", main)
