"""Options that several commands share, and the check of a study's name."""

import re
from pathlib import Path
from typing import Annotated

import typer

ScenarioOption = Annotated[str, typer.Option("--scenario", "-s", help="A built-in scenario's name, or a YAML file.")]
ResultsOption = Annotated[Path, typer.Option("--results", "-r", help="Folder of blocks, scores, ledger and studies.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Training seed; also decides the order of the labels.")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON document on standard output; progress on standard error.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
MixOption = Annotated[bool, typer.Option(help="Reuse blocks that other library versions or another GPU trained.")]
TrackOption = Annotated[
    str | None,
    typer.Option(
        "--track",
        help="Also send the curves of every block to tensorboard, wandb (offline) or trackio; files are in "
        "RESULTS/tracking.",
    ),
]
TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code",
        help="Run code that a model brings along, where the scenario says trust_remote_code for it. Read it first.",
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Price it, and train nothing.")]
WorkersOption = Annotated[
    int,
    typer.Option(
        "--workers", "-w", min=1, help="Worker processes, one thread or device each; 1 works in this process."
    ),
]
DataOption = Annotated[
    Path | None, typer.Option(help="Folder of local JSONL copies (math500.jsonl, …); without it, the Hub is asked.")
]
DEFAULT_RESULTS = Path("results")


def study_name(name: str | None) -> str | None:
    """The name itself; typer.BadParameter for one that could not be a folder's."""
    if name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise typer.BadParameter(
            f"study name {name!r}: use up to 64 letters, digits, '.', '_' and '-', a letter or digit first"
        )
    return name
