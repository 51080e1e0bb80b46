"""Recordings in the terminal: what one will cost, and what a table holds."""

from typing import Any

from rich import box
from rich.table import Table

from tuition.app.processes.cost_words import basis_text, total_text
from tuition.app.processes.terminal import terminal


def show_recording_plan(document: dict[str, Any]) -> None:
    """A priced recording."""
    console = terminal()
    seeds = ", ".join(f"{row['seed']} ({row['role']})" for row in document["seeds"])
    console.print(
        f"{document['scenario']}: {document['routes']} routes per seed"
        f"{counted(document['teachers'])}, seeds {seeds}; "
        f"{document['rows_recorded']:,} rows recorded so far, {document['rows_to_record']:,} to record.\n"
        f"Blocks: {document['blocks_requested']:,} requested, {document['blocks_to_train']:,} to train.\n"
        f"Time: {total_text(document['gpu_seconds'], document['gpu_seconds_known'])} of {document['device']} with one "
        f"worker, scores included ({basis_text(document['basis'])}).\n"
        f"Peak disk: {document['peak_disk_bytes'] / 1e6:,.0f} MB without --max-store. "
        f"Table: {document['table']}, about {document['table_bytes'] / 1e6:.2f} MB.",
        soft_wrap=True,
    )


def counted(teachers: int) -> str:
    """How many checkpoints of teachers there are beside routes, in words."""
    return f" and {teachers} checkpoints of teachers" if teachers else ""


def show_recorded(document: dict[str, Any]) -> None:
    """What a table holds."""
    console = terminal()
    console.print(f"{document['table']}: {document['scenario']}", markup=False, soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("seed", "role", "routes", "missing"):
        table.add_column(column, justify="left" if column == "role" else "right")
    for row in document["seeds"]:
        table.add_row(str(row["seed"]), row["role"], str(row["routes"]), str(row["missing"] or "none"))
    console.print(table)
    console.print(
        "Missing: checkpoints of the search space, teachers included, that are not recorded with the seed.\n"
        f"{document['rows']:,} rows of {document['routes']:,} routes{counted(document['teachers'])}, "
        f"{document['bytes'] / 1e6:.2f} MB.\n"
        f"Validation: {document['validation']}; test: {document['test']}.\n"
        f"Trained: {document['blocks_distinct']:,} distinct blocks, {document['gpu_seconds_training'] / 3600:.2f} h; "
        f"scores {document['gpu_seconds_scoring'] / 3600:.2f} h; "
        f"{document['gpu_seconds_if_nothing_were_shared'] / 3600:.2f} h without sharing.",
        markup=False,
        soft_wrap=True,
    )
    for role, best in document["best"].items():
        if best is not None:
            console.print(
                f"Best mean validation over {best['seeds']} {role} seeds: {best['validation']:.1%}, "
                f"{best['allocation']} (biased upwards: it is the best of {best['of']})",
                markup=False,
                soft_wrap=True,
            )
