import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

from ajuste.errors import PipelineError
from ajuste.files import read_arrays, replacing, write_arrays, write_json, write_text


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


def test_the_file_appears_when_it_is_whole_with_the_permissions_of_any_other(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    (tmp_path / "other").touch()
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode


def test_two_containers_that_write_one_file_do_not_mix(tmp_path, monkeypatch):
    """Processes in two containers may have the same process id."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    path = tmp_path / "a.txt"
    with replacing(path) as temporary, temporary.open("w") as file:
        file.write("one\n")
        file.flush()
        write_text(path, "two\n")
        assert path.read_text() == "two\n"
        file.write("one\n")
    assert path.read_text() == "one\none\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_later_write_removes_what_a_killed_process_left(tmp_path):
    path = tmp_path / "a.txt"
    other = tmp_path / ".a.txt.of-mine.part"
    other.write_text("not ours")
    killed = (
        "import os, pathlib, sys; from ajuste.files import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1])) as file: file.touch(); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", killed, path], cwd=ROOT).returncode == 9
    [left] = [one for one in tmp_path.iterdir() if one != other]
    write_text(path, "whole")
    assert left.exists()  # it could belong to a process in another container
    os.utime(left, (0, 0))
    write_text(path, "whole")
    assert sorted(tmp_path.iterdir()) == [other, path]


def test_json_refuses_what_json_cannot_hold(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_arrays_have_the_same_bytes_on_every_python(tmp_path):
    token_ids = np.arange(6, dtype=np.int32).reshape(2, 3)
    write_arrays(tmp_path / "a.npz", token_ids=token_ids)
    digest = hashlib.sha256((tmp_path / "a.npz").read_bytes()).hexdigest()
    assert digest == "9d7fddae59015b201dc4be8a4124471fa1a8741a986b61e654a8a013a0778a80"
    assert read_arrays(tmp_path / "a.npz")["token_ids"].tolist() == token_ids.tolist()


def test_pickled_objects_are_not_loaded(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([object()], dtype=object))
    with pytest.raises(PipelineError, match="pickle"):
        read_arrays(tmp_path / "a.npz")
