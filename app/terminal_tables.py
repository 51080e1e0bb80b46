"""What a person reads at the end of a command: tables and a few sentences, on standard output."""

import json
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from tuition.app.studies.study_report import SearchReport, ranked_rows
from tuition.benchmarks.artefacts import read_json
from tuition.benchmarks.boards.ranked_rows import from_json, render
from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.results_folder import ResultsFolder, StudyFolder


class ReportError(ValueError):
    """A report that is not there or cannot be read; one line with the path and the fix."""


def terminal(width: int = 110) -> Console:
    """Where tables are printed. `width` is in columns, where there is no terminal to give one."""
    console = Console(highlight=False)
    # A pipe or a log has no width, and 80 columns would tear the tables.
    return console if console.is_terminal else Console(highlight=False, width=width)


def show_search(report: SearchReport, folder: StudyFolder) -> None:
    """Trials, what reuse saved, labels, the tested leaderboard, and what to do next."""
    console = terminal()
    console.print(_trials(report))
    blocks, labels = report.blocks, report.labels
    expected = blocks.expected_of_random_allocations.distinct_over_requested_blocks
    if blocks.requested:
        console.print(
            f"Blocks: {blocks.requested} requested, {blocks.distinct} distinct, {blocks.executed} trained "
            f"({blocks.executed / blocks.requested:.0%} of those requested; random allocations would need "
            f"{expected:.0%})."
        )
    console.print(
        f"Labels: {labels.labels_trained} trained by the largest route (budget {labels.labels_budget}), "
        f"{labels.labels_validation} for validation, {labels.labels_owned} owned by the study."
    )
    tested = report.ranked()
    if tested is None:
        console.print("Not tested (--test-seeds 0): validation scores chose these allocations and flatter them.")
        return
    console.print(render(*tested))
    console.print(f"Figure: {folder.figure}   Report: {folder.report}")
    console.print(
        "Next: the same command with more --trials goes on from here; --test-seeds 3 puts training variance into the "
        "errors;\n`tuition scenarios micro` shows the bench; README.md says how to plug in your own models and data.",
        markup=False,
    )


def _trials(report: SearchReport) -> Table:
    table = Table(title=f"study {report.study}: validation", box=box.SIMPLE_HEAD)
    for column in ("trial", "allocation", "score, %", "± problems", "± samples", "labels", "GPU-s full", "marginal"):
        table.add_column(column, justify="left" if column == "allocation" else "right", no_wrap=column != "allocation")
    done = [(trial, trial.score) for trial in report.trials if trial.score is not None]
    for trial, score in sorted(done, key=lambda pair: -pair[1].mean):
        table.add_row(
            f"#{trial.number}",
            trial.allocation + (f" (repeats #{trial.repeat_of})" if trial.repeat_of is not None else ""),
            f"{score.mean:.1%}".rstrip("%"),
            _percent(score.se_problems),
            _percent(score.se_samples),
            str(trial.labels_trained),
            f"{trial.gpu_seconds_full:.0f}",
            f"{trial.gpu_seconds_marginal:.0f}",
        )
    for trial in report.trials:
        if trial.score is None:
            table.add_row(f"#{trial.number}", f"{trial.allocation} {trial.error or trial.state}")
    return table


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.1f}"


def show_run(document: dict[str, Any]) -> None:
    """One route: its blocks, labels and scores."""
    console = terminal()
    table = Table(title=f"{document['allocation']}, seed {document['seed']}", box=box.SIMPLE_HEAD)
    for column in ("block", "key", "GPU-seconds", "", "groups without variance"):
        table.add_column(column)
    for block in document["blocks"]:
        name = f"{block['stage']}[{block['index']}]"
        wasted = f"{block['groups_zero_variance']} of {block['groups']}" if block["groups"] is not None else ""
        if block["labels_filtered"]:
            wasted += f", {block['labels_filtered']} labels left out"
        done = "trained" if block["executed"] else "reused"
        table.add_row(name, block["key"][:12], f"{block['gpu_seconds']:.1f}", done, wasted)
    console.print(table)
    if any(block["groups"] for block in document["blocks"]):
        console.print("A group without variance has all completions right or all wrong: its label taught nothing then.")
    labels = document["labels"]
    console.print(
        f"Labels: {labels['labels_trained']} trained, {labels['labels_validation']} for validation, "
        f"{labels['labels_owned']} owned. GPU-seconds: {document['gpu_seconds_full']:.1f} in full, "
        f"{document['gpu_seconds_marginal']:.1f} spent now."
    )
    for suite, score in document["scores"].items():
        console.print(
            f"{suite}: {score['mean']:.1%} ± {_percent(score['se_problems'])} over problems, "
            f"± {_percent(score['se_samples'])} over samples (one training run: excludes training variance)"
        )
    console.print(f"Checkpoint: {document['model']}", soft_wrap=True)


