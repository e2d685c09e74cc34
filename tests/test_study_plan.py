import pytest
from conftest import ROOT
from dvc.utils.cli_parse import to_path_overrides
from dvc.utils.hydra import apply_overrides
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from hypothesis import assume, example, given
from hypothesis import strategies as st

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
            "title: T\nexperiments: [{name: a, sett: {}}]",
            "experiment 1: `sett` is not known; did you mean `set`?",
        ),
        (
            "title: T\nexperiments: [{name: a, expected: {verdict: good}}]",
            "`expected.verdict`: must be 'underfitting', 'overfitting' or 'optimal'",
        ),
        ("title: T\nexperiments: [nn]", "experiment 1: `it`: "),
        ("title: T\nexperiments: []", "`experiments`: list must have at least 1 item"),
        ("title: T\nexperiments: [{name: a}, {name: a}]", "two experiments have the name `a`"),
        ("title: T\nexperiments: [{name: a b}]", "`a b` is not a valid name"),
        ("title: T\nexperiments: [{name: a..b}]", "`a..b` is not a valid name"),
        ("title: T\nexperiments: [{name: x.lock}]", "`x.lock` is not a valid name"),
        (
            "title: T\nexperiments: [{name: 'a-{seed}', set: {model: b}}]",
            "`a-{seed}`: the key `seed` in the name is neither in `set` nor in `grid`; valid: m",
        ),
        (
            "title: T\nfollow: true\nexperiments: [{name: a}, {name: a-remedy}]",
            "`a-remedy` is the name of the remedy for `a`",
        ),
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


def test_a_missing_list_is_named(tmp_path):
    with pytest.raises(PipelineError, match=r"none\.yaml: not found"):
        plan.load(tmp_path / "none.yaml")


def test_overrides_are_merged_into_a_copy():
    values = plan.merged(GIVEN, {"model": "lstm", "models.lstm.l2": 0.01, "models.new.units": 4})
    assert values["model"] == "lstm"
    assert values["models"]["lstm"] == {"units": 128, "l2": 0.01}
    assert values["models"]["new"] == {"units": 4}
    assert "l2" not in GIVEN["models"]["lstm"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"modle": "nn"}, "no `modle` in params.yaml; did you mean `model`? valid: seed, threads"),
        ({"splt.seed": 2}, "no `splt.seed` in params.yaml; did you mean `split`? valid: seed"),
        ({"seed.x": 1}, "no `seed.x` in params.yaml: `seed` is a single value, not"),
        ({"model": "lsmt"}, "`model` is 'lsmt'; did you mean `lstm`?"),
        ({"models.lstm.unit": 3}, "`models.lstm.unit` is not known; did you mean `units`?"),
        ({"models.gru.epochs": -1}, "`models.gru.epochs`: must be greater than 0, not -1"),
        ({"task": "regression"}, "`task`: the labels of bundled (sentiment) do not fit"),
    ],
)
def test_a_fault_that_an_override_causes_is_named(overrides, message):
    given = {**PARAMS, "colour": "red"}  # not a fault of the list
    study = plan.Plan("T", "", False, [Experiment("good", {"seed": 2}), Experiment("a", overrides)])
    with pytest.raises(PipelineError) as caught:
        plan.check(study, given)
    assert str(caught.value).startswith(f"T: experiment `a`: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda it: it.stem)
def test_the_lists_of_the_project_have_no_faults(path):
    plan.check(plan.load(path), PARAMS)


SEEDED = """
title: T
seeds: {}
compare_with: gru
test: true
experiments:
- name: '{{model}}'
  grid:
    model: [gru, lstm]
"""


@pytest.mark.parametrize(("seeds", "listed"), [("3", [1, 2, 3]), ("[4, 9]", [4, 9])])
def test_seeds_repeat_every_experiment(tmp_path, seeds, listed):
    read = load(tmp_path, SEEDED.format(seeds))
    expected = [(model, seed) for model in ("gru", "lstm") for seed in listed]
    assert [(one.repeats, one.overrides["seed"]) for one in read.experiments] == expected
    assert read.experiments[0].name == f"gru-seed-{listed[0]}"
    assert read.experiments[-1].overrides == {"model": "lstm", "seed": listed[-1]}
    assert (read.compare_with, read.test) == ("gru", True)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds: 3", "seeds: 0", "`seeds`: must be a valid list, not 0"),
        ("seeds: 3", "seeds: []", "`seeds`: list must have at least 1 item"),
        ("seeds: 3", "seeds: [1, -1]", "`seeds.1`: must be greater than or equal to 0, not -1"),
        ("seeds: 3", "seeds: [1, 1]", "`seeds` has 1 twice"),
        ("seeds: 3", "seeds: 1", "`compare_with` needs `seeds` of 2 or more"),
        ("seeds: 3\n", "", "`compare_with` needs `seeds` of 2 or more"),
        ("with: gru", "with: gro", "`compare_with` is 'gro'; did you mean `gru`? valid: gru, lstm"),
        ("test: true", "follow: true", "`seeds` does not go with `follow` or `expected`"),
        (
            "  grid:",
            "  expected:\n    verdict: optimal\n  grid:",
            "`seeds` does not go with `follow` or `expected`",
        ),
    ],
)
def test_seeds_that_do_not_fit_are_one_line(tmp_path, old, new, message):
    with pytest.raises(PipelineError) as caught:
        load(tmp_path, SEEDED.format(3).replace(old, new))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


