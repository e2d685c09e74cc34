"""The report on a pull request, as its workflow writes it, in a throwaway repository."""

import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dvc.api
import pandas as pd
import pytest
import yaml
from conftest import ROOT, edit, run

from ajuste.errors import PipelineError
from pull_request import __main__ as command_line
from pull_request.revision import CURVE, EVALUATE, TRAIN

pytestmark = pytest.mark.slow

WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/pull-request.yml").read_text(encoding="utf-8"))
COMPARE = next(
    step["run"] for step in WORKFLOW["jobs"]["report"]["steps"] if step.get("name") == "Compare"
)
# Two steps train almost nothing, so more steps make a significant difference.
FEW = "learning_rate: 0.001\n    schedule: constant\n    batch_size: 512\n    epochs: 1\n"
MANY = "learning_rate: 0.01\n    schedule: constant\n    batch_size: 64\n    epochs: 4\n"
NO_REFERENCE = "  reference:\n"  # null, as DVC and the fixtures write it
REPORT = "reports/pull_request/report.md"
CHANGED = ("learning_rate", "batch_size", "epochs")
SCORES = {"accuracy": "accuracy", "loss": "loss", "F1": "f1", "ROC AUC": "roc_auc"}


@dataclass(frozen=True)
class Made:
    """The outcome of a call."""

    code: int
    printed: str
    text: str

    @property
    def first(self) -> str:
        return self.text.splitlines()[0]

    def row(self, name: str) -> list[str]:
        """The cells of a row, in the first table that has it."""
        found = re.search(rf"^\| {re.escape(name)} \|(.*)\|$", self.text, re.MULTILINE)
        assert found, f"{name} is in no table of:\n{self.text}"
        return [cell.strip() for cell in found[1].split("|")]

    def part(self, heading: str) -> str:
        """The text below a heading, up to the next one."""
        return self.text.split(f"\n### {heading}\n")[1].split("\n### ")[0]


def numbers(cells: list[str]) -> list[float]:
    return [float(cell.replace("\N{MINUS SIGN}", "-")) for cell in cells]


def git(folder: Path, *arguments: str) -> str:
    return run("git", *arguments, cwd=folder).stdout.strip()


def state(folder: Path) -> tuple[str, ...]:
    """What a report must not change: the working tree, the branches, the checkout."""
    commands = (["status", "--porcelain", "--branch"], ["branch", "--all", "--verbose"],
                ["rev-parse", "HEAD"], ["stash", "list"], ["worktree", "list"])  # fmt: skip
    return tuple(git(folder, *command) for command in commands)


def experiments(folder: Path) -> list[str]:
    return git(folder, "for-each-ref", "--format=%(refname)", "refs/exps").split()


def reproduce(folder: Path, message: str) -> None:
    """Run the pipeline and commit its results."""
    run("dvc", "repro", cwd=folder)
    run("git", "add", "--all", cwd=folder)
    run("git", "commit", "--quiet", "--message", message, cwd=folder)


@pytest.fixture(scope="module")
def project(reproduced, tmp_path_factory):
    """A repository in which `change` is merged into `main`, as GitHub does it to test a change.

    `HEAD` is that merge.
    """
    folder = tmp_path_factory.mktemp("pull_request") / "project"
    shutil.copytree(reproduced[1], folder, symlinks=True)
    (folder / ".venv").mkdir()
    (folder / ".venv/installed").touch()  # so that `make` uses the environment of the tests
    git(folder, "branch", "--move", "main")
    text = (folder / "params.yaml").read_text(encoding="utf-8")
    bounds = re.search(r"(?<=  bounds:\n)(    .*\n)+", text)[0]
    edit(folder / "params.yaml", {"\nmodel: linear": "\nmodel: bow", bounds: "    accuracy: 0.3\n"})
    reproduce(folder, "results")
    git(folder, "switch", "--quiet", "--create", "change")
    edit(folder / "params.yaml", {FEW: MANY})
    reproduce(folder, "a higher learning rate for longer")
    git(folder, "switch", "--quiet", "--detach", "main")
    git(folder, "merge", "--quiet", "--no-ff", "--message", "Merge change into main", "change")
    return folder


