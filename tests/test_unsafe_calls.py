"""Nothing in the repository runs what a file of data says: no pickle, no eval, no shell."""

import ast

import pytest
from conftest import ROOT

MODULES = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "jsonpickle"}
CALLS = {
    *("eval", "exec", "__import__", "popen", "create_subprocess_shell"),
    *("extract", "extractall", "unpack_archive"),  # archives are read member by member
    *("read_pickle", "enable_unsafe_deserialization", "full_load", "unsafe_load"),
}
ARGUMENTS = {"shell": False, "allow_pickle": False, "safe_mode": True}
NEEDED = {("np", "load"): ("allow_pickle",), ("saving", "load_model"): ("safe_mode",)}
MAKES_SUCH_FILES = ROOT / "tests/test_bad_model.py"  # to see them refused
SOURCES = sorted(
    path
    for path in ROOT.rglob("*.py")
    if not path.relative_to(ROOT).parts[0].startswith(".") and path != MAKES_SUCH_FILES
)


def unsafe(source: str) -> list[str]:
    """What a module has that it may not have, with the lines."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
            found += [(node, name) for name in names & MODULES]
        elif isinstance(node, ast.ImportFrom):
            names = {(node.module or "").split(".")[0]} & MODULES
            names |= {alias.name for alias in node.names} & (CALLS | MODULES)
            found += [(node, name) for name in names]
        elif isinstance(node, ast.Call):
            found += [(node, fault) for fault in faults(node)]
    return [f"line {node.lineno}: {fault}" for node, fault in found]


def faults(call: ast.Call) -> list[str]:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    of = getattr(call.func, "value", None)
    owner = getattr(of, "attr", getattr(of, "id", ""))
    given = {keyword.arg: getattr(keyword.value, "value", ...) for keyword in call.keywords}
    found = [name] if name in CALLS else []
    found += [key for key, value in ARGUMENTS.items() if key in given and given[key] is not value]
    found += [key for key in NEEDED.get((owner, name), ()) if key not in given]
    if name == "YAML" and given.get("typ") != "safe":
        found.append("YAML that is not safe")
    if (owner, name) in (("yaml", "load"), ("os", "system")):
        found.append(f"{owner}.{name}")
    return found


def test_there_is_something_to_look_at():
    assert {path.parent.name for path in SOURCES} >= {"ajuste", "stages", "serving", "tests"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_runs_nothing_that_it_reads(path):
    assert unsafe(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import joblib.parallel",
        "from marshal import loads",
        "from os import popen",
        "os.system(text)",
        "eval(text)",
        "os.popen(text)",
        "subprocess.run(text, shell=True)",
        "subprocess.run(text, shell=asked)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "pd.read_pickle(path)",
        "yaml.load(text, Loader)",
        "YAML().load(text)",
        "archive.extractall(folder)",
        "keras.saving.load_model(path)",
        "keras.saving.load_model(path, safe_mode=False)",
    ],
)
def test_what_may_not_be_is_found(source):
    assert len(unsafe(source)) == 1
