"""Compare the time of a study with one worker and with several, from empty caches.

`python -m benchmarks.speed studies/lecture.yaml --jobs 2` clones the last commit twice, runs the
list with one worker that uses all cores and then with several that share them, and prints both
times and their ratio.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from ajuste.training.environment import cores

ROOT = Path(__file__).parent.parent


def seconds(listed: Path, jobs: int) -> float:
    """The wall time of a list in a fresh clone without a cache."""
    with TemporaryDirectory() as clone:
        subprocess.run(["git", "clone", "--quiet", str(ROOT), clone], check=True)
        began = time.monotonic()
        command = [sys.executable, "-m", "study", str(listed.resolve()), "--jobs", str(jobs)]
        subprocess.run(command, cwd=clone, check=True)
        return time.monotonic() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("list", type=Path)
    parser.add_argument("--jobs", type=int, default=cores())
    asked = parser.parse_args()
    times = {jobs: seconds(asked.list, jobs) for jobs in (1, asked.jobs)}
    for jobs, wall in times.items():
        print(f"--jobs {jobs}: {wall:.0f} s")
    print(f"ratio: {times[asked.jobs] / times[1]:.2f}")


if __name__ == "__main__":
    main()
