"""`tuition measure`; `tuition.app.costs.measure_run` does the work."""

from typing import Annotated

import typer

from tuition.app.commands.options import (
    DEFAULT_RESULTS,
    JsonOption,
    QuietOption,
    ResultsOption,
    ScenarioOption,
    TrustOption,
)


def measure(
    scenario: ScenarioOption = "micro",
    steps: Annotated[int, typer.Option(min=2, help="Optimizer steps of each short block.")] = 3,
    results: ResultsOption = DEFAULT_RESULTS,
    trust_remote_code: TrustOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train one short block of each stage to learn what blocks cost here; plans use it until real blocks are stored.

    Reveals a few labels, which the ledger books to an account of its own. Keeps no weights.
    """
    from tuition.app.api.arguments import as_command, make_configuration
    from tuition.app.costs.measure_run import measure_costs
    from tuition.app.processes.terminal import print_json
    from tuition.app.studies.study_tables import show_measured_costs

    with as_command(results, trust_remote_code=trust_remote_code):
        measured = measure_costs(make_configuration(scenario, results, quiet=quiet), steps)
    print_json(measured.document()) if json else show_measured_costs(measured)
