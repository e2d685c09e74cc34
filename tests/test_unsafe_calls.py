"""No code runs what a data file contains. Ruff's S rules find pickle, eval, shells and loaders.

These tests find what the rules miss, such as a safe default that is switched off.
"""

import re

import pytest
from conftest import ROOT

UNSAFE = re.compile(
    r"\b(?:joblib|cloudpickle|jsonpickle)\b"
    r"|\b(?:extract|extractall|unpack_archive|unsafe_load|full_load)\("
    r"|\b(?:enable_unsafe_deserialization|create_subprocess_shell)\b"
    r"|\b(?:allow_pickle|shell)=(?!False\b)|\bsafe_mode=(?!True\b)"
    r"|\bYAML\((?!\)|typ=\"(?:safe|rt)\")"
)
TESTS_OF_THIS = {"test_unsafe_calls.py", "test_bad_model.py"}
SOURCES = {path for path in ROOT.rglob("*.py") if "/." not in path.as_posix()}


def test_no_module_has_an_unsafe_call():
    assert {path.parent.name for path in SOURCES} >= {"data", "stages", "serving", "tests"}
    for path in SOURCES:
        if path.name not in TESTS_OF_THIS:
            assert not UNSAFE.search(path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize(
    "source",
    [
        "import joblib.parallel",
        "subprocess.run(text, shell=asked)",
        "np.load(path, allow_pickle=True)",
        'YAML(typ="unsafe").load(text)',
        'YAML("unsafe").load(text)',
        "archive.extractall(folder)",
        "keras.saving.load_model(path, safe_mode=False)",
    ],
)
def test_an_unsafe_call_is_found(source):
    assert UNSAFE.search(source)
