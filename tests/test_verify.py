import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml
from conftest import ROOT, run

from ajuste.errors import PipelineError
from ajuste.repository import integrity
from reliability.verify import RECORD, before, differences, summary

STAGES = {
    "first": {"deps": [{"path": "first.py", "md5": "1"}], "outs": [{"path": "a", "md5": "2"}],
              "cmd": "python first.py", "params": {"params.yaml": {"seed": 1}}},
    "second": {"deps": [{"path": "a", "md5": "2"}], "outs": [{"path": "b.csv", "md5": "3"}],
               "cmd": "python second.py"},
    "other": {"deps": [], "outs": [{"path": "c.json", "md5": "4"}], "cmd": "python other.py"},
}  # fmt: skip
FILES = {"a/x.json": b"[1]", "a/y.txt": b"y", "b.csv": b"n\n1\n", "c.json": b"{}"}


def with_hashes(**hashes: str) -> dict:
    """The stages with outputs of other hashes, which the stages that read them know."""
    stages = json.loads(json.dumps(STAGES))
    for stage in stages.values():
        for entry in [*stage["deps"], *stage["outs"]]:
            entry["md5"] = hashes.get(entry["path"].split(".")[0], entry["md5"])
    return stages


def test_stages_come_after_what_they_read():
    assert before(dict(reversed(STAGES.items()))) == {"other": [], "first": [], "second": ["first"]}


def test_the_same_is_the_same():
    assert differences(STAGES, STAGES, FILES, FILES) == {}
    assert summary(3, {}) == "all 3 stages give what is committed, byte for byte"


def test_what_differs_first_is_told_from_what_follows():
    new = {**FILES, "a/x.json": b"[1.5]", "b.csv": b"n\n2\n", "c.json": b'{"d": 1}'}
    found = differences(STAGES, with_hashes(a="5", b="6", c="7"), FILES, new)
    assert found["first"].outputs == {
        "a": "x.json: 1 of 1 values differ, numbers by up to 0.5 (0: 1, now 1.5), relatively by "
        "up to 0.33"
    }
    assert found["second"].inputs == []
    assert found["second"].follows == ["first"]
    said = summary(3, found)
    assert said.startswith("differs first in first: a: x.json: 1 of 1 values differ")
    assert ". Also other: c.json: 1 of 1 values differ, d: nothing, now `1`. " in said
    assert said.endswith("What follows differs too: second")


def test_files_that_come_or_go_are_named():
    new = {"a/x.json": b"[1]", "a/z": b"", **{name: FILES[name] for name in ("b.csv", "c.json")}}
    found = differences(STAGES, with_hashes(a="5"), FILES, new)
    assert found["first"].outputs == {"a": "y.txt: is not made any more; z: is new"}


def test_what_was_made_from_something_else_says_so():
    old = json.loads(json.dumps(STAGES))
    old["first"]["params"]["params.yaml"]["seed"] = 2
    old["first"]["deps"][0]["md5"] = "9"
    old["second"]["cmd"] = "python old.py"
    found = differences(old, STAGES, FILES, FILES)
    assert found["first"].inputs[0] == "made with another first.py"
    assert "(params.yaml.seed: 2, now 1)" in found["first"].inputs[1]
    assert found["second"].inputs == ["made by `python old.py`, now `python second.py`"]
    del old["other"]
    assert differences(old, STAGES, {}, FILES)["other"].inputs == ["the stage is new"]


def test_a_committed_file_that_dvc_lock_does_not_know_differs():
    old = {**FILES, "c.json": b'{"accuracy": 1.0}'}
    assert "other" in differences(STAGES, STAGES, old, FILES)
    found = differences(with_hashes(c="9"), STAGES, FILES, FILES)
    assert "another hash in dvc.lock" in found["other"].outputs["c.json"]


def test_without_the_committed_file_the_hash_tells():
    assert differences(STAGES, STAGES, {}, FILES) == {}
    found = differences(STAGES, with_hashes(c="9"), {}, FILES)
    assert "neither here nor pulled" in found["other"].outputs["c.json"]


@pytest.mark.parametrize(
    "text", ["", "stages:\n", "stages:\n  a:\n    deps:\n    - pa", "stages: ["]
)
def test_a_torn_lock_is_named(text):
    with pytest.raises(PipelineError, match="not what DVC writes"):
        integrity.stages(text)


# A pipeline of seconds. What `first` writes follows the seed; at the pipe GATE it waits.
FIRST = """
import json, os
from pathlib import Path
from ruamel.yaml import YAML
seed = YAML().load(Path("params.yaml"))["seed"]
if "GATE" in os.environ:
    with open(os.environ["GATE"], "w") as gate:
        gate.write(str(os.getpid()))
Path("data").mkdir(exist_ok=True)
Path("data/first.json").write_text(json.dumps({"value": seed / 4}))
Path("metrics.json").write_text(json.dumps({"loss": seed / 2, "given": Path("given").read_text()}))
"""
SECOND = """
from pathlib import Path
Path("second").mkdir()
Path("second/copy.json").write_text(Path("data/first.json").read_text())
"""
OTHER = "from pathlib import Path; Path('other.json').write_text('[3]')"
PIPELINE = {
    "stages": {
        "first": {
            "cmd": "python first.py",
            "deps": ["first.py", "given"],
            "params": ["seed"],
            "outs": ["data/first.json"],
            "metrics": [{"metrics.json": {"cache": False}}],
        },
        "second": {
            "cmd": "python second.py",
            "deps": ["second.py", "data/first.json"],
            "outs": ["second"],
        },
        "other": {
            "cmd": "python other.py",
            "deps": ["other.py"],
            "metrics": [{"other.json": {"cache": False}}],
        },
    }
}


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    """A repository whose results are committed, with a file that `dvc add` keeps."""
    folder = tmp_path_factory.mktemp("committed")
    run("git", "init", "--quiet", cwd=folder)
    run("dvc", "init", "--quiet", cwd=folder)
    (folder / "given").write_text("not in Git")
    run("dvc", "add", "--quiet", "given", cwd=folder)
    for name, text in (("first", FIRST), ("second", SECOND), ("other", OTHER)):
        (folder / f"{name}.py").write_text(text)
    (folder / "dvc.yaml").write_text(yaml.safe_dump(PIPELINE, sort_keys=False))
    (folder / "params.yaml").write_text("seed: 1\n")
    (folder / ".gitignore").write_text("/data/\n/second/\n/given\n")
    run("dvc", "repro", cwd=folder)
    (folder / RECORD).parent.mkdir(parents=True)
    (folder / RECORD).write_text('{"sha256": "ab", "python": "3.9", "threads": {"within": 0}}')
    commit(folder)
    return folder


