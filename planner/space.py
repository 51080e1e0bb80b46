"""The search space: allocations as a fixed set of Optuna parameters, and back.

A proposal is decoded so that most proposals can be trained: the number of label blocks spent and the share of them that
goes upstream are two parameters, so no proposal is over budget, and everything about the transfer is ignored where
there is no teacher. The one infeasible proposal left is a teacher without a transfer block; it is pruned, never
trained.

Simplified: every proposal buys at least one label block, so the base student as it is and the raw-teacher bridge alone
are not in the space (they are baselines).
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tuition.planner.allocation import Allocation
from tuition.planner.error_lines import all_complaints
from tuition.planner.stages import Stage

NO_TEACHER = "none"
MOST_PROPOSALS = 1_000_000
"""The most that are listed, which takes seconds. Our choice: spaces that people train have thousands."""


class SpaceError(ValueError):
    """A search space that cannot be, or an allocation that is not in it; one line with the value and the fix."""


class SearchSpace(BaseModel):
    """Which allocations a study may propose.

    The parameters are, in this order, without those that have a single choice:

    | parameter    | values                | meaning                                                             |
    |--------------|-----------------------|---------------------------------------------------------------------|
    | teacher      | "none" and `teachers` | "none": every label goes to the student, and there is no transfer   |
    | label_blocks | 1 .. B                | label blocks spent                                                  |
    | upstream     | 0 .. B                | the teacher's share in B-ths (see below)                            |
    | warmup       | 0 .. `max_warmup`     | warmup blocks                                                       |
    | opd          | 0 .. `max_opd`        | opd blocks                                                          |
    | replay       | 0 .. `max_replay`     | replay blocks                                                       |
    | prepare      | `prepare`             | what the teacher's label blocks are: GRPO or SFT                    |
    | transfer     | `transfer`            | bridge, or SFT on teacher samples for warmup + opd blocks           |

    B is `num_label_blocks`; the teacher gets round_half_up(label_blocks * upstream / B) blocks, the student the rest.
    Where only one of warmup and opd is allowed, it starts at 1.

    Raises:
        SpaceError: on construction, for a wrong type, an unknown field or teachers without any transfer block.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    teachers: tuple[str, ...]
    num_label_blocks: int = Field(strict=True, ge=1)
    max_warmup: int = Field(strict=True, ge=0)
    max_opd: int = Field(strict=True, ge=0)
    max_replay: int = Field(default=0, strict=True, ge=0)
    prepare: tuple[Literal["rl", "sft"], ...] = Field(default=("rl",), min_length=1)
    transfer: tuple[Literal["bridge", "sft"], ...] = Field(default=("bridge",), min_length=1)
    prompts: Literal["pool", "labels"] = "pool"

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise SpaceError(all_complaints(error, type(self).model_fields)) from None

    @model_validator(mode="after")
    def _choices_make_sense(self) -> SearchSpace:
        for name, choices in (("teachers", self.teachers), ("prepare", self.prepare), ("transfer", self.transfer)):
            if len(set(choices)) < len(choices):
                raise ValueError(f"{name}={choices} has a choice twice; list it once")
        if NO_TEACHER in self.teachers:
            raise ValueError(f"teachers={self.teachers}: {NO_TEACHER!r} is always a choice; leave it out")
        if self.teachers and self.max_warmup + self.max_opd == 0:
            raise ValueError(f"teachers={self.teachers} without any transfer block; raise max_warmup or max_opd")
        return self

    def distributions(self) -> dict[str, BaseDistribution]:
        """The parameters in their fixed order, without those that have a single choice."""
        num_label_blocks = self.num_label_blocks
        parameters: dict[str, BaseDistribution] = {"label_blocks": IntDistribution(1, num_label_blocks)}
        if self.teachers:
            parameters = {
                "teacher": CategoricalDistribution((NO_TEACHER, *self.teachers)),
                **parameters,
                "upstream": IntDistribution(0, num_label_blocks),
                "warmup": IntDistribution(self._least_warmup, self.max_warmup),
                "opd": IntDistribution(self._least_opd, self.max_opd),
            }
        parameters["replay"] = IntDistribution(0, self.max_replay)
        if self.teachers:
            parameters["prepare"] = CategoricalDistribution(self.prepare)
            parameters["transfer"] = CategoricalDistribution(self.transfer)
        return {name: distribution for name, distribution in parameters.items() if not distribution.single()}

    @property
    def _least_warmup(self) -> int:
        """1 where warmup is the only kind of transfer block, so that no proposal is without one."""
        return 1 if self.max_opd == 0 and self.max_warmup > 0 else 0

    @property
    def _least_opd(self) -> int:
        return 1 if self.max_warmup == 0 and self.max_opd > 0 else 0

    def most_blocks(self, stage: Stage) -> int:
        """The most blocks of a stage that an allocation of this space can have."""
        if stage.buys_labels:
            return self.num_label_blocks
        bridge = dict(warmup=self.max_warmup, opd=self.max_opd)
        return bridge.get(stage.name, 0) if stage.is_dense else sum(bridge.values())

    def suggest(self, trial: optuna.trial.BaseTrial) -> Allocation:
        """Ask the trial for every parameter and decode them.

        Raises:
            optuna.TrialPruned: for an infeasible proposal, after the constraint "transfer_blocks" is set above 0
                (Optuna takes a trial without a constraint above 0 for feasible).
        """
        params: dict[str, Any] = {}
        for name, distribution in self.distributions().items():
            if isinstance(distribution, IntDistribution):
                params[name] = trial.suggest_int(name, distribution.low, distribution.high)
            elif isinstance(distribution, CategoricalDistribution):
                params[name] = trial.suggest_categorical(name, distribution.choices)
        allocation = self.decode(params)
        if allocation is None:
            trial.set_constraint("transfer_blocks", 1.0)
            raise optuna.TrialPruned(f"infeasible: teacher={params.get('teacher')} without a transfer block")
        return allocation

    def decode(self, params: Mapping[str, Any]) -> Allocation | None:
        """The allocation that the parameters mean; None when it is infeasible (a teacher without a transfer block)."""
        label_blocks: int = params.get("label_blocks", 1)  # a dropped parameter has its single choice
        replay: int = params.get("replay", 0)
        teacher: str = params.get("teacher", NO_TEACHER)
        if teacher == NO_TEACHER:
            return Allocation(student_rl=label_blocks, replay=replay)
        warmup: int = params.get("warmup", self._least_warmup)
        opd: int = params.get("opd", self._least_opd)
        if warmup + opd == 0:
            return None
        upstream: int = params["upstream"]
        teacher_blocks = (2 * label_blocks * upstream + self.num_label_blocks) // (2 * self.num_label_blocks)
        prepared, transferred = dict(teacher_rl=teacher_blocks), dict(warmup=warmup, opd=opd)
        if params.get("prepare", self.prepare[0]) == "sft":
            prepared = dict(teacher_sft=teacher_blocks)
        if params.get("transfer", self.transfer[0]) == "sft":
            transferred = dict(transfer_sft=warmup + opd)
        return Allocation(
            teacher=teacher,
            student_rl=label_blocks - teacher_blocks,
            replay=replay,
            prompts=self.prompts,
            **prepared,
            **transferred,
        )

    def holds(self, allocation: Allocation) -> bool:
        """Whether the allocation may be proposed; controls may not."""
        try:
            self.params_of(allocation)
        except SpaceError:
            return False
        return True

    def params_of(self, allocation: Allocation) -> dict[str, Any]:
        """Parameters that decode to the allocation, so that it can be enqueued.

        Raises:
            SpaceError: when no parameters of this space do.
        """
        warmup, opd = allocation.warmup, allocation.opd
        if allocation.transfer_sft > 0:
            warmup = min(allocation.transfer_sft, self.max_warmup)
            opd = allocation.transfer_sft - warmup
        if allocation.teacher is None:
            warmup, opd = self._least_warmup, self._least_opd
        label_blocks = allocation.label_blocks
        # The nearest B-th is at most 1/2 away and decoding shrinks that by label_blocks / B, so t comes out exact.
        upstream = (
            (2 * allocation.teacher_label_blocks * self.num_label_blocks + label_blocks) // (2 * label_blocks)
            if label_blocks
            else 0
        )
        values: dict[str, Any] = {
            "teacher": allocation.teacher or NO_TEACHER,
            "label_blocks": label_blocks,
            "upstream": upstream,
            "warmup": warmup,
            "opd": opd,
            "replay": allocation.replay,
            "prepare": self._prepare_of(allocation),
            "transfer": self._transfer_of(allocation),
        }
        distributions = self.distributions()
        params = {name: values[name] for name in distributions}
        in_range = all(_contains(distribution, params[name]) for name, distribution in distributions.items())
        if not in_range or self.decode(params) != allocation:
            raise SpaceError(f"{allocation} is not in the search space {self!r}; widen the space or leave it out")
        return params

    def _prepare_of(self, allocation: Allocation) -> str:
        if allocation.teacher_label_blocks == 0:
            return self.prepare[0]
        return "sft" if allocation.teacher_sft else "rl"

    def _transfer_of(self, allocation: Allocation) -> str:
        if allocation.teacher is None:
            return self.transfer[0]
        return "sft" if allocation.transfer_sft else "bridge"

    def allocations(self) -> list[Allocation]:
        """All feasible allocations, each once, in the order of the parameters.

        Raises:
            SpaceError: for more than MOST_PROPOSALS proposals.
        """
        self.check_size()
        distributions = self.distributions()
        found: dict[Allocation, None] = {}
        for values in itertools.product(*map(_values, distributions.values())):
            allocation = self.decode(dict(zip(distributions, values, strict=True)))
            if allocation is not None:
                found[allocation] = None
        return list(found)

    def check_size(self) -> None:
        """SpaceError for a space whose allocations are too many to be listed."""
        if math.prod(map(_num_values, self.distributions().values())) > MOST_PROPOSALS:
            counts = {name: getattr(self, name) for name in ("num_label_blocks", "max_warmup", "max_opd", "max_replay")}
            largest = max(counts, key=lambda name: counts[name])
            raise SpaceError(
                f"the search space has more than {MOST_PROPOSALS:,} proposals, too many to be listed: lower "
                f"{largest}, which is {counts[largest]!s:.20}"
            )

    def corners(self) -> list[Allocation]:
        """Allocations with all labels on one model and as many other blocks as may be, for every way of training.

        What grows with every count of blocks is largest at one of them, such as a cost.
        """
        most = dict(
            label_blocks=self.num_label_blocks, warmup=self.max_warmup, opd=self.max_opd, replay=self.max_replay
        )
        ways = itertools.product((NO_TEACHER, *self.teachers), (0, self.num_label_blocks), self.prepare, self.transfer)
        found = (
            self.decode({**most, "teacher": teacher, "upstream": upstream, "prepare": prepare, "transfer": transfer})
            for teacher, upstream, prepare, transfer in ways
        )
        return list(dict.fromkeys(allocation for allocation in found if allocation is not None))

    def random_allocations(self, n: int, seed: int) -> list[Allocation]:
        """n feasible allocations drawn uniformly over the parameters, with repeats: what random search would train."""
        generator = random.Random(seed)
        distributions = self.distributions()
        allocations: list[Allocation] = []
        while len(allocations) < n:
            allocation = self.decode({name: _sample(generator, item) for name, item in distributions.items()})
            if allocation is not None:
                allocations.append(allocation)
        return allocations


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, IntDistribution):
        return bool(distribution.low <= value <= distribution.high)
    assert isinstance(distribution, CategoricalDistribution)
    return value in distribution.choices


def _values(distribution: BaseDistribution) -> Sequence[Any]:
    if isinstance(distribution, IntDistribution):
        return range(distribution.low, distribution.high + 1)
    assert isinstance(distribution, CategoricalDistribution)
    return distribution.choices


def _num_values(distribution: BaseDistribution) -> int:
    if isinstance(distribution, IntDistribution):
        return distribution.high - distribution.low + 1  # a range of so many may have no length
    return len(_values(distribution))


def _sample(generator: random.Random, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, IntDistribution):
        return generator.randint(distribution.low, distribution.high)
    assert isinstance(distribution, CategoricalDistribution)
    return generator.choice(distribution.choices)
