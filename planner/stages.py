"""The stages: what each trains, on what, and by which objective. The one place that says what a stage is.

A stage is a row of `STAGES`. Everything else asks the table instead of naming stages: how routes are compiled, what a
block needs and costs, what tables say. A new stage is a row here, a block count in `tuition.planner.allocation`, and a
field in `tuition.runners.scenarios.settings` (None by default, so that scenarios without it stay what they are). One
with a new objective also needs a trainer in `runners/training/stages`. Its golden curves are pinned by `python -m
tests.runners.training.pin_golden_curves`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Role = Literal["teacher", "student"]
Objective = Literal["grpo", "sft", "forward_kl", "reverse_kl"]
Writer = Literal["trained", "start", "teacher"]

STUDENT = "student"
"""Name of the student wherever models are named; teachers have the names that their scenario gives them."""


@dataclass(frozen=True)
class Stage:
    """What a stage is.

    Attributes:
        name: as in scenarios, allocations and records.
        title: for people, in a few words.
        model: who is trained. A route trains its teacher in one stage at most.
        objective: what is minimised; each has one trainer.
        draws_from: "labels", which its blocks buy, or "prompts", problems without answers, which cost none.
        writer: whose completions it trains on: the trained model's own, drawn while it trains ("trained"); those of the
            checkpoint at the stage's start, drawn before ("start"); the teacher's, drawn before and cached ("teacher").
        revision: part of the key of every block of the stage. Raise it by one whenever code changes what a block
            computes, which trains its blocks again; a golden test of each stage's curves catches a forgotten raise.
    """

    name: str
    title: str
    model: Role
    objective: Objective
    draws_from: Literal["labels", "prompts"]
    writer: Writer
    revision: int

    @property
    def buys_labels(self) -> bool:
        """Whether its blocks buy labels."""
        return self.draws_from == "labels"

    @property
    def is_transfer(self) -> bool:
        """Whether it carries over to the student what a teacher knows."""
        return self.draws_from == "prompts"

    @property
    def is_dense(self) -> bool:
        """Whether it needs the teacher's distribution over tokens: a part of the bridge."""
        return self.objective in ("forward_kl", "reverse_kl")

    @property
    def is_rl(self) -> bool:
        """Whether its signal is a reward."""
        return self.objective == "grpo"

    @property
    def generates(self) -> bool:
        """Whether the trained model draws completions while it trains."""
        return self.writer == "trained"

    def trained_model(self, teacher: str) -> str:
        """Name of the model that it trains in a route with this teacher."""
        return STUDENT if self.model == "student" else teacher


STAGES: tuple[Stage, ...] = (
    Stage("teacher_rl", "GRPO on the teacher", "teacher", "grpo", "labels", "trained", 1),
    Stage("teacher_sft", "SFT of the teacher on its own correct samples", "teacher", "sft", "labels", "start", 1),
    Stage("warmup", "forward KL on teacher rollouts", "student", "forward_kl", "prompts", "teacher", 2),
    Stage("opd", "reverse KL on student rollouts", "student", "reverse_kl", "prompts", "trained", 2),
    Stage("transfer_sft", "SFT on teacher samples", "student", "sft", "prompts", "teacher", 2),
    Stage("student_rl", "GRPO on the student", "student", "grpo", "labels", "trained", 1),
)
"""All stages, in the order in which a route runs them."""

STAGE: dict[str, Stage] = {stage.name: stage for stage in STAGES}
"""Stages by name."""

LABEL_STAGES = tuple(stage for stage in STAGES if stage.buys_labels)
TEACHER_STAGES = tuple(stage for stage in STAGES if stage.model == "teacher")
STUDENT_STAGES = tuple(stage for stage in STAGES if stage.model == "student")
TRANSFER_STAGES = tuple(stage for stage in STAGES if stage.is_transfer)
"""The stages between teacher and student, in the order in which a route runs them."""
BRIDGE = tuple(stage for stage in STAGES if stage.is_dense)
"""The transfer stages that compare the student's distribution over tokens with the teacher's."""
STUDENT_RL = STAGE["student_rl"]
"""The stage that buys labels for the student; replay blocks are blocks of it."""


def listed(stages: Iterable[Stage], conjunction: str = "and") -> str:
    """Names of stages within a sentence: "warmup, opd or transfer_sft"."""
    *first, last = (stage.name for stage in stages)
    return f"{', '.join(first)} {conjunction} {last}" if first else last
