"""The check of the whole `params.yaml`, and its messages."""

import os
import re
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from ajuste.config import check, reader, schema
from ajuste.errors import PipelineError
from ajuste.training import entry_schema
from stages.check import main as check_main

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
GIVEN = reader.parse(TEXT, "params.yaml") | {"model": "gru"}
# Here the user chooses the keys.
FREE = (("languages",), ("models",), ("models", "ensemble", "members"), ("gate", "bounds"))
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
HEAVY = {"keras", "tensorflow", "pandas", "great_expectations", "matplotlib"}


def faults(given: dict) -> list[str]:
    return check.faults(given, entry_schema.options)


def paths(tree: dict, above: tuple = ()) -> list[tuple]:
    """The place of every key in nested dictionaries."""
    found = []
    for key, value in tree.items():
        found.append((*above, key))
        found += paths(value, (*above, key)) if isinstance(value, dict) else []
    return found


def at(tree: dict, place: tuple):
    for part in place:
        tree = tree[part]
    return tree


def changed(values: dict) -> dict:
    """The parameters with other values, each under its full key."""
    given = deepcopy(GIVEN)
    for name, value in values.items():
        *above, key = name.split(".")
        at(given, above)[key] = value
    return given


KEYS = [place for place in paths(GIVEN) if place[:-1] not in FREE]
LEAVES = [place for place in KEYS if not isinstance(at(GIVEN, place), dict)]


def typos(key: str, valid: set[str]) -> set[str]:
    """Ways to misspell a key by one letter, without those that are valid keys."""
    middle = len(key) // 2
    made = {key[:middle] + key[middle:][:1] + key[middle:], key[:middle] + key[middle + 1 :]}
    if len(key) > 3:
        made |= {key[0] + key[2] + key[1] + key[3:], key[:-1] + "x"}
    return made - valid


def test_every_misspelt_key_is_named_with_the_right_one():
    for *above, key in KEYS:
        for typo in typos(key, set(at(GIVEN, above))):
            given = deepcopy(GIVEN)
            section = at(given, above)
            section[typo] = section.pop(key)
            wrong = ".".join([*above, typo])
            assert faults(given) == [f"`{wrong}` is not known; did you mean `{key}`?"]


def test_every_value_of_a_wrong_type_is_named():
    for place in LEAVES:
        now = at(GIVEN, place)
        text = now is None or isinstance(now, str)  # `data.csv.group` can be null
        wrong = [{}, *([3, ["a"], ""] if text else ["text", [[]], None])]
        wrong += [None] if isinstance(now, str) else []
        wrong += [1 if isinstance(now, bool) else True]
        for value in wrong:
            # with the source csv its labels are checked
            found = faults(changed({"data.source": "csv", ".".join(place): value}))
            assert any(place[-1] in fault for fault in found), (place, value)
            assert "\n" not in "".join(found)


def test_every_number_that_can_only_be_a_mistake_is_named():
    for place in LEAVES:
        if type(now := at(GIVEN, place)) not in (int, float):
            continue
        wrong = [float("nan"), float("inf"), float("-inf")]
        wrong += [-1] if place[0] != "gate" else []
        wrong += [10**12, 10**5000] if isinstance(now, int) else []
        for value in wrong:
            (fault,) = faults(changed({".".join(place): value}))
            assert f"`{'.'.join(place)}`: " in fault


def test_an_alias_is_refused_because_dvc_cannot_change_it():
    given = reader.parse("models: {a: &a {network: majority}, b: *a}", "params.yaml")
    found = faults(GIVEN | {"model": "a", "models": given["models"]})
    assert found == [
        "`models.b` is a YAML alias of `models.a`; write its values out: `dvc exp run -S` would "
        "change neither"
    ]


def test_a_member_of_an_ensemble_must_be_a_network():
    (fault,) = faults(changed({"models.ensemble.members.linear": {"network": "majority"}}))
    assert fault.startswith(
        "`models.ensemble.members.linear.network` is majority; a member must be"
    )


def test_a_huge_value_is_cut_in_the_message():
    huge = "x"
    for _ in range(9):
        huge = [huge] * 10  # a billion strings, which aliases in YAML can make
    for place in KEYS:
        assert all(len(f) < 600 for f in faults(changed({".".join(place): huge})))


