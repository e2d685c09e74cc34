"""The names of revisions, in a repository without a pipeline."""

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
    """As DVC keeps an experiment."""
    git("update-ref", f"refs/exps/{base[:2]}/{base[2:]}/{name}", commit)


def test_any_name_that_git_knows(tmp_path, git):
    git("tag", "first", "HEAD~1")
    for name in ("first", "main~1", git("rev-parse", "HEAD~1")):
        found = revision.find(tmp_path, name)
        assert (found.commit, found.params) == (git("rev-parse", "HEAD~1"), {"model": "gru"})
        assert not found.has_pipeline


def test_an_experiment_is_called_by_its_name(tmp_path, git):
    head, old = git("rev-parse", "HEAD"), git("rev-parse", "HEAD~1")
    keep(git, "faster", "a" * 40, old)
    assert revision.find(tmp_path, "faster").commit == old
    keep(git, "faster", head, head)  # of two of a name, the one that began at HEAD
    assert revision.find(tmp_path, "faster").commit == head
    keep(git, "even-faster", "a" * 40, old)
    assert revision.find(tmp_path, "even-faster").commit == old


@pytest.mark.parametrize("name", ["nowhere", "--all", "", "HEAD:params.yaml"])
def test_what_is_no_revision_is_named(tmp_path, git, name):
    with pytest.raises(PipelineError, match="no such revision or experiment"):
        revision.find(tmp_path, name)


def test_experiments_of_one_name_are_not_guessed(tmp_path, git):
    for base in ("a" * 40, "b" * 40):
        keep(git, "faster", base, git("rev-parse", "HEAD"))
    with pytest.raises(PipelineError, match="2 experiments are called so"):
        revision.find(tmp_path, "faster")


def test_the_working_tree_is_one_commit_as_long_as_it_stands(tmp_path, git):
    assert revision.find(tmp_path, "workspace").commit == git("rev-parse", "HEAD")
    (tmp_path / "params.yaml").write_text("model: nn\n")
    found = revision.find(tmp_path, "workspace")
    assert found.params == {"model": "nn"}
    assert found.commit == revision.find(tmp_path, "workspace").commit
    assert git("status", "--porcelain") == "M params.yaml"
    (tmp_path / "params.yaml").write_text("model: rnn\n")
    assert found.commit != revision.find(tmp_path, "workspace").commit


def test_a_faulty_file_is_named(tmp_path, git):
    (tmp_path / "params.yaml").write_text("model: [\n")
    with pytest.raises(PipelineError, match=r"workspace: params\.yaml is not readable as YAML"):
        revision.find(tmp_path, "workspace")


def test_what_git_does_not_track_is_listed(tmp_path, git):
    (tmp_path / "new file.py").write_text("")
    assert revision.untracked(tmp_path) == ["new file.py"]
