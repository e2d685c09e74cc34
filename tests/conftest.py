import fcntl
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# A slow machine is no fault of the code. The usual run takes the same examples each time; the
# weekly workflow searches for new ones (--hypothesis-profile search).
hypothesis.settings.register_profile("usual", deadline=None, derandomize=True)
hypothesis.settings.register_profile("search", deadline=None, max_examples=500, print_blob=True)
hypothesis.settings.load_profile("usual")

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
    """Replace pieces of a file, each at its first place; all must be there."""
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
def shared(tmp_path_factory):
    """A function that makes a folder once for all the processes that run these tests."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def folder(name: str, make) -> Path:
        made = root / "shared" / name
        made.parent.mkdir(exist_ok=True)
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                unfinished = made.with_name(f"{name}-unfinished")
                shutil.rmtree(unfinished, ignore_errors=True)
                make(unfinished)
                unfinished.rename(made)
        return made

    return folder


def commit(folder: Path, message: str) -> None:
    run("git", "add", "--all", cwd=folder)
    run("git", "commit", "--quiet", "--message", message, cwd=folder)


def _clone(folder: Path) -> None:
    """Copy the project with its uncommitted changes into a throwaway repository."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    run("git", "init", "--quiet", cwd=folder)
    commit(folder, "start")


def _small_clone(folder: Path) -> None:
    """A throwaway repository with 1,200 of the bundled reviews and one epoch."""
    from reliability import clones

    _clone(folder)
    table = clones.bundled_slice(ROOT, 1200)
    exclaims, long = table["review"].str.contains("!"), table["review"].str.len() > 1000
    table["marks"] = exclaims.map({True: "!", False: ""}) + long.map({True: "|long", False: ""})
    table["kind"] = table["label"] + long.map({True: " long", False: " short"})
    table["length"] = table["review"].str.split().str.len()
    clones.shrink(folder, table)
    commit(folder, "a slice")


def _copied(start: Path, tmp_path_factory) -> Path:
    return shutil.copytree(start, tmp_path_factory.mktemp("copy") / "clone", symlinks=True)


@pytest.fixture(scope="session")
def clone(shared, tmp_path_factory):
    """A function that gives a throwaway repository with the project and its uncommitted changes."""
    return lambda: _copied(shared("clone", _clone), tmp_path_factory)


@pytest.fixture(scope="session")
def small_clone(shared, tmp_path_factory):
    """A function that gives a throwaway repository: 1,200 of the bundled reviews, one epoch."""
    return lambda: _copied(shared("small-clone", _small_clone), tmp_path_factory)


@pytest.fixture(scope="session")
def reproduced(shared):
    """A small throwaway repository before its pipeline has run, and after. Not to be changed."""
    start = shared("small-clone", _small_clone)

    def repro(folder: Path) -> None:
        shutil.copytree(start, folder, symlinks=True)
        run("dvc", "repro", "--force", cwd=folder)

    return start, shared("reproduced", repro)


@pytest.fixture
def copy(reproduced, tmp_path):
    """A copy of the reproduced repository, with its results committed and its cache."""
    folder = shutil.copytree(reproduced[1], tmp_path / "copy", symlinks=True)
    commit(folder, "results")
    return folder


@pytest.fixture(scope="session")
def finished(shared):
    """A repository in which the default pipeline has run on all data. Not to be changed."""

    def repro(folder: Path) -> None:
        _clone(folder)
        run("dvc", "repro", cwd=folder)

    return shared("finished", repro)


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
        from ajuste.data.encoder import Encoder
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


@dataclass(frozen=True)
class Opened:
    """A page in a browser, with the addresses that it asked for and what its console said."""

    page: Any
    asked: list[str]
    said: list[str]

    def faults(self) -> list[tuple[str, str, str]]:
        """What keeps the page from screen readers, in light and in dark colours."""
        from axe_playwright_python.sync_playwright import Axe

        found = []
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme)
            for one in Axe().run(self.page).response["violations"]:
                found.append((scheme, one["id"], one["impact"]))
        return found


@pytest.fixture(scope="module")
def browse():
    """A function that opens an address in Chromium, on a screen as wide as that of a phone.

    `answer` is called with each request of the page, which then needs no server.
    """
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("there is no Chromium here")
    from playwright.sync_api import sync_playwright

    switches = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=chromium, args=switches)

        def opened(address: str, answer=None) -> Opened:
            page = browser.new_page(viewport={"width": 390, "height": 844})
            asked, said = [], []
            page.on("request", lambda request: asked.append(request.url))
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            if answer:
                page.route("**/*", answer)
            page.goto(address)
            return Opened(page, asked, said)

        yield opened
        browser.close()


@pytest.fixture
def in_tmp(tmp_path, monkeypatch):
    """An empty folder to work in, with the project's parameters."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path
