import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import dvc.cli
import psutil
import pytest
import yaml
from conftest import ROOT, run

from ajuste.errors import PipelineError
from study import __main__ as command_line
from study import collect, plan
from study.run import check_clean, rename
from study.run import run as run_study

pytestmark = pytest.mark.slow

# Each stage appends a line to the file RAN; `stuck` waits at the pipe GATE if there is one.
COMMON = """
import json, os, sys
from pathlib import Path
import yaml
params = yaml.safe_load(Path("params.yaml").read_text())
model = params["model"]
def ran(*words):
    with open(os.environ["RAN"], "a") as file:
        print(*words, file=file)
def write(path, value):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(value))
"""
STAGES = {
    "embed": """
import psutil
words = [word for process in psutil.Process().parents() for word in process.cmdline()]
ran("embed", "repro" if "repro" in words else "experiment", os.environ["AJUSTE_DOWNLOADS"])
write("data/embed.json", Path("given.txt").read_text())
""",
    "train": """
ran("train", model, os.getpid())
if model == "stuck" and os.path.exists(os.environ["GATE"]):
    open(os.environ["GATE"]).read()
if model == "broken":
    sys.exit("train: models.broken: no such network")
gap = params["models"][model]["gap"] / (2 if params["models"][model]["dropout"] else 1)
write("metrics/train/metrics.json", {
    "train": {"loss": 0.3, "accuracy": 0.9},
    "validation": {"loss": 0.3 + gap, "accuracy": 0.85},
    "generalization_gap": {"loss": gap, "accuracy": 0.05},
})
write("data/record/train.json", {
    "seconds": 77.0 if model == "fine" else 12.0, "environment": {"python": "3"},
})
""",
    "evaluate": """
gap = json.loads(Path("metrics/train/metrics.json").read_text())["generalization_gap"]["loss"]
verdict = "overfitting" if gap > 0.1 else "optimal"
write("metrics/evaluate.json", {"accuracy": 0.84, "fit": {
    "verdict": verdict, "best_epoch": 9, "kept_epoch": 9, "scatter": 0.0,
}})
""",
}
DVC = """
stages:
  embed:
    cmd: python embed.py
    deps: [given.txt]
    outs: [data/embed.json]
  baseline:
    cmd: mkdir -p data && echo known > data/baseline
    deps: [data/embed.json]
    outs: [data/baseline]
  train:
    cmd: python train.py
    deps: [train.py, data/embed.json]
    params: [model, "models.${model}"]
    metrics: [{metrics/train/metrics.json: {cache: false}}]
  evaluate:
    cmd: python evaluate.py
    deps: [metrics/train/metrics.json]
    params: [model, "models.${model}"]
    metrics: [{metrics/evaluate.json: {cache: false}}]
"""
NAMES = ("good", "fine", "stuck", "broken", "wide")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A repository with a small pipeline in plain Python and a file that DVC tracks."""
    folder = tmp_path_factory.mktemp("template")
    run("git", "init", "--quiet", cwd=folder)
    (folder / "given.txt").write_text("not in Git")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert dvc.cli.main(["init", "--quiet"]) == dvc.cli.main(["add", "--quiet", "given.txt"])
    for name, text in STAGES.items():
        (folder / f"{name}.py").write_text(COMMON + text)
    (folder / "dvc.yaml").write_text(DVC)
    params = {"model": "good", "models": {name: {"gap": 0.05, "dropout": 0.0} for name in NAMES}}
    params["models"]["wide"]["gap"] = 0.4
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / ".gitignore").write_text("/data/\n/given.txt\n")
    run("git", "add", "--all", cwd=folder)
    run("git", "commit", "--quiet", "--message", "start", cwd=folder)
    return folder


@pytest.fixture
def repository(template, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("RAN", str(tmp_path / "ran"))
    monkeypatch.setenv("GATE", str(tmp_path / "gate"))
    folder = shutil.copytree(template, tmp_path / "repository", symlinks=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def study(repository, monkeypatch, capsys):
    """A function that runs the command in this process and returns what it prints."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["study", "small.yaml", *arguments])
        command_line.main()
        return capsys.readouterr().out

    return call


def write_list(*names: str, follow: bool = False) -> None:
    experiments = [{"name": f"exp-{name}", "set": {"model": name}} for name in names]
    study = {"title": "Small", "follow": follow, "experiments": experiments}
    Path("small.yaml").write_text(yaml.safe_dump(study))


def ran(repository: Path) -> Counter:
    """How often each stage ran, `train` by its model."""
    lines = (repository.parent / "ran").read_text().splitlines()
    return Counter(" ".join(line.split()[:2]) for line in lines)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def experiments(repository: Path) -> set[str]:
    """The names of the experiments that DVC has."""
    listed = run("git", "for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps", cwd=repository)
    return {name for name in listed.stdout.split() if "/" not in name}


def test_experiments_run_in_parallel_and_dvc_has_them(repository, study):
    write_list("good", "fine", "wide")
    before = run("git", "status", "--porcelain", cwd=repository).stdout
    assert "[3/3]" in study("--jobs", "2")
    assert ran(repository) == {"embed repro": 1, "train good": 1, "train fine": 1, "train wide": 1}
    first = (repository.parent / "ran").read_text().splitlines()[0]
    assert first == f"embed repro {repository}/data/downloads"  # which all workers share
    assert not list((repository / ".dvc/tmp/study").glob("worker-*"))
    after = run("git", "status", "--porcelain", cwd=repository).stdout
    assert set(after.splitlines()) - set(before.splitlines()) == {"?? reports/"}

    assert experiments(repository) == {"exp-good", "exp-fine", "exp-wide"}
    assert dvc.cli.main(["exp", "apply", "--quiet", "exp-wide"]) == 0
    metrics = json.loads((repository / "metrics/train/metrics.json").read_text())
    assert metrics["generalization_gap"]["loss"] == 0.4
    run("git", "checkout", "--quiet", ".", cwd=repository)

    page = (repository / "reports/small.html").read_text(encoding="utf-8")
    assert "2 optimal, 1 overfitting" in page
    assert "<td>12<" in page
    run("git", "add", "reports", cwd=repository)
    (repository / "reports/small.md").write_text("a report that Git tracks may change")
    assert study().count("done before") == 3
    assert sum(ran(repository).values()) == 4


