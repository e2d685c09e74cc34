"""The report on a pull request as its workflow makes it, in a throwaway repository."""

import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dvc.api
import pandas as pd
import pytest
import yaml
from conftest import ROOT, edit, run

from pull_request import revision

pytestmark = pytest.mark.slow

WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/pull-request.yml").read_text(encoding="utf-8"))
COMPARE = next(
    step["run"] for step in WORKFLOW["jobs"]["report"]["steps"] if step.get("name") == "Compare"
)
# Two steps teach the network next to nothing, so a change that makes them more is told from chance.
FEW = "learning_rate: 0.001\n    schedule: constant\n    batch_size: 512\n    epochs: 1\n"
MANY = "learning_rate: 0.01\n    schedule: constant\n    batch_size: 64\n    epochs: 4\n"
SPLIT = "split:\n  # The key of the hash that shuffles the reviews.\n  seed: "
REPORT = "reports/pull_request/report.md"
EVALUATE = "metrics/evaluate.json"
SCORES = {"accuracy": "accuracy", "loss": "loss", "F1": "f1", "ROC AUC": "roc_auc"}
HISTORY = ("metrics/train/plots/metrics/train/loss.tsv",
           "metrics/train/plots/metrics/validation/loss.tsv")  # fmt: skip


@dataclass(frozen=True)
class Made:
    """What came of a call."""

    code: int
    printed: str
    text: str

    @property
    def first(self) -> str:
        return self.text.splitlines()[0]

    def row(self, name: str) -> list[str]:
        """The cells beside a name, in the first table that has it."""
        found = re.search(rf"^\| {re.escape(name)} \|(.*)\|$", self.text, re.MULTILINE)
        assert found, f"{name} is in no table of:\n{self.text}"
        return [cell.strip() for cell in found[1].split("|")]

    def part(self, heading: str) -> str:
        """What is below a heading, up to the next one."""
        return self.text.split(f"\n### {heading}\n")[1].split("\n### ")[0]


def numbers(cells: list[str]) -> list[float]:
    return [float(cell.replace("\N{MINUS SIGN}", "-")) for cell in cells]


def git(folder: Path, *arguments: str) -> str:
    return run("git", *arguments, cwd=folder).stdout.strip()


def state(folder: Path) -> tuple[str, ...]:
    """What a report must leave alone: the working tree, the branches, what is checked out."""
    commands = (["status", "--porcelain", "--branch"], ["branch", "--all", "--verbose"],
                ["rev-parse", "HEAD"], ["stash", "list"], ["worktree", "list"])  # fmt: skip
    return tuple(git(folder, *command) for command in commands)


def experiments(folder: Path) -> list[str]:
    return git(folder, "for-each-ref", "--format=%(refname)", "refs/exps").split()


def reproduced(folder: Path, message: str) -> None:
    """Run the pipeline and commit what comes of it."""
    run("dvc", "repro", cwd=folder)
    run("git", "add", "--all", cwd=folder)
    run("git", "commit", "--quiet", "--message", message, cwd=folder)


@pytest.fixture(scope="module")
def project(small_clone):
    """A repository in which `change` is merged into `main`, as GitHub does it to test a change.

    `HEAD` is that merge. The data are a slice of those that come with the requirements.
    """
    folder = small_clone()
    (folder / ".venv").mkdir()
    (folder / ".venv/installed").touch()  # the environment of the tests is the one to use
    git(folder, "branch", "--move", "main")
    text = (folder / "params.yaml").read_text(encoding="utf-8")
    bounds = re.search(r"(?<=  bounds:\n)(    .*\n)+", text)[0]
    edit(folder / "params.yaml", {"model: gru": "model: bow", bounds: "    accuracy: 0.3\n"})
    reproduced(folder, "results")
    git(folder, "switch", "--quiet", "--create", "change")
    edit(folder / "params.yaml", {FEW: MANY})
    reproduced(folder, "a higher learning rate for longer")
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
def report(project, tmp_path):
    """A function that compares two revisions; it checks that nothing else is touched."""

    def make(base: str, head: str, *arguments: str) -> Made:
        output = tmp_path / "report.md"
        before = state(project)
        done = run(
            *("python", "-m", "pull_request", "--base", base, "--head", head, *arguments),
            *("--output", str(output)),
            cwd=project,
            check=False,
        )
        printed = done.stdout + done.stderr
        assert "Traceback" not in printed
        assert done.returncode in (0, 1), printed
        assert state(project) == before
        return Made(done.returncode, printed, output.read_text(encoding="utf-8"))

    return make


