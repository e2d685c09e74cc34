"""The table of the experiments, from results in Git that are made by hand."""

import json
from copy import deepcopy

import pytest
import yaml
from conftest import run
from hypothesis import given
from hypothesis import strategies as st

from study import collect, compare

PARAMS = {
    "seed": 1,
    "model": "gru",
    "task": "binary",
    "tokenize": {"max_length": 100},
    "embed": {"file": {"path": "v.txt"}},
    "data": {"csv": {"path": "r.csv"}},
    "models": {"gru": {"units": 32, "rate": 1e-05}, "lstm": {"units": 128, "dropout": 0.0}},
    "evaluate": {"score": None, "negations": ["no", "not"]},
    "gate": {"bounds": {}},
}
ACCURACY = {"binary": "accuracy", "multilabel": "accuracy"}


@pytest.fixture
def repository(tmp_path):
    """A function that writes results to the workspace, and commits them under a name."""
    run("git", "init", "--quiet", cwd=tmp_path)

    def write(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    def save(name, validation, data="a1", code="c1", verdict="optimal", extra=None, **options):
        params = deepcopy(PARAMS)
        for key, value in options.items():
            *parents, last = key.split("__")
            place = params
            for part in parents:
                place = place[part]
            place[last] = value
        model = params["model"]
        read = {f"models.{model}": params["models"][model]}
        for key in ("seed", "model", "task", "tokenize.max_length", "embed.file.path",
                    "data.csv.path", "evaluate.score", "evaluate.negations"):  # fmt: skip
            value = params
            for part in key.split("."):
                value = value[part]
            read[key] = value
        stages = {
            "split": {"outs": [{"path": compare.VALIDATION, "md5": data}]},
            "train": {
                "deps": [{"path": "stages/train.py", "md5": code}],
                "params": {"params.yaml": read},
            },
        }
        score = ACCURACY.get(params["task"], "loss")
        both = {"loss": 0.5, score: validation}
        trained = {
            "train": both,
            "validation": both,
            "generalization_gap": {"loss": 0.01},
            "loss_function": "binary_crossentropy",
            "parameters": {"total": 12345, "trainable": 678},
        }
        tested = {"accuracy": 0.7, "loss": 0.6, "fit": {"verdict": verdict}, **(extra or {})}
        write("params.yaml", yaml.safe_dump(params))
        write("dvc.lock", yaml.safe_dump({"schema": "2.0", "stages": stages}))
        write(collect.TRAIN, json.dumps(trained))
        write(collect.EVALUATE, json.dumps(tested))
        if name:
            run("git", "add", "--all", cwd=tmp_path)
            run("git", "commit", "--quiet", "--allow-empty", "-m", name, cwd=tmp_path)
            if name != "HEAD":
                ref = collect.ref("a" * 40, name)
                run("git", "update-ref", ref, "HEAD", cwd=tmp_path)

    return save


def lines(folder, *names, wide=False, test=False):
    """The first cell of each row, or the rows that begin with a name."""
    made = compare.report(folder, wide, test)
    return [next(one for one in made if one.startswith(name)) for name in names] or made


def test_the_best_validation_is_first_with_the_options_that_differ(repository, tmp_path):
    repository("lstm-64", 0.81, model="lstm", models__lstm__units=64, verdict="overfitting")
    repository("longer", 0.84, tokenize__max_length=200)
    repository("HEAD", 0.83)
    assert lines(tmp_path, test=True) == [
        "Accuracy; the best validation first",
        "experiment         model  changed         train  valid  test   fit",
        "longer             gru    max_length=200  0.840  0.840  0.700  optimal",
        "the last commit *  gru                    0.830  0.830  0.700  optimal",
        "lstm-64            lstm   units=64        0.810  0.810  0.700  overfitting",
        "* is also in the workspace.",
    ]


@pytest.mark.parametrize("wide", [False, True])
def test_the_test_part_is_shown_only_if_asked_for(repository, tmp_path, wide):
    repository("HEAD", 0.83, extra={"accuracy": 0.777, "loss": 0.666})
    for asked in (False, True):
        made = " ".join(lines(tmp_path, wide=wide, test=asked))
        assert ("test" in made) == ("0.777" in made) == asked
        assert ("0.666" in made) == (asked and wide)


def test_an_option_that_is_an_empty_dictionary_is_compared(repository, tmp_path):
    repository("mapped", 0.81, data__csv__path={"n/a": None})
    repository("HEAD", 0.83, data__csv__path={})
    assert "n/a=null" in " ".join(lines(tmp_path))


def test_an_experiment_in_the_workspace_is_one_row_with_its_name(repository, tmp_path):
    repository("HEAD", 0.83)
    repository("faster", 0.85, models__gru__units=16)
    run("git", "checkout", "--quiet", "HEAD~1", cwd=tmp_path)
    repository("", 0.85, models__gru__units=16)
    assert [one.split()[:4] for one in lines(tmp_path)[2:4]] == [
        ["faster", "*", "gru", "units=16"],
        ["the", "last", "commit", "gru"],
    ]
    repository("", 0.86, models__gru__units=16, code="c2")
    assert [one.split()[0] for one in lines(tmp_path)[2:5]] == ["workspace", "faster", "the"]


def test_the_seeds_of_equal_parameters_are_one_row_with_the_interval_of_student(
    repository, tmp_path
):
    for seed, accuracy in ((2, 0.80), (3, 0.82), (1, 0.84)):
        repository(f"s{seed}", accuracy, seed=seed, verdict="optimal" if seed > 1 else "undecided")
    repository("other", 0.9, code="c2")
    repository("HEAD", 0.5, models__gru__units=1)
    shown = lines(tmp_path, wide=True)
    (row,) = (one for one in shown if "3 seeds" in one)
    # scipy.stats.t.interval(0.95, 2, 0.82, 0.02 / 3**0.5): 0.82 +- 0.0497
    assert row.count("0.820 ±0.050") == 2
    assert "optimal (2)" in row
    assert "undecided (1)" in row
    assert "units=32" in row
    assert "± is a 95 % interval over the seeds (Student's t)." in shown
    assert len(shown) == 7  # the title, the header, three rows, two notes


def test_the_same_result_in_two_places_counts_once(repository, tmp_path):
    for name in ("a", "b", "HEAD"):
        repository(name, 0.8)
    assert len(lines(tmp_path)) == 4
    assert "seeds" not in "".join(lines(tmp_path))


def test_experiments_of_other_data_are_marked_and_come_last(repository, tmp_path):
    repository("easy", 0.99, data="b2")
    repository("HEAD", 0.83)
    assert [one.split()[0] for one in lines(tmp_path)[2:4]] == ["the", "easy"]
    assert "easy (other data)" in lines(tmp_path, "easy")[0]


def test_for_numbers_it_is_the_loss_and_the_lowest_is_first(repository, tmp_path):
    repository("scaled", 0.01, task="unit_regression")
    repository("worse", 9.5, task="regression", models__gru__units=1)
    repository("HEAD", 4.25, task="regression", extra={"mean_absolute_error": 3.0})
    made = lines(tmp_path, test=True)
    assert made[0].startswith("Loss; ")
    assert [one.split()[0] for one in made[2:5]] == ["the", "worse", "scaled"]
    assert "4.250  4.250  0.600" in made[2]  # another task has another loss, so it has no rank
    assert "scaled (other data)" in made[4]


def test_the_test_part_has_the_main_score(repository, tmp_path):
    repository("HEAD", 0.8, evaluate__score="f1", extra={"f1": 0.123})
    assert lines(tmp_path, test=True)[0].startswith("Accuracy and, on the test part, f1; ")
    assert "0.123" in lines(tmp_path, "the last", test=True)[0]


def test_a_key_is_as_short_as_it_has_one_meaning(repository, tmp_path):
    repository("HEAD", 0.8)
    repository("paths", 0.8, embed__file__path="w.txt", data__csv__path="s.csv")
    run("git", "checkout", "--quiet", "HEAD~1", cwd=tmp_path)
    (row,) = (one for one in lines(tmp_path, wide=True) if one.startswith("paths"))
    assert "embed.file.path=w.txt" in row
    made = "".join(lines(tmp_path))
    assert "file.path=w.txt" in made
    assert "embed.file.path" not in made
    assert "negations" not in made  # `no` is not a change
    assert "rate" not in made  # nor is 1e-05


def test_wide_has_the_losses_and_the_parameters(repository, tmp_path):
    repository("HEAD", 0.8)
    (row,) = lines(tmp_path, "the last commit", wide=True, test=True)
    for cell in ("0.500", "0.010", "0.600", "12,345", "678"):
        assert cell in row


def test_without_results_it_is_one_line(tmp_path):
    run("git", "init", "--quiet", cwd=tmp_path)
    (line,) = compare.report(tmp_path)
    assert line.startswith("no results yet; run `dvc repro`")


def test_results_without_numbers_have_no_rank_and_no_traceback(repository, tmp_path):
    repository("diverged", "NaN")
    repository("HEAD", 0.3, models__gru__units=1)
    assert [one.split()[0] for one in lines(tmp_path)[2:4]] == ["the", "diverged"]
    assert "—" in lines(tmp_path, "diverged")[0]


name = st.text("abcdefgh-_.0123", min_size=1, max_size=120)
cell = st.tuples(
    name,
    st.text("abcdef_", min_size=1, max_size=30),
    st.lists(st.tuples(name, name).map("=".join), max_size=20).map("\n".join),
    *[st.sampled_from(["0.844", "0.844 ±0.012", "1.235e+06 ±1.2e+05", "—"])] * 3,
    st.sampled_from(["optimal", "underfitting (2)\noverfitting (1)"]),
)


@given(st.lists(cell, min_size=1, max_size=5))
def test_no_line_is_longer_than_the_terminal(rows):
    assert max(map(len, compare.table([compare.header(wide=False, test=True), *rows], 80))) <= 80
