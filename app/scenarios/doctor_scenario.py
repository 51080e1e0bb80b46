"""`tuition doctor --scenario`: whether a scenario fits this machine, before anything is trained.

Predicted peak memory of every stage on its device and on the machine, hours and disk, each held against what is here,
and what to change. Nothing is fetched: where models or data are only on the Hub, sizes come from the scenario's file.
"""

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tuition.app.processes.cost_words import basis_text, total_text
from tuition.app.studies.search_plan import TRIALS, PlanRequest, plan_search

if TYPE_CHECKING:
    from tuition.runners.scenarios.scenario import Scenario

VLLM_SHARE = 0.9  # of a device, which vLLM takes where it draws by itself
TEST_SEEDS = 1  # of the search that is priced: the default of `tuition search`


def examine_scenario(name: str, results: Path) -> dict[str, Any]:
    """Facts, problems and warnings, and a row for each stage, as JSON values. ScenarioError for a wrong scenario."""
    from tuition.runners.scenarios.memory import what_helps
    from tuition.runners.scenarios.model_checks import findings
    from tuition.runners.scenarios.outline import load_to_plan
    from tuition.runners.training.launch import too_few_gpus

    scenario = load_to_plan(name)
    found = findings(scenario)
    problems, warnings = ([one.text for one in found if one.problem is stops] for stops in (True, False))
    warnings += hard_answers(scenario)
    if problems:
        facts = {"scenario": f"{scenario.name}: sizes, hours and disk are predicted once its problems are solved"}
        return {"facts": facts, "memory": {}, "problems": problems, "warnings": warnings}
    plan = plan_search(PlanRequest(name, results, TRIALS, num_test_seeds=TEST_SEEDS))
    device, memory = device_memory(scenario.device)
    folder = next(path for path in (results.absolute(), *results.absolute().parents) if path.exists())
    free, peak = shutil.disk_usage(folder).free, plan.peak_disk_bytes
    facts = {
        "scenario": f"{scenario.name}, planned from {plan.planned_from}",
        "device": f"{device}, {memory / 1e9:.0f} GB" if memory else device,
        "time": f"{total_text(plan.gpu_seconds, plan.gpu_seconds_known)} of {plan.device} for {TRIALS} trials and the "
        f"test on {TEST_SEEDS} seed ({basis_text(plan.basis)})",
        "disk": f"up to {_gigabytes(peak)} for the store, {free / 1e9:,.1f} GB free on {folder}",
    }
    if peak is not None and peak > free:
        problems.append(
            f"the store may grow to {_gigabytes(peak)}, but {folder} has {free / 1e9:,.1f} GB free: choose another "
            "--results, limit it with `tuition search --max-store`, or train adapters (lora)"
        )
    if (short := too_few_gpus(scenario.device, scenario.file.hardware.processes)) is not None:
        problems.append(short)
    if memory is None:
        warnings.append(f"{device}, so the predicted memory cannot be checked")
    elif not plan.memory:
        warnings.append("the models' sizes are unknown: set `shape` in the scenario, or fetch the models")
    for stage, row in plan.memory.items():
        if memory is not None and row.bytes > memory:
            helps = what_helps(scenario, stage)
            changes = "; ".join(
                f"{words}: {_gigabytes(size)}{' fits' if size <= memory else ''}" for words, size in helps.items()
            )
            problems.append(
                f"{stage} needs {_gigabytes(row.bytes)}, but {device} has {_gigabytes(memory)}: "
                + (changes or "use smaller models or a larger device")
            )
    lacking = examine_host(scenario, list(plan.memory), facts)
    problems += lacking if memory is not None else []  # a machine without the devices trains nothing
    problems += examine_drawing(scenario, memory) if memory is not None else []
    memory_by_stage = {stage: asdict(row) for stage, row in plan.memory.items()}
    return {"facts": facts, "memory": memory_by_stage, "problems": problems, "warnings": warnings}


