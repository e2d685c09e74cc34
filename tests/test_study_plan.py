import pytest
from conftest import ROOT

from ajuste.config import reader
from ajuste.errors import PipelineError
from study import plan
from study.plan import Experiment

PARAMS = reader.read(ROOT / "params.yaml")
GIVEN = {
    "seed": 1,
    "model": "gru",
    "tokenize": {"max_length": 100},
    "models": {"gru": {"units": 32, "dropout": 0.0}, "lstm": {"units": 128}},
}


def load(tmp_path, text):
    path = tmp_path / "list.yaml"
    path.write_text(text, encoding="utf-8")
    return plan.load(path)


def names(tmp_path, entry):
    return [one.name for one in load(tmp_path, f"title: T\nexperiments:\n- {entry}").experiments]


def test_a_list_becomes_experiments(tmp_path):
    read = load(
        tmp_path,
        """
title: The lecture
intro: Once more.
follow: true
experiments:
- name: gru
  about: 32 units
  set:
    model: gru
    models.gru:
      dropout: 0.2
  expected:
    train_accuracy: 0.86
    verdict: optimal
""",
    )
    assert (read.title, read.intro, read.follow) == ("The lecture", "Once more.", True)
    (gru,) = read.experiments
    assert gru.overrides == {"model": "gru", "models.gru.dropout": 0.2}
    assert gru.expected.train_accuracy == 0.86
    assert gru.expected.validation_loss is None
    assert gru.about == "32 units"


def test_a_grid_is_every_combination(tmp_path):
    entry = "{name: 'lstm-{models.lstm.units}-{seed}', set: {model: lstm}, "
    entry += "grid: {models.lstm.units: [32, 64], seed: [1, 2]}}"
    assert names(tmp_path, entry) == ["lstm-32-1", "lstm-32-2", "lstm-64-1", "lstm-64-2"]
    read = load(tmp_path, f"title: T\nexperiments:\n- {entry}").experiments
    assert read[2].overrides == {"model": "lstm", "models.lstm.units": 64, "seed": 1}


def test_a_grid_without_braces_appends_its_values(tmp_path):
    entry = "{name: nn, grid: {models.nn.units: [[], [12, 8]], data.source: [a b]}}"
    assert names(tmp_path, entry) == ["nn-none-a-b", "nn-12-8-a-b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title: T", "`experiments` is missing"),
        (
            "titel: T\ntitle: T\nexperiments: [{name: a}]",
            "`titel` is not known; did you mean",
        ),
        (
            "title: T\nexperiments: [{name: a, sett: {}}]",
            "experiment 1: `sett` is not known; did you mean `set`?",
        ),
        (
            "title: T\nexperiments: [{name: a}, {name: b, expected: {loss: 1}}]",
            "experiment 2: `expected.loss` is not known; valid: train_accuracy,",
        ),
        (
            "title: T\nexperiments: [{name: a, expected: {verdict: good}}]",
            "`expected.verdict`: input should be 'underfitting', 'overfitting' or 'optimal'",
        ),
        (
            "title: T\nexperiments: [{name: 1}]",
            "`name`: input should be a valid string, not 1 (put",
        ),
        ("title: T\nexperiments: [nn]", "experiment 1: `it`: "),
        ("title: T\nexperiments: []", "`experiments`: list should have at least 1 item"),
        ("title: T\nexperiments: [{name: a}, {name: a}]", "two experiments are named `a`"),
        ("title: T\nexperiments: [{name: a b}]", "`a b` is no name for an experiment"),
        ("title: T\nexperiments: [{name: a..b}]", "`a..b` is no name for an experiment"),
        ("title: T\nexperiments: [{name: x.lock}]", "`x.lock` is no name for an experiment"),
        (
            "title: T\nexperiments: [{name: 'a-{seed}', set: {model: b}}]",
            "`a-{seed}`: `seed` is not set; valid: model",
        ),
        (
            "title: T\nfollow: true\nexperiments: [{name: a}, {name: a-remedy}]",
            "`a-remedy` is what the remedy of `a` is named",
        ),
        ("- a", "expected `name: value` pairs"),
        ("a: [", "not readable as YAML"),
    ],
)
def test_faults_are_named_in_one_line(tmp_path, text, message):
    with pytest.raises(PipelineError) as caught:
        load(tmp_path, text)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "list.yaml"))
    assert "\n" not in str(caught.value)


def test_all_faults_are_named_at_once(tmp_path):
    with pytest.raises(PipelineError, match=r"2 faults\n  experiment 1: `x`.*\n .*2: `y`"):
        load(tmp_path, "title: T\nexperiments: [{name: a, x: 1}, {name: b, y: 1}]")


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(PipelineError, match=r"none\.yaml: not found"):
        plan.load(tmp_path / "none.yaml")


