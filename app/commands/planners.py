"""`tuition planners`; `tuition.app.recordings.race_report` does the work."""

from pathlib import Path
from typing import Annotated

import typer

from tuition.app.commands.options import DEFAULT_RESULTS, JsonOption, QuietOption, ResultsOption
from tuition.benchmarks.results_folder import ResultsFolder


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
    from tuition.app.processes.terminal import print_json
    from tuition.app.recordings.race_report import measure_planners

    rows = to or ResultsFolder(results).planners / f"{table.stem}.parquet"
    document, text = measure_planners(table, searches, rows, figure, quiet or json)
    print_json(document) if json else typer.echo(text, nl=False)
