"""Run the pipeline in different environments, and compare the results.

`python -m reliability.identical` clones the last commit and runs it; then it runs another clone for
each environment: another folder, language, number of cores or, as far as variables or QEMU can
imitate it, processor. A table says whether `dvc.lock` has the same bytes. If not, it says how the
network and its scores differ.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

from dvc.utils.serialize import modify_yaml

from ajuste import errors
from ajuste.config import reader
from ajuste.errors import PipelineError
from ajuste.repository import integrity, throwaway
from reliability import clones
from reliability.verify import differences, outputs

EPOCHS = 2  # with a part of the reviews
QEMU = "qemu-x86_64"
MODEL, SCORES = "data/model", "metrics/evaluate.json"
SAME = "the same dvc.lock"


ENVIRONMENTS = [
    "another folder",
    "PYTHONHASHSEED=1",
    "LC_ALL=C",
    "LC_ALL=C.UTF-8",
    "TZ=Asia/Tokyo",
    "umask 077",
    "one core",
    "TF_NUM_INTRAOP_THREADS=4",
    "TF_NUM_INTEROP_THREADS=1",
    "TF_NUM_INTEROP_THREADS=4",
    "OMP_NUM_THREADS=1",
    "OPENBLAS_NUM_THREADS=1",
    "OPENBLAS_CORETYPE=Nehalem",
    "TF_ENABLE_ONEDNN_OPTS=1",
    "ONEDNN_MAX_CPU_ISA=SSE41",
    "NPY_DISABLE_CPU_FEATURES=X86_V3 X86_V4 AVX512_ICL",
]
EMULATED = ["-cpu EPYC-Milan", "-cpu Haswell"]
"""Processors with AVX2 and without AVX-512, for QEMU; a quarter of an hour each."""
FLOAT_STAGES = ("baseline", "embed", "words", "train", "evaluate")
"""The stages that compute with floats. Only these run in QEMU, in which `split` crashes (7.2)."""


def place(folder: Path, number: int) -> Path:
    """The folder of a clone: each path has another length, a space and an accent."""
    return folder / ("clon número " + "x" * number)


def run(clone: Path, model: str, *environments: str) -> None:
    """Run the whole pipeline in a clone; for a second model, only the stages that differ.

    Args:
        clone: where.
        model: the entry of `models` to train.
        environments: some of `ENVIRONMENTS`, all at once, or one of `EMULATED`.
    """
    with modify_yaml(clone / "params.yaml") as params:
        params["model"] = model
    # Without --force, DVC would skip a stage whose outputs are all in Git.
    force = [] if (clone / MODEL).exists() else ["--force"]
    variables = dict(one.split("=", 1) for one in environments if "=" in one)
    for cpu in set(environments) & set(EMULATED):
        variables["PATH"] = f"{emulator(clone, cpu)}{os.pathsep}{os.environ['PATH']}"

    def before() -> None:
        if "umask 077" in environments:
            os.umask(0o077)
        if "one core" in environments and hasattr(os, "sched_setaffinity"):  # Linux
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    clones.dvc(clone, "repro", *force, before=before, **variables)


def emulator(clone: Path, cpu: str) -> Path:
    """A folder for `PATH`, with a `python` that runs the `FLOAT_STAGES` in QEMU.

    Raises:
        PipelineError: QEMU is not installed.
    """
    if not (qemu := shutil.which(QEMU)):
        raise PipelineError(f"{QEMU}: not found; install it (Debian: qemu-user)")
    python = clone / ".dvc/tmp/emulator/python"
    python.parent.mkdir(parents=True)
    stages = "|".join(f"stages.{stage}" for stage in FLOAT_STAGES)
    emulated = f'exec {qemu} {cpu} {sys.executable} "$@" 2> /dev/null'
    python.write_text(
        f'#!/bin/sh\ncase "$2" in {stages}) {emulated} ;; esac\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    return python.parent


def compared(one: Path, other: Path) -> str:
    """How the results in two clones differ, in words."""
    locks = [(clone / "dvc.lock").read_bytes() for clone in (one, other)]
    old, new = (integrity.stages(lock.decode()) for lock in locks)
    found = differences(old, new, outputs(one, old), outputs(other, new))
    if not found:
        return SAME if locks[0] == locks[1] else "the same results; dvc.lock has other bytes"
    name = next(iter(found))
    first = found[name][0]
    lines = [line for lines in found.values() for line in lines]
    more = [line for line in lines if line.startswith((MODEL, SCORES)) and line != first]
    return "; ".join([f"from {name} on: {first}", *more])


def main() -> None:
    """Run what is asked and print a table in Markdown."""
    values = reader.read()
    parser = argparse.ArgumentParser(
        prog="python -m reliability.identical", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("--model", nargs="+", choices=list(values["models"]), metavar="NAME",
        default=[values["model"]], help="the networks (that of params.yaml)")  # fmt: skip
    add("--environment", nargs="+", choices=ENVIRONMENTS + EMULATED, metavar="NAME",
        default=ENVIRONMENTS, help="the environments (all that need no emulator)")  # fmt: skip
    add("--reviews", type=int, default=1200, help="how many; 0: all (%(default)s)")
    asked = parser.parse_args()
    different = []
    with throwaway.scratch() as folder:
        start, first = folder / "start", folder / "first"
        clones.clone(Path.cwd(), start)
        if asked.reviews:
            clones.shrink(start, clones.bundled_slice(start, asked.reviews), EPOCHS)
        shutil.copytree(start, first, symlinks=True)
        for model in asked.model:
            run(first, model)
            shutil.copytree(first, folder / f"first-{model}", symlinks=True)
        print("| network | environment | compared with the first run |\n|---|---|---|", flush=True)
        for number, environment in enumerate(asked.environment):
            clone = shutil.copytree(start, place(folder, number), symlinks=True)
            for model in asked.model:
                run(clone, model, environment)
                result = compared(folder / f"first-{model}", clone)
                print(f"| {model} | {environment} | {result} |", flush=True)
                if result != SAME:
                    different.append(f"{model}, {environment}")
            shutil.rmtree(clone)
    if different:
        raise PipelineError(f"different results: {'; '.join(different)}")


if __name__ == "__main__":
    errors.run("identical", main)
