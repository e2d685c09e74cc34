import os
import shutil
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest

# No deadline: a busy machine is no fault of the code.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

ROOT = Path(__file__).parent.parent


def run(*command: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess:
    """Run a command of the environment that the tests run in, and keep what it says."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    if check and done.returncode:
        pytest.fail(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return done


def edit(path: Path, replacements: dict[str, str]) -> None:
    """Replace pieces of a file, each where it stands first; all must be there."""
    text = path.read_text(encoding="utf-8")
    for old, new in replacements.items():
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="session", autouse=True)
def _own_dvc(tmp_path_factory):
    """Keep DVC off the caches and settings of the machine, and Git off its user's settings."""
    folder = tmp_path_factory.mktemp("dvc")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SITE_CACHE", "GLOBAL_CONFIG", "SYSTEM_CONFIG"):
            patch.setenv(f"DVC_{name}_DIR", str(folder / name.lower()))
        patch.setenv("DVC_NO_ANALYTICS", "1")
        for role in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{role}_NAME", "test")
            patch.setenv(f"GIT_{role}_EMAIL", "test@example.org")
        yield


@pytest.fixture(scope="session")
def clone(tmp_path_factory):
    """A function that copies the project, as it stands, into a throwaway repository."""

    def make() -> Path:
        folder = tmp_path_factory.mktemp("clone")
        listed = run(
            "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT
        )
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        run("git", "init", "--quiet", cwd=folder)
        run("git", "add", "--all", cwd=folder)
        run("git", "commit", "--quiet", "--message", "start", cwd=folder)
        return folder

    return make


@pytest.fixture(scope="session")
def small_clone(clone):
    """A function that makes a throwaway repository: 1,200 of the bundled reviews, one epoch."""
    from reliability import clones

    def make() -> Path:
        folder = clone()
        table = clones.bundled_slice(ROOT, 1200)
        exclaims, long = table["review"].str.contains("!"), table["review"].str.len() > 1000
        table["marks"] = exclaims.map({True: "!", False: ""}) + long.map({True: "|long", False: ""})
        table["kind"] = table["label"] + long.map({True: " long", False: " short"})
        table["length"] = table["review"].str.split().str.len()
        clones.shrink(folder, table)
        run("git", "add", "--all", cwd=folder)
        run("git", "commit", "--quiet", "--message", "a slice", cwd=folder)
        return folder

    return make


@pytest.fixture(scope="session")
def reproduced(small_clone):
    """A throwaway repository, small, as it is before its pipeline has run, and after."""
    start = small_clone()
    done = start.with_name(f"{start.name}-reproduced")
    shutil.copytree(start, done, symlinks=True)
    run("dvc", "repro", "--force", cwd=done)
    return start, done


@pytest.fixture
def copy(reproduced, tmp_path):
    """A copy of the reproduced repository, with its results committed and its cache."""
    folder = shutil.copytree(reproduced[1], tmp_path / "copy", symlinks=True)
    run("git", "add", "--all", cwd=folder)
    run("git", "commit", "--quiet", "--message", "results", cwd=folder)
    return folder


@pytest.fixture(scope="session")
def finished(clone):
    """A throwaway repository in which the whole default pipeline has run, on all its data."""
    folder = clone()
    run("dvc", "repro", cwd=folder)
    return folder


LABELS = {
    "binary": ["negative", "positive"],
    "multiclass": ["1", "2", "3"],
    "multilabel": ["drama", "comedy"],
    "regression": ["1", "10"],
    "unit_regression": ["1", "10"],
}


@pytest.fixture
def little_model(tmp_path):
    """A function that writes a model of a task, untrained, which knows `good`, `bad` and `film`."""

    def write(task: str) -> Path:
        from ajuste import tasks
        from ajuste.data.text import Encoder
        from ajuste.training import backend, model_file

        folder = tmp_path / "data/model"
        Encoder({"good": 9, "bad": 7, "film": 5}, 4, "last", task, LABELS[task]).save(folder)
        backend.seed(1)
        layers = backend.keras.layers
        token_ids = backend.keras.Input((4,), dtype="int32")
        hidden = layers.Flatten()(layers.Embedding(5, 3)(token_ids))
        outputs = len(LABELS[task]) if task.startswith("multi") else 1
        said = layers.Dense(outputs, activation=tasks.TASKS[task].activation)(hidden)
        model_file.save(backend.keras.Model(token_ids, said), folder / "model.keras")
        return folder

    return write


@pytest.fixture
def in_tmp(tmp_path, monkeypatch):
    """An empty folder to work in, with the project's parameters."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path
