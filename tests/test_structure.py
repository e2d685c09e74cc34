"""What keeps the stages, their dependencies and their parameters in step."""

import ast
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
CHECK = ROOT / "ajuste/check.py"
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def module_path(name: str) -> Path | None:
    path = ROOT / Path(*name.split(".")).with_suffix(".py")
    return path if path.exists() else None


def imported(path: Path) -> set[Path]:
    """The modules of this project that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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


def needed(path: Path) -> set[Path]:
    """A module and all of this project that shapes what it writes.

    Every stage calls the check of `params.yaml`, which says whether it runs and no more. It looks
    at all sections and all networks: were it counted, a new network would fetch the reviews anew.
    """
    seen, waiting = set(), {path}
    while waiting:
        module = waiting.pop()
        seen.add(module)
        waiting |= imported(module) - seen - {CHECK}
    return seen


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_just_the_modules_it_imports(stage):
    listed = {dep for dep in STAGES[stage]["deps"] if dep.endswith(".py")}
    modules = needed(ROOT / "stages" / f"{stage}.py")
    assert listed == {path.relative_to(ROOT).as_posix() for path in modules}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_its_module(stage):
    assert STAGES[stage]["cmd"] == f"python -m stages.{stage}"
    assert STAGES[stage]["desc"]


@pytest.mark.parametrize("stage", STAGES)
def test_the_parameters_of_a_stage_are_leaves_that_exist(stage):
    for key in STAGES[stage].get("params", []):
        value = PARAMS
        for part in key.replace("${model}", PARAMS["model"]).split("."):
            assert part in value, key
            value = value[part]
        assert not isinstance(value, dict) or key == "models.${model}"


def test_stages_do_not_import_one_another():
    for path in (ROOT / "stages").glob("*.py"):
        assert not {module for module in imported(path) if module.parent.name == "stages"} - {path}


def test_what_is_shared_imports_no_stage():
    for path in (ROOT / "ajuste").glob("*.py"):
        assert {module.parent.name for module in imported(path)} <= {"ajuste"}


@pytest.mark.parametrize(
    ("folder", "below"),
    [
        ("study", {"ajuste"}),
        ("ci", {"ajuste", "study"}),
        ("reliability", {"ajuste", "stages", "study"}),
    ],
)
def test_imports_point_one_way(folder, below):
    for path in (ROOT / folder).glob("*.py"):
        assert {module.parent.name for module in imported(path)} <= {folder, *below}


@pytest.mark.parametrize("heavy", ["keras", "tensorflow", "great_expectations"])
def test_heavy_imports_stand_where_they_are_needed(heavy):
    allowed = {
        "keras": {"ajuste/backend.py"},
        "tensorflow": {"ajuste/backend.py"},
        "great_expectations": {"stages/validate.py"},
    }
    importing = {
        path.relative_to(ROOT).as_posix()
        for folder in ("ajuste", "stages", "serving", "study", "ci", "reliability")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if heavy in roots(node)
    }
    assert importing == allowed[heavy]
