import json
import re
import shutil

import pytest
import yaml
from conftest import commit, run

from study import compare, summary


def test_the_best_run_has_the_lowest_validation_loss_on_the_same_reviews(tmp_path):
    def trained(loss, reviews="a1", function="l"):
        scores = {"validation": {"loss": loss}, "loss_function": function}
        path = tmp_path / summary.TRAIN
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(scores))
        outs = [{"path": compare.VALIDATION, "md5": reviews}]
        lock = {"schema": "2.0", "stages": {"split": {"cmd": "split", "outs": outs}}}
        (tmp_path / "dvc.lock").write_text(yaml.safe_dump(lock))
        return scores

    run("git", "init", "--quiet", cwd=tmp_path)
    runs = {"good": (0.2,), "bad": (0.5,), "others": (0.1, "b2"), "another-loss": (0.1, "a1", "m")}
    for name, scores in runs.items():
        trained(*scores)
        commit(tmp_path, name)
        run("git", "update-ref", f"refs/exps/ab/{'c' * 38}/{name}", "HEAD", cwd=tmp_path)
    trained(0.4)
    commit(tmp_path, "now")
    assert summary.best(tmp_path).names == ["good"]
    trained(0.1)
    assert summary.best(tmp_path).names == ["workspace"]


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
    assert [line.split()[0] for line in lines[:2]] == ["training:", "validation:"]
    assert lines[3].split()[:5] == ["test", "part", "linear", "linear", "baseline"]
    assert re.fullmatch(r"accuracy( +0\.\d{3}){4} to 0\.\d{3}", lines[4])
    assert {"negative", "positive"} <= {line.split()[0] for line in lines if line}
    assert any("where the linear baseline gets" in line for line in lines)
    assert any("validation loss so far: this run (loss 0." in line for line in lines)
    assert not any("describes the training of another model" in line for line in lines)
    # after a change of the model that DVC's run cache served
    summary.MODEL.write_bytes(b"another")
    summary.main()
    expected = "note: reports/train/environment.json describes the training of another model"
    assert capsys.readouterr().out.splitlines()[-1] == expected
