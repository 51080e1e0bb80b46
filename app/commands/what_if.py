"""`tuition what-if`; `tuition.app.advice.what_if` does the work."""

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


def what_if(
    study: StudyArgument,
    allocations: Annotated[
        list[str] | None, typer.Argument(metavar="ALLOCATION...", help="Block counts or routes' names to predict.")
    ] = None,
    labels: Annotated[
        int | None, typer.Option(min=1, help="Labels to train on. Default: as many as the study has.")
    ] = None,
    teacher: Annotated[str | None, typer.Option(help="Think of this teacher only.")] = None,
    gain: Annotated[float, typer.Option(min=0, help="Say how many labels so many points need.")] = 2.0,
    money: Annotated[float | None, typer.Option(min=0, help="Say what this sum is best spent on.")] = None,
    label_price: Annotated[float, typer.Option(min=0, help="With --money: of a label that you do not have.")] = 0.0,
    gpu_hour_price: Annotated[
        float, typer.Option(min=0, help="With --money: of an hour of the reserved devices.")
    ] = 0.0,
    results: ResultsOption = DEFAULT_RESULTS,
    scenario: KeptScenarioOption = None,
    storage: StorageOption = None,
    json: JsonOption = False,
) -> None:
    """Predict allocations that were not run, what more labels would buy, and what money is best spent on.

    Intervals hold 90 % of the posterior and grow with the distance from what was scored, which is stated. Beyond twice
    the labels of the longest route with a score, nothing is said. Trains and writes nothing.
    """
    from tuition.app.advice.advice_tables import show_what_if
    from tuition.app.advice.opened_study import open_study
    from tuition.app.advice.what_if import Question, what_if
    from tuition.app.processes.terminal import print_json

    question = Question(tuple(allocations or ()), labels, teacher, gain, money, label_price, gpu_hour_price)
    found = what_if(open_study(study, results, scenario, storage), question)
    print_json(found.model_dump(mode="json")) if json else show_what_if(found)