def test_all_workers_use_the_folder_of_downloads_that_the_user_has_set(
    repository, study, monkeypatch
):
    monkeypatch.setenv("AJUSTE_DOWNLOADS", "/shared")
    write_list("good")
    study()
    first = (repository.parent / "ran").read_text().splitlines()[0]
    assert first.split()[0::2] == ["embed", "/shared"]


def test_an_experiment_with_different_parameters_replaces_one_of_the_same_name(repository, study):
    write_list("good")
    study()
    text = (repository / "small.yaml").read_text()
    (repository / "small.yaml").write_text(text.replace("model: good", "models.good.gap: 0.2"))
    printed = study()
    assert "overfitting" in printed
    assert "exp-good had different parameters; its new name is exp-good-replaced" in printed
    assert ran(repository)["train good"] == 2
    assert experiments(repository) == {"exp-good", "exp-good-replaced"}


def test_no_replaced_experiment_is_lost(repository):
    start = collect.base(repository)
    made = [
        run("git", "commit-tree", "HEAD^{tree}", "-m", str(number), cwd=repository).stdout.strip()
        for number in range(3)
    ]
    assert rename(start, "exp") == ""
    names = []
    for commit in made:
        run("git", "update-ref", collect.ref(start.commit, "exp"), commit, cwd=repository)
        names.append(rename(start, "exp"))
    assert names == ["exp-replaced", "exp-replaced-2", "exp-replaced-3"]
    found = [collect.git(repository, "rev-parse", collect.ref(start.commit, one)) for one in names]
    assert [one.strip() for one in found] == made


def test_another_commit_uses_the_cache_and_starts_with_the_longest(repository, study):
    write_list("good", "fine")
    study()
    (repository / "README").write_text("new")
    run("git", "add", "README", cwd=repository)
    run("git", "commit", "--quiet", "--message", "next", cwd=repository)
    lines = study("--jobs", "1").splitlines()
    started = [line for line in lines if line.startswith("start exp-")]
    assert started == ["start exp-fine", "start exp-good"]
    assert sum(ran(repository).values()) == 3
    assert "<td>77<" in (repository / "reports/small.html").read_text(encoding="utf-8")


def test_a_remedy_follows_an_overfitting_experiment(repository, study):
    write_list("wide", follow=True)
    assert "[2/2] exp-wide-remedy: overfitting" in study()
    page = (repository / "reports/small.md").read_text(encoding="utf-8")
    assert "0.400 → 0.200" in page
    assert "models.wide.dropout=0.3" in page
    assert ran(repository)["train wide"] == 2
    assert study().count("done before") == 2


def test_a_failed_experiment_does_not_stop_the_others(repository, study):
    write_list("broken", "good")
    reason = "train: models.broken: no such network"
    for arguments in ((), ("--report-only",)):
        with pytest.raises(PipelineError, match=f"1 of 2 failed: exp-broken: {reason}"):
            study(*arguments)
    assert experiments(repository) == {"exp-good"}
    log = (repository / ".dvc/tmp/study/logs/exp-broken.log").read_text()
    assert "Running stage 'train'" in log
    assert reason in (repository / "reports/small.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_study_leaves_no_process_and_can_go_on(repository, study, sent):
    gate = repository.parent / "gate"
    os.mkfifo(gate)
    write_list("good", "stuck") if sent == signal.SIGKILL else write_list("stuck")
    process = subprocess.Popen(
        [sys.executable, "-m", "study", "small.yaml", "--jobs", "1"],
        cwd=repository,
        # A shell lets its background jobs ignore Ctrl-C, and the tests may run in one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with gate.open("w"):  # opens when `stuck` has opened the other end
        process.send_signal(sent)
        code = process.wait()
        pid = int((repository.parent / "ran").read_text().split()[-1])
        if sent != signal.SIGKILL:
            assert code == 130
            assert not alive(pid)
            return
        assert alive(pid)  # nothing could end it
        gate.unlink()
        printed = study("--jobs", "1")
        assert not alive(pid)
    assert "[1/2] exp-good: optimal, validation loss 0.350, accuracy 0.850, done before" in printed
    assert ran(repository) == {"embed experiment": 1, "train good": 1, "train stuck": 2}
    assert experiments(repository) == {"exp-good", "exp-stuck"}


def test_uncommitted_changes_are_refused(repository):
    (repository / "train.py").write_text("")
    with pytest.raises(PipelineError, match=r"^uncommitted changes in train\.py; experiments"):
        check_clean(repository, ["reports/"])
    check_clean(repository, ["train"])


def test_only_one_study_runs_at_a_time(repository):
    folder = repository / ".dvc/tmp/study"
    folder.mkdir(parents=True)
    listed = plan.Plan("T", "", False, [plan.Experiment("a")])
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(PipelineError, match="another study or pull-request report is running"):
            run_study(collect.base(repository), listed, 1)