def params(old: str, new: str) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "params.yaml", {old: new})


def as_in_the_workflow(folder: Path, seeds: int) -> Made:
    """Run the step of the workflow; with fewer seeds than there, which saves minutes."""
    script = COMPARE.replace("SEEDS=3", f"SEEDS={seeds}")
    assert script != COMPARE
    before = state(folder)
    done = run("bash", "-e", "-c", script, cwd=folder, check=False)
    assert state(folder) == before
    text = (folder / REPORT).read_text(encoding="utf-8")
    return Made(done.returncode, done.stdout + done.stderr, text)


@pytest.fixture(scope="module")
def merged(project):
    """The report on the change, by the script of the workflow."""
    assert experiments(project) == []
    made = as_in_the_workflow(project, seeds=1)
    assert experiments(project) == []
    return made


@pytest.fixture(scope="module")
def answered(project):
    """The test reviews with what is right, what the base says and what the head says."""
    test = dvc.api.read("data/split/test.parquet", str(project), rev="change", mode="rb")
    table = pd.read_parquet(io.BytesIO(test), use_threads=False)[["review", "label"]]
    for side in ("main", "change"):
        text = dvc.api.read("reports/evaluate/predictions.csv", str(project), rev=side)
        rows = pd.read_csv(io.StringIO(text))
        assert rows["actual"].tolist() == table["label"].tolist()
        table[side] = rows["predicted"]
    return table


def recorded(folder: Path, revision: str, path: str = EVALUATE) -> dict[str, Any]:
    """A file of metrics as it is committed."""
    return json.loads(git(folder, "show", f"{revision}:{path}"))


def test_the_answer_is_in_the_first_line_and_the_check_passes(project, merged):
    before, after = (recorded(project, side)["accuracy"] for side in ("main", "change"))
    assert merged.first.startswith("## Better: ")
    assert f"{before:.3f} → {after:.3f}" in merged.first
    assert merged.first.removeprefix("## ") in merged.printed
    assert (merged.code, "fails" in merged.text) == (0, False)


def test_the_counts_of_mcnemar_are_those_of_the_predictions(merged, answered):
    before, after = (answered[side] == answered["label"] for side in ("main", "change"))
    right, wrong = (after & ~before).sum(), (before & ~after).sum()
    assert right > wrong
    assert f"{right} answers were put right and {wrong} put wrong" in merged.text
    assert f"same {len(answered)} test reviews" in merged.text


def test_the_parameters_and_the_stages_that_changed_are_listed(merged):
    assert merged.part("Parameters that changed").strip().splitlines() == [
        "- `models.bow.learning_rate`: `0.001` → `0.01`",
        "- `models.bow.batch_size`: `512` → `64`",
        "- `models.bow.epochs`: `1` → `4`",
    ]
    stages = merged.part("Stages that changed").strip().splitlines()
    assert [re.match(r"- `(\w+)`", line)[1] for line in stages] == ["train", "evaluate"]
    for name in ("models.bow.learning_rate", "models.bow.batch_size", "models.bow.epochs"):
        assert name in stages[0]


def test_every_score_is_that_of_the_two_commits(project, merged):
    for name, key in SCORES.items():
        before, after = (recorded(project, side)[key] for side in ("main", "change"))
        assert numbers(merged.row(name)[:3]) == pytest.approx(
            [before, after, after - before], abs=6e-5
        )
    for part in ("train", "validation"):
        name = {"train": "training"}.get(part, part)
        for score in ("loss", "accuracy"):
            values = [
                recorded(project, side, "metrics/train/metrics.json")[part][score]
                for side in ("main", "change")
            ]
            assert numbers(merged.row(f"{name} {score}")[:2]) == pytest.approx(values, abs=6e-5)
    verdicts = [recorded(project, side)["fit"]["verdict"] for side in ("main", "change")]
    assert merged.row("fit")[:2] == verdicts


def test_the_slices_are_those_of_the_two_commits(project, merged):
    before, after = (recorded(project, side)["slices"] for side in ("main", "change"))
    table = [line.strip("|").split("|") for line in merged.part("Slices").splitlines()]
    rows = [[cell.strip() for cell in row] for row in table if row[0].strip() in after]
    assert len(rows) == 5
    for name, reviews, *scores in rows:
        assert int(reviews) == before[name]["reviews"] == after[name]["reviews"]
        accuracies = [side[name]["accuracy"] for side in (before, after)]
        assert numbers(scores[:2]) == pytest.approx(accuracies, abs=6e-5)
    moved = [abs(after[name]["accuracy"] - before[name]["accuracy"]) for name in after]
    assert abs(after[rows[0][0]]["accuracy"] - before[rows[0][0]]["accuracy"]) == max(moved)


