"""`tuition store`; the modules of `tuition.app.storage` do the work."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tuition.app.commands.options import (
    DEFAULT_RESULTS,
    JsonOption,
    ResultsOption,
    ScenarioOption,
)
from tuition.app.processes.libraries import silence_libraries

store_app = typer.Typer(help="The store of trained blocks.", no_args_is_help=True, rich_markup_mode=None)


@store_app.command("list")
def store_list(results: ResultsOption = DEFAULT_RESULTS, json: JsonOption = False) -> None:
    """List the blocks of a results folder: stage, cost, size, and whether training can continue from them."""
    from tuition.app.processes.terminal import print_json
    from tuition.app.storage.store_tables import show_store
    from tuition.app.storage.store_upkeep import list_store

    document = list_store(results)
    print_json(document) if json else show_store(document)


@store_app.command("verify")
def store_verify(results: ResultsOption = DEFAULT_RESULTS, json: JsonOption = False) -> None:
    """Check all blocks, rollouts and scores. Damaged ones are moved aside, and the exit code is then 1."""
    from tuition.app.processes.terminal import print_json
    from tuition.app.storage.store_tables import show_verified
    from tuition.app.storage.store_upkeep import verify_store

    document = verify_store(results)
    print_json(document) if json else show_verified(document)
    if document["damaged"]:
        raise typer.Exit(1)


@store_app.command("why", epilog="Example: tuition store why half --scenario micro --seed 1000")
def store_why(
    allocation: Annotated[str, typer.Argument(help="Block counts or a route's name, as for `tuition run`.")],
    results: ResultsOption = DEFAULT_RESULTS,
    study: Annotated[str | None, typer.Option(help="A study, whose scenario and seed become the defaults.")] = None,
    scenario: Annotated[
        str | None,
        typer.Option("--scenario", "-s", help="A built-in scenario or a YAML file. Default: micro."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Training seed. Default: 0.")] = None,
    json: JsonOption = False,
) -> None:
    """Show which blocks of a route are reused and, for the others, which field of the scenario differs.

    A missing block is compared with the most similar stored block:

    \b
      warmup[0]  1c0e…  stored
      opd[0]     8a41…  missing
          stages.opd.steps: 3, was 2
      opd[1]     f29b…  missing
          follows from opd[0]

    Here the stored opd blocks have 2 steps and the scenario now asks for 3, so opd[0] and all that follows from it are
    trained again. With "steps: 2" in the file, nothing would be trained.

    Scores of the route's last checkpoint are explained in the same way.
    """
    from tuition.app.processes.terminal import print_json
    from tuition.app.storage.reuse_report import explain_reuse
    from tuition.app.storage.store_tables import show_why

    silence_libraries()
    document = explain_reuse(results, allocation, scenario, study, seed)
    print_json(document) if json else show_why(document)


@store_app.command("prune", epilog="Example: tuition store prune --max-store 20GB --dry-run")
def store_prune(
    max_store: Annotated[str, typer.Option(help="Maximum size of the store: bytes, or a size such as 500MB or 20GB.")],
    results: ResultsOption = DEFAULT_RESULTS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be deleted, without deleting.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    json: JsonOption = False,
) -> None:
    """Shrink the store: least GPU-seconds per byte first, never what is in use or behind a tested route.

    Optimizer state is deleted before weights. The exit code is 1 when the limit cannot be reached.
    """
    from tuition.app.processes.terminal import print_json
    from tuition.app.storage.store_tables import show_prune_plan
    from tuition.app.storage.store_upkeep import parse_size, plan_prune, prune, refuse_while_training
    from tuition.runners.store.block_store import StoreError

    plan = plan_prune(results, parse_size(max_store))
    document = {**plan.document(), "skipped": [], "deleted": False}
    show_prune_plan(document, error_stream=json)
    if not dry_run and (plan.evictions or plan.leftovers):
        refuse_while_training(results)
        if not yes and not sys.stdin.isatty():
            raise StoreError("nothing was deleted, because there is no terminal to confirm on: give --yes or --dry-run")
        if not yes and not typer.confirm("Delete this?", err=True):
            typer.echo("nothing was deleted", err=True)
            raise typer.Exit(1)
        document |= {**prune(results, plan), "deleted": True}
        for key in document["skipped"]:
            typer.echo(f"block {key[:12]} was skipped: it is now in use or tested", err=True)
        if not json:
            typer.echo(f"Done: the store holds {document['bytes_after'] / 1e6:.1f} MB.")
    if json:
        print_json(document)
    if not document["within_limit"]:
        raise typer.Exit(1)


@store_app.command("export", epilog="Example: tuition store export 3f9a --to my-model")
def export(
    what: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="An allocation or route name, as for `tuition run`; a row of --study; or the start of a block key.",
        ),
    ],
    to: Annotated[Path, typer.Option(help="Output folder; must be new or empty.")],
    hub: Annotated[
        str | None, typer.Option(help="Also upload the folder to this private repository of the Hub (owner/name).")
    ] = None,
    study: Annotated[str | None, typer.Option(help="The tested study that RUN is a row of.")] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Training seed of the run. Default: 0; with --study, its first test seed."),
    ] = None,
    results: ResultsOption = DEFAULT_RESULTS,
    scenario: ScenarioOption = "micro",
    json: JsonOption = False,
) -> None:
    """Export a checkpoint as a plain transformers folder with a model card: route, labels, scores and versions.

    An adapter is merged into its base, which --scenario names. The folder opens in transformers and in vLLM.
    """
    from tuition.app.api import models
    from tuition.app.processes.terminal import print_json

    exported = models.export(what, to, hub=hub, study=study, seed=seed, results=results, scenario=scenario)
    print_json(exported.document()) if json else typer.echo(exported.folder)
