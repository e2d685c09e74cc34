"""DVC in the process of the tests, which saves a second for each command."""

import os
import sys
from contextlib import chdir
from pathlib import Path
from unittest.mock import patch

from dvc.cli import main


def dvc(folder: Path, *arguments: str, fails: bool = False) -> None:
    """Run a DVC command in a folder; the environment and the working directory stay as they are."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with chdir(folder), patch.dict(os.environ, PATH=path):
        assert bool(main([*arguments])) == fails, arguments
