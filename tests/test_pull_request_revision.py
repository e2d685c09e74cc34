"""The names of revisions, in a repository without a pipeline, and the answers in its files."""

import re
from dataclasses import replace

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


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("mian", "did you mean `main`? valid: workspace, main, faster, or a commit"),
        ("workspce", "did you mean `workspace`?"),
        ("fastr", "did you mean `faster`?"),
        ("main~9", "did you mean `main`?"),
    ],
)
def test_a_mistyped_revision_gets_the_right_name(tmp_path, git, name, advice):
    keep(git, "faster", "a" * 40, git("rev-parse", "HEAD"))
    with pytest.raises(PipelineError) as error:
        revision.find(tmp_path, name)
    assert advice in str(error.value)


def test_a_branch_that_only_a_remote_has_is_used_and_named(tmp_path, git, capsys):
    git("switch", "--quiet", "--create", "change")
    clone = tmp_path / "clone"
    origin = tmp_path.as_uri()
    run("git", "clone", "--quiet", "--branch", "change", origin, str(clone), cwd=tmp_path)
    assert revision.find(clone, "main").commit == git("rev-parse", "main")
    assert capsys.readouterr().out == "main: there is no such branch here, so origin/main is used\n"
    assert revision.find(clone, "main~1").commit == git("rev-parse", "main~1")
    run("git", "remote", "add", "other", origin, cwd=clone)
    run("git", "fetch", "--quiet", "other", cwd=clone)
    with pytest.raises(PipelineError, match="no such revision"):  # which remote?
        revision.find(clone, "main")


@pytest.mark.parametrize("option", ["--single-branch", "--depth=1"])
def test_the_advice_for_a_clone_that_lacks_commits_helps(tmp_path, git, option):
    git("switch", "--quiet", "--create", "change")
    clone = tmp_path / "clone"
    words = ("--quiet", option, "--branch", "change", tmp_path.as_uri(), str(clone))
    run("git", "clone", *words, cwd=tmp_path)
    with pytest.raises(PipelineError) as error:
        revision.find(clone, "main~1")
    command = re.search("`(git fetch .*?)`", str(error.value))[1]
    run("bash", "-c", command, cwd=clone)
    name = "main~1" if option == "--single-branch" else "change~1"
    assert revision.find(clone, name).commit == git("rev-parse", "main~1")


def test_revisions_with_one_lock_that_is_up_to_date_are_the_same(tmp_path, git):
    (tmp_path / "dvc.lock").write_text("stages: {}\n")
    for number in range(2):
        (tmp_path / "README.md").write_text(str(number))
        git("add", "--all")
        git("commit", "--quiet", "--message", "text")
    new, old, without = (revision.find(tmp_path, name) for name in ("main", "main~1", "main~2"))
    assert revision.is_same(old, new)
    assert revision.is_same(without, without)
    assert not revision.is_same(without, new)
    assert not revision.is_same(old, replace(new, unreproduced={"train": ["code"]}))


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
