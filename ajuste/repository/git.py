"""Git as a store of commits and what is in them."""

import os
import subprocess
from pathlib import Path

from ajuste.errors import PipelineError


def git(root: Path, *arguments: str, **variables: str) -> str:
    """What a Git command prints; a Ctrl-C in the terminal does not reach it.

    Args:
        root: the repository.
        arguments: the command.
        variables: of its environment, beside those of this process.

    Raises:
        PipelineError: it failed.
    """
    done = subprocess.run(
        ["git", *arguments],
        cwd=root,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines() or ["no reason given"]
        raise PipelineError(f"git {arguments[0]}: {reason[-1]}")
    return done.stdout


def show(root: Path, revision: str, path: str) -> str:
    """The text of a file of a commit; empty if the commit does not have the file.

    Raises:
        PipelineError: it is not UTF-8.
    """
    command = ["git", "show", f"{revision}:{path}"]
    done = subprocess.run(command, cwd=root, capture_output=True, start_new_session=True)
    try:
        return "" if done.returncode else done.stdout.decode("utf-8")
    except UnicodeDecodeError:
        raise PipelineError(f"{path} of {revision}: not UTF-8; save it as UTF-8") from None
