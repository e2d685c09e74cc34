from pathlib import Path

import pytest

from ajuste.config import reader
from ajuste.errors import PipelineError


class Section(reader.Params):
    count: reader.Positive
    share: reader.Share = 0.5


def load(tmp_path: Path, text: str, key: str = "section", schema: type = Section):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return reader.load(key, schema, path)


def test_a_section_is_an_instance_of_its_schema(tmp_path):
    assert load(tmp_path, "section:\n  count: 3\n") == Section(count=3, share=0.5)


def test_a_nested_key_is_found(tmp_path):
    assert load(tmp_path, "a:\n  b:\n    count: 3\n", "a.b").count == 3


def test_plain_words_and_numbers_mean_the_same_as_in_dvc(tmp_path):
    text = "labels:\n- no\n- yes\n- off\nrate: 1e-3\n"
    assert load(tmp_path, text, "labels", list[str]) == ["no", "yes", "off"]
    assert load(tmp_path, text, "rate", float) == 0.001


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("other: 1", "no `section` at the top level; valid: other"),
        ("section:\n  count: 0", "`section.count`: input should be greater than 0, not 0"),
        ("section:\n  count: '3'", "`section.count`: input should be a valid integer, not '3'"),
        ("section:\n  count: true", "`section.count`: input should be a valid integer"),
        ("section: {}", "`section.count` is missing"),
        ("section:\n  count: 1\n  cuont: 2", "`section.cuont` is not known; did you mean `count`?"),
        ("section:\n  count: 1\n  size: 2", "`section.size` is not known; valid: count, share"),
    ],
)
def test_a_fault_is_named(tmp_path, text, said):
    with pytest.raises(PipelineError) as error:
        load(tmp_path, text)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "schema"),
    [("seed: '7'", reader.Seed), ("seed: 'no'", bool), ("seed: 4294967296", reader.Seed)],
)
def test_single_values_are_checked_strictly(tmp_path, text, schema):
    with pytest.raises(PipelineError, match="`seed`"):
        load(tmp_path, text, "seed", schema)


def test_all_faults_are_named_at_once(tmp_path):
    with pytest.raises(PipelineError) as error:
        load(tmp_path, "section:\n  count: 0\n  share: 2\n  colour: red\n")
    for key in ("section.count", "section.share", "section.colour"):
        assert key in str(error.value)


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(PipelineError, match="run the command in the root of the repository"):
        reader.load("seed", int, tmp_path / "params.yaml")
