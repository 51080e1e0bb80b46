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

from rich.table import Table

from app.accounts import finite_fields
from app.interrupts import Interrupts
from app.models import ModelFiles, find_model
from app.progress import CountView, Reporter
from app.provenance import command_line
from app.report import terminal
from benchmarks.decoding import PRESETS, Preset
from benchmarks.engines.requests import Engine
from benchmarks.grading import Grader
from benchmarks.metrics import pass_at_k
from benchmarks.records import ScoreStore, correct_PK
from benchmarks.scoring import Progress, Scorer, SuiteScore, Task
from benchmarks.statistics import avg_at_k
from benchmarks.suites.catalog import is_micro, load_by_name
from benchmarks.suites.loading import Loaded, read_lock
from runners.scenario import Scenario, built_in_scenarios

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
    scenario: str = "micro"
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
    """The preset for a suite, with the request's overrides. By default `paper`; micro suites have their scenario's."""
    name = request.preset or ("micro" if is_micro(suite) else "paper")
    if name in PRESETS:
        preset = PRESETS[name]
    elif name in built_in_scenarios():
        scenario = Scenario.load(name)
        preset = Preset(scenario.decoding, scenario.file.test.samples, {"all": f"scenario {name}"})
    else:
        raise BenchError(f"unknown preset {name!r}: choose from {', '.join([*PRESETS, *built_in_scenarios()])}")
    overrides = {"max_new_tokens": request.max_new_tokens, "chat_template": request.chat}
    preset = preset.overridden(**{name: value for name, value in overrides.items() if value is not None})
    if preset.decoding.temperature == 0 and (request.samples or 1) > 1:
        raise BenchError(
            f"--samples {request.samples} with preset {preset.name}: greedy samples are all the same; give 1"
        )
    return preset


def run_bench(request: BenchRequest) -> dict[str, Any]:
    """Score all suites; a JSON-able account. Everything that can be wrong is looked at before the first sample."""
    lock = read_lock(request.results)
    suites = [load_by_name(name, request.data_dir, lock).first(request.limit) for name in request.suites]
    presets = [find_preset(request, name) for name in request.suites]
    files = None if request.engine == "server" else find_model(request.model, request.results, request.scenario)
    described = files.described() if files else {"label": request.model, "weights_sha256": None, "served": request.url}
    record = {
        "model": described,
        "command": command_line(),
        "host": platform.node(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in VERSIONED},
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    store = ScoreStore(request.results / "scores")
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
        scorer = Scorer(engine, store, grader, record, clock, interrupts.check)
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
    from runners.checkpoint import load_tokenizer

    if request.engine == "vllm":
        from benchmarks.engines.vllm_engine import VllmEngine

        if files.base is not None:
            raise BenchError("vLLM gets whole models from us: `tuition store export` merges this adapter first")
        return VllmEngine(files.folder, load_tokenizer(files.folder), _end_tokens(files.folder), request.dtype)
    import torch

    from benchmarks.engines.transformers_engine import TransformersEngine
    from runners.checkpoint import load_model

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_model(files.folder, request.dtype, device, files.base, trainable=False)
    # An adapter's folder has a tokenizer of its own.
    return TransformersEngine(model.eval().requires_grad_(False), load_tokenizer(files.folder), _batch_size(request))


def _batch_size(request: BenchRequest) -> int:
    return request.batch_size or BATCH_SIZES[request.engine]


def _end_tokens(folder: Path) -> list[int]:
    """The end tokens that the model's folder names, besides the tokenizer's."""
    from transformers import GenerationConfig

    if not (folder / "generation_config.json").exists():
        return []
    ends: Any = GenerationConfig.from_pretrained(folder).eos_token_id
    return ends if isinstance(ends, list) else [ends] if isinstance(ends, int) else []


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
    _, outcomes_PK = correct_PK(score.table)
    record = score.record
    count = len(score.table)
    return {
        "suite": suite.name,
        "verified": suite.verified,
        "partial": suite.partial,
        "preset": record["preset"],
        "decoding": record["score_key"]["decoding"],
        **finite_fields(avg_at_k(outcomes_PK)),
        "pass_at_all": float(pass_at_k(outcomes_PK, outcomes_PK.shape[1]).mean()),
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


def tables(document: dict[str, Any]) -> list[Table]:
    """One table for each preset: scores under different presets are never set side by side."""
    from rich import box

    by_preset: dict[str, list[dict[str, Any]]] = {}
    for row in document["scores"]:
        by_preset.setdefault(json.dumps(row["decoding"], sort_keys=True), []).append(row)
    shown = []
    for rows in by_preset.values():
        title = f"{document['model']['label']}, preset {rows[0]['preset']}\n{HEADING}"
        table = Table(title=title, box=box.SIMPLE_HEAD)
        for column in ("suite", "avg@k, %", "± problems", "± samples", "pass@k, %", "cut", "none", "late", "tokens/s"):
            table.add_column(column, justify="left" if column == "suite" else "right", no_wrap=True)
        for row in rows:
            mark = "" if row["verified"] else " (unverified)"
            table.add_row(
                row["suite"] + mark,
                f"{100 * row['mean']:.1f} (k={row['num_samples']})",
                _points(row["se_problems"]),
                _points(row["se_samples"]),
                f"{100 * row['pass_at_all']:.1f}",
                f"{row['truncated']:.0%}",
                str(row["verdicts"]["no_answer"]),
                str(row["verdicts"]["timeout"]),
                f"{row['tokens_per_second']:,.0f}" if row["tokens_per_second"] else "-",
            )
        shown.append(table)
    return shown


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def show_bench(document: dict[str, Any]) -> None:
    """The scores on the terminal."""
    console = terminal()
    for table in tables(document):
        console.print(table)
    console.print("cut: ended by the token limit; none: no answer found; late: grading took too long (counted wrong)")
    for row in document["scores"]:
        console.print(f"{row['suite']}: {row['folder']}", soft_wrap=True)
