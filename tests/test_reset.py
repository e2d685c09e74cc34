"""`make reset` brings back the last commit from any state, and loses nothing without asking."""

import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
from conftest import ROOT, edit, run
from conftest import commit as commit_all
from in_process import dvc

from ajuste.errors import PipelineError
from ajuste.repository import cache, git, integrity, recover, reset

pytestmark = pytest.mark.slow

# The variable PROCESSOR imitates a processor. The stage waits at the pipe GATE if there is one.
TRAIN = """
import os, sys, yaml
from pathlib import Path
model = yaml.safe_load(Path("params.yaml").read_text())["model"]
def write(path, text):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
write(f"curves/{model}.tsv", "half")
if Path(os.environ["GATE"]).exists():
    Path(os.environ["GATE"]).read_text()
if "BROKEN" in os.environ:
    sys.exit("train: broken")
write(f"curves/{model}.tsv", f"curve of {model}")
write("data/model/weights", f"{model} on {os.environ.get('PROCESSOR')}")
write("reports/train/environment.json", f"{model} on {os.environ.get('PROCESSOR')}")
"""
PIPELINE = """
stages:
  prepare:
    cmd: mkdir -p data && echo words > data/words
    outs: [data/words]
  train:
    cmd: python train.py
    deps: [train.py, data/words]
    params: [model]
    outs: [data/model]
    plots: [{curves: {cache: false}}]
  evaluate:
    cmd: cp data/model/weights scores
    deps: [data/model]
    metrics: [{scores: {cache: false}}]
"""
OUTPUTS = {"data/words", "data/model", "curves", "scores"}


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    """A repository with a small pipeline, which has run, and whose results are committed."""
    folder = tmp_path_factory.mktemp("committed")
    run("git", "init", "--quiet", cwd=folder)
    dvc(folder, "init", "--quiet")
    (folder / "train.py").write_text(TRAIN)
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text("seed: 1\nmodel: gru\n")
    (folder / ".gitignore").write_text("/data/\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATE", str(folder / "gate"))
        dvc(folder, "repro", "--quiet")
    commit_all(folder, "results")
    return folder


