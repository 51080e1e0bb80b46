"""Scores of a checkpoint on the terminal."""

import json

from rich import box
from rich.table import Table

from tuition.app.processes.terminal import percent, terminal
from tuition.app.scoring.bench_result import HEADING, BenchResult, SuiteResult


def tables(bench: BenchResult) -> list[Table]:
    """Two tables for each preset, scores and pass@k with maj@k; presets are never set side by side.

    They fit into 80 columns. The second is left out where every problem has one sample.
    """
    by_preset: dict[str, list[SuiteResult]] = {}
    for result in bench.scores:
        by_preset.setdefault(json.dumps(dict(result.decoding), sort_keys=True), []).append(result)
    shown = []
    for results in by_preset.values():
        title = f"{bench.model.label}, preset {results[0].preset}\n{HEADING}"
        shown.append(_score_table(results, title))
        if any(result.score.num_samples > 1 for result in results):
            shown.append(_sample_table(results, title))
    return shown


def _score_table(results: list[SuiteResult], title: str) -> Table:
    table = _table(title, ("suite", "k", "avg@k, %", "over problems,\n95 %", "±\nproblems", "±\nsamples"))
    for result in results:
        score, bounds = result.score, result.interval
        table.add_row(
            _suite(result),
            str(score.num_samples),
            percent(score.mean),
            f"[{percent(bounds.low)}, {percent(bounds.high)}]" if bounds else "-",
            percent(score.se_problems),
            percent(score.se_samples),
        )
    return table


def _sample_table(results: list[SuiteResult], title: str) -> Table:
    columns = ("suite", "k", "pass@k, %", "±\nproblems", "±\nsamples", "maj@k, %", "±\nproblems")
    table = _table(title, columns)
    for result in results:
        for step in result.by_k:
            passed, majority = step.pass_at_k, step.maj_at_k
            errors = (passed.mean, passed.se_problems, passed.se_samples, majority.mean, majority.se_problems)
            table.add_row(_suite(result) if step.k == 1 else "", str(step.k), *map(percent, errors))
    return table


def _table(title: str, columns: tuple[str, ...]) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD)
    for column in columns:
        # A narrow terminal folds names and never a number.
        table.add_column(
            column, justify="left" if column == "suite" else "right", no_wrap=column != "suite", overflow="fold"
        )
    return table


def _suite(result: SuiteResult) -> str:
    return f"{result.suite}{'' if result.verified else ' (unverified)'}"


def show_bench(bench: BenchResult) -> None:
    """The scores on the terminal."""
    console = terminal()
    for table in tables(bench):
        console.print(table)
    for result in bench.scores:
        speed = f", {result.tokens_per_second:,.0f} tokens/s" if result.tokens_per_second else ""
        console.print(
            f"{result.suite}: {result.truncated:.0%} cut by the token limit, {result.verdicts['no_answer']} without an "
            f"answer, {result.verdicts['timeout']} too slow to grade (counted as wrong){speed}\n  {result.folder}",
            markup=False,
            soft_wrap=True,
        )
