"""What was measured in a results folder that can say what a scenario's blocks cost.

A measured cost belongs to its recipe: the stage, the contents of the trained model and of the teacher, the settings
that change the work, the environment and the device. Blocks of other recipes on that device serve estimates.

Simplified: the problems are not part of a recipe here; others of another length cost something else.
"""

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tuition.benchmarks.provenance import names_no_processor
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.planner.cost import Work, charge
from tuition.planner.cost_law import Workload
from tuition.planner.stages import STAGE, STUDENT
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.sources import Shape, shape_in
from tuition.runners.scenarios.workload import Batches, stored_settings, workload
from tuition.runners.store.block_record import BlockRecord
from tuition.runners.store.block_store import BlockStore
from tuition.runners.store.short_blocks import ShortBlock, read_short_blocks
from tuition.runners.training.meter import accelerator_name

CHANGE_NO_WORK = (
    "learning_rate", "lr_warmup_steps", "lr_warmup_first_rate", "weight_decay", "max_grad_norm", "clip", "loss",
    "scale_rewards", "kl_form", "revision", "grader",
)  # fmt: skip
"""Settings that leave a block's cost as it is. All others, known or not yet, are part of the recipe."""
COMPARABLE = ("device", "dtype", "engine")
"""Of the environment: an estimate never crosses from one of these to another."""


@dataclass(frozen=True)
class MeasuredBlock:
    """A block of a results folder, with the contents of the base models that it and its teacher grew from.

    `short` is None for a block of the store; of a short one, `record` is its own.
    """

    record: BlockRecord
    base: str | None
    teacher_base: str | None
    short: ShortBlock | None = None

    @property
    def seconds(self) -> float:
        """Device-seconds of the block as it was trained, with its rollouts, whether it was the one that drew them."""
        return charge([self.record.price])[0]


def recipe_of(settings: Mapping[str, Any], *, any_steps: bool = False) -> dict[str, Any]:
    """The settings that change a block's work; without its number of steps if `any_steps`."""
    left_out = (*CHANGE_NO_WORK, *(("steps",) if any_steps else ()))
    return {name: value for name, value in settings.items() if name not in left_out}


class MeasuredBlocks:
    """The blocks of a results folder that a scenario's costs can be learnt from: those of this kind of device."""

    def __init__(self, scenario: Scenario, folder: ResultsFolder) -> None:
        self.scenario, self.folder = scenario, folder
        self.store = BlockStore(folder.store) if folder.store.is_dir() else None
        self._records = {record.key: record for record in self.store.records()} if self.store is not None else {}
        short = {block.record.key: block for block in read_short_blocks(folder.measured)}
        self._all = {**{key: block.record for key, block in short.items()}, **self._records}
        device = scenario.recipe.environment["device"]
        self.accelerator = accelerator = self._accelerator(device)
        """The device that is meant: this machine's or, where it has none of the kind, that of the newest block."""
        self.blocks = [
            MeasuredBlock(record, self._base(record), self._teacher_base(record), short.get(key))
            for key, record in self._all.items()
            if record.environment.get("device") == device and _same_device(record, accelerator)
        ]

    def _accelerator(self, device: str) -> str | None:
        """The device's name here; on a machine without such a device, that of the newest block."""
        here = accelerator_here(device)
        of_device = [record for record in self._all.values() if record.environment.get("device") == device]
        newest = max(of_device, key=lambda record: record.finished, default=None)
        return here if here is not None or newest is None else newest.accelerator

    def _base(self, record: BlockRecord) -> str | None:
        """Content of the base model that a block grew from; earlier versions did not write it down."""
        while record.base is None:
            parent = self._all.get(record.parent)
            if parent is None:
                return record.parent  # a base, or a block that is gone, which no recipe has as its base
            record = parent
        return record.base

    def _teacher_base(self, record: BlockRecord) -> str | None:
        teacher = self._all.get(record.teacher) if record.teacher is not None else None
        return record.teacher if teacher is None else self._base(teacher)

    def of(self, work: Work, *, short: bool = False) -> list[MeasuredBlock]:
        """The blocks of the recipe of a kind of work; with `short`, those of any number of steps."""
        recipe = self.scenario.recipe
        contents = {STUDENT: recipe.student, **recipe.teachers}
        wanted = recipe_of(recipe.stages[work.stage], any_steps=short)
        return [
            block
            for block in self.blocks
            if block.record.stage == work.stage
            and (block.short is not None) == short
            and block.base == contents[work.model]
            and block.teacher_base == (contents[work.teacher] if work.teacher is not None else None)
            and block.record.environment == dict(recipe.environment)
            and recipe_of(block.record.settings, any_steps=short) == wanted
        ]

    def comparable(self) -> list[MeasuredBlock]:
        """Whole blocks of any recipe that an estimate may be scaled from."""
        environment = self.scenario.recipe.environment
        return [
            block
            for block in self.blocks
            if block.short is None
            and all(block.record.environment.get(name) == environment.get(name) for name in COMPARABLE)
        ]

    def workload(self, block: MeasuredBlock) -> Workload | None:
        """The work of a measured block; None where its models' shapes or its tokens are unknown."""
        record = block.record
        trained = self._shapes.get(block.base or "")
        teacher = self._shapes.get(block.teacher_base or "")
        tokens = tokens_of([block])
        if trained is None or (STAGE[record.stage].is_transfer and teacher is None) or tokens is None:
            return None
        try:
            settings = stored_settings(record.stage, record.settings)
        except ValueError:
            return None
        batches = Batches(
            int(record.environment.get("processes", "1")),
            int(record.settings.get("generation_batch", 1)),
            record.environment.get("engine", ""),
        )
        drawn = record.samples_drawn or 0
        if STAGE[record.stage].writer == "teacher":
            drawn = record.sequences or 0
        return workload(record.stage, settings, trained, teacher, tokens, batches, drawn)

    @cached_property
    def _shapes(self) -> dict[str, Shape]:
        """Shapes of base models by content: the scenario's, and those of stored blocks."""
        recipe = self.scenario.recipe
        names = {STUDENT: recipe.student, **recipe.teachers}
        own = {content: self.scenario.shape(name) for name, content in names.items()}
        shapes = {content: shape for content, shape in own.items() if shape is not None}
        for block in self.blocks:
            if block.base is not None and block.base not in shapes and self.store is not None:
                found = shape_in(self.store.model(block.record.key))
                if found is not None:
                    shapes[block.base] = found
        return shapes


def _same_device(record: BlockRecord, accelerator: str | None) -> bool:
    """Whether a block was trained on a device of this model; of a processor without a name, on this host."""
    if names_no_processor(record.accelerator):
        return record.host == platform.node()
    return record.accelerator == accelerator


def tokens_of(blocks: Iterable[MeasuredBlock]) -> float | None:
    """Mean length of the sequences that blocks were trained on, prompts included; None where none says it."""
    counted = [block.record for block in blocks if block.record.tokens and block.record.sequences]
    if not counted:
        return None
    return sum(record.tokens or 0 for record in counted) / sum(record.sequences or 0 for record in counted)


def accelerator_here(device: str) -> str | None:
    """The name of this machine's device of a type; None where it has none."""
    if device != "cpu":
        import torch

        if not torch.cuda.is_available():
            return None
    return accelerator_name(device)
