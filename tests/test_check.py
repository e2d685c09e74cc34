"""The whole-file check of `params.yaml`, and what it says of a file that is not as it should be."""

import os
import re
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from ajuste.config import check, reader
from ajuste.errors import PipelineError
from ajuste.training import networks
from stages.check import main as check_main

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
GIVEN = reader.parse(TEXT, "params.yaml")
FREE = (("models",), ("gate", "bounds"))  # under these, the user chooses the keys
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
HEAVY = {"keras", "tensorflow", "pandas", "great_expectations", "matplotlib"}


def faults(given: dict) -> list[str]:
    return check.faults(given, networks.options)


def paths(tree: dict, above: tuple = ()) -> list[tuple]:
    """The place of every key of nested dictionaries."""
    found = []
    for key, value in tree.items():
        found.append((*above, key))
        found += paths(value, (*above, key)) if isinstance(value, dict) else []
    return found


def at(tree: dict, place: tuple):
    for part in place:
        tree = tree[part]
    return tree


def changed(place: tuple, value) -> dict:
    """The parameters with another value at a place; a dictionary is merged into what is there."""
    given = deepcopy(GIVEN)
    inside = at(given, place[:-1])
    new = not isinstance(value, dict)
    inside[place[-1]] = value if new else {**inside[place[-1]], **value}
    return given


KEYS = [place for place in paths(GIVEN) if place[:-1] not in FREE]
LEAVES = [place for place in paths(GIVEN) if not isinstance(at(GIVEN, place), dict)]
NUMBERS = [place for place in LEAVES if type(at(GIVEN, place)) in (int, float)]


def dotted(place: tuple) -> str:
    return ".".join(place)


def typos(key: str, beside: set[str]) -> set[str]:
    """Ways to misspell a key by one letter, but for what is a key itself."""
    middle = len(key) // 2
    made = {key[:middle] + key[middle:][:1] + key[middle:], key[:middle] + key[middle + 1 :]}
    if len(key) > 3:
        made |= {key[0] + key[2] + key[1] + key[3:], key[:-1] + "x"}
    return made - beside


@pytest.mark.parametrize("place", KEYS, ids=dotted)
def test_a_misspelt_key_is_named_with_the_right_one(place):
    *above, key = place
    for typo in typos(key, set(at(GIVEN, tuple(above)))):
        given = deepcopy(GIVEN)
        inside = at(given, tuple(above))
        inside[typo] = inside.pop(key)
        assert faults(given) == [
            f"`{'.'.join([*above, typo])}` is not known; did you mean `{key}`?"
        ]


@pytest.mark.parametrize("place", LEAVES, ids=dotted)
def test_what_is_no_value_for_a_key_is_named(place):
    now = at(GIVEN, place)
    named = now is None or isinstance(now, str)  # `data.csv.group` may be null
    wrong = [{}, *([3, ["a"], ""] if named else ["text", [[]]])]
    wrong += [None] if now is not None else []
    wrong += [True] if not isinstance(now, bool) else [1]
    for value in wrong:
        given = deepcopy(GIVEN)
        given["data"]["source"] = "csv"  # so that its labels are looked at
        at(given, place[:-1])[place[-1]] = value
        found = faults(given)
        assert found, value
        assert place[-1] in found[0], value
        assert not any("\n" in fault for fault in found)


@pytest.mark.parametrize("place", NUMBERS, ids=dotted)
def test_a_number_that_can_only_be_a_mistake_is_named(place):
    wrong = [float("nan"), float("inf"), float("-inf")]
    wrong += [-1] if place[0] != "gate" else []
    wrong += [10**12, 10**5000] if isinstance(at(GIVEN, place), int) else []
    for value in wrong:
        (fault,) = faults(changed(place, value))
        assert f"`{dotted(place)}`: " in fault


class Deep:
    """What stands so deep in a value that it must not be written out."""

    def __repr__(self):
        pytest.fail("written out")


