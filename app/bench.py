"""`tuition bench`: score any checkpoint on suites. One score per suite, kept in the results folder's scores.

The same command takes up what a stopped one has left, and draws nothing that is there.
"""

import json
import platform
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from rich.table import Table

from app.interrupts import Interrupts
from app.models import ModelFiles, find_model
from app.progress import CountView, Reporter
from app.provenance import CODE_VERSION, command_line
from app.report import terminal
from benchmarks.decoding import PRESETS, Preset
from benchmarks.engines.requests import Engine
from benchmarks.grading import Grader
from benchmarks.metrics import ladder, maj_at_k_score, pass_at_k_score
from benchmarks.records import ScoreStore, answers_PK, correct_PK, finite, finite_fields
from benchmarks.results_folder import ResultsFolder
from benchmarks.scoring import Progress, Scorer, SuiteScore, Task
from benchmarks.statistics import Interval, Score, avg_at_k, bootstrap, score_interval
from benchmarks.suites.catalog import home_scenario, load_by_name
from benchmarks.suites.loading import Loaded, read_lock
from runners.scenario import Scenario
from runners.scenario_file import built_in_scenarios

EngineName = Literal["transformers", "vllm", "server"]
BATCH_SIZES: dict[str, int] = {"transformers": 64, "vllm": 1024, "server": 256}
VERSIONED = ("tuition", "torch", "transformers", "math-verify", "datasets")
HEADING = "one checkpoint: excludes training variance"


class BenchError(ValueError):
    """A bench that was asked for with settings that do not go together; one line with the fix."""


@dataclass(frozen=True)
class BenchRequest:
    """What `tuition bench` was asked for. None stands for the preset's or the engine's own value."""

    model: str
    suites: tuple[str, ...]
    samples: int | None = None
    preset: str | None = None
    engine: EngineName = "transformers"
    url: str | None = None
    concurrency: int = 16
    data_dir: Path | None = None
    limit: int | None = None
    seed: int = 0
    results: Path = Path("results")
    scenario: str | None = None
    batch_size: int | None = None
    max_new_tokens: int | None = None
    chat: bool | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    quiet: bool = False

    def __post_init__(self) -> None:
        if (self.engine == "server") != (self.url is not None):
            raise BenchError("--engine server needs --url, and --url needs --engine server")
        if not self.suites or len(set(self.suites)) != len(self.suites):
            raise BenchError(f"--suite {','.join(self.suites)}: name one suite or more, each once")


def find_preset(request: BenchRequest, suite: str) -> Preset:
    """The preset for a suite, with the request's overrides. Default: `paper`; a generated suite has its scenario's."""
    name = request.preset or home_scenario(suite) or "paper"
    if name in PRESETS:
        preset = PRESETS[name]
    elif name in built_in_scenarios():
        scenario = Scenario.load(name)
        sources = {"all": f"scenario {name}"}
        preset = Preset(scenario.decoding, scenario.file.test.samples, sources, scenario.file.template)
    else:
        raise BenchError(f"unknown preset {name!r}: choose from {', '.join([*PRESETS, *built_in_scenarios()])}")
    overrides = {"max_new_tokens": request.max_new_tokens, "chat_template": request.chat}
    preset = preset.overridden(**{name: value for name, value in overrides.items() if value is not None})
    if preset.decoding.temperature == 0 and (request.samples or 1) > 1:
        raise BenchError(
            f"--samples {request.samples} with preset {preset.name}: greedy samples are all the same; give 1"
        )
    return preset


def _models_scenario(request: BenchRequest) -> str:
    """Where `base:...` and adapters' bases are looked up: the scenario named, or the generated suites' own."""
    homes = {home for name in request.suites if (home := home_scenario(name))}
    if request.scenario is None and len(homes) > 1:
        raise BenchError(
            f"--suite {','.join(request.suites)} belongs to {len(homes)} scenarios: name one by --scenario"
        )
    return request.scenario or (homes.pop() if homes else "micro")


