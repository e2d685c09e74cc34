import fcntl
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
import pytest
import yaml
from conftest import ROOT, run

pytestmark = pytest.mark.slow

# Stages that tell the file RAN of each run; `stuck` waits at the pipe GATE while that is there.
COMMON = """
import json, os, sys
from pathlib import Path
from ruamel.yaml import YAML
params = YAML(typ="safe", pure=True).load(Path("params.yaml"))
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
ran("embed", "repro" if "repro" in words else "experiment")
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
    "verdict": verdict, "best_epoch": 9, "kept_epoch": 9,
}})
""",
}
DVC = {
    "stages": {
        "embed": {
            "cmd": "python embed.py",
            "deps": ["given.txt"],
            "outs": ["data/embed.json"],
        },
        "train": {
            "cmd": "python train.py",
            "deps": ["train.py", "data/embed.json"],
            "params": ["model", "models.${model}"],
            "metrics": [{"metrics/train/metrics.json": {"cache": False}}],
        },
        "evaluate": {
            "cmd": "python evaluate.py",
            "deps": ["metrics/train/metrics.json"],
            "params": ["model", "models.${model}"],
            "metrics": [{"metrics/evaluate.json": {"cache": False}}],
        },
    }
}
NAMES = ("good", "fine", "stuck", "broken", "wide")


@pytest.fixture(autouse=True)
def _no_endless_wait():
    def give_up(*_):
        pytest.fail("nothing moved for three minutes")

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(180)
    yield
    signal.alarm(0)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with a small pipeline in plain Python and a file that DVC tracks."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("RAN", str(tmp_path / "ran"))
    monkeypatch.setenv("GATE", str(tmp_path / "gate"))
    folder = tmp_path / "repository"
    folder.mkdir()
    run("git", "init", "--quiet", cwd=folder)
    run("dvc", "init", "--quiet", cwd=folder)
    (folder / "given.txt").write_text("not in Git")
    run("dvc", "add", "--quiet", "given.txt", cwd=folder)
    for name, text in STAGES.items():
        (folder / f"{name}.py").write_text(COMMON + text)
    (folder / "dvc.yaml").write_text(yaml.safe_dump(DVC))
    params = {"model": "good", "models": {name: {"gap": 0.05, "dropout": 0.0} for name in NAMES}}
    params["models"]["wide"]["gap"] = 0.4
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / ".gitignore").write_text("/data/\n/given.txt\n")
    run("git", "add", "--all", cwd=folder)
    run("git", "commit", "--quiet", "--message", "start", cwd=folder)
    return folder


def write_list(repository: Path, *names: str, follow: bool = False) -> None:
    experiments = [{"name": f"exp-{name}", "set": {"model": name}} for name in names]
    study = {"title": "Small", "follow": follow, "experiments": experiments}
    (repository / "small.yaml").write_text(yaml.safe_dump(study))


def command(jobs: int) -> list[str]:
    return [sys.executable, "-m", "study", "small.yaml", "--jobs", str(jobs)]


def study(repository: Path, jobs: int = 2, check: bool = True) -> subprocess.CompletedProcess:
    return run(*command(jobs), cwd=repository, check=check)


def ran(repository: Path) -> Counter:
    """How often each stage ran, `train` by its model."""
    lines = (repository.parent / "ran").read_text().splitlines()
    return Counter(" ".join(line.split()[:2]) for line in lines)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def shown(repository: Path) -> dict[str, str]:
    """The experiments of `dvc exp show`, with their state."""
    table = json.loads(run("dvc", "exp", "show", "--json", cwd=repository).stdout)
    experiments = table[1]["experiments"] or []
    return {one["name"]: one["revs"][0]["data"]["metrics"] for one in experiments}


def test_experiments_run_in_parallel_and_are_there_for_dvc(repository):
    write_list(repository, "good", "fine", "wide")
    before = run("git", "status", "--porcelain", cwd=repository).stdout
    done = study(repository)
    assert "[3/3]" in done.stdout
    assert ran(repository) == {"embed repro": 1, "train good": 1, "train fine": 1, "train wide": 1}
    assert not list((repository / ".dvc/tmp/study").glob("worker-*"))
    after = run("git", "status", "--porcelain", cwd=repository).stdout
    assert set(after.splitlines()) - set(before.splitlines()) == {"?? reports/"}

    assert set(shown(repository)) == {"exp-good", "exp-fine", "exp-wide"}
    run("dvc", "exp", "apply", "exp-wide", cwd=repository)
    metrics = json.loads((repository / "metrics/train/metrics.json").read_text())
    assert metrics["generalization_gap"]["loss"] == 0.4
    run("git", "checkout", "--quiet", ".", cwd=repository)

    page = (repository / "reports/small.html").read_text(encoding="utf-8")
    assert "2 are optimal, 1 overfits" in page
    assert "<td>12<" in page
    again = study(repository)
    assert again.stdout.count("there already") == 3
    assert sum(ran(repository).values()) == 4