def show_leaderboard(document: dict[str, Any]) -> None:
    """A stored leaderboard; that of the baselines also says what each is matched by."""
    _print_leaderboard(terminal(), document)


def _print_leaderboard(console: Console, document: dict[str, Any]) -> None:
    console.print(render(*from_json(document)))
    if "matched" in document:
        table = Table(title="what each is matched by", box=box.SIMPLE_HEAD)
        for column in ("entry", "matched by", "updates: teacher", "student"):
            table.add_column(column, justify="left" if column in ("entry", "matched by") else "right")
        for name, row in document["matched"].items():
            table.add_row(name, row["by"], str(row["updates_teacher"]), str(row["updates_student"]))
        console.print(table)
    for note in document.get("notes", []):
        console.print(note, markup=False)


def show_baselines_plan(document: dict[str, Any]) -> None:
    """Priced baselines."""
    console = terminal()
    table = Table(title=f"plan: {document['study']}, seeds {document['seeds']}", box=box.SIMPLE_HEAD)
    for column in ("entry", "GPU-s full, one seed", "blocks to train", "GPU-s to train"):
        table.add_column(column, justify="left" if column == "entry" else "right")
    for row in document["rows"]:
        full, missing = (f"{row[key]:,.0f}" for key in ("gpu_seconds_full", "gpu_seconds_to_train"))
        table.add_row(row["name"], full, f"{row['blocks_to_train']:,}", missing)
    console.print(table)
    console.print(
        f"Time: {_time(document['gpu_seconds'])} with one worker, scoring ({_time(document['gpu_seconds_scoring'])}) "
        f"included, from {document['basis']}. The length of direct-compute is foreseen here and measured when it runs."
    )


def studies(results: Path) -> list[str]:
    """Names of the tested studies of a results folder."""
    return [folder.name for folder in ResultsFolder(results).study_folders() if folder.leaderboard.exists()]


def load_leaderboard(results: Path, study: str) -> dict[str, Any]:
    """Read a study's leaderboard; ReportError when there is none or it is damaged."""
    path = ResultsFolder(results).study(study).leaderboard
    try:
        document: dict[str, Any] = read_json(path)
        _check_leaderboard(document)
    except FileNotFoundError:
        known = ", ".join(studies(results)) or "none"
        raise ReportError(f"no leaderboard of study {study!r} in {results} (tested studies: {known})") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ReportError(
            f"{path} is damaged ({one_line(repr(error), 200)}): run the search again, it trains nothing and "
            "writes it anew"
        ) from None
    return document


def _check_leaderboard(document: dict[str, Any]) -> None:
    """One of several errors for what could not be shown or printed as JSON: types, sizes, texts."""
    ranked_rows(document)
    json.dumps(document, allow_nan=False)
    console = Console(file=TextIOWrapper(BytesIO(), encoding="utf-8"), width=110)
    _print_leaderboard(console, document)


def show_plan(document: dict[str, Any]) -> None:
    """A priced search."""
    console = terminal()
    table = Table(title=f"plan: {document['trials']} trials on {document['scenario']}", box=box.SIMPLE_HEAD)
    for column in ("", "blocks requested", "distinct", "in the store", "to train", "GPU-seconds"):
        table.add_column(column, justify="left" if not column else "right")
    for phase in ("search", "test"):
        row = document[phase]
        table.add_row(
            phase,
            *(f"{row[k]:,}" for k in ("requested", "distinct", "stored", "to_train")),
            f"{row['gpu_seconds']:,.0f}",
        )
    console.print(table)
    labels, devices = document["labels"], document["devices"]
    spread = f" ({_time(document['gpu_seconds'] / devices)} on {devices} devices)" if devices > 1 else ""
    console.print(
        f"Labels: {labels['labels_budget']} to train on + {labels['labels_validation']} for validation = "
        f"{labels['labels_owned']} owned.\n"
        f"Time: {_time(document['gpu_seconds'])} of {document['device']}{spread} with one worker, "
        f"{document['basis']}.\n"
        f"Peak disk: {_size(document['peak_disk_bytes'])}.\n"
        f"Planned from {document['planned_from']}."
    )
    if document["memory"]:
        memory = Table(title="predicted peak memory of one device", box=box.SIMPLE_HEAD)
        for column in ("stage", "in all", "moment", "largest parts"):
            memory.add_column(column)
        for stage, row in document["memory"].items():
            largest = sorted(row["parts"].items(), key=lambda part: -part[1])[:3]
            parts = ", ".join(f"{name} {_size(size)}" for name, size in largest)
            memory.add_row(stage, _size(row["bytes"]), row["moment"], parts)
        console.print(memory)
    console.print("The search's own proposals are unknown before it runs; random ones stand in for them here.")
    console.print("Commands:", *document["commands"], sep="\n  ", soft_wrap=True, markup=False)


