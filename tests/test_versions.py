"""Models of other versions."""

import shutil

import pytest
from conftest import run

from ajuste.errors import PipelineError
from serving import predict, versions

pytestmark = pytest.mark.slow


@pytest.fixture
def registered(tmp_path, little_model, monkeypatch):
    """A repository with version v1.0.0 of a model; in the workspace there is another one."""
    monkeypatch.chdir(tmp_path)
    little_model("binary")
    for command in ("git init --quiet", "dvc init --quiet", "dvc add --quiet data/model"):
        run(*command.split(), cwd=tmp_path)
    (tmp_path / "dvc.yaml").write_text("artifacts:\n  sentiment:\n    path: data/model\n")
    run("git", "add", "--all", cwd=tmp_path)
    run("git", "commit", "--quiet", "--message", "first", cwd=tmp_path)
    run("gto", "register", "sentiment", "--version", "v1.0.0", cwd=tmp_path)
    little_model("multiclass")
    return tmp_path


@pytest.mark.parametrize("version", ["v1.0.0", "HEAD", "sentiment@v1.0.0"])
def test_a_version_answers_and_the_workspace_stays(registered, version, capsys):
    before = (registered / "data/model/model.keras").read_bytes()
    predict.main(["--rev", version, "a good film"])
    assert capsys.readouterr().out.startswith(("positive (", "negative ("))
    predict.main(["a good film"])
    assert not capsys.readouterr().out.startswith(("positive (", "negative ("))
    assert (registered / "data/model/model.keras").read_bytes() == before


def test_a_version_that_is_not_there_is_one_line(registered):
    with pytest.raises(PipelineError, match=r"^--rev v2: no such version or revision; `gto show"):
        predict.main(["--rev", "v2", "a good film"])


def test_a_model_that_the_cache_has_lost_is_one_line(registered):
    shutil.rmtree(registered / ".dvc/cache")
    with pytest.raises(PipelineError, match="no model here") as error:
        predict.main(["--rev", "v1.0.0", "a good film"])
    assert "\n" not in str(error.value)


def test_the_temporary_folder_is_removed(registered):
    with versions.folder(registered, "v1.0.0") as folder:
        assert (folder / "model.keras").is_file()
    assert not folder.exists()
