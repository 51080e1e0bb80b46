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
    study: Annotated[
        str | None, typer.Option("--from", help="Estimate the variances from this study, tested on 2 or more seeds.")
    ] = None,
    a: Annotated[str, typer.Option(help="With --from: the first entry of the comparison.")] = "teacher-upstream",
    b: Annotated[str, typer.Option(help="With --from: the second entry of the comparison.")] = "direct",
    results: Annotated[Path, typer.Option("--results", "-r", help="With --from: the results folder.")] = Path(
        "results"
    ),
    seed_sd: Annotated[
        float,
        typer.Option(help="Without --from: standard deviation of the difference across seeds, in points (assumed)."),
    ] = 1.0,
    problem_sd: Annotated[
        float,
        typer.Option(help="Without --from: standard deviation of the difference across problems, in points (assumed)."),
    ] = 10.0,
    interaction_sd: Annotated[
        float,
        typer.Option(help="Without --from: standard deviation of one problem across seeds, in points (assumed)."),
    ] = 10.0,
    accuracy: Annotated[
        float, typer.Option(help="Without --from: accuracy in %, which sets the sampling noise.")
    ] = 50.0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")] = False,
) -> None:
    """Compute the power of a comparison, or solve for the omitted one of --difference, --problems, --samples, --seeds.

    Trains and writes nothing. docs/statistics.md has tables and their limits.
    """
    from tuition.app.processes.terminal import print_json
    from tuition.app.scoring.power_report import (
        PowerRequest,
        assumed_components,
        measured_components,
        run_power,
        show_power,
    )

    if study is None:
        components = assumed_components(seed_sd, problem_sd, interaction_sd, accuracy)
        source = "assumed: set --seed-sd and the others, or estimate with --from"
    else:
        components = measured_components(results, study, a, b)
        source = f"measured: {a} - {b} of study {study}"
    document = run_power(PowerRequest(difference, problems, samples, seeds, wanted, level), components, source)
    print_json(document) if json else show_power(document)
