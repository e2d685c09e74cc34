import json

import pytest

pytestmark = pytest.mark.slow


def test_what_a_result_was_computed_with(tmp_path):
    from ajuste import environment

    result, record = tmp_path / "model.keras", tmp_path / "environment.json"
    result.write_bytes(b"weights")
    environment.record(record, result)
    told = json.loads(record.read_text())
    assert told["packages"].keys() == {"tensorflow", "keras", "numpy"}
    assert told["instruction_set"]
    assert told["cores"] >= 1
    assert told["threads"] == {"within": 0, "between": 0}


def test_a_record_of_the_same_bytes_stays_and_one_of_others_does_not(tmp_path):
    from ajuste import environment

    result, record = tmp_path / "model.keras", tmp_path / "environment.json"
    result.write_bytes(b"weights")
    environment.record(record, result)
    elsewhere = {**json.loads(record.read_text()), "python": "3.99"}
    record.write_text(json.dumps(elsewhere))
    environment.record(record, result)
    assert json.loads(record.read_text()) == elsewhere
    result.write_bytes(b"other weights")
    environment.record(record, result)
    assert json.loads(record.read_text())["python"] != "3.99"
