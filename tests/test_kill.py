"""`dvc repro`, killed a dozen times on its way, ends as if nothing had been."""

import hashlib
import random
import shutil
from collections import Counter

import pytest

from ajuste.repository.recover import recover
from reliability import kill
from reliability.kill import LOCK, Killed, Moment, State

SECONDS = {"fetch": 0.5, "validate": 2.5, "split": 0.5, "tokenize": 0.5, "embed": 0.8,
           "words": 0.8, "train": 7, "evaluate": 3}  # fmt: skip


def in_stage(stage: str, chance: random.Random) -> Moment:
    return Moment(f"Running stage '{stage}'", chance.uniform(0, SECONDS[stage]))


@pytest.mark.slow
def test_a_dozen_kills_on_the_way_change_nothing(reproduced, tmp_path):
    start, whole = reproduced
    clone = shutil.copytree(start, tmp_path / "clone", symlinks=True)
    final = kill.outputs(whole, kill.paths(whole))
    before = kill.outputs(clone, final)
    chance = random.Random(1)
    moments = []
    for number, stage in enumerate(SECONDS):
        moments.append(in_stage(stage, chance))
        if number % 2:
            moments.append(Moment(LOCK, chance.uniform(0, 0.1)))
    struck = []
    for moment in moments:
        struck.append(kill.strike(clone, moment))
        assert kill.faults_at_once(clone, before, final) == [], struck
        recover(clone)
    torn, failed = kill.repeat(clone)
    assert (torn, failed) == ([], []), struck
    assert kill.faults_in_the_end(clone, whole) == [], struck
    assert {stage for stage, _ in struck} >= {"train", "evaluate"}


def test_every_stage_gets_its_share_of_moments_and_a_seed_gives_the_same(tmp_path):
    states = [State(name, tmp_path, seconds) for name, seconds in SECONDS.items()]
    drawn = kill.moments(states, 80, seed=1)
    assert set(Counter(state.stage for state, _ in drawn).values()) == {10}
    assert Counter(moment.line for _, moment in drawn) == {LOCK: 24, "": 56}
    assert all(0 <= moment.seconds <= state.seconds for state, moment in drawn if not moment.line)
    assert kill.moments(states, 80, seed=1) == drawn
    assert kill.moments(states, 80, seed=2) != drawn


@pytest.fixture
def folder(tmp_path):
    """A clone with an output, an object of the cache and a file that is being written."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.json").write_text("whole")
    (tmp_path / "data/.b.json.part").write_text("ha")
    digest = hashlib.md5(b"whole").hexdigest()
    kept = tmp_path / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    kept.parent.mkdir(parents=True)
    kept.write_text("whole")
    kept.with_name("tmp1234").write_text("ha")
    return tmp_path


def test_what_is_half_written_at_its_final_name_is_found(folder):
    final = kill.outputs(folder, ["data"])
    assert list(final) == ["data/a.json"]
    assert kill.faults_at_once(folder, {}, final) == []
    (folder / "data/a.json").write_text("who")
    assert kill.faults_at_once(folder, {}, final) == ["data/a.json is half written"]
    assert kill.faults_at_once(folder, kill.outputs(folder, ["data"]), final) == []  # as before
    next((folder / ".dvc/cache").rglob("[0-9a-f]" * 30)).write_text("who")
    (folder / "data/a.json").write_text("whole")
    assert [fault.split("/")[-3] for fault in kill.faults_at_once(folder, {}, final)] == ["md5"]


def test_what_is_other_in_the_end_is_found(folder, tmp_path_factory):
    lock = "stages:\n  a:\n    outs:\n    - path: data\n      md5: '1'\n"
    (folder / "dvc.lock").write_text(lock)
    whole = tmp_path_factory.mktemp("whole")
    shutil.copytree(folder, whole, dirs_exist_ok=True)
    assert kill.faults_in_the_end(folder, whole) == []
    (folder / "dvc.lock").write_text(lock.replace("1", "2"))
    (folder / "data/a.json").write_text("other")
    (folder / "stray").write_text("")
    (folder / "data/.ZB8JS7z2ODtS-a96sDHtpw.tmp").write_text("test")  # counted, and no fault
    found = ["another dvc.lock", "other outputs", "stray is left"]
    assert kill.faults_in_the_end(folder, whole) == found


def test_the_report_counts():
    done = [
        Killed("train", "in it"),
        Killed("train", "in it", torn=["dvc.lock"], reordered=True),
        Killed("embed", "before", faults=["other outputs"], scraps=True),
    ]
    said = kill.report(done)
    assert "| train | 2 | 0 | 2 |\n| embed | 0 | 1 | 1 |" in said
    assert "3 kills; 2 ended in the same hashes and files, 1 with the stages of" in said
    assert "1 with a temporary file of DVC left" in said
    assert said.endswith("torn and put back first: dvc.lock 1 times")
