import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / ".github/workflows").glob("*.y*ml"))
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in FILES}
JOBS = [(file, job) for file, workflow in WORKFLOWS.items() for job in workflow["jobs"]]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([\w./-]+):", MAKEFILE, re.MULTILINE))


def steps(file):
    return [step for job in WORKFLOWS[file]["jobs"].values() for step in job["steps"]]


def scripts(file):
    return [step["run"] for step in steps(file) if "run" in step]


def script(file, name):
    return next(step["run"] for step in steps(file) if step.get("name") == name)


def test_the_workflows_are_these():
    assert set(WORKFLOWS) == {"main", "pull-request", "tests", "weekly"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_workflow_fits_the_schema_of_github(path):
    check = ["check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
    done = subprocess.run([sys.executable, "-m", *check], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_action_is_pinned_to_one_commit():
    pins = {}
    for path in FILES:
        for line in re.findall(r"uses:.*", path.read_text(encoding="utf-8")):
            pin = re.fullmatch(r"uses: ([\w-]+/[\w-]+)\S*@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)", line)
            assert pin, f"{path.name}: {line}"
            pins.setdefault(pin[1], set()).add((pin[2], pin[3]))
    assert all(len(versions) == 1 for versions in pins.values()), pins


@pytest.mark.parametrize("file", WORKFLOWS)
def test_a_workflow_may_only_read_by_default(file):
    assert WORKFLOWS[file]["permissions"] == {"contents": "read"}


def test_only_the_job_that_comments_may_write():
    granted = {
        (file, job): permissions
        for file, job in JOBS
        if (permissions := WORKFLOWS[file]["jobs"][job].get("permissions"))
    }
    allowed = {"contents": "read", "pull-requests": "write"}
    assert granted == {("pull-request", "comment"): allowed}


@pytest.mark.parametrize(("file", "job"), JOBS)
def test_a_job_has_a_time_limit(file, job):
    asked = WORKFLOWS[file]["jobs"][job]
    assert asked["timeout-minutes"] <= 90
    for step in asked["steps"]:
        assert step.get("timeout-minutes", 0) < asked["timeout-minutes"]


@pytest.mark.parametrize("file", WORKFLOWS)
def test_a_branch_has_one_run_at_a_time(file):
    assert "github.ref" in WORKFLOWS[file]["concurrency"]["group"]


@pytest.mark.parametrize("file", WORKFLOWS)
def test_no_expression_is_inside_a_script(file):
    """A branch may have the name `$(command)`, so scripts read values of GitHub from variables."""
    assert not [text for text in scripts(file) if "${{" in text]


@pytest.mark.parametrize("file", WORKFLOWS)
def test_tokens_are_in_no_checkout_and_only_in_single_steps(file):
    for step in steps(file):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
    for job in WORKFLOWS[file]["jobs"].values():
        outside = {name: part for name, part in job.items() if name != "steps"}
        assert not re.search(r"secrets\.|github\.token", str(outside))


@pytest.mark.parametrize("file", WORKFLOWS)
def test_each_make_target_of_a_script_exists(file):
    made = [name for text in scripts(file) for name in re.findall(r"\bmake ([\w./-]+)", text)]
    for job in WORKFLOWS[file]["jobs"].values():
        made += job.get("strategy", {}).get("matrix", {}).get("target", [])
    assert made
    assert set(made) <= TARGETS


def test_a_pull_request_restores_the_cache_of_main_and_its_own():
    key = {}
    for file in ("main", "pull-request"):
        for step in steps(file):
            if "actions/cache/save@" in step.get("uses", ""):
                assert step["if"] == "always()"
                key[file] = step["with"]["key"]
    found = [
        step["with"]["restore-keys"]
        for step in steps("pull-request")
        if "actions/cache/restore@" in step.get("uses", "")
    ]
    assert key["main"].startswith(found[0])
    assert key["pull-request"].startswith(found[1])
    assert not key["pull-request"].startswith(found[0])
    cached = [
        step["with"]["path"]
        for file in key
        for step in steps(file)
        if "actions/cache/" in step.get("uses", "")
    ]
    assert cached == [".dvc/cache"] * 5


@pytest.fixture
def shell(tmp_path):
    """A function that runs a script as a job does, with a fake `dvc`."""

    def run(text, dvc="exit 1"):
        bin_folder = tmp_path / "bin"
        bin_folder.mkdir()
        for name, answer in {"dvc": dvc, "git": ":"}.items():
            logged = f'#!/bin/bash\necho "{name} $*" >> {tmp_path}/calls\n{answer}\n'
            (bin_folder / name).write_text(logged)
            (bin_folder / name).chmod(0o755)
        (tmp_path / "script").write_text(text)
        variables = {
            "GITHUB_SHA": "abc",
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
            "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_REPOSITORY": "owner/name",
            "GITHUB_RUN_ID": "5",
            "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        }
        done = subprocess.run(
            ["bash", "-e", "script"],
            cwd=tmp_path,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
        )
        calls = tmp_path / "calls"
        return done, calls.read_text().splitlines() if calls.exists() else []

    return run


FETCH = "Fetch from the DVC remote, if there is one"
PUSH = "Push to the DVC remote, if there is one"
NO_REMOTE = "exit 0"
REMOTE = "echo storage s3://bucket"  # every command succeeds
BROKEN = '[ "$1" = remote ] && echo storage s3://bucket'


@pytest.mark.parametrize(
    ("file", "name", "command"),
    [("main", FETCH, "fetch"), ("pull-request", FETCH, "fetch"), ("main", PUSH, "push")],
)
@pytest.mark.parametrize("dvc", [NO_REMOTE, REMOTE, BROKEN], ids=["none", "one", "out of reach"])
def test_a_remote_is_optional_and_never_stops_a_job(shell, file, name, command, dvc):
    done, calls = shell(script(file, name), dvc)
    assert done.returncode == 0
    assert (f"dvc {command}" in calls) == (dvc != NO_REMOTE)
    assert ("::warning::" in done.stdout) == (dvc == BROKEN)


def test_both_revisions_are_fetched_and_the_merge_stays_checked_out(shell):
    done, calls = shell(script("pull-request", FETCH), REMOTE)
    assert done.returncode == 0
    assert [call for call in calls if not call.startswith("dvc remote")] == [
        "git checkout --quiet abc^1",
        "dvc fetch",
        "git checkout --quiet abc",
        "dvc fetch",
    ]


STATUS = "Check that dvc.lock is up to date"


@pytest.mark.parametrize(
    ("line", "stale"),
    [
        ("modified:           seed", True),
        ("new:                params.yaml", True),
        ("changed command", True),
        ("not in cache:       data/model", False),
        ("deleted:            data/split/test.parquet", False),
        ("Data and pipelines are up to date.", False),
    ],
)
def test_an_outdated_lock_gives_a_warning_and_missing_outputs_do_not(shell, line, stale):
    done, _ = shell(script("main", STATUS), f"echo '{line}'")
    assert done.returncode == 0
    assert ("::warning::" in done.stdout) == stale


SUMMARY = "Show the report in the summary"


def test_the_summary_has_the_report(shell, tmp_path):
    report = tmp_path / "reports/pull_request/report.md"
    report.parent.mkdir(parents=True)
    report.write_text("# Report\n")
    assert shell(script("pull-request", SUMMARY))[0].returncode == 0
    assert (tmp_path / "summary").read_text() == report.read_text() == "# Report\n"


def test_without_a_report_the_summary_and_the_comment_say_so(shell, tmp_path):
    assert shell(script("pull-request", SUMMARY))[0].returncode == 0
    said = (tmp_path / "summary").read_text()
    assert said.startswith("There is no report")
    assert "(https://github.example/owner/name/actions/runs/5)" in said
    assert (tmp_path / "reports/pull_request/report.md").read_text() == said
