"""`tuition search`: `tuition.search` on the command line."""

from typing import Annotated

import typer

from tuition.app.commands.options import (
    DEFAULT_RESULTS,
    AsDeployedOption,
    BudgetOption,
    DryRunOption,
    FirstOption,
    GpuHoursOption,
    JsonOption,
    MixOption,
    QuietOption,
    ResultsOption,
    SamplerOption,
    ScenarioOption,
    SeedOption,
    StorageOption,
    StudyOption,
    TrackOption,
    TrustOption,
    WarmStartOption,
    WorkersOption,
)
from tuition.app.commands.plan import plan
from tuition.benchmarks.results_folder import ResultsFolder


def search(
    scenario: ScenarioOption = "micro",
    trials: Annotated[
        int | None,
        typer.Option(
            min=1, help="Stop when the study has this many trials in total. Default: 12, or no limit if another is set."
        ),
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop this call after this many seconds.")] = None,
    budget: BudgetOption = None,
    gpu_hours: GpuHoursOption = None,
    min_gain: Annotated[
        float | None,
        typer.Option(min=0, help="Stop when no proposal promises this many points per GPU-hour."),
    ] = None,
    results: ResultsOption = DEFAULT_RESULTS,
    study: StudyOption = None,
    seed: SeedOption = 0,
    test_seeds: Annotated[
        int,
        typer.Option(
            min=0,
            help="Number of seeds on which finalists and baselines are retrained and tested: 3 or more for ranks, "
            "0 for no test.",
        ),
    ] = 1,
    as_deployed: AsDeployedOption = False,
    sampler: SamplerOption = None,
    first: FirstOption = None,
    warm_start: WarmStartOption = None,
    storage: StorageOption = None,
    mix_versions: MixOption = False,
    track: TrackOption = None,
    trust_remote_code: TrustOption = False,
    max_store: Annotated[
        str | None,
        typer.Option(
            help="Keep the store within this size (such as 500MB or 20GB): evicts the blocks with the least "
            "GPU-seconds per byte, never those in use or behind a finalist. Default: keep everything."
        ),
    ] = None,
    json: JsonOption = False,
    workers: WorkersOption = 1,
    dry_run: DryRunOption = False,
    quiet: QuietOption = False,
) -> None:
    """Search allocations, then test the finalists and the baselines on seeds that the search never used.

    If interrupted, rerun the same command to resume. A finished search trains nothing again.
    """
    if dry_run:
        from tuition.runners.scenarios.sources import confirm_trust

        confirm_trust(trust_remote_code)
        plan(
            scenario,
            trials,
            budget,
            gpu_hours,
            results,
            seed,
            test_seeds,
            study,
            storage,
            sampler,
            first,
            warm_start,
            as_deployed,
            json=json,
            quiet=quiet,
        )
        return
    from tuition.app.api import training
    from tuition.app.processes.terminal import print_json
    from tuition.app.studies.study_tables import show_search

    report = training.search(
        scenario,
        trials=trials,
        seconds=seconds,
        budget=budget,
        gpu_hours=gpu_hours,
        min_gain=min_gain,
        results=results,
        study=study,
        seed=seed,
        test_seeds=test_seeds,
        as_deployed=as_deployed,
        sampler=sampler,
        first=first,
        warm_start=warm_start,
        storage=storage,
        mix_versions=mix_versions,
        track=track,
        trust_remote_code=trust_remote_code,
        max_store=max_store,
        workers=workers,
        quiet=quiet,
    )
    print_json(report.document()) if json else show_search(report, ResultsFolder(results).study(report.study))
