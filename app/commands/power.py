"""`tuition power`; `tuition.app.scoring.power_report` does the work."""

from pathlib import Path
from typing import Annotated

import typer


def power(
    difference: Annotated[
        float | None, typer.Option(help="True difference in points (2 is 52 % against 50 %).")
    ] = None,
    problems: Annotated[int | None, typer.Option(min=2, help="Problems of the test suite.")] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Samples per problem.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Training seeds of each of the two allocations.")] = None,
    wanted: Annotated[float, typer.Option("--power", help="The power to reach when one of the four is omitted.")] = 0.8,
    level: Annotated[float, typer.Option(help="Level of the interval.")] = 0.95,
    rows: Annotated[
        int | None,
        typer.Option(min=2, help="Size a whole table of this many rows: a difference that survives Holm's correction."),
    ] = None,
    study: Annotated[
        str | None, typer.Option("--from", help="Estimate the variances from this study, tested on 2 or more seeds.")
    ] = None,
    board: Annotated[
        str | None, typer.Option(help="Estimate them from a leaderboard: a folder, or a shipped one's name.")
    ] = None,
    table: Annotated[
        str | None, typer.Option(help="Estimate them from a recorded table: a file, or a shipped one's name.")
    ] = None,
    a: Annotated[
        str | None, typer.Option(help="The first entry of the comparison to estimate from; default: all pairs.")
    ] = None,
    b: Annotated[str | None, typer.Option(help="The second entry of the comparison; default with --a: direct.")] = None,
    results: Annotated[Path, typer.Option("--results", "-r", help="With --from: the results folder.")] = Path(
        "results"
    ),
    seed_sd: Annotated[
        float,
        typer.Option(
            help="Standard deviation of the difference across seeds, in points. The default is that of pairs in the "
            "recorded tables micro@1 and micro-b@1: 2.8 and 3.5."
        ),
    ] = 3.0,
    problem_sd: Annotated[
        float,
        typer.Option(help="Standard deviation of the difference across problems, in points (our choice)."),
    ] = 10.0,
    interaction_sd: Annotated[
        float,
        typer.Option(help="Standard deviation of one problem across seeds, in points (our choice)."),
    ] = 10.0,
    accuracy: Annotated[float, typer.Option(help="Accuracy in %, which sets the sampling noise.")] = 50.0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")] = False,
) -> None:
    """Compute the power of a comparison, or solve for the omitted one of --difference, --problems, --samples, --seeds.

    With --from, --board or --table the variances are measured ones, of two entries or of a typical pair.

    Trains and writes nothing. docs/statistics.md has tables and their limits.
    """
    from tuition.app.processes.terminal import print_json
    from tuition.app.scoring.power_report import PowerRequest, find_components, run_power, show_power

    assumed = (seed_sd, problem_sd, interaction_sd, accuracy)
    found = find_components({"from": study, "board": board, "table": table}, a, b, results, assumed)
    request = PowerRequest(difference, problems, samples, seeds, wanted, level, rows)
    document = run_power(request, found)
    print_json(document) if json else show_power(document)
