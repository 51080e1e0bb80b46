"""An allocation: which teacher, and how many blocks each stage gets.

An allocation is a row of block counts and nothing else: it does not know how many labels a block holds, what a block
trains or what it costs (see `tuition.planner.route` and `tuition.planner.cost`). Every route of the paper, and every
control, is one such row (`named_allocations`). It is written and read as one line of text:

    teacher=big teacher_rl=4 warmup=1 opd=2 student_rl=2
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tuition.planner.error_lines import all_complaints
from tuition.planner.stages import (
    LABEL_STAGES,
    STUDENT_RL,
    STUDENT_STAGES,
    TEACHER_STAGES,
    TRANSFER_STAGES,
    Stage,
    listed,
)

MAX_BLOCKS = 10_000  # our choice: a slip of the keyboard must not compile a route that fills the memory

Blocks = Annotated[int, Field(strict=True, ge=0, le=MAX_BLOCKS)]

BASE = "base"


class AllocationError(ValueError):
    """An allocation that cannot be meant; the message is one line with the value and the fix."""


class Allocation(BaseModel):
    """How many blocks each stage gets, and from which teacher. All counts are blocks, integers of at least 0.

    The all-zero allocation is the base student as it is, written `base`. `teacher="none"` is read as None.

    Raises:
        AllocationError: on construction, for a wrong type, an unknown field or a combination that makes no sense.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    teacher: str | None = Field(default=None, description="name of the teacher in the scenario")
    # One count for each row of `tuition.planner.stages`, in its order, which is also that of the text.
    teacher_rl: Blocks = 0
    teacher_sft: Blocks = 0
    warmup: Blocks = 0
    opd: Blocks = 0
    transfer_sft: Blocks = 0
    student_rl: Blocks = 0
    replay: Blocks = Field(default=0, description="GRPO blocks on the student, on labels already paid for")
    prompts: Literal["pool", "labels"] = Field(
        default="pool", description="transfer prompts: the scenario's prompt pool, or the teacher's label problems"
    )

    def __init__(self, /, **fields: Any) -> None:
        # One exception type for a wrong type and for a wrong combination, and one line instead of pydantic's several.
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise AllocationError(all_complaints(error, type(self).model_fields)) from None

    @field_validator("teacher")
    @classmethod
    def _teacher_is_one_word(cls, teacher: str | None) -> str | None:
        if teacher is None or teacher == "none":
            return None
        if not re.fullmatch(r"[^\s=]+", teacher):
            raise ValueError(f"teacher {teacher!r} must be one word without '='; rename it in the scenario")
        return teacher

    @model_validator(mode="after")
    def _combination_makes_sense(self) -> Allocation:
        transfer_blocks = self.transfer_blocks
        if self.teacher is None and self.teacher_label_blocks + transfer_blocks > 0:
            raise ValueError(
                f"teacher=none with {self.teacher_label_blocks} teacher and {transfer_blocks} transfer blocks; "
                "name a teacher or set them to 0"
            )
        if self.teacher is not None and transfer_blocks == 0:
            raise ValueError(
                f"teacher={self.teacher} without a transfer block, so the student would learn nothing from it; "
                f"set {listed(TRANSFER_STAGES, 'or')}, or drop the teacher"
            )
        trained = [stage for stage in TEACHER_STAGES if self.blocks(stage)]
        if len(trained) > 1:
            raise ValueError(f"{self._counted(trained, ' and ')}; set at most one of these")
        bridge = [stage for stage in TRANSFER_STAGES if stage.is_dense and self.blocks(stage)]
        hard = [stage for stage in TRANSFER_STAGES if not stage.is_dense and self.blocks(stage)]
        if bridge and hard:
            raise ValueError(
                f"{self._counted(hard)} with the bridge {self._counted(bridge)}; set {listed(hard, 'or')} or the "
                "bridge, not both"
            )
        if self.replay > 0 and self.label_blocks == 0:
            raise ValueError(f"replay={self.replay} but no label is paid for; set {listed(LABEL_STAGES, 'or')}")
        if self.prompts == "labels" and transfer_blocks == 0:
            raise ValueError(
                f"prompts=labels without a transfer block; set {listed(TRANSFER_STAGES, 'or')}, or drop it"
            )
        return self

    def _counted(self, stages: Iterable[Stage], between: str = " ") -> str:
        return between.join(f"{stage.name}={self.blocks(stage)}" for stage in stages)

    @classmethod
    def parse(cls, text: str) -> Allocation:
        """Read an allocation from its one-line text; the inverse of `str`.

        Raises:
            AllocationError: for a word that is not `name=value`, an unknown or repeated name or a wrong value.
        """
        words = text.split()
        if words == [BASE]:
            return cls()
        fields: dict[str, Any] = {}
        for word in words:
            name, equals, value = word.partition("=")
            if not equals or not value:
                raise AllocationError(f"{word!r} is not name=value; allowed names: {', '.join(cls.model_fields)}")
            if name in fields:
                raise AllocationError(f"{name!r} is given twice in {text!r}; give it once")
            fields[name] = int(value) if re.fullmatch(r"-?[0-9]{1,20}", value) and name != "teacher" else value
        if not fields:
            raise AllocationError(f"{text!r} sets no field; write {BASE!r} for the untrained student")
        return cls(**fields)

    def __str__(self) -> str:
        words = [
            f"{name}={value}"
            for name, field in type(self).model_fields.items()
            if (value := self.__dict__[name]) != field.default
        ]
        return " ".join(words) or BASE

    @property
    def id(self) -> str:
        """First 10 hexadecimal digits of the SHA-256 of the canonical text: a short name for tables and files."""
        return short_id(str(self))

    def blocks(self, stage: Stage) -> int:
        """Blocks of a stage; those of replay are counted apart."""
        count: int = getattr(self, stage.name)
        return count

    @property
    def teacher_stage(self) -> Stage | None:
        """The stage that trains the teacher; None for a raw teacher, and for none."""
        return next((stage for stage in TEACHER_STAGES if self.blocks(stage)), None)

    @property
    def transfer_blocks(self) -> int:
        """Blocks between teacher and student."""
        return sum(map(self.blocks, TRANSFER_STAGES))

    @property
    def label_blocks(self) -> int:
        """Label blocks that the whole route buys (t + s)."""
        return sum(map(self.blocks, LABEL_STAGES))

    @property
    def teacher_label_blocks(self) -> int:
        """Label blocks that the teacher buys (t)."""
        return sum(map(self.blocks, TEACHER_STAGES))

    @property
    def student_label_blocks(self) -> int:
        """Label blocks that the student buys (s)."""
        return self.label_blocks - self.teacher_label_blocks

    def checkpoints(self) -> list[Checkpoint]:
        """What its route passes, block by block: its teacher's checkpoints, then the student's; the last is its own."""
        passed: list[Checkpoint] = []
        teacher = TeacherCheckpoint.of(self)
        if teacher is not None:
            passed += [teacher.model_copy(update={"blocks": number}) for number in range(1, teacher.blocks + 1)]
        prepared = {stage.name for stage in TEACHER_STAGES} | {"teacher", "prompts"}
        counts = {name: value if name in prepared else 0 for name, value in self.model_dump().items()}
        for name in [*(stage.name for stage in STUDENT_STAGES), "replay"]:
            for number in range(1, getattr(self, name) + 1):
                counts[name] = number
                passed.append(Allocation(**counts))
        return passed

    def check_budget(self, num_label_blocks: int) -> None:
        """Refuse an allocation that buys more than the scenario's `num_label_blocks`.

        Raises:
            AllocationError: when it does, with the numbers.
        """
        if self.label_blocks > num_label_blocks:
            raise AllocationError(
                f"{self} asks for {self.label_blocks} label blocks ({self.teacher_label_blocks} teacher + "
                f"{self.student_label_blocks} student) but the scenario has {num_label_blocks}; lower one of the two"
            )


