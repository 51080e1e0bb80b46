"""`tuition next`; `tuition.app.advice` does the work."""

from typing import Annotated

import typer

from tuition.app.commands.options import (
    DEFAULT_RESULTS,
    JsonOption,
    KeptScenarioOption,
    ResultsOption,
    StorageOption,
    StudyArgument,
)


def next_(
    study: StudyArgument,
    top: Annotated[int, typer.Option(min=1, max=50, help="How many candidates to show.")] = 5,
    results: ResultsOption = DEFAULT_RESULTS,
    scenario: KeptScenarioOption = None,
    storage: StorageOption = None,
    json: JsonOption = False,
) -> None:
    """List what could be trained next, with price, predicted score, value and reason, best first.

    For a person who runs one route at a time: each line is an alternative. `tuition search` trains the first by itself;
    `tuition tell` enters the score of a route that was trained elsewhere. Trains and writes nothing.
    """
    from tuition.app.advice.advice_tables import show_next
    from tuition.app.advice.next_routes import next_routes
    from tuition.app.advice.opened_study import open_study
    from tuition.app.processes.terminal import print_json

    found = next_routes(open_study(study, results, scenario, storage), top)
    print_json(found.model_dump(mode="json")) if json else show_next(found)
