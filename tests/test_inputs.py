"""A user's own files, in Git or added to DVC, and how a pull request sees them."""

import shutil

import pytest
from conftest import commit, edit, run
from dvc.repo import Repo

from ajuste.errors import PipelineError
from ajuste.repository import inputs
from pull_request import revision
from study import collect
from study import run as study_run
from study.plan import Experiment, Plan

STAGES = """\
stages:
  fetch:
    cmd: cp ${data.csv.path} raw.csv
    deps:
      - ${data.csv.path} # the reviews
    outs:
      - raw.csv
  each:
    foreach: [a, b]
    do:
      cmd: cp raw.csv ${item}.csv
      deps: [raw.csv]
      outs: ["${item}.csv"]
  constant:
    cmd: echo 1 > one.txt
    outs: [one.txt]
"""
TEXT = b"review,label\r\ngood,a\r\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A function that makes a repository with a small pipeline of a file, kept in some way."""

    def make(way="dvc add", path="reviews.csv"):
        folder = tmp_path / "project"
        folder.mkdir()
        monkeypatch.chdir(folder)
        run("git", "init", "--quiet", "--initial-branch", "main", cwd=folder)
        repo = Repo.init(str(folder))
        (folder / ".gitattributes").write_text("* -text\n")
        (folder / "params.yaml").write_text(f"seed: 1\ndata:\n  csv:\n    path: {path}\n")
        (folder / "dvc.yaml").write_text(STAGES)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if way == "import-url":
            source = tmp_path / "elsewhere.csv"
            source.write_bytes(TEXT)
            repo.imp_url(str(source), path)
        else:
            (folder / path).write_bytes(TEXT)
        if way == "dvc add":
            repo.add(path)
        if way == "dvc add folder":
            repo.add(str((folder / path).parent))
        Repo(str(folder)).reproduce()
        commit(folder, "results")
        return folder

    return make


def clone(folder, *options):
    other = folder.with_name("clone")
    run("git", *options, "clone", "--quiet", folder.as_uri(), str(other), cwd=folder)
    return other


KEPT = [
    ("git", "reviews.csv"),
    ("git", "own/data/reviews.tsv"),
    ("dvc add", "reviews.csv"),
    ("dvc add", "own/data/reviews.txt"),
    ("dvc add folder", "own/reviews.csv"),
    ("import-url", "reviews.csv"),
]


@pytest.mark.parametrize(("way", "path"), KEPT)
def test_a_file_is_up_to_date_here_and_in_a_clone(project, monkeypatch, way, path):
    folder = project(way, path)
    assert revision.find(folder, "main").unreproduced == {}
    other = clone(folder, "-c", "core.autocrlf=true")
    shutil.copytree(folder / ".dvc/cache", other / ".dvc/cache")
    monkeypatch.chdir(other)
    Repo(str(other)).checkout()
    assert (other / path).read_bytes() == TEXT
    assert revision.find(other, "main").unreproduced == {}
    assert Repo(str(other)).status() == {}


@pytest.mark.parametrize(("way", "path"), KEPT)
def test_another_file_is_out_of_date(project, way, path):
    folder = project(way, path)
    (folder / path).write_bytes(TEXT + b"bad,b\r\n")
    assert len(inputs.stale(folder)) == (way != "git")
    if way != "git":
        assert revision.find(folder, "workspace").unreproduced == {}  # the recorded version
        Repo(str(folder)).add(str((folder / path).parent) if "folder" in way else path)
        assert inputs.stale(folder) == []
    found = revision.find(folder, "workspace").unreproduced
    assert found == {"fetch": [f"{path} has changed"]}


def test_a_stage_that_is_frozen_does_not_look_at_what_it_reads(project):
    folder = project()
    edit(folder / "dvc.yaml", {"  fetch:\n": "  fetch:\n    frozen: true\n"})
    (folder / "reviews.csv").write_bytes(TEXT + b"bad,b\r\n")
    Repo(str(folder)).add("reviews.csv")
    assert revision.find(folder, "workspace").unreproduced == {}
    edit(folder / "dvc.yaml", {"cp ${data": "cp -f ${data"})
    assert revision.find(folder, "workspace").unreproduced == {"fetch": ["its command has changed"]}


def test_a_stage_that_was_never_run_is_reported(project):
    folder = project()
    edit(folder / "dvc.yaml", {"[a, b]": "[a, b, c]"})
    assert revision.find(folder, "workspace").unreproduced == {"each@c": ["was never run"]}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "own.csv",
            r"neither Git nor DVC tracks own\.csv in workspace; run `dvc add own\.csv`",
        ),
        ("../own.csv", r"\.\./own\.csv is outside of the repository; move it into it"),
        ("missing.csv", r"workspace has no file missing\.csv; correct the path"),
        ("/nowhere/own.csv", r"workspace has no file /nowhere/own\.csv; correct the path"),
    ],
)
def test_a_file_that_is_not_tracked_is_refused_at_the_start(project, path, message):
    folder = project()
    if not path.startswith(("missing", "/")):
        (folder / path).write_bytes(TEXT)
    edit(folder / "params.yaml", {"reviews.csv": path})
    head = revision.find(folder, "workspace")
    with pytest.raises(PipelineError, match=f"^`data.csv.path`: {message}"):
        inputs.demand(folder, head.commit, head.name, [head.params])


def test_a_file_that_an_experiment_names_is_refused_before_a_worker_starts(project):
    folder = project()
    (folder / "own.csv").write_bytes(TEXT)
    start = collect.base(folder)
    study = Plan("", "", False, [Experiment("own", {"data.csv.path": "own.csv"})])
    with pytest.raises(PipelineError, match=r"neither Git nor DVC tracks own\.csv in commit "):
        study_run.run(start, study, 1)
    assert not (folder / collect.FOLDER).exists()


@pytest.mark.parametrize("way", ["dvc add", "dvc add folder", "import-url"])
def test_the_version_of_a_commit_is_fetched_from_the_remote(project, monkeypatch, way):
    folder = project(way, "own/reviews.csv")
    run("dvc", "remote", "add", "--default", "storage", "../storage", cwd=folder)
    commit(folder, "remote")
    Repo(str(folder)).push()
    other = clone(folder)
    monkeypatch.chdir(other)
    head = revision.find(other, "main")
    added = inputs.demand(other, head.commit, "main", [head.params])
    inputs.fetch(other, head.commit, added)
    assert not (other / "own/reviews.csv").exists()  # the working tree does not change
    Repo(str(other)).checkout(allow_missing=True)
    assert (other / "own/reviews.csv").read_bytes() == TEXT


def test_a_file_that_nothing_has_is_named_with_the_remedy(project):
    folder = project()
    head = revision.find(folder, "main")
    added = inputs.demand(folder, head.commit, "main", [head.params])
    inputs.fetch(folder, head.commit, added)
    shutil.rmtree(folder / ".dvc/cache/files")
    with pytest.raises(PipelineError, match=r"^reviews\.csv of .* run `dvc push` where it was"):
        inputs.fetch(folder, head.commit, added)
