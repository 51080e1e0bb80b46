"""Every stage through the real runner and store: seconds, tokens a second, peak memory against the prediction."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any
from unittest.mock import patch

import pandas as pd
import torch

from tuition.benchmarks.grading.grader import Grader
from tuition.benchmarks.scoring.sampling import encode_prompts, generate_ids, render_prompt
from tuition.planner.allocation import Allocation
from tuition.planner.route import Block, compile_route
from tuition.runners.events import BlockDone, BlockStarted, Event
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.memory import Load, Prediction, predict
from tuition.runners.scenarios.settings import RLSettings
from tuition.runners.store.block_record import BlockRecord
from tuition.runners.training.checkpoint import load_tokenizer

STUDY = "gpu-check"
TEACHER = "teacher=big "
# The routes by which a stage is reached: the long one shares its beginning with the others, the short one needs less.
ROUTES = {
    "teacher_rl": (TEACHER + "teacher_rl=1 warmup=1",),
    "warmup": (TEACHER + "teacher_rl=1 warmup=1", TEACHER + "warmup=1"),
    "opd": (TEACHER + "teacher_rl=1 warmup=1 opd=1", TEACHER + "opd=1"),
    "student_rl": (TEACHER + "teacher_rl=1 warmup=1 opd=1 student_rl=1", "student_rl=1"),
    "teacher_sft": (TEACHER + "teacher_sft=1 transfer_sft=1",),
    "transfer_sft": (TEACHER + "teacher_sft=1 transfer_sft=1", TEACHER + "transfer_sft=1"),
}


@dataclass
class RolloutMeter:
    """What the trainers' own rollouts and their grading took, one entry a step. Feed it with `listening`."""

    seconds: list[float] = field(default_factory=list)
    grading_seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    longest: int = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While it lasts, the generation of TRL's trainers and the grader are timed."""
        from trl import DistillationTrainer, GRPOTrainer

        def timed(generate: Any) -> Any:
            def generate_and_time(trainer: Any, *args: Any, **kwargs: Any) -> Any:
                synchronize(trainer.accelerator.device.type)
                started = time.perf_counter()
                result = generate(trainer, *args, **kwargs)  # ends with lists, so the device is done
                self.seconds.append(time.perf_counter() - started)
                completions = result[0] if isinstance(result, tuple) else result
                self.tokens.append(sum(map(len, completions)))
                self.longest = max(self.longest, *map(len, completions))
                return result

            return generate_and_time

        def grade_and_time(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            grades = grade_many(*args, **kwargs)
            self.grading_seconds.append(time.perf_counter() - started)
            return grades

        grade_many = Grader.grade_many
        name = "_generate_single_turn"
        with (
            patch.object(GRPOTrainer, name, timed(GRPOTrainer._generate_single_turn)),
            patch.object(DistillationTrainer, name, timed(DistillationTrainer._generate_single_turn)),
            patch.object(Grader, "grade_many", grade_and_time),
        ):
            yield


class Watch:
    """A meter for each block, and what was allocated on the device when the block began."""

    def __init__(self, device: str):
        self.device = device
        self.meters: dict[str, RolloutMeter] = {}
        self.allocated: dict[str, int] = {}
        self._listening: Any = None

    def hear(self, event: Event) -> None:
        """What the runner tells."""
        if isinstance(event, BlockStarted | BlockDone):
            self.close()
        if isinstance(event, BlockStarted):
            self.allocated[event.key] = torch.cuda.memory_allocated() if self.device == "cuda" else 0
            self.meters[event.key] = RolloutMeter()
            self._listening = self.meters[event.key].listening()
            self._listening.__enter__()

    def close(self) -> None:
        """Stop listening; also after a block that failed."""
        if self._listening is not None:
            self._listening.__exit__(None, None, None)
            self._listening = None


@dataclass(frozen=True)
class StageFigures:
    """What one block of a stage took. Rates leave its first step out, which compiles kernels."""

    stage: str
    model: str
    block_seconds: float
    step_seconds: float
    rollout_tokens_per_second: float | None
    """Generated tokens; None where the stage does not generate while it trains."""
    grading_seconds: float | None
    """Of a step; None where nothing is graded while it trains."""
    training_tokens_per_second: float
    """Prompt and completion tokens over the rest of the step: reference or teacher, forward, backward, update."""
    peak_bytes: int | None
    before_bytes: int
    """Allocated when the block began: what earlier work left."""
    prediction: Prediction
    kept: str
    """Of rejection sampling: correct samples of those drawn."""


def synchronize(device: str) -> None:
    """Wait for the device, so that a clock reads what was done."""
    if device == "cuda":
        torch.cuda.synchronize()


def run_stage(runner: RouteRunner, watch: Watch, stage: str) -> StageFigures:
    """Train one block of a stage, or read it where a former route trained it. Raises what the short route raised."""
    *long, short = ROUTES[stage]
    for text in long:
        try:
            return run_route(runner, watch, stage, text)
        except Exception:
            watch.close()  # an earlier stage of the long route may be to blame
    return run_route(runner, watch, stage, short)


def run_route(runner: RouteRunner, watch: Watch, stage: str, text: str) -> StageFigures:
    """Train a route (what of it is not stored), and read what its block of a stage took."""
    route = compile_route(Allocation.parse(text), runner.scenario.recipe, 0)
    block = next(block for block in route.blocks if block.stage == stage)
    try:
        runner.run(route, STUDY)
    except Exception:
        if runner.store.record(block.key) is None:
            raise  # else a later stage of the route failed, which has a row of its own
    return _figures(runner, watch, block)


def _figures(runner: RouteRunner, watch: Watch, block: Block) -> StageFigures:
    record = runner.store.record(block.key)
    assert record is not None
    curves = pd.read_parquet(runner.store.path(block.key) / "train.parquet")
    meter = watch.meters[block.key]
    seconds = float(curves["seconds"][1:].sum())
    rollout_seconds = sum(meter.seconds[1:])
    graded = meter.grading_seconds[1:] if block.stage.endswith("_rl") else []
    tokens = float(curves["tokens_seen"].iloc[-1] - curves["tokens_seen"].iloc[0])
    on_gpu = runner.scenario.device == "cuda"
    return StageFigures(
        stage=block.stage,
        model=block.model,
        block_seconds=record.seconds,
        step_seconds=float(curves["seconds"][1:].median()),
        rollout_tokens_per_second=sum(meter.tokens[1:]) / rollout_seconds if rollout_seconds else None,
        grading_seconds=median(graded) if graded else None,
        training_tokens_per_second=tokens / (seconds - rollout_seconds - sum(graded)),
        peak_bytes=record.peak_memory_bytes if on_gpu else None,
        before_bytes=watch.allocated[block.key],
        prediction=predict_block(runner, block, meter.longest or _longest_rollout(runner, record)),
        kept="" if record.samples_kept is None else f"{record.samples_kept}/{record.samples_drawn}",
    )


def predict_block(runner: RouteRunner, block: Block, longest: int) -> Prediction:
    """The prediction of a block whose longest completion has `longest` tokens."""
    scenario = runner.scenario
    settings = scenario.file.stages.of(block.stage)
    tokenizer = load_tokenizer(scenario.base_folder(block.model))
    problems = scenario.labels if block.pool else scenario.prompts
    prompts = encode_prompts(tokenizer, [render_prompt(problem.problem, scenario.decoding) for problem in problems])

    load = Load(
        sequences=min(settings.micro_batch, settings.sequences_per_step),
        rollouts=settings.sequences_per_step if scenario.engine == "transformers" else 0,
        prompt=max(map(len, prompts)),
        completion=longest,
        accumulated=settings.accumulation() > 1,
        kl=isinstance(settings, RLSettings) and settings.kl_coef > 0,
        teacher_offloaded=scenario.file.hardware.offload_teacher,
        served=scenario.file.hardware.teacher_server is not None,
    )
    trained, teacher = scenario.shape(block.model), scenario.shape(scenario.default_teacher)
    assert trained is not None  # its checkpoint is in the scenario's folder
    in_process = None if scenario.file.hardware.teacher_server else teacher
    return predict(block.stage, trained, in_process, load, scenario.source(block.model).lora)


def _longest_rollout(runner: RouteRunner, record: BlockRecord) -> int:
    """Tokens of the longest completion among the cached rollouts of a block."""
    assert record.rollouts is not None
    key = record.rollouts.key
    [table] = runner.trainer.rows.rollouts.folder.rglob(f"{key}/rollouts.parquet")
    return int(pd.read_parquet(table)["completion_ids"].map(len).max())


def sampling_rate(runner: RouteRunner, model: str) -> str:
    """Tokens a second of a frozen base model in the scenario's type, as scores and teacher rollouts are drawn."""
    scenario = runner.scenario
    sequences = scenario.file.hardware.generation_batch
    frozen = runner.trainer.frozen(runner.trainer._contents[model])
    tokenizer = load_tokenizer(scenario.base_folder(model))
    problems = [render_prompt(problem.problem, scenario.decoding) for problem in scenario.prompts]
    prompts = encode_prompts(tokenizer, [problems[i % len(problems)] for i in range(sequences)])
    rates = []
    for seed in range(3):
        synchronize(scenario.device)
        started = time.perf_counter()
        drawn = generate_ids(frozen, tokenizer, prompts, scenario.decoding, seed, sequences)
        rates.append(sum(map(len, drawn)) / (time.perf_counter() - started))
    return f"{sorted(rates)[1]:,.0f} tokens/s, {sequences} sequences at once"
