"""A search of a shipped scenario whose runs are replayed from its recorded table: nothing is trained."""

from pathlib import Path

import optuna

from tuition.app.advice.opened_study import OpenedStudy, open_study
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.benchmarks.tables.recorded_table import read_table
from tuition.benchmarks.tables.replay import Replay
from tuition.benchmarks.tables.shipped import find_table
from tuition.planner import study as planner_study
from tuition.planner.planning.planner import Costs
from tuition.planner.planning.sampler import StructuralSampler
from tuition.planner.searching.trial_loop import SearchOptions, StudyLimits
from tuition.runners.scenarios.scenario import Scenario

NAME = "replayed"


def replayed_study(folder: Path, bench: str, budget: float, seed: int = 0) -> OpenedStudy:
    """The newest table of a bench, searched by our own planner for so many R with the prices of its first draw seed."""
    scenario, results = Scenario.load(bench), ResultsFolder(folder / "results")
    table = read_table(find_table(f"{bench}@2"))
    assert table.header.scenario_sha256 == scenario.sha256
    replay, kept = Replay(table, table.seeds("draw")[0]), results.study(NAME)
    kept.path.mkdir(parents=True)
    scenario.keep(kept.scenario, bench)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    costs = Costs(replay.block_seconds, replay.score_seconds, replay.states_kept)
    sampler = StructuralSampler(replay.space, lambda study: costs, seed)
    study = planner_study.open_study(NAME, f"sqlite:///{kept.database}", scenario.sha256, seed, sampler)
    limits = StudyLimits(gpu_seconds=budget * replay.dearest, price=replay.price)
    options = SearchOptions(score_untrained=replay.evaluate_untrained)
    planner_study.search(study, replay.space, replay.nearest_route, replay.evaluate, limits, options)
    return open_study(NAME, results.path, None, None)
