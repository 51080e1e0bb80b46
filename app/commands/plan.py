"""`tuition plan`; `tuition.app.studies.search_plan` does the work."""

from typing import Annotated

import typer

from tuition.app.commands.options import (
    DEFAULT_RESULTS,
    AsDeployedOption,
    BudgetOption,
    FirstOption,
    GpuHoursOption,
    JsonOption,
    ResultsOption,
    SamplerOption,
    ScenarioOption,
    SeedOption,
    StorageOption,
    StudyOption,
)


def plan(
    scenario: ScenarioOption = "micro",
    trials: Annotated[
        int | None, typer.Option(min=1, help="Trials of the search. Default: what the budget pays for, or 12.")
    ] = None,
    budget: BudgetOption = None,
    gpu_hours: GpuHoursOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
    seed: SeedOption = 0,
    test_seeds: Annotated[int, typer.Option(min=0, help="Seeds of the test after the search.")] = 1,
    study: StudyOption = None,
    storage: StorageOption = None,
    sampler: SamplerOption = None,
    first: FirstOption = None,
    as_deployed: AsDeployedOption = False,
    json: JsonOption = False,
) -> None:
    """Estimate what a search costs: blocks, seconds, memory, peak disk, labels. Trains, writes and fetches nothing."""
    from tuition.app.api import training
    from tuition.app.processes.terminal import print_json
    from tuition.app.studies.study_tables import show_plan

    planned = training.plan(
        scenario,
        trials=trials,
        budget=budget,
        gpu_hours=gpu_hours,
        results=results,
        seed=seed,
        test_seeds=test_seeds,
        study=study,
        storage=storage,
        sampler=sampler,
        first=first,
        as_deployed=as_deployed,
    )
    print_json(planned.document()) if json else show_plan(planned)
