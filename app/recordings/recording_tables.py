"""Recordings in the terminal: what one will cost, and what a table holds."""

from collections.abc import Callable
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
    console.print(_completeness(document), markup=False, soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("seed", "role", "routes", "teachers", "missing", "blocks, h", "scores, h"):
        table.add_column(column, justify="left" if column == "role" else "right")
    for row in document["seeds"]:
        counts = (row["routes"], row["teachers"], row["missing"] or "none")
        hours = (row["gpu_seconds_training"], row["gpu_seconds_scoring"])
        table.add_row(str(row["seed"]), row["role"], *map(str, counts), *(f"{seconds / 3600:.2f}" for seconds in hours))
    console.print(table)
    console.print(
        "Draw seeds are what planners and selections may see; judge seeds only judge, by their test scores. Teachers: "
        "their checkpoints. Hours of the device.\n"
        f"{document['rows']:,} rows of {document['routes']:,} routes{counted(document['teachers'])}.\n"
        f"Base models: {', '.join(document['base_models']) or 'not scored'}.\n"
        f"Validation: {document['validation']}; test: {document['test']}; graded by {document['grader']}.\n"
        f"Trained: {document['blocks_distinct']:,} distinct blocks, {document['gpu_seconds_training'] / 3600:.2f} h; "
        f"scores {document['gpu_seconds_scoring'] / 3600:.2f} h; "
        f"{document['gpu_seconds_if_nothing_were_shared'] / 3600:.2f} h without sharing.",
        markup=False,
        soft_wrap=True,
    )
    console.print(_recorded_when(document), markup=False, soft_wrap=True)
    if best := document["best_by_draws"]:
        console.print(
            f"Best split by mean validation over {best['seeds']} draw seeds: {best['validation']:.1%}, "
            f"{best['allocation']} (biased upwards: it is the best of {best['of']}). `tuition evidence` judges it.",
            markup=False,
            soft_wrap=True,
        )
    show_noise_floors(document["noise_floor"], document["noise_floor_of_leading"])


def _completeness(document: dict[str, Any]) -> str:
    """Whether every seed has the whole search space, or what is missing."""
    total, seeds = document["checkpoints_of_space"], document["seeds"]
    what = f"{total:,} checkpoints of the search space, teachers' included"
    if document["complete"]:
        return f"Complete: all {what}, with {len(seeds)} seed{'s' if len(seeds) > 1 else ''}."
    lacking = [row for row in seeds if row["missing"]]
    if not lacking:
        return f"Empty: none of {what}."
    first = lacking[0]
    names = "; ".join(first["missing_first"])
    more = " and so on" if first["missing"] > len(first["missing_first"]) else ""
    return (
        f"Not complete: {len(seeds) - len(lacking)} of {len(seeds)} seeds have all {what}. "
        f"Seed {first['seed']} lacks {first['missing']:,}: {names}{more}."
    )


def _recorded_when(document: dict[str, Any]) -> str:
    """When and on what it was recorded, and its size."""
    dates = [date.replace("T", " ")[:16] for date in document["dates"]]
    when = f"Recorded from {dates[0]} to {dates[1]} UTC, pauses included" if dates else "Recorded"
    return (
        f"{when}; {', '.join(document['devices'])}; code {', '.join(document['code_versions'])}. "
        f"This file: {document['bytes'] / 1e6:.2f} MB; what the store took meanwhile is not in it."
    )


def show_noise_floors(every: dict[str, Any], leading: dict[str, Any]) -> None:
    """What noise alone costs on a table: over all allocations that its seeds have, and among the leading ones."""
    console = terminal()
    floors = {
        f"{kind} {floor['allocations']}": floor
        for kind, floor in (("all", every), ("best", leading))
        if floor["missing"] is None
    }
    if not floors:
        console.print(f"Noise floors: {every['missing']}.", markup=False, soft_wrap=True)
        return
    console.print(
        "Noise floors, in points of the test score, over the allocations of the search space that all seeds have, and "
        "over the best of them by mean validation of all draw seeds:",
        soft_wrap=True,
    )
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("", *floors):
        table.add_column(name, justify="right" if name else "left")
    rows: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("judge seeds", lambda floor: str(len(floor["judge_seeds"]))),
        ("error of a mean over them, each seed's own level removed", lambda floor: _points(floor["judge_error"])),
        ("share of its distance from the common mean that shrinking keeps", _kept),
        ("error of a shrunken mean", lambda floor: _points(floor["shrunken_error"])),
        ("lost by the choice with the mean validation of all draw seeds", lambda floor: _lost(floor, "all", "raw")),
        ("   95 % of it for other judge seeds", _interval),
        ("   by shrunken means", lambda floor: _lost(floor, "all", "shrunken")),
        ("lost by the choice with one draw seed's validation, on average", lambda floor: _lost(floor, "one", "raw")),
        ("   by shrunken means", lambda floor: _lost(floor, "one", "shrunken")),
    ]
    for title, cell in rows:
        table.add_row(title, *map(cell, floors.values()))
    console.print(table)
    console.print(
        "Lost: against the judges' best, on average too much, as that is partly best by luck; by shrunken means, too "
        "little.",
        soft_wrap=True,
    )


def _points(fraction: float) -> str:
    return f"{100 * fraction:.2f}"


def _kept(floor: dict[str, Any]) -> str:
    return f"{floor['kept_by_shrinking']:.0%}"


def _lost(floor: dict[str, Any], seeds: str, means: str) -> str:
    return _points(floor["loss_of_all_draw_seeds" if seeds == "all" else "loss_of_one_draw_seed"][means])


def _interval(floor: dict[str, Any]) -> str:
    loss = floor["loss_of_all_draw_seeds"]
    if loss["low"] is None:
        return "is the best"
    return f"{100 * loss['low']:+.1f} to {100 * loss['high']:+.1f}"
