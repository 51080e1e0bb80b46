"""`tuition shuffled`; `tuition.app.studies.shuffled_runs` does the work."""

from typing import Annotated

import typer

from tuition.app.commands.options import DEFAULT_RESULTS, JsonOption, QuietOption, ResultsOption, ScenarioOption
from tuition.app.processes.libraries import silence_libraries


def shuffled(
    scenario: ScenarioOption = "micro",
    seeds: Annotated[int, typer.Option(min=1, help="Number of training seeds.")] = 3,
    results: ResultsOption = DEFAULT_RESULTS,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare training in blocks with one ordinary shuffled run: what sharing prefixes costs in accuracy."""
    from tuition.app.processes.run_configuration import RunConfiguration
    from tuition.app.processes.terminal import print_json
    from tuition.app.studies.shuffled_runs import compare_shuffled
    from tuition.app.studies.study_tables import show_shuffled

    silence_libraries()
    report = compare_shuffled(RunConfiguration(scenario, results, quiet=quiet), seeds)
    print_json(report.document()) if json else show_shuffled(report)
