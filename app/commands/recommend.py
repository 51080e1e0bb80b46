"""`tuition recommend`; `tuition.app.advice` does the work."""

from typing import Annotated

import typer

from tuition.app.commands.options import (
    DEFAULT_RESULTS,
    JsonOption,
    KeptScenarioOption,
    MarginOption,
    ResultsOption,
    StorageOption,
    StudyArgument,
)


def recommend(
    study: StudyArgument,
    gpu_hours: Annotated[
        float, typer.Option(min=0, help="Plan what so many hours of reserved devices would be spent on next.")
    ] = 10.0,
    margin: MarginOption = 1.0,
    results: ResultsOption = DEFAULT_RESULTS,
    scenario: KeptScenarioOption = None,
    storage: StorageOption = None,
    json: JsonOption = False,
) -> None:
    """Say which split to deploy and how sure that is, or that no decision is possible yet.

    The planner computes everything anew from the study's scores, whoever proposed its trials. Trains and writes
    nothing. docs/advice.md says what the numbers mean and how the decision is made.
    """
    from tuition.app.advice.advice_tables import show_recommendation
    from tuition.app.advice.opened_study import open_study
    from tuition.app.advice.recommendation import recommend
    from tuition.app.processes.terminal import print_json

    found = recommend(open_study(study, results, scenario, storage), gpu_hours, margin)
    print_json(found.model_dump(mode="json")) if json else show_recommendation(found)
