"""Check `params.yaml` and the inputs, before a stage runs. `python -m stages.check`.

The check does not change what a stage writes. So the stages do not depend on this module in
`dvc.yaml`; otherwise a new network would make all of them run again.
"""

from collections.abc import Callable

from ajuste import errors
from ajuste.config import check, reader
from ajuste.config.reader import FaultsError
from ajuste.repository import integrity
from ajuste.training import entry_schema


def demand() -> None:
    """Check `params.yaml`.

    Raises:
        PipelineError: it cannot be read, or it has faults; the message names all of them.
    """
    if found := check.faults(reader.read(), entry_schema.options):
        raise FaultsError(reader.FILE, found)


def run(stage: str, main: Callable[[], None]) -> None:
    """Check `params.yaml` and the inputs of a stage, then call the stage's `main`.

    See `ajuste.repository.integrity.demand` and `ajuste.errors.run`.
    """

    def checked() -> None:
        demand()
        integrity.demand()
        main()

    errors.run(stage, checked)


def main() -> None:
    """Print that `params.yaml` has no faults, or fail with a list of them."""
    demand()
    print(f"{reader.FILE}: no faults")


if __name__ == "__main__":
    errors.run("check", main)