def test_every_section_that_is_missing_is_named():
    for section in GIVEN:
        given = {key: value for key, value in GIVEN.items() if key != section}
        assert faults(given) == [f"`{section}` is missing"]


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("model", "grru", "`model` is 'grru'; did you mean `gru`? valid: nn, "),
        ("model", "perceptron", "`model` is 'perceptron'; valid: nn, "),
        ("task", "Binary", "not 'Binary'; did you mean `binary`?"),
        ("data.source", "csw", "'bundled', 'stanford' or 'csv', not 'csw'; did you mean `csv`?"),
        ("data.stanford.label", "star", "not 'star'; did you mean `stars`?"),
        ("embed.source", "flie", "not 'flie'; did you mean `file`?"),
        ("embed.stanford.width", 99, "`embed.stanford.width`: must be 50, 100, 200 or 300"),
        ("models.linear.keep", "lats", "not 'lats'; did you mean `last`?"),
        ("gate.allow", ["dorp"], "`gate.allow.0`: must be 'drop' or 'overfitting'"),
        (
            "evaluate.score",
            "acuracy",
            "did you mean `accuracy`? valid for `task: binary`: accur",
        ),
        (
            "evaluate.score",
            "r2",
            "`evaluate.score` is 'r2'; valid for `task: binary`: ",
        ),
        ("evaluate.score", "calibration_error", "valid for `task: binary`: accuracy, f1, macro_f1"),
        ("evaluate.fit.gap", 1, "`evaluate.fit.gap` is not known; did you mean `max_gap`?"),
        ("data.csv.colour", 1, "`data.csv.colour` is not known; valid: path, separator,"),
        ("models.gru", None, "`models.gru`: expected `name: value` pairs, not null"),
        ("models.nn.network", "dnse", "did you mean `dense`? valid: dense, bag_of_words"),
        ("models.gru.loss", "mean_squared_error", "valid for `task: binary`: binary_cross"),
        ("models.nn.loss", "hinge", "`models.nn.loss` is 'hinge'; valid: binary_crossentropy"),
        ("models.nn.recurrent_dropout", 0.1, "`models.nn.recurrent_dropout` is not known"),
        ("models.lstm.dropout_layers", 2, "`models.lstm.dropout_layers` is not known; valid"),
        ("task", "regression", "`task`: the labels of bundled (sentiment) do not fit the task"),
        ("split.test", 0.95, "`split`: `validation` must be above 0, and with `test` below 1"),
        ("data.csv.path", "a\0b", "`data.csv.path`: must be the name of a file, not 'a\\x00b'"),
        (
            "data.csv.separator",
            ";;",
            ": must be one character other than a quote or",
        ),
        ("data.bundled.sha256", "AB", ": must be 64 hexadecimal digits in lower case, not 'AB'"),
        ("data.csv.a\nb", 1, "`data.csv.a b` is not known; valid: path"),
        (
            "languages.english.positive",
            ["Bad"],
            "`languages.english`: `positive` and `negative` name these twice: bad",
        ),
        ("languages.english.negation", [], "is not known; did you mean `negations`?"),
        ("languages.other.positive", [1], "`languages.other.positive.0`: "),
        ("language", "spansh", "`language` is 'spansh'; did you mean `spanish`? valid: english, "),
        ("language", "german", "`language` is 'german'; valid: english, spanish, other"),
        ("models.gru.unit", 3, "`models.gru.unit` is not known; did you mean `units`?"),
        (
            "models.gru.units",
            10**12,
            "`models.gru.units`: must be less than or equal to 10000",
        ),
        ("models.gru.units", "32", "`models.gru.units`: must be a valid integer, not '32'"),
        ("models.gru.dropout", 1.0, "`models.gru.dropout`: must be less than 1"),
        ("models.gru.network", ["gru"], "`models.gru.network` is ['gru']; valid: dense"),
        ("models.gru.optimizer", "adma", "not 'adma'; did you mean `adam`?"),
        ("models.gru.embedding", "scratch", "`embedding: scratch` needs `embedding_width` and"),
        ("models.gru.max_features", 5, "with `frozen` or `trained` they must not be set"),
        ("models.gru.clip_norm", 0.0, "`models.gru.clip_norm`: must be greater than 0"),
        ("models.gru.class_weight", "balance", "did you mean `balanced`? valid for `task: binary`"),
        (
            "models.gru.threshold",
            "f2",
            "is 'f2'; valid for `task: binary`: accuracy, bal",
        ),
        ("models.gru.threshold", 0.3, "`models.gru.threshold`: must be a valid string, not 0.3"),
    ],
)
def test_a_fault_and_what_to_do_are_one_line(place, value, said):
    (fault,) = faults(changed({place: value}))
    assert said in fault
    assert "\n" not in fault