TEXT = st.text(st.characters(codec="utf-8")) | st.text("\\'\" a,[]{}:=\n")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(VALUES)
@example("ends in a backslash\\")
@example("\\'")
def test_hydra_reads_each_value_as_it_was_written(value):
    assume("${" not in str(value) and "???" not in str(value))
    override = OverridesParser.create().parse_override(f"key={plan.hydra(value)}")
    assert plain(override.value()) == value


def plain(value):
    """A value of Hydra; in a list it keeps texts with their quotes."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value.text if isinstance(value, QuotedString) else value


@pytest.mark.parametrize(
    "value", [None, True, 1e-5, "null", "*n't {b} [c]\\", [], ["no", "not, so"]]
)
def test_dvc_writes_each_value_as_it_was_given(tmp_path, monkeypatch, value):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("models:\n  nn:\n    units: 1\n")
    before = {"models": {"nn": {"units": 1}}}
    overrides = {"models.nn.units": value, "models.nn.new": value, "models.mine.x": value}
    words = plan.command(Experiment("a", overrides), before)
    for path, parts in to_path_overrides(words[6::2]).items():
        apply_overrides(path, parts)
    assert reader.read(tmp_path / "params.yaml") == plan.merged(before, overrides)


@pytest.mark.parametrize("value", ["${seed}", "???", ["a", "${"]])
def test_a_value_that_dvc_cannot_set_is_refused(value):
    study = plan.Plan("T", "", False, [Experiment("a", {"data.csv.path": value})])
    with pytest.raises(PipelineError, match="experiment `a`: DVC cannot set the value '"):
        plan.check(study, PARAMS)


def test_the_command_adds_a_missing_key():
    words = plan.command(Experiment("a", {"seed": 2, "models.gru.l2": 0.1}), GIVEN)
    assert words[3:] == ["--name", "a", "-S", "seed=2", "-S", "+models.gru.l2=0.1"]


def test_the_digest_depends_on_values_and_not_on_their_order():
    assert plan.digest({"a": 1, "b": 2}) == plan.digest({"b": 2, "a": 1})
    assert plan.digest({"a": 1}) != plan.digest({"a": 2})


WIDE = {
    "tokenize": {"max_length": 100},
    "model": "gru",
    "models": {"gru": {"units": 32, "dropout": 0.0, "epochs": 10}},
}
UNDERFITTING = {
    "verdict": "underfitting",
    "improving": False,
    "scatter": 0.0,
    "explained": {"train": 0.2, "validation": 0.2},
}
OVERFITTING = {"verdict": "overfitting", "best_epoch": 9, "kept_epoch": 9, "scatter": 0.0}


def test_the_first_remedy_becomes_an_experiment():
    values = plan.merged(WIDE, {"models.gru.units": 64})
    made = plan.remedy(Experiment("gru", {"models.gru.units": 64}), OVERFITTING, values)
    assert made.name == "gru-remedy"
    assert made.overrides == {
        "model": "gru",
        "models.gru.units": 64,
        "models.gru.dropout": 0.3,
    }
    assert made.remedy_of == "gru"
    assert "dropout" in made.about


@pytest.mark.parametrize("fit", [{"verdict": "optimal"}, {"verdict": "undecided"}, {}])
def test_an_optimal_or_unknown_fit_has_no_remedy(fit):
    assert plan.remedy(Experiment("gru"), fit, WIDE) is None


def test_a_remedy_that_changes_the_model_drops_the_options_of_the_old_one():
    """DVC would ignore them without a word."""
    values = {**WIDE, "model": "rnn", "models": {}}
    values["models"] = {"rnn": {"network": "simple_rnn", "units": 32}, "gru": {"network": "gru"}}
    values["embed"] = {"source": "bundled"}
    tried = Experiment("rnn", {"model": "rnn", "models.rnn.units": 8, "tokenize.max_length": 50})
    made = plan.remedy(tried, UNDERFITTING, values)
    assert made.overrides == {"model": "gru", "tokenize.max_length": 50}


def test_a_remedy_has_no_remedy():
    assert plan.remedy(Experiment("a", remedy_of="b"), OVERFITTING, WIDE) is None
