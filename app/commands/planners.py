"""`tuition planners`; `tuition.app.recordings.race_report` does the work."""

from pathlib import Path
from typing import Annotated

import typer

from tuition.app.commands.options import DEFAULT_RESULTS, JsonOption, QuietOption, ResultsOption
from tuition.benchmarks.results_folder import ResultsFolder


def planners(
    table: Annotated[
        str, typer.Option("--table", "-t", help="A table written by `tuition record`, or the name of one that ships.")
    ],
    searches: Annotated[int, typer.Option(min=2, help="Searches per planner and draw seed.")] = 50,
    to: Annotated[
        Path | None,
        typer.Option(help="Output for the dashboard; default: planners/TABLE.parquet in the results folder."),
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Also write a figure to this .png, .pdf or .svg file.")] = None,
    results: ResultsOption = DEFAULT_RESULTS,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Rank the planners of Tuition on a recorded table, in minutes and without training.

    Each searches a replay of the draw seeds; the allocation it selects within a budget is judged on the test scores of
    the judge seeds. This shows what a search gains over its first trials, the named routes.
    """
    from tuition.app.processes.terminal import print_json
    from tuition.app.recordings.race_report import measure_planners
    from tuition.benchmarks.tables.shipped import find_table

    path = find_table(table)
    rows = to or ResultsFolder(results).planners / f"{path.stem}.parquet"
    document, text = measure_planners(path, searches, rows, figure, quiet or json)
    print_json(document) if json else typer.echo(text, nl=False)
