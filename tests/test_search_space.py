"""Spaces of a search: their faults are found before a trial runs."""

from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from ajuste.config import reader
from ajuste.errors import PipelineError
from study import space

PARAMS = reader.read(ROOT / "params.yaml")
UNITS = {"models.gru.units": [8, 16]}


def load(folder, parameters, name="small", **more):
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"model": "gru", "parameters": parameters, **more}))
    return space.load(path, PARAMS)


@pytest.mark.parametrize("path", sorted((ROOT / "searches").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_space_of_the_project_is_valid(path):
    assert space.load(path, PARAMS).name == path.stem


@pytest.mark.parametrize(
    ("parameters", "more", "said"),
    [
        ({}, {}, "`parameters`: dictionary must have at least 1 item"),
        (UNITS, {"modle": "gru"}, "`modle` is not known"),
        (UNITS, {"model": "grru"}, "`model` is 'grru'; did you mean `gru`?"),
        ({"models.gru.units": [8]}, {}, "`parameters.models.gru.units`: list must have at least 2"),
        ({"models.gru.units": 8}, {}, "`parameters.models.gru.units`: expected `name: value`"),
        ({"models.gru.units": [8, 0]}, {}, "`models.gru.units`: must be greater than 0, not 0"),
        ({"models.gru.unit": [8, 9]}, {}, "`models.gru.unit` is not known; did you mean `units`?"),
        ({"models.gru.units": {"low": 8, "high": "9"}}, {}, "high`: must be a number, not '9'"),
        ({"models.gru.units": {"low": 8}}, {}, "`parameters.models.gru.units.high` is missing"),
        ({"models.gru.units": {"low": 8, "high": 8}}, {}, "`low` must be below `high`"),
        ({"models.gru.units": {"low": 0, "high": 8, "log": True}}, {}, "`log` needs a `low` above"),
        ({"models.gru.units": {"low": 1, "high": 8, "step": 2}}, {}, "whole `step`s"),
        ({"models.gru.units": {"low": 1, "high": 8, "step": 0}}, {}, "whole `step`s"),
        (
            {"models.gru.units": {"low": 1, "high": 9, "step": 2, "log": True}},
            {},
            "`log` and `step` exclude each other",
        ),
        ({"models.gru.units": {"low": 8, "high": 8.5}}, {}, "must be a valid integer, "),
        ({"split.validation": [0.1, 0.2]}, {}, "`parameters.split.validation` cannot be searched"),
        ({"models": [1, 2]}, {}, "`parameters.models` cannot be searched"),
        ({"models.gru.loss": ["a", "b"]}, {}, "`parameters.models.gru.loss` cannot be searched"),
        ({"models.lstm.units": [8, 9]}, {}, "has no effect on `model: gru`"),
        ({"embed.nothing": [8, 9]}, {}, "no `embed.nothing` in params.yaml"),
        (UNITS, {"set": {"models": {"gru": {"units": 4}}}}, "and has a fixed value; remove one"),
        (UNITS, {"set": {"model": "lstm"}}, "`set.model`: give `model` at the top level"),
        (UNITS, {"set": {"seed": -1}}, "`seed`: must be greater than or equal to 0, not -1"),
    ],
)
def test_a_fault_is_one_line_that_names_the_file(tmp_path, parameters, more, said):
    with pytest.raises(PipelineError) as caught:
        load(tmp_path, parameters, **more)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{tmp_path}/small.yaml: ")
    assert said in line


def test_a_missing_file_and_a_name_that_git_refuses():
    with pytest.raises(PipelineError, match=r"none\.yaml: not found; give the path of a space"):
        space.load(Path("none.yaml"), PARAMS)


def test_a_file_whose_name_cannot_name_an_experiment_is_refused(tmp_path):
    with pytest.raises(PipelineError, match="named after the file, so rename it"):
        load(tmp_path, UNITS, name="a space")


def test_integers_stay_integers_and_floats_are_short(tmp_path):
    found = load(
        tmp_path,
        {
            "models.gru.units": {"low": 8, "high": 16, "step": 4},
            "models.gru.learning_rate": {"low": 0.001, "high": 0.01, "log": True},
            "models.gru.embedding": ["frozen", "trained"],
        },
        set={"models": {"gru": {"epochs": 3}}},
    )
    sampled = {
        "models.gru.units": 12,
        "models.gru.learning_rate": 0.00123456789,
        "models.gru.embedding": 1,
    }
    assert found.overrides(sampled) == {
        "model": "gru",
        "models.gru.epochs": 3,
        "models.gru.units": 12,
        "models.gru.learning_rate": 0.00123457,
        "models.gru.embedding": "trained",
    }
    assert set(found.distributions) == set(sampled)
    assert found.distributions["models.gru.units"].step == 4
