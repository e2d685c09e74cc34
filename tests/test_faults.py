"""What can go wrong around the pipeline: a clear error or a clean recovery, and nothing lost."""

import hashlib
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial

import pytest
import yaml
from conftest import ROOT, edit, run

from ajuste.errors import PipelineError
from ajuste.repository import integrity

pytestmark = pytest.mark.slow

WRITTEN = ["data", "metrics", "reports"]
QUICK = ["fetch", "split", "tokenize"]  # stages that take a second each


def lock(folder):
    return yaml.safe_load((folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]


def contents(folder, *below):
    """The hash of every file in some folders, by its path."""
    paths = [path for name in below for path in (folder / name).rglob("*") if path.is_file()]
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def stage(name, folder, **options):
    """Run a stage by hand, with a temporary folder that lies beside its data."""
    (folder / "data/tmp").mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-B", "-m", f"stages.{name}"],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder / "data/tmp")},
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


def one_line(done):
    """What a command that failed says."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.strip()


def failed(*command, cwd):
    """What DVC says when it fails."""
    done = run(*command, cwd=cwd, check=False)
    assert done.returncode
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def cached(folder, output):
    """The object of the cache that holds an output."""
    digest = integrity.recorded(folder)[output]
    return folder / ".dvc/cache/files/md5" / digest[:2] / digest[2:]


def rot(path):
    """Flip a bit in the middle of a file, as a disk does: its time and its mode do not show it."""
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
    """Take away what the quick stages made, so that they have to run."""
    for name in ("data/raw", "data/split", "data/tokens", ".dvc/cache"):
        shutil.rmtree(folder / name)
    (folder / "dvc.lock").unlink()


def check_reproduced(folder, reference, stages=None):
    """See that the hashes are those of an undisturbed run."""
    found, wanted = lock(folder), lock(reference)
    assert found == (wanted if stages is None else {name: wanted[name] for name in found})
    assert set(stages or wanted) <= set(found)
    for output, digest in integrity.recorded(folder).items():
        assert integrity.md5(folder / output) == digest, output


@pytest.fixture
def whole(reproduced):
    """A repository in which nothing has disturbed the pipeline; only to look at."""
    return reproduced[1]


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own: its folder, and a function that sets its size."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def resize(size, how="remount,"):
        options = ["-t", "tmpfs", "-o", f"{how}size={size}", "tmpfs", str(folder)]
        return subprocess.run(["mount", *options], capture_output=True).returncode == 0

    if not resize("64m", ""):
        pytest.skip("may not mount a small disk here")
    yield folder, resize
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def read_only(folder):
    """Let nobody write into a folder: root by a mount, others by its mode."""
    if os.geteuid():
        folder.chmod(0o555)
        yield
        folder.chmod(0o755)
        return
    bind = ["mount", "--bind", str(folder), str(folder)]
    if subprocess.run(bind, capture_output=True).returncode:
        pytest.skip("root may write everywhere, and may not mount anything here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_on_a_full_disk_every_stage_says_so_and_its_outputs_stay(whole, disk):
    folder = disk[0] / "copy"
    shutil.copytree(whole, folder, ignore=shutil.ignore_patterns(".git", "cache"))
    (folder / "data/tmp").mkdir()
    before = contents(folder, *WRITTEN)
    with (disk[0] / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while filler.write(bytes(4096)):
            pass
    stages = ["validate", "evaluate", "fetch", "split", "tokenize", "embed", "words"]
    with ThreadPoolExecutor(2) as pool:
        ended = dict(zip(stages, pool.map(partial(stage, folder=folder), stages), strict=True))
    for name, done in ended.items():
        assert one_line(done).startswith(f"{name}: ")
        assert "No space left on device" in done.stderr
        assert any(output in done.stderr for output in WRITTEN)
    assert contents(folder, *WRITTEN) == before


@pytest.mark.parametrize(("name", "most"), [("fetch", 100_000), ("train", 400_000)])
def test_a_file_that_grows_no_further_is_named_and_the_old_one_stays(copy, name, most):
    kept = ["data/raw", "data/model"]
    before = contents(copy, *kept)
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (most, most))
    assert "File too large" in one_line(stage(name, copy, preexec_fn=limit))
    assert contents(copy, *kept) == before


def test_a_full_disk_under_the_cache_loses_nothing(copy, disk, whole):
    forget(copy)
    folder, resize = disk
    run("dvc", "config", "--local", "cache.dir", str(folder / "cache"), cwd=copy)
    for size in ("400k", "1500k"):
        assert resize(size)
        assert "No space left on device" in failed("dvc", "repro", "tokenize", cwd=copy)
        assert not integrity.damaged(folder / "cache")
    assert resize("64m")
    run("dvc", "repro", "tokenize", cwd=copy)
    check_reproduced(copy, whole, {*QUICK, "validate"} & set(lock(copy)))
    assert not integrity.damaged(folder / "cache")


def test_outputs_that_are_read_only_are_named_and_stay(copy, whole):
    before = contents(copy, "data/embedding")
    edit(copy / "params.yaml", {"standardize: true": "standardize: false"})
    with read_only(copy / "data/embedding"):
        assert "data/embedding/" in one_line(stage("embed", copy))
        assert "data/embedding/matrix.npy" in failed("dvc", "repro", "embed", cwd=copy)
        assert contents(copy, "data/embedding") == before
    edit(copy / "params.yaml", {"standardize: false": "standardize: true"})
    run("dvc", "repro", cwd=copy)
    check_reproduced(copy, whole)


@pytest.mark.parametrize(
    ("name", "file", "damage"),
    [
        ("validate", "data/raw/reviews.parquet", cut),
        ("split", "data/raw/reviews.parquet", cut),
        ("tokenize", "data/split/train.parquet", cut),
        ("tokenize", "data/raw/labels.json", cut),
        ("embed", "data/tokens/vocabulary.tsv", cut),
        ("words", "data/embedding/matrix.npy", cut),
        ("train", "data/tokens/train.npz", rot),
        ("evaluate", "data/model/model.keras", rot),
    ],
)
def test_a_stage_names_the_input_that_is_damaged(copy, name, file, damage):
    damage(copy / file)
    before = contents(copy, *WRITTEN)
    line = one_line(stage(name, copy))
    assert re.match(f"{name}: {file}[:,] ", line)
    assert "`dvc repro`" in line
    assert {path: before[path] for path in contents(copy, *WRITTEN)} == before


def test_a_stage_that_dvc_runs_refuses_an_input_that_has_rotted(copy, monkeypatch):
    monkeypatch.chdir(copy)
    outputs = integrity.recorded(copy)
    stages = yaml.safe_load((copy / integrity.PIPELINE).read_text(encoding="utf-8"))["stages"]
    inputs = {(name, dep) for name in stages for dep in stages[name]["deps"] if dep in outputs}
    assert len(inputs) > 15
    monkeypatch.setenv("DVC_STAGE", "any")
    for name in stages:
        integrity.demand(name)
    for name, dep in sorted(inputs):
        file = next(path for path in [copy / dep, *(copy / dep).rglob("*")] if path.is_file())
        rot(file)
        with pytest.raises(PipelineError, match=f"^{dep}: damaged"):
            integrity.demand(name)
        rot(file)  # the same bit: back again
    rot(copy / "data/embedding/matrix.npy")
    assert one_line(stage("words", copy)).startswith("words: data/embedding/matrix.npy: damaged")
    monkeypatch.delenv("DVC_STAGE")  # by hand, anything may be tried
    integrity.demand("train")


@pytest.mark.parametrize("output", ["data/tokens/train.npz", "data/embedding/matrix.npy"])
def test_rot_in_the_cache_and_in_its_copy_is_found_and_made_anew(copy, whole, output):
    rot(cached(copy, output))
    (copy / output).unlink()
    run("dvc", "checkout", cwd=copy)  # says nothing of it
    found = run("python", "-m", "ajuste.repository.recover", cwd=copy).stdout
    assert f"and is now {cached(copy, output)}.damaged; " in found
    assert f"recover: {output} is not" in found
    assert found.count("\n") == 2
    run("dvc", "repro", cwd=copy)
    check_reproduced(copy, whole)
    assert run("python", "-m", "ajuste.repository.recover", cwd=copy).stdout == ""
    assert run("git", "status", "--porcelain", cwd=copy).stdout == ""


def test_rot_in_the_cache_alone_leaves_the_file_that_is_whole(copy, whole):
    rot(cached(copy, "data/split/train.parquet"))
    assert run("python", "-m", "ajuste.repository.recover", cwd=copy).stdout.count("\n") == 1
    run("dvc", "repro", cwd=copy)
    check_reproduced(copy, whole)
    assert cached(copy, "data/split/train.parquet").exists()


def test_a_torn_lock_is_put_back_or_completed(copy, whole):
    text = (copy / "dvc.lock").read_text(encoding="utf-8")
    evaluate = text.index("\n  evaluate:")
    torn = {
        "empty": "",
        "after a stage": text[: evaluate + 1],
        "within a hash": text[: text.index("md5: ", text.index("    outs:", evaluate)) + 20],
        "within a list": text[: text.index("- path: ajuste/files.py", evaluate) + 5],
    }
    put_back = set()
    for how, cut_off in torn.items():
        (copy / "dvc.lock").write_text(cut_off, encoding="utf-8")
        if "was cut off" in run("python", "-m", "ajuste.repository.recover", cwd=copy).stdout:
            put_back.add(how)
        run("dvc", "repro", cwd=copy)
        check_reproduced(copy, whole)
    # DVC takes the others for a lock that lacks a result, and looks that up in its run cache
    assert put_back == {"empty", "within a list"}


def test_two_at_once_in_one_checkout_do_not_disturb_each_other(copy, whole):
    forget(copy)
    busy = copy / ".dvc/tmp/rwlock"
    first = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "fetch"], cwd=copy, stdout=subprocess.DEVNULL
    )
    try:
        while not (busy.exists() and "reviews.parquet" in busy.read_text()):
            assert first.poll() is None
            time.sleep(0.02)
        assert "is busy, it is being blocked by" in failed("dvc", "repro", "fetch", cwd=copy)
        assert first.wait(60) == 0
    finally:
        first.kill()
    run("dvc", "repro", "fetch", cwd=copy)
    check_reproduced(copy, whole, ["fetch"])


def test_two_at_once_on_one_cache_end_alike(whole, tmp_path):
    copies = [tmp_path / name for name in ("one", "two")]
    for folder in copies:
        shutil.copytree(whole, folder, symlinks=True)
        forget(folder)
        run("dvc", "config", "--local", "cache.dir", str(tmp_path / "cache"), cwd=folder)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda folder: run("dvc", "repro", "fetch", cwd=folder), copies))
    for folder in copies:
        check_reproduced(folder, whole, ["fetch"])
        assert lock(folder) == lock(copies[0])
    assert not integrity.damaged(tmp_path / "cache")


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        ("predict(batch_size=4096)", r"OOM when allocating tensor with shape\[4096,[\d,]+\]"),
        ("numpy.zeros((10**7, 10**7))", r"Unable to allocate 728\. TiB for an array"),
        ("bytes(10**18)", None),
    ],
)
def test_a_lack_of_memory_is_told_in_a_line(call, wanted):
    code = [
        "import numpy",
        "from ajuste import backend, errors",
        "def predict(batch_size):",
        "    token_ids = backend.keras.Input((1,))",
        "    repeated = backend.keras.layers.RepeatVector(10**9)(token_ids)",
        "    model = backend.keras.Model(token_ids, repeated)",
        "    model.predict(numpy.zeros((batch_size, 1)), batch_size, verbose=0)",
        f"errors.run('train', lambda: {call})",
    ]
    done = run("python", "-c", "\n".join(code), cwd=ROOT, check=False)
    said = rf"train: out of memory{f' .{wanted}.*.' if wanted else ''}; lower `batch_size` or .*"
    assert re.fullmatch(said, one_line(done))


@pytest.mark.parametrize("year", ["1980", "2040"])
def test_a_clock_that_is_wrong_changes_nothing(copy, year):
    moment = time.mktime((int(year), 1, 1, 0, 0, 0, 0, 0, 0))
    for path in copy.rglob("*"):
        if ".git" not in path.parts:
            os.utime(path, (moment, moment))
    assert "Running" not in run("dvc", "repro", cwd=copy).stdout
    run("dvc", "repro", "--force", "--single-item", "split", cwd=copy)
    assert run("git", "status", "--porcelain", cwd=copy).stdout == ""


def test_what_a_killed_write_left_is_taken_for_nothing(copy):
    for output in integrity.recorded(copy):
        path = copy / output
        beside = path / "model.keras" if path.is_dir() else path
        beside.with_name(f".{beside.name}.part").write_bytes(b"half")
        beside.with_name(".ZB8JS7z2ODtS-a96sDHtpw.tmp").write_bytes(b"test")
    assert run("dvc", "status", cwd=copy).stdout == "Data and pipelines are up to date.\n"
    assert run("git", "status", "--porcelain", cwd=copy).stdout == ""
    assert run("python", "-m", "ajuste.repository.recover", cwd=copy).stdout == ""
