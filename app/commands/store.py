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
    study_name,
)
from tuition.app.processes.silence import silence_libraries

store_app = typer.Typer(help="The store of trained blocks.", no_args_is_help=True, rich_markup_mode=None)


@store_app.command("list")
def store_list(results: ResultsOption = DEFAULT_RESULTS, json: JsonOption = False) -> None:
    """List the blocks of a results folder: stage, cost, size, whether they can be resumed."""
    from tuition.app.processes.terminal import print_json
    from tuition.app.storage.store_tables import show_store
    from tuition.app.storage.store_upkeep import list_store

    document = list_store(results)
    print_json(document) if json else show_store(document)


@store_app.command("verify")
def store_verify(results: ResultsOption = DEFAULT_RESULTS, json: JsonOption = False) -> None:
    """Check all blocks, rollouts and scores; damaged ones are moved aside, and the exit code is 1."""
    from tuition.app.processes.terminal import print_json
    from tuition.app.storage.store_tables import show_verified
    from tuition.app.storage.store_upkeep import verify_store

    document = verify_store(results)
    print_json(document) if json else show_verified(document)
    if document["damaged"]:
        raise typer.Exit(1)


@store_app.command("why", epilog="Example: tuition store why half --scenario micro --seed 1000")
def store_why(
    allocation: Annotated[
        str, typer.Argument(help="Block counts, or a name of `tuition scenarios micro`, as `tuition run` takes.")
    ],
    results: ResultsOption = DEFAULT_RESULTS,
    study: Annotated[str | None, typer.Option(help="A study, whose own scenario and seed are the defaults.")] = None,
    scenario: Annotated[
        str | None,
        typer.Option("--scenario", "-s", help="A built-in scenario's name, or a YAML file. Default: micro."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Training seed. Default: 0.")] = None,
    json: JsonOption = False,
) -> None:
    """Say which blocks of a route are reused, and for the others which field of the scenario differs.

    A block that is not stored is compared with the stored block that is most like it:

    \b
      warmup[0]  1c0e…  stored
      opd[0]     8a41…  missing
          stages.opd.steps: 3, was 2
      opd[1]     f29b…  missing
          follows from opd[0]

    Here the store holds this route for opd blocks of 2 steps, and the scenario now asks for 3: opd[0] is trained again,
    and with it all that descends from it. With "steps: 2" in the file, nothing would be trained.

    Scores of the route's last checkpoint are explained likewise.
    """
    from tuition.app.processes.terminal import print_json
    from tuition.app.storage.reuse_report import explain_reuse
    from tuition.app.storage.store_tables import show_why

    silence_libraries()
    document = explain_reuse(results, allocation, scenario, study_name(study), seed)
    print_json(document) if json else show_why(document)


@store_app.command("prune", epilog="Example: tuition store prune --max-store 20GB --dry-run")
def store_prune(
    max_store: Annotated[str, typer.Option(help="What the store may hold: bytes, or a size as 500MB or 20GB.")],
    results: ResultsOption = DEFAULT_RESULTS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go, and delete nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: JsonOption = False,
) -> None:
    """Shrink the store: least GPU-seconds per byte first, never what is in use or behind a tested route.

    Optimizer state goes before weights. The exit code is 1 when what may go is not enough.
    """
    from tuition.app.processes.terminal import print_json
    from tuition.app.storage.store_tables import show_prune_plan
    from tuition.app.storage.store_upkeep import carry_out, parse_size, plan_prune, refuse_while_training
    from tuition.runners.store.block_store import StoreError

    plan = plan_prune(results, parse_size(max_store))
    document = {**plan.document(), "skipped": [], "deleted": False}
    show_prune_plan(document, error_stream=json)
    if not dry_run and (plan.evictions or plan.leftovers):
        refuse_while_training(results)
        if not yes and not sys.stdin.isatty():
            raise StoreError("nothing was deleted, because nobody is there to be asked: give --yes, or --dry-run")
        if not yes and not typer.confirm("Delete this?", err=True):
            typer.echo("nothing was deleted", err=True)
            raise typer.Exit(1)
        document |= {**carry_out(results, plan), "deleted": True}
        for key in document["skipped"]:
            typer.echo(f"block {key[:12]} is in use or tested by now and was skipped", err=True)
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
            help="An allocation or a named route, as `tuition run` takes; a row of --study; or the beginning of a "
            "block's key.",
        ),
    ],
    to: Annotated[Path, typer.Option(help="The folder to make; it must not exist, or be empty.")],
    hub: Annotated[
        str | None, typer.Option(help="Upload the folder as well, to this repository of the Hub (owner/name), private.")
    ] = None,
    study: Annotated[str | None, typer.Option(help="A tested study, whose rows RUN is one of.")] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Training seed of the run. Default: 0, and of a study its first test seed."),
    ] = None,
    results: ResultsOption = DEFAULT_RESULTS,
    scenario: ScenarioOption = "micro",
    json: JsonOption = False,
) -> None:
    """Write what a run left as a plain transformers folder with a model card: route, labels, scores and versions.

    An adapter is merged into its base, found by --scenario. The folder opens in transformers and in vLLM.
    """
    from tuition.app.processes.terminal import print_json
    from tuition.app.storage.exported_model import export_block, find_run, upload

    silence_libraries()
    document = export_block(results, find_run(results, what, study_name(study), scenario, seed), to, scenario)
    if hub is not None:
        document["hub"] = upload(to.resolve(), hub)
    print_json(document) if json else typer.echo(document["folder"])