@pytest.fixture
def commit(project, tmp_path):
    """A function that commits a change to a revision, beside the working tree."""

    def make(parent: str, change: Callable[[Path], None]) -> str:
        folder = tmp_path / "worktree"
        git(project, "worktree", "add", "--quiet", "--detach", str(folder), parent)
        change(folder)
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", "a change")
        made = git(folder, "rev-parse", "HEAD")
        git(project, "worktree", "remove", str(folder))
        return made

    return make


@pytest.fixture
def report(project, tmp_path, monkeypatch, capsys):
    """A function that compares two revisions and checks that nothing else changes."""

    def call(base: str, head: str = "workspace") -> Made:
        output = tmp_path / "report.md"
        before = state(project)
        monkeypatch.chdir(project)
        words = ["--base", base, "--head", head, "--seeds", "1", "--output", str(output)]
        monkeypatch.setattr(sys, "argv", ["pull_request", *words])
        with pytest.raises((SystemExit, PipelineError)) as end:
            command_line.main()
        assert state(project) == before
        printed = capsys.readouterr().out
        return Made(getattr(end.value, "code", 1), printed, output.read_text(encoding="utf-8"))

    return call


def params(old: str, new: str) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "params.yaml", {old: new})


def as_in_the_workflow(folder: Path, more: str = "") -> Made:
    """Run the step of the workflow."""
    script = f"{COMPARE.rstrip()} {more}"
    before = state(folder)
    done = run("bash", "-e", "-c", script, cwd=folder, check=False)
    assert state(folder) == before
    text = (folder / REPORT).read_text(encoding="utf-8")
    return Made(done.returncode, done.stdout + done.stderr, text)


@pytest.fixture(scope="module")
def merged(project):
    """The report on the change, written by the script of the workflow."""
    assert experiments(project) == []
    made = as_in_the_workflow(project, "SEEDS=1")
    assert experiments(project) == []
    return made


@pytest.fixture(scope="module")
def answered(project):
    """The test reviews with their labels and the answers of both sides."""
    test = dvc.api.read("data/split/test.parquet", str(project), rev="change", mode="rb")
    table = pd.read_parquet(io.BytesIO(test), use_threads=False)[["review", "label"]]
    for side in ("main", "change"):
        text = dvc.api.read("reports/evaluate/predictions.csv", str(project), rev=side)
        rows = pd.read_csv(io.StringIO(text))
        assert rows["actual"].tolist() == table["label"].tolist()
        table[side] = rows["predicted"]
    return table


def recorded(folder: Path, revision: str, path: str = EVALUATE) -> dict[str, Any]:
    """A committed metrics file."""
    return json.loads(git(folder, "show", f"{revision}:{path}"))


def test_the_answer_to_one_training_a_side_is_in_the_first_line(project, merged):
    before, after = (recorded(project, side)["accuracy"] for side in ("main", "change"))
    assert merged.first.startswith("## Not judged, because each side was trained once: ")
    assert merged.first.endswith("; the check fails for lack of evidence")
    assert f"{before:.3f} → {after:.3f}" in merged.first
    assert merged.first.removeprefix("## ") in merged.printed
    page = (project / REPORT).with_suffix(".html").read_text(encoding="utf-8")
    assert f"<title>{merged.first.removeprefix('## ')}</title>" in page
    assert merged.code != 0


def test_the_changed_predictions_are_counted(merged, answered):
    before, after = (answered[side] == answered["label"] for side in ("main", "change"))
    right, wrong = (after & ~before).sum(), (before & ~after).sum()
    assert right > wrong
    assert f"{right} answers are now correct and {wrong} are now wrong" in merged.text
    assert f"same {len(answered)} test reviews" in merged.text


def test_the_changed_parameters_and_stages_are_listed(merged):
    assert "- `models.bow.batch_size`: `512` → `64`\n" in merged.part("Changed parameters")
    stages = re.findall(r"- `(\w+)`: `(.*)`", merged.part("Changed stages"))
    assert [name for name, _ in stages] == ["train", "evaluate", "report"]
    assert stages[0][1] == ", ".join(f"models.bow.{key}" for key in CHANGED)


