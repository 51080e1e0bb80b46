"""The same stages on a GPU in the other ways that a scenario may ask for: adapters, an offloaded teacher, vLLM.

Each way is a copy of the scenario's file with a line changed, and a results folder of its own. Of vLLM: rollouts beside
the trainer, asleep while a step is trained, and a teacher behind a server on the same GPU.
"""

import re
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from tests.experiments.gpu.resume import compare
from tests.experiments.gpu.stages import STUDY, TEACHER, StageFigures, Watch, run_route
from tuition.benchmarks.scoring.engines.vllm_engine import vllm_version
from tuition.planner.allocation import Allocation
from tuition.planner.route import compile_route
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario

GIB = 2**30
GRPO, WARMUP, OPD = "student_rl=1", TEACHER + "warmup=1", TEACHER + "opd=1"
# What vLLM logs when it goes to sleep.
SLEPT = re.compile(r"Sleep mode freed ([\d.]+) GiB memory, ([\d.]+) GiB memory is still in use")
VLLM: dict[str, Any] = {"engine": "vllm", "vllm": {"gpu_memory_utilization": 0.2}}


@dataclass(frozen=True)
class Way:
    """One way of training a stage: figures, and where its weights are."""

    figures: StageFigures
    model: Path


def vary(file: Path, name: str, hardware: dict[str, Any], lora: bool = False) -> Path:
    """A copy of a scenario's file, beside it, with other hardware; `lora`: every model is trained by an adapter."""
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    document["hardware"] |= hardware
    if lora:
        for source in (document["student"], *document["teachers"].values()):
            source["lora"] = {"rank": 32, "alpha": 64}
    path = file.with_name(f"{name}.yaml")
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def train(file: Path, results: Path, text: str, device: str, stage: str | None = None) -> Way:
    """Train a route; figures and weights of its first block of a stage, by default of its last block."""
    watch = Watch(device)
    with closing(RouteRunner(Scenario.load(str(file)), results, watch.hear)) as runner:
        blocks = compile_route(Allocation.parse(text), runner.scenario.recipe, 0).blocks
        block = blocks[-1] if stage is None else next(block for block in blocks if block.stage == stage)
        try:
            figures = run_route(runner, watch, block.stage, text)
        finally:
            watch.close()
        return Way(figures, runner.store.model(block.key))


def check_offloaded(file: Path, folder: Path, device: str) -> tuple[str, bool]:
    """An opd block with its teacher on the device and with it offloaded: equal weights, less memory."""
    kept, offloaded = (
        train(vary(file, name, {"offload_teacher": away}), folder / name, OPD, device)
        for name, away in (("teacher-kept", False), ("teacher-offloaded", True))
    )
    difference = compare(kept.model, offloaded.model)
    told = f"weights {difference}; {_cost(kept, 'kept')}; {_cost(offloaded, 'offloaded')}"
    return told, difference.equal


def check_vllm(file: Path, folder: Path, device: str, text: str) -> tuple[str, bool]:
    """A block whose rollouts vLLM draws beside the trainer, twice; whether the two are equal is only told."""
    colocated = vary(file, "colocated", VLLM)
    models, told = [], []
    for place in ("first", "again"):
        with closing(RouteRunner(Scenario.load(str(colocated)), folder / place)) as runner:
            route = compile_route(Allocation.parse(text), runner.scenario.recipe, 0)
            runner.run(route, STUDY)
            record, path = runner.store.record(route.final), runner.store.path(route.final)
        assert record is not None
        curves = pd.read_parquet(path / "train.parquet")
        step = float(curves["seconds"][1:].median())
        told.append(f"{place} {record.seconds:.1f} s, step {step:.3f} s")
        models.append(path / "model")
    slept = [line for log in folder.rglob("block-*.log") for line in SLEPT.findall(log.read_text(errors="replace"))]
    asleep = f"asleep it frees {slept[-1][0]} GiB, {slept[-1][1]} GiB stay taken" if slept else "vLLM did not sleep"
    return f"{'; '.join(told)}; the two: {compare(*models)}; {asleep}", device == "cpu" or bool(slept)


def check_teacher_server(file: Path, folder: Path, device: str, text: str) -> tuple[str, bool]:
    """A bridge block with its teacher behind a vLLM server on the same GPU."""
    hardware = {"teacher_server": {"top_k": 20, "gpu_memory_utilization": 0.2}}
    way = train(vary(file, "served", hardware), folder / "served", text, device)
    return f"{_cost(way, 'block, server started and ended')}", True


def check_scores(file: Path, folder: Path, device: str) -> tuple[str, bool]:
    """The base student's score as either engine draws it: the same distribution, other samples."""
    shares, seconds, errors = [], [], []
    for name, hardware in (("transformers", {"engine": "transformers"}), ("vllm", VLLM)):
        scenario = Scenario.load(str(vary(file, f"scored-by-{name}", hardware)))
        with closing(RouteRunner(scenario, folder / f"scored-by-{name}", Watch(device).hear)) as runner:
            scored = runner.score(runner.trainer._contents["student"], "test", STUDY)
        right = scored.table.groupby("problem_id")["correct"].mean()
        shares.append(float(right.mean()))
        errors.append(float(right.sem()))
        seconds.append(scored.gpu_seconds)
    error = (errors[0] ** 2 + errors[1] ** 2) ** 0.5
    told = " and ".join(
        f"{name} {100 * share:.1f} % ({took:.1f} s)"
        for name, share, took in zip(("transformers", "vLLM"), shares, seconds, strict=True)
    )
    return f"{told}; standard error of the difference at most {100 * error:.1f}", abs(shares[0] - shares[1]) < 3 * error


def without_vllm() -> str | None:
    """Why vLLM cannot be checked; None where it can."""
    return None if vllm_version() else "vLLM is not installed here"


def _cost(way: Way, name: str) -> str:
    figures = way.figures
    peak = "" if figures.peak_bytes is None else f", peak {figures.peak_bytes / GIB:.2f} GiB"
    predicted = f" (predicted {figures.prediction.total / GIB:.2f})" if peak else ""
    return f"{name} {figures.block_seconds:.1f} s, step {figures.step_seconds:.3f} s{peak}{predicted}"
