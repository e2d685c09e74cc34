"""Git as a store of commits and their files."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

from ajuste.errors import PipelineError


def git(root: Path, *arguments: str, **variables: str) -> str:
    """Run a Git command. Ctrl-C in the terminal does not interrupt it.

    Args:
        root: the repository.
        arguments: the command.
        variables: environment variables, added to those of this process.

    Returns:
        What the command prints.

    Raises:
        PipelineError: the command failed.
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
    """The text of a file in a commit; empty if the commit does not have it."""
    command = ["git", "show", f"{revision}:{path}"]
    done = subprocess.run(command, cwd=root, capture_output=True, start_new_session=True)
    return "" if done.returncode else done.stdout.decode("utf-8")


def clone(root: Path, folder: Path, commit: str) -> None:
    """Make a throwaway clone that shares the objects and the user's name of a repository.

    Args:
        root: the repository.
        folder: the new clone.
        commit: its working tree; no branch is checked out.

    Raises:
        PipelineError: Git failed.
    """
    user = []
    for key in ("user.name", "user.email"):
        with suppress(PipelineError):  # not set: a commit in the clone will say so
            user += ["--config", f"{key}={git(root, 'config', key).strip()}"]
    options = ["--quiet", "--shared", "--no-checkout", *user]
    git(root, "clone", *options, str(root), str(folder))
    git(folder, "checkout", "--quiet", "--detach", commit)
