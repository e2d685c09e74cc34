import json
import os
import shutil
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import psutil
import pytest
import yaml
from conftest import ROOT, run
from in_process import dvc

from ajuste.errors import PipelineError
from ajuste.files import ENVIRONMENT
from ajuste.repository import integrity, recover, throwaway
from reliability import verify
from reliability.verify import differences, in_order, summary

STAGES = {
    "first": {"deps": [{"path": "first.py", "md5": "1"}], "outs": [{"path": "a", "md5": "2"}],
              "cmd": "python first.py", "params": {"params.yaml": {"seed": 1}}},
    "second": {"deps": [{"path": "a", "md5": "2"}], "outs": [{"path": "b.csv", "md5": "3"}],
               "cmd": "python second.py"},
    "other": {"deps": [], "outs": [{"path": "c.json", "md5": "4"}], "cmd": "python other.py"},
}  # fmt: skip
FILES = {"a/x.json": b"[1]", "a/y.txt": b"y", "b.csv": b"n\n1\n", "c.json": b"{}"}


def with_hashes(**hashes: str) -> dict:
    """The stages with these hashes for their outputs, and where other stages read them."""
    stages = json.loads(json.dumps(STAGES))
    for stage in stages.values():
        for entry in [*stage["deps"], *stage["outs"]]:
            entry["md5"] = hashes.get(entry["path"].split(".")[0], entry["md5"])
    return stages


def test_stages_come_after_those_that_they_read_from():
    assert in_order(dict(reversed(STAGES.items()))) == ["other", "first", "second"]


def test_equal_results_do_not_differ():
    assert differences(STAGES, STAGES, FILES, FILES) == {}
    assert differences(STAGES, STAGES, {}, FILES) == {}
    assert summary(3, {}) == "all 3 stages give what is committed, byte for byte"


def test_the_first_difference_and_the_stages_after_it():
    new = {**FILES, "a/x.json": b"[1.5]", "b.csv": b"n\n2\n"}
    found = differences(STAGES, with_hashes(a="5", b="6"), FILES, new)
    first = "a: a/x.json: 1 of 1 values differ, numbers by up to 0.5 (0: 1, now 1.5)"
    assert found["first"] == [first]
    said = f"differs first in first: {first}; stages after that differ too: second"
    assert summary(3, found) == said


A_NEW_FILE = {"a/x.json": b"[1]", "a/z": b"", "b.csv": FILES["b.csv"], "c.json": b"{}"}


@pytest.mark.parametrize(
    ("old", "new", "old_files", "new_files", "said"),
    [
        ({}, {"a": "5"}, FILES, A_NEW_FILE, "a: a/y.txt is missing; a/z is new"),
        ({}, {}, {**FILES, "c.json": b'{"d": 1.0}'}, FILES,
         "c.json: 1 of 1 values differ, d is missing"),
        ({"c": "9"}, {}, FILES, FILES,
         "c.json: the committed dvc.lock has another hash than the committed file"),
        ({}, {"c": "9"}, {}, FILES,
         "c.json: another hash (the committed file is not available here)"),
    ],
)  # fmt: skip
def test_outputs_that_differ(old, new, old_files, new_files, said):
    found = differences(with_hashes(**old), with_hashes(**new), old_files, new_files)
    assert [line for lines in found.values() for line in lines] == [said]


def test_a_stage_that_was_made_from_something_else():
    old = json.loads(json.dumps(STAGES))
    old["first"]["params"]["params.yaml"]["seed"] = 2
    old["first"]["deps"][0]["md5"] = "9"
    old["second"]["cmd"] = "python old.py"
    del old["other"]
    found = differences(old, STAGES, FILES, FILES)
    assert found["first"][0] == "made from a different first.py"
    assert "(params.yaml.seed: 2, now 1)" in found["first"][1]
    assert found["second"] == ["made by `python old.py`, now `python second.py`"]
    assert found["other"][0] == "the stage is new"