class TeacherCheckpoint(BaseModel):
    """A teacher after some blocks of one of its stages: what routes pass on the way, and no student to deploy.

    Written as an allocation that stops there: `teacher=big teacher_rl=3`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    teacher: str
    stage: str
    blocks: int = Field(strict=True, ge=1, le=MAX_BLOCKS)

    @classmethod
    def of(cls, allocation: Allocation) -> TeacherCheckpoint | None:
        """The teacher that an allocation's transfer starts from; None for a raw one, and for none."""
        stage = allocation.teacher_stage
        if allocation.teacher is None or stage is None:
            return None
        return cls(teacher=allocation.teacher, stage=stage.name, blocks=allocation.blocks(stage))

    def __str__(self) -> str:
        return f"teacher={self.teacher} {self.stage}={self.blocks}"

    @property
    def id(self) -> str:
        """As `Allocation.id`."""
        return short_id(str(self))

    @property
    def allocation(self) -> Allocation:
        """The shortest allocation that passes it."""
        transfer = TRANSFER_STAGES[-1].name
        return Allocation(**{"teacher": self.teacher, self.stage: self.blocks, transfer: 1})


Checkpoint = Allocation | TeacherCheckpoint
"""What a table records: a student after an allocation's blocks, or a teacher."""


def parse_checkpoint(text: str) -> Checkpoint:
    """The inverse of `str` of either. AllocationError as `Allocation.parse`."""
    stages = "|".join(stage.name for stage in TEACHER_STAGES)
    found = re.fullmatch(rf"teacher=([^\s=]+) ({stages})=([1-9][0-9]{{0,3}})", text)
    if found is None or found[1] == "none":
        return Allocation.parse(text)
    return TeacherCheckpoint(teacher=found[1], stage=found[2], blocks=int(found[3]))


