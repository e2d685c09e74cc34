"""What DVC cannot read or does not see is repaired, and nothing else is touched."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, run
from dvc.exceptions import DvcException
from dvc.repo import Repo
from in_process import dvc

from ajuste.errors import PipelineError
from ajuste.repository import integrity, recover

pytestmark = pytest.mark.slow

CUT_OFF = "dvc.lock was cut off when DVC was killed"
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
    dvc(folder, "init", "--quiet")
    (folder / "params.yaml").write_text("seed: 1\n")
    (folder / "dvc.yaml").write_text(PIPELINE)
    dvc(folder, "repro", "--quiet")
    commit(folder)
    return folder


def commit(folder):
    run("git", "add", "--all", cwd=folder)
    run("git", "commit", "--quiet", "--message", "results", cwd=folder)


@pytest.fixture
def repository(committed, tmp_path, monkeypatch):
    """A copy of it, which is the working directory."""
    folder = shutil.copytree(committed, tmp_path / "repository")
    monkeypatch.chdir(folder)
    return folder


def readable(folder) -> bool:
    try:
        return bool(Repo(str(folder)).index.stages)
    except DvcException:
        return False


def stored(folder, digest) -> Path:
    return folder / ".dvc/cache/files/md5" / digest[:2] / digest[2:]


def damage(path) -> str:
    """Change a byte of a file; returns the new text."""
    path.chmod(0o644)
    path.write_text(f"~{path.read_text()[1:]}")
    return path.read_text()


def test_a_lock_that_is_cut_off_anywhere_can_be_read_again(repository):
    path = repository / "dvc.lock"
    whole = path.read_bytes()
    cut_off = 0
    for length in range(0, len(whole), 9):
        path.write_bytes(whole[:length])
        was_readable = readable(repository)
        assert recover.recover(repository) == ([] if was_readable else ["dvc.lock"])
        assert path.read_bytes() == whole[:length] if was_readable else whole
        cut_off += not was_readable
    assert cut_off > 10


def test_a_lock_that_is_cut_off_stops_dvc_until_it_is_restored(repository, capsys):
    path = repository / "dvc.lock"
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"path") + 2])
    dvc(repository, "repro", "--quiet", fails=True)
    capsys.readouterr()
    recover.main()
    assert capsys.readouterr().out == f"recover: {CUT_OFF}; restored from the last commit\n"
    dvc(repository, "repro", "--quiet")
    assert path.read_bytes() == whole


def test_a_lock_that_is_cut_off_and_was_never_committed_is_removed(repository, capsys):
    run("git", "rm", "--quiet", "--cached", "dvc.lock", cwd=repository)
    run("git", "commit", "--quiet", "--message", "none", cwd=repository)
    (repository / "dvc.lock").write_bytes(b"")
    recover.main()
    assert capsys.readouterr().out == f"recover: {CUT_OFF}; removed\n"
    assert not (repository / "dvc.lock").exists()


@pytest.mark.parametrize("text", ["", '{"write": {"/a'])
def test_a_list_of_commands_that_is_cut_off_stops_dvc_until_it_is_removed(repository, text):
    (repository / ".dvc/tmp/rwlock").write_text(text)
    (repository / "params.yaml").write_text("seed: 2\n")
    dvc(repository, "repro", "--quiet", fails=True)
    assert recover.recover(repository) == [".dvc/tmp/rwlock"]
    dvc(repository, "repro", "--quiet")
    assert recover.recover(repository) == []


def test_a_merge_conflict_is_named_and_kept(repository):
    path = repository / "dvc.lock"
    conflict = "<<<<<<< HEAD\n" + path.read_text() + "=======\n>>>>>>> change\n"
    path.write_text(conflict)
    with pytest.raises(PipelineError, match=r"^dvc.lock: a merge conflict; .* --ours"):
        recover.recover(repository)
    assert path.read_text() == conflict


def test_a_lock_is_restored_in_a_subfolder_of_a_git_repository(tmp_path, repository):
    below = tmp_path / "above/below"
    shutil.copytree(repository, below, ignore=shutil.ignore_patterns(".git"))
    run("git", "init", "--quiet", cwd=below.parent)
    dvc(below, "config", "core.no_scm", "true")
    commit(below)
    whole = (below / "dvc.lock").read_bytes()
    (below / "dvc.lock").write_bytes(b"")
    assert recover.recover(below) == ["dvc.lock"]
    assert (below / "dvc.lock").read_bytes() == whole


@contextmanager
def busy(folder, how):
    if how == "DVC holds the lock":
        with Repo(str(folder)).lock:
            yield
    else:
        listed = {"write": {str(folder / "out"): {"pid": os.getpid(), "cmd": "dvc repro"}}}
        (folder / ".dvc/tmp/rwlock").write_text(json.dumps(listed))
        yield


@pytest.mark.parametrize("how", ["DVC holds the lock", "a stage runs"])
def test_nothing_is_touched_while_dvc_runs(repository, how, monkeypatch):
    monkeypatch.setattr("dvc.lock.DEFAULT_TIMEOUT", 0)  # seconds that DVC waits for its lock
    (repository / "out").write_text("other")
    state = (repository / "out").stat().st_mtime_ns
    with busy(repository, how):
        assert recover.expose(repository) == ([], [])
        (repository / "dvc.lock").write_text("")
        assert recover.recover(repository) == []
    assert (repository / "dvc.lock").read_text() == ""
    assert (repository / "out").stat().st_mtime_ns == state


@pytest.mark.parametrize("linked", ["copy", "symlink"])
def test_a_damaged_object_of_an_added_file_is_renamed_and_not_deleted(repository, linked):
    """It may be the only copy of the file."""
    dvc(repository, "config", "cache.type", linked)
    (repository / "mine.csv").write_text("text,label\n")
    dvc(repository, "add", "--quiet", "mine.csv")
    kept = stored(repository, integrity.md5(repository / "mine.csv"))
    text = damage(kept)
    assert recover.expose(repository) == ([f"{kept}.damaged"], [])
    assert Path(f"{kept}.damaged").read_text() == text
    assert recover.expose(repository) == ([], [])


def test_in_a_shared_cache_damaged_objects_of_other_projects_stay(repository):
    """The working tree's `dvc.lock` counts, and not the committed one."""
    (repository / "params.yaml").write_text("seed: 2\n")
    dvc(repository, "repro", "--quiet")
    named = stored(repository, integrity.recorded(repository)["out"])
    other = stored(repository, "0" * 32)  # not this hash
    other.parent.mkdir(exist_ok=True)
    other.write_text("of another project")
    damage(named)
    assert recover.expose(repository) == ([f"{named}.damaged"], [])
    assert other.read_text() == "of another project"
    dvc(repository, "repro", "--quiet")
    assert integrity.is_whole(named)