BILLION = Deep()
for _ in range(9):
    BILLION = [BILLION] * 10


@pytest.mark.parametrize("place", KEYS, ids=dotted)
def test_what_stands_for_a_billion_values_is_not_written_out(place):
    for value in (BILLION, {"a": BILLION}):
        given = deepcopy(GIVEN)
        given["data"]["source"] = "csv"
        at(given, place[:-1])[place[-1]] = value
        found = faults(given)
        assert found or place[0] == "gate"
        assert all(len(fault) < 600 for fault in found)


@pytest.mark.parametrize("end", ["seed: *x6\n", "seed: *x6\nseed: 1\n", "seed: {*x6 : 1}\n"])
def test_aliases_of_aliases_make_no_long_message(end):
    lines = "".join(f"x{n}: &x{n} [{f'*x{n - 1}, ' * 10}]\n" for n in range(1, 7))
    with pytest.raises(PipelineError) as error:
        reader.checked(reader.parse(f"x0: &x0 a\n{lines}{end}", "p"), dict[str, str])
    assert all(len(line) < 600 for line in str(error.value).splitlines())


@pytest.mark.parametrize("place", [place for place in KEYS if len(place) == 1], ids=dotted)
def test_a_section_that_is_missing_is_named(place):
    given = {key: value for key, value in GIVEN.items() if key != place[0]}
    assert faults(given) == [f"`{place[0]}` is missing"]


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("model", "grru", "`model` is 'grru'; did you mean `gru`? valid: nn, rnn, lstm, gru, bow"),
        ("model", "transformer", "`model` is 'transformer'; valid: nn, rnn, lstm"),
        ("task", "Binary", "not 'Binary'; did you mean `binary`?"),
        ("data.source", "csw", "'bundled', 'stanford' or 'csv', not 'csw'; did you mean `csv`?"),
        ("data.stanford.label", "star", "not 'star'; did you mean `stars`?"),
        ("embed.source", "flie", "not 'flie'; did you mean `file`?"),
        ("embed.stanford.width", 99, "`embed.stanford.width`: input should be 50, 100, 200 or 300"),
        ("tokenize.keep", "lats", "not 'lats'; did you mean `last`?"),
        ("gate.allow", ["dorp"], "`gate.allow.0`: input should be 'drop' or 'overfitting'"),
        ("evaluate.fit", {"gap": 1}, "`evaluate.fit.gap` is not known; did you mean `max_gap`?"),
        ("data.csv", {"colour": 1}, "`data.csv.colour` is not known; valid: path, separator,"),
        ("models.gru", None, "`models.gru`: expected `name: value` pairs, not null"),
        ("models.nn", {"network": "dnse"}, "did you mean `dense`? valid: dense, bag_of_words"),
        ("models.gru", {"loss": "mean_squared_error"}, "valid for `task: binary`: binary_cross"),
        ("models.nn", {"loss": "hinge"}, "`models.nn.loss` is 'hinge'; valid: binary_crossentropy"),
        ("models.nn", {"recurrent_dropout": 0.1}, "`models.nn.recurrent_dropout` is not known"),
        ("models.lstm", {"dropout_layers": 2}, "`models.lstm.dropout_layers` is not known; valid"),
        ("task", "regression", "`task`: the labels of bundled (sentiment) are not fit for task"),
        ("split.test", 0.95, "`split`: `validation` and `test` must be above 0, and below 1"),
        ("data.csv.path", "a\0b", "`data.csv.path`: string should match pattern"),
        ("data.csv", {"a\nb": 1}, "`data.csv.a b` is not known; valid: path"),
        ("words.positive", ["bad"], "`words`: in `positive` and `negative` more than once: bad"),
    ],
)
def test_a_fault_and_what_to_do_are_one_line(place, value, said):
    (fault,) = faults(changed(tuple(place.split(".")), value))
    assert said in fault
    assert "\n" not in fault


