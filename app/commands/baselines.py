"""`tuition baselines`; `tuition.app.studies.baseline_runs` does the work."""

from typing import Annotated

import typer

from tuition.app.commands.options import (
    DEFAULT_RESULTS,
    DryRunOption,
    JsonOption,
    MixOption,
    QuietOption,
    ResultsOption,
    ScenarioOption,
    TrackOption,
    TrustOption,
    WorkersOption,
    study_name,
)
from tuition.app.processes.silence import silence_libraries
from tuition.benchmarks.results_folder import ResultsFolder


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
    from tuition.app.processes.run_configuration import RunConfiguration
    from tuition.app.processes.terminal import print_json
    from tuition.app.studies.baseline_runs import BaselinesRequest, plan_baselines, run_baselines
    from tuition.app.studies.study_leaderboard import show_leaderboard
    from tuition.app.studies.study_tables import show_baselines_plan
    from tuition.runners.scenarios.sources import confirm_trust
    from tuition.runners.training.tracking import start_tracking

    silence_libraries()
    request = BaselinesRequest(
        RunConfiguration(scenario, results, mix_versions, workers, quiet=quiet),
        seeds,
        study_name(study),
        tuple(only or ()),
        compute_of,
        study_name(finalists_of),
    )
    confirm_trust(trust_remote_code)
    if not dry_run:
        start_tracking(track, ResultsFolder(results).tracking)
        report = run_baselines(request)
        print_json(report.leaderboard) if json else show_leaderboard(report.leaderboard)
    else:
        plan = plan_baselines(request)
        print_json(plan.document()) if json else show_baselines_plan(plan)
