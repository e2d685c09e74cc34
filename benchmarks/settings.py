"""What the parameters `threads` and `portable` do to the weights and the time of a training.

`python -m benchmarks.settings` trains each network of `params.yaml` on the first batches, in a new
process for each setting, and prints a table: the start of the SHA-256 of the weights, the median
time of these batches, and its ratio to that of TensorFlow's own settings (`portable: false`, and as
many threads as there are cores). Run `dvc repro` first, and nothing beside it.
"""

import argparse
import hashlib
import multiprocessing
import statistics
import time
from pathlib import Path
from typing import Any

from ajuste.config import reader
from ajuste.data.encoder import read_part
from ajuste.errors import run
from ajuste.files import read_array
from ajuste.training import backend, entry_schema, loop
from ajuste.training.build import build
from ajuste.training.environment import cores
from ajuste.training.options import compile_model

TRAIN = Path("data/tokens/train.npz")
MATRIX = Path("data/embedding/matrix.npy")
BATCHES = 40
REPEATS = 2  # in each process, after the first time, in which TensorFlow traces the network


def trained(model: str, threads: int, portable: bool) -> tuple[str, list[float]]:
    """Train a network on the first batches.

    Returns:
        The start of the digest of the weights after the first time, and the seconds of the others.
    """
    backend.start(threads, portable)
    backend.seed(1)
    entry = reader.load(f"models.{model}", dict[str, Any]) | {"epochs": 1}
    task = reader.load("task", str)
    asked = entry_schema.options(model, entry, task)
    part = read_part(TRAIN, asked.max_length, asked.keep)
    train = loop.first(part, BATCHES * entry["batch_size"])
    outputs = train["targets"].shape[1]
    network, options = build(model, entry, read_array(MATRIX), task, outputs, train)
    compile_model(network, options, BATCHES)
    loop.run_epochs(network, options, train, seed=1)
    weights = b"".join(weight.numpy().tobytes() for weight in network.trainable_weights)
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        loop.run_epochs(network, options, train, seed=1)
        seconds.append(time.perf_counter() - began)
    return hashlib.sha256(weights).hexdigest()[:12], seconds


def main() -> None:
    """Measure and print."""
    models = [name for name, entry in reader.read()["models"].items() if "epochs" in entry]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.settings", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("models", nargs="*", default=models, metavar="MODEL", help="entries of models (all)")
    add("--threads", type=int, nargs="+", default=[1, cores()], help="(%(default)s)")
    add("--rounds", type=int, default=3, help="processes for each setting (%(default)s)")
    asked = parser.parse_args()
    own = False, cores()
    settings = list(dict.fromkeys([own, *((p, n) for p in (False, True) for n in asked.threads)]))
    print("| network | portable | threads | weights | seconds | ratio |\n|---|---|---|---|---|---|")
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for model in asked.models:
            found: dict[tuple[bool, int], list[tuple[str, list[float]]]] = {s: [] for s in settings}
            for _ in range(asked.rounds):  # side by side, since a machine may become slower
                for portable, threads in settings:
                    measured = pool.apply(trained, (model, threads, portable))
                    found[portable, threads].append(measured)
            times = {
                setting: statistics.median(s for _, seconds in runs for s in seconds)
                for setting, runs in found.items()
            }
            for (portable, threads), runs in found.items():
                digests = " ".join(dict.fromkeys(digest for digest, _ in runs))
                seconds = times[portable, threads]
                print(
                    f"| {model} | {str(portable).lower()} | {threads} | {digests} "
                    f"| {seconds:.2f} | {seconds / times[own]:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    run("settings", main)