def test_the_hash_of_a_folder_is_that_of_dvc(repository):
    for name in ("train/loss.tsv", "train.tsv", "train-2/a", "é"):
        (repository / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / "folder" / name).write_text(name)
    dvc(repository, "add", "--quiet", "folder")
    added = yaml.safe_load((repository / "folder.dvc").read_text())["outs"][0]
    assert integrity.md5(repository / "folder") == added["md5"]


RENAMED = """
stages:
  first:
    cmd: echo 1 > one && echo 2 > two
    outs:
    - one
    - two
  second:
    foreach: [one, two]
    do:
      cmd: python -c "from ajuste.repository import integrity; integrity.demand()"
      deps:
      - ${item}
"""


@pytest.mark.parametrize("target", [[], ["first"]], ids=["has run", "has not run"])
def test_a_stage_with_any_name_checks_its_own_inputs(repository, monkeypatch, target):
    """A stage of `foreach` with a templated input."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (repository / "dvc.yaml").write_text(RENAMED)
    dvc(repository, "repro", "--quiet", *target)
    damage(repository / "two")
    monkeypatch.setenv("DVC_STAGE", "second@one")
    integrity.demand()
    monkeypatch.setenv("DVC_STAGE", "second@two")
    with pytest.raises(PipelineError, match=r"^two: damaged"):
        integrity.demand()


@pytest.mark.long
def test_a_second_dvc_repro_is_refused_while_a_stage_runs(repository):
    gate = repository / "gate"
    os.mkfifo(gate)
    (repository / "dvc.yaml").write_text(PIPELINE.replace("cp params.yaml", "cat gate >"))
    first = subprocess.Popen([sys.executable, "-m", "dvc", "repro"], cwd=repository)
    with gate.open("w") as opened:  # waits until the stage runs
        second = run("dvc", "repro", cwd=repository, check=False)
        assert "is busy, it is being blocked by" in second.stderr
        opened.write("whole")
    assert first.wait() == 0
    assert (repository / "out").read_text() == "whole"
