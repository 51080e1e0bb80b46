"""The house rules that a parser can check: floors, import circles, crowded folders, long parameter lists."""

import ast
import json
import subprocess
import sys
from collections import Counter
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A floor may import the ones below it, never the ones above.
FLOORS = ["planner", "benchmarks", "runners", "app"]
MAX_PARAMETERS = 7
MAX_FILES_IN_A_FOLDER = 14
# One file a command: whoever looks for one knows its file's name.
LISTINGS = {"app/commands"}
# A training costs seconds before its first step: whoever only plans or asks for help must not wait for them.
HEAVY = {"torch", "transformers", "trl", "peft", "accelerate", "datasets", "vllm", "pandas", "matplotlib", "streamlit"}


def name_of(path: Path) -> str:
    """The module's name: `tuition.app.cli` of app/cli.py, `tuition.app` of app/__init__.py."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("tuition", *parts)).removesuffix(".__init__")


MODULES = {name_of(path): path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))}


@cache
def parsed(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


def imports(module: str) -> set[str]:
    """What it imports, at the top, in functions and for type checking alike."""
    found = set()
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{module}: a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else node.module)
    return found


def floor_of(module: str) -> str:
    return module.split(".")[1]


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    given = function.args
    names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


def is_command(module: str, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """One that Typer calls, or one of the Python API: its parameters are the command's options."""
    called = module.startswith(("tuition.app.commands.", "tuition.app.cli", "tuition.app.api"))
    return called and not function.name.startswith("_")


@pytest.mark.parametrize("floor", FLOORS)
def test_a_floor_imports_no_floor_above_it(floor: str) -> None:
    above = FLOORS[FLOORS.index(floor) + 1 :]
    upward = [
        f"{module} imports {other}"
        for module in MODULES
        if floor_of(module) == floor
        for other in imports(module)
        if other in MODULES and floor_of(other) in above
    ]
    assert not upward


def test_no_module_imports_itself_through_others() -> None:
    graph = {module: imports(module) & MODULES.keys() - {module} for module in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(reversed(error.args[1])))


def test_the_planner_imports_nothing_heavy() -> None:
    heavy = {
        module: sorted(HEAVY & {other.split(".")[0] for other in imports(module)})
        for module in MODULES
        if floor_of(module) == "planner"
    }
    assert not {module: names for module, names in heavy.items() if names}


def test_no_function_takes_more_parameters_than_a_reader_keeps_in_mind() -> None:
    crowded = [
        f"{module}.{node.name} takes {len(parameters(node))}"
        for module in MODULES
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not is_command(module, node)
        if len(parameters(node)) > MAX_PARAMETERS
    ]
    assert not crowded


def test_no_folder_holds_more_files_than_a_reader_takes_in() -> None:
    files = Counter(str(path.parent.relative_to(ROOT)) for path in MODULES.values() if path.name != "__init__.py")
    crowded = {folder: count for folder, count in files.items() if count > MAX_FILES_IN_A_FOLDER}
    assert crowded.keys() <= LISTINGS


@pytest.mark.parametrize("floor", FLOORS)
def test_ruff_refuses_an_import_past_the_package(floor: str) -> None:
    """From the root of the repository it would work, and where Tuition is installed it would not."""
    code = f"import {floor}\nfrom {floor} import what\nfrom tuition import {floor} as good\n"
    command = [sys.executable, "-m", "ruff", "check", "--select", "TID251", "--output-format", "json"]
    checked = subprocess.run(
        [*command, "--stdin-filename", "app/sketch.py", "-"], input=code, cwd=ROOT, capture_output=True, text=True
    )
    assert [found["location"]["row"] for found in json.loads(checked.stdout)] == [1, 2]
    assert checked.returncode == 1
