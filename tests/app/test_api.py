"""`import tuition`: every example of its documentation runs, and its arguments are the commands' options."""

import doctest
import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import tuition
from tests.runners.conftest import tiny_scenario_file
from tuition.app.api.arguments import ArgumentError
from tuition.app.commands.baselines import baselines
from tuition.app.commands.bench import bench
from tuition.app.commands.plan import plan
from tuition.app.commands.run import run
from tuition.app.commands.search import search
from tuition.app.commands.store import export
from tuition.app.studies.study_leaderboard import ReportError
from tuition.benchmarks.boards.entries import EntryError
from tuition.benchmarks.results_folder import StudyNameError
from tuition.benchmarks.tables.recorded_table import RecordedError
from tuition.benchmarks.tables.shipped import shipped_tables
from tuition.planner.allocation import AllocationError
from tuition.runners.scenarios import scenario_file
from tuition.runners.scenarios.sources import ScenarioError

ROOT = Path(__file__).parents[2]
FUNCTIONS = [name for name in tuition.__all__ if inspect.isfunction(getattr(tuition, name))]
TRAINING = {"run", "search", "baselines", "export", "read_study"}
COMMANDS: dict[str, Callable[..., None]] = {
    "plan": plan,
    "run": run,
    "search": search,
    "baselines": baselines,
    "plan_baselines": baselines,
    "score": bench,
    "export": export,
}


@pytest.fixture(scope="module")
def tiny_micro(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder to work in, where `micro` is a scenario of seconds. The examples share its results."""
    folder, built_in = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("scenarios")
    (built_in / "micro.yaml").write_text(yaml.safe_dump(tiny_scenario_file(name="micro")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenario_file, "BUILT_IN", built_in)
        patch.chdir(folder)
        yield folder


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in TRAINING else []) for name in FUNCTIONS]
)
def test_the_example_of_each_function_runs(name: str, tiny_micro: Path) -> None:
    function = getattr(tuition, name)
    [found] = doctest.DocTestFinder(recurse=False).find(function, name, globs={})
    assert found.examples, "no example"
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(found, out=said.append)
    assert not said, "".join(said)


@pytest.mark.slow
def test_the_example_in_the_readme_runs(tiny_micro: Path) -> None:
    code = (ROOT / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(code, names)
    assert len(names["report"].proposals) == 6 and "direct" in set(names["study"].tested["name"])
    assert names["result"].score.num_samples == 4 and (tiny_micro / "half-model" / "config.json").exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_arguments_are_named_and_preset_as_the_options_of_the_command(name: str) -> None:
    def presets(function: Callable[..., Any]) -> dict[str, Any]:
        found = inspect.signature(function).parameters.values()
        plain = {each.name: each.default for each in found}
        return {key: str(value) if key == "results" else value or None for key, value in plain.items()}

    ours, options = presets(getattr(tuition, name)), presets(COMMANDS[name])
    # Whoever calls from a program sees the result and no progress.
    assert ours.pop("quiet", True) is True
    assert {option: options[option] for option in ours} == ours
    left_out = options.keys() - ours.keys() - {"json", "quiet", "dry_run"}
    assert left_out == ({"mix_versions", "track", "workers"} if name == "plan_baselines" else set())


def test_importing_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, tuition\n"
        "print(tuition.__version__, *sorted({'torch', 'transformers', 'optuna', 'pandas'} & sys.modules.keys()))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == [tuition.__version__]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tuition.load_scenario("nowhere"), ScenarioError, "unknown scenario 'nowhere'"),
        (lambda: tuition.run("colour=1", "micro"), AllocationError, "unknown field 'colour'"),
        (lambda: tuition.search("micro", study="../escape"), StudyNameError, "study name '../escape'"),
        (lambda: tuition.baselines("micro", study="../escape"), StudyNameError, "study name '../escape'"),
        (lambda: tuition.read_study("absent"), ReportError, "no study 'absent' in results (studies: none)"),
        (lambda: tuition.read_study("../escape"), StudyNameError, "study name '../escape'"),
        (lambda: tuition.read_table("nowhere"), RecordedError, f"shipped: {', '.join(shipped_tables())})"),
        (lambda: tuition.optuna_study("nowhere"), ReportError, "no search 'nowhere' in results"),
        (lambda: tuition.read_leaderboard("nowhere"), EntryError, "shipped: micro@1"),
        (lambda: tuition.grade(["1"], ["1", "2"]), ValueError, "1 gold answers for 2 completions"),
        (lambda: tuition.grade("1", ["1"]), ValueError, "two strings, or two lists"),  # type: ignore[call-overload]
    ],
)
def test_what_is_wrong_is_an_error_of_one_line_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[[], object], error: type[Exception], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value) and len(str(raised.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_trust_and_tracking_end_with_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tuition.runners.scenarios.sources import TRUST_VARIABLE

    monkeypatch.delenv(TRUST_VARIABLE, raising=False)
    tuition.load_scenario("micro", trust_remote_code=True)
    assert TRUST_VARIABLE not in os.environ


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tuition.run("half", seed=-1), "seed=-1"),
        (lambda: tuition.run("half", seed=1.5), "seed=1.5"),  # type: ignore[arg-type]
        (lambda: tuition.plan(trials=-3), "trials=-3"),
        (lambda: tuition.search(test_seeds=-1), "test_seeds=-1"),
        (lambda: tuition.search(workers=0), "workers=0"),
        (lambda: tuition.plan_baselines(seeds=0), "seeds=0"),
        (lambda: tuition.plan_baselines(only="raw-bridge"), "only='raw-bridge'"),
        (lambda: tuition.score("base:student", "micro", limit=-2), "limit=-2"),
        (lambda: tuition.score("base:student", "micro", samples=0), "samples=0"),
        (lambda: tuition.score("base:student", "micro", engine="foo"), "engine='foo'"),  # type: ignore[arg-type]
        (lambda: tuition.score("base:student", "micro", dtype="int3"), "dtype='int3'"),  # type: ignore[arg-type]
        (lambda: tuition.grade([7], ["7"]), r"gold=\[7\]"),  # type: ignore[list-item]
        (lambda: tuition.grade(None, None), "gold=None"),  # type: ignore[call-overload]
    ],
)
def test_an_argument_that_a_commands_option_would_refuse_is_refused_in_one_line(
    call: Callable[[], object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArgumentError, match=message) as refused:
        call()
    assert len(str(refused.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
