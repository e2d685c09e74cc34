"""The way back to the last commit: `make reset` (`python -m ajuste.repository.reset`).

`git checkout . && dvc checkout` needs the committed objects in DVC's cache. Without them it deletes
the model and fails. It also leaves files of another network in folders that are in Git.

Here the results of the last commit are first put together in a throwaway clone: from Git, from the
cache, from the default remote, and if objects are still missing, by `dvc repro`. Only then they
replace those of the workspace. So an error changes nothing, and after a kill a second call goes on.
Replaced are `params.yaml`, `dvc.lock`, the outputs of the stages, and the record of the environment
that `train` writes beside them. Code, data and all other files stay.

What would be lost, and is asked about: a `params.yaml` that is in no commit and no experiment; and
a file in an output that no stage wrote: neither `dvc.lock` nor the cache nor the last commit has
its hash. A user has edited it, or a stage was writing it when it was killed. Results of stages are
not lost: DVC keeps them in its cache, and `dvc repro` with their parameters takes them from there.
"""

import argparse
import logging
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.output import Output
from dvc.repo import Repo

from ajuste.config import reader
from ajuste.config.nested import flatten
from ajuste.errors import SHOWN, PipelineError, excerpt, run
from ajuste.files import ENVIRONMENT
from ajuste.repository import cache, integrity, recover, throwaway
from ajuste.repository.git import clone, git, show
from ajuste.repository.integrity import LOCK

PARAMS = "params.yaml"
ALL = "params.yaml, results and model"


def reset(root: Path, confirm: Callable[[str], None]) -> None:
    """Bring back the parameters, results and model of the last commit, and print from where.

    Args:
        root: the repository.
        confirm: called with what would be lost, before anything changes; it raises to stop.

    Raises:
        PipelineError: DVC is running, there is no commit, or the missing results cannot be made.
    """
    repo = cache.repository(root)
    with recover.alone(repo) as is_alone:
        if not is_alone:
            raise PipelineError("another DVC command is running here; wait until it ends")
        for left in Path(repo.tmp_dir).glob(f"{throwaway.PREFIX}*"):  # by a call that was killed
            shutil.rmtree(left, ignore_errors=True)
        with throwaway.scratch(Path(repo.tmp_dir)) as folder:
            _Reset(repo, folder)(confirm)


