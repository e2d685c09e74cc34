"""Faults around the pipeline: one line or a clean recovery, and no result is lost."""

import hashlib
import importlib
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, contextmanager, suppress
from functools import partial

import numpy as np
import pytest
import yaml
from conftest import edit, run
from in_process import dvc

from ajuste import errors
from ajuste.repository import cache, integrity, recover
from stages import check

pytestmark = pytest.mark.slow

WRITTEN = ["data", "metrics", "reports"]
QUICK = ["fetch", "validate", "split", "tokenize"]


def lock(folder):
    return yaml.safe_load((folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]


def contents(folder, *below):
    """The hash of every file in some folders, by its path."""
    paths = [path for name in below for path in (folder / name).rglob("*") if path.is_file()]
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def failure(name, main):
    """The line with which a command ends that fails."""
    with pytest.raises(SystemExit) as ended:
        errors.run(name, main)
    assert "\n" not in ended.value.code
    return ended.value.code


def stage_failure(name, folder):
    """The line with which a stage ends in a folder."""
    module = importlib.import_module(f"stages.{name}")
    with chdir(folder), pytest.raises(SystemExit) as ended:
        check.run(name, module.main)
    assert "\n" not in ended.value.code
    return ended.value.code


def dvc_failure(*command, cwd):
    """What DVC prints when it fails."""
    done = run("dvc", *command, cwd=cwd, check=False)
    assert done.returncode
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def stored(folder, output):
    """The object of the cache that holds an output."""
    [path, *_] = cache.objects(cache.repository(folder), [integrity.recorded(folder)[output]])
    return path


def damaged(folder):
    """The objects of the cache that are damaged."""
    named = integrity.recorded(folder).values()
    objects = cache.objects(cache.repository(folder), named)
    return [path for path in objects if not integrity.is_whole(path)]


def rot(path):
    """Flip a bit in the middle of a file, as a disk does, without a new time or mode."""
    state = path.stat()
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    path.chmod(state.st_mode)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 1])


def forget(folder):
    """Remove what the quick stages made, so that they have to run."""
    for name in ("data/raw", "data/validated", "data/split", "data/tokens", ".dvc/cache"):
        shutil.rmtree(folder / name)
    (folder / "dvc.lock").unlink()


def check_reproduced(folder, reference, stages=()):
    """Check that the hashes are those of a run without a fault."""
    found, wanted = lock(folder), lock(reference)
    assert found == {name: wanted[name] for name in stages or wanted}
    for output, digest in integrity.recorded(folder).items():
        assert integrity.md5(folder / output) == digest, output


@pytest.fixture
def whole(reproduced):
    """A repository in which the pipeline has run without a fault; do not change it."""
    return reproduced[1]


