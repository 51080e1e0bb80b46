"""Every command that trains leaves the events of its log beside it, trained in workers or not."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.app.conftest import Command
from tests.runners.conftest import tiny_scenario_file
from tuition.app.dashboard.data.live_progress import last_events
from tuition.benchmarks.results_folder import ResultsFolder, events_beside
from tuition.runners.events import BlockDone, BlockStarted, PhaseBegan, RunDone, Scoring, StepDone

pytestmark = pytest.mark.slow
ENGINE: set[type[Any]] = {BlockStarted, StepDone, BlockDone, Scoring}
WHOLE = ENGINE | {PhaseBegan, RunDone}


@pytest.mark.parametrize(
    ("command", "logs"),
    [
        (("run", "student_rl=1"), {"logs/run-*-seed0.log": ENGINE}),
        (("shuffled", "--seeds", "1"), {"studies/tiny-shuffled/logs/shuffled.log": WHOLE}),
        (("record", "--only-named", "--seeds", "1"), {"recorded/*/recording.log": WHOLE}),
        (("baselines", "--only", "half"), {"studies/*/logs/baselines.log": WHOLE}),
        (
            ("search", "--trials", "1", "--test-seeds", "1"),
            {"studies/*/logs/trial-0000.log": ENGINE, "studies/*/logs/test.log": WHOLE},
        ),
    ],
)
def test_a_log_has_its_events_beside_it(
    tuition: Command, tmp_path: Path, command: tuple[str, ...], logs: dict[str, set[type[Any]]]
) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny_scenario_file()))
    done = tuition(*command, "--scenario", "tiny.yaml", "--quiet")
    assert done.returncode == 0, done.stderr
    for log, expected in logs.items():
        check_events(tmp_path / "results", log, expected)


def check_events(results: Path, log: str, expected: set[type[Any]]) -> None:
    (path,) = results.glob(log)
    lines = last_events(events_beside(path))
    assert expected <= {type(line.event) for line in lines}
    assert len({line.writer for line in lines}) == 1
    assert not list(path.parent.glob("writers/*")), "no lock is left"
    stored = {folder.name for folder in ResultsFolder(results).store.glob("??/*")}
    assert {line.event.key for line in lines if isinstance(line.event, BlockStarted)} <= stored