@pytest.mark.parametrize(
    ("task", "option", "value"),
    [
        ("regression", "class_weight", "balanced"),
        ("unit_regression", "class_weight", "balanced"),
        ("regression", "threshold", "f1"),
        ("multiclass", "threshold", "f1"),
    ],
)
def test_an_option_that_the_task_does_not_have(task, option, value):
    given = {"task": task, "data.source": "stanford", "data.stanford.label": "stars"}
    (fault,) = faults(changed({**given, f"models.gru.{option}": value}))
    assert fault == (
        f"`models.gru.{option}` is {value!r}; there is none for `task: {task}`; set it to null or "
        "remove it"
    )
    assert faults(changed({**given, f"models.nn.{option}": value})) == []  # not in use


@pytest.mark.parametrize(
    ("source", "task", "said"),
    [
        ("csv", "binary", []),
        ("csv", "regression", ["`data.csv.labels.0`", "`data.csv.labels.1`"]),
        ("csv", "multilabel", []),
        ("stanford", "binary", []),
        ("stanford", "multilabel", ["`task`: the labels of stanford (sentiment)"]),
        ("bundled", "unit_regression", ["`task`: the labels of bundled (sentiment)"]),
    ],
)
def test_the_labels_of_the_source_in_use_must_fit_the_task(source, task, said):
    found = faults(changed({"data.source": source, "task": task}))
    assert [fault[: len(one)] for fault, one in zip(found, said, strict=True)] == said


def test_the_label_of_the_archive_is_named_only_if_it_is_used():
    bundled, stanford = (
        faults(changed({"data.source": source, "task": "multilabel"}))[0]
        for source in ("bundled", "stanford")
    )
    assert bundled.endswith("or change `data.source`")
    assert stanford.endswith("or change `data.source` or `data.stanford.label`")


@pytest.mark.parametrize("task", ["regression", "unit_regression"])
@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0.0, 1e39], "the labels 0 and 1e+39 are too large, or too close to each other"),
        ([-1e308, 1.7e308], "the labels -1e+308 and 1.7e+308 are too large"),
        ([0.0, 1e-300], "too close to each other, for 32 bits; rescale or shift"),
        ([1e9, 1e9 + 1], "too close to each other, for 32 bits; rescale or shift"),
        ([5.0, 1.0], "`labels` must have the lowest number first"),
        ([0.0, 1e12], None),
        ([0.0, 1e-9], None),
        ([1900.0, 2020.0], None),
    ],
)
def test_labels_that_a_network_could_not_learn_are_refused(task, labels, said):
    found = faults(changed({"data.source": "csv", "data.csv.labels": labels, "task": task}))
    assert len(found) == (said is not None)
    assert all(said in fault for fault in found)


@pytest.mark.parametrize(
    ("task", "labels", "said"),
    [
        ("binary", ["a", "b", "c"], "at most 2 items"),
        ("binary", ["a", "a"], "has a label twice"),
        ("multiclass", ["a"], "at least 2 items"),
        ("multiclass", ["1", True, "3"], "put quotes around it"),
        ("binary", ["bad", " good"], "without a space at its start or end, not ' good'"),
        ("binary", ["bad\u00a0", "good"], r"not 'bad\xa0'"),
        ("multilabel", [], "at least 1 item"),
        (
            "multilabel",
            ["a|b"],
            "a label without `|`, and without a space at its start or end",
        ),
        ("multilabel", [" a"], "not ' a'"),
        ("regression", ["low", 10], "valid number, not 'low'"),
        ("regression", [1, 5, 10], "at most 2 items"),
        ("unit_regression", [0, float("inf")], "finite number"),
    ],
)
def test_labels_that_do_not_fit_the_task_are_refused(task, labels, said):
    (fault,) = faults(changed({"data.source": "csv", "data.csv.labels": labels, "task": task}))
    assert said in fault


