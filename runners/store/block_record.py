"""A block's record: what was computed, from what, by which versions and at what cost. Its type, reader and writer.

A record is `record.json` in a block's folder, written last. It keeps all that the block's key covers, so that a block
that is not reused can be compared with what is wanted field by field (`tuition.planner.drift`); of the pool's content,
which may be 17,000 hashes, only their number and one hash over them.

Format 1, which has no `pool`, is read as well. Fields with defaults were not written by every version.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tuition.benchmarks.artefacts import refuse_newer
from tuition.benchmarks.one_line import first_complaint
from tuition.benchmarks.scoring.effective_decoding import EffectiveDecoding
from tuition.planner.cost import Price, charge
from tuition.planner.route import Block, Recipe, pool_content

FORMAT = 2
CHECKSUM = "record_sha256"  # blocks of before it was introduced have none

Key = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RolloutsUsed(_Stored):
    """The rollouts that a block trained on, a separate artefact, and what drawing them cost."""

    key: Key
    gpu_seconds: Seconds
    gpu_seconds_used: Seconds | None = None


class PoolContent(_Stored):
    """What a block's steps draw from: labels, the problems of labels, or the scenario's prompt pool.

    `sha256` is over the content hashes in their order; `count` is not known of the prompt pool.
    """

    kind: Literal["labels", "problems", "prompts"]
    count: Count | None
    sha256: Key

    @classmethod
    def of(cls, block: Block, recipe: Recipe) -> Self:
        """The content of a block's pool."""
        pool = [recipe.label[label_id] for label_id in block.pool]
        ((kind, content),) = pool_content(block.stage, pool, recipe).items()
        if kind == "prompts_sha256":
            return cls(kind="prompts", count=None, sha256=content)
        sha256 = hashlib.sha256(json.dumps(content).encode()).hexdigest()
        return cls(kind=kind, count=len(content), sha256=sha256)


class Draws(_Stored):
    """How often rows hold the items of a pool: labels, or the prompts of a transfer.

    `never`, `once`, `twice` and `more` are items. `passes` is how often rows hold an item of each label block of the
    pool on average, in the order in which the blocks were bought; one number for prompts.
    """

    never: Count
    once: Count
    twice: Count
    more: Count
    passes: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...]

    @property
    def items(self) -> int:
        """Items of the pool."""
        return self.never + self.once + self.twice + self.more


