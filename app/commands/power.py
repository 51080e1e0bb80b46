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
    wanted: Annotated[float, typer.Option("--power", help="The power to reach when a number is left out.")] = 0.8,
    level: Annotated[float, typer.Option(help="Level of the interval.")] = 0.95,
    study: Annotated[
        str | None, typer.Option("--from", help="Estimate the variances from this study, tested on 2 or more seeds.")
    ] = None,
    a: Annotated[str, typer.Option(help="With --from: the entry that is compared.")] = "teacher-upstream",
    b: Annotated[str, typer.Option(help="With --from: the entry that it is compared with.")] = "direct",
    results: Annotated[Path, typer.Option("--results", "-r", help="With --from: the results folder.")] = Path(
        "results"
    ),
    seed_sd: Annotated[
        float, typer.Option(help="Without --from, in points: of the difference from seed to seed. Our choice.")
    ] = 1.0,
    problem_sd: Annotated[
        float, typer.Option(help="Without --from, in points: of the difference from problem to problem. Our choice.")
    ] = 10.0,
    interaction_sd: Annotated[
        float, typer.Option(help="Without --from, in points: of one problem from seed to seed. Our choice.")
    ] = 10.0,
    accuracy: Annotated[float, typer.Option(help="Without --from, in %: decides the noise of sampling.")] = 50.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Say what a comparison would see, or solve for the one of --difference, --problems, --samples, --seeds left out.

    Trains and writes nothing. docs/statistics.md has tables and says how far to trust them.
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
        source = "assumed: set --seed-sd and the others, or measure with --from"
    else:
        components = measured_components(results, study, a, b)
        source = f"measured: {a} - {b} of study {study}"
    document = run_power(PowerRequest(difference, problems, samples, seeds, wanted, level), components, source)
    print_json(document) if json else show_power(document)
