"""What documents name is there: files, modules, commands with their options, and targets of `make`."""

import re
import shlex
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.exceptions import TyperException
from typer.main import get_command

from tests.docs.adding import ADDING, added_files
from tests.docs.documents import DOCUMENTS, ROOT, code_of, names_in
from tuition.app.cli import app
from tuition.benchmarks.planning.rivals import PLANNERS

FOLDERS = ("app", "benchmarks", "docs", "planner", "runners", "src", "tests", ".ci")
HELP = {"--help", "-h"}

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


@cache
def file_names() -> frozenset[str]:
    """Names of all files, without their folders."""
    return frozenset(path.name for folder in FOLDERS for path in (ROOT / folder).rglob("*"))


@cache
def command_line() -> Any:
    """The command line as a tree of groups and commands."""
    return get_command(app)


def options_of(command: Any) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | HELP


@cache
def all_options() -> frozenset[str]:
    """The options of all commands."""

    def below(command: Any) -> set[str]:
        return options_of(command).union(*map(below, getattr(command, "commands", {}).values()))

    return frozenset(below(command_line()))


def paths_in(text: str) -> Iterator[str]:
    """Paths in the repository: their first folder is one of its own."""
    first = "|".join(map(re.escape, FOLDERS))
    for match in re.finditer(rf"(?<![\w./@-])(?:{first})/[\w@./*-]*", text):
        yield match[0].rstrip(".")


def is_there(path: str, folder: Path = ROOT) -> bool:
    return any(folder.glob(path)) if "*" in path else (folder / path).exists()


@each_document
def test_files_are_there(document: Path) -> None:
    text = document.read_text()
    added = added_files() if document == ADDING else set()
    missing = [path for path in paths_in(text) if path not in added and not is_there(path)]
    linked = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    missing += [path for path in linked if "://" not in path and not is_there(path, document.parent)]
    # A file that is named without its folder, within a sentence about the folder.
    named = [code for code in code_of(text) if re.fullmatch(r"\w+\.(py|yaml|j2|sh)", code)]
    assert missing + [name for name in named if name not in file_names()] == []


def test_every_page_is_linked_in_the_readme() -> None:
    linked = set(paths_in((ROOT / "README.md").read_text()))
    assert {str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*.md")} <= linked


def missing_module(name: str) -> str | None:
    """A dotted name when a part of it is not there: a package, a module, or what stands in one."""
    module, *rest = name.split(".")
    spec = find_spec(module)
    while spec is not None and rest and spec.submodule_search_locations is not None:
        inner = find_spec(f"{module}.{rest[0]}")
        if inner is None:
            break
        spec, module = inner, f"{module}.{rest.pop(0)}"
    if spec is None or (rest and (spec.origin is None or rest[0] not in names_in(Path(spec.origin)))):
        return name
    return None


@each_document
def test_modules_are_there(document: Path) -> None:
    code = code_of(document.read_text())
    names = [name for line in code for name in re.findall(r"(?<![\w./@-])(?:tuition|tests)(?:\.\w+)+", line)]
    for line in code:
        if imported := re.fullmatch(r"from ((?:tuition|tests)[\w.]*) import ([\w, ]+)", line):
            names += [f"{imported[1]}.{name.strip()}" for name in imported[2].split(",")]
    added = {f"tuition.{path.removesuffix('.py').replace('/', '.')}" for path in added_files()}
    assert [name for name in names if name not in added and missing_module(name)] == []


def commands_in(code: Iterable[str]) -> Iterator[list[str]]:
    """The words of every call of `tuition`, after its name."""
    for line in code:
        call = re.search(r"(?:^|[\s/])tuition (\S.*)", re.sub(r"\s#.*", "", line))
        if call is None:
            continue
        try:
            words = shlex.split(re.split(r"[|;&]\s|\s>\s", call[1])[0])
        except ValueError:  # half of a quotation
            words = call[1].split()
        yield words


def wrong_in_command(words: list[str]) -> list[str]:
    """What of a call is unknown: a command, or an option of the command."""
    if re.fullmatch(r"[\w-]+(\|[\w-]+)+", words[-1]):  # `tuition store list|verify|prune`
        *before, last = words
        return [wrong for name in last.split("|") for wrong in wrong_in_command([*before, name])]
    command, rest = command_line(), list(words)
    while rest and hasattr(command, "commands") and re.fullmatch(r"[a-z][a-z-]*", rest[0]):
        try:
            _, command, rest = command.resolve_command(typer.Context(command), rest)
        except TyperException:
            return [rest[0]]
    given = [word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
    return [option for option in given if option not in options_of(command)]


@each_document
def test_commands_and_their_options_are_there(document: Path) -> None:
    code = code_of(document.read_text())
    wrong = {" ".join(words): found for words in commands_in(code) if (found := wrong_in_command(words))}
    assert wrong == {}
    alone = [re.split(r"[\s=]", line)[0] for line in code if line.startswith("--")]
    assert [option for option in alone if option not in all_options()] == []


def test_every_planner_of_the_race_has_its_row() -> None:
    rows = (ROOT / "docs" / "planners.md").read_text()
    assert [name for name in PLANNERS if f"`{name.removesuffix('-named')}`" not in rows] == []


@each_document
def test_targets_of_make_are_there(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = [match[1] for code in code_of(document.read_text()) if (match := re.match(r"make ([a-z-]+)", code))]
    assert set(named) <= targets


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("search --trials 3 -s micro", []),
        ("search --tries 3", ["--tries"]),
        ("find --trials 3", ["find"]),
        ("store list|why", []),
        ("store list|grow", ["grow"]),
        ("run student_rl=2 --test", []),
    ],
)
def test_what_is_unknown_in_a_command_is_found(words: str, wrong: list[str]) -> None:
    assert wrong_in_command(words.split()) == wrong


def test_what_is_not_there_is_found() -> None:
    assert [path for path in paths_in("see planner/stages.py, planner/none.py.") if not is_there(path)] == [
        "planner/none.py"
    ]
    assert missing_module("tuition.planner.stages.STAGES") is None
    assert missing_module("tuition.planner.stages.NONE") == "tuition.planner.stages.NONE"
    assert missing_module("tuition.planner.none") == "tuition.planner.none"
