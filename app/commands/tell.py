"""`tuition tell`; `tuition.app.advice.told_scores` does the work."""

from pathlib import Path
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


def tell(
    study: StudyArgument,
    allocation: Annotated[str, typer.Argument(help="Block counts or a route's name, as for `tuition run`.")],
    scores: Annotated[
        Path, typer.Option(help="Outcomes on the validation suite: JSON lines, or Parquet if it ends in .parquet.")
    ],
    labels: Annotated[
        int | None,
        typer.Option(min=0, help="Labels that it was trained on. Default: as many as the allocation says."),
    ] = None,
    results: ResultsOption = DEFAULT_RESULTS,
    scenario: KeptScenarioOption = None,
    storage: StorageOption = None,
    json: JsonOption = False,
) -> None:
    """Enter the score of a route that was trained elsewhere, as a finished trial that is marked "told from outside".

    A line for each problem of the validation suite, or one for each of its samples:

    \b
      {"problem_id": "p17", "correct": [true, false, true, true]}
      {"problem_id": "p17", "sample": 0, "correct": true}

    All problems of the suite must be there, each with as many samples as the study draws. Its labels are booked as
    declared, apart from those of the study; it has no checkpoint here, so it cannot be exported.
    """
    from tuition.app.advice.opened_study import open_study
    from tuition.app.advice.told_scores import tell
    from tuition.app.processes.terminal import print_json

    told = tell(open_study(study, results, scenario, storage), allocation, scores, labels)
    if json:
        print_json(told.model_dump(mode="json"))
        return
    typer.echo(
        f"trial #{told.trial} of {told.study}: {told.allocation} scored {told.mean:.1%}, told from outside; "
        f"{told.labels_outside} labels declared"
    )
