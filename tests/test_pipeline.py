"""The pipeline as its users run it, in throwaway repositories with a part of the reviews."""

import csv
import importlib
import io
import json
import re
import shutil
from contextlib import chdir
from pathlib import Path

import pandas as pd
import pytest
from conftest import run
from dvc.utils.serialize import modify_yaml
from in_process import dvc

pytestmark = pytest.mark.slow

STAGES = [
    "fetch", "validate", "split", "tokenize", "baseline", "embed", "words", "train", "evaluate",
    "report",
]  # fmt: skip


def ran(output: str) -> list[str]:
    """The stages that DVC ran, from its output."""
    return re.findall(r"^Running stage '(\w+)'", output, flags=re.MULTILINE)


def run_stages(folder: Path) -> dict:
    """Run all stages without DVC, in this process; returns the test metrics."""
    with chdir(folder):
        for name in STAGES:
            importlib.import_module(f"stages.{name}").main()
    return json.loads((folder / "metrics/evaluate.json").read_text())


def test_reproduce_then_experiment(copy):
    again = run("dvc", "repro", cwd=copy)
    assert ran(again.stdout) == []
    assert "up to date" in again.stdout

    experiment = run("dvc", "exp", "run", "--name", "lstm", "--set-param", "model=lstm", cwd=copy)
    assert ran(experiment.stdout) == ["train", "evaluate", "report"]
    difference = json.loads(run("dvc", "metrics", "diff", "--json", cwd=copy).stdout)
    assert difference["metrics/evaluate.json"]["loss"]["diff"] != 0
    assert difference["metrics/train/metrics.json"]["parameters.trainable"]["diff"] != 0

    shown = run("dvc", "exp", "show", "--csv", cwd=copy).stdout
    rows = {row["Experiment"] or row["rev"]: row for row in csv.DictReader(io.StringIO(shown))}
    assert rows["lstm"]["model"] == "lstm"
    assert {row["fit.verdict"] for row in rows.values()} == {"undecided"}  # after one epoch
    assert "\nUndecided; " in experiment.stdout
    assert len({row["loss"] for row in rows.values()} - {""}) == 2

    # no stage depends on an option of a network that is not in use
    option = run("dvc", "exp", "run", "--set-param", "models.gru.patience=2", cwd=copy)
    assert ran(option.stdout) == []


def test_a_model_to_ship_is_trained_without_a_test_part(copy):
    experiment = run("dvc", "exp", "run", "train", "--set-param", "split.test=0", cwd=copy)
    assert ran(experiment.stdout)[-1] == "train"
    sizes = json.loads((copy / "metrics/split.json").read_text())
    assert (sizes["train"], sizes["test"]) == (1080, 0)
    said = run("python", "-m", "serving.predict", "A wonderful film.", cwd=copy).stdout
    assert re.match(r"(positive|negative) \(", said)
    refused = run("dvc", "repro", cwd=copy, check=False)
    assert "`split.test` is 0, so nothing can be scored" in refused.stdout + refused.stderr


def test_the_order_of_the_rows_changes_no_metric(copy):
    """It shows in `origin`, and in the files that list the reviews of the source, only."""
    listing = ("data/raw/", "data/validated/", "data/slice.csv", "reports/validate/")

    def made() -> dict[str, bytes | str]:
        found = {}
        paths = [path for top in ("data", "metrics", "reports") for path in (copy / top).rglob("*")]
        for path in filter(Path.is_file, paths):
            name = path.relative_to(copy).as_posix()
            if name.startswith("data/split/"):
                found[name] = pd.read_parquet(path).drop(columns="origin").to_csv()
            elif re.fullmatch(r"reports/evaluate/(predictions|errors|words)\.csv", name):
                found[name] = pd.read_csv(path).drop(columns="origin").to_csv()
            elif not name.startswith(listing):
                found[name] = path.read_bytes()
        return found

    first, lines = made(), pd.read_csv(copy / "data/slice.csv")
    lines.sample(frac=1, random_state=1).to_csv(copy / "data/slice.csv", index=False)
    # what `train` reads has the same bytes, so it does not run again
    again = run("dvc", "repro", cwd=copy)
    assert ran(again.stdout) == [
        *("fetch", "validate", "split", "tokenize", "baseline", "evaluate", "report")
    ]
    assert made() == first
    assert {"metrics/evaluate.json", "data/tokens/train.npz", "data/model/model.keras"} < set(first)
    assert {"data/split/test.parquet", "reports/evaluate/predictions.csv"} < set(first)


@pytest.mark.parametrize(
    ("task", "column", "labels", "scores"),
    [
        ("multiclass", "kind",
         ["negative long", "negative short", "positive long", "positive short"],
         {"accuracy", "macro_f1", "roc_auc"}),
        ("multilabel", "marks", ["!", "long"], {"exact_match", "micro_f1", "roc_auc"}),
        ("regression", "length", [1, 3000], {"mean_absolute_error", "r2"}),
        ("unit_regression", "length", [1, 3000], {"mean_absolute_error", "r2"}),
    ],
)  # fmt: skip
def test_every_task_goes_through_the_whole_pipeline(
    reproduced, tmp_path, task, column, labels, scores
):
    folder = shutil.copytree(reproduced[0], tmp_path / task)
    with modify_yaml(folder / "params.yaml") as params:
        params["task"] = task
        params["data"]["csv"].update(label=column, labels=labels)
    metrics = run_stages(folder)
    assert scores <= set(metrics)
    assert metrics["fit"]["verdict"] == "undecided"


def test_a_file_in_spanish_with_its_own_labels(clone):
    folder = clone()
    with modify_yaml(folder / "params.yaml") as params:
        params["data"]["source"], params["embed"]["source"] = "csv", "file"
    assert run_stages(folder)["accuracy"] > 0.8
    text = "El final es magn\u00edfico. La recomiendo."
    said = run("python", "-m", "serving.predict", text, cwd=folder).stdout
    assert said.startswith("buena (")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["model=lsmt", "split.seed=2"], "did you mean `lstm`?"),
        (["data.csv.labels=[mala,excelente]"], "`label set` failed: 1,200 of 1,200"),
        (["model=gru", "models.gru.learning_rate=1.0e+38"], "the training diverged"),
    ],
)
def test_a_wrong_parameter_is_named_and_stops_the_pipeline(copy, settings, said):
    arguments = [part for setting in settings for part in ("--set-param", setting)]
    done = run("dvc", "exp", "run", "--temp", *arguments, cwd=copy, check=False)
    assert done.returncode != 0
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert run("git", "status", "--porcelain", cwd=copy).stdout == ""


def test_the_plots_are_drawn(copy):
    dvc(copy, "plots", "show")
    page = (copy / "dvc_plots/index.html").read_text(encoding="utf-8")
    for title in (
        "Loss",
        "Accuracy",
        "ROC",
        "precision-recall",
        "calibration",
        "confusion",
        "slice",
        "reports_words_map.svg",
    ):
        assert title in page
