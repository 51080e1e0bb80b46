"""A recorded table of made-up runs: the real header, schema, keys and checks, and drawn counts and prices."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tuition.benchmarks.baselines import baseline_allocations
from tuition.benchmarks.tables.recorded_table import RecordedBlock, RecordedRun, recorded_seeds, role_of
from tuition.benchmarks.tables.table_header import Header, RecordedRecipe, RecordedSuite
from tuition.planner.allocation import Allocation
from tuition.planner.route import Label, Recipe, compile_route
from tuition.planner.space import SearchSpace

STAGES = ("teacher_rl", "teacher_sft", "warmup", "opd", "transfer_sft", "student_rl")
SECONDS = {"teacher_rl": 5.0, "teacher_sft": 4.0, "warmup": 3.0, "opd": 3.5, "transfer_sft": 3.0, "student_rl": 2.0}
SPACE = SearchSpace(teachers=("large", "small"), num_label_blocks=4, max_warmup=1, max_opd=2)
SEEDS = recorded_seeds(4)


def made_header(num_problems: int = 6, samples: int = 4, **changes: Any) -> Header:
    recipe = Recipe(
        student="student-sha",
        teachers={"large": "large-sha", "small": "small-sha"},
        labels=tuple(Label(f"id-{i}", f"problem-{i}", f"content-{i}") for i in range(8)),
        labels_per_block=2,
        prompts_sha256="prompts-sha",
        stages={stage: {"revision": 1, "learning_rate": 1e-4, "clip": 0.0} for stage in STAGES},
        environment={"device": "cpu"},
    )
    fields: dict[str, Any] = {
        "scenario": "made@0123456789ab",
        "scenario_sha256": "0" * 64,
        "recipe": RecordedRecipe.of(recipe),
        "space": SPACE,
        "names": {name: str(a) for name, a in baseline_allocations("large", 4, 1, 1).items()},
        "states_kept": (),
        "validation": RecordedSuite(name="v@1", samples=samples, problem_ids=tuple(map(str, range(num_problems)))),
        "test": RecordedSuite(name="t@1", samples=samples, problem_ids=tuple(map(str, range(num_problems)))),
        "decoding": {"name": "sampled"},
    }
    return Header(**{**fields, **changes})


def made_run(header: Header, text: str, seed: int, mean: float = 0.5, **changes: Any) -> RecordedRun:
    """A run whose counts are drawn around `mean`; transfers with a warmup or SFT have rollouts of 1 second."""
    route = compile_route(Allocation.parse(text), header.recipe.recipe(), seed)
    rng = np.random.default_rng([seed, int(route.final[:8], 16)] if route.blocks else seed)

    def counts(suite: RecordedSuite) -> tuple[int, ...]:
        return tuple(int(n) for n in rng.binomial(suite.samples, mean, size=len(suite.problem_ids)))

    def block(key: str, stage: str) -> RecordedBlock:
        rollouts = {"rollouts": key[::-1], "rollouts_gpu_seconds": 1.0} if stage in ("warmup", "transfer_sft") else {}
        return RecordedBlock(key=key, stage=stage, gpu_seconds=SECONDS[stage], **rollouts)

    fields: dict[str, Any] = {
        "scenario": header.scenario,
        "allocation": str(route.allocation),
        "teacher": route.allocation.teacher,
        "seed": seed,
        "role": role_of(seed),
        "validation_correct": counts(header.validation),
        "test_correct": counts(header.test),
        "blocks": tuple(block(b.key, b.stage) for b in route.blocks),
        "weights_sha256": (route.final * 64)[:64] if route.blocks else "f" * 64,
        "validation_gpu_seconds": 0.25,
        "test_gpu_seconds": 0.5,
        "labels_trained": len(route.labels_trained),
        "labels_validation": len(header.validation.problem_ids),
        "labels_owned": 8 + len(header.validation.problem_ids),
        "host": "here",
        "device": "cpu",
        "date": "2026-01-01T00:00:00+00:00",
        "command": "tuition record",
        "code_version": "0.1.0",
        "versions": {"torch": "2"},
    }
    return RecordedRun(**{**fields, **changes})


def made_runs(header: Header, texts: Sequence[str], seeds: Sequence[int] = SEEDS) -> list[RecordedRun]:
    return [made_run(header, text, seed) for seed in seeds for text in texts]