@pytest.mark.parametrize(
    ("source", "task", "said"),
    [
        ({"source": "csv"}, "binary", []),
        ({"source": "csv"}, "regression", ["`data.csv.labels.0`", "`data.csv.labels.1`"]),
        ({"source": "csv"}, "multilabel", []),
        ({"source": "stanford"}, "binary", []),
        ({"source": "stanford"}, "multilabel", ["`task`: the labels of stanford (sentiment)"]),
    ],
)
def test_the_labels_of_the_source_in_use_must_fit_the_task(source, task, said):
    found = faults({**changed(("data",), source), "task": task})
    assert [fault[: len(one)] for fault, one in zip(found, said, strict=True)] == said


@pytest.mark.parametrize("task", ["regression", "unit_regression"])
@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0.0, 1e39], "the labels 0 and 1e+39 are too large, or too close to each other"),
        ([-1e308, 1.7e308], "the labels -1e+308 and 1.7e+308 are too large"),
        ([0.0, 1e-300], "too close to each other, for 32 bits; count in another unit"),
        ([1e9, 1e9 + 1], "too close to each other, for 32 bits; count in another unit"),
        ([5.0, 1.0], "`labels` takes the lowest number first"),
        ([0.0, 1e12], None),
        ([0.0, 1e-9], None),
        ([1900.0, 2020.0], None),
    ],
)
def test_labels_that_a_network_could_not_learn(task, labels, said):
    given = changed(("data", "csv"), {"labels": labels}) | {"task": task}
    given["data"]["source"] = "csv"
    found = faults(given)
    assert len(found) == (said is not None)
    assert all(said in fault for fault in found)


def test_the_loss_of_a_network_that_is_not_in_use_may_be_that_of_another_task():
    assert faults(changed(("models", "nn"), {"loss": "mean_squared_error"})) == []


def test_faults_of_all_sections_are_named_at_once():
    given = changed(("models", "nn"), {"unit": 3, "epochs": -1})
    given["models"]["lstm"]["optimiser"] = given["models"]["lstm"].pop("optimizer")
    given["split"] = None
    del given["seed"]
    given |= {"model": "nnn", "colour": "red"}
    expected = ["`seed` is missing", "`split`: ", "`colour` is not known", "`model` is 'nnn'"]
    expected += ["`models.nn.epochs`: ", "`models.nn.unit` is not", "`models.lstm.optimiser` is"]
    found = faults(given)
    assert [fault[: len(one)] for fault, one in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"unit": 3}, "`models.gru.unit` is not known; did you mean `units`?"),
        ({"units": 0}, "`models.gru.units`: input should be greater than 0, not 0"),
        ({"units": 10**12}, "`models.gru.units`: input should be less than or equal to 10000, not"),
        ({"units": "32"}, "`models.gru.units`: input should be a valid integer, not '32'"),
        ({"dropout": 1.0}, "`models.gru.dropout`: input should be less than 1"),
        ({"network": ["gru"]}, "`models.gru.network` is ['gru']; valid: dense"),
        ({"network": "transformer"}, "'transformer'; valid: dense, bag_of_words, simple_rnn"),
        ({"optimizer": "adma"}, "`models.gru.optimizer`: input should be 'sgd', 'adagrad'"),
        ({"optimizer": "adma"}, "not 'adma'; did you mean `adam`?"),
        ({"learning_rate": -1.0}, "`models.gru.learning_rate`"),
        ({"embedding": "scratch"}, "`embedding_width` and `max_features` go with"),
        ({"max_features": 5}, "`embedding_width` and `max_features` go with"),
        ({"activation": "swish"}, "`models.gru.activation`: input should be 'linear', 'sigmoid'"),
        ({"l2": -0.1}, "`models.gru.l2`: input should be greater than or equal to 0"),
        ({"clip_norm": 0.0}, "`models.gru.clip_norm`: input should be greater than 0"),
        ({"loss": "hinge"}, "is 'hinge'; valid for `task: binary`: binary_crossentropy"),
        ({"dropout_layers": 2}, "`models.gru.dropout_layers` is not known; valid: network"),
    ],
)
def test_a_wrong_option_is_named(changes, said):
    with pytest.raises(PipelineError) as error:
        networks.options("gru", {**GIVEN["models"]["gru"], **changes}, "binary")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_options_are_all_named():
    with pytest.raises(PipelineError) as error:
        networks.options("mine", {"network": "gru", "optimizer": "adam"})
    for option in ("units", "embedding", "epochs"):
        assert f"`models.mine.{option}`" in str(error.value)


