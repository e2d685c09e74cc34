"""Throwaway clones of the repository, and DVC in them without the settings of the user."""

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
from dvc.utils.serialize import modify_yaml

from ajuste.config import reader
from ajuste.data import reviews
from ajuste.errors import PipelineError
from ajuste.repository import cache
from ajuste.repository.git import clone as git_clone
from ajuste.repository.git import git
from ajuste.repository.throwaway import started
from study import collect

DVC = [sys.executable, "-m", "dvc"]
OBJECTS = ".dvc/cache/files/md5"  # of a clone
SLICE = "data/slice.csv"


def clone(root: Path, folder: Path) -> None:
    """Clone the last commit of a repository, with an empty DVC cache.

    Files that were added with `dvc add` are copied from the cache of the repository.

    Raises:
        PipelineError: they are not in that cache.
    """
    git_clone(root, folder, git(root, "rev-parse", "HEAD").strip())
    if added := git(folder, "ls-files", "*.dvc").splitlines():
        outputs = cache.outputs(cache.repository(folder))
        named = [out.hash_info.value for out in outputs if out.stage.is_data_source]
        for path in cache.objects(cache.repository(root), named):
            copied = folder / OBJECTS / path.parent.name / path.name
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copied)
        dvc(folder, "checkout", "--quiet", *added)


def bundled_slice(root: Path, count: int) -> pd.DataFrame:
    """The first `count` reviews of the bundled corpus, half of each label."""
    digest = reader.load("data.bundled.sha256", reader.Sha256, root / "params.yaml")
    table = reviews.bundled(digest).groupby("label").head(count // 2)
    return table.reset_index(drop=True)


def shrink(folder: Path, table: pd.DataFrame, epochs: int = 1) -> None:
    """Reduce the data and the epochs of a clone, so that each stage takes seconds.

    Args:
        folder: the clone.
        table: the reviews; its columns, without `origin`, become those of a CSV file.
        epochs: for every network.
    """
    table.drop(columns="origin").to_csv(folder / SLICE, index=False)
    columns = {"path": SLICE, "text": "review", "label": "label"}
    with modify_yaml(folder / "params.yaml") as params:
        params["data"]["source"] = "csv"
        params["data"]["csv"].update(columns, labels=["negative", "positive"])
        for network in params["models"].values():
            if "epochs" in network:
                network["epochs"] = epochs


def dvc(folder: Path, *arguments: str, show: bool = False, **settings: object) -> str:
    """Run DVC in a clone.

    Args:
        folder: the clone.
        arguments: of DVC.
        show: whether to print the output as it comes.
        settings: see `started`.

    Returns:
        The output.

    Raises:
        PipelineError: DVC failed.
    """
    lines = []
    with started([*DVC, *arguments], folder, subprocess.PIPE, **settings) as process:
        for line in process.stdout:
            lines.append(line)
            if show:
                print(line, end="", flush=True)
        code = process.wait()
    if code:
        reason = collect.reason("\n" + "".join(lines))
        raise PipelineError(f"dvc {' '.join(arguments)}: {reason}")
    return "".join(lines)