@pytest.fixture
def repository(committed, tmp_path, monkeypatch):
    """A copy of it, with a folder of its own for what is temporary."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return shutil.copytree(committed, tmp_path / "repository")


def commit(folder: Path) -> None:
    run("git", "add", "--all", cwd=folder)
    run("git", "commit", "--quiet", "--message", "results", cwd=folder)


def call(folder: Path, module: str = "verify") -> subprocess.CompletedProcess:
    done = run(sys.executable, "-m", f"reliability.{module}", cwd=folder, check=False)
    assert "Traceback" not in done.stderr
    assert not list((folder.parent / "tmp").iterdir())
    return done


@pytest.mark.slow
def test_what_is_committed_comes_out_again(repository):
    (repository / "other.json").write_text("[4]")
    done = call(repository)
    assert done.returncode == 0, done.stderr
    last = "verify: all 3 stages give what is committed, byte for byte"
    assert done.stdout.splitlines()[-1] == last
    assert "uncommitted changes in other.json are left out" in done.stdout
    assert "Running stage 'other'" in done.stdout
    assert "what is committed was made with python 3.9, threads within 0\n" in done.stdout


@pytest.mark.slow
def test_results_of_another_seed_are_found_out(repository):
    (repository / "params.yaml").write_text("seed: 2\n")
    run("dvc", "repro", cwd=repository)
    (repository / "params.yaml").write_text("seed: 1\n")
    (repository / "other.json").write_text("[3.5]")
    digest = yaml.safe_load((repository / "dvc.lock").read_text())["stages"]["second"]["outs"][0]
    for path in (repository / ".dvc/cache/files/md5" / digest["md5"][:2]).iterdir():
        path.unlink()  # as in a clone that has not pulled it
    commit(repository)
    done = call(repository)
    assert done.returncode == 1
    assert done.stderr.startswith("verify: differs first in first: made with other parameters: ")
    assert "(params.yaml.seed: 2, now 1)" in done.stderr
    assert "data/first.json: 1 of 1 values differ, numbers by up to 0.25" in done.stderr
    assert "Also other: other.json: 1 of 1 values differ, numbers by up to 0.5" in done.stderr
    assert done.stderr.endswith("What follows differs too: second\n")
    assert "first differs: metrics.json: 1 of 2 values differ, numbers by up to 0.5" in done.stdout
    assert "second differs: second: another hash (what is committed is neither" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_what_is_interrupted_leaves_nothing(repository, monkeypatch, told):
    gate = repository.parent / "gate"
    os.mkfifo(gate)
    monkeypatch.setenv("GATE", str(gate))
    process = subprocess.Popen(
        [sys.executable, "-m", "reliability.verify"],
        cwd=repository,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    stage = psutil.Process(int(gate.read_text()))  # waits until it is there
    process.send_signal(told)
    assert process.wait(60) == 130
    assert not stage.is_running() or stage.status() == psutil.STATUS_ZOMBIE
    assert not list((repository.parent / "tmp").iterdir())


@pytest.mark.slow
def test_a_stage_that_fails_is_told_in_a_line(repository):
    (repository / "second.py").write_text("import sys; sys.exit('second: no such thing')")
    commit(repository)
    done = call(repository)
    assert done.returncode == 1
    assert done.stderr == "verify: dvc repro --force: second: no such thing\n"


@pytest.mark.slow
@pytest.mark.parametrize("path", ["data/first.json", "second"])
def test_a_flipped_byte_in_the_cache_is_found_and_mended_as_advised(repository, path):
    whole = call(repository, "cache")
    assert (whole.returncode, whole.stdout) == (0, "cache: 5 objects, all whole\n")
    lock = (repository / "dvc.lock").read_bytes()
    stages = yaml.safe_load(lock)["stages"]
    digests = {out["path"]: out["md5"] for stage in stages.values() for out in stage["outs"]}
    digest = digests[path]
    kept = repository / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    flipped = bytearray(kept.read_bytes())
    flipped[9] ^= 1
    kept.chmod(0o644)
    kept.write_bytes(flipped)
    kept.chmod(0o444)
    for name in ("data/first.json", "second"):
        run("rm", "-r", name, cwd=repository)
    run("dvc", "checkout", cwd=repository, check=False)
    done = call(repository, "verify")
    assert done.returncode == 1
    assert "objects in DVC's cache are damaged, of " in done.stderr
    assert done.stderr.startswith("verify: 1 of ")
    assert "Running stage" not in done.stdout
    assert "`python -m ajuste.repository.recover`" in done.stderr
    run("python", "-m", "ajuste.repository.recover", cwd=repository)
    run("dvc", "repro", cwd=repository)
    assert (repository / "dvc.lock").read_bytes() == lock
    assert call(repository, "cache").stdout == whole.stdout