@pytest.mark.parametrize("name", GIVEN["models"])
def test_an_option_of_no_network_is_named_for_every_one(name):
    with pytest.raises(PipelineError, match=rf"`models.{name}.colour` is not known; valid: netw"):
        networks.options(name, {**GIVEN["models"][name], "colour": "red"})


def answer(folder: Path, *command: str, text: bytes | None) -> subprocess.CompletedProcess:
    """What a command says in a folder that holds nothing but `params.yaml`."""
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
    text = TEXT.replace("seed: 1", "sed: 1", 1).replace("keep: last", "keep: lsat")
    done = answer(tmp_path, "-m", "stages.check", text=text.encode())
    assert done.returncode == 1
    assert done.stderr == (
        "check: params.yaml: 2 faults\n"
        "  `tokenize.keep`: input should be 'first' or 'last', not 'lsat'; did you mean `last`?\n"
        "  `sed` is not known; did you mean `seed`?\n"
    )


def test_a_stage_does_nothing_where_another_section_has_a_fault(tmp_path):
    text = TEXT.replace("    max_gap: 0.15", "    max_gap: 15")
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
        (b"a: 1\nb: \x00\n", "params.yaml, line 2: .*the character 0x0"),
        (b"a: [1,\n", "params.yaml, line 2: not readable as YAML"),
        (b"a: 1\n---\nb: 2\n", "params.yaml, line 2: .*but found another document"),
        (b"a: !!python/object:os.system x\n", "params.yaml, line 1: .*could not determine a"),
        (b"a: 1\nb: 2020-13-45\n", "params.yaml, line 2: not readable as YAML: month must be in"),
        (b"a: |\n \n  b\n c\n", "params.yaml, line 3: not readable as YAML: more indented"),
        (b"a: !!bool abc\n", "params.yaml, line 1: not readable as YAML: 'abc' is no !!bool"),
        (b'a: !!int ""\n', "params.yaml, line 1: not readable as YAML: '' is no !!int"),
        (b'a: !!float ""\n', "params.yaml, line 1: not readable as YAML: '' is no !!float"),
        (b"a: " + b"[" * 5000, "params.yaml: not readable as YAML: maximum recursion depth"),
        (b"a: " + b"9" * 5000, "params.yaml, line 1: not readable as YAML: Exceeds the"),
        (b"1: a\n", "params.yaml, line 1: .*the key 1 is no text; put quotes around it"),
        (b"a:\n  true: b\n", "params.yaml, line 2: .*the key true is no text; put quotes around"),
        (b"a: &a {}\nb:\n  <<: *a\n  null: b\n", "params.yaml, line 4: .*the key null is no text"),
        (b"? [a]\n: b\n", "params.yaml, line 1: .*the key that is a list or has keys is no text"),
        (b"? !!str [a]\n: b\n", "params.yaml, line 1: .*expected a scalar node"),
        (b'a:\n  "\\ud800": 1\n', r"params.yaml, line 2: .*the key \\ud800 is no text"),
        (b"a: &a\n- *a\n", "`a` is not known"),
        (None, "params.yaml: no such file or directory; run from the repository's root"),
    ],
)
def test_what_is_no_file_of_parameters_is_named_with_the_line(tmp_path, monkeypatch, text, said):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("params.yaml").write_bytes(text)
    with pytest.raises(PipelineError, match=said) as error:
        check_main()
    assert re.match(r"params\.yaml(, line \d+)?: ", str(error.value))
