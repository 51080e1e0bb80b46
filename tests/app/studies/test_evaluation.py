"""The numbers of a test: intervals of each entry and of each pair, by what they are over. Nothing is trained."""

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from rich.console import Console

from tests.runners.conftest import small_scenario_file
from tuition.app.processes.progress import Reporter
from tuition.app.studies.evaluation import Entry, base_entries, evaluate
from tuition.app.studies.search_run import scenario_baselines
from tuition.benchmarks.boards.ranked_rows import Meta, from_json, render, to_json
from tuition.benchmarks.statistics.intervals import avg_at_k, paired_difference, score_interval, seed_interval
from tuition.benchmarks.statistics.seed_variance import SeedVariances
from tuition.runners.scenarios.scenario import Scenario

ENTRIES = ("direct", "raw-bridge", "teacher-upstream")


TEACHER = "medium"


class StubRunner:
    """Says what each entry scores with each seed."""

    def __init__(self, scenario: Scenario, outcomes: dict[str, list[np.ndarray]], seeds: list[int]):
        self.scenario = scenario
        self.ledger = SimpleNamespace(owned=lambda study: 16)
        self.trainer = SimpleNamespace(versions={})
        self.base: dict[str, np.ndarray] = {}
        """Outcomes of base models, by their content."""
        self.drawn: list[str] = []
        """The keys that were scored, in order."""
        self._ids = sorted(problem.id for problem in scenario.test)
        self._outcomes = {
            (str(scenario_baselines(scenario)[name]), seed): outcomes_PK
            for name, several in outcomes.items()
            for seed, outcomes_PK in zip(seeds, several, strict=True)
        }
        self._scored: Any = None

    def run(self, route: Any, study: str) -> Any:
        self._scored = self._outcomes[str(route.allocation), route.seed] if route.blocks else self.base[route.final]
        labels = SimpleNamespace(labels_trained=16 if route.blocks else 0)
        cost = 1.0 if route.blocks else 0
        return SimpleNamespace(route=route, labels=labels, gpu_seconds_full=cost, blocks=[], weights_sha256="w")

    def score(self, key: str, suite: str, study: str) -> Any:
        self.drawn.append(key)
        rows = [
            (problem, sample, bool(correct))
            for problem, outcomes_K in zip(self._ids, self._scored, strict=True)
            for sample, correct in enumerate(outcomes_K)
        ]
        return SimpleNamespace(table=pd.DataFrame(rows, columns=["problem_id", "sample", "correct"]), key="0" * 64)


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(small_scenario_file()))
    return Scenario.load(str(path))


each_number_of_seeds = pytest.mark.parametrize("seeds", [[1000], [1000, 2000, 3000]])


@each_number_of_seeds
def test_intervals_are_of_the_outcomes_and_named_by_what_they_are_over(scenario: Scenario, seeds: list[int]) -> None:
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
    table = SeedVariances.of({name: [run.mean() for run in runs] for name, runs in outcomes.items()})
    for pair in test.pairwise:
        a, b = outcomes[pair.a], outcomes[pair.b]
        assert pair.difference == paired_difference(a, b, seed_variance=table.between(pair.a, pair.b))
        assert (pair.p_value_holm is None) == (len(seeds) < 3), "no pair is told apart where no row is ranked"
        assert pair.these_problems == (None if len(seeds) == 1 else seed_interval(a, b))


@each_number_of_seeds
def test_base_models_are_scored_once_and_compared_with_every_seed(scenario: Scenario, seeds: list[int]) -> None:
    rng = np.random.default_rng(1)
    outcomes = {"direct": [rng.binomial(1, 0.5, (len(scenario.test), 4)) for _ in seeds]}
    runner = StubRunner(scenario, outcomes, seeds)
    recipe = scenario.recipe
    runner.base = {
        content: rng.binomial(1, 0.5, (len(scenario.test), 4)) for content in (recipe.student, recipe.teachers[TEACHER])
    }
    entries = [Entry("direct", scenario_baselines(scenario)["direct"]), *base_entries(TEACHER)]
    with Reporter(quiet=True) as reporter:
        ranked, _, test = evaluate(runner, "s", entries, seeds, reporter)  # type: ignore[arg-type]
    assert [key for key in runner.drawn if key in runner.base] == [recipe.student, recipe.teachers[TEACHER]]
    rows = {one.row.name: one for one in ranked}
    for name, content, kind, subject in (
        ("untrained-student", recipe.student, "untrained", "base"),
        ("raw-teacher", recipe.teachers[TEACHER], "teacher", "base:medium"),
    ):
        row, outcomes_PK = rows[name].row, runner.base[content]
        assert (row.kind, row.allocation, row.seeds, row.labels_trained, row.gpu_seconds) == (kind, subject, (), 0, 0)
        assert replace(row.score, se_seeds=0.0) == replace(avg_at_k(outcomes_PK), se_seeds=0.0), "no seed has a part"
        # The same checkpoint against every training of direct GRPO.
        assert row.difference == paired_difference([outcomes_PK] * len(seeds), outcomes["direct"])
        assert not test.intervals[name].excludes_training_variance
        assert [(run.seed, run.blocks) for run in test.runs[name]] == [(None, ())]
    assert rows["raw-teacher"].rank == "-" and (rows["untrained-student"].rank == "-") == (len(seeds) < 3)
    assert [(pair.a, pair.b) for pair in test.pairwise] == [("direct", "untrained-student")], "no pair has the teacher"
    meta, shown = Meta("s", "suite", "sampled", 8, 24), io.StringIO()
    Console(file=shown, width=100).print(render(ranked, meta))
    assert ("excludes training variance" in shown.getvalue()) == (len(seeds) == 1)
    assert "a reference without a rank, no student to deploy" in " ".join(shown.getvalue().split())
    again, _ = from_json(to_json(ranked, meta))
    assert [(one.row.name, one.row.kind, one.rank) for one in again] == [
        (one.row.name, one.row.kind, one.rank) for one in ranked
    ]
