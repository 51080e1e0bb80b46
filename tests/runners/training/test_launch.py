"""Blocks that two processes train together, on a CPU: what they leave, how they fail, and that nothing is orphaned."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.runners import forked_command
from tuition.planner.allocation import Allocation
from tuition.planner.route import Route, compile_route
from tuition.runners.events import Event, StepDone
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.sources import ScenarioError
from tuition.runners.training.launch import LaunchError

# Each block trains in two processes.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def together(scenario_file: dict[str, Any]) -> dict[str, Any]:
    scenario_file["hardware"] |= {"processes": 2}
    return scenario_file


def _route(scenario: Scenario, text: str) -> Route:
    return compile_route(Allocation.parse(text), scenario.recipe, 0)


def _children(results: Path) -> list[psutil.Process]:
    """The processes that write the log of a block in `results`: the child, and those that it forked."""
    found = []
    for process in psutil.process_iter():
        try:
            output = os.readlink(f"/proc/{process.pid}/fd/1")
        except OSError:  # of another user, or gone
            continue
        if output.startswith(f"{results}/logs/block-"):
            found.append(process)
    return found


def _wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if condition():
            return True
        time.sleep(0.2)
    return condition()


def test_two_processes_train_a_block_twice_the_same(
    together: dict[str, Any], load: Callable[..., Scenario], tmp_path: Path
) -> None:
    scenario = load(together)
    events: list[Event] = []
    weights = set()
    for folder in ("first", "again"):
        runner = RouteRunner(scenario, tmp_path / folder, events.append)
        run = runner.run(_route(scenario, "teacher=medium opd=1"), "two")
        runner.close()
        weights.add(run.weights_sha256)
        record = runner.store.record(run.route.final)
        assert record is not None and record.environment["processes"] == "2"
        # Of both processes; what they imported is not theirs.
        assert record.gpu_seconds > 0.1 and record.peak_memory_bytes > 100e6
    steps = [event for event in events if isinstance(event, StepDone)]
    assert [(event.step, event.steps) for event in steps] == [(1, 2), (2, 2)] * 2
    assert {event.key for event in steps} == {run.route.final}
    assert all(event.curves["loss"] and event.curves["seconds"] > 0 for event in steps)
    assert len(weights) == 1


def test_a_dead_process_fails_the_block_with_its_log(
    together: dict[str, Any], load: Callable[..., Scenario], tmp_path: Path
) -> None:
    together["stages"]["student_rl"]["steps"] = 400
    scenario = load(together)
    runner = RouteRunner(scenario, tmp_path / "results")

    def kill(event: Event) -> None:
        if isinstance(event, StepDone) and event.step == 1:
            os.kill(_children(tmp_path / "results")[-1].pid, signal.SIGKILL)

    runner.hear = kill
    route = _route(scenario, "student_rl=1")
    with pytest.raises(LaunchError, match=r"training in 2 processes ended with .*: read .*block-.*\.log") as caught:
        runner.run(route, "killed")
    runner.close()
    assert "\n" not in str(caught.value)
    assert runner.store.record(route.final) is None
    assert _wait_for(lambda: not _children(tmp_path / "results"), 20)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_orphaned_when_the_parent_goes(
    number: signal.Signals, together: dict[str, Any], tmp_path: Path
) -> None:
    together["stages"]["student_rl"]["steps"] = 400
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(together))
    arguments = ["run", "student_rl=1", "--scenario", str(tmp_path / "scenario.yaml")]
    parent = forked_command.start([*arguments, "--results", str(tmp_path / "results")], tmp_path / "output")
    assert parent.pid is not None
    assert _wait_for(lambda: len(_children(tmp_path / "results")) == 3, 120)
    os.kill(parent.pid, number)
    if number == signal.SIGTERM:  # the first lets the block finish, the second does not
        time.sleep(1)
        os.kill(parent.pid, number)
    parent.join(60)
    assert _wait_for(lambda: not _children(tmp_path / "results"), 60)


def test_a_step_that_does_not_divide_is_refused(together: dict[str, Any], load: Callable[..., Scenario]) -> None:
    together["hardware"]["processes"] = 3
    with pytest.raises(ScenarioError, match=r"hardware\.processes=3 shares"):
        load(together)
