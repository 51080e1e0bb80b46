"""Why a route's blocks are reused from a store, or not, in the words of the scenario's file.

A block that is not stored is compared with the stored block that is nearest to it: of the same stage, place and model,
with the fewest fields that differ. `stages.opd.steps: 3, was 2` means that the store holds this block for 2 steps.
A block that only descends from one that differs "follows from" it.

Simplified: the seed decides which labels a block buys, so that labels are compared between blocks of one seed only.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from tuition.planner.cost import missing_blocks
from tuition.planner.drift import describe_drift
from tuition.planner.route import Block, Route
from tuition.planner.stages import STUDENT
from tuition.runners.scenarios.recipe_words import in_words
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.store.block_record import BlockRecord, PoolContent
from tuition.runners.store.block_store import BlockStore
from tuition.runners.training.meter import accelerator_name
from tuition.runners.training.versions import library_versions, other_versions

UNKNOWN = "unknown whether they differ"
Status = Literal["stored", "refused", "missing", "not needed"]


@dataclass(frozen=True)
class Explained:
    """Whether a block of a route is reused, and why not.

    Attributes:
        block: the block.
        status: "stored" and used; "refused", stored and not used as it is; "missing", not stored; "not needed", not
            stored, while what descends from it is.
        trained: whether a run trains it now.
        reasons: of what is refused or missing, one line each.
        nearest: key of the stored block that a missing one was compared with.
        origins: names of the blocks that it is missing for: its own, or those that it follows from.
        named: the fields that its reasons and those of its ancestors name.
    """

    block: Block
    status: Status
    trained: bool = False
    reasons: tuple[str, ...] = ()
    nearest: str | None = None
    origins: tuple[str, ...] = ()
    named: frozenset[str] = frozenset()


def explain_route(
    route: Route, scenario: Scenario, store: BlockStore, was_trained: Callable[[str], bool]
) -> list[Explained]:
    """Each block of a route of this scenario, in order. Damaged blocks are moved aside, as in training.

    `was_trained` says of a key whether the results folder's ledger knows that it was trained.
    """
    explainer = _Explainer(route, scenario, store, was_trained)
    for block in route.blocks:
        explainer.found[block.key] = explainer.explain(block)
    return list(explainer.found.values())


class _Explainer:
    def __init__(self, route: Route, scenario: Scenario, store: BlockStore, was_trained: Callable[[str], bool]):
        self.scenario, self.store, self.was_trained = scenario, store, was_trained
        self.recipe = scenario.recipe
        self.bases = {STUDENT: self.recipe.student, **self.recipe.teachers}
        self.missing = {block.key: block for block in missing_blocks(route, store.state)}
        self.stored = {record.key: record for record in store.records()}
        self.found: dict[str, Explained] = {}

    def explain(self, block: Block) -> Explained:
        """One block, after those that it descends from."""
        record = self.store.record(block.key)
        if record is not None:
            reasons = tuple(self._refusals(block, record))
            return Explained(block, "refused" if reasons else "stored", block.key in self.missing, reasons)
        if block.key not in self.missing:
            return Explained(block, "not needed")
        if (loss := self._loss(block.key)) is not None:
            return Explained(block, "missing", True, (loss,), origins=(block.name,))
        return self._compared(block)

    def _refusals(self, block: Block, record: BlockRecord) -> Iterator[str]:
        versions = library_versions(self.scenario)
        if differing := other_versions(record, versions, accelerator_name(self.scenario.device)):
            yield f"trained with {', '.join(differing)}: use another --results folder, or --mix-versions to accept it"
        if block.key in self.missing:
            after = next(b for b in self.missing.values() if b.parent == block.key and b.continues_stage)
            yield f"its optimizer state was dropped, which {after.name} needs to continue: it is trained again"

    def _loss(self, key: str) -> str | None:
        """How a block was lost that was here."""
        if (reason := self.store.set_aside.get(key)) is not None:
            return f"it was damaged and has been moved aside ({reason})"
        if (aside := self.store.damaged_copy(key)) is not None:
            return f"it was damaged and moved aside earlier ({aside.name})"
        return "it was trained here and has since been evicted or removed" if self.was_trained(key) else None

    def _compared(self, block: Block) -> Explained:
        """A missing block, against the stored one that is nearest."""
        above = [self.found[key] for key in (block.parent, block.teacher) if key in self.found]
        named = frozenset[str]().union(*(one.named for one in above))
        nearest = self._nearest(block, {one.nearest for one in above})
        if nearest is None:
            reason = f"no {block.name} of {block.model} is stored"
            return Explained(block, "missing", True, (reason,), origins=(block.name,), named=named)
        record, drift = nearest
        lines = [line for line in drift if _field(line) not in named]
        follows = [one for one in above if one.block.key not in (record.parent, record.teacher)]
        origins = list(dict.fromkeys(origin for one in follows for origin in one.origins))
        if not lines and not origins:
            lines = drift or [f"its record shows no difference, but its key differs ({record.key[:12]}…)"]
        return Explained(
            block,
            "missing",
            True,
            (*lines, *([f"follows from {', '.join(origins)}"] if origins else [])),
            record.key,
            (block.name,) if lines else tuple(origins),
            named | {_field(line) for line in lines},
        )

    def _nearest(self, block: Block, near_above: Collection[str | None]) -> tuple[BlockRecord, list[str]] | None:
        """The stored block that differs in the fewest fields, and these; None when there is none of its kind.

        One of the same seed comes before one of another; among equals one that descends from a block that an ancestor
        was compared with, and then the latest.
        """
        alike = [
            (record, self._drift(block, record))
            for record in self.stored.values()
            if (record.stage, record.index, record.model) == (block.stage, block.index, block.model)
        ]

        def distance(one: tuple[BlockRecord, list[str]]) -> tuple[bool, int, bool, float]:
            record, drift = one
            differing = sum(UNKNOWN not in line for line in drift)
            return record.run_seed != block.run_seed, differing, record.parent not in near_above, -record.finished

        return min(alike, key=distance, default=None)

    def _drift(self, block: Block, record: BlockRecord) -> list[str]:
        """What differs between a block and a stored one of its kind, but for what follows from missing ancestors."""
        now = in_words({block.stage: self.recipe.stages[block.stage]}, self.recipe.environment)
        was = in_words({record.stage: record.settings}, record.environment)
        lines = describe_drift({**now, "seed": block.run_seed}, {**was, "seed": record.run_seed})
        return [*lines, *self._ancestry(block, record), *self._pool(block, record)]

    def _ancestry(self, block: Block, record: BlockRecord) -> Iterator[str]:
        base = self.bases[block.model]
        if record.base is not None and record.base != base:
            field = STUDENT if block.model == STUDENT else f"teachers.{block.model}"
            lora = self.scenario.source(block.model).lora
            adapter = describe_drift(
                {f"{field}.lora": lora.model_dump(mode="json") if lora else {}}, {f"{field}.lora": record.lora}
            )
            if record.lora is not None and adapter:
                yield from adapter
            else:
                hashes = f"{base[:12]}…, was {record.base[:12]}…"
                yield f"{field}: other weights, tokenizer, generation_config.json or adapter ({hashes})"
            if block.parent == base and record.parent == record.base:
                return
        if block.parent != record.parent and not self._is_missing(block.parent):
            yield f"starts from: {self._named(block.parent)}, was {self._named(record.parent)}"
        if block.teacher != record.teacher and not self._is_missing(block.teacher):
            yield f"teacher: {self._named(block.teacher)}, was {self._named(record.teacher)}"

    def _is_missing(self, reference: str | None) -> bool:
        return reference in self.found and bool(self.found[reference].origins)

    def _pool(self, block: Block, record: BlockRecord) -> Iterator[str]:
        bought = len(block.new_labels)
        if bought != record.labels_new:
            name = "labels_per_block" if bought and record.labels_new else "labels bought"
            yield f"{name}: {bought}, was {record.labels_new}"
            return  # the pool is larger or smaller for it
        now, was = PoolContent.of(block, self.recipe), record.pool
        same_draw = now.kind == "prompts" or block.run_seed == record.run_seed
        name = "prompts" if now.kind == "prompts" else "labels"
        if was is None and len(block.pool) == record.labels_pool:
            if same_draw:
                yield f"{name}: {UNKNOWN}, because its record has format 1"
        elif was is not None and was.kind != now.kind:
            yield f"prompts: {now.kind}, was {was.kind}"
        elif len(block.pool) != record.labels_pool:
            yield f"{name}: {len(block.pool)}, was {record.labels_pool}"
        elif was is not None and was.sha256 != now.sha256 and same_draw:
            yield (
                f"prompts: different ones ({now.sha256[:12]}…, was {was.sha256[:12]}…)"
                if now.count is None
                else (f"labels: {now.count} different ones")
            )

    def _named(self, reference: str | None) -> str:
        """A checkpoint by name: a base model of the scenario, or a stored block."""
        if reference is None:
            return "none"
        names = {content: name for name, content in self.bases.items()}
        names |= {key: record.name for key, record in self.stored.items()}
        names |= {key: one.block.name for key, one in self.found.items()}
        return f"{names.get(reference, 'not in the store')} ({reference[:12]}…)"


def _field(line: str) -> str:
    """The field that a line is about: "stages.opd.steps" of "stages.opd.steps: 3, was 2"."""
    return line.partition(":")[0]