class _Reset:
    """The state of a call of `reset`.

    Attributes:
        root: the workspace.
        made: the project in a clone of the last commit.
        outs: the outputs of the stages, by path.
        wanted: the committed hash of all that is brought back, by path; None if it has none.
        source: where it comes from, for all of it that is at hand.
    """

    def __init__(self, repo: Repo, folder: Path) -> None:
        self.repo, self.root, self.trash = repo, Path(repo.root_dir), folder / "replaced"
        commit = git(self.root, "rev-parse", "HEAD").strip()
        self.params = reader.parse(show(self.root, commit, f"./{PARAMS}"), f"{PARAMS} of {commit}")
        self.name = f"commit {commit[:7]} ({self.params.get('model')})"
        top, below = git(self.root, "rev-parse", "--show-toplevel", "--show-prefix").split("\n")[:2]
        clone(Path(top), folder / "clone", commit)
        self.made = folder / "clone" / below
        throwaway.share_cache(repo, self.made)
        self._read()
        self.source = {path: "from Git" for path in self.wanted if (self.made / path).exists()}

    def _read(self) -> None:
        """Read what the clone has."""
        self.project = cache.repository(self.made)
        self.outs: dict[str, Output] = {
            Path(out.fspath).relative_to(self.project.root_dir).as_posix(): out
            for out in cache.outputs(self.project)
            if not out.stage.is_data_source
        }
        beside = [path for path in (str(ENVIRONMENT), LOCK) if (self.made / path).exists()]
        self.wanted = {
            path: self.outs[path].hash_info.value
            if path in self.outs and self.outs[path].use_cache
            else _digest(self.made / path)
            for path in (PARAMS, *self.outs, *beside)  # dvc.lock last: it says what stages wrote
        }

    def __call__(self, confirm: Callable[[str], None]) -> None:
        differing = [
            path
            for path, digest in self.wanted.items()
            if digest is None or _digest(self.root / path) != digest
        ]
        if not differing:
            _say(f"nothing to do; {ALL} are those of {self.name}")
            return
        if lost := [*self._parameters(), *self._by_hand(differing)]:
            confirm(_list(lost))
        other = self._complete(differing)
        places = Counter(self.source[path] for path in self._replace() if path in self.outs)
        if places:
            _say("outputs: " + ", ".join(f"{count} {place}" for place, count in places.items()))
        if not other:
            _say(f"{ALL} are those of {self.name}")
            return
        _say(
            f"`dvc repro` of {self.name} gives other bytes here ({_list(other)}), as on another "
            f"kind of processor; {LOCK}, results and model are those of this run"
        )

    def _parameters(self) -> Iterator[str]:
        """`params.yaml` with its changes, if no commit and no experiment has it."""
        path = self.root / PARAMS
        if not path.exists():
            return
        # Experiments are commits too.
        raw = ("--raw", "--no-abbrev", "--root", "-m", "--full-history", "--format=")
        if git(self.root, "hash-object", PARAMS).strip() in git(
            self.root, "log", "--all", *raw, "--", PARAMS
        ):
            return
        try:
            new = flatten(reader.read(path))
        except PipelineError:
            yield f"{PARAMS} (not readable)"
            return
        old = flatten(self.params)
        keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        changes = [excerpt(f"{key}: {old.get(key)} -> {new.get(key)}") for key in keys]
        yield f"{PARAMS} ({_list(changes) or 'comments'})"

    def _by_hand(self, differing: list[str]) -> Iterator[str]:
        """The files in outputs that no stage wrote."""
        recorded = {}
        with suppress(PipelineError):  # a `dvc.lock` that is cut off
            recorded = integrity.recorded(self.root)
        for path in differing:
            output = self.root / path
            if path not in self.outs or _digest(output) in (None, recorded.get(path)):
                continue
            for file in [output] if output.is_file() else output.rglob("*"):
                name = file.relative_to(self.root).as_posix()
                if (
                    file.is_file()
                    and not integrity.is_unfinished(file)
                    and not cache.has(self.repo, digest := integrity.md5(file))
                    and _digest(self.made / name) != digest
                ):
                    yield name

    def _complete(self, differing: list[str]) -> list[str]:
        """Make the clone have the differing outputs.

        Returns:
            The outputs that have other bytes than the committed ones.
        """
        outs = [out for out in cache.outputs(self.project) if out.use_cache and out.hash_info]
        for path in cache.set_aside(self.repo, [out.hash_info.value for out in outs]):
            _say(f"an object of the cache was damaged and is now {path}")
        self._find("from the cache")
        if self._lacks(differing):
            self._fetch(differing)
        try:
            self.project.checkout(allow_missing=True, force=True)
        except DvcException as error:
            raise cache.one_line(error) from None
        return self._repro() if self._lacks(differing) else []

    def _lacks(self, differing: list[str]) -> list[str]:
        return [path for path in differing if path not in self.source]

    def _find(self, place: str) -> None:
        """Note the outputs that the cache has, and that were not at hand before."""
        for path, digest in self.wanted.items():
            if path not in self.source and digest and cache.has(self.repo, digest):
                self.source[path] = place

    def _fetch(self, differing: list[str]) -> None:
        """Fetch missing objects from the default remote, if there is one."""
        if not (name := self.repo.config["core"].get("remote")):
            return
        reason = ""
        logging.disable()  # DVC lists each object
        try:
            Repo(str(self.made), config=self.repo.config).fetch()
        except Exception as error:  # each kind of storage has its own
            reason = f" ({excerpt(' '.join(str(error).split()) or type(error).__name__)})"
        finally:
            logging.disable(logging.NOTSET)
        self._find("from the remote storage")
        if self._lacks(differing):
            _say(f"the remote storage {name} does not answer or lacks outputs{reason}")

    def _repro(self) -> list[str]:
        """Run the pipeline in the clone."""
        command = [sys.executable, "-m", "dvc", "repro"]
        with throwaway.started(command, self.made, output=None) as process:
            if process.wait():
                raise PipelineError(
                    f"`dvc repro` of {self.name} failed, see above; nothing was changed"
                )
        before = self.wanted
        self._read()
        other = [path for path in self.outs if self.wanted[path] != before.get(path)]
        ran = {*other, *(path for path in self.outs if path not in self.source)}
        names = list(dict.fromkeys(self.outs[path].stage.name for path in self.outs if path in ran))
        self.source |= dict.fromkeys(ran, f"by `dvc repro` ({', '.join(names)})")
        return other

    def _replace(self) -> list[str]:
        """Put what the clone has in the place of what differs from it in the workspace.

        Returns:
            Its paths.
        """
        git(self.root, "reset", "--quiet", "--", *self.wanted)  # what is staged
        made = {path: digest for path in self.wanted if (digest := _digest(self.made / path))}
        paths = [path for path, digest in made.items() if _digest(self.root / path) != digest]
        for path in paths:
            old, aside = self.root / path, self.trash / path
            aside.parent.mkdir(parents=True, exist_ok=True)
            old.parent.mkdir(parents=True, exist_ok=True)
            if old.exists() or old.is_symlink():
                shutil.move(old, aside)
            shutil.move(self.made / path, old)
        return paths


def _digest(path: Path) -> str | None:
    return integrity.md5(path) if path.exists() else None


def _list(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if names[SHOWN:] else "")


def _say(line: str) -> None:
    print(f"reset: {line}", flush=True)  # before the output of `dvc repro`


def ask(lost: str) -> None:
    """Ask in a terminal whether something may be lost; elsewhere it may not.

    Raises:
        PipelineError: it may not.
    """
    if not sys.stdin.isatty():
        raise PipelineError(
            f"in no commit and no experiment, and would be lost: {lost}; keep it with "
            "`dvc exp save --name NAME`, or lose it with `make reset FORCE=1`"
        )
    print(f"reset: in no commit and no experiment, and would be lost: {lost}")
    try:
        answer = input("Lose it? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise PipelineError("nothing was changed")


def main() -> None:
    """Reset the repository in the working directory."""
    parser = argparse.ArgumentParser(prog="python -m ajuste.repository.reset", description=__doc__)
    parser.add_argument("--force", action="store_true", help="lose uncommitted changes, do not ask")
    confirm = (lambda _: None) if parser.parse_args().force else ask
    reset(Path.cwd(), confirm)


if __name__ == "__main__":
    run("reset", main)
