"""Run the pipeline under one circumstance after another, and say what stays the same.

`python -m reliability.identical` clones the last commit, runs it, and then once more for each
circumstance, in another clone: another folder, language, number of threads, processor (as far as
one can be played). The table says whether the same `dvc.lock` came out, byte for byte, and by how
much the network and its scores differ if not.
"""

import argparse
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ajuste import errors
from ajuste.config import reader
from ajuste.errors import PipelineError
from ajuste.repository import integrity
from reliability import clones
from reliability.verify import differences, fresh

MODEL, SCORES = "data/model", "metrics/evaluate.json"
SAME = "the same dvc.lock"


def one_core() -> None:
    """Leave this process one of its processor cores."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


@dataclass(frozen=True)
class Circumstance:
    """What differs from the first run.

    Attributes:
        name: what it is called in the table.
        variables: of the environment.
        umask: of the process, -1 for that of this one.
        before: called in the process before DVC takes over.
        processor: whether it stands for another number of threads or another processor; then other
            bytes are no fault.
    """

    name: str
    variables: dict[str, str] = field(default_factory=dict)
    umask: int = -1
    before: Callable[[], None] | None = None
    processor: bool = False


def variable(name: str, value: str, processor: bool = False) -> Circumstance:
    """A circumstance that is one variable of the environment."""
    return Circumstance(f"{name}={value}", {name: value}, processor=processor)


CIRCUMSTANCES = [
    Circumstance("another folder"),
    variable("PYTHONHASHSEED", "1"),
    variable("LC_ALL", "C"),
    variable("LC_ALL", "C.UTF-8"),
    variable("TZ", "Asia/Tokyo"),
    Circumstance("umask 077", umask=0o077),
    Circumstance("one core", before=one_core, processor=True),
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
    """Where a clone goes: every path is longer than the one before, with a space and an accent."""
    return folder / ("clon número " + "x" * number)


def run(clone: Path, model: str, how: Circumstance) -> None:
    """Run the whole pipeline in a clone; of the stages, those that the network has no part in once.

    Args:
        clone: where.
        model: the entry of `models` to train.
        how: the circumstance.
    """
    path = clone / "params.yaml"
    text = path.read_text(encoding="utf-8")
    # dvc.lock has the parameters in the order of the file, which therefore must stay.
    path.write_text(re.sub(r"(?m)^model: .*", f"model: {model}", text), encoding="utf-8")
    # A stage all of whose outputs are in Git would pass for done.
    force = [] if (clone / MODEL).exists() else ["--force"]
    clones.dvc(clone, "repro", *force, umask=how.umask, before=how.before, **how.variables)


def told(one: Path, other: Path) -> str:
    """By how much the results in two clones differ, in words."""
    locks = [(clone / "dvc.lock").read_bytes() for clone in (one, other)]
    old, new = (integrity.stages(lock.decode()) for lock in locks)
    found = differences(old, new, fresh(one, old), fresh(other, new))
    if not found:
        return SAME if locks[0] == locks[1] else "the same results in a dvc.lock of other bytes"
    name, first = next(iter(found.items()))
    scores = found["evaluate"].outputs.get(SCORES, "") if "evaluate" in found else ""
    shown = first.outputs.get(MODEL) or first.short()
    return f"from {name} on: {shown}" + (f"; {SCORES}: {scores}" if scores else "")


def table(rows: list[tuple[str, str, str]]) -> str:
    """Rows of network, circumstance and outcome as Markdown."""
    lines = ["| network | circumstance | compared with the first run |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """What the user asks for."""
    values = reader.read()
    names = [one.name for one in CIRCUMSTANCES]
    parser = argparse.ArgumentParser(
        prog="python -m reliability.identical", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("--model", nargs="+", choices=list(values["models"]), metavar="NAME",
        default=[values["model"]], help="the networks (that of params.yaml)")  # fmt: skip
    add("--circumstance", nargs="+", choices=names, metavar="NAME", default=names,
        help="those to try (all)")  # fmt: skip
    add("--reviews", type=int, default=1200, help="how many; 0: all (%(default)s)")
    add("--epochs", type=int, default=2, help="where not all reviews are read (%(default)s)")
    return parser.parse_args(argv)


def main() -> None:
    """Run what is asked and print the table."""
    asked = arguments()
    rows, broken = [], []
    with clones.scratch() as folder:
        start, first = folder / "start", folder / "first"
        clones.clone(Path.cwd(), start)
        if asked.reviews:
            clones.shrink(start, clones.bundled_slice(start, asked.reviews), asked.epochs)
        shutil.copytree(start, first, symlinks=True)
        for model in asked.model:
            run(first, model, Circumstance("the first"))
            shutil.copytree(first, folder / f"first-{model}", symlinks=True)
        for number, how in enumerate(CIRCUMSTANCES):
            if how.name not in asked.circumstance:
                continue
            clone = shutil.copytree(start, place(folder, number), symlinks=True)
            for model in asked.model:
                began = time.monotonic()
                run(clone, model, how)
                rows.append((model, how.name, told(folder / f"first-{model}", clone)))
                if rows[-1][-1] != SAME and not how.processor:
                    broken.append(f"{model}, {how.name}")
                print(f"{' | '.join(rows[-1])} ({time.monotonic() - began:.0f} s)", flush=True)
            shutil.rmtree(clone)
    print(f"\n{table(rows)}")
    if broken:
        raise PipelineError(f"other results, and no processor to explain it: {'; '.join(broken)}")


if __name__ == "__main__":
    errors.run("identical", main)
