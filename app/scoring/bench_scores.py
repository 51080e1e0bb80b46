"""`tuition bench`: score any checkpoint on suites. One score per suite, kept in the results folder's scores.

The same command takes up what a stopped one has left, and draws nothing that is there.
"""

import json
from contextlib import ExitStack, closing, nullcontext
from functools import cache
from typing import Any

import pandas as pd
from rich.table import Table

from tuition.app.processes.interrupts import Interrupts
from tuition.app.processes.progress import CountView, Reporter
from tuition.app.processes.terminal import terminal
from tuition.app.scoring.bench_tasks import BenchRequest, open_engine, plan_bench
from tuition.benchmarks.artefacts import answers_PK, correct_PK, finite, finite_fields
from tuition.benchmarks.grading.grader import Grader, Verdict
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.benchmarks.scoring.engines.requests import Engine
from tuition.benchmarks.scoring.scorer import OpenEngine, Progress, Scorer, SuiteScore
from tuition.benchmarks.statistics.intervals import Interval, Score, avg_at_k, bootstrap, score_interval
from tuition.benchmarks.statistics.pass_at_k import ladder, maj_at_k_score, pass_at_k_score
from tuition.benchmarks.suites.loading import Loaded

HEADING = "one checkpoint: excludes training variance"


def run_bench(request: BenchRequest) -> dict[str, Any]:
    """Score all suites; a JSON-able account. Everything that can be wrong is looked at before the first sample."""
    files, planned = plan_bench(request)
    rows = []
    with (
        Reporter(request.quiet) as reporter,
        Interrupts(reporter.say) as interrupts,
        Grader() as grader,
        ExitStack() as stack,
    ):
        scorer = Scorer(ResultsFolder(request.results), grader, wait_seconds=0, check=interrupts.check)
        scores = [scorer.find(plan.task.key) or scorer.find(plan.former_key()) for plan in planned]

        @cache
        def engine_on(device: str) -> Engine[Any]:
            return stack.enter_context(closing(open_engine(request, files, device)))

        for plan, score in zip(planned, scores, strict=True):
            if score is None:
                engine_on(plan.device).check(plan.task.prompts, plan.task.preset)
        for plan, score in zip(planned, scores, strict=True):
            if score is None:
                engine = engine_on(plan.device)
                score = scorer.score(plan.task, _left_open(engine), _progress(reporter, plan.task.suite))
            rows.append(_row(score, plan.task.suite, str(scorer.store.path(score.record.key))))
    model = {**planned[0].task.model.model_dump(), "weights_sha256": files.weights_sha256 if files else None}
    return {"heading": HEADING, "model": model, "scores": rows}


def _left_open(engine: Engine[Any]) -> OpenEngine:
    """An engine that is open already and stays so for the next suite."""
    return lambda: nullcontext(engine)


def _progress(reporter: Reporter, suite: Loaded) -> Progress:
    """Shows the samples of one suite."""
    view: CountView | None = None

    def hear(done: int, total: int, before: int) -> None:
        nonlocal view
        if view is None:
            reporter.say(f"{suite.name}: {total} samples" + (f", {before} done so far" if before else ""))
            view = reporter.count(suite.name, "samples", total, before)
        view.update(done)
        if done == total:
            reporter.say(f"{suite.name}: {done}/{total} samples, grading")

    return hear


def _row(score: SuiteScore, suite: Loaded, folder: str) -> dict[str, Any]:
    record, table = score.record, score.table
    verdicts, num_tokens = table["verdict"].value_counts(), int(table["num_tokens"].sum())
    return {
        "suite": record.score_key.suite,
        "verified": suite.verified,
        "partial": suite.partial,
        "preset": record.score_key.decoding["name"],
        "decoding": dict(record.score_key.decoding),
        **_statistics(table),
        "truncated": int(table["truncated"].sum()) / len(table),
        "verdicts": {str(verdict): int(verdicts.get(str(verdict), 0)) for verdict in Verdict},
        "num_tokens": num_tokens,
        "tokens_per_second": num_tokens / record.seconds if record.seconds else None,
        "seconds": record.seconds,
        "gpu_seconds": record.gpu_seconds,
        "engine": record.score_key.engine,
        "samples_drawn_now": score.drawn,
        "key": record.key,
        "folder": folder,
    }