class BlockRecord(_Stored):
    """The record of one block.

    Attributes:
        key: the block's.
        stage, index, model: what it is a block of: "opd", its place there from 0, "student" or a teacher's name.
        base: content hash of the base model that it grew from.
        lora: settings of the adapter that is trained, {} without one; None where an earlier version did not say.
        parent, teacher, stage_start: keys of blocks or content hashes of base models.
        parent_weights_sha256, teacher_weights_sha256: their weights when the block was trained.
        run_seed, seed: of the run, and of the block.
        settings, environment: of the recipe, as the key covers them.
        pool: what its steps draw from; None in format 1.
        labels_new, labels_pool: labels that it bought, and that it could draw from.
        labels_filtered: labels that its filter left out.
        draws: how often the block's rows hold each label or prompt of its pool; None where an earlier version did not
            count.
        samples_drawn, samples_kept: of rejection sampling and of filters.
        prompts: prompts drawn, repeats counted.
        tokens: seen in training.
        decoding: how its completions were drawn, while it trained or before; None where it has none, or was not said.
        truncated_share: of the completions that it trained on, those that ran into the limit; None of SFT.
        groups, groups_zero_variance: of GRPO, and those without variance, from which nothing is learnt.
        gpu_seconds: reserved device time without rollouts; `seconds` is wall time with them.
        gpu_seconds_used: device time of training steps, of all processes; on a CPU all processor time. None where an
            earlier version did not say.
        rollouts_made: whether this block drew its rollouts; else they were there already.
        finished: when, in seconds since 1970.
        files: SHA-256 of every other file in the block's folder, by relative path.
    """

    format: int = Field(FORMAT, ge=1, le=FORMAT)
    key: Key
    stage: str
    index: Count
    model: str
    base: str | None = None
    lora: dict[str, Any] | None = None
    parent: Key
    parent_weights_sha256: str
    stage_start: Key
    teacher: Key | None = None
    teacher_weights_sha256: str | None = None
    run_seed: int
    seed: int
    settings: dict[str, Any]
    environment: dict[str, str]
    pool: PoolContent | None = None
    weights_sha256: str
    versions: dict[str, str]
    accelerator: str
    host: str
    python: str
    divergence: str | None = None
    decoding: EffectiveDecoding | None = None
    truncated_share: float | None = Field(None, ge=0, le=1)
    labels_new: Count
    labels_pool: Count
    labels_filtered: Count | None = None
    draws: Draws | None = None
    samples_drawn: Count | None = None
    samples_kept: Count | None = None
    prompts: Count | None = None
    sequences: Count | None = None
    steps: Count
    tokens: Count | None = None
    groups: Count | None = None
    groups_zero_variance: Count | None = None
    gpu_seconds: Seconds
    gpu_seconds_used: Seconds | None = None
    seconds: Seconds
    peak_memory_bytes: Count
    rollouts: RolloutsUsed | None = None
    rollouts_made: bool = False
    finished: float = Field(allow_inf_nan=False)
    files: dict[str, str] = {}

    @property
    def name(self) -> str:
        """Stage and place in it: "opd[1]"."""
        return f"{self.stage}[{self.index}]"

    @property
    def price(self) -> Price:
        """What it cost."""
        if self.rollouts is None:
            return Price(self.gpu_seconds)
        return Price(self.gpu_seconds, self.rollouts.key, self.rollouts.gpu_seconds)

    @property
    def used(self) -> Price | None:
        """As `price`, of what was used of the devices; None where a part of it is not known."""
        if self.gpu_seconds_used is None:
            return None
        if self.rollouts is None:
            return Price(self.gpu_seconds_used)
        drawn = self.rollouts.gpu_seconds_used
        return None if drawn is None else Price(self.gpu_seconds_used, self.rollouts.key, drawn)

    @field_validator("files")
    @classmethod
    def _inside(cls, files: dict[str, str]) -> dict[str, str]:
        for name in files:
            if name.startswith("/") or ".." in name.split("/") or "\0" in name:
                raise ValueError(f"file {name[:80]!r} lies outside of the block")
        return files

    @model_validator(mode="after")
    def _knows_its_teacher(self) -> Self:
        if self.teacher is not None and self.teacher_weights_sha256 is None:
            raise ValueError("it has a teacher but no teacher_weights_sha256")
        return self


def charge_used(blocks: Iterable[Price | None]) -> list[float | None]:
    """What each block of a route used of the devices, rollouts counted once; None for all where one is not known."""
    prices = list(blocks)
    known = [price for price in prices if price is not None]
    return list(charge(known)) if len(known) == len(prices) else [None] * len(prices)


def read_record(content: bytes, key: str) -> BlockRecord:
    """The record of block `key` from its file's content.

    Raises:
        RecordFormatError: a newer version wrote it.
        ValueError: it is damaged, or another block's; the message is the reason, on one line.
    """
    try:
        record = BlockRecord.model_validate_json(content)
    except ValidationError as error:
        refuse_newer(content, FORMAT)
        raise ValueError(first_complaint(error)) from None
    if record.key != key:
        raise ValueError(f"it belongs to another block, {record.key!r}")
    return record


def is_intact(content: bytes) -> bool:
    """Whether a record that could be read matches its own checksum, if it has one."""
    document = json.loads(content)
    return bool(document.get(CHECKSUM, _checksum(document)) == _checksum(document))


def record_text(record: BlockRecord) -> str:
    """The content of a record's file."""
    document = record.model_dump(mode="json")
    return json.dumps({**document, CHECKSUM: _checksum(document)}, indent=1, sort_keys=True)


def _checksum(document: dict[str, Any]) -> str:
    """SHA-256 of a record without its checksum."""
    content = {name: value for name, value in document.items() if name != CHECKSUM}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
