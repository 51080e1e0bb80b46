"""A scenario with the real micro checkpoints and very short blocks: real stages, in seconds."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tuition.benchmarks.grading.grader import Grader
from tuition.benchmarks.grading.policies import DEFAULT_POLICY
from tuition.planner.allocation import Allocation
from tuition.planner.route import Route, compile_route
from tuition.planner.stages import STAGES, Stage
from tuition.runners import route_runner
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios import scenario
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import BUILT_IN
from tuition.runners.training.checkpoint import hash_base

SHORT = {"steps": 2, "learning_rate": 1e-3, "max_completion_tokens": 24, "micro_batch": 16}


def short_settings(stage: Stage) -> dict[str, Any]:
    if stage.is_rl:
        return {**SHORT, "prompts_per_step": 4, "generations": 4, "lr_warmup_steps": 3}
    if stage.is_transfer:
        return {**SHORT, "prompts_per_step": 8, "completions": 1, "lr_warmup_steps": 3}
    return {**SHORT, "sequences": 8, "samples_per_problem": 8}


def small_scenario_file() -> dict[str, Any]:
    micro = BUILT_IN / "micro"
    return {
        "name": "small",
        "student": {"path": str(micro / "student")},
        "teachers": {"medium": {"path": str(micro / "teacher")}},
        "labels": {"micro": "labels", "count": 16},
        "labels_per_block": 4,
        "prompts": {"micro": "prompts", "count": 16},
        "validation": {"problems": {"micro": "validation", "count": 8}, "samples": 2},
        "test": {"problems": {"micro": "test", "count": 8}, "samples": 2},
        "decoding": {"name": "sampled", "max_new_tokens": 24},
        "stages": {stage.name: short_settings(stage) for stage in STAGES},
        "search": {"bridge_warmup": 1, "bridge_opd": 1, "max_warmup": 1, "max_opd": 1},
        "hardware": {"device": "cpu"},
    }


def tiny_scenario_file(**changes: Any) -> dict[str, Any]:
    """Two label blocks of 4, one step a block: a whole route in a second."""
    file = small_scenario_file()
    file["stages"] = {name: {**settings, "steps": 1, "lr_warmup_steps": 1} for name, settings in file["stages"].items()}
    file["validation"]["problems"]["count"] = file["test"]["problems"]["count"] = 4
    return {**file, "name": "tiny", "labels": {"micro": "labels", "count": 8}, **changes}


class SharedGrader(Grader):
    """Stays open when a runner closes it: a worker of its own for every runner would take a second of every test."""

    def close(self) -> None:
        pass


_shared = cache(SharedGrader)


def shared_grader(timeout_seconds: float = 5.0, workers: int = 1, policy: str = DEFAULT_POLICY) -> Grader:
    """The one grader of all tests of a process that has these settings; called as `Grader` is."""
    return _shared(timeout_seconds, workers, policy)


@pytest.fixture(scope="session", autouse=True)
def shared_graders() -> Iterator[None]:
    """Runners with the same grader have one grader in all tests of a process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(route_runner, "Grader", shared_grader)
        yield


_shipped = cache(hash_base)


def shared_hash(folder: Path) -> str:
    """As `hash_base`; a model that ships is read once in all tests of a process: nothing changes it."""
    return _shipped(folder) if BUILT_IN in folder.parents else hash_base(folder)


@pytest.fixture(scope="session", autouse=True)
def shared_hashes() -> Iterator[None]:
    """Scenarios do not hash the models that ship anew, which would take a third of the time of loading one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenario, "hash_base", shared_hash)
        yield


@pytest.fixture
def scenario_file() -> dict[str, Any]:
    return small_scenario_file()


@pytest.fixture
def load(tmp_path: Path) -> Callable[[dict[str, Any]], Scenario]:
    """Load a scenario from a dictionary, through a YAML file."""

    def _load(content: dict[str, Any]) -> Scenario:
        path = tmp_path / "scenario.yaml"
        path.write_text(yaml.safe_dump(content))
        return Scenario.load(str(path))

    return _load


@pytest.fixture
def runner(scenario_file: dict[str, Any], load: Callable[..., Scenario], tmp_path: Path) -> Iterator[RouteRunner]:
    runner = RouteRunner(load(scenario_file), tmp_path / "results")
    yield runner
    runner.close()


@pytest.fixture
def route(runner: RouteRunner) -> Callable[..., Route]:
    def _route(text: str, seed: int = 0) -> Route:
        return compile_route(Allocation.parse(text), runner.scenario.recipe, seed)

    return _route
