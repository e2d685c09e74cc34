"""What a killed DVC leaves unreadable is put back."""

import json
import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, run
from dvc.exceptions import DvcException
from dvc.repo import Repo

from ajuste.errors import PipelineError
from ajuste.repository import integrity
from ajuste.repository.recover import expose, recover

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
    done = run(sys.executable, "-m", "ajuste.repository.recover", cwd=repository)
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


def test_a_merge_conflict_is_no_torn_lock(repository):
    path = repository / "dvc.lock"
    conflict = "<<<<<<< HEAD\n" + path.read_text() + "=======\n>>>>>>> change\n"
    path.write_text(conflict)
    with pytest.raises(PipelineError, match=r"^dvc.lock: a merge conflict; .* --ours"):
        recover(repository)
    assert path.read_text() == conflict


def test_below_the_top_of_git_a_torn_lock_is_put_back_too(tmp_path, repository):
    below = tmp_path / "above/below"
    shutil.copytree(repository, below, ignore=shutil.ignore_patterns(".git"))
    run("git", "init", "--quiet", cwd=below.parent)
    run("dvc", "config", "core.no_scm", "true", cwd=below)
    run("git", "add", "--all", cwd=below)
    run("git", "commit", "--quiet", "--message", "results", cwd=below)
    whole = (below / "dvc.lock").read_bytes()
    (below / "dvc.lock").write_bytes(b"")
    assert recover(below) == ["dvc.lock"]
    assert (below / "dvc.lock").read_bytes() == whole


@contextmanager
def busy(folder, how):
    if how == "DVC holds the lock":
        with Repo(str(folder)).lock:
            yield
    else:
        told = {"write": {str(folder / "out"): {"pid": os.getpid(), "cmd": "dvc repro"}}}
        (folder / ".dvc/tmp/rwlock").write_text(json.dumps(told))
        yield


@pytest.mark.parametrize("how", ["DVC holds the lock", "a stage runs"])
def test_nothing_is_touched_while_dvc_runs(repository, how):
    (repository / "out").write_text("other")
    state = (repository / "out").stat().st_mtime_ns
    with busy(repository, how):
        assert expose(repository) == ([], [])
        (repository / "dvc.lock").write_text("")
        assert recover(repository) == []
    assert (repository / "dvc.lock").read_text() == ""
    assert (repository / "out").stat().st_mtime_ns == state


@pytest.mark.parametrize("linked", ["copy", "symlink"])
def test_a_damaged_object_is_not_deleted(repository, linked):
    """It may be all that there is of a file that `dvc add` keeps."""
    run("dvc", "config", "cache.type", linked, cwd=repository)
    (repository / "mine.csv").write_text("text,label\n")
    run("dvc", "add", "--quiet", "mine.csv", cwd=repository)
    digest = yaml.safe_load((repository / "mine.csv.dvc").read_text())["outs"][0]["md5"]
    kept = repository / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    kept.chmod(0o644)
    kept.write_text("text,lab~l\n")
    assert expose(repository) == ([f"{kept}.damaged"], [])
    assert Path(f"{kept}.damaged").read_text() == "text,lab~l\n"
    assert expose(repository) == ([], [])


def test_the_hash_of_a_folder_is_that_of_dvc(repository):
    for name in ("train/loss.tsv", "train.tsv", "train-2/a", "é"):
        (repository / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / "folder" / name).write_text(name)
    run("dvc", "add", "--quiet", "folder", cwd=repository)
    told = yaml.safe_load((repository / "folder.dvc").read_text())["outs"][0]
    assert integrity.md5(repository / "folder") == told["md5"]
