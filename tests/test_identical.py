"""Two fresh clones, in different folders and environments, end in the same `dvc.lock`."""

import shutil
import sys

import pytest
import yaml
from conftest import ROOT, commit, run

from reliability import identical
from reliability.identical import SAME, compared
from study import collect

pytestmark = pytest.mark.slow

NETWORKS = list(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["models"])
ELSEWHERE = [
    "LC_ALL=C",
    "OMP_NUM_THREADS=1",
    "PYTHONHASHSEED=1",
    "TF_NUM_INTEROP_THREADS=1",
    "TF_NUM_INTRAOP_THREADS=4",
    "NPY_DISABLE_CPU_FEATURES=X86_V3 X86_V4 AVX512_ICL",
    "ONEDNN_MAX_CPU_ISA=SSE41",
    "OPENBLAS_CORETYPE=Nehalem",
    "TF_ENABLE_ONEDNN_OPTS=1",
    "TZ=Asia/Tokyo",
    "umask 077",
    "one core",
]


def test_another_folder_language_processor_and_number_of_threads_change_nothing(
    reproduced, copy, tmp_path
):
    start, done = reproduced
    clone = shutil.copytree(start, identical.place(tmp_path, 9), symlinks=True)
    assert set(ELSEWHERE) < set(identical.ENVIRONMENTS)
    default = yaml.safe_load((start / "params.yaml").read_text(encoding="utf-8"))["model"]
    identical.run(clone, default, *ELSEWHERE)
    assert compared(done, clone) == SAME
    identical.run(copy, "gru")
    identical.run(clone, "gru", *ELSEWHERE)
    assert compared(copy, clone) == SAME


def test_a_study_trains_the_networks_that_repro_trains(reproduced, copy, tmp_path):
    """`bow` is a network that another number of threads would change."""
    experiments = [{"name": name, "set": {"model": name}} for name in ("nn", "bow")]
    (copy / "two.yaml").write_text(yaml.safe_dump({"title": "Two", "experiments": experiments}))
    commit(copy, "a list")
    run(sys.executable, "-m", "study", "two.yaml", "--jobs", "2", cwd=copy)
    head = run("git", "rev-parse", "HEAD", cwd=copy).stdout.strip()
    elsewhere = shutil.copytree(reproduced[1], tmp_path / "elsewhere", symlinks=True)
    for name in ("nn", "bow"):
        identical.run(elsewhere, name)
        lock = run("git", "show", f"{collect.ref(head, name)}:dvc.lock", cwd=copy).stdout
        assert lock == (elsewhere / "dvc.lock").read_text(encoding="utf-8")


def test_a_difference_is_named(reproduced, tmp_path):
    _, done = reproduced
    other = shutil.copytree(done, tmp_path / "other", symlinks=True)
    assert compared(done, other) == SAME
    lock = other / "dvc.lock"
    lock.write_text(lock.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert compared(done, other) == "the same results; dvc.lock has other bytes"
    (other / "metrics/words.json").write_text("{}")
    (other / identical.SCORES).write_text("{}")
    said = compared(done, other)
    assert said.startswith("from words on: metrics/words.json: ")
    assert f"; {identical.SCORES}: " in said


@pytest.mark.long
@pytest.mark.parametrize("environment", ["another folder", "one core"])
def test_every_network_repeats_itself(environment):
    printed = run(
        *(sys.executable, "-m", "reliability.identical", "--model", *NETWORKS),
        *("--environment", environment),
        cwd=ROOT,
    ).stdout
    rows = [line for line in printed.splitlines() if line.startswith("| ")][1:]
    assert [row for row in rows if SAME not in row] == []
    assert len(rows) == len(NETWORKS)
