"""`tuition doctor`; `tuition.app.scenarios.doctor_installation` and `doctor_scenario` do the work."""

from typing import Annotated

import typer

from tuition.app.commands.options import DEFAULT_RESULTS, JsonOption, ResultsOption
from tuition.app.processes.libraries import silence_libraries


def doctor(
    scenario: Annotated[
        str | None,
        typer.Option(
            "--scenario",
            "-s",
            help="Check whether this scenario fits this machine: memory of every stage, hours, disk, what to change.",
        ),
    ] = None,
    results: ResultsOption = DEFAULT_RESULTS,
    json: JsonOption = False,
) -> None:
    """Check the installation: versions, devices, disk, and how to fix what is wrong; or whether a scenario fits.

    The exit code is 1 when a search cannot run.
    """
    from json import dumps

    from tuition.app.scenarios.doctor_installation import examine, show

    if scenario is not None:
        from tuition.app.scenarios.doctor_scenario import examine_scenario, show_examined

        silence_libraries()
        document, show = examine_scenario(scenario, results), show_examined
    else:
        document = examine(results)
    typer.echo(dumps(document, indent=1)) if json else show(document)
    if document["problems"]:
        raise typer.Exit(1)