@pytest.mark.parametrize(
    ("task", "labels", "mapping", "said"),
    [
        ("binary", ["bad", "good"], {1: "bad", 3: None, 4.5: "good"}, None),
        ("binary", ["bad", "good"], {"1": "bad", "": None}, None),
        ("multiclass", [1, 2, "3"], {"one": 1, "two": "2"}, None),
        ("multilabel", ["drama"], {"Drama": "drama", "x": None}, None),
        ("regression", [1.0, 10.0], {"five": 5, "six": "6.5", "none": None}, None),
        ("binary", ["bad", "good"], {1: "god"}, "`mapping` of '1' is 'god'; did you mean `good`?"),
        ("binary", ["bad", "good"], {1: 5}, "`mapping` of '1' is '5'; valid: bad, good"),
        ("regression", [1.0, 10.0], {"x": 11}, "is '11'; valid: a number from 1 to 10, or null"),
        ("regression", [1.0, 10.0], {"x": "ten"}, "is 'ten'; valid: a number from 1 to 10"),
        ("binary", ["bad", "good"], {True: "bad"}, "put quotes around it"),
        ("binary", ["bad", "good"], {"x": False}, "valid string, not false"),
        ("binary", ["bad", "good"], {1: "bad", "x": "good"}, "put quotes around all of them"),
        ("binary", ["bad", "good"], ["bad"], "`data.csv.mapping`: expected `name: value` pairs"),
    ],
)
def test_a_mapping_leads_to_a_label_of_the_task_or_to_none(task, labels, mapping, said):
    values = {"data.csv.labels": labels, "data.csv.mapping": mapping, "task": task}
    found = faults(changed({"data.source": "csv", **values}))
    assert len(found) == (said is not None)
    assert all(said in fault for fault in found)


@pytest.mark.parametrize("value", ["\\t", "tab", "\t", ";"])
def test_a_tab_can_be_written_in_three_ways(value):
    assert faults(changed({"data.csv.separator": value})) == []
    given = schema.AnyCsv(**{**GIVEN["data"]["csv"], "separator": value})
    assert given.separator == (";" if value == ";" else "\t")


def test_a_network_that_is_not_in_use_may_have_the_loss_of_another_task():
    assert faults(changed({"models.nn.loss": "mean_squared_error"})) == []


def test_faults_of_all_sections_are_named_at_once():
    given = changed({"models.nn.unit": 3, "models.nn.epochs": -1})
    given["models"]["lstm"]["optimiser"] = given["models"]["lstm"].pop("optimizer")
    given["split"] = None
    del given["seed"]
    given |= {"model": "nnn", "colour": "red"}
    expected = ["`seed` is missing", "`split`: ", "`colour` is not known", "`model` is 'nnn'"]
    expected += ["`models.nn.epochs`: ", "`models.nn.unit` is not", "`models.lstm.optimiser` is"]
    found = faults(given)
    assert [fault[: len(one)] for fault, one in zip(found, expected, strict=True)] == expected


def test_missing_options_are_all_named():
    with pytest.raises(PipelineError) as error:
        entry_schema.options("mine", {"network": "gru", "optimizer": "adam"})
    for option in ("units", "embedding", "epochs"):
        assert f"`models.mine.{option}`" in str(error.value)


def answer(folder: Path, *command: str, text: bytes | None) -> subprocess.CompletedProcess:
    """Run a command in a folder with nothing but `params.yaml`."""
    if text is not None:
        (folder / "params.yaml").write_bytes(text)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_the_committed_parameters_have_no_faults_and_the_check_is_light(tmp_path):
    program = "import sys; from stages import check; check.main(); print(*sys.modules)"
    done = answer(tmp_path, "-c", program, text=TEXT.encode())
    first, modules = done.stdout.splitlines()
    assert first == "params.yaml: no faults"
    assert not HEAVY & set(modules.split())


