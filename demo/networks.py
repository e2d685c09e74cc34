"""The trained networks that the demo can ask: the one in data/model, and those of experiments."""

from contextlib import ExitStack
from pathlib import Path

from ajuste.errors import PipelineError
from serving import versions
from serving.classifier import MODEL_FILE, Classifier
from serving.predict import MODEL
from study import collect

HERE = "data/model"
"""The name of the network that the last `dvc repro` trained."""
MOST = 50
"""So many experiments can be chosen, the latest first."""


class Networks:
    """Loads a network when it is first asked.

    Args:
        root: the repository.
        kept: keeps the folders of the networks until it is closed.
    """

    def __init__(self, root: Path, kept: ExitStack) -> None:
        self._root, self._kept = root, kept
        self._folders: dict[str | None, Path] = {}
        self._loaded: dict[tuple[str | None, int], Classifier] = {}

    def names(self) -> list[str]:
        """Those that can be asked for; the model of an experiment may be missing in the cache."""
        here = [HERE] if (self._root / MODEL).exists() else []
        return [*here, *dict.fromkeys(self._references())][: MOST + 1]

    def _references(self) -> dict[str, str]:
        """The latest reference of each experiment, the latest experiment first."""
        found: dict[str, str] = {}
        for reference, name in collect.experiments(self._root).items():
            found.setdefault(name, reference)
        return found

    def load(self, name: str) -> tuple[Path, Classifier]:
        """The folder of a network, and the network.

        Raises:
            PipelineError: there is no such network, or a file of it is missing or damaged.
        """
        reference = self._references().get(name)
        if name != HERE and not reference:
            raise PipelineError(f"{name}: there is no such network here")
        if reference not in self._folders:
            self._folders[reference] = self._folder(reference, name)
        folder = self._folders[reference]
        # `dvc repro` may have changed the one in data/model.
        state = reference, (folder / MODEL_FILE).stat().st_mtime_ns if folder.exists() else 0
        if state not in self._loaded:
            self._loaded[state] = Classifier.load(folder)
        return folder, self._loaded[state]

    def _folder(self, reference: str | None, name: str) -> Path:
        if not reference:
            return self._root / MODEL
        try:
            return self._kept.enter_context(versions.folder(self._root, reference))
        except PipelineError:
            raise PipelineError(f"{name}: its model is not in the cache; run it again") from None