def short_id(text: str) -> str:
    """First 10 hexadecimal digits of a text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def replay_control(allocation: Allocation) -> Allocation:
    """The control for new labels against extra updates: the same route with `student_rl=s` replaced by `replay=s`.

    Its replay pool grows over the teacher's labels, block by block, with no growth past t; only s <= t is the paper's
    control (R7 against R5-half).

    Raises:
        AllocationError: when the teacher or the student buys no label, or the allocation has replay blocks already.
    """
    teacher_blocks, student_blocks = allocation.teacher_label_blocks, allocation.student_rl
    if teacher_blocks == 0 or student_blocks == 0:
        raise AllocationError(
            f"{allocation} has no replay control: it needs label blocks for both teacher and student, but has "
            f"{teacher_blocks} teacher + {student_blocks} student"
        )
    if allocation.replay > 0:
        raise AllocationError(f"{allocation} has replay={allocation.replay} already; set replay=0")
    return Allocation(**{**allocation.model_dump(), STUDENT_RL.name: 0, "replay": student_blocks})


def named_allocations(teacher: str, num_label_blocks: int, warmup: int, opd: int) -> dict[str, Allocation]:
    """The paper's routes (arXiv 2605.12483, Table 1) and the raw teacher, as rows of block counts.

    With B = num_label_blocks, t = B // 2 ("1H") and s = B - t ("2H"); empty cells are 0:

    | name    | teacher_rl | teacher_sft | warmup | opd          | transfer_sft | student_rl | replay |
    |---------|------------|-------------|--------|--------------|--------------|------------|--------|
    | R1      |            |             |        |              |              | B          |        |
    | R2      | t          |             |        |              | warmup + opd | s          |        |
    | R3-full | B          |             | warmup | opd          |              |            |        |
    | R5-half | t          |             | warmup | opd          |              | s          |        |
    | R6      |            | t           | warmup | opd          |              | s          |        |
    | R7      | t          |             | warmup | opd          |              |            | s      |
    | R8      | t          |             |        | warmup + opd |              | s          |        |
    | raw     |            |             | warmup | opd          |              |            |        |

    Wherever there is a transfer its prompts are the label problems, as in the paper. The paper does not print the
    length of the transfer in R2 and R8: as many blocks as the bridge (update-matched) is our choice.

    Args:
        teacher: name of the teacher in the scenario.
        num_label_blocks: the scenario's label blocks, at least 2 so that they can be halved.
        warmup: blocks of the bridge's warmup.
        opd: blocks of the bridge's opd.

    Raises:
        AllocationError: when there are fewer than 2 label blocks, or no bridge.
    """
    if num_label_blocks < 2:
        raise AllocationError(f"{num_label_blocks} label blocks cannot be halved; give at least 2")
    half = num_label_blocks // 2
    rest = num_label_blocks - half
    transferred: dict[str, Any] = {"teacher": teacher, "prompts": "labels"}
    bridged = dict(**transferred, warmup=warmup, opd=opd)
    r5_half = Allocation(**bridged, teacher_rl=half, student_rl=rest)
    return {
        "R1": Allocation(student_rl=num_label_blocks),
        "R2": Allocation(**transferred, teacher_rl=half, transfer_sft=warmup + opd, student_rl=rest),
        "R3-full": Allocation(**bridged, teacher_rl=num_label_blocks),
        "R5-half": r5_half,
        "R6": Allocation(**bridged, teacher_sft=half, student_rl=rest),
        "R7": replay_control(r5_half),
        "R8": Allocation(**transferred, teacher_rl=half, opd=warmup + opd, student_rl=rest),
        "raw": Allocation(**bridged),
    }
