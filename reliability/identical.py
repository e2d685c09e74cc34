"""Run the pipeline in different environments, and compare the results.

`python -m reliability.identical` clones the last commit and runs it; then it runs another clone for
each environment: another folder, language, number of threads, or (as far as variables can imitate
it) processor. A table says whether `dvc.lock` has the same bytes. If not, it says how the network
and its scores differ.
"""

import argparse
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dvc.utils.serialize import modify_yaml

from ajuste import errors
from ajuste.config import reader
from ajuste.errors import PipelineError
from ajuste.repository import integrity
from reliability import clones
from reliability.verify import differences, fresh

EPOCHS = 2  # with a part of the reviews
MODEL, SCORES = "data/model", "metrics/evaluate.json"
SAME = "the same dvc.lock"


def one_core() -> None:
    """Restrict this process to one processor core, where the system can (Linux)."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


@dataclass(frozen=True)
class Environment:
    """How a run differs from the first one.

    Attributes:
        name: the name in the table.
        variables: environment variables.
        before: called in the new process before DVC starts.
        processor: whether it stands for another processor, which may change weights.
    """

    name: str
    variables: dict[str, str] = field(default_factory=dict)
    before: Callable[[], None] | None = None
    processor: bool = False


def variable(name: str, value: str, processor: bool = False) -> Environment:
    """An environment with one more variable."""
    return Environment(f"{name}={value}", {name: value}, processor=processor)


ENVIRONMENTS = [
    Environment("another folder"),
    variable("PYTHONHASHSEED", "1"),
    variable("LC_ALL", "C"),
    variable("LC_ALL", "C.UTF-8"),
    variable("TZ", "Asia/Tokyo"),
    Environment("umask 077", before=partial(os.umask, 0o077)),
    Environment("one core", before=one_core, processor=True),
    variable("TF_NUM_INTRAOP_THREADS", "1", processor=True),
    variable("TF_NUM_INTRAOP_THREADS", "2", processor=True),
    variable("TF_NUM_INTRAOP_THREADS", "4", processor=True),
    variable("TF_NUM_INTEROP_THREADS", "1", processor=True),
    variable("TF_NUM_INTEROP_THREADS", "4", processor=True),
    variable("OMP_NUM_THREADS", "1", processor=True),
    variable("OPENBLAS_NUM_THREADS", "1", processor=True),
    variable("OPENBLAS_CORETYPE", "Nehalem", processor=True),
    variable("TF_ENABLE_ONEDNN_OPTS", "0", processor=True),
    variable("ONEDNN_MAX_CPU_ISA", "AVX2", processor=True),
    variable("ONEDNN_MAX_CPU_ISA", "SSE41", processor=True),
    variable("NPY_DISABLE_CPU_FEATURES", "X86_V3 X86_V4 AVX512_ICL", processor=True),
]


def place(folder: Path, number: int) -> Path:
    """The folder of a clone: each path has another length, a space and an accent."""
    return folder / ("clon número " + "x" * number)


def run(clone: Path, model: str, how: Environment) -> None:
    """Run the whole pipeline in a clone; for a second model, only the stages that differ.

    Args:
        clone: where.
        model: the entry of `models` to train.
        how: the environment.
    """
    with modify_yaml(clone / "params.yaml") as params:
        params["model"] = model
    # Without --force, DVC would skip a stage whose outputs are all in Git.
    force = [] if (clone / MODEL).exists() else ["--force"]
    clones.dvc(clone, "repro", *force, before=how.before, **how.variables)


def compared(one: Path, other: Path) -> str:
    """How the results in two clones differ, in words."""
    locks = [(clone / "dvc.lock").read_bytes() for clone in (one, other)]
    old, new = (integrity.stages(lock.decode()) for lock in locks)
    found = differences(old, new, fresh(one, old), fresh(other, new))
    if not found:
        return SAME if locks[0] == locks[1] else "the same results; dvc.lock has other bytes"
    name = next(iter(found))
    first = found[name][0]
    lines = [line for lines in found.values() for line in lines]
    more = [line for line in lines if line.startswith((MODEL, SCORES)) and line != first]
    return "; ".join([f"from {name} on: {first}", *more])


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The arguments of the command line."""
    values = reader.read()
    names = [one.name for one in ENVIRONMENTS]
    parser = argparse.ArgumentParser(
        prog="python -m reliability.identical", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("--model", nargs="+", choices=list(values["models"]), metavar="NAME",
        default=[values["model"]], help="the networks (that of params.yaml)")  # fmt: skip
    add("--environment", nargs="+", choices=names, metavar="NAME", default=names,
        help="the environments (all)")  # fmt: skip
    add("--reviews", type=int, default=1200, help="how many; 0: all (%(default)s)")
    return parser.parse_args(argv)


def main() -> None:
    """Run what is asked and print a table in Markdown."""
    asked = arguments()
    unexpected = []
    with clones.scratch() as folder:
        start, first = folder / "start", folder / "first"
        clones.clone(Path.cwd(), start)
        if asked.reviews:
            clones.shrink(start, clones.bundled_slice(start, asked.reviews), EPOCHS)
        shutil.copytree(start, first, symlinks=True)
        for model in asked.model:
            run(first, model, Environment("the first"))
            shutil.copytree(first, folder / f"first-{model}", symlinks=True)
        print("| network | environment | compared with the first run |\n|---|---|---|", flush=True)
        for number, how in enumerate(ENVIRONMENTS):
            if how.name not in asked.environment:
                continue
            clone = shutil.copytree(start, place(folder, number), symlinks=True)
            for model in asked.model:
                run(clone, model, how)
                result = compared(folder / f"first-{model}", clone)
                print(f"| {model} | {how.name} | {result} |", flush=True)
                if result != SAME and not how.processor:
                    unexpected.append(f"{model}, {how.name}")
            shutil.rmtree(clone)
    if unexpected:
        raise PipelineError(f"other results without another processor: {'; '.join(unexpected)}")


if __name__ == "__main__":
    errors.run("identical", main)
