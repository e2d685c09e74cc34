from itertools import islice
from random import Random

from reliability import fuzz


def test_a_short_run_finds_nothing(tmp_path):
    outcomes, kept = fuzz.fuzz(seed=7, folder=tmp_path, most=3000)
    assert kept == []
    assert outcomes.total() == 3000
    for kind in fuzz.SEEDS:
        assert outcomes[f"{kind}: taken"] > 20  # not every file is refused
        assert sum(found.startswith(kind) for found in outcomes) >= 5


def test_the_files_before_the_damage_are_valid(tmp_path):
    for kind, contents in fuzz.SEEDS.items():
        for content in contents:
            (tmp_path / "file").write_bytes(content)
            assert fuzz.outcome(fuzz.READERS[kind], tmp_path / "file") == "taken"


def test_the_same_seed_gives_the_same_cases():
    one, other = (list(islice(fuzz.cases(Random(3)), 50)) for _ in range(2))
    assert one == other


def test_a_fault_of_a_reader_is_found_and_saved(tmp_path, monkeypatch):
    def lossy(path, needed, separator):
        rows = list(tables_read_csv(path, needed, separator))
        return [row for row in rows if "good" not in str(row)]

    tables_read_csv = fuzz.read_csv
    monkeypatch.setattr(fuzz, "read_csv", lossy)
    outcomes, kept = fuzz.fuzz(seed=1, folder=tmp_path / "faults", most=300)
    assert any("FAULT: AssertionError" in found for found in outcomes)
    assert kept
    assert fuzz.outcome(fuzz.read_table, kept[0]).startswith("FAULT: AssertionError")
    monkeypatch.undo()
    assert fuzz.outcome(fuzz.read_table, kept[0]) == "taken"


def test_a_traceback_and_a_message_of_two_lines_are_faults(tmp_path):
    def crashes(path):
        raise IndexError("list index out of range")

    def says_nothing(path):
        raise fuzz.PipelineError("not good")

    assert fuzz.outcome(crashes, tmp_path) == "FAULT: IndexError: list index out of range"
    assert fuzz.outcome(says_nothing, tmp_path).startswith("FAULT: not one line of what, where")
