"""`tuition baselines`: `tuition.baselines` on the command line."""

from typing import Annotated

import typer

from tuition.app.commands.options import (
    DEFAULT_RESULTS,
    AsDeployedOption,
    DryRunOption,
    JsonOption,
    MixOption,
    QuietOption,
    ResultsOption,
    ScenarioOption,
    TrackOption,
    TrustOption,
    WorkersOption,
)


def baselines(
    scenario: ScenarioOption = "micro",
    seeds: Annotated[int, typer.Option(min=1, help="Number of training seeds.")] = 1,
    results: ResultsOption = DEFAULT_RESULTS,
    study: Annotated[
        str | None, typer.Option(help="Study name, under which labels are counted and the results kept.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="A baseline to run; may be repeated. Default: all. Direct GRPO is always included."),
    ] = None,
    compute_of: Annotated[
        str, typer.Option(help="Entry whose GPU-seconds direct-compute is matched to.")
    ] = "teacher-upstream",
    finalists_of: Annotated[
        str | None,
        typer.Option(help="A tested search, whose finalists and their replay controls join the table."),
    ] = None,
    as_deployed: AsDeployedOption = False,
    dry_run: DryRunOption = False,
    mix_versions: MixOption = False,
    track: TrackOption = None,
    trust_remote_code: TrustOption = False,
    json: JsonOption = False,
    workers: WorkersOption = 1,
    quiet: QuietOption = False,
) -> None:
    """Train the baselines on fresh seeds and compare each with direct GRPO on the test suite.

    Each uses at most the labels of direct GRPO; direct-compute also matches the compute of another route.
    """
    from tuition.app.api import training
    from tuition.app.processes.terminal import print_json
    from tuition.app.studies.study_leaderboard import show_leaderboard
    from tuition.app.studies.study_tables import show_baselines_plan

    if dry_run:
        planned = training.plan_baselines(
            scenario,
            seeds=seeds,
            results=results,
            study=study,
            only=only or (),
            compute_of=compute_of,
            finalists_of=finalists_of,
            as_deployed=as_deployed,
            trust_remote_code=trust_remote_code,
        )
        print_json(planned.document()) if json else show_baselines_plan(planned)
        return
    report = training.baselines(
        scenario,
        seeds=seeds,
        results=results,
        study=study,
        only=only or (),
        compute_of=compute_of,
        finalists_of=finalists_of,
        as_deployed=as_deployed,
        mix_versions=mix_versions,
        track=track,
        trust_remote_code=trust_remote_code,
        workers=workers,
        quiet=quiet,
    )
    print_json(report.leaderboard) if json else show_leaderboard(report.leaderboard)
