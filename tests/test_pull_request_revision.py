"""The names of revisions, in a repository without a pipeline, and the answers in its files."""

import io
import json
from types import SimpleNamespace

import pandas as pd
import pytest
from conftest import run

from ajuste.errors import PipelineError
from pull_request import revision


@pytest.fixture
def git(tmp_path):
    def call(*arguments):
        return run("git", *arguments, cwd=tmp_path).stdout.strip()

    call("init", "--quiet", "--initial-branch", "main")
    for text in ("model: gru\n", "model: lstm\n"):
        (tmp_path / "params.yaml").write_text(text)
        call("add", "--all")
        call("commit", "--quiet", "--message", text)
    return call


def keep(git, name, base, commit):
    """Store a commit as DVC stores an experiment."""
    git("update-ref", f"refs/exps/{base[:2]}/{base[2:]}/{name}", commit)


def test_a_revision_has_any_name_of_git(tmp_path, git):
    git("tag", "first", "HEAD~1")
    for name in ("first", "main~1", git("rev-parse", "HEAD~1")):
        found = revision.find(tmp_path, name)
        assert (found.commit, found.params) == (git("rev-parse", "HEAD~1"), {"model": "gru"})
        assert not found.has_pipeline


def test_an_experiment_is_found_by_its_name(tmp_path, git):
    head, old = git("rev-parse", "HEAD"), git("rev-parse", "HEAD~1")
    keep(git, "faster", "a" * 40, old)
    assert revision.find(tmp_path, "faster").commit == old
    keep(git, "faster", head, head)  # of two with one name, the one that starts from HEAD
    assert revision.find(tmp_path, "faster").commit == head
    keep(git, "even-faster", "a" * 40, old)
    assert revision.find(tmp_path, "even-faster").commit == old


@pytest.mark.parametrize("name", ["nowhere", "--all", "", "HEAD:params.yaml"])
def test_an_unknown_revision_is_reported(tmp_path, git, name):
    with pytest.raises(PipelineError, match="no such revision or experiment"):
        revision.find(tmp_path, name)


def test_an_ambiguous_experiment_is_reported(tmp_path, git):
    for base in ("a" * 40, "b" * 40):
        keep(git, "faster", base, git("rev-parse", "HEAD"))
    with pytest.raises(PipelineError, match="2 experiments have this name"):
        revision.find(tmp_path, "faster")


def test_equal_working_trees_have_one_commit(tmp_path, git, monkeypatch):
    """So that later calls find the results of the earlier ones."""
    assert revision.find(tmp_path, "workspace").commit == git("rev-parse", "HEAD")
    (tmp_path / "params.yaml").write_text("model: nn\n")
    found = revision.find(tmp_path, "workspace")
    assert found.params == {"model": "nn"}
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_DATE", "2001-01-01T00:00:00Z")
    assert found.commit == revision.find(tmp_path, "workspace").commit
    assert git("status", "--porcelain") == "M params.yaml"
    (tmp_path / "params.yaml").write_text("model: rnn\n")
    assert found.commit != revision.find(tmp_path, "workspace").commit


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"model: [\n", r"params\.yaml of workspace, line 2: not readable as YAML"),
        (b"model: \xff\n", r"params\.yaml of workspace: not UTF-8"),
    ],
)
def test_a_faulty_file_is_reported(tmp_path, git, content, message):
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(PipelineError, match=message):
        revision.find(tmp_path, "workspace")


def test_untracked_files_are_listed(tmp_path, git):
    (tmp_path / "new file.py").write_text("")
    assert revision.untracked(tmp_path) == ["new file.py"]


@pytest.mark.parametrize("groups", [None, [7, 7, 3]])
def test_the_answers_have_the_groups_of_the_reviews(groups):
    test, tables = io.BytesIO(), {"probability": [0.2, 0.8, 0.9], "slices": ["long", "", "long"]}
    pd.DataFrame({"review": list("abc"), "label": ["bad", "good", "bad"]}).to_parquet(test)
    answers = pd.DataFrame(tables | ({"group": groups} if groups else {})).to_csv(index=False)
    content = {revision.TEST: test.getvalue(), revision.PREDICTIONS: answers.encode()}
    labels = json.dumps(["bad", "good"])
    files = SimpleNamespace(read_text=lambda _: labels, read_bytes=content.__getitem__)
    found = revision._answers(files, {"task": "binary"}, {})
    assert found.targets.ravel().tolist() == [0, 1, 0]
    assert found.slices["long"].tolist() == [True, False, True]
    assert (None if found.groups is None else found.groups.tolist()) == groups
