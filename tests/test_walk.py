"""The walk of docs/own-data.md, command by command, on 3,000 made-up product reviews."""

import json
import re

import pandas as pd
import product_reviews
import pytest
from conftest import ROOT, run

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs/own-data.md").read_text(encoding="utf-8")
WAYS = {"Git": "**In Git**", "DVC": "**With DVC**"}
# The environment of the tests is installed already.
SHELL = 'set -e; make() { command make --no-print-directory --old-file=.venv/installed "$@"; }; '
REPORT = "make pr-report BASE=main"


def commands(way: str) -> list[str]:
    """The commands of the walk in order, with one of the two ways to keep the file."""
    walk = PAGE.split("## The walk")[1].split("\n## ")[0]
    for other, mark in WAYS.items():
        if other != way:
            before, after = walk.split(mark)
            walk = before + after.split("```console", 1)[1].split("```", 1)[1]
    blocks = re.findall(r"```console\n(.*?)```", walk, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """DVC's cache of both walks, so that the second one does not train again."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", params=WAYS)
def walked(request, clone, cache):
    """The repository after the walk, and what each command printed, with its exit code."""
    folder, said = clone(), {}
    run("dvc", "config", "--local", "cache.dir", str(cache), cwd=folder)
    run("git", "branch", "--move", "main", cwd=folder)
    run("git", "init", "--quiet", "--bare", str(folder.with_name("origin")), cwd=folder)
    run("git", "remote", "add", "origin", str(folder.with_name("origin")), cwd=folder)
    (folder / "reviews.csv").write_bytes(product_reviews.text().encode())
    for command in commands(request.param):
        done = run("bash", "-c", SHELL + command, cwd=folder, check=False)
        said[command] = done.returncode, done.stdout + done.stderr
    return request.param, folder, said


def test_every_command_works(walked):
    *_, said = walked
    assert {name: out for name, (code, out) in said.items() if code and name != REPORT} == {}


def test_each_faulty_row_is_left_out_counted_and_listed(walked):
    _, folder, _ = walked
    metrics = json.loads((folder / "metrics/validate.json").read_text())
    assert metrics["dropped"] == {"total": 12, "empty": 3, "length": 1, "conflict": 8}
    assert metrics["reviews"] == product_reviews.ROWS - 12
    listed = pd.read_csv(folder / "reports/validate/dropped.csv", keep_default_na=False)
    lines = (folder / "reviews.csv").read_bytes().split(b"\r\n")
    for origin, review in listed[["origin", "review"]].itertuples(index=False):
        first = lines[int(origin.removeprefix("line ")) - 1].decode()
        assert review.split("\r\n")[0][:20].strip() in first


def test_the_experiments_are_compared_in_80_columns(walked):
    *_, said = walked
    table = said["make compare"][1].splitlines()
    assert max(map(len, table)) <= 80
    names = [line.split()[0] for line in table if line.startswith(("words", "pairs", "the last"))]
    assert sorted(names) == ["pairs", "the", "words"]


def test_the_report_says_what_changed_and_whether_the_check_passes(walked):
    _, folder, said = walked
    code, printed = said[REPORT]
    report = (folder / "reports/pull_request/report.md").read_text(encoding="utf-8")
    title = report.splitlines()[0]
    assert re.search("^## (Better|Worse|Equivalent|No difference shown)", title)
    assert ("the check fails" in title) == bool(code)
    assert "`models.linear.order`" in report
    assert "3 seeds" in report
    assert "bounds: {accuracy: 0." in report
    assert report.splitlines()[0].strip("# ") in printed


def test_a_clone_has_the_same_file(walked, tmp_path):
    way, folder, _ = walked
    if way == "DVC":
        run("dvc", "push", cwd=folder)
    there = tmp_path / "clone"
    run("git", "clone", "--quiet", "--config", "core.autocrlf=true", str(folder), str(there),
        cwd=tmp_path)  # fmt: skip
    if way == "DVC":
        run("dvc", "pull", cwd=there)
        assert "up to date" in run("dvc", "status", cwd=there).stdout
    assert (there / "reviews.csv").read_bytes() == (folder / "reviews.csv").read_bytes()
