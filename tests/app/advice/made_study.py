"""A search of the tiny scenario whose scores are made up: nothing is trained."""

from collections.abc import Sequence
from pathlib import Path

import optuna
import yaml

from tests.runners.conftest import tiny_scenario_file
from tuition.app.advice.opened_study import OpenedStudy, open_study
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.planner import study as planner_study
from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.route import Route, compile_route
from tuition.planner.scores.outcome import Outcome
from tuition.planner.searching.trial_loop import StudyLimits
from tuition.planner.study import search
from tuition.runners.scenarios.scenario import Scenario

NAME = "made"


def score(allocation: Allocation) -> float:
    """Students' labels are worth more than a teacher's; a bridge alone is worth little."""
    return 0.2 + 0.11 * allocation.student_rl + 0.05 * allocation.teacher_rl + 0.02 * allocation.transfer_blocks


def made_study(folder: Path, trials: int, sampler: str = "random", seed: int = 0) -> Path:
    """The results folder with the study."""
    path, results = folder / "tiny.yaml", ResultsFolder(folder / "results")
    path.write_text(yaml.safe_dump(tiny_scenario_file(labels={"micro": "labels", "count": 16})))
    scenario, kept = Scenario.load(str(path)), results.study(NAME)
    kept.path.mkdir(parents=True)
    scenario.keep(kept.scenario, str(path))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = planner_study.open_study(NAME, f"sqlite:///{kept.database}", scenario.sha256, seed, sampler)

    def evaluate(_: int, allocation: Allocation, route: Route, on_the_way: Sequence[Checkpoint]) -> Outcome:
        return Outcome(score(allocation), {"gpu_seconds": 2.0, "se_problems": 0.04, "se_samples": 0.01})

    search(
        study,
        scenario.space,
        lambda allocation: compile_route(allocation, scenario.recipe, seed),
        evaluate,
        StudyLimits(trials=trials),
    )
    return results.path


def opened(results: Path) -> OpenedStudy:
    """The study, as advice opens it."""
    return open_study(NAME, results, None, None)
