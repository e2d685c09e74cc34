import json
import shutil

import pytest
from conftest import commit, run

from study import summary


def test_the_best_run_is_the_one_with_the_lowest_validation_loss_on_the_same_data(
    tmp_path, monkeypatch
):
    def trained(loss, baseline=0.69):
        scores = {"validation": {"loss": loss}, "baseline_loss": baseline, "loss_function": "l"}
        path = tmp_path / summary.TRAIN
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(scores))
        return scores

    run("git", "init", "--quiet", cwd=tmp_path)
    for name, scores in {"good": (0.2,), "bad": (0.5,), "other-data": (0.1, 0.3)}.items():
        trained(*scores)
        commit(tmp_path, name)
        run("git", "update-ref", f"refs/exps/ab/cd/{name}", "HEAD", cwd=tmp_path)
    now = trained(0.4)
    commit(tmp_path, "now")
    assert summary.best(tmp_path, now)[0] == "good"
    assert summary.best(tmp_path, trained(0.1, 0.5)) is None


@pytest.mark.slow
def test_the_summary_shows_the_three_parts(reproduced, tmp_path, monkeypatch, capsys):
    for name in ("metrics", "reports", "data/model"):
        shutil.copytree(reproduced[1] / name, tmp_path / name)
    shutil.copy(reproduced[1] / "params.yaml", tmp_path)
    run("git", "init", "--quiet", cwd=tmp_path)
    (tmp_path / ".gitignore").write_text("/data/\n")
    commit(tmp_path, "results")
    monkeypatch.chdir(tmp_path)
    summary.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["gru", "linear", "majority"]
    assert [line.split()[0] for line in lines[2:5]] == ["training", "validation", "test"]
    assert "95 % interval" in lines[5]
    assert "where the linear baseline gets" in lines[7]
    assert any(line.endswith("the last commit") for line in lines)
    assert not any("describes the training of another model" in line for line in lines)
    # after a change of the model that DVC's run cache served
    summary.MODEL.write_bytes(b"another")
    summary.main()
    expected = "note: reports/train/environment.json describes the training of another model"
    assert capsys.readouterr().out.splitlines()[-1] == expected
