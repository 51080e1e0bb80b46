"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from tuition.benchmarks.grading.policies import POLICIES, PolicyError, find_policy


def _known_policy(name: str | None) -> str | None:
    """The name itself; typer's error for one that is unknown."""
    try:
        return None if name is None else find_policy(name).name
    except PolicyError as error:
        raise typer.BadParameter(str(error)) from None


ScenarioOption = Annotated[str, typer.Option("--scenario", "-s", help="A built-in scenario or a YAML file.")]
ResultsOption = Annotated[
    Path, typer.Option("--results", "-r", help="Results folder: blocks, scores, ledger and studies.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Training seed; also sets the order of the labels.")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output; progress goes to standard error.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
MixOption = Annotated[bool, typer.Option(help="Reuse blocks trained with other library versions or on another GPU.")]
TrackOption = Annotated[
    str | None,
    typer.Option(
        "--track",
        help="Also log the training curves to tensorboard, wandb (offline) or trackio; files are in RESULTS/tracking.",
    ),
]
TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code",
        help="Run code that comes with a model, if the scenario sets trust_remote_code for it. Read the code first.",
    ),
]
BudgetOption = Annotated[
    str | None,
    typer.Option(
        help="What the search may cost without its test, in R, the cost of the dearest route: 1R or 0.5R. Nothing is "
        "begun that does not fit."
    ),
]
GpuHoursOption = Annotated[
    float | None,
    typer.Option(help="The same budget in hours of reserved devices (processor hours on a CPU)."),
]
StudyOption = Annotated[
    str | None, typer.Option(help="Study name; default: scenario and seed. Reuse a name to resume it.")
]
StorageOption = Annotated[
    str | None,
    typer.Option(
        help="Database URL of the study; default: a SQLite file in the results folder. A password in it is not kept: "
        "better leave it to PGPASSFILE."
    ),
]
SamplerOption = Annotated[
    str | None,
    typer.Option(
        help="Who proposes: structural (our own planner, the default), or Optuna's tpe, random, gp or qmc. "
        "A study that is resumed keeps its own."
    ),
]
FirstOption = Annotated[
    str | None,
    typer.Option(
        help="What is trained before anything is proposed: named (direct GRPO and the paper's routes), direct "
        "(direct GRPO alone) or none. "
        "Default: none for structural, named for the others."
    ),
]
WarmStartOption = Annotated[
    str | None,
    typer.Option(
        metavar="STUDY|TABLE",
        help="Begin with the validation scores of a cheap proxy, as a belief that data can refute (structural only): "
        "another search (its name, or its folder RESULTS/studies/NAME) or a recorded table (a file, or one that "
        "ships). A study that is resumed keeps those that it began with.",
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Estimate the cost without training.")]
AsDeployedOption = Annotated[
    bool,
    typer.Option(
        "--as-deployed",
        help="Train finalists and baselines as one trains a model to deploy: each stage on labels is one ordinary "
        "shuffled run, without blocks. Blocks let routes share their beginnings, and cost some accuracy.",
    ),
]
WorkersOption = Annotated[
    int,
    typer.Option("--workers", "-w", min=1, help="Worker processes, with one thread or device each."),
]
PolicyOption = Annotated[
    str | None,
    typer.Option(
        callback=_known_policy,
        metavar=f"[{'|'.join(POLICIES)}]",
        help="Which rules grade (docs/grading.md). Default: the scenario's, else tuition-2.",
    ),
]
DataOption = Annotated[
    Path | None, typer.Option(help="Folder of local JSONL copies (math500.jsonl, …). Default: fetch from the Hub.")
]
StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="Name of a search in the results folder.")]
KeptScenarioOption = Annotated[
    str | None,
    typer.Option("--scenario", "-s", help="A built-in scenario or a YAML file. Default: the one that the study keeps."),
]
MarginOption = Annotated[
    float, typer.Option(min=0, help="A split is good enough where no other is better by more than so many points.")
]
DEFAULT_RESULTS = Path("results")
