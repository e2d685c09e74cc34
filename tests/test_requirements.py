"""What is installed is what was locked, and an audit of it never ends well by default."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PIN = r"([\w.-]+)(?:\[[\w,]+\])?==([\w.]+)"
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
LOCKED = re.findall(rf"^{PIN}([^\n]*(?:\n    [^\n]+)*)", LOCK, re.MULTILINE)


def names_and_versions(text):
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in text}


def test_every_line_of_the_lock_is_a_pin_or_one_of_its_hashes():
    line = rf"#.*|{PIN}(?: ; [^\\]+)? \\|    --hash=sha256:[0-9a-f]{{64}}(?: \\)?"
    assert not [text for text in LOCK.splitlines() if not re.fullmatch(line, text)]
    assert len(LOCKED) > 100
    assert all("--hash=sha256:" in rest for _, _, rest in LOCKED)


def test_what_is_required_is_pinned_and_locked_at_the_same_version():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    required = [line.split("#")[0].strip() for line in lines]
    pins = [re.fullmatch(PIN, line) for line in required if line]
    assert all(pins)
    locked = names_and_versions((name, version) for name, version, _ in LOCKED)
    assert names_and_versions(pin.groups() for pin in pins).items() <= locked.items()


@pytest.fixture
def make(tmp_path):
    """A function that makes a target of the project, with a program that answers as told."""

    def run(target, program, answer):
        shutil.copy(ROOT / "Makefile", tmp_path)
        (tmp_path / "requirements.lock").touch()
        path = tmp_path / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\necho "$@" >> calls\n{answer}\n')
        path.chmod(0o755)
        return subprocess.run(
            ["make", target, f"PYTHON={tmp_path / 'python'}"],
            cwd=tmp_path,
            env={**os.environ, "MAKEFLAGS": ""},
            capture_output=True,
            text=True,
        )

    return run


def test_what_is_installed_is_held_against_the_hashes(make, tmp_path):
    python = "mkdir -p .venv/bin; cp python .venv/bin/python 2> /dev/null || true"
    assert make(".venv/installed", "python", python).returncode == 0
    install = [x for x in (tmp_path / "calls").read_text().splitlines() if "pip install" in x]
    assert len(install) == 1
    assert "--require-hashes --requirement requirements.lock" in install[0]


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        ("echo 'No known vulnerabilities found' >&2", 0, "No known vulnerabilities found"),
        (
            "echo 'flask PYSEC-1'; echo 'Found 1 known vulnerability in 1 package' >&2; exit 1",
            2,
            "audit: Found 1 known vulnerability in 1 package",
        ),
        (
            "printf 'Traceback\\nConnectionError: no host\\n' >&2; exit 1",
            2,
            "audit: not done, PyPI does not tell of all: ConnectionError: no host",
        ),
    ],
    ids=["none", "one", "no network"],
)
def test_the_audit_says_what_it_found_or_that_it_could_not(make, tmp_path, answer, code, says):
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / "requirements.lock").touch()
    (tmp_path / ".venv/installed").touch()
    os.utime(tmp_path / ".venv/installed", (2e9, 2e9))
    done = make("audit", ".venv/bin/uvx", answer)
    assert done.returncode == code
    assert says in (done.stdout + done.stderr).splitlines()
    assert "Traceback" not in done.stdout + done.stderr
    asked = (tmp_path / "calls").read_text()
    assert "--strict" in asked  # else what could not be looked up passes
    assert "--requirement requirements.lock" in asked
