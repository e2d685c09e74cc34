"""`dvc repro`, killed several times, ends as if nothing had happened."""

import hashlib
import random
import shutil

import pytest
import yaml

from reliability import clones, kill

LONG = pytest.mark.long


@pytest.mark.slow
@pytest.mark.parametrize(("kills", "all_stages"), [(4, False), pytest.param(20, True, marks=LONG)])
def test_kills_change_nothing(reproduced, tmp_path, kills, all_stages):
    """In a run of all stages, or only of `train` and `evaluate`."""
    start, whole = reproduced
    clone = shutil.copytree(start if all_stages else whole, tmp_path / "clone", symlinks=True)
    if not all_stages:
        shutil.rmtree(clone / ".dvc/cache/runs")
        lock = yaml.safe_load((clone / "dvc.lock").read_text())
        del lock["stages"]["train"], lock["stages"]["evaluate"]
        (clone / "dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False))
    result = kill.Result()
    kill.kill(clone, whole, random.Random(1), kills, result)
    assert result.faults == [], result
    assert result.kills


@pytest.fixture
def folder(tmp_path):
    """A clone with an output, an object of the cache, and temporary files."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.json").write_text("whole")
    (tmp_path / "data/.b.json.part").write_text("ha")
    (tmp_path / "data/.ZB8JS7z2ODtS-a96sDHtpw.tmp").write_text("ha")
    digest = hashlib.md5(b"whole").hexdigest()
    kept = tmp_path / clones.OBJECTS / digest[:2] / digest[2:]
    kept.parent.mkdir(parents=True)
    kept.write_text("whole")
    (tmp_path / "dvc.lock").write_text("stages:\n  a:\n    outs:\n    - path: data\n")
    return tmp_path


def test_half_written_files_with_their_final_name_are_found(folder):
    final = kill.final_hashes(folder)
    kept = next(name for name in final if name.startswith(clones.OBJECTS))
    assert list(final) == ["data/a.json", kept]
    (folder / kept).with_name("tmp1234").write_text("ha")
    assert kill.faults_at_once(folder, {}, final) == []
    (folder / "data/a.json").write_text("who")
    assert kill.faults_at_once(folder, kill.outputs(folder, ["data"]), final) == []  # as before
    (folder / kept).write_text("who")
    faults = ["data/a.json is half written", f"{kept} is half written"]
    assert kill.faults_at_once(folder, {}, final) == faults


def test_differences_in_the_end_are_found(folder, tmp_path_factory):
    whole = tmp_path_factory.mktemp("whole")
    shutil.copytree(folder, whole, dirs_exist_ok=True)
    for name in (".c.part", ".c.tmp"):
        (folder / name).write_text("ignored")
    assert kill.faults_in_the_end(folder, whole) == []
    with (folder / "dvc.lock").open("a") as lock:
        lock.write("  b: {}\n")
    (folder / "data/a.json").write_text("other")
    (folder / "stray").write_text("")
    found = ["another dvc.lock", "other outputs", "stray is left"]
    assert kill.faults_in_the_end(folder, whole) == found
