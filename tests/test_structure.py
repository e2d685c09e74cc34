"""The floor plan: imports go down only, and `dvc.yaml` names what a stage imports."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
CHECK = "stages/check.py"

GROUND = {"ajuste/errors.py", "ajuste/files.py", "ajuste/tasks.py"}
ALL_OF_AJUSTE = {
    "ajuste/config",
    "ajuste/data",
    "ajuste/evaluation",
    "ajuste/training",
    "ajuste/repository",
    "ajuste/report",
}
MAY_IMPORT = {
    "ajuste/config": set(),
    "ajuste/data": {"ajuste/config"},
    "ajuste/evaluation": {"ajuste/config"},
    "ajuste/training": {"ajuste/config", "ajuste/data", "ajuste/evaluation"},
    "ajuste/repository": {"ajuste/config", "ajuste/data"},
    "ajuste/report": set(),
    "stages": ALL_OF_AJUSTE,
    "study": ALL_OF_AJUSTE,
    "pull_request": {"study", *ALL_OF_AJUSTE},
    "serving": ALL_OF_AJUSTE,
    "demo": {"study", "serving", *ALL_OF_AJUSTE},
    "reliability": {"stages", "study", *ALL_OF_AJUSTE},
    "benchmarks": {"stages", "study", "pull_request", "serving", "reliability", *ALL_OF_AJUSTE},
}
"""For each room the rooms that it may import, besides itself and the ground."""


def room(path: str) -> str:
    """The room that a module is in; a module of the ground is its own."""
    return path if path in GROUND else str(Path(path).parent)


def modules(folder: str = "") -> list[str]:
    """The paths of all modules of the product, below a folder."""
    tops = {room.split("/")[0] for room in MAY_IMPORT}
    found = [path for top in tops for path in (ROOT / top).rglob("*.py")]
    paths = [path.relative_to(ROOT).as_posix() for path in found if path.name != "__init__.py"]
    return sorted(path for path in paths if path.startswith(folder))


def module_path(name: str) -> str | None:
    path = Path(*name.split(".")).with_suffix(".py")
    return path.as_posix() if (ROOT / path).exists() else None


def imported(path: str) -> set[str]:
    """The modules of this project that a module imports."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        found |= {module for name in names if (module := module_path(name))}
    return found


def roots(node: ast.AST) -> set[str]:
    """The packages that a node imports from anywhere."""
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    return {(node.module or "").split(".")[0]} if isinstance(node, ast.ImportFrom) else set()


def needed(path: str) -> set[str]:
    """A module and all of this project that shapes what it writes.

    Every stage calls the check of `params.yaml`, which says whether it runs and no more. It looks
    at all sections and all networks: if it counted, a new network would make every stage run.
    """
    seen, waiting = set(), {path}
    while waiting:
        module = waiting.pop()
        seen.add(module)
        waiting |= imported(module) - seen - {CHECK}
    return seen


def test_every_module_is_in_a_room():
    assert {room(path) for path in modules()} == {*MAY_IMPORT, *GROUND}


@pytest.mark.parametrize("path", modules())
def test_imports_go_down_only(path):
    allowed = {room(path), *MAY_IMPORT.get(room(path), set()), *GROUND}
    assert {room(one) for one in imported(path)} <= allowed


def test_no_imports_go_round_in_a_circle():
    TopologicalSorter({path: imported(path) - {path} for path in modules()}).prepare()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_what_it_imports(stage):
    """A dependency is a module, or the room that it is in."""
    modules = needed(f"stages/{stage}.py")
    listed = {dep for dep in STAGES[stage]["deps"] if dep.endswith(".py") or dep in MAY_IMPORT}
    assert {path for path in modules if not {path, room(path)} & listed} == set()
    assert listed <= modules | {room(path) for path in modules}


@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_a_stage_that_takes_long_depends_on_modules_and_on_no_room(stage):
    assert not {*STAGES[stage]["deps"]} & {*MAY_IMPORT}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_its_module(stage):
    assert STAGES[stage]["cmd"] == f"python -m stages.{stage}"
    assert STAGES[stage]["desc"]


@pytest.mark.parametrize("stage", STAGES)
def test_the_parameters_of_a_stage_are_leaves_that_exist(stage):
    for key in STAGES[stage].get("params", []):
        value = PARAMS
        for name in ("model", "language"):
            key = key.replace(f"${{{name}}}", PARAMS[name])
        for part in key.split("."):
            assert part in value, key
            value = value[part]
        whole = (f"models.{PARAMS['model']}", "data.csv.mapping")
        assert not isinstance(value, dict) or key in whole


def test_stages_do_not_import_one_another():
    for stage in STAGES:
        path = f"stages/{stage}.py"
        assert {one for one in imported(path) if room(one) == "stages"} <= {path, CHECK}


@pytest.mark.parametrize(
    ("package", "importer"),
    [
        ("keras", "ajuste/training/backend.py"),
        ("tensorflow", "ajuste/training/backend.py"),
        ("great_expectations", "stages/validate.py"),
    ],
)
def test_a_heavy_package_is_imported_in_one_place(package, importer):
    importing = {
        path
        for path in modules()
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if package in roots(node) and not path.startswith("benchmarks/")
    }
    assert importing == {importer}
