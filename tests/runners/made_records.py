"""Records of blocks that were never trained."""

from pathlib import Path
from typing import Any

from tuition.planner.route import Route
from tuition.planner.stages import STUDENT
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.store.block_record import BlockRecord, PoolContent
from tuition.runners.store.block_store import BlockStore
from tuition.runners.training.checkpoint import SCALARS, TENSORS
from tuition.runners.training.meter import accelerator_name
from tuition.runners.training.versions import library_versions

BASE = "f" * 64


def made_record(key: str, **changes: Any) -> BlockRecord:
    """A whole record, with some fields changed."""
    return BlockRecord.model_validate(
        {
            "key": key, "stage": "opd", "index": 0, "model": "student", "base": BASE, "parent": BASE,
            "parent_weights_sha256": "w", "stage_start": BASE, "weights_sha256": "w", "run_seed": 0, "seed": 1,
            "settings": {"steps": 3}, "environment": {"device": "cpu"}, "versions": {"torch": "made up"},
            "accelerator": "cpu", "host": "host", "python": "3", "labels_new": 0, "labels_pool": 0, "steps": 3,
            "gpu_seconds": 10.0, "seconds": 10.0, "peak_memory_bytes": 1, "finished": 1.0, **changes,
        }
    )  # fmt: skip


def store_untrained(store: BlockStore, route: Route, scenario: Scenario, **changes: Any) -> None:
    """Put the blocks of a route into a store as training would, but with made-up weights and costs."""
    for block in route.blocks:
        fields = dict(
            stage=block.stage, index=block.index, model=block.model,
            base={STUDENT: scenario.recipe.student, **scenario.recipe.teachers}[block.model],
            parent=block.parent, stage_start=block.stage_start, teacher=block.teacher, teacher_weights_sha256="w",
            run_seed=block.run_seed, seed=block.seed, settings=dict(scenario.recipe.stages[block.stage]),
            environment=dict(scenario.recipe.environment), pool=PoolContent.of(block, scenario.recipe).model_dump(),
            labels_new=len(block.new_labels), labels_pool=len(block.pool), versions=library_versions(scenario),
            accelerator=accelerator_name(scenario.device),
        )  # fmt: skip
        record = made_record(block.key, **(fields | changes))

        def write(folder: Path, record: BlockRecord = record) -> BlockRecord:
            for name in (TENSORS, SCALARS):
                (folder / name).write_bytes(b"state")
            return record

        store.publish(block.key, write)
