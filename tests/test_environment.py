import json
import os
import sys

import pytest
from conftest import ROOT, run

from ajuste.files import recorded

pytestmark = pytest.mark.slow


@pytest.fixture
def environment():
    from ajuste.training import environment

    return environment


@pytest.fixture
def files(tmp_path):
    """A record to write, and the model that it is about."""
    (tmp_path / "model.keras").write_bytes(b"weights")
    return tmp_path / "environment.json", tmp_path / "model.keras"


def test_the_environment_of_a_result(environment, files):
    environment.record(*files, environment.describe())
    found = json.loads(files[0].read_text())
    assert found["packages"].keys() == {"tensorflow", "keras", "numpy"}
    assert found["instruction_set"]
    assert found["processor"]
    assert found["cores"] >= 1
    assert found["threads"] == {"within": 1, "between": 0}


def test_variables_that_may_change_a_result_are_in_the_record(environment, monkeypatch):
    for name in list(os.environ):
        if environment.VARIABLES.fullmatch(name):
            monkeypatch.delenv(name)
    for name in ("TF_NUM_INTRAOP_THREADS", "OPENBLAS_L2_SIZE", "TF_VAR_password", "HOME"):
        monkeypatch.setenv(name, "1")
    found = environment.describe()["variables"]
    assert found == {"OPENBLAS_L2_SIZE": "1", "TF_NUM_INTRAOP_THREADS": "1"}


@pytest.mark.parametrize("text", ["<<<<<<< HEAD\n{}\n", "[]", "null", "{}", '{"sha256": 1}'])
def test_a_damaged_record_is_written_again(environment, files, text):
    files[0].write_text(text)
    assert recorded(*files) is None
    environment.record(*files, {"python": "3.11.7"})
    assert recorded(*files)["python"] == "3.11.7"


def test_a_record_stays_while_the_bytes_of_the_model_stay(environment, files):
    assert recorded(*files) is None
    environment.record(*files, {"python": "3.99"})
    environment.record(*files, {"python": "3.11"})
    assert recorded(*files)["python"] == "3.99"
    files[1].write_bytes(b"other weights")
    assert recorded(*files) is None
    environment.record(*files, {"python": "3.11"})
    assert recorded(*files)["python"] == "3.11"


def test_the_processor_and_its_caches_on_linux(environment, tmp_path):
    assert environment._processor(tmp_path / "cpuinfo").keys() == {"name"}
    assert environment._caches(tmp_path) == {}
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\n"
        "model name\t: Intel(R) Xeon(R)\nbugs\t\t:\n\nprocessor\t: 1\nmodel name\t: other\n"
    )
    expected = {"name": "Intel(R) Xeon(R)", "vendor": "GenuineIntel", "family": "6", "model": "143"}
    assert environment._processor(tmp_path / "cpuinfo") == expected
    for number, content in enumerate(("1 Data 48K", "1 Instruction 32K", "2 Unified 2048K")):
        (tmp_path / f"index{number}").mkdir()
        for name, value in zip(("level", "type", "size"), content.split(), strict=True):
            (tmp_path / f"index{number}" / name).write_text(f"{value}\n")
    sizes = {"L1 data": "48K", "L1 instruction": "32K", "L2": "2048K"}
    assert environment._caches(tmp_path) == sizes
    for missing in ("size", "type", "level"):  # as on virtual machines with arm64
        (tmp_path / "index1" / missing).unlink()
        assert environment._caches(tmp_path) == {"L1 data": "48K", "L2": "2048K"}


def test_the_settings_of_a_user_do_not_change_keras(tmp_path, monkeypatch):
    """In a new process, since Keras reads them when it is imported."""
    settings = {"backend": "jax", "floatx": "float16", "epsilon": 0.1, "nnx_enabled": True}
    for folder in (tmp_path, tmp_path / ".keras"):
        folder.mkdir(exist_ok=True)
        (folder / "keras.json").write_text(
            json.dumps(settings | {"image_data_format": "channels_first"})
        )
    variables = {"HOME": tmp_path, "KERAS_HOME": tmp_path, "KERAS_BACKEND": "torch"}
    variables |= {"KERAS_MAX_EPOCHS": 1, "KERAS_MAX_STEPS_PER_EPOCH": 1}
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    program = """if True:
        from ajuste.training.backend import keras
        c = keras.config
        print(c.backend(), c.floatx(), c.epsilon(), c.image_data_format(), c.max_epochs(),
              c.max_steps_per_epoch(), c.is_nnx_enabled())
    """
    done = run(sys.executable, "-c", program, cwd=ROOT)
    assert done.stdout == "tensorflow float32 1e-07 channels_last None None False\n"