def test_the_command_lists_the_faults_and_fails(tmp_path):
    text = TEXT.replace("seed: 1", "sed: 1", 1).replace("by: review", "by: reviw")
    done = answer(tmp_path, "-m", "stages.check", text=text.encode())
    assert done.returncode == 1
    assert done.stderr == (
        "check: params.yaml: 2 faults\n"
        "  `split.by`: must be 'review' or 'group', not 'reviw'; did you mean `review`?\n"
        "  `sed` is not known; did you mean `seed`?\n"
    )


def test_a_stage_does_nothing_if_another_section_has_a_fault(tmp_path):
    text = TEXT.replace("    max_gap: 0.13", "    max_gap: 15")
    done = answer(tmp_path, "-m", "stages.tokenize", text=text.encode())
    assert done.returncode == 1
    assert done.stderr.startswith("tokenize: params.yaml: `evaluate.fit.max_gap`: ")
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_checks_the_parameters_before_it_runs(stage):
    text = (ROOT / f"stages/{stage}.py").read_text(encoding="utf-8")
    assert re.findall(r"\S*run\(.*\bmain\)", text) == [f'check.run("{stage}", main)']


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "params.yaml: expected `name: value` pairs"),
        (b"# nothing\n", "params.yaml: expected `name: value` pairs"),
        (b"- a\n- b\n", "params.yaml: expected `name: value` pairs"),
        (b"seed: 1\nmodel: gru\nseed: 2\n", 'params.yaml, line 3: .*found duplicate key "seed"'),
        (b"split:\n\tseed: 1\n", "params.yaml, line 2: .*indent with spaces"),
        (b"a: 1\nb: \xff\n", "params.yaml, line 2: not UTF-8; save the file as UTF-8"),
        ("a: ñ".encode("utf-16"), "params.yaml, line 1: not UTF-8"),
        (b"a: 1\nb: \x00\n", "params.yaml: .*unacceptable character #x0000"),
        ("a: 1\nmodel:\u00a0gru\n", "params.yaml, line 2: a no-break space in `model:.xa0gru`, wh"),
        ("model: gru\u00a0\n", "params.yaml, line 1: a no-break space in `model: gru"),
        ("model: gru\u00a0# why\n", "params.yaml, line 1: a no-break space"),
        ("a:\n\u00a0\u00a0b: 1\n", "params.yaml, line 2: a no-break space"),
        ("a:\n - \u2003b\n", "params.yaml, line 2: a em space in"),
        ("a:\n -\u00a0b\n", "params.yaml, line 2: a no-break space"),
        ("my\u00a0key: 1\n", "params.yaml, line 1: a no-break space"),
        ("a: \u200bb\n", "params.yaml, line 1: a zero width space"),
        (b"a: [1,\n", "params.yaml, line 2: not readable as YAML"),
        (b"a: 1\n---\nb: 2\n", "params.yaml, line 2: .*but found another document"),
        (b"a: !!python/object:os.system x\n", "params.yaml, line 1: .*could not determine a"),
        (b"a: 1\nb: 2020-13-45\n", "params.yaml: not readable as YAML: month must be in"),
        (b"a: !!bool abc\n", "params.yaml: not readable as YAML: 'abc'; correct it"),
        (b"a: " + b"[" * 5000, "params.yaml: not readable as YAML: maximum recursion depth"),
        (b"a: " + b"9" * 5000, "params.yaml: not readable as YAML: Exceeds the"),
        (b"1: a\n", "`1`: keys must be strings, not 1"),
        (b"split:\n  null: b\n", "`split.None`: keys must be strings, not null"),
        (b"? [a]\n: b\n", "keys must be strings"),
        (b"a: &a\n- *a\n", "`a` is not known"),
        (None, "params.yaml: no such file or directory; run the command in the root of the repo"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_line(tmp_path, monkeypatch, text, said):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("params.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(PipelineError, match=said) as error:
        check_main()
    assert re.match(r"params\.yaml(, line \d+)?: ", str(error.value))


@pytest.mark.parametrize("line", ["# a\u00a0b", "a: 'b\u00a0'", "a: b\u00a0c", "\ufeffa: 1"])
def test_a_no_break_space_in_a_comment_or_inside_a_value_is_taken(line):
    assert reader.parse(f"{line}\nb: 1\n", "params.yaml")["b"] == 1
