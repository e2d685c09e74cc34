"""The model of another version, from Git and DVC's cache or remote."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc_data.index import DataIndexDirError

from ajuste.errors import PipelineError
from ajuste.repository.git import git

ARTIFACT, MODEL = "sentiment", "data/model"
"""The name of the model in the registry (`artifacts` in dvc.yaml), and its path."""


@contextmanager
def folder(root: Path, version: str) -> Iterator[Path]:
    """The folder of the model, for as long as the block runs.

    Args:
        root: the repository.
        version: one that `gto register` gave, such as v1.2.0, or any revision of Git.

    Raises:
        PipelineError: there is no such version, or its model is neither in the cache nor in the
            default remote.
    """
    with tempfile.TemporaryDirectory() as temporary:
        found = Path(temporary) / "model"
        try:
            files = DVCFileSystem(str(root), rev=_commit(root, version))
            files.get(MODEL, str(found), recursive=True)
        except (DvcException, DataIndexDirError, OSError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise PipelineError(f"--rev {version}: there is no model here ({reason})") from None
        yield found


def _commit(root: Path, version: str) -> str:
    for name in (f"{ARTIFACT}@{version}", version):
        with suppress(PipelineError):
            return git(root, "rev-parse", "--verify", f"{name}^{{commit}}").strip()
    raise PipelineError(
        f"--rev {version}: no such version or revision; `gto show {ARTIFACT}` lists the versions"
    )