def test_every_score_is_that_of_the_two_commits(project, merged):
    old, new = (recorded(project, side) for side in ("main", "change"))
    for name, key in SCORES.items():
        expected = [old[key], new[key], new[key] - old[key]]
        assert numbers(merged.row(name)[:3]) == pytest.approx(expected, abs=6e-5)
    assert merged.row("fit")[:2] == [side["fit"]["verdict"] for side in (old, new)]
    old, new = (recorded(project, side, TRAIN) for side in ("main", "change"))
    for part, name in (("train", "training"), ("validation", "validation")):
        for score in ("loss", "accuracy"):
            expected = [old[part][score], new[part][score]]
            assert numbers(merged.row(f"{name} {score}")[:2]) == pytest.approx(expected, abs=6e-5)


def test_the_slices_are_those_of_the_two_commits(project, merged):
    before, after = (recorded(project, side)["slices"] for side in ("main", "change"))
    table = [line.strip("|").split("|") for line in merged.part("Slices").splitlines()]
    rows = [[cell.strip() for cell in row] for row in table if row[0].strip() in after]
    assert len(rows) == 5
    for name, reviews, *scores in rows:
        assert int(reviews) == before[name]["reviews"] == after[name]["reviews"]
        accuracies = [side[name]["accuracy"] for side in (before, after)]
        assert numbers(scores[:2]) == pytest.approx(accuracies, abs=6e-5)


def test_the_curves_are_those_of_the_two_commits(project, merged):
    chart = re.search(r"^```mermaid\n(.*?)\n```$", merged.text, re.MULTILINE | re.DOTALL)[1]
    lines = [numbers(line.split(", ")) for line in re.findall(r"^ *line \[(.*)\]$", chart, re.M)]
    losses = [
        pd.read_csv(
            io.StringIO(git(project, "show", f"{side}:{CURVE.format(part=part)}")), sep="\t"
        )
        for side in ("main", "change")
        for part in ("train", "validation")
    ]
    assert [len(line) for line in lines] == [1, 1, 4, 4]
    for line, loss in zip(lines, losses, strict=True):
        assert line == pytest.approx(loss["loss"].tolist(), rel=1e-3)


def test_some_reviews_with_a_different_answer_are_shown(merged, answered):
    texts = {" ".join(row.review.split()): row for row in answered.itertuples()}
    right, wrong = merged.part("Reviews with a different answer").split("**Now wrong:**")
    for part, better in ((right, True), (wrong, False)):
        shown = re.findall(
            r"^- `(\w+)` → `(\w+)` \(correct: `(\w+)`\): (`+) ?(.*?)(?: …)? ?\4$", part, re.M
        )
        assert len(shown) == 3
        for before, after, label, _, text in shown:
            (row,) = (row for review, row in texts.items() if review.startswith(text))
            assert (before, after, label) == (row.main, row.change, row.label)
            assert (after == label) == better
            assert (before == label) != better


def test_nothing_is_trained_if_both_commits_have_results(merged):
    printed = [line for line in merged.printed.splitlines() if not line.startswith("make")]
    assert len(printed) == 3, printed  # the answer, why the check fails, the report
    assert "from a run for this report" not in merged.text


def test_with_seeds_both_sides_are_trained_once(project, merged):
    first = as_in_the_workflow(project)
    assert first.code == 0, first.printed
    assert first.first.startswith("## Better: ")
    assert "fails" not in first.text
    assert re.findall(": training (.*)", first.printed) == ["seed-2, seed-3"] * 2
    made = experiments(project)
    commits = [git(project, "rev-parse", side) for side in ("main", "HEAD")]
    for place, (side, one) in enumerate(zip(("main", "change"), commits, strict=True)):
        others = [f"refs/exps/{one[:2]}/{one[2:]}/seed-{seed}" for seed in (2, 3)]
        assert set(others) <= set(made)
        mean = sum(recorded(project, each)["accuracy"] for each in (side, *others)) / 3
        assert numbers(first.row("accuracy")[:2])[place] == pytest.approx(mean, abs=6e-5)
    assert "trained with 3 seeds" in first.text

    second = as_in_the_workflow(project)
    assert "training" not in second.printed
    assert (second.text, experiments(project)) == (first.text, made)