def examine_host(scenario: "Scenario", stages: list[str], facts: dict[str, str]) -> list[str]:
    """What is wrong if the machine has too little memory; `facts` gets what the stage needs that needs most of it.

    Nothing of one process on a CPU: the machine is its device.
    """
    import psutil

    from tuition.runners.scenarios.host_memory import predict_host

    if scenario.device == "cpu" and scenario.file.hardware.processes == 1:
        return []
    predicted = {stage: prediction for stage in stages if (prediction := predict_host(scenario, stage)) is not None}
    if not predicted:
        return []
    stage, largest = max(predicted.items(), key=lambda item: item[1].total)
    here = psutil.virtual_memory().total
    facts["host memory"] = (
        f"up to {_gigabytes(largest.total)} in {stage} ({largest.moment}: {_largest(largest.parts)}), this machine has "
        f"{_gigabytes(here)}"
    )
    if largest.total <= here:
        return []
    return [
        f"{stage} needs {_gigabytes(largest.total)} of the machine's memory, but it has {_gigabytes(here)}: "
        "choose a larger machine, fewer hardware.processes, or train adapters (lora)"
    ]


def examine_drawing(scenario: "Scenario", memory: int) -> list[str]:
    """Models whose weights do not fit a GPU of `memory` bytes to draw rollouts and scores; vLLM can split them."""
    problems, hardware = [], scenario.file.hardware
    for model in ("student", *scenario.file.teachers) if scenario.device == "cuda" else ():
        shape, split = scenario.shape(model), scenario.source(model).tensor_parallel
        needed = 0 if shape is None else (4 if hardware.dtype == "float32" else 2) * shape.parameters
        if needed / split <= VLLM_SHARE * memory:
            continue
        fits = [n for n in range(2, hardware.processes + 1) if hardware.processes % n == 0]
        fits = [n for n in fits if needed / n <= VLLM_SHARE * memory]
        change = f"tensor_parallel: {fits[0]} on it, with hardware.engine: vllm" if fits else "more hardware.processes"
        problems.append(
            f"to draw from {model}, each device needs {_gigabytes(needed // split)} for its weights, but has "
            f"{_gigabytes(memory)}, of which vLLM takes {VLLM_SHARE:.0%}: {change}"
        )
    return problems


def hard_answers(scenario: "Scenario") -> list[str]:
    """What the scenario's answers are that completions can hardly match; nothing where they are on the Hub."""
    from tuition.benchmarks.grading.hard_golds import hard_golds, in_sentences
    from tuition.runners.scenarios.outline import Outline

    if isinstance(scenario, Outline):
        return []
    problems = [*scenario.labels, *scenario.validation, *scenario.test]
    return in_sentences(hard_golds([one.answer for one in problems]), [one.id for one in problems])


def device_memory(device: str) -> tuple[str, int | None]:
    """Name and bytes of what a scenario trains on; None where that is not here."""
    import psutil
    import torch

    if device == "cpu":
        return "this machine", psutil.virtual_memory().total
    if not torch.cuda.is_available():
        return "no GPU found", None
    return str(torch.cuda.get_device_name()), int(torch.cuda.get_device_properties(0).total_memory)


def show_examined(document: dict[str, Any]) -> None:
    """Print it."""
    for name, value in document["facts"].items():
        typer.echo(f"{name:>12}  {value}")
    for stage, row in document["memory"].items():
        typer.echo(f"{stage:>12}  {_gigabytes(row['bytes'])} ({row['moment']}: {_largest(row['parts'])})")
    for kind in ("warning", "problem"):
        for line in document[f"{kind}s"]:
            typer.echo(f"{kind}: {line}")


def _largest(parts: Mapping[str, int]) -> str:
    """The four largest parts of a prediction."""
    return ", ".join(
        f"{name} {_gigabytes(size)}" for name, size in sorted(parts.items(), key=lambda part: -part[1])[:4]
    )


def _gigabytes(number: int | None) -> str:
    return "unknown" if number is None else f"{number / 1e9:,.1f} GB"
