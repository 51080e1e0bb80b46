"""`tuition doctor`; `tuition.app.scenarios.doctor_installation` and `doctor_scenario` do the work."""

from typing import Annotated

import typer

from tuition.app.commands.options import DEFAULT_RESULTS, JsonOption, ResultsOption
from tuition.app.processes.silence import silence_libraries


def doctor(
    scenario: Annotated[
        str | None,
        typer.Option(
            "--scenario",
            "-s",
            help="Whether this scenario fits here: memory of every stage, hours, disk, what to change.",
        ),
    ] = None,
    results: ResultsOption = DEFAULT_RESULTS,
    json: JsonOption = False,
) -> None:
    """Print versions, devices, threads and disk, what is wrong and the fix; or whether a scenario fits this machine.

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