def test_a_base_without_results_is_run(report, commit, merged):
    def without_results(folder):
        git(folder, "rm", "-r", "--quiet", "dvc.lock", "metrics", "reports")

    made = report(commit("main", without_results), "change")
    assert made.first == merged.first
    assert "No results are committed on the base" in made.text


def test_the_first_pull_request_has_nothing_to_compare_with(project, report, commit, merged):
    def all_but_readme(folder):
        git(folder, "rm", "-r", "--quiet", "--", ".", ":!README.md")

    tree = git(project, "rev-parse", commit("main", all_but_readme) + "^{tree}")
    made = report(git(project, "commit-tree", tree, "-m", "a start"), "change")
    assert made.code == 0
    assert "no results on the base" in made.first
    assert "There is no pipeline on the base" in made.text
    assert made.row("loss")[:2] == ["—", merged.row("loss")[1]]


def test_data_that_fail_validation_fail_the_check(report, commit):
    made = report("main", commit("change", params("min_reviews: 100\n", "min_reviews: 5000\n")))
    assert made.code == 1
    assert made.first == "## The data fail validation; the check fails"
    assert "the data do not pass validation, but the data of the base do" in made.text
    assert "`validate.min_reviews`: `100` → `5000`" in made.text
    assert "mermaid" not in made.text


def test_an_unknown_revision_fails_the_check(report):
    made = report("no-such-branch", "change")
    assert made.code == 1
    assert "the check fails" in made.first
    assert "no-such-branch: no such revision" in made.text


def test_the_head_is_compared_with_the_reference_too(report, commit):
    head = commit("change", params(NO_REFERENCE, "  reference: main\n"))
    made = report("change", head)
    assert made.first.startswith("## Nothing changed: ")
    assert "Against the reference `main`: not judged" in made.text
    assert "accuracy is no worse than on the reference, within 1 point; train 3" in made.text
    assert "no worse than on the base" not in made.text
    assert made.code == 1


def test_an_unknown_reference_fails_the_check(report, commit):
    made = report("main", commit("change", params(NO_REFERENCE, "  reference: v9\n")))
    assert made.code == 1
    assert "`gate.reference`: v9: no such revision" in made.text
    assert "training" not in made.printed


def test_a_bound_that_the_working_tree_breaks_is_reported(project, report):
    params("accuracy: 0.3\n", "accuracy: 0.99\n")(project)
    try:
        made = report("main")
    finally:
        git(project, "checkout", "--quiet", "params.yaml")
    assert made.code == 1
    accuracy = recorded(project, "change")["accuracy"]
    assert made.first.startswith("## Not judged")
    assert made.first.endswith("the check fails")
    assert "head workspace" in made.text
    assert f"accuracy is {accuracy:.4f}, {0.99 - accuracy:.4f} below the minimum" in made.text
    assert "changes the bounds of its check" in made.text


def test_a_change_that_was_not_reproduced_is_run(report, commit, merged):
    made = report("main", commit("main", params(FEW, MANY)))
    line = next(line for line in made.text.splitlines() if "out of date" in line)
    for name in CHANGED:
        assert f"models.bow.{name} has changed" in line
    assert "from a run for this report" in line
    assert re.findall(": training (.*)", made.printed) == ["seed-1"]
    assert made.first == merged.first


def test_outputs_that_are_not_in_the_cache_are_made_again(project, report, merged):
    stages = yaml.safe_load(git(project, "show", "change:dvc.lock"))["stages"]
    md5 = next(
        out["md5"] for out in stages["evaluate"]["outs"] if out["path"].endswith("predictions.csv")
    )
    (project / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    made = report("main", "change")
    assert re.search("The outputs of this change .* were not in the DVC cache", made.text)
    assert made.first == merged.first
