from pathlib import Path

import pytest

from ajuste.config import reader
from ajuste.errors import PipelineError


class Section(reader.Params):
    count: reader.Positive
    share: reader.Share = 0.5


def load(tmp_path: Path, text: str, key: str, schema: type = Section):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return reader.load(key, schema, path)


def test_a_section_is_an_instance_of_its_schema(tmp_path):
    assert load(tmp_path, "a:\n  b:\n    count: 3\n", "a.b") == Section(count=3, share=0.5)


def test_plain_words_and_numbers_mean_the_same_as_in_dvc(tmp_path):
    text = "labels:\n- no\n- yes\n- off\nrate: 1e-3\n"
    assert load(tmp_path, text, "labels", list[str]) == ["no", "yes", "off"]
    assert load(tmp_path, text, "rate", float) == 0.001


@pytest.mark.parametrize(
    ("text", "key", "schema", "said"),
    [
        ("other: 1", "a", Section, "no `a` at the top level; valid: other"),
        ("a:\n  c: 1", "a.b", Section, "no `b` under `a`; valid: c"),
        ("a:\n  count: '3'", "a", Section, "`a.count`: must be a valid integer, not '3'"),
        ("a:\n  count: 1\n  size: 2", "a", Section, "`a.size` is not known; valid: count, share"),
        ("seed: '7'", "seed", reader.Seed, "`seed`: must be a valid integer"),
        ("seed: 'no'", "seed", bool, "`seed`: must be a valid boolean"),
        ("seed: 4294967296", "seed", reader.Seed, "`seed`: must be less than 4294967296"),
    ],
)
def test_a_fault_is_named(tmp_path, text, key, schema, said):
    with pytest.raises(PipelineError) as error:
        load(tmp_path, text, key, schema)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