@pytest.fixture
def repository(committed, tmp_path, monkeypatch):
    """A copy of it, which is the working directory."""
    monkeypatch.setenv("GATE", str(tmp_path / "gate"))
    folder = shutil.copytree(committed, tmp_path / "repository", symlinks=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def said(capsys):
    """A function that calls reset, and returns what it prints without the name of the commit."""

    def call(folder, confirm=reset.ask):
        capsys.readouterr()
        reset.reset(folder, confirm)
        lines = capsys.readouterr().out.splitlines()
        return [re.sub("commit [0-9a-f]{7} ", "commit ", line) for line in lines]

    return call


def experiment(folder, model):
    dvc(folder, "exp", "run", "--quiet", "--set-param", f"model={model}")


def files(folder):
    """The files of the workspace; not those of Git and DVC."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    names = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    return {name: names[name] for name in names if name.split("/")[0] not in (".git", ".dvc")}


def check_back(folder):
    """Check that the workspace is the last commit, and that nothing else is left."""
    assert run("git", "status", "--porcelain", cwd=folder).stdout == ""
    assert integrity.recorded(folder).keys() >= OUTPUTS
    assert not integrity.changed(folder, integrity.recorded(folder))
    assert (folder / "data/model/weights").read_text() == "gru on None"
    assert not list(folder.glob(".dvc/tmp/ajuste-*"))


ANOTHER_PROCESSOR = {
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "OPENBLAS_CORETYPE": "Nehalem",
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "TF_NUM_INTRAOP_THREADS": "4",
}
LAST = "reset: params.yaml, results and model are those of commit (gru)"


def test_after_experiments_the_results_come_from_git_and_the_cache(repository, said):
    start = files(repository)
    assert said(repository) == [
        "reset: nothing to do; params.yaml, results and model are those of commit (gru)"
    ]
    for model in ("nn", "lstm"):
        experiment(repository, model)
    assert said(repository) == ["reset: outputs: 1 from the cache, 2 from Git", LAST]
    check_back(repository)
    assert files(repository) == start


def test_without_the_committed_objects_the_stages_run_again(repository, tmp_path, said):
    clone = tmp_path / "clone"
    git.clone(repository, clone, "HEAD")
    experiment(clone, "nn")
    assert said(clone) == [
        "reset: outputs: 1 by `dvc repro` (train), 2 from Git", LAST
    ]  # fmt: skip
    check_back(clone)


@pytest.mark.parametrize("damage", ["damaged", "missing"])
def test_a_model_that_is_not_whole_in_the_cache_is_not_used(repository, said, damage):
    weights = cache.objects(
        cache.repository(repository), [integrity.md5(repository / "data/model/weights")]
    )[0]
    experiment(repository, "nn")
    weights.chmod(0o644)
    weights.write_text("rotten") if damage == "damaged" else weights.unlink()
    lines = said(repository)
    if damage == "damaged":
        assert lines.pop(0).startswith("reset: an object of the cache was damaged and is now /")
    assert lines == ["reset: outputs: 1 by `dvc repro` (train), 2 from Git", LAST]
    check_back(repository)


def test_another_kind_of_processor_gives_a_whole_state_of_its_own(
    repository, tmp_path, said, monkeypatch
):
    clone = tmp_path / "clone"
    git.clone(repository, clone, "HEAD")
    monkeypatch.setenv("PROCESSOR", "arm64")
    experiment(clone, "nn")
    for outputs in ("2 by `dvc repro` (train, evaluate), 1 from Git", ""):
        lines = said(clone)
        if outputs:
            assert lines.pop(0) == f"reset: outputs: {outputs}"
        assert lines == [
            "reset: `dvc repro` of commit (gru) gives other bytes here (data/model, scores), as on "
            "another kind of processor; dvc.lock, results and model are those of this run"
        ]
        assert (clone / "data/model/weights").read_text() == "gru on arm64"
        assert not integrity.changed(clone, integrity.recorded(clone))
        assert git.git(clone, "diff", "--name-only").split() == [
            "dvc.lock", "reports/train/environment.json", "scores"
        ]  # fmt: skip
        assert [path.name for path in (clone / "curves").iterdir()] == ["gru.tsv"]


def test_a_run_that_fails_changes_nothing(repository, said, monkeypatch):
    experiment(repository, "nn")
    shutil.rmtree(repository / ".dvc/cache")
    before = files(repository)
    monkeypatch.setenv("BROKEN", "1")
    with pytest.raises(PipelineError, match=r"^`dvc repro` of commit .* failed, .* changed$"):
        said(repository)
    assert files(repository) == before
    monkeypatch.delenv("BROKEN")
    said(repository)
    check_back(repository)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_call_that_is_killed_changes_nothing_and_the_next_one_completes(
    repository, tmp_path, said, how
):
    experiment(repository, "nn")
    shutil.rmtree(repository / ".dvc/cache")
    before = files(repository)
    os.mkfifo(gate := tmp_path / "gate")
    command = [sys.executable, "-m", "ajuste.repository.reset"]
    path = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=repository, env=path, stdout=subprocess.DEVNULL) as process:
        opened = os.open(gate, os.O_WRONLY)  # waits until `train` runs
        process.send_signal(how)
        process.wait()
    assert files(repository) == before
    assert bool([*repository.glob(".dvc/tmp/ajuste-*")]) == (how == signal.SIGKILL)
    os.close(opened)
    gate.unlink()
    said(repository)
    check_back(repository)


@pytest.mark.parametrize("moves", [0, 1, 4, 9])
def test_a_call_that_is_killed_while_it_replaces_can_be_repeated(
    repository, said, moves, monkeypatch
):
    experiment(repository, "nn")
    edit(repository / "params.yaml", {"seed: 1": "seed: 2"})
    done, move = [], shutil.move

    def killed(*paths):
        if len(done) == moves:
            raise KeyboardInterrupt
        done.append(move(*paths))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "move", killed)
        with pytest.raises(KeyboardInterrupt):
            reset.reset(repository, lambda _: None)
    said(repository, (lambda _: None) if moves < 2 else reset.ask)
    check_back(repository)


def test_parameters_that_nothing_has_are_not_lost_without_a_question(repository, said, monkeypatch):
    edit(repository / "params.yaml", {"seed: 1": "seed: 2"})
    edit(repository / "params.yaml", {"gru": "nn"})
    before = files(repository)
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: PTH123, SIM115
    with pytest.raises(PipelineError) as refused:
        said(repository)
    assert str(refused.value) == (
        "in no commit and no experiment, and would be lost: params.yaml (seed: 1 -> 2, model: gru "
        "-> nn); keep it with `dvc exp save --name NAME`, or lose it with `make reset FORCE=1`"
    )
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for answer in ("", "n"):
        monkeypatch.setattr("builtins.input", lambda _, answer=answer: answer)
        with pytest.raises(PipelineError, match=r"^nothing was changed$"):
            said(repository)
    assert files(repository) == before
    monkeypatch.setattr("builtins.input", lambda _: "y")
    assert said(repository)[-1] == LAST
    check_back(repository)


@pytest.mark.parametrize("keep", ["experiment", "commit", "--force"])
def test_parameters_that_are_kept_or_forced_need_no_question(repository, keep, monkeypatch):
    edit(repository / "params.yaml", {"seed: 1": "seed: 2"})
    if keep == "experiment":
        dvc(repository, "exp", "save", "--quiet", "--name", "mine")
    if keep == "commit":
        run("git", "switch", "--quiet", "--create", "mine", cwd=repository)
        commit_all(repository, "mine")
        run("git", "switch", "--quiet", "--detach", "HEAD~", cwd=repository)
        run("git", "restore", "--source=mine", "--staged", "--worktree", ".", cwd=repository)
    monkeypatch.setattr("sys.argv", ["reset", *([keep] if keep == "--force" else [])])
    reset.main()
    check_back(repository)


def test_a_file_that_no_stage_wrote_is_not_lost_without_a_question(repository, said):
    (repository / "scores").write_text("mine")
    (repository / "data/model/weights").write_text("mine")
    (repository / "curves/notes.txt").write_text("mine")
    mine = "data/model/weights, curves/notes.txt, scores"
    with pytest.raises(PipelineError, match=f"would be lost: {mine}; keep"):
        said(repository)
    said(repository, lambda _: None)
    check_back(repository)


def test_files_of_another_network_go_and_those_of_the_user_stay(repository, said):
    experiment(repository, "lstm")
    own = {"notes.txt": b"mine", "data/mine.csv": b"mine", "train.py": TRAIN.encode() + b"# mine"}
    for name, text in own.items():
        (repository / name).write_bytes(text)
    # The way back of earlier versions left such files.
    run("git", "checkout", "params.yaml", "dvc.lock", "curves", "scores", cwd=repository)
    run("git", "add", "curves", cwd=repository)
    assert (repository / "curves/lstm.tsv").exists()
    assert said(repository)[-1] == LAST
    assert sorted((repository / "curves").iterdir()) == [repository / "curves/gru.tsv"]
    assert files(repository).items() >= own.items()
    changed = run("git", "status", "--porcelain", cwd=repository).stdout.splitlines()
    assert changed == [" M train.py", "?? notes.txt"]


def test_results_that_were_never_committed_are_made(repository, said):
    run("git", "rm", "--quiet", "--cached", "dvc.lock", "scores", cwd=repository)
    run("git", "commit", "--quiet", "--message", "none", cwd=repository)
    shutil.rmtree(repository / "data")
    for name in ("dvc.lock", "scores"):
        (repository / name).unlink()
    said(repository)
    assert not integrity.changed(repository, integrity.recorded(repository))
    assert (repository / "data/model/weights").exists()


def test_a_lock_that_is_cut_off_is_brought_back(repository, said):
    experiment(repository, "nn")
    (repository / "dvc.lock").write_bytes((repository / "dvc.lock").read_bytes()[:99])
    said(repository)
    check_back(repository)


def test_in_a_subfolder_of_a_git_repository(tmp_path, repository, said):
    below = tmp_path / "above/below"
    shutil.copytree(repository, below, ignore=shutil.ignore_patterns(".git"))
    run("git", "init", "--quiet", cwd=below.parent)
    dvc(below, "config", "core.no_scm", "true")
    commit_all(below, "results")
    edit(below / "params.yaml", {"gru": "nn"})
    dvc(below, "repro", "--quiet")
    with pytest.raises(PipelineError, match=r"lost: params.yaml \(model: gru -> nn\);"):
        said(below)
    said(below, lambda _: None)
    check_back(below)


def test_while_dvc_runs_it_refuses(repository, monkeypatch):
    monkeypatch.setattr("dvc.lock.DEFAULT_TIMEOUT", 0)
    with (
        recover.alone(cache.repository(repository)),
        pytest.raises(PipelineError, match=r"^another DVC command is running here; wait"),
    ):
        reset.reset(repository, reset.ask)


def test_a_fresh_clone_on_another_processor_three_experiments_and_back(copy, tmp_path, monkeypatch):
    """As the documents say, with a cache that never had the committed objects."""
    for name, value in ANOTHER_PROCESSOR.items():
        monkeypatch.setenv(name, value)
    docs = (ROOT / "docs/experiments.md").read_text(encoding="utf-8")
    [(back, apply)] = re.findall(r"`(.+)` brings back .*, and `(.+) lstm`\nan experiment", docs)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    said = rf"^({back}) +# back to the last commit; to an experiment: {apply} NAME$"
    assert re.findall(said, readme, re.MULTILINE)

    clone = tmp_path / "clone"
    git.clone(copy, clone, "HEAD")
    (clone / ".venv").mkdir()
    (clone / ".venv/installed").touch()
    for model in ("nn", "bow", "rnn"):
        run("dvc", "exp", "run", "--name", model, "-S", f"model={model}", cwd=clone)
    assert "by `dvc repro` (train, " in run(*back.split(), cwd=clone).stdout
    run(*apply.split(), "rnn", cwd=clone)
    assert not (clone / "metrics/train/plots/metrics/gradient/gru.tsv").exists()
    assert " from the cache, " in run(*back.split(), cwd=clone).stdout

    assert run("git", "status", "--porcelain", cwd=clone).stdout == ""
    outputs = integrity.recorded(copy)
    assert outputs == integrity.recorded(clone)
    assert not integrity.changed(clone, outputs)
    assert all((clone / output).exists() for output in outputs)
    assert "Running" not in run("dvc", "repro", cwd=clone).stdout
