"""The pipeline as its users run it, in throwaway repositories."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import run
from sklearn.feature_extraction.text import HashingVectorizer

from ajuste.data.text import text_key

pytestmark = pytest.mark.slow


def ran(output: str) -> list[str]:
    """The stages that DVC ran, by what it says."""
    return re.findall(r"^Running stage '(\w+)'", output, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def small(small_clone):
    return small_clone()


def test_reproduce_then_experiment(small):
    first = run("dvc", "repro", cwd=small)
    stages = ["fetch", "validate", "split", "tokenize", "embed", "words", "train", "evaluate"]
    assert ran(first.stdout) == stages
    again = run("dvc", "repro", cwd=small)
    assert ran(again.stdout) == []
    assert "up to date" in again.stdout
    run("git", "add", "--all", cwd=small)
    run("git", "commit", "--quiet", "--message", "results", cwd=small)

    experiment = run("dvc", "exp", "run", "--name", "lstm", "--set-param", "model=lstm", cwd=small)
    assert ran(experiment.stdout) == ["train", "evaluate"]
    difference = json.loads(run("dvc", "metrics", "diff", "--json", cwd=small).stdout)
    assert difference["metrics/evaluate.json"]["loss"]["diff"] != 0
    assert difference["metrics/train/metrics.json"]["parameters.trainable"]["diff"] > 80_000

    shown = run("dvc", "exp", "show", "--only-changed", "--csv", cwd=small).stdout
    rows = {row["Experiment"] or row["rev"]: row for row in csv.DictReader(io.StringIO(shown))}
    assert {"lstm"} < set(rows)
    assert rows["lstm"]["model"] == "lstm"
    everything = run("dvc", "exp", "show", "--csv", cwd=small).stdout
    verdicts = {row["fit.verdict"] for row in csv.DictReader(io.StringIO(everything))}
    assert verdicts == {"undecided"}  # of a single epoch
    assert "\nfit: undecided: " in experiment.stdout
    assert len({row["loss"] for row in rows.values()} - {""}) == 2

    # an option of a network that is not in use concerns nobody
    option = run("dvc", "exp", "run", "--set-param", "models.gru.patience=2", cwd=small)
    assert ran(option.stdout) == []


def test_the_order_of_the_rows_changes_no_metric(small_clone):
    """It shows in `origin`, and in what lists the reviews of the source: nowhere else."""
    folder = small_clone()
    listing = ("data/raw/", "data/slice.csv", "reports/validate/")

    def made() -> dict[str, bytes | str]:
        found = {}
        paths = [
            path for top in ("data", "metrics", "reports") for path in (folder / top).rglob("*")
        ]
        for path in filter(Path.is_file, paths):
            name = path.relative_to(folder).as_posix()
            if name.startswith("data/split/"):
                found[name] = pd.read_parquet(path).drop(columns="origin").to_csv()
            elif name == "reports/evaluate/predictions.csv":
                found[name] = pd.read_csv(path).drop(columns="origin").to_csv()
            else:
                found[name] = path.read_bytes()
        return {name: held for name, held in found.items() if not name.startswith(listing)}

    run("dvc", "repro", cwd=folder)
    first, lines = made(), pd.read_csv(folder / "data/slice.csv")
    lines.sample(frac=1, random_state=1).to_csv(folder / "data/slice.csv", index=False)
    # what training reads is the same, byte for byte, so it is not run again
    again = run("dvc", "repro", cwd=folder)
    assert ran(again.stdout) == ["fetch", "validate", "split", "tokenize", "evaluate"]
    assert made() == first
    assert {"metrics/evaluate.json", "data/tokens/train.npz", "data/model/model.keras"} < set(first)
    assert {"data/split/test.parquet", "reports/evaluate/predictions.csv"} < set(first)


@pytest.mark.parametrize(
    ("task", "column", "labels", "scores"),
    [
        ("multiclass", "kind", "[negative long,negative short,positive long,positive short]",
         {"accuracy", "macro_f1", "roc_auc"}),
        ("multilabel", "marks", "['!',long]", {"exact_match", "micro_f1", "roc_auc"}),
        ("regression", "length", "[1,3000]", {"mean_absolute_error", "r2"}),
        ("unit_regression", "length", "[1,3000]", {"mean_absolute_error", "r2"}),
    ],
)  # fmt: skip
def test_every_task_goes_through_the_whole_pipeline(small, task, column, labels, scores):
    settings = [f"task={task}", f"data.csv.label={column}", f"data.csv.labels={labels}"]
    arguments = [part for setting in settings for part in ("--set-param", setting)]
    run("dvc", "exp", "run", "--temp", "--name", task, *arguments, cwd=small)
    committed = run("git", "rev-parse", "HEAD", cwd=small).stdout.strip()
    reference = f"refs/exps/{committed[:2]}/{committed[2:]}/{task}"
    text = run("git", "show", f"{reference}:metrics/evaluate.json", cwd=small).stdout
    assert scores <= set(json.loads(text))
    assert json.loads(text)["fit"]["verdict"] == "undecided"


def test_a_file_in_spanish_with_its_own_labels(clone):
    folder = clone()
    done = run(
        "dvc", "exp", "run", "--set-param", "data.source=csv", "--set-param", "embed.source=file",
        cwd=folder,
    )  # fmt: skip
    assert ran(done.stdout)[-1] == "evaluate"
    assert json.loads((folder / "metrics/evaluate.json").read_text())["accuracy"] > 0.8
    said = run(
        "python", "-m", "serving.predict", "El final es magn\u00edfico. La recomiendo.", cwd=folder
    )
    assert said.stdout.startswith("buena (")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["model=lsmt", "split.seed=2"], "`model` is 'lsmt'; did you mean `lstm`? valid: nn,"),
        (
            ["+models.gru.unit=64", "split.seed=-1"],
            ": params.yaml: 2 faults\n"
            "  `split.seed`: input should be greater than or equal to 0, not -1\n"
            "  `models.gru.unit` is not known; did you mean `units`?\n",
        ),
        (["data.source=kaggle"], "should be 'bundled', 'stanford' or 'csv', not 'kaggle'"),
        (["data.source=csv", "data.csv.label=stars"], "no column `stars`"),
        (
            ["data.source=csv", "data.csv.labels=[mala,excelente]"],
            "`label set` failed: 1,200 of 1,200",
        ),
        (["embed.source=file", "embed.file.width=50"], "line 1: 20 numbers after the word"),
        (["embed.bundled.sha256=" + "0" * 64], "SHA-256"),
        (["model=gru", "+models.gru.loss=hinge"], "valid for `task: binary`: binary_crossentropy"),
        (["task=stars"], "should be 'binary', 'multiclass', 'multilabel'"),
        (["model=gru", "models.gru.learning_rate=1.0e+38"], "training has diverged"),
    ],
)
def test_a_wrong_parameter_is_named_and_stops_the_pipeline(small, settings, said):
    before = run("git", "status", "--porcelain", cwd=small).stdout
    arguments = [part for setting in settings for part in ("--set-param", setting)]
    done = run("dvc", "exp", "run", "--temp", *arguments, cwd=small, check=False)
    assert done.returncode != 0
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert run("git", "status", "--porcelain", cwd=small).stdout == before


def test_what_is_committed_is_what_comes_out(finished):
    """All but the training, whose last digits depend on the processor."""
    changed = run("git", "diff", "--name-only", cwd=finished).stdout.split()
    trained = (
        "dvc.lock",
        "metrics/evaluate.json",
        "metrics/train/",
        "reports/evaluate/",
        "reports/train/",
    )
    assert not [name for name in changed if not name.startswith(trained)]
    assert run("git", "ls-files", "--others", "--exclude-standard", cwd=finished).stdout == ""
    committed = yaml.safe_load(run("git", "show", "HEAD:dvc.lock", cwd=finished).stdout)["stages"]
    came_out = yaml.safe_load((finished / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    for stage in ("fetch", "validate", "split", "tokenize", "embed", "words"):
        assert came_out[stage] == committed[stage]


def alike_across(one: pd.Series, other: pd.Series) -> list[tuple[str, str]]:
    """The near-duplicates (see `ajuste.data.duplicates`) among the pairs of texts, one of each.

    Found by the plainest way there is, which has but the definition in common with the split's.
    """
    hashed = HashingVectorizer(
        preprocessor=text_key, tokenizer=str.split, token_pattern=None, ngram_range=(5, 5),
        n_features=2**24, binary=True, norm=None, alternate_sign=False,
    )  # fmt: skip
    left, right = hashed.transform(one), hashed.transform(other)
    sizes = [np.asarray(runs.sum(axis=1)).ravel() for runs in (left, right)]
    found = []
    for start in range(0, len(one), 500):
        shared = (left[start : start + 500] @ right.T).tocoo()
        shorter = np.minimum(sizes[0][start + shared.row], sizes[1][shared.col])
        near = shared.data >= np.maximum(10, 0.3 * shorter)
        found += [
            (one.iloc[start + row], other.iloc[column])
            for row, column in zip(shared.row[near], shared.col[near], strict=True)
        ]
    return found


def test_no_review_and_no_copy_or_near_duplicate_of_one_stands_in_two_parts(finished):
    reviews = {
        name: pd.read_parquet(finished / f"data/split/{name}.parquet")["review"]
        for name in ("train", "validation", "test")
    }
    for one, other in (("validation", "train"), ("test", "train"), ("test", "validation")):
        assert not set(reviews[one].map(text_key)) & set(reviews[other].map(text_key))
        assert alike_across(reviews[one], reviews[other]) == []
    for planted in (reviews["train"][0].replace("the", "a", 1), reviews["train"][0][:300]):
        found = alike_across(pd.Series([planted]), reviews["train"][:100])
        assert found == [(planted, reviews["train"][0])]


def test_every_bundled_review_is_in_one_part(finished):
    parts = [
        pd.read_parquet(finished / f"data/split/{name}.parquet")
        for name in ("train", "validation", "test")
    ]
    assert [len(part) for part in parts] == [20_000, 2_500, 2_500]
    assert pd.concat(parts)["origin"].nunique() == 25_000
    for part in parts:
        assert part["label"].value_counts(normalize=True).to_dict() == {
            "negative": 0.5,
            "positive": 0.5,
        }


def test_tokens_and_matrix_fit_together(finished):
    matrix = np.load(finished / "data/embedding/matrix.npy", allow_pickle=False)
    vocabulary = (finished / "data/tokens/vocabulary.tsv").read_text(encoding="utf-8").splitlines()
    assert matrix.shape == (len(vocabulary), 50)
    assert not matrix[:2].any()
    for part, count in (("train", 20_000), ("validation", 2_500), ("test", 2_500)):
        with np.load(finished / f"data/tokens/{part}.npz", allow_pickle=False) as arrays:
            token_ids, targets = arrays["token_ids"], arrays["targets"]
        assert token_ids.shape == (count, 100)
        assert 0 <= token_ids.min() <= token_ids.max() < len(vocabulary)
        assert (token_ids[:, 0] > 0).all()
        # once padding begins there is nothing but padding
        assert (np.diff((token_ids == 0).astype(int), axis=1) >= 0).all()
        assert targets.shape == (count, 1)
        assert targets.mean() == 0.5


def test_the_vocabulary_knows_nothing_of_the_held_out_parts(finished):
    from ajuste.data.text import count_words, read_vocabulary, tokens

    train = pd.read_parquet(finished / "data/split/train.parquet")["review"]
    assert read_vocabulary(finished / "data/tokens/vocabulary.tsv") == count_words(
        map(tokens, train), 5
    )


def test_the_default_network_learned_something(finished):
    metrics = json.loads((finished / "metrics/evaluate.json").read_text())
    assert metrics["accuracy_low"] > 0.8
    curve = pd.read_csv(finished / "metrics/train/plots/metrics/train/loss.tsv", sep="\t")
    assert curve["step"].tolist() == list(range(1, 11))
    assert curve["loss"].is_monotonic_decreasing


def test_the_plots_are_drawn(finished):
    run("dvc", "plots", "show", cwd=finished)
    page = (finished / "dvc_plots/index.html").read_text(encoding="utf-8")
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
