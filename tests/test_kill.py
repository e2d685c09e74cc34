"""`dvc repro`, killed several times, ends as if nothing had happened."""

import hashlib
import random
import shutil
from collections import Counter

import pytest

from ajuste.repository.recover import recover
from reliability import clones, kill
from reliability.kill import LOCK, Killed, Moment, State

SECONDS = {"fetch": 0.5, "validate": 2.5, "split": 0.5, "tokenize": 0.5, "embed": 0.8,
           "words": 0.8, "train": 7, "evaluate": 3}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "stages",
    [
        pytest.param(["fetch", "train"], id="two stages"),
        pytest.param(list(SECONDS), id="all stages", marks=pytest.mark.long),
    ],
)
def test_kills_change_nothing(reproduced, tmp_path, stages):
    """Twice for each stage: while it runs, and while DVC writes dvc.lock."""
    start, whole = reproduced
    clone = shutil.copytree(start, tmp_path / "clone", symlinks=True)
    final = kill.final_hashes(whole)
    before = kill.outputs(clone, final)
    chance = random.Random(1)
    struck = []
    for stage in stages:
        in_stage = Moment(f"Running stage '{stage}'", chance.uniform(0, SECONDS[stage]))
        for moment in (in_stage, Moment(LOCK, chance.uniform(0, 0.1))):
            struck.append(kill.strike(clone, moment))
            assert kill.faults_at_once(clone, before, final) == [], struck
            recover(clone)
    assert kill.repeat(clone) == ([], []), struck
    assert kill.faults_in_the_end(clone, whole) == [], struck


def test_every_stage_gets_as_many_moments_and_a_seed_gives_the_same(tmp_path):
    states = [State(name, tmp_path, seconds) for name, seconds in SECONDS.items()]
    drawn = kill.moments(states, 80, seed=1)
    assert set(Counter(state.stage for state, _ in drawn).values()) == {10}
    assert Counter(moment.text for _, moment in drawn) == {LOCK: 24, "": 56}
    assert all(0 <= moment.seconds <= state.seconds for state, moment in drawn if not moment.text)
    assert kill.moments(states, 80, seed=1) == drawn
    assert kill.moments(states, 80, seed=2) != drawn


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


def test_the_report_counts():
    done = [
        Killed("train", "in it"),
        Killed("train", "in it", cut_off=["dvc.lock"]),
        Killed("embed", "before", faults=["other outputs"]),
    ]
    said = kill.report(done)
    assert "| train | 2 | 0 | 2 |\n| embed | 0 | 1 | 1 |" in said
    assert said.endswith("3 kills; 2 ended in the same hashes; restored: dvc.lock 1 times")
