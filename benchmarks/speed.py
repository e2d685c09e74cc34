"""Compare the time of a study with one worker and with several, from empty caches.

`python benchmarks/speed.py studies/lecture.yaml --jobs 2` clones the last commit twice, runs the
list with one worker that uses all cores and then with several that share them, and prints both
times and their ratio.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def seconds(listed: Path, jobs: int) -> float:
    """The wall time of a list in a fresh clone without a cache."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        copy = clone / ".dvc" / "tmp" / listed.name
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(listed, copy)
        began = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "study", str(copy), "--jobs", str(jobs)],
            cwd=clone,
            env={**os.environ, "DVC_SITE_CACHE_DIR": str(Path(folder) / "site")},
            check=True,
        )
        return time.monotonic() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("list", type=Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    asked = parser.parse_args()
    times = {jobs: seconds(asked.list, jobs) for jobs in (1, asked.jobs)}
    for jobs, wall in times.items():
        print(f"--jobs {jobs}: {wall:.0f} s")
    print(f"ratio: {times[asked.jobs] / times[1]:.2f}")


if __name__ == "__main__":
    main()