def test_the_curves_are_those_of_the_two_commits(project, merged):
    chart = re.search(r"^```mermaid\n(.*?)\n```$", merged.text, re.MULTILINE | re.DOTALL)[1]
    lines = [numbers(line.split(", ")) for line in re.findall(r"^ *line \[(.*)\]$", chart, re.M)]
    losses = [
        pd.read_csv(io.StringIO(git(project, "show", f"{side}:{path}")), sep="\t")["loss"].tolist()
        for side in ("main", "change")
        for path in HISTORY
    ]
    assert [len(line) for line in lines] == [1, 1, 4, 4]
    for line, loss in zip(lines, losses, strict=True):
        assert line == pytest.approx(loss, rel=1e-3)


def test_a_few_reviews_that_flipped_are_shown(merged, answered):
    texts = {" ".join(row.review.split()): row for row in answered.itertuples()}
    right, wrong = merged.part("Reviews that flipped").split("**Put wrong:**")
    for part, better in ((right, True), (wrong, False)):
        shown = re.findall(
            r"^- `(\w+)` → `(\w+)` \(it is `(\w+)`\): (`+) ?(.*?)(?: …)? ?\4$", part, re.M
        )
        assert len(shown) == 3
        for before, after, label, _, text in shown:
            (row,) = (row for review, row in texts.items() if review.startswith(text))
            assert (before, after, label) == (row.main, row.change, row.label)
            assert (after == label) == better
            assert (before == label) != better


def test_the_page_beside_it_has_the_same_answer(project, merged):
    page = (project / REPORT).with_suffix(".html").read_text(encoding="utf-8")
    assert f"<title>{merged.first.removeprefix('## ')}</title>" in page
    assert page.count("<svg") == 1
    for heading in re.findall("^### (.*)", merged.text, re.MULTILINE):
        assert f"<h3>{heading}</h3>" in page


def test_nothing_is_trained_where_both_results_are_there(merged):
    told = [line for line in merged.printed.splitlines() if not line.startswith("make")]
    assert len(told) == 2, told
    assert "a run made for this report" not in merged.text


def test_with_seeds_both_sides_are_trained_once(project, merged):
    first = as_in_the_workflow(project, seeds=2)
    assert first.code == 0, first.printed
    assert re.findall(r": (.*) to be made", first.printed) == ["seed-2", "seed-2"]
    made = experiments(project)
    commits = [git(project, "rev-parse", side) for side in ("main", "HEAD")]
    assert set(made) >= {f"refs/exps/{one[:2]}/{one[2:]}/seed-2" for one in commits}
    for place, (side, one) in enumerate(zip(("main", "change"), commits, strict=True)):
        other = recorded(project, f"refs/exps/{one[:2]}/{one[2:]}/seed-2")["accuracy"]
        mean = (recorded(project, side)["accuracy"] + other) / 2
        assert numbers(first.row("accuracy")[:2])[place] == pytest.approx(mean, abs=6e-5)
    assert "trained with 2 seeds" in first.text

    second = as_in_the_workflow(project, seeds=2)
    assert "to be made" not in second.printed
    assert (second.text, experiments(project)) == (first.text, made)


def test_a_drop_that_is_more_than_chance_fails_the_check(report):
    made = report("change", "main")
    assert made.code == 1
    assert made.first.startswith("## Worse: ")
    assert made.first.endswith("the check fails")
    assert "gate.allow has no drop" in made.text


def test_a_change_of_the_readme_changes_nothing(report, commit):
    head = commit("change", lambda folder: edit(folder / "README.md", {"Ajuste": "ajuste"}))
    made = report("change", head)
    assert made.code == 0
    assert made.first.startswith("## Nothing changed")
    assert "changed\n" not in made.text.removeprefix(made.first)
    assert "mermaid" not in made.text


def test_a_base_without_results_is_run(report, commit, merged):
    def without_results(folder):
        git(folder, "rm", "-r", "--quiet", "dvc.lock", "metrics", "reports")

    made = report(commit("main", without_results), "change")
    assert made.code == 0
    assert made.first == merged.first
    assert "No results were ever committed on the base" in made.text


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
    assert "the data do not pass validation, new since the base" in made.text
    assert "`validate.min_reviews`: `100` → `5000`" in made.text
    assert "mermaid" not in made.text