@pytest.mark.parametrize(
    "text", ["", "stages:\n", "stages:\n  a:\n    deps:\n    - pa", "stages: ["]
)
def test_a_lock_that_is_cut_off_is_named(text):
    with pytest.raises(PipelineError, match="not a complete lock file"):
        integrity.stages(text)


def test_a_clone_uses_the_archives_that_this_checkout_has_downloaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    downloads = throwaway.environment(tmp_path / "clone")["AJUSTE_DOWNLOADS"]
    assert downloads == str(tmp_path / "data/downloads")
    monkeypatch.setenv("AJUSTE_DOWNLOADS", "shared")
    downloads = throwaway.environment(tmp_path / "clone")["AJUSTE_DOWNLOADS"]
    assert downloads == str(tmp_path / "shared")


# A pipeline that takes seconds. `first` depends on the seed, and waits at the pipe GATE for ever.
FIRST = """
import json, os
from pathlib import Path
seed = int(Path("params.yaml").read_text().split()[1])
if "GATE" in os.environ:
    with open(os.environ["GATE"], "w") as gate:
        gate.write(str(os.getpid()))
    open(os.environ["GATE"]).read()
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
PIPELINE = """
stages:
  first:
    cmd: python first.py
    deps: [first.py, given]
    params: [seed]
    outs: [data/first.json]
    metrics: [metrics.json: {cache: false}]
  second:
    cmd: python second.py
    deps: [second.py, data/first.json]
    outs: [second]
  other:
    cmd: python other.py
    deps: [other.py]
    metrics: [other.json: {cache: false}]
"""


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    """A repository whose results are committed, with a file that was added with `dvc add`."""
    folder = tmp_path_factory.mktemp("committed")
    run("git", "init", "--quiet", cwd=folder)
    dvc(folder, "init", "--quiet")
    (folder / "given").write_text("not in Git")
    dvc(folder, "add", "--quiet", "given")
    for name, text in (("first", FIRST), ("second", SECOND), ("other", OTHER)):
        (folder / f"{name}.py").write_text(text)
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text("seed: 1\n")
    (folder / ".gitignore").write_text("/data/\n/second/\n/given\n")
    dvc(folder, "repro", "--quiet")
    (folder / ENVIRONMENT).parent.mkdir(parents=True)
    (folder / ENVIRONMENT).write_text('{"sha256": "ab", "python": "3.9", "threads": {"within": 0}}')
    commit(folder)
    return folder


HERE = {
    "sha256": sha256(b"weights").hexdigest(),
    "python": "3.11.7",
    "processor": {"name": "AMD EPYC"},
    "caches": {"L1 data": "32K"},
    "instruction_set": ["X86_V3"],
    "cores": 2,
    "threads": {"within": 1, "between": 0},
    "portable": True,
    "variables": {},
}
ELSEWHERE = HERE | {
    "processor": {"name": "Intel Xeon"},
    "caches": {"L1 data": "48K"},
    "instruction_set": ["X86_V3", "X86_V4"],
    "cores": 64,
    "threads": {"within": 1, "between": 8},
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "nothing differs that can change results"),
        ({"python": "3.12.1"}, "python: `3.11.7`, now `3.12.1`"),
        ({"threads": {"within": 2, "between": 0}}, "threads: 1, now 2"),
        ({"portable": False}, "portable"),
        ({"instruction_set": []}, "processor.name is new"),
        ({"variables": {"OMP_NUM_THREADS": "1"}}, "variables.OMP_NUM_THREADS is new"),
    ],
)
def test_the_setting_that_differs_is_named(changes, expected):
    words = verify.environments(json.dumps(HERE), json.dumps(ELSEWHERE | changes), b"weights")
    assert expected in words
    if not changes.keys() & {"portable", "instruction_set"}:
        assert "processor" not in words


def test_a_record_of_another_model_is_named():
    here, elsewhere = json.dumps(HERE), json.dumps(ELSEWHERE)
    assert "describes another model" in verify.environments(here, elsewhere, b"other weights")
    assert verify.environments(here, elsewhere, None).startswith("nothing differs")
    assert verify.environments("", here, None) == "no record of it in the commit"


@pytest.fixture
def repository(committed, tmp_path, monkeypatch):
    """A copy of it, which is the working directory, and a folder for temporary files."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("sys.argv", ["verify"])
    (tmp_path / "tmp").mkdir()
    folder = shutil.copytree(committed, tmp_path / "repository")
    monkeypatch.chdir(folder)
    yield folder
    assert not list((tmp_path / "tmp").iterdir())