@pytest.fixture
def disk(tmp_path):
    """A small disk: its folder, and a function that sets its size."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def resize(size, how="remount,"):
        options = ["-t", "tmpfs", "-o", f"{how}size={size}", "tmpfs", str(folder)]
        return subprocess.run(["mount", *options], capture_output=True).returncode == 0

    if not resize("64m", ""):
        pytest.skip("no permission to mount a small disk")
    yield folder, resize
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def read_only(folder):
    """Make a folder read-only: for root by a mount, for others by its mode."""
    if os.geteuid():
        folder.chmod(0o555)
        yield
        folder.chmod(0o755)
        return
    bind = ["mount", "--bind", str(folder), str(folder)]
    if subprocess.run(bind, capture_output=True).returncode:
        pytest.skip("root may write everywhere, and has no permission to mount")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_on_a_full_disk_every_stage_says_so_and_keeps_its_outputs(whole, disk):
    folder = disk[0] / "copy"
    shutil.copytree(whole, folder, ignore=shutil.ignore_patterns(".git", "cache"))
    before = contents(folder, *WRITTEN)
    with (disk[0] / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while filler.write(bytes(4096)):
            pass
    for name in (
        "validate",
        "evaluate",
        "fetch",
        "split",
        "tokenize",
        "baseline",
        "embed",
        "words",
        "report",
    ):
        line = stage_failure(name, folder)
        assert line.startswith(f"{name}: ")
        assert "No space left on device" in line
        assert any(output in line for output in WRITTEN)
    assert contents(folder, *WRITTEN) == before


@pytest.mark.long
def test_a_model_file_that_cannot_grow_is_named_and_the_old_one_stays(copy):
    before = contents(copy, "data/model")
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (400_000, 400_000))
    command = [sys.executable, "-m", "stages.train"]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 1
    assert re.fullmatch(r"train: .*File too large: .*\n", done.stderr)
    assert contents(copy, "data/model") == before


@pytest.mark.long
def test_a_full_disk_under_the_cache_loses_nothing(copy, disk, whole):
    forget(copy)
    folder, resize = disk
    dvc(copy, "config", "--local", "cache.dir", str(folder / "cache"))
    assert resize("1500k")
    assert "No space left on device" in dvc_failure("repro", "tokenize", cwd=copy)
    assert not damaged(copy)
    assert resize("64m")
    dvc(copy, "repro", "tokenize")
    check_reproduced(copy, whole, QUICK)
    assert not damaged(copy)


def test_outputs_that_are_read_only_are_named_and_stay(copy, whole):
    before = contents(copy, "data/embedding")
    edit(copy / "params.yaml", {"standardize: true": "standardize: false"})
    with read_only(copy / "data/embedding"):
        assert "data/embedding/" in stage_failure("embed", copy)
        assert "data/embedding/matrix.npy" in dvc_failure("repro", "embed", cwd=copy)
        assert contents(copy, "data/embedding") == before
    edit(copy / "params.yaml", {"standardize: false": "standardize: true"})
    dvc(copy, "repro")
    check_reproduced(copy, whole)


@pytest.mark.parametrize(
    ("name", "file", "damage"),
    [
        ("validate", "data/raw/reviews.parquet", cut),
        ("split", "data/validated/reviews.parquet", cut),
        ("tokenize", "data/split/train.parquet", cut),
        ("tokenize", "data/raw/labels.json", cut),
        ("baseline", "data/split/validation.parquet", cut),
        ("embed", "data/tokens/vocabulary.tsv", cut),
        ("words", "data/embedding/matrix.npy", cut),
        ("train", "data/tokens/train.npz", rot),
        ("evaluate", "data/model/model.keras", rot),
    ],
)
def test_a_stage_names_the_input_that_is_damaged(copy, name, file, damage):
    damage(copy / file)
    before = contents(copy, *WRITTEN)
    line = stage_failure(name, copy)
    assert re.match(f"{name}: {file}[:,] ", line)
    assert "`dvc repro`" in line
    assert {path: before[path] for path in contents(copy, *WRITTEN)} == before


def test_a_stage_that_dvc_runs_refuses_an_input_that_has_rotted(copy, monkeypatch):
    """See test_recover.py for what is an input."""
    rot(copy / "data/embedding/matrix.npy")
    monkeypatch.setenv("DVC_STAGE", "words")
    assert stage_failure("words", copy).startswith("words: data/embedding/matrix.npy: damaged")


def recovered(folder, capsys):
    capsys.readouterr()
    with chdir(folder):
        recover.main()
    return capsys.readouterr().out.splitlines()


def test_rot_in_the_cache_and_in_its_copy_is_found_and_repaired(copy, whole, capsys):
    output = "data/embedding/matrix.npy"
    path = stored(copy, output)
    rot(path)
    (copy / output).unlink()
    dvc(copy, "checkout")  # DVC does not see the damage
    one, other = recovered(copy, capsys)
    assert f"and is now {path}.damaged; " in one
    assert other.startswith(f"recover: {output} differs")
    dvc(copy, "repro")
    check_reproduced(copy, whole)
    assert recovered(copy, capsys) == []
    assert run("git", "status", "--porcelain", cwd=copy).stdout == ""


@pytest.mark.parametrize(
    ("before", "length"), [("\n  evaluate:", 1), ("md5: ", 20)], ids=["stage", "hash"]
)
def test_a_lock_that_is_cut_off_and_still_readable_is_completed(copy, whole, before, length):
    """DVC looks up the missing results in its run cache; for other cuts see test_recover.py."""
    text = (copy / "dvc.lock").read_text(encoding="utf-8")
    end = text.rindex(before) + length
    (copy / "dvc.lock").write_text(text[:end], encoding="utf-8")
    assert recover.recover(copy) == []
    dvc(copy, "repro")
    check_reproduced(copy, whole)


@pytest.mark.long
def test_two_at_once_on_one_cache_end_alike(whole, tmp_path):
    copies = [tmp_path / name for name in ("one", "two")]
    for folder in copies:
        shutil.copytree(whole, folder, symlinks=True)
        forget(folder)
        dvc(folder, "config", "--local", "cache.dir", str(tmp_path / "cache"))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda folder: run("dvc", "repro", "fetch", cwd=folder), copies))
    for folder in copies:
        check_reproduced(folder, whole, ["fetch"])
        assert not damaged(folder)


def predict(batch_size):
    from ajuste.training import backend

    token_ids = backend.keras.Input((1,))
    repeated = backend.keras.layers.RepeatVector(10**9)(token_ids)
    backend.keras.Model(token_ids, repeated).predict(np.zeros((batch_size, 1)), batch_size)


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (lambda: predict(4096), r" .OOM when allocating tensor with shape\[4096,[\d,]+\].*"),
        (lambda: np.zeros((10**7, 10**7)), r" .Unable to allocate 728\. TiB for an array.*"),
        (lambda: bytes(10**18), ""),
    ],
)
def test_a_lack_of_memory_gives_one_line(call, wanted):
    said = rf"train: out of memory{wanted}; lower `batch_size` or .*"
    assert re.fullmatch(said, failure("train", call))


@pytest.mark.long
@pytest.mark.parametrize("year", ["1980", "2040"])
def test_a_wrong_clock_changes_nothing(copy, year):
    moment = time.mktime((int(year), 1, 1, 0, 0, 0, 0, 0, 0))
    for path in copy.rglob("*"):
        if ".git" not in path.parts:
            os.utime(path, (moment, moment))
    assert "Running" not in run("dvc", "repro", cwd=copy).stdout
    dvc(copy, "repro", "--force", "--single-item", "split")
    assert run("git", "status", "--porcelain", cwd=copy).stdout == ""


def test_the_temporary_files_of_a_killed_process_are_ignored(copy, capsys):
    for output in integrity.recorded(copy):
        path = copy / output
        beside = path / "model.keras" if path.is_dir() else path
        beside.with_name(f".{beside.name}.0123456789abcdef.part").write_bytes(b"half")
        beside.with_name(".ZB8JS7z2ODtS-a96sDHtpw.tmp").write_bytes(b"test")
    status = run("dvc", "status", cwd=copy).stdout
    assert status == "Data and pipelines are up to date.\n"
    assert run("git", "status", "--porcelain", cwd=copy).stdout == ""
    assert recovered(copy, capsys) == []
