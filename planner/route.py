"""A route: an allocation compiled to its chain of blocks, each with a key that says what it computes.

A block's key is the SHA-256 of its parent's key and of everything that decides what the block computes, so two routes
that begin alike share the keys of their beginning, and a store that is addressed by key trains the beginning once.
Keys cover content, never names: the same model under another name, or the same labels under other ids or in another
file order, give the same keys.

Nothing is trained or read here: the caller brings the content hashes in a `Recipe`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

from tuition.planner.allocation import Allocation, AllocationError, Checkpoint, TeacherCheckpoint
from tuition.planner.stages import STAGE, STAGES, STUDENT, STUDENT_RL, Role, Stage

KNOWN_BLOCKS = 4096
"""So many compiled blocks a recipe keeps; then it begins anew. Our choice."""


class RecipeError(ValueError):
    """A recipe that cannot be used; the message is one line with the value and the fix."""


@dataclass(frozen=True)
class Label:
    """One problem whose answer has been checked.

    `problem_sha256` is the hash of the problem alone, `content_sha256` of the problem and its answer.
    """

    id: str
    problem_sha256: str
    content_sha256: str


@dataclass(frozen=True)
class Recipe:
    """All of a scenario that decides what a block computes: content hashes and settings.

    Args:
        student: content hash of the base student (weights, tokenizer, chat template).
        teachers: content hash of each base teacher, by its name.
        labels: the scenario's N labels, a multiple of `labels_per_block`, with distinct ids.
        labels_per_block: labels that one label block buys.
        prompts_sha256: content hash of the prompt pool.
        stages: for each stage, its settings that change training, JSON-able, with an integer "revision" that is raised
            whenever the stage's code changes what a block computes.
        environment: device type, dtype, rollout engine.

    Raises:
        RecipeError: when one of these does not hold.
    """

    student: str
    teachers: Mapping[str, str]
    labels: tuple[Label, ...]
    labels_per_block: int
    prompts_sha256: str
    stages: Mapping[str, Mapping[str, Any]]
    environment: Mapping[str, str]

    def __post_init__(self) -> None:
        if reserved := sorted({STUDENT, "none"} & self.teachers.keys()):
            raise RecipeError(f"teacher name {reserved[0]!r} is reserved; rename the teacher")
        if self.labels_per_block < 1:
            raise RecipeError(f"labels_per_block={self.labels_per_block}; it must be at least 1")
        remainder = len(self.labels) % self.labels_per_block
        if remainder:
            raise RecipeError(
                f"{len(self.labels)} labels do not fill blocks of {self.labels_per_block}; drop {remainder} labels or "
                "change labels_per_block"
            )
        if len({label.id for label in self.labels}) < len(self.labels):
            raise RecipeError("two labels have the same id; make the ids distinct")
        for stage, settings in self.stages.items():
            revision = settings.get("revision")
            if type(revision) is not int:
                raise RecipeError(f"stage {stage!r} has revision={revision!r}; give it an integer 'revision'")
            try:
                _canonical_json(dict(settings))
            except (TypeError, ValueError) as error:
                raise RecipeError(f"the settings of stage {stage!r} are not JSON: {error}; use plain values") from error

    @property
    def num_label_blocks(self) -> int:
        """B, the label blocks that a route may buy."""
        return len(self.labels) // self.labels_per_block

    @cached_property
    def label(self) -> Mapping[str, Label]:
        """The labels by id."""
        return {label.id: label for label in self.labels}

    def label_order(self, seed: int) -> tuple[Label, ...]:
        """The labels in the order in which a run with this seed buys them; it depends on content, not on file order."""
        if seed not in self._orders:
            # The id settles the order of labels with equal content; it changes who is named, not what is computed.
            order = sorted(self.labels, key=lambda label: (_sha256(f"{seed}:{label.content_sha256}"), label.id))
            self._orders[seed] = tuple(order)
        return self._orders[seed]

    def block_settings(self, stage: str, merged: int = 1) -> dict[str, Any]:
        """A stage's settings for a block that is `merged` of its blocks in one: as many times the steps."""
        settings = dict(self.stages[stage])
        return settings if merged == 1 else {**settings, "steps": settings["steps"] * merged}

    @cached_property
    def _orders(self) -> dict[int, tuple[Label, ...]]:
        """Orders by seed: to sort 17,000 labels takes longer than all the rest of a route."""
        return {}

    @cached_property
    def known_blocks(self) -> dict[Block, Block]:
        """Blocks that were compiled lately, by what they are without seed and key.

        Routes share their beginnings: of all blocks of a whole search space, few are not among those of another route.
        """
        return {}

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone, for other processes."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Block:
    """One unit of spending, on a chain of blocks.

    Attributes:
        key: SHA-256 of what the block computes; also names the checkpoint that it leaves.
        stage: the stage's name; replay blocks are of stage `STUDENT_RL`.
        index: position in the stage, from 0.
        model: "student", or the name of the teacher that is trained.
        parent: key of the block that it continues, or the content hash of the base that it starts from.
        stage_start: the checkpoint (key or base hash) at the start of the stage: the KL reference.
        teacher: the teacher's checkpoint (key or base hash) for a transfer block, else None.
        pool: ids of the labels that its steps draw from (only their problems, when it is a transfer block); empty means
            the scenario's prompt pool.
        new_labels: ids that this block buys, a part of `pool`; empty for replay and transfer.
        entering: ids of `pool` that the stage's block before did not have; empty for transfer.
        run_seed: seed of the run, shared by the chain.
        seed: seed of this block.
        merged: how many blocks of the allocation it is, with as many steps: more than 1 in an ordinary run only.
        teacher_model: name of the teacher that a transfer block learns from, else None.
    """

    key: str
    stage: str
    index: int
    model: str
    parent: str
    stage_start: str
    teacher: str | None
    pool: tuple[str, ...]
    new_labels: tuple[str, ...]
    run_seed: int
    seed: int
    teacher_model: str | None = None
    merged: int = 1
    entering: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Stage and place in it: "opd[1]"."""
        return f"{self.stage}[{self.index}]"

    @property
    def continues_stage(self) -> bool:
        """Whether the block carries on the optimizer state of its parent."""
        return self.index > 0


@dataclass(frozen=True)
class Route:
    """An allocation compiled for one seed.

    `blocks` are in the order of execution: teacher, transfer, student. `final` is the key of the final student
    checkpoint, or the base student's hash when there is no block. `ordinary`: each label stage is one block.
    """

    allocation: Allocation
    seed: int
    blocks: tuple[Block, ...]
    final: str
    ordinary: bool = False

    @property
    def checkpoint(self) -> Checkpoint:
        """What it ends at: the allocation, or its teacher alone."""
        if self.blocks and STAGE[self.blocks[-1].stage].model == "teacher":
            teacher = TeacherCheckpoint.of(self.allocation)
            assert teacher is not None, f"{self.allocation} trains no teacher"
            return teacher
        return self.allocation

    @property
    def key(self) -> str:
        """Content id of the run: two allocations with one key train the same student."""
        return self.final

    @property
    def labels_trained(self) -> tuple[str, ...]:
        """Distinct ids of the labels that the route buys, in order of purchase (at most N)."""
        return tuple(label_id for block in self.blocks for label_id in block.new_labels)


def derive_seed(*parts: int | str) -> int:
    """A seed below 2**31 that depends on the parts, their types and their order only (SHA-256 of their JSON)."""
    return int(_sha256(_canonical_json(list(parts))), 16) % 2**31


def pool_content(stage: str, pool: Sequence[Label], recipe: Recipe) -> dict[str, Any]:
    """What the steps of a stage's block draw from, as its key covers it: one entry, of content hashes in their order.

    "labels", of problems with answers; "problems", for a transfer on the problems of labels; "prompts_sha256", of the
    scenario's prompt pool.
    """
    if STAGE[stage].buys_labels:
        return {"labels": [label.content_sha256 for label in pool]}
    if pool:
        return {"problems": [label.problem_sha256 for label in pool]}
    return {"prompts_sha256": recipe.prompts_sha256}


def compile_route(allocation: Allocation, recipe: Recipe, seed: int, *, ordinary: bool = False) -> Route:
    """Compile an allocation to its chain of blocks.

    Labels come in `recipe.label_order(seed)`: the teacher takes the first t blocks of them, the student the next s. The
    pool of a block that draws from labels is all that its stage has bought so far; a replay block's also takes in the
    teacher's labels, one slice a block.

    With `ordinary`, each stage that trains on labels is one run, as one trains a model to deploy: a single block that
    shuffles all of its labels from the first step on, of as many steps as its blocks together. Transfer stays in
    blocks, which deal out one stream of prompts and so compute the same.

    Raises:
        AllocationError: when the allocation buys more than there is, or names an unknown teacher or stage.
    """
    return _compiled(allocation, recipe, seed, STAGES, ordinary)


def compile_checkpoint(checkpoint: Checkpoint, recipe: Recipe, seed: int, *, ordinary: bool = False) -> Route:
    """The route to a checkpoint: as `compile_route`, or of a teacher the part that trains it, and ends there."""
    if isinstance(checkpoint, TeacherCheckpoint):
        return _compiled(checkpoint.allocation, recipe, seed, (STAGE[checkpoint.stage],), ordinary)
    return compile_route(checkpoint, recipe, seed, ordinary=ordinary)


def _compiled(allocation: Allocation, recipe: Recipe, seed: int, stages: Sequence[Stage], ordinary: bool) -> Route:
    """The route of an allocation as far as it consists of these stages; it ends at the model of the last."""
    allocation.check_budget(recipe.num_label_blocks)
    if allocation.teacher is not None and allocation.teacher not in recipe.teachers:
        known = ", ".join(sorted(recipe.teachers)) or "none"
        raise AllocationError(f"unknown teacher {allocation.teacher!r}; the scenario has: {known}")
    compiler = _Compiler(allocation, recipe, seed, ordinary)
    for stage in stages:
        compiler.add(stage)
    return Route(allocation, seed, tuple(compiler.blocks), compiler.tips[stages[-1].model], ordinary)


@dataclass(frozen=True)
class _Pool:
    """What a block's steps draw from, and what of it the block buys; of how many blocks it is the sum."""

    labels: Sequence[Label]
    bought: Sequence[Label]
    entering: Sequence[Label] = ()
    merged: int = 1


