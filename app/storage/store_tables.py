"""The store on the terminal: its blocks, why one is not reused, what was checked, and what a prune would remove."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from tuition.app.processes.cost_words import seconds_text
from tuition.app.processes.terminal import terminal
from tuition.planner.cost import CheckpointState

_HOLDS = {CheckpointState.resumable: "weights and optimizer", CheckpointState.evaluable: "weights"}


def show_store(document: dict[str, Any]) -> None:
    """Blocks of a store."""
    table = Table(title=f"{len(document['blocks'])} blocks, {document['bytes'] / 1e6:.1f} MB", box=box.SIMPLE_HEAD)
    for column in ("key", "block", "model", "seed", "GPU-s", "used", "MB", "holds"):
        table.add_column(column)
    for block in document["blocks"]:
        table.add_row(
            block["key"][:12], f"{block['stage']}[{block['index']}]", block["model"], str(block["run_seed"]),
            f"{block['gpu_seconds']:.1f}", seconds_text(block["gpu_seconds_used"], digits=1),
            f"{block['bytes'] / 1e6:.1f}", _HOLDS[block["state"]],
        )  # fmt: skip
    terminal().print(table)


def show_why(document: dict[str, Any]) -> None:
    """Which blocks of a route are reused, and why the others are not."""
    console = terminal()
    blocks = document["blocks"]
    stored = sum(block["status"] == "stored" for block in blocks)
    console.print(
        f"{document['allocation']}, seed {document['seed']}, scenario {document['scenario']}: {stored} of "
        f"{len(blocks)} blocks are reused, {document['blocks_to_train']} to train.",
        markup=False,
        soft_wrap=True,
    )
    width = max((len(block["block"]) for block in blocks), default=0)
    for block in blocks:
        console.print(f"  {block['block']:<{width}}  {block['key'][:12]}  {block['status']}", markup=False)
        for reason in block["reasons"]:
            console.print(f"      {reason}", markup=False, soft_wrap=True)
        if block["nearest"] is not None:
            console.print(f"      compared with {block['nearest'][:12]}", markup=False)
    for score in document["scores"]:
        because = "" if score["stored"] else f"not stored: {'; '.join(score['reasons'])}"
        console.print(f"  score on {score['suite']}: {because or 'stored'}", markup=False, soft_wrap=True)


def show_verified(document: dict[str, Any]) -> None:
    """What was checked, and what was damaged."""
    console = terminal()
    for damage in document["damaged"]:
        line = f"damaged {damage['kind']} {damage['key']}: {damage['reason']}; moved aside, made again when needed"
        console.print(line, markup=False, soft_wrap=True)
    checked = ", ".join(f"{count} {kind}" for kind, count in document["checked"].items())
    busy = f", {len(document['in_use'])} blocks in use were not checked" if document["in_use"] else ""
    console.print(f"Checked: {checked}{busy}. {len(document['damaged']) or 'None'} damaged.")


def show_prune_plan(document: dict[str, Any], error_stream: bool) -> None:
    """What a prune would remove and what is at stake, on standard error if asked (standard output is for JSON)."""
    console = Console(highlight=False, stderr=True, width=110) if error_stream else terminal()
    if document["evictions"]:
        table = Table(title="to be evicted, in this order", box=box.SIMPLE_HEAD)
        for column in ("key", "block", "model", "seed", "what", "MB", "GPU-s at stake"):
            table.add_column(column)
        for step in document["evictions"]:
            what = "optimizer state" if step["part"] == "optimizer" else "the block"
            table.add_row(
                step["key"][:12], f"{step['stage']}[{step['index']}]", step["model"], str(step["run_seed"]), what,
                f"{step['freed_bytes'] / 1e6:.1f}", f"{step['gpu_seconds']:.1f}",
            )  # fmt: skip
        console.print(table)
    leftover_bytes = sum(leftover["freed_bytes"] for leftover in document["leftovers"])
    console.print(
        f"Leftovers of killed processes and damaged folders: {len(document['leftovers'])}, "
        f"{leftover_bytes / 1e6:.1f} MB. Kept: {document['kept_for_finalists']} blocks of tested routes, "
        f"{len(document['in_use'])} in use.\nStore: {document['bytes_before'] / 1e6:.1f} MB now, "
        f"{document['bytes_after'] / 1e6:.1f} MB after, limit {document['limit_bytes'] / 1e6:.1f} MB. At stake: "
        f"{document['gpu_seconds_at_stake']:.1f} GPU-seconds to train everything evicted again.",
        soft_wrap=True,
    )
    if not document["within_limit"]:
        console.print(
            "The limit cannot be reached: the rest is in use, behind a tested route, or rollouts.", soft_wrap=True
        )
