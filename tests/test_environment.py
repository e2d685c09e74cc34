import json

import pytest

pytestmark = pytest.mark.slow


def test_what_a_result_was_computed_with(tmp_path):
    from ajuste.training import environment

    result, record = tmp_path / "model.keras", tmp_path / "environment.json"
    result.write_bytes(b"weights")
    environment.record(record, result, environment.describe())
    told = json.loads(record.read_text())
    assert told["packages"].keys() == {"tensorflow", "keras", "numpy"}
    assert told["instruction_set"]
    assert told["processor"]
    assert told["cores"] >= 1
    assert told["threads"] == {"within": 0, "between": 0}


def test_variables_that_bear_upon_it_are_told(monkeypatch):
    from ajuste.training import environment

    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    told = environment.describe()["variables"]
    assert told["TF_NUM_INTRAOP_THREADS"] == "1"
    assert "OMP_NUM_THREADS" not in told


@pytest.mark.parametrize("text", ["<<<<<<< HEAD\n{}\n", "[]", "null", "{}", '{"sha256": 1}'])
def test_a_record_that_tells_nothing_is_written_anew(tmp_path, text):
    from ajuste.training import environment

    result, record = tmp_path / "model.keras", tmp_path / "environment.json"
    result.write_bytes(b"weights")
    record.write_text(text)
    environment.record(record, result, {"python": "3.11.7"})
    assert json.loads(record.read_text())["python"] == "3.11.7"


def test_a_record_of_the_same_bytes_stays_and_one_of_others_does_not(tmp_path):
    from ajuste.training import environment

    result, record = tmp_path / "model.keras", tmp_path / "environment.json"
    result.write_bytes(b"weights")
    environment.record(record, result, environment.describe())
    elsewhere = {**json.loads(record.read_text()), "python": "3.99"}
    record.write_text(json.dumps(elsewhere))
    environment.record(record, result, environment.describe())
    assert json.loads(record.read_text()) == elsewhere
    result.write_bytes(b"other weights")
    environment.record(record, result, environment.describe())
    assert json.loads(record.read_text())["python"] != "3.99"


def test_the_processor_and_its_caches_as_linux_tells_them(tmp_path):
    from ajuste.training import environment

    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\n"
        "model name\t: Intel(R) Xeon(R)\nbugs\t\t:\n\nprocessor\t: 1\nmodel name\t: other\n"
    )
    told = {"name": "Intel(R) Xeon(R)", "vendor": "GenuineIntel", "family": "6", "model": "143"}
    assert environment._processor(tmp_path / "cpuinfo") == told
    for number, content in enumerate(("1 Data 48K", "1 Instruction 32K", "2 Unified 2048K")):
        (tmp_path / f"index{number}").mkdir()
        for name, value in zip(("level", "type", "size"), content.split(), strict=True):
            (tmp_path / f"index{number}" / name).write_text(f"{value}\n")
    sizes = {"L1 data": "48K", "L1 instruction": "32K", "L2": "2048K"}
    assert environment._caches(tmp_path) == sizes


def test_where_linux_does_not_tell_there_is_a_name_at_least(tmp_path):
    from ajuste.training import environment

    assert environment._processor(tmp_path / "cpuinfo").keys() == {"name"}
    assert environment._caches(tmp_path) == {}
