"""What every stage does first: check `params.yaml` and the inputs. `python -m stages.check`.

The check says whether a stage runs and has no part in what the stage writes. So the stages do not
depend on this module in `dvc.yaml`: otherwise a new network would make all of them run again.
"""

from collections.abc import Callable

from ajuste import errors
from ajuste.config import check, reader
from ajuste.config.reader import FaultsError
from ajuste.repository import integrity
from ajuste.training import networks


def demand() -> None:
    """Check `params.yaml`.

    Raises:
        PipelineError: it cannot be read, or has faults; all of them are named.
    """
    if found := check.faults(reader.read(), networks.options):
        raise FaultsError(reader.FILE, found)


def run(stage: str, main: Callable[[], None]) -> None:
    """Check `params.yaml` and the inputs of a stage, then call its `main`.

    See `ajuste.repository.integrity.demand` and `ajuste.errors.run`.
    """

    def checked() -> None:
        demand()
        integrity.demand()
        main()

    errors.run(stage, checked)


def main() -> None:
    """Say whether `params.yaml` has faults, and which."""
    demand()
    print(f"{reader.FILE}: no faults")


if __name__ == "__main__":
    errors.run("check", main)
