"""What a killed DVC leaves unreadable is put back."""

import shutil
import sys

import pytest
from conftest import ROOT, run
from dvc.exceptions import DvcException
from dvc.repo import Repo

from ajuste.recover import recover

pytestmark = pytest.mark.slow

PIPELINE = """
stages:
  copy:
    cmd: cp params.yaml out
    deps:
    - params.yaml
    outs:
    - out
"""


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    """A repository with one stage, which has run, and whose results are committed."""
    folder = tmp_path_factory.mktemp("committed")
    run("git", "init", "--quiet", cwd=folder)
    run("dvc", "init", "--quiet", cwd=folder)
    (folder / "params.yaml").write_text("seed: 1\n")
    (folder / "dvc.yaml").write_text(PIPELINE)
    run("dvc", "repro", "--quiet", cwd=folder)
    run("git", "add", "--all", cwd=folder)
    run("git", "commit", "--quiet", "--message", "results", cwd=folder)
    return folder


@pytest.fixture
def repository(committed, tmp_path):
    return shutil.copytree(committed, tmp_path / "repository")


def repro(folder) -> int:
    return run("dvc", "repro", "--quiet", cwd=folder, check=False).returncode


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def readable(folder) -> bool:
    try:
        return bool(Repo(str(folder)).index.stages)
    except DvcException:
        return False


def test_a_lock_cut_off_anywhere_can_be_read_again(repository):
    path = repository / "dvc.lock"
    whole = path.read_bytes()
    torn = 0
    for length in range(0, len(whole), 4):
        path.write_bytes(whole[:length])
        was_readable = readable(repository)
        put_back = recover(repository)
        assert put_back == ([] if was_readable else ["dvc.lock"])
        assert path.read_bytes() == whole[:length] if was_readable else whole
        torn += not was_readable
    assert torn > 25


def test_a_torn_lock_stops_dvc_until_it_is_put_back(repository):
    path = repository / "dvc.lock"
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"path") + 2])
    assert repro(repository) != 0
    done = run(sys.executable, "-m", "ajuste.recover", cwd=repository)
    assert done.stdout == "recover: dvc.lock was cut off as DVC wrote it; put back\n"
    assert repro(repository) == 0
    assert path.read_bytes() == whole


def test_a_torn_lock_that_was_never_committed_goes(repository):
    run("git", "rm", "--quiet", "--cached", "dvc.lock", cwd=repository)
    run("git", "commit", "--quiet", "--message", "none", cwd=repository)
    path = repository / "dvc.lock"
    whole = path.read_bytes()
    path.write_bytes(b"")
    assert recover(repository) == ["dvc.lock"]
    assert not path.exists()
    assert repro(repository) == 0
    assert path.read_bytes() == whole


@pytest.mark.parametrize("text", ["", '{"write": {"/a'])
def test_a_torn_list_of_locks_stops_dvc_until_it_is_gone(repository, text):
    path = repository / ".dvc/tmp/rwlock"
    path.write_text(text)
    (repository / "params.yaml").write_text("seed: 2\n")
    assert repro(repository) != 0
    assert recover(repository) == [".dvc/tmp/rwlock"]
    assert repro(repository) == 0
    assert recover(repository) == []


def test_nothing_is_touched_while_dvc_runs(repository):
    (repository / "dvc.lock").write_text("")
    (repository / ".dvc/tmp/rwlock").write_text("")
    with Repo(str(repository)).lock:
        assert recover(repository) == []
    assert (repository / "dvc.lock").read_text() == ""
