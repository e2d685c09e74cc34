"""The files that a user gives to the pipeline, and whether Git or DVC tracks them.

`dvc.yaml` names them by parameters: the dependency `${data.csv.path}` is such a file.
"""

import logging
import re
import shlex
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from dvc.output import Output

from ajuste.config.nested import flatten
from ajuste.errors import PipelineError, excerpt
from ajuste.repository import cache
from ajuste.repository.git import git, show

NAMED = re.compile(r"^ *- +\$\{([\w.-]+)\} *(?:#.*)?$", re.MULTILINE)


def demand(root: Path, commit: str, name: str, params: Iterable[dict[str, Any]]) -> list[Output]:
    """Check that Git or DVC tracks the files that parameters name, so that a clone has them.

    Args:
        root: the repository.
        commit: a commit of it.
        name: the name of the commit, for the message.
        params: one or several versions of `params.yaml`.

    Returns:
        The outputs of DVC that are such a file or contain it.

    Raises:
        PipelineError: one of them is not tracked; the message says what to do.
    """
    outputs = cache.outputs(cache.at(root, commit))
    found = {}
    for key, path in sorted(_named(root, commit, params)):
        holding = [out for out in outputs if PurePosixPath(f"/{path}").is_relative_to(out.fs_path)]
        if holding:
            found |= {out.fs_path: out for out in holding}
        elif not _is_at_hand(root, commit, path):
            raise PipelineError(f"`{key}`: {_remedy(root, name, path)}")
    return list(found.values())


def fetch(root: Path, commit: str, outputs: list[Output]) -> None:
    """Fetch outputs of `.dvc` files that the cache lacks, from a remote or where they come from.

    Raises:
        PipelineError: they are not there either.
    """
    repo = cache.repository(root)

    def lacking() -> list[Output]:
        added = [out for out in outputs if out.stage.is_data_source and out.use_cache]
        return [
            one for one in added if not (one.hash_info and cache.has(repo, one.hash_info.value))
        ]

    if not (missing := lacking()):
        return
    reason = ""
    logging.disable()  # DVC lists each object
    try:
        cache.at(root, commit).fetch(targets=[out.fs_path.lstrip("/") for out in missing])
    except Exception as error:  # each kind of storage has its own
        reason = f" ({excerpt(' '.join(str(error).split()) or type(error).__name__)})"
    finally:
        logging.disable(logging.NOTSET)
    if missing := lacking():
        path = missing[0].fs_path.lstrip("/")
        raise PipelineError(
            f"{path} of {commit[:7]} is neither in the DVC cache nor in a remote{reason}; run `dvc "
            "push` where it was added, then `dvc pull`"
        )


def stale(root: Path) -> list[str]:
    """Sentences about files that differ from their `.dvc` files, which record another version.

    Raises:
        PipelineError: DVC cannot read its files.
    """
    outputs = cache.outputs(cache.repository(root))
    changed = [
        str(out)
        for out in outputs
        if out.stage.is_data_source and "modified" in out.workspace_status().values()
    ]
    return [
        f"{path} differs from {path}.dvc, so the recorded version is used; to use the file as it "
        f"is, run `dvc add {shlex.quote(path)}`"
        for path in changed
    ]


def _named(root: Path, commit: str, params: Iterable[dict[str, Any]]) -> set[tuple[str, str]]:
    """The parameters that name a file, and its path."""
    keys = NAMED.findall(show(root, commit, "dvc.yaml"))
    values = [(key, flatten(given).get(key)) for given in params for key in keys]
    return {(key, value) for key, value in values if isinstance(value, str)}


def _is_at_hand(root: Path, commit: str, path: str) -> bool:
    """Whether the commit has a file; one with an absolute path is the same in every clone."""
    if Path(path).is_absolute():
        return Path(path).exists()
    try:
        return bool(git(root, "ls-tree", "--name-only", commit, "--", path))
    except PipelineError:  # outside of the repository
        return False


def _remedy(root: Path, name: str, path: str) -> str:
    if not (root / path).exists():
        return f"{name} has no file {path}; correct the path"
    if not (root / path).resolve().is_relative_to(root.resolve()):
        return f"{path} is outside of the repository; move it into it, then `dvc add` it"
    return (
        f"neither Git nor DVC tracks {path} in {name}; run `dvc add {shlex.quote(path)}` and "
        f"commit {path}.dvc (or commit the file itself)"
    )