def test_overrides_are_merged_and_leave_what_was_given():
    values = plan.merged(GIVEN, {"model": "lstm", "models.lstm.l2": 0.01, "models.new.units": 4})
    assert values["model"] == "lstm"
    assert values["models"]["lstm"] == {"units": 128, "l2": 0.01}
    assert values["models"]["new"] == {"units": 4}
    assert "l2" not in GIVEN["models"]["lstm"]


@pytest.mark.parametrize("key", ["modle", "tokenize.length", "seed.x", "tokens.max_length"])
def test_a_key_that_no_stage_reads_is_refused(key):
    study = plan.Plan("T", "", False, [Experiment("a", {key: 1})])
    with pytest.raises(PipelineError, match=f"experiment `a`: no `{key}` in params.yaml"):
        plan.check(study, GIVEN)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"modle": "nn"}, "no `modle` in params.yaml; did you mean `model`? valid: seed, model"),
        ({"splt.seed": 2}, "no `splt.seed` in params.yaml; did you mean `split`? valid: seed"),
        ({"seed.x": 1}, "no `seed.x` in params.yaml: `seed` has nothing under it"),
        ({"model": "lsmt"}, "`model` is 'lsmt'; did you mean `lstm`?"),
        ({"models.lstm.unit": 3}, "`models.lstm.unit` is not known; did you mean `units`?"),
        ({"models.gru.epochs": -1}, "`models.gru.epochs`: input should be greater than 0, not -1"),
        ({"task": "regression"}, "`task`: the labels of bundled (sentiment) do not fit"),
    ],
)
def test_an_override_that_no_stage_would_take_is_named(overrides, said):
    given = {**PARAMS, "colour": "red"}  # which is no fault of the list
    study = plan.Plan("T", "", False, [Experiment("good", {"seed": 2}), Experiment("a", overrides)])
    with pytest.raises(PipelineError) as caught:
        plan.check(study, given)
    assert str(caught.value).startswith(f"T: experiment `a`: {said}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda it: it.stem)
def test_the_lists_that_come_along_have_no_faults(path):
    plan.check(plan.load(path), PARAMS)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 3, 1e-5),
        *("constant", "nn-12-8", "https://a.b/c:d=e", "it's", "", "null", "3", "*n't", "a {b} [c]"),
        *([], [12, 8], ["no", "not, so"]),
    ],
)
def test_dvc_reads_a_value_as_it_was_written(tmp_path, monkeypatch, value):
    from dvc.utils.cli_parse import to_path_overrides
    from dvc.utils.hydra import apply_overrides
    from ruamel.yaml import YAML

    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("models:\n  nn:\n    units: 1\n")
    given = {"models": {"nn": {"units": 1}}}
    overrides = {"models.nn.units": value, "models.nn.new": value, "models.mine.x": value}
    words = plan.command(Experiment("a", overrides), given)
    for path, parts in to_path_overrides(words[6::2]).items():
        apply_overrides(path, parts)
    written = YAML(typ="safe", pure=True).load(tmp_path / "params.yaml")
    assert written == plan.merged(given, overrides)


def test_the_command_adds_what_is_not_there():
    words = plan.command(Experiment("a", {"seed": 2, "models.gru.l2": 0.1}), GIVEN)
    assert words[3:] == ["--name", "a", "-S", "seed=2", "-S", "+models.gru.l2=0.1"]


def test_the_digest_tells_values_apart_and_not_their_order():
    assert plan.digest({"a": 1, "b": 2}) == plan.digest({"b": 2, "a": 1})
    assert plan.digest({"a": 1}) != plan.digest({"a": 2})


WIDE = {
    "tokenize": {"max_length": 100},
    "model": "gru",
    "models": {"gru": {"units": 32, "dropout": 0.0, "epochs": 10}},
}
OVERFITTING = {"verdict": "overfitting", "best_epoch": 9, "kept_epoch": 9}


def test_the_first_remedy_becomes_an_experiment():
    values = plan.merged(WIDE, {"models.gru.units": 64})
    made = plan.remedy(Experiment("gru", {"models.gru.units": 64}), OVERFITTING, values)
    assert made.name == "gru-remedy"
    assert made.overrides == {"models.gru.units": 64, "models.gru.dropout": 0.3}
    assert made.remedy_of == "gru"
    assert "dropout" in made.about


@pytest.mark.parametrize("fit", [{"verdict": "optimal"}, {"verdict": "undecided"}, {}])
def test_what_is_optimal_or_unknown_has_no_remedy(fit):
    assert plan.remedy(Experiment("gru"), fit, WIDE) is None


def test_a_remedy_has_no_remedy():
    assert plan.remedy(Experiment("a", remedy_of="b"), OVERFITTING, WIDE) is None
