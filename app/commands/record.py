"""The commands `tuition record`, `recorded`, `evidence` and `planners`. Heavy imports wait inside, as in
`tuition.app.cli`."""

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
from tuition.benchmarks.results_folder import ResultsFolder


def record(
    scenario: ScenarioOption = "micro",
    seeds: Annotated[
        int,
        typer.Option(
            min=1,
            help="Recorded seeds: the first so many of 1000001, 1000002, ...; they take turns to "
            "judge planners and to be drawn from by them.",
        ),
    ] = 4,
    routes: Annotated[
        int, typer.Option(min=1, help="Routes per seed; the named ones and all splits of the whole budget come first.")
    ] = 150,
    out: Annotated[
        Path | None, typer.Option(help="The table, a Parquet file; default: recorded/SCENARIO.parquet in the results.")
    ] = None,
    results: ResultsOption = DEFAULT_RESULTS,
    only_named: Annotated[
        bool, typer.Option("--only-named", help="Only the named routes and the best split of the table so far.")
    ] = False,
    max_store: Annotated[
        str | None,
        typer.Option(
            help="Keep the store within this size (as 500MB or 20GB): blocks that no later run needs go first. "
            "Default: keep everything."
        ),
    ] = None,
    dry_run: DryRunOption = False,
    mix_versions: MixOption = False,
    json: JsonOption = False,
    workers: WorkersOption = 1,
    quiet: QuietOption = False,
) -> None:
    """Train about 150 routes of a scenario with several seeds and record them in one table, for replay.

    The table is written anew after every seed. Stopped or killed, the same command goes on where it was; with more
    seeds or routes it adds what is missing.
    """
    from tuition.app.processes.progress import print_json
    from tuition.app.processes.run_configuration import RunConfiguration
    from tuition.app.processes.silence import silence_libraries
    from tuition.app.recordings.printed import show_recorded, show_recording_plan
    from tuition.app.recordings.recording_plan import RecordRequest, plan_recording
    from tuition.app.storage.store_upkeep import parse_size

    silence_libraries()
    limit = None if max_store is None else parse_size(max_store)
    configuration = RunConfiguration(scenario, results, mix_versions, workers, limit, quiet)
    request = RecordRequest(configuration, seeds, routes, out, only_named)
    if dry_run:
        document = plan_recording(request)
        print_json(document) if json else show_recording_plan(document)
        return
    from tuition.app.recordings.recording import run_recording

    document = run_recording(request)
    print_json(document) if json else show_recorded(document)


def recorded(
    table: Annotated[Path, typer.Argument(help="A table that `tuition record` wrote.")], json: JsonOption = False
) -> None:
    """Check a recorded table and say what it holds."""
    from tuition.app.processes.progress import print_json
    from tuition.app.recordings.printed import show_recorded
    from tuition.app.recordings.table_summary import describe_table

    document = describe_table(table)
    print_json(document) if json else show_recorded(document)


def evidence(
    table: Annotated[Path, typer.Option("--table", "-t", help="A table that `tuition record` wrote.")],
    figure: Annotated[Path | None, typer.Option(help="Write the figure here: .png, .pdf or .svg.")] = None,
    json: JsonOption = False,
) -> None:
    """Compare the named routes of a recorded table, with paired intervals, as Markdown and as a figure.

    The best split is selected on the validation scores of draw seeds and compared on test scores of judge seeds only.
    """
    from tuition.app.processes.progress import print_json
    from tuition.app.recordings.evidence_report import make_evidence

    document, text = make_evidence(table, figure)
    print_json(document) if json else typer.echo(text, nl=False)


def planners(
    table: Annotated[Path, typer.Option("--table", "-t", help="A table that `tuition record` wrote.")],
    searches: Annotated[int, typer.Option(min=2, help="Searches of each planner on each draw seed.")] = 50,
    to: Annotated[
        Path | None, typer.Option(help="Rows for the dashboard; default: planners/TABLE.parquet in the results.")
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Write the figure here: .png, .pdf or .svg.")] = None,
    results: ResultsOption = DEFAULT_RESULTS,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Rank the planners of Tuition on a recorded table; minutes, and nothing is trained.

    Each searches the replay of the draw seeds; what it hands over for a budget is judged on the test scores of the
    judge seeds. So you see what a search buys over its own first trials, the named routes.
    """
    from tuition.app.processes.progress import print_json
    from tuition.app.recordings.race_report import measure_planners

    rows = to or ResultsFolder(results).planners / f"{table.stem}.parquet"
    document, text = measure_planners(table, searches, rows, figure, quiet or json)
    print_json(document) if json else typer.echo(text, nl=False)
