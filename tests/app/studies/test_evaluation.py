"""The numbers of a test: intervals of each entry and of each pair, by what they are over. Nothing is trained."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.runners.conftest import small_scenario_file
from tuition.app.processes.progress import Reporter
from tuition.app.studies.evaluation import Entry, evaluate
from tuition.app.studies.search_run import scenario_baselines
from tuition.benchmarks.statistics.intervals import paired_difference, score_interval, seed_interval
from tuition.runners.scenarios.scenario import Scenario

ENTRIES = ("direct", "raw-bridge", "teacher-upstream")


class StubRunner:
    """Says what each entry scores with each seed."""

    def __init__(self, scenario: Scenario, outcomes: dict[str, list[np.ndarray]], seeds: list[int]):
        self.scenario = scenario
        self.ledger = SimpleNamespace(owned=lambda study: 16)
        self.trainer = SimpleNamespace(versions={})
        self._ids = sorted(problem.id for problem in scenario.test)
        self._outcomes = {
            (str(scenario_baselines(scenario)[name]), seed): outcomes_PK
            for name, several in outcomes.items()
            for seed, outcomes_PK in zip(seeds, several, strict=True)
        }
        self._scored: Any = None

    def run(self, route: Any, study: str) -> Any:
        self._scored = self._outcomes[str(route.allocation), route.seed]
        labels = SimpleNamespace(labels_trained=16)
        return SimpleNamespace(route=route, labels=labels, gpu_seconds_full=1.0, blocks=[], weights_sha256="w")

    def score(self, key: str, suite: str, study: str) -> Any:
        rows = [
            (problem, sample, bool(correct))
            for problem, outcomes_K in zip(self._ids, self._scored, strict=True)
            for sample, correct in enumerate(outcomes_K)
        ]
        return SimpleNamespace(table=pd.DataFrame(rows, columns=["problem_id", "sample", "correct"]), key="0" * 64)


@pytest.mark.parametrize("seeds", [[1000], [1000, 2000, 3000]])
def test_intervals_are_of_the_outcomes_and_named_by_what_they_are_over(tmp_path: Path, seeds: list[int]) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(small_scenario_file()))
    scenario = Scenario.load(str(path))
    rng = np.random.default_rng(0)
    outcomes = {name: [rng.binomial(1, 0.5, (len(scenario.test), 4)) for _ in seeds] for name in ENTRIES}
    runner = StubRunner(scenario, outcomes, seeds)
    entries = [Entry(name, scenario_baselines(scenario)[name]) for name in ENTRIES]
    with Reporter(quiet=True) as reporter:
        _, _, test = evaluate(runner, "s", entries, seeds, reporter)  # type: ignore[arg-type]
    for name in ENTRIES:
        total = score_interval(outcomes[name])
        stated = test.intervals[name]
        assert (stated.low, stated.high) == (total.low, total.high)
        assert stated.excludes_training_variance == (len(seeds) == 1)
    assert len(test.pairwise) == 3
    for pair in test.pairwise:
        a, b = outcomes[pair.a], outcomes[pair.b]
        assert pair.difference == paired_difference(a, b)
        assert pair.these_problems == (None if len(seeds) == 1 else seed_interval(a, b))
