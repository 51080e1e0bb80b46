"""A recorded table of made-up runs: the real header, schema, keys and checks, and drawn counts and prices.

`made_runs` makes rows of given checkpoints, `made_complete_table` a complete table of a space, with given truths.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tuition.benchmarks.baselines import baseline_allocations
from tuition.benchmarks.tables.recorded_table import (
    RecordedBlock,
    RecordedRun,
    RecordedTable,
    checked_table,
    recorded_seeds,
    role_of,
)
from tuition.benchmarks.tables.table_header import Header, RecordedRecipe, RecordedSuite
from tuition.planner.allocation import Checkpoint, parse_checkpoint
from tuition.planner.route import Label, Recipe, compile_checkpoint
from tuition.planner.space import SearchSpace

STAGES = ("teacher_rl", "teacher_sft", "warmup", "opd", "transfer_sft", "student_rl")
SECONDS = {"teacher_rl": 5.0, "teacher_sft": 4.0, "warmup": 3.0, "opd": 3.5, "transfer_sft": 3.0, "student_rl": 2.0}
SPACE = SearchSpace(teachers=("large", "small"), num_label_blocks=4, max_warmup=1, max_opd=2)
SEEDS = recorded_seeds(4)


def made_header(num_problems: int = 6, samples: int = 4, space: SearchSpace = SPACE, **changes: Any) -> Header:
    """A header whose recipe has the space's teachers, and two labels for each of its label blocks."""
    blocks, bridge = space.num_label_blocks, (min(1, space.max_warmup), min(1, space.max_opd))
    recipe = Recipe(
        student="student-sha",
        teachers={teacher: f"{teacher}-sha" for teacher in space.teachers},
        labels=tuple(Label(f"id-{i}", f"problem-{i}", f"content-{i}") for i in range(2 * blocks)),
        labels_per_block=2,
        prompts_sha256="prompts-sha",
        stages={stage: {"revision": 1, "learning_rate": 1e-4, "clip": 0.0} for stage in STAGES},
        environment={"device": "cpu"},
    )
    fields: dict[str, Any] = {
        "scenario": "made@000000000000",
        "scenario_sha256": "0" * 64,
        "recipe": RecordedRecipe.of(recipe),
        "space": space,
        "names": {name: str(a) for name, a in baseline_allocations(space.teachers[0], blocks, *bridge).items()},
        "states_kept": (),
        "validation": RecordedSuite(name="v@1", samples=samples, problem_ids=tuple(map(str, range(num_problems)))),
        "test": RecordedSuite(name="t@1", samples=samples, problem_ids=tuple(map(str, range(num_problems)))),
        "decoding": {"name": "sampled"},
    }
    return Header(**{**fields, **changes})


def made_run(
    header: Header,
    text: str,
    seed: int,
    mean: float = 0.5,
    seconds: Mapping[str, float] = SECONDS,
    recipe: Recipe | None = None,
    **changes: Any,
) -> RecordedRun:
    """A run whose counts are drawn around `mean`; transfers with a warmup or SFT have rollouts of 1 second.

    `seconds` of a block by stage; `recipe` is the header's, where many runs are made.
    """
    route = compile_checkpoint(parse_checkpoint(text), recipe or header.recipe.recipe(), seed)
    rng = np.random.default_rng([seed, int(route.final[:8], 16)] if route.blocks else seed)

    def counts(suite: RecordedSuite) -> tuple[int, ...]:
        return tuple(int(n) for n in rng.binomial(suite.samples, mean, size=len(suite.problem_ids)))

    def block(key: str, stage: str) -> RecordedBlock:
        rollouts = {"rollouts": key[::-1], "rollouts_gpu_seconds": 1.0} if stage in ("warmup", "transfer_sft") else {}
        return RecordedBlock(key=key, stage=stage, gpu_seconds=seconds[stage], **rollouts)

    fields: dict[str, Any] = {
        "scenario": header.scenario,
        "allocation": str(route.checkpoint),
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


def all_checkpoints(space: SearchSpace) -> list[Checkpoint]:
    """What a complete table of a space holds: every checkpoint of every allocation."""
    found: dict[Checkpoint, None] = {}
    for allocation in space.allocations():
        found |= dict.fromkeys(allocation.checkpoints())
    return list(found)


def made_complete_table(
    space: SearchSpace = SPACE,
    mean: Callable[[Checkpoint, int], float] = lambda checkpoint, seed: 0.5,
    seeds: Iterable[int] = SEEDS,
    seconds: Mapping[str, float] = SECONDS,
    **header_changes: Any,
) -> RecordedTable:
    """A complete table that nothing was trained for.

    `mean` gives the true score of a checkpoint with a seed, which counts are drawn around: draw a seed's own luck in
    there. `header_changes` as `made_header`, the sizes of the suites among them.
    """
    header = made_header(space=space, **header_changes)
    recipe, checkpoints = header.recipe.recipe(), all_checkpoints(space)
    return checked_table(
        header,
        [
            made_run(header, str(checkpoint), seed, mean(checkpoint, seed), seconds, recipe)
            for seed in seeds
            for checkpoint in checkpoints
        ],
    )
