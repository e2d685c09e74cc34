import hashlib
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

from ajuste.errors import PipelineError
from ajuste.files import read_arrays, replacing, write_arrays, write_json


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"


PRELUDE = """
import os, sys
from pathlib import Path
from ajuste.files import replacing, write_text
path = Path(sys.argv[1])
"""


def elsewhere(program, path):
    """Run lines in a process of its own; its exit code."""
    return subprocess.run([sys.executable, "-c", PRELUDE + program, path], cwd=ROOT).returncode


def test_two_that_write_one_file_do_not_mix(tmp_path):
    path = tmp_path / "a.txt"
    with replacing(path) as temporary, temporary.open("w") as file:
        file.write("one\n")
        file.flush()
        assert elsewhere("write_text(path, 'the other\\n')", path) == 0
        assert path.read_text() == "the other\n"
        file.write("one\n")
    assert path.read_text() == "one\none\n"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path):
    path = tmp_path / "a.txt"
    other = tmp_path / ".a.txt.of-mine.part"
    other.write_text("not ours")
    assert elsewhere("with replacing(path) as half:\n half.touch(); os._exit(9)", path) == 9
    assert len(list(tmp_path.iterdir())) == 2
    with replacing(path) as temporary:
        temporary.write_text("whole")
    assert sorted(tmp_path.iterdir()) == [other, path]


def test_json_refuses_what_json_cannot_hold(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_equal_arrays_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write_arrays(tmp_path / name, x=np.arange(3), y=np.ones((2, 2), np.float32))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert read_arrays(tmp_path / "a")["x"].tolist() == [0, 1, 2]


def test_pickled_objects_are_not_loaded(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([object()], dtype=object))
    with pytest.raises(PipelineError, match="pickle"):
        read_arrays(tmp_path / "a.npz")


def test_arrays_are_written_alike_by_every_python(tmp_path):
    write_arrays(tmp_path / "a.npz", token_ids=np.arange(6, dtype=np.int32).reshape(2, 3))
    digest = hashlib.sha256((tmp_path / "a.npz").read_bytes()).hexdigest()
    assert digest == "9d7fddae59015b201dc4be8a4124471fa1a8741a986b61e654a8a013a0778a80"