def _size(number: int | None) -> str:
    if number is None:
        return "unknown (no model's sizes are at hand: give `shape` in the scenario)"
    return f"{number / 1e6:,.0f} MB" if number < 10e9 else f"{number / 1e9:,.0f} GB"


def _time(seconds: float) -> str:
    return (
        f"{seconds:,.0f} s"
        if seconds < 120
        else f"{seconds / 60:,.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:,.1f} h"
    )


def show_shuffled(document: dict[str, Any]) -> None:
    """Blocked against shuffled training, by model."""
    table = Table(
        title=f"{document['scenario']} on {document['suite']}, seeds {document['seeds']}", box=box.SIMPLE_HEAD
    )
    for column in ("model", "blocked, %", "shuffled, %", "blocked - shuffled, points [95 %]"):
        table.add_column(column)
    for model, row in document["blocked_minus_shuffled"].items():
        mean, low, high = (100 * row["difference"][name] for name in ("mean", "low", "high"))
        table.add_row(
            model, _percent(row["blocked"]), _percent(row["shuffled"]), f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"
        )
    terminal().print(table)


def show_scenario(document: dict[str, Any]) -> None:
    """A scenario in words, with the routes that it knows by name."""
    console = terminal()
    console.print(f"{document['name']}: {document['description']}", markup=False)
    for key in ("student", "teachers", "labels", "prompts", "validation", "test", "device", "contamination"):
        if document[key] is not None:
            console.print(f"  {key}: {document[key]}", markup=False)
    if document["hub"]:
        console.print(f"  needs the Hub: {document['hub']}", markup=False, soft_wrap=True)
    table = Table(title="routes and baselines by name", box=box.SIMPLE_HEAD)
    table.add_column("name")
    table.add_column("allocation")
    for name, allocation in document["routes"].items():
        table.add_row(name, allocation)
    console.print(table)


def show_new_scenario(document: dict[str, Any]) -> None:
    """What was written, and what was found in the models and the problems."""
    console = terminal()
    lengths, sizes = document["prompt_tokens"], document["vocab_size"]
    console.print(f"wrote {document['file']}", markup=False, soft_wrap=True)
    console.print(
        f"  labels: {document['labels']}; {document['validation']} for validation, {document['test']} for test"
    )
    console.print(f"  prompts: {lengths['shortest']} to {lengths['longest']} tokens, median {lengths['median']:g}")
    console.print(f"  vocabulary: student {sizes['student']}, teacher {sizes['teacher']}")
    for suite, shared in document["contamination"].items():
        console.print(f"  shared with {suite}: {shared}", markup=False)
    for kind in ("notes", "problems"):
        for line in document[kind]:
            console.print(f"  {kind.removesuffix('s')}: {line}", markup=False, soft_wrap=True)


def show_store(document: dict[str, Any]) -> None:
    """Blocks of a store."""
    table = Table(title=f"{len(document['blocks'])} blocks, {document['bytes'] / 1e6:.1f} MB", box=box.SIMPLE_HEAD)
    for column in ("key", "block", "model", "seed", "GPU-s", "MB", "state"):
        table.add_column(column)
    for block in document["blocks"]:
        table.add_row(
            block["key"][:12], f"{block['stage']}[{block['index']}]", block["model"], str(block["run_seed"]),
            f"{block['gpu_seconds']:.1f}", f"{block['bytes'] / 1e6:.1f}", block["state"],
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
        because = "" if score["stored"] else f"not stored, because {'; '.join(score['reasons'])}"
        console.print(f"  score on {score['suite']}: {because or 'stored'}", markup=False, soft_wrap=True)


def show_verified(document: dict[str, Any]) -> None:
    """What was checked, and what was damaged."""
    console = terminal()
    for damage in document["damaged"]:
        line = f"damaged {damage['kind']} {damage['key']}: {damage['reason']}; moved aside, it will be made again"
        console.print(line, markup=False, soft_wrap=True)
    checked = ", ".join(f"{count} {kind}" for kind, count in document["checked"].items())
    busy = f", {len(document['in_use'])} blocks in use not checked" if document["in_use"] else ""
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
        f"Leftovers of dead processes and damaged folders: {len(document['leftovers'])}, "
        f"{leftover_bytes / 1e6:.1f} MB. Kept: {document['kept_for_finalists']} blocks of tested routes, "
        f"{len(document['in_use'])} in use.\nStore: {document['bytes_before'] / 1e6:.1f} MB now, "
        f"{document['bytes_after'] / 1e6:.1f} MB after, limit {document['limit_bytes'] / 1e6:.1f} MB. At stake: "
        f"{document['gpu_seconds_at_stake']:.1f} GPU-seconds, if all of it is ever wanted again.",
        soft_wrap=True,
    )
    if not document["within_limit"]:
        console.print("The limit cannot be kept: the rest is not evicted, or not of blocks (rollouts).", soft_wrap=True)