def run_bench(request: BenchRequest) -> dict[str, Any]:
    """Score all suites; a JSON-able account. Everything that can be wrong is looked at before the first sample."""
    lock = read_lock(request.results)
    suites = [load_by_name(name, request.data_dir, lock).first(request.limit) for name in request.suites]
    presets = [find_preset(request, name) for name in request.suites]
    files = (
        None if request.engine == "server" else find_model(request.model, request.results, _models_scenario(request))
    )
    described = files.described() if files else {"label": request.model, "weights_sha256": None, "served": request.url}
    record = {
        "model": described,
        "command": command_line(),
        "code_version": CODE_VERSION,
        "host": platform.node(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in VERSIONED},
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    folder = ResultsFolder(request.results)
    store = ScoreStore(folder.scores)
    rows = []
    with (
        Reporter(request.quiet) as reporter,
        Interrupts(reporter.say) as interrupts,
        Grader() as grader,
        closing(open_engine(request, files)) as engine,
    ):
        for preset in presets:
            engine.check(preset)
        clock = None if files is None else _gpu_clock()
        scorer = Scorer(engine, store, folder.statements, grader, record, clock, interrupts.check)
        for suite, preset in zip(suites, presets, strict=True):
            task = Task(
                weights=files.content_sha256 if files else f"served {request.model} at {request.url}",
                suite=suite,
                preset=preset,
                num_samples=request.samples or preset.num_samples,
                seed=request.seed,
                batch_size=_batch_size(request),
            )
            score = scorer.score(task, _progress(reporter, suite))
            rows.append(_row(score, suite, str(store.path(score.key))))
    return {"heading": HEADING, "model": described, "scores": rows}


def open_engine(request: BenchRequest, files: ModelFiles | None) -> Engine:
    """The engine that was asked for, its model loaded. `files` is None for a server's model."""
    if files is None:
        from benchmarks.engines.server import ServerEngine

        return ServerEngine(str(request.url), request.model, request.concurrency)
    from runners.checkpoint import end_tokens, load_tokenizer

    if request.engine == "vllm":
        from benchmarks.engines.vllm_engine import VllmEngine

        if files.base is not None:
            raise BenchError("vLLM gets whole models from us: `tuition export` merges this adapter first")
        return VllmEngine(files.folder, load_tokenizer(files.folder), end_tokens(files.folder), request.dtype)
    import torch

    from benchmarks.engines.transformers_engine import TransformersEngine
    from runners.checkpoint import load_model

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_model(files.folder, request.dtype, device, files.base, trainable=False)
    # An adapter's folder has a tokenizer of its own.
    return TransformersEngine(model.eval().requires_grad_(False), load_tokenizer(files.folder), _batch_size(request))


def _batch_size(request: BenchRequest) -> int:
    return request.batch_size or BATCH_SIZES[request.engine]


def _gpu_clock() -> Callable[[], float]:
    """Seconds of the device in this process: processor time on a CPU, wall time on a GPU."""
    import torch

    return time.perf_counter if torch.cuda.is_available() else time.process_time


def _progress(reporter: Reporter, suite: Loaded) -> Progress:
    """Shows the samples of one suite."""
    view: CountView | None = None

    def hear(done: int, total: int, before: int) -> None:
        nonlocal view
        if view is None:
            reporter.say(f"{suite.name}: {total} samples" + (f", {before} of them drawn already" if before else ""))
            view = reporter.count(suite.name, "samples", total, before)
        view.update(done)
        if done == total:
            reporter.say(f"{suite.name}: {done}/{total} samples, grading")

    return hear


def _row(score: SuiteScore, suite: Loaded, folder: str) -> dict[str, Any]:
    record = score.record
    count = len(score.table)
    return {
        "suite": suite.name,
        "verified": suite.verified,
        "partial": suite.partial,
        "preset": record["preset"],
        "decoding": record["score_key"]["decoding"],
        **_statistics(score.table),
        "truncated": record["num_truncated"] / count,
        "verdicts": record["verdicts"],
        "num_tokens": record["num_tokens"],
        "tokens_per_second": record["num_tokens"] / record["seconds"] if record["seconds"] else None,
        "seconds": record["seconds"],
        "gpu_seconds": record["gpu_seconds"],
        "engine": record["engine"],
        "samples_drawn_now": score.drawn,
        "key": score.key.key,
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
    return row["suite"] + ("" if row["verified"] else " (unverified)")


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
            f"answer, {row['verdicts']['timeout']} too slow to grade (counted wrong){speed}\n  {row['folder']}",
            markup=False,
            soft_wrap=True,
        )