def _statistics(table: pd.DataFrame) -> dict[str, Any]:
    """avg@k with its errors and intervals, and pass@k and maj@k at each k of the ladder."""
    (_, outcomes_PK), answers = correct_PK(table), answers_PK(table)
    by_k = []
    for k in ladder(outcomes_PK.shape[1]):
        passed, majority = pass_at_k_score(outcomes_PK, k), maj_at_k_score(answers, outcomes_PK, k)
        passed_samples = {"se_samples": finite(passed.se_samples)}
        by_k.append(
            {"k": k, "pass_at_k": _over_problems(passed) | passed_samples, "maj_at_k": _over_problems(majority)}
        )
    return {
        **finite_fields(avg_at_k(outcomes_PK)),
        # One problem says nothing about others.
        "interval": _bounds(score_interval([outcomes_PK])) if len(outcomes_PK) > 1 else None,
        "bootstrap": {
            "problems": _bounds(bootstrap(outcomes_PK, "problems")),
            "samples": _bounds(bootstrap(outcomes_PK, "samples")),
        },
        "by_k": by_k,
    }


def _over_problems(score: Score) -> dict[str, float | None]:
    return {"mean": score.mean, "se_problems": finite(score.se_problems)}


def _bounds(interval: Interval) -> dict[str, float | None]:
    return {"low": finite(interval.low), "high": finite(interval.high), "level": interval.level}


def tables(document: dict[str, Any]) -> list[Table]:
    """Two tables for each preset, scores and pass@k with maj@k; presets are never set side by side.

    They fit into 80 columns. The second is left out where every problem has one sample.
    """
    by_preset: dict[str, list[dict[str, Any]]] = {}
    for row in document["scores"]:
        by_preset.setdefault(json.dumps(row["decoding"], sort_keys=True), []).append(row)
    shown = []
    for rows in by_preset.values():
        title = f"{document['model']['label']}, preset {rows[0]['preset']}\n{HEADING}"
        shown.append(_score_table(rows, title))
        if any(row["num_samples"] > 1 for row in rows):
            shown.append(_sample_table(rows, title))
    return shown


def _score_table(rows: list[dict[str, Any]], title: str) -> Table:
    table = _table(title, ("suite", "k", "avg@k, %", "over problems,\n95 %", "±\nproblems", "±\nsamples"))
    for row in rows:
        bounds = row["interval"]
        table.add_row(
            _suite(row),
            str(row["num_samples"]),
            _points(row["mean"]),
            f"[{_points(bounds['low'])}, {_points(bounds['high'])}]" if bounds else "-",
            _points(row["se_problems"]),
            _points(row["se_samples"]),
        )
    return table


def _sample_table(rows: list[dict[str, Any]], title: str) -> Table:
    columns = ("suite", "k", "pass@k, %", "±\nproblems", "±\nsamples", "maj@k, %", "±\nproblems")
    table = _table(title, columns)
    for row in rows:
        for step in row["by_k"]:
            passed, majority = step["pass_at_k"], step["maj_at_k"]
            table.add_row(
                _suite(row) if step["k"] == 1 else "",
                str(step["k"]),
                *(_points(passed[name]) for name in ("mean", "se_problems", "se_samples")),
                *(_points(majority[name]) for name in ("mean", "se_problems")),
            )
    return table


def _table(title: str, columns: tuple[str, ...]) -> Table:
    from rich import box

    table = Table(title=title, box=box.SIMPLE_HEAD)
    for column in columns:
        # A narrow terminal folds names and never a number.
        table.add_column(
            column, justify="left" if column == "suite" else "right", no_wrap=column != "suite", overflow="fold"
        )
    return table


def _suite(row: dict[str, Any]) -> str:
    return f"{row['suite']}{'' if row['verified'] else ' (unverified)'}"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def show_bench(document: dict[str, Any]) -> None:
    """The scores on the terminal."""
    console = terminal()
    for table in tables(document):
        console.print(table)
    for row in document["scores"]:
        speed = f", {row['tokens_per_second']:,.0f} tokens/s" if row["tokens_per_second"] else ""
        console.print(
            f"{row['suite']}: {row['truncated']:.0%} cut by the token limit, {row['verdicts']['no_answer']} without an "
            f"answer, {row['verdicts']['timeout']} too slow to grade (counted as wrong){speed}\n  {row['folder']}",
            markup=False,
            soft_wrap=True,
        )
