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
    QuietOption,
    ResultsOption,
    SamplerOption,
    ScenarioOption,
    SeedOption,
    StorageOption,
    StudyOption,
    WarmStartOption,
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
    warm_start: WarmStartOption = None,
    as_deployed: AsDeployedOption = False,
    expect: Annotated[
        str | None,
        typer.Option(
            help="Also say what a search of such budgets is expected to find out: in R, separated by commas, such as "
            "0.5R,1R. It is played in worlds drawn from the planner's prior."
        ),
    ] = None,
    worlds: Annotated[
        int, typer.Option(min=2, help="Worlds of --expect: 10 take about a minute of one core for each budget.")
    ] = 10,
    untrained: Annotated[
        str | None,
        typer.Option(
            help="With --expect: validation scores of base models in percent, such as student=30,8b=55. Default: drawn "
            "from the prior, which takes a teacher for as good as the student on the mean."
        ),
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Estimate what a search costs: blocks, seconds, memory, peak disk, labels. Trains, writes and fetches nothing.

    With --expect, also what it is expected to find out (docs/planner.md).
    """
    from tuition.app.advice.expectation import parse_untrained
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
        warm_start=warm_start,
        as_deployed=as_deployed,
        expect=expect,
        worlds=worlds,
        untrained=None if untrained is None else parse_untrained(untrained),
        quiet=quiet or json,
    )
    print_json(planned.document()) if json else show_plan(planned)