def commit(folder: Path) -> None:
    run("git", "add", "--all", cwd=folder)
    run("git", "commit", "--quiet", "--message", "results", cwd=folder)


def refused() -> str:
    with pytest.raises(PipelineError) as caught:
        verify.main()
    return str(caught.value)


@pytest.mark.slow
def test_the_committed_results_come_out_again(repository, capsys):
    (repository / "other.json").write_text("[4]")
    verify.main()
    printed = capsys.readouterr().out
    last = "verify: all 3 stages give what is committed, byte for byte"
    assert printed.splitlines()[-1] == last
    assert "without the uncommitted changes in other.json" in printed
    assert "Running stage 'other'" in printed
    assert "verify: environment of the training: nothing differs that can change" in printed


@pytest.mark.slow
def test_results_of_another_seed_are_found(repository, capsys):
    (repository / "params.yaml").write_text("seed: 2\n")
    dvc(repository, "repro", "--quiet")
    (repository / "params.yaml").write_text("seed: 1\n")
    (repository / "other.json").write_text("[3.5]")
    stored(repository, "second").unlink()  # as in a clone without `dvc pull`
    commit(repository)
    said = refused()
    assert said.startswith("differs first in first: made with different parameters: ")
    assert "(params.yaml.seed: 2, now 1)" in said
    assert "differ too: " in said
    printed = capsys.readouterr().out
    assert "other differs: other.json: 1 of 1 values differ, numbers by up to 0.5" in printed
    assert "first differs: data/first.json: 1 of 1 values differ, numbers by up to 0.25" in printed
    assert "first differs: metrics.json: 1 of 2 values differ, numbers by up to 0.5" in printed
    assert "second differs: second: another hash (the committed file is not" in printed


def stored(folder: Path, output: str) -> Path:
    digest = integrity.recorded(folder)[output]
    return folder / ".dvc/cache/files/md5" / digest[:2] / digest[2:]


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(repository, monkeypatch, sent):
    gate = repository.parent / "gate"
    os.mkfifo(gate)
    monkeypatch.setenv("GATE", str(gate))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    process = subprocess.Popen(
        [sys.executable, "-m", "reliability.verify"],
        cwd=repository,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    stage = psutil.Process(int(gate.read_text()))  # waits until the stage runs
    process.send_signal(sent)
    assert process.wait(300) == 130
    assert not stage.is_running() or stage.status() == psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_a_stage_that_fails_gives_one_line(repository):
    (repository / "second.py").write_text("import sys; sys.exit('second: no such thing')")
    commit(repository)
    assert refused() == "dvc repro --force: second: no such thing"


@pytest.mark.slow
@pytest.mark.parametrize("path", ["data/first.json", "second"])
def test_a_flipped_byte_in_the_cache_is_found_and_repaired_as_advised(repository, path):
    stages = yaml.safe_load((lock := repository / "dvc.lock").read_text())["stages"]
    assert verify.check_cache(repository, stages) == 5
    before, kept = lock.read_bytes(), stored(repository, path)
    flipped = bytearray(kept.read_bytes())
    flipped[9] ^= 1
    kept.chmod(0o644)
    kept.write_bytes(flipped)
    assert refused().startswith("1 of ")
    recover.main()
    dvc(repository, "repro", "--quiet")
    assert lock.read_bytes() == before
    assert verify.check_cache(repository, stages) == 5