class _Compiler:
    """Appends the blocks of one stage after the other."""

    def __init__(self, allocation: Allocation, recipe: Recipe, run_seed: int, ordinary: bool) -> None:
        self.allocation, self.recipe, self.run_seed, self.ordinary = allocation, recipe, run_seed, ordinary
        self.blocks: list[Block] = []
        self.tips: dict[Role, str] = {
            "teacher": recipe.teachers[allocation.teacher] if allocation.teacher is not None else "",
            "student": recipe.student,
        }
        """The last checkpoint of each model so far."""
        order, size = recipe.label_order(run_seed), recipe.labels_per_block
        self._slices = [order[start : start + size] for start in range(0, len(order), size)]
        self._num_bought = 0

    def add(self, stage: Stage) -> None:
        """All blocks of a stage."""
        start, teacher = self.tips[stage.model], self.tips["teacher"]
        for index, pool in enumerate(self._label_pools(stage) if stage.buys_labels else self._prompt_pools(stage)):
            sketch = Block(
                key="",
                stage=stage.name,
                index=index,
                model=stage.trained_model(self.allocation.teacher or ""),
                parent=self.tips[stage.model],
                stage_start=start,
                teacher=teacher if stage.is_transfer else None,
                pool=tuple(label.id for label in pool.labels),
                new_labels=tuple(label.id for label in pool.bought),
                run_seed=self.run_seed,
                seed=0,
                teacher_model=self.allocation.teacher if stage.is_transfer else None,
                merged=pool.merged,
                entering=tuple(label.id for label in pool.entering),
            )
            known = self.recipe.known_blocks
            if (block := known.get(sketch)) is None:
                seed = derive_seed(self.run_seed, stage.name, index, teacher)
                if len(known) >= KNOWN_BLOCKS:
                    known.clear()
                block = known[sketch] = self._with_key(replace(sketch, seed=seed), pool.labels)
            self.blocks.append(block)
            self.tips[stage.model] = block.key

    def _label_pools(self, stage: Stage) -> list[_Pool]:
        """The stage's pool as it grows with every block, by what the block buys or by what replay takes up again."""
        first, self._num_bought = self._num_bought, self._num_bought + self.allocation.blocks(stage)
        bought = self._slices[first : self._num_bought]
        # (labels that enter the pool, labels bought) of each block
        purchases: list[tuple[Sequence[Label], Sequence[Label]]] = [(labels, labels) for labels in bought]
        if stage == STUDENT_RL:
            slices = self._teacher_slices
            purchases += [(slices[i] if i < len(slices) else (), ()) for i in range(self.allocation.replay)]
        pools, labels = [], list[Label]()
        for entering, new in purchases:
            labels = [*labels, *entering]
            pools.append(_Pool(labels, new, entering))
        if self.ordinary and pools:
            return [_Pool(labels, [label for new in bought for label in new], labels, len(pools))]
        return pools

    def _prompt_pools(self, stage: Stage) -> list[_Pool]:
        if self.allocation.prompts == "pool":
            pool = _Pool((), ())
        else:
            # A raw teacher has bought no label: its transfer sees all of the scenario's problems, none of the answers.
            problems = [label for labels in self._teacher_slices or self._slices for label in labels]
            pool = _Pool(problems, ())
        return [pool] * self.allocation.blocks(stage)

    @property
    def _teacher_slices(self) -> Sequence[Sequence[Label]]:
        return self._slices[: self.allocation.teacher_label_blocks]

    def _with_key(self, block: Block, pool: Sequence[Label]) -> Block:
        """The block with its key. Ids and names never enter a key."""
        if block.stage not in self.recipe.stages:
            known = ", ".join(sorted(self.recipe.stages)) or "none"
            raise AllocationError(f"the scenario has no settings for stage {block.stage!r}; it has: {known}")
        covered = {
            "parent": block.parent,
            "stage": block.stage,
            "index": block.index,
            "stage_start": block.stage_start,
            "teacher": block.teacher,
            "pool": pool_content(block.stage, pool, self.recipe),
            "settings": self.recipe.block_settings(block.stage, block.merged),
            "environment": dict(self.recipe.environment),
            "seed": block.seed,
        }
        return replace(block, key=_sha256(_canonical_json(covered)))


def _canonical_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