def test_a_revision_that_is_not_there_is_named(report):
    made = report("no-such-branch", "change")
    assert made.code == 1
    assert "the check fails" in made.first
    assert "no-such-branch: no such revision" in made.text
    assert "no-such-branch: no such revision" in made.printed


def test_a_bound_that_is_broken_in_the_working_tree_is_named_with_how_far(project, tmp_path):
    params("accuracy: 0.3\n", "accuracy: 0.99\n")(project)
    before = state(project)
    try:
        done = run("make", "pr-report", f"OUTPUT={tmp_path}/report.md", cwd=project, check=False)
        assert state(project) == before
    finally:
        git(project, "checkout", "--quiet", "params.yaml")
    assert done.returncode != 0
    accuracy = recorded(project, "change")["accuracy"]
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    first = text.splitlines()[0]
    assert (first.startswith("## Better: "), first.endswith("the check fails")) == (True, True)
    assert "head workspace" in text
    assert f"gate.bounds.accuracy: accuracy is {accuracy:.4f}, {0.99 - accuracy:.4f} below" in text
    assert "moves the bounds of its own check" in text


def test_the_working_tree_is_one_commit_as_long_as_it_stands(project, monkeypatch):
    """So what was run on it is found again, later."""
    clean = revision.find(project, "workspace").commit
    params("seed: 1\n", "seed: 5\n")(project)
    try:
        found = set()
        for date in ("2001-01-01T00:00:00Z", "2002-01-01T00:00:00Z"):
            monkeypatch.setenv("GIT_COMMITTER_DATE", date)
            monkeypatch.setenv("GIT_AUTHOR_DATE", date)
            found.add(revision.find(project, "workspace").commit)
    finally:
        git(project, "checkout", "--quiet", "params.yaml")
    assert clean == git(project, "rev-parse", "HEAD")
    assert len(found | {clean}) == 2


def test_a_key_of_the_gate_that_is_misspelt_is_named(report, commit):
    made = report("main", commit("change", params("allow: []", "alow: []")))
    assert made.code == 1
    assert "`gate.alow` is not known; did you mean `allow`?" in made.text


def test_what_was_changed_and_not_reproduced_is_named_and_run(project, report, commit):
    """What was changed includes the split, so the two sides have other test reviews."""

    def change(folder):
        edit(folder / "params.yaml", {f"{SPLIT}1\n": f"{SPLIT}2\n", FEW: MANY})

    made = report("main", commit("main", change))
    stale = next(line for line in made.text.splitlines() if "stale" in line)
    assert "`split: split.seed has changed`" in stale
    for name in ("learning_rate", "batch_size", "epochs"):
        assert f"models.bow.{name} has changed" in stale
    assert "a run made for this report" in stale
    assert re.findall(r": (.*) to be made", made.printed) == ["seed-1"]
    first = git(project, "for-each-ref", "--format=%(refname)", "--sort=-creatordate", "refs/exps")
    scores = [recorded(project, side)["accuracy"] for side in ("main", first.splitlines()[0])]
    assert numbers(made.row("accuracy")[:2]) == pytest.approx(scores, abs=6e-5)

    assert "The test reviews are not the same on both sides (120 and 120)" in made.text
    assert "McNemar" not in made.text


def test_another_task_is_not_compared(report, commit):
    def regression(folder):
        edit(
            folder / "params.yaml",
            {
                "task: binary": "task: regression",
                "label: label\n": "label: length\n",
                "- negative\n    - positive\n": "- 1\n    - 3000\n",
                "accuracy: 0.3\n": "mean_absolute_error: 3000\n",
            },
        )

    made = report("main", commit("main", regression))
    assert made.code == 0
    assert "the two cannot be compared" in made.first
    assert "the task changed from binary to regression" in made.text


def test_results_that_are_not_to_be_had_are_made_again(project, report, merged):
    stages = yaml.safe_load(git(project, "show", "change:dvc.lock"))["stages"]
    md5 = next(
        out["md5"] for out in stages["evaluate"]["outs"] if out["path"].endswith("predictions.csv")
    )
    (project / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    made = report("main", "change")
    assert made.code == 0
    assert "What DVC keeps of this change" in made.text
    assert made.first == merged.first
