"""`tuition recommend`; `tuition.app.advice` does the work."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from tuition.app.advice.opened_study import OpenedStudy


def recommend(
    study: StudyArgument,
    gpu_hours: Annotated[
        float, typer.Option(min=0, help="Plan what so many hours of reserved devices would be spent on next.")
    ] = 10.0,
    margin: MarginOption = 1.0,
    plots: Annotated[
        Path | None,
        typer.Option(help="Also draw the advice into this folder: five pictures, each with its numbers as CSV."),
    ] = None,
    results: ResultsOption = DEFAULT_RESULTS,
    scenario: KeptScenarioOption = None,
    storage: StorageOption = None,
    json: JsonOption = False,
) -> None:
    """Say which split to deploy and how sure that is, or that no decision is possible yet.

    The planner computes everything anew from the study's scores, whoever proposed its trials. Trains nothing,
    and writes nothing but the pictures. docs/advice.md says what the numbers mean and how the decision is made.
    """
    from tuition.app.advice.advice_tables import show_recommendation
    from tuition.app.advice.opened_study import open_study
    from tuition.app.advice.recommendation import recommend
    from tuition.app.processes.terminal import print_json

    opened = open_study(study, results, scenario, storage)
    found = recommend(opened, gpu_hours, margin)
    written = _drawn(opened, plots) if plots is not None else []
    if json:
        print_json(found.model_dump(mode="json"))
        return
    show_recommendation(found)
    for path in written:
        typer.echo(f"Wrote {path} and its numbers, {path.with_suffix('.csv').name}.")


def _drawn(opened: "OpenedStudy", folder: Path) -> list[Path]:
    """The pictures, written; pandas and matplotlib are loaded only for them."""
    from tuition.app.advice.pictures.writing import write_pictures

    return write_pictures(opened, folder)
