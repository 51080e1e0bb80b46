"""The settings of every command that trains, in one value that its worker processes get too."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tuition.app.processes.channel import Channel
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario


@dataclass(frozen=True)
class RunConfiguration:
    """Which scenario is trained, where results lie, and how the work is done."""

    scenario: str
    """A built-in scenario's name, or a YAML file."""
    results: Path
    mix_versions: bool = False
    """Whether blocks that other library versions or another GPU trained may be reused."""
    workers: int = 1
    max_store_bytes: int | None = None
    """The store is kept within this size; None: everything is kept."""
    quiet: bool = False

    @property
    def folder(self) -> ResultsFolder:
        """The results folder's paths."""
        return ResultsFolder(self.results)

    def load_scenario(self) -> Scenario:
        """The scenario; ScenarioError where it cannot be loaded."""
        return Scenario.load(self.scenario)

    def open_runner(self, scenario: Scenario, channel: Channel) -> closing[RouteRunner]:
        """A runner for the scenario, or for another form of it, closed at the end of a `with`."""
        return closing(RouteRunner(scenario, self.results, channel.hear, self.mix_versions))
