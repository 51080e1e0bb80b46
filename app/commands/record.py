"""`tuition record`; `tuition.app.recordings.recording_plan` and `recording` do the work."""

from pathlib import Path
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
    WorkersOption,
)
from tuition.app.processes.libraries import silence_libraries


def record(
    scenario: ScenarioOption = "micro",
    seeds: Annotated[
        int,
        typer.Option(
            min=1,
            help="Number of recorded seeds, from 1000001 on. They alternate: judge seed, draw seed, judge seed, ... "
            "Planners search on draw seeds and are judged on judge seeds.",
        ),
    ] = 4,
    routes: Annotated[
        int,
        typer.Option(min=1, help="Routes per seed, starting with the named ones and all splits of the whole budget."),
    ] = 150,
    out: Annotated[
        Path | None,
        typer.Option(help="The table, a Parquet file; default: recorded/SCENARIO.parquet in the results folder."),
    ] = None,
    results: ResultsOption = DEFAULT_RESULTS,
    only_named: Annotated[
        bool, typer.Option("--only-named", help="Only the named routes and the best split of the table so far.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help='Only this route, by its name in `tuition scenarios` or as an allocation ("teacher_rl=2 ..."); may be '
            "repeated."
        ),
    ] = None,
    complete: Annotated[
        bool,
        typer.Option(
            "--complete",
            help="Every allocation of the search space, and every checkpoint on the way to one, teachers too.",
        ),
    ] = False,
    max_store: Annotated[
        str | None,
        typer.Option(
            help="Keep the store within this size (such as 500MB or 20GB): evicts blocks that no later run needs "
            "first. Default: keep everything."
        ),
    ] = None,
    dry_run: DryRunOption = False,
    mix_versions: MixOption = False,
    json: JsonOption = False,
    workers: WorkersOption = 1,
    quiet: QuietOption = False,
) -> None:
    """Train about 150 routes of a scenario with several seeds, or all of them, and record them in one table, for
    replay.

    The table is rewritten after every seed. If interrupted, rerun the same command to resume; with more seeds or
    routes it adds what is missing.
    """
    if complete + only_named + bool(only) > 1:
        raise typer.BadParameter("--complete, --only-named and --only each say what is recorded: give one of them")
    from tuition.app.processes.run_configuration import RunConfiguration
    from tuition.app.processes.terminal import print_json
    from tuition.app.recordings.recording_plan import RecordRequest, plan_recording
    from tuition.app.recordings.recording_tables import show_recorded, show_recording_plan
    from tuition.app.storage.store_upkeep import parse_size

    silence_libraries()
    limit = None if max_store is None else parse_size(max_store)
    configuration = RunConfiguration(scenario, results, mix_versions, workers, limit, quiet)
    request = RecordRequest(configuration, seeds, routes, out, only_named, complete, tuple(only or ()))
    if dry_run:
        document = plan_recording(request)
        print_json(document) if json else show_recording_plan(document)
        return
    from tuition.app.recordings.recording import run_recording

    document = run_recording(request)
    print_json(document) if json else show_recorded(document)
