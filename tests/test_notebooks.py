"""The notebooks for class, one for each language, with the same code."""

import ast
import json
import re
import shutil
import sys
import xml.etree.ElementTree as ElementTree

import pytest
import yaml
from conftest import ROOT, run

from ajuste.training.entry_schema import options

NAMES = ("lesson.ipynb", "leccion.ipynb")
BOOKS = {
    name: json.loads((ROOT / "notebooks" / name).read_text(encoding="utf-8")) for name in NAMES
}
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
MADE = {
    next(iter(out)) if isinstance(out, dict) else out
    for stage in STAGES
    for kind in ("outs", "metrics", "plots")
    for out in stage.get(kind, [])
}


def cells(name, kind):
    return [cell for cell in BOOKS[name]["cells"] if cell["cell_type"] == kind]


def text(name):
    return "\n\n".join("".join(cell["source"]) for cell in cells(name, "markdown"))


def quoted(name):
    """The code in the text: spans, and the lines of fenced blocks."""
    blocks = re.findall(r"```console\n(.*?)```", text(name), re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text(name), flags=re.DOTALL))
    return [*spans, *(line for block in blocks for line in block.splitlines())]


def test_both_languages_have_the_same_code_in_the_same_order():
    english, spanish = (BOOKS[name] for name in NAMES)
    kinds = [[(cell["id"], cell["cell_type"]) for cell in one["cells"]] for one in BOOKS.values()]
    assert kinds[0] == kinds[1]
    assert cells(NAMES[0], "code") == cells(NAMES[1], "code")
    assert {**english, "cells": []} == {**spanish, "cells": []}
    for one, other in zip(*(cells(name, "markdown") for name in NAMES), strict=True):
        assert one["source"] != other["source"]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_run_is_stored(name):
    book = BOOKS[name]
    assert book["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert all(cell["metadata"] == {} for cell in book["cells"])
    for cell in cells(name, "code"):
        assert (cell["outputs"], cell["execution_count"]) == ([], None)


@pytest.mark.parametrize("name", NAMES)
def test_the_files_that_the_text_names_exist_or_are_made(name):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", text(name))
    assert len(links) == 2
    assert [link for link in links if not (ROOT / "notebooks" / link).exists()] == []
    words = {word for code in quoted(name) if "(" not in code for word in code.split()}
    paths = {word for word in words if re.fullmatch(r"[\w.-]+(/[\w.-]+)+|\w+\.\w+", word)}
    paths -= {".venv/bin/activate", "serving.predict"}
    assert len(paths) > 5
    assert f"notebooks/{name}" in paths
    assert [path for path in paths if not ((ROOT / path).exists() or path in MADE)] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_commands_that_the_text_names_exist(name):
    commands = [code.split() for code in quoted(name)]
    targets = [words[1] for words in commands if words[0] == "make"]
    assert targets
    assert [target for target in targets if f"\n{target}:" not in MAKEFILE] == []
    [module] = [words[2:4] for words in commands if words[:2] == ["python", "-m"]]
    assert module == ["serving.predict", "--why"]


@pytest.mark.parametrize("name", NAMES)
def test_every_network_that_the_text_proposes_is_valid(name):
    calls = [ast.parse(code).body[0].value for code in quoted(name) if code.startswith("learn(")]
    assert len(calls) == 5
    for call in calls:
        entry, reviews = (argument.value for argument in call.args)
        changes = {one.arg: ast.literal_eval(one.value) for one in call.keywords}
        options(entry, PARAMS["models"][entry] | changes, "binary")
        assert 0 < reviews <= 20_000


RUN = """
import ast, json, sys
from pathlib import Path

names, shown = {"__name__": "__main__"}, []
for cell in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        *body, last = ast.parse("".join(cell["source"])).body
        if not isinstance(last, ast.Expr):
            body.append(last)
        exec(compile(ast.Module(body, []), cell["id"], "exec"), names)
        if isinstance(last, ast.Expr):
            shown.append(eval(compile(ast.Expression(last.value), cell["id"], "eval"), names))
found = {
    "runs": {
        title: {
            "verdict": run.fit["verdict"],
            "losses": {part: losses.tolist() for part, losses in run.losses.items()},
            "accuracy": run.accuracy,
        }
        for title, run in names["runs"].items()
    },
    "pictures": [one._repr_svg_() for one in shown if hasattr(one, "_repr_svg_")],
    "linear": names["BASELINE"]["linear"]["validation"]["accuracy"],
    "label": names["answer"].label,
}
print(json.dumps(found))
"""
"""Runs a notebook as Jupyter does: from its own folder, each cell's last expression shown."""


def files(folder):
    """When each file was written, other than Python's and Git's own."""
    return {
        path.relative_to(folder).as_posix(): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and not {"__pycache__", ".git"} & {*path.parts}
    }


@pytest.fixture(scope="module")
def ran(finished, tmp_path_factory):
    """What a run of the notebook gave, and the files that it wrote or removed."""
    ignored = shutil.ignore_patterns("__pycache__", "cache")
    folder = shutil.copytree(
        finished, tmp_path_factory.mktemp("class") / "clone", symlinks=True, ignore=ignored
    )
    before = files(folder)
    done = run(sys.executable, "-c", RUN, NAMES[0], cwd=folder / "notebooks")
    changed = {path for path, _ in before.items() ^ files(folder).items()}
    return json.loads(done.stdout.splitlines()[-1]), changed


@pytest.mark.slow
def test_each_network_fits_as_its_text_says(ran):
    runs = ran[0]["runs"]
    assert {title: one["verdict"] for title, one in runs.items()} == {
        "nn": "overfitting",
        "nn, dropout": "overfitting",
        "nn, average": "underfitting",
        "bow": "optimal",
    }


@pytest.mark.slow
def test_the_curves_show_what_the_text_says(ran):
    runs = ran[0]["runs"]
    rises = {
        title: one["losses"]["validation"][-1] - min(one["losses"]["validation"])
        for title, one in runs.items()
    }
    assert rises["nn"] > 0.3
    assert max(rise for title, rise in rises.items() if title != "nn") < 0.03
    assert runs["nn"]["losses"]["train"][-1] < 0.05
    right = {title: one["accuracy"]["validation"] for title, one in runs.items()}
    gaps = {title: one["accuracy"]["train"] - right[title] for title, one in runs.items()}
    assert gaps["nn"] > gaps["nn, dropout"] > gaps["bow"] > gaps["nn, average"]
    assert right["nn, dropout"] < right["nn"] + 0.02
    assert right["nn"] + 0.05 < right["nn, average"] < right["bow"] < ran[0]["linear"]


@pytest.mark.slow
def test_each_picture_has_a_panel_for_each_network(ran):
    pictures = [set(ElementTree.fromstring(one).itertext()) for one in ran[0]["pictures"]]
    titles = [*ran[0]["runs"], "mine"]
    panels = [[title for title in titles if title in found] for found in pictures]
    assert panels == [*(titles[:count] for count in range(1, 5)), ["nn", "mine"]]


@pytest.mark.slow
def test_the_model_of_the_pipeline_answers(ran):
    assert ran[0]["label"] == "negative"


@pytest.mark.slow
def test_no_file_of_the_project_changes(ran):
    assert ran[1] == set()
