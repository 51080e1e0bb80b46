"""Training one cell of a table of label curves: a scenario, an allocation, one seed.

Only validation problems are scored, and seeds are 0 to 2: no test suite, no seed of any evidence.
"""

import json
import multiprocessing
import os
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tuition.app.processes.libraries import silence_libraries
from tuition.app.studies.evaluation import outcomes_of
from tuition.planner.allocation import Allocation, TeacherCheckpoint
from tuition.planner.route import Route, compile_checkpoint
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.settings import AnySettings

SEEDS = (0, 1, 2)
STUDY = "scarcity"


@dataclass(frozen=True)
class Cell:
    """One training: a scenario (its name or file), an allocation, and who is scored.

    With `num_labels` the labels are the first so many that the seed would buy, trained in one ordinary shuffled run of
    as many updates as all label blocks together have.
    """

    scenario: str
    allocation: str
    seed: int
    num_labels: int | None = None
    scored: Literal["student", "teacher"] = "student"


def cell_scenario(cell: Cell, folder: Path) -> Scenario:
    """The scenario with the cell's labels; `folder` keeps those that were chosen."""
    scenario = Scenario.load(cell.scenario)
    if cell.num_labels is None:
        return scenario
    by_id = {problem.id: problem for problem in scenario.labels}
    bought = [by_id[label.id] for label in scenario.recipe.label_order(cell.seed)[: cell.num_labels]]
    rows = [{name: getattr(problem, name) for name in ("id", "problem", "answer", "subject")} for problem in bought]
    path = folder.absolute() / f"labels-{scenario.name}-{cell.num_labels}-{cell.seed}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    # One block that holds all the labels and the steps of all blocks: an ordinary run.
    stages = scenario.file.stages
    for stage, settings in stages.present.items():
        if stage.is_rl:
            changes = {"steps": settings.steps * scenario.num_label_blocks}
            stages = stages.changed(stage.name, **changes, **_fewer_prompts(settings, cell.num_labels))
    one_block = scenario.file.model_copy(update={"stages": stages})
    labels = one_block.labels.model_copy(update={"micro": None, "count": None, "jsonl": str(path)})
    return Scenario(
        one_block.model_copy(update={"labels": labels, "labels_per_block": cell.num_labels}), scenario.folder
    )


def _fewer_prompts(settings: AnySettings, num_labels: int) -> dict[str, int]:
    """As many sequences a step, of fewer prompts, where there are fewer labels than a step takes prompts."""
    prompts = settings.prompts_needed
    while prompts > num_labels:
        prompts //= 2
    return {"prompts_per_step": prompts, "generations": settings.sequences_per_step // prompts}


def cell_route(cell: Cell, scenario: Scenario) -> Route:
    """The route to the model that is scored."""
    allocation = Allocation.parse(cell.allocation)
    teacher = TeacherCheckpoint.of(allocation) if cell.scored == "teacher" else None
    return compile_checkpoint(teacher or allocation, scenario.recipe, cell.seed)


def validation_outcomes(scenario: Scenario, route: Route, results: Path, study: str) -> Any:
    """Train a route and score its end: outcomes (problems, samples) of the validation suite, in the order of ids."""
    with closing(RouteRunner(scenario, results)) as runner:
        runner.run(route, study)
        table = runner.score(route.final, "validation", study).table
    return outcomes_of(table, sorted(problem.id for problem in scenario.validation))


def run_cell(job: tuple[Cell, Path]) -> dict[str, Any]:
    """Train and score a cell. `outcomes` (problems, samples), and the problems' and the trained labels' families."""
    cell, results = job
    silence_libraries()
    results.mkdir(parents=True, exist_ok=True)
    scenario = cell_scenario(cell, results)
    route = cell_route(cell, scenario)
    problems = {problem.id: str(problem.subject) for problem in scenario.validation}
    families = {problem.id: str(problem.subject) for problem in scenario.labels}
    return {
        "outcomes": validation_outcomes(scenario, route, results, STUDY),
        "families": [problems[i] for i in sorted(problems)],
        "labelled": {families[i] for i in route.labels_trained},
    }


def run_cells(cells: Iterable[Cell], results: Path, workers: int) -> Mapping[Cell, dict[str, Any]]:
    """Train cells in worker processes of one thread each; one worker is this process.

    What is in the results folder is not trained again.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    wanted = list(dict.fromkeys(cells))
    jobs = [(cell, results) for cell in wanted]
    if workers == 1:
        return dict(zip(wanted, map(run_cell, jobs), strict=True))
    with multiprocessing.get_context("spawn").Pool(workers, maxtasksperchild=8) as pool:
        return dict(zip(wanted, pool.imap(run_cell, jobs), strict=True))
