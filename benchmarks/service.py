"""The HTTP service under load, on this machine: `python -m benchmarks.service [SECONDS]`.

It starts the service and asks it over 1, 8 and 64 connections, each for some seconds: requests a
second, the median and the 99th percentile of the time of a request, errors, and the memory of the
service. The texts are reviews of the validation part, one a request. The client needs a core too.
The last line is the median of the model's own call for one review, in another process.
"""

import argparse
import asyncio
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import numpy as np
import pandas as pd
import psutil

from ajuste.errors import PipelineError, run
from serving.classifier import Classifier
from serving.predict import MODEL

CONNECTIONS = (1, 8, 64)
REVIEWS = Path("data/split/validation.parquet")
START = 60  # seconds, at most


def percentile(times: list[float], share: float) -> float:
    """In milliseconds."""
    return 1000 * float(np.quantile(times, share))


async def load(address: str, texts: list[str], connections: int, seconds: float) -> list[float]:
    """Ask over so many connections, each one request after the other; the time of each request.

    Raises:
        PipelineError: an answer was an error.
    """
    times: list[float] = []
    until = time.perf_counter() + seconds

    async def ask(client: httpx2.AsyncClient, number: int) -> None:
        while (started := time.perf_counter()) < until:
            text = texts[(number + len(times)) % len(texts)]
            answer = await client.post(address, json={"texts": [text]})
            if answer.status_code != 200:
                raise PipelineError(f"{address}: {answer.status_code} {answer.text[:200]}")
            times.append(time.perf_counter() - started)

    limits = httpx2.Limits(max_connections=connections)
    async with httpx2.AsyncClient(limits=limits, timeout=60) as client:
        await asyncio.gather(*(ask(client, number) for number in range(connections)))
    return times


@contextmanager
def service() -> Iterator[tuple[str, psutil.Process]]:
    """The address and the process of a service with the model in data/model, once it answers.

    Raises:
        PipelineError: it does not answer.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address, until = f"http://127.0.0.1:{port}", time.monotonic() + START
    process = subprocess.Popen([sys.executable, "-m", "serving.service", "--port", str(port)])
    try:
        while not _is_up(address):
            if time.monotonic() > until:
                raise PipelineError(f"{address}: no answer after {START} seconds")
        yield address, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _is_up(address: str) -> bool:
    try:
        return httpx2.get(f"{address}/health").status_code == 200
    except httpx2.TransportError:
        return False


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Measure the HTTP service under load.")
    parser.add_argument("seconds", nargs="?", type=float, default=10.0)
    seconds = parser.parse_args().seconds
    texts = pd.read_parquet(REVIEWS)["review"].tolist()
    began = time.monotonic()
    with service() as (address, process):
        print(f"answers after {time.monotonic() - began:.1f} s")
        print("connections  requests/s  median ms  p99 ms  MiB")
        for connections in CONNECTIONS:
            times = asyncio.run(load(f"{address}/predict", texts, connections, seconds))
            print(
                f"{connections:11}  {len(times) / seconds:10.0f}  {percentile(times, 0.5):9.1f}  "
                f"{percentile(times, 0.99):6.1f}  {process.memory_info().rss / 2**20:3.0f}"
            )
    classifier, own = Classifier.load(MODEL), []
    for text in texts[:200]:
        before = time.perf_counter()
        classifier.answers([text])
        own.append(time.perf_counter() - before)
    print(f"the model's own call: {1000 * statistics.median(own[20:]):.1f} ms")


if __name__ == "__main__":
    run("service", main)
