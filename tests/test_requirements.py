"""What is installed is what was locked, and an audit of it does not pass by default."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PIN = r"([\w.-]+)(?:\[[\w,]+\])?==([\w.]+)"
LOCKS = [f"requirements{name}.lock" for name in ("", "-dev", "-serve", "-uv")]


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def names_and_versions(pins):
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins}


def locked(name):
    return names_and_versions(re.findall(rf"^{PIN} ", text(name), re.MULTILINE))


def required(name):
    lines = [line.split("#")[0].split(";")[0].strip() for line in text(name).splitlines()]
    pins = [re.fullmatch(PIN, line) for line in lines if line and not line.startswith("-r")]
    assert all(pins)
    return names_and_versions(pin.groups() for pin in pins)


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_of_a_lock_is_a_pin_or_one_of_its_hashes(name):
    digest = r"    --hash=sha256:[0-9a-f]{64}(?: \\\n|\n)"
    assert re.fullmatch(rf"(?:#.*\n|{PIN}(?: ; [^\\\n]+)? \\\n(?:{digest})+)+", text(name))


def test_what_is_required_is_pinned_and_locked_at_the_same_version():
    product, tools = locked("requirements.lock"), locked("requirements-dev.lock")
    assert len(product) > 100
    assert required("requirements.txt").items() <= product.items()
    assert product.items() <= tools.items()
    assert required("requirements-dev.txt").items() <= tools.items()
    assert locked("requirements-uv.lock").items() <= required("requirements-dev.txt").items()


def test_the_service_has_the_versions_that_the_model_was_trained_with():
    service, product = locked("requirements-serve.lock"), locked("requirements.lock")
    assert required("requirements-serve.txt").items() <= service.items()
    assert {name: service[name] for name in service.keys() & product.keys()}.items() <= (
        product.items()
    )
    assert service.items() <= locked("requirements-dev.lock").items()


def test_the_package_is_usable_elsewhere(tmp_path):
    """An installed `ajuste` and `serving` have their data, and declare what they need."""
    project = tmp_path / "project"
    for name in ("ajuste", "serving"):
        shutil.copytree(ROOT / name, project / name)
    for name in ("pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, project)
    site = tmp_path / "site"
    uv = Path(sys.executable).with_name("uv")
    command = [uv, "pip", "install", "--no-deps", "--no-build-isolation", "--target", site, project]
    python = ["--python", sys.executable]
    done = subprocess.run([*command, *python], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for path in ("ajuste/data/films.csv", "ajuste/report/plots_page.html"):
        assert (site / path).is_file()
    program = "import serving.classifier, importlib.metadata as m; print(m.requires('ajuste'))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert "keras==" in done.stdout, done.stderr
    assert str(ROOT) not in done.stdout + done.stderr


@pytest.fixture
def make(tmp_path):
    """A function that makes a target of the project, with a program that gives the answer."""

    def run(target, program, answer):
        shutil.copy(ROOT / "Makefile", tmp_path)
        for name in LOCKS:
            (tmp_path / name).touch()
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


@pytest.mark.parametrize(
    ("target", "locks"),
    [
        (".venv/installed", ["requirements-uv.lock", "requirements.lock"]),
        (
            ".venv/installed-serve",
            ["requirements-uv.lock", "requirements.lock", "requirements-serve.lock"],
        ),
        (
            ".venv/installed-dev",
            ["requirements-uv.lock", "requirements.lock", "requirements-dev.lock"],
        ),
    ],
)
def test_what_is_installed_is_checked_against_the_hashes(make, tmp_path, target, locks):
    python = "mkdir -p .venv/bin; cp python .venv/bin/python; cp python .venv/bin/uv"
    done = make(target, "python", f"{{ {python}; }} 2> /dev/null || true")
    assert done.returncode == 0, done.stderr
    calls = [call for call in (tmp_path / "calls").read_text().splitlines() if " install " in call]
    assert [call.split()[-1] for call in calls] == locks
    assert all("--require-hashes --requirement" in call for call in calls)


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
            "audit: incomplete, because PyPI did not answer for every package; run it again later: "
            "ConnectionError: no host",
        ),
    ],
    ids=["none", "one", "no network"],
)
def test_the_audit_says_what_it_found_or_that_it_could_not(make, tmp_path, answer, code, says):
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/installed").touch()
    os.utime(tmp_path / ".venv/installed", (2e9, 2e9))
    done = make("audit", ".venv/bin/uvx", answer)
    assert done.returncode == code
    assert says in (done.stdout + done.stderr).splitlines()
    assert "Traceback" not in done.stdout + done.stderr
    asked = (tmp_path / "calls").read_text()
    assert "--strict" in asked  # otherwise what could not be looked up passes
    assert "--requirement requirements-dev.lock" in asked