def test_other_parameters_under_the_same_name_run_anew(repository):
    write_list(repository, "good")
    study(repository)
    text = (repository / "small.yaml").read_text()
    (repository / "small.yaml").write_text(text.replace("model: good", "models.good.gap: 0.2"))
    said = study(repository).stdout
    assert "overfitting" in said
    assert "with other parameters, is now exp-good-replaced" in said
    assert ran(repository)["train good"] == 2
    assert set(shown(repository)) == {"exp-good", "exp-good-replaced"}


def test_another_commit_takes_what_the_cache_has_longest_first(repository):
    write_list(repository, "good", "fine")
    study(repository)
    (repository / "README").write_text("new")
    run("git", "add", "README", cwd=repository)
    run("git", "commit", "--quiet", "--message", "next", cwd=repository)
    lines = study(repository, jobs=1).stdout.splitlines()
    started = [line for line in lines if line.startswith("start exp-")]
    assert started == ["start exp-fine", "start exp-good"]
    assert sum(ran(repository).values()) == 3
    assert "<td>77<" in (repository / "reports/small.html").read_text(encoding="utf-8")


def test_a_remedy_follows_what_overfits(repository):
    write_list(repository, "wide", follow=True)
    done = study(repository)
    assert "[2/2] exp-wide-remedy: overfitting" in done.stdout
    page = (repository / "reports/small.md").read_text(encoding="utf-8")
    assert "0.400 → 0.200" in page
    assert "models.wide.dropout=0.3" in page
    assert ran(repository)["train wide"] == 2
    assert study(repository).stdout.count("there already") == 2


def test_one_that_fails_takes_no_other_along(repository):
    write_list(repository, "broken", "good", "fine")
    done = study(repository, check=False)
    assert done.returncode == 1
    reason = "train: models.broken: no such network"
    assert done.stderr.splitlines()[-1].startswith(f"study: 1 of 3 failed: exp-broken: {reason}")
    assert set(shown(repository)) == {"exp-good", "exp-fine"}
    done = run(*command(2), "--report-only", cwd=repository, check=False)
    assert (done.returncode, reason in done.stderr) == (1, True)
    log = (repository / ".dvc/tmp/study/logs/exp-broken.log").read_text()
    assert "Running stage 'train'" in log
    assert reason in (repository / "reports/small.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("told", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_study_that_was_ended_goes_on(repository, told):
    gate = repository.parent / "gate"
    os.mkfifo(gate)
    write_list(repository, "good", "stuck", "fine")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        command(jobs=1),
        cwd=repository,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        text=True,
        # A shell has its background jobs ignore Ctrl-C, and the tests may run in one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with gate.open("w"):  # goes on when `stuck` is there
        process.send_signal(told)
        said, _ = process.communicate()
        assert "[1/3] exp-good" in said
        pid = int((repository.parent / "ran").read_text().split()[-1])
        if told == signal.SIGKILL:
            assert alive(pid)  # as nobody could end it
        else:
            assert process.returncode == 130
            assert not alive(pid)
        gate.unlink()
        done = study(repository, jobs=1)
        assert not alive(pid)
    assert "[1/3] exp-good: optimal, validation 0.850 (0.350), there already" in done.stdout
    expected = {"embed repro": 1, "train good": 1, "train stuck": 2, "train fine": 1}
    assert ran(repository) == expected
    assert set(shown(repository)) == {"exp-good", "exp-stuck", "exp-fine"}


def test_uncommitted_changes_are_refused(repository):
    write_list(repository, "good")
    (repository / "train.py").write_text("")
    done = study(repository, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("study: uncommitted changes in train.py;")
    assert not (repository / "reports").exists()


def test_a_report_that_is_tracked_may_be_written_anew(repository):
    write_list(repository, "good")
    study(repository)
    run("git", "add", "reports", cwd=repository)
    (repository / "reports/small.md").write_text("edited")
    assert "there already" in study(repository).stdout


def test_only_one_study_at_a_time(repository):
    write_list(repository, "good")
    folder = repository / ".dvc/tmp/study"
    folder.mkdir(parents=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = study(repository, check=False)
    assert done.stderr.startswith("study: another study runs in this repository")
