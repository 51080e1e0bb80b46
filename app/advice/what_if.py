"""`tuition what-if`: what allocations would score that nobody has run, and what more labels or money would buy.

What: the planner's posterior on a space with more labels than the study has, in the study's units, so that its curves
go on where the scores end. Nothing is said beyond `FURTHEST` times the labels of the longest route with a score.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tuition.app.advice.opened_study import OpenedStudy, planned
from tuition.app.advice.recommendation import Frozen, triple
from tuition.app.studies.single_run import find_allocation
from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.cost import SECONDS_PER_HOUR
from tuition.planner.planning.advice import EACH, LEVEL, Spread, first_reaching, posterior_means
from tuition.planner.planning.grid import FIELDS, RL, SFT, STUDENT_RL, TEACHER, Floats, Ints
from tuition.planner.planning.planner import POINTS, View
from tuition.planner.space import SearchSpace

FURTHEST = 2
LABEL_FIELDS = [RL, SFT, STUDENT_RL]


class WhatIfError(ValueError):
    """A question that the scores cannot answer; one line with the reason."""


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        allocations: texts, or routes by their names.
        labels: to train on; None for as many as the study has.
        teacher: the only one to think of; None for all.
        gain: points for which the labels are wanted that buy them.
        money: a sum to spend; None for no such question.
        label_price: of a label that the study does not have.
        gpu_hour_price: of an hour of the reserved devices.
    """

    allocations: tuple[str, ...] = ()
    labels: int | None = None
    teacher: str | None = None
    gain: float = 2.0
    money: float | None = None
    label_price: float = 0.0
    gpu_hour_price: float = 0.0


class Predicted(Frozen):
    """What an allocation would score: fractions."""

    allocation: str
    mean: float
    low: float
    high: float
    level: float = LEVEL
    labels: int
    extrapolation: float | None
    """Labels of the stage that goes furthest beyond what was scored, over the most that was: up to 1 is within. None
    where a model would get labels of which no score has any."""


class NextBlock(Frozen):
    """What one more block of labels is worth at a stage."""

    stage: str
    allocation: str
    labels: int
    gain_points: tuple[float, float, float]
    """Mean, low, high."""


class LabelsNeeded(Frozen):
    """How many labels buy a gain over the best split with the study's labels. None: more than can be said."""

    gain_points: float
    labels: int | None
    low: int | None
    high: int | None
    furthest: int
    """Labels up to which something can be said."""
    allocation: str | None
    """The best split with so many labels."""


class BestUse(Frozen):
    """The best split that a sum of money pays for."""

    money: float
    predicted: Predicted
    new_labels: int
    gpu_seconds: float
    cost: float
    over_trained_points: tuple[float, float, float] | None
    """By how much it is better than the best that is trained; None where nothing is, or it is that one."""


class WhatIf(Frozen):
    """The answers."""

    study: str
    scenario: str
    labels: int
    predicted: tuple[Predicted, ...]
    """Of the allocations that were asked for."""
    best: Predicted
    """Of all with so many labels."""
    next_blocks: tuple[NextBlock, ...]
    """At the first allocation that was asked for, or else at the best."""
    needed: LabelsNeeded
    best_use: BestUse | None = None


def what_if(opened: OpenedStudy, question: Question) -> WhatIf:
    """Answer a question.

    Raises:
        WhatIfError: for what the scores cannot say, and for prices that are missing.
        SpaceError, AllocationError: for an allocation that cannot be, or that the study's space does not hold.
    """
    _check(opened, question)
    world = World(opened, question.teacher)
    blocks = world.num_label_blocks if question.labels is None else world.whole_blocks(question.labels)
    asked = [world.node(text) for text in question.allocations]
    best = world.best(world.labels == blocks)
    base = asked[0] if asked else best
    return WhatIf(
        study=opened.name,
        scenario=opened.scenario.name,
        labels=blocks * world.per_block,
        predicted=tuple(map(world.predicted, asked)),
        best=world.predicted(best),
        next_blocks=world.next_blocks(base),
        needed=world.needed(question.gain),
        best_use=None if question.money is None else world.best_use(question),
    )


def _check(opened: OpenedStudy, question: Question) -> None:
    prices = question.label_price, question.gpu_hour_price
    if question.money is not None and not any(prices):
        raise WhatIfError(f"--money {question.money:g} without a price: give --label-price, --gpu-hour-price or both")
    if question.money is None and any(prices):
        raise WhatIfError("prices without a sum to spend: give --money")
    if question.gpu_hour_price and opened.prices.unknown:
        raise WhatIfError(
            f"nothing is known of the cost of {', '.join(opened.prices.unknown)}: run `tuition measure` first, or omit "
            "--gpu-hour-price"
        )
    teachers = opened.space.teachers
    if question.teacher is not None and question.teacher not in teachers:
        raise WhatIfError(f"--teacher {question.teacher!r}: the study knows {', '.join(teachers) or 'no teacher'}")
    if not opened.observed:
        raise WhatIfError(f"study {opened.name!r} has no score yet; `tuition next` says what to train")


def label_stages(allocation: Allocation) -> tuple[str, ...]:
    """The stages at which a split may buy one more block of labels, in its order."""
    if allocation.teacher is None:
        return (FIELDS[STUDENT_RL],)
    return (FIELDS[SFT if allocation.teacher_sft else RL], FIELDS[STUDENT_RL])


def with_blocks(allocation: Allocation, stage: str, blocks: int) -> Allocation:
    """The same split with another number of blocks at one stage."""
    return Allocation(**{**allocation.model_dump(), stage: blocks})


class World:
    """The posterior on as many labels as can be spoken of."""

    def __init__(self, opened: OpenedStudy, teacher: str | None) -> None:
        self.opened, self.teacher = opened, teacher
        self.per_block = opened.scenario.recipe.labels_per_block
        own = opened.space.num_label_blocks
        scored = [self._counts(one.checkpoint) for one in opened.observed]
        self.studied = max(t + s for _, t, s in scored)
        if not self.studied:
            raise WhatIfError("no score so far is of a route with labels; `tuition next` says what to train")
        self.furthest = FURTHEST * self.studied
        self.num_label_blocks = min(own, self.furthest)
        self._most_student = max(s for _, _, s in scored)
        self._most_teacher = {
            name: max((t for k, t, _ in scored if k == name), default=0) for name in opened.space.teachers
        }
        self.space = SearchSpace(**{**opened.space.model_dump(), "num_label_blocks": max(own, self.furthest)})
        self.view: View = planned(opened.study, self.space, opened.prices.costs(), opened.seed, budget=own)
        grid = self.view.grid
        self.labels: Ints = grid.counts[:, LABEL_FIELDS].sum(1)
        """[nodes] label blocks."""
        self._spoken_of = grid.allowed & (self.labels <= self.furthest)
        if teacher is not None:
            self._spoken_of &= grid.counts[:, TEACHER] == self.space.teachers.index(teacher)
        self._drawn: dict[int, Floats] = {}

    @staticmethod
    def _counts(checkpoint: Checkpoint) -> tuple[str | None, int, int]:
        """Teacher, its label blocks and the student's."""
        if isinstance(checkpoint, Allocation):
            return checkpoint.teacher, checkpoint.teacher_label_blocks, checkpoint.student_label_blocks
        return checkpoint.teacher, checkpoint.blocks, 0

    def whole_blocks(self, labels: int) -> int:
        """Labels as blocks."""
        blocks = labels // self.per_block
        if blocks < 1:
            raise WhatIfError(f"--labels {labels}: a block has {self.per_block} labels; give at least one block")
        self._refuse_beyond(blocks, f"--labels {labels}")
        return blocks

    def node(self, text: str) -> int:
        """An allocation that somebody asks for."""
        allocation = find_allocation(self.opened.scenario, text)
        self._refuse_beyond(allocation.label_blocks, f"'{allocation}'")
        self.space.params_of(allocation)
        return self.view.grid.index(allocation)

    def _refuse_beyond(self, blocks: int, what: str) -> None:
        if blocks > self.furthest:
            raise WhatIfError(
                f"{what} is {blocks * self.per_block} labels, and the longest route with a score has "
                f"{self.studied * self.per_block}: beyond {FURTHEST} times as many "
                f"({self.furthest * self.per_block}) the scores say nothing; score a longer route first"
            )

    @cached_property
    def means(self) -> Floats:
        """[nodes] posterior means in points; -inf for what is not spoken of."""
        return posterior_means(self.view, self._spoken_of)

    def best(self, among: np.ndarray) -> int:
        """The node with the best mean."""
        return int(np.where(among, self.means, -np.inf).argmax())

    def draws(self, nodes: Sequence[int]) -> Floats:
        """[draws, nodes] scores, drawn together."""
        unique, places = np.unique(nodes, return_inverse=True)
        return self.view.posterior.draws(unique, EACH)[:, places]

    def allocation(self, node: int) -> Allocation:
        """A node's."""
        found = self.view.grid.checkpoint(node)
        assert isinstance(found, Allocation)
        return found

    def predicted(self, node: int) -> Predicted:
        """What a node would score."""
        spread = Spread.of(self.draws([node])[:, 0])
        return Predicted(
            allocation=str(self.allocation(node)),
            mean=spread.mean / POINTS,
            low=spread.low / POINTS,
            high=spread.high / POINTS,
            labels=int(self.labels[node]) * self.per_block,
            extrapolation=self._extrapolation(node),
        )

    def _extrapolation(self, node: int) -> float | None:
        name, taught, learnt = self._counts(self.allocation(node))
        parts = [
            (taught, self._most_teacher.get(name or "", 0)),
            (learnt, self._most_student),
            (taught + learnt, self.studied),
        ]
        if any(blocks and not most for blocks, most in parts):
            return None
        return max(blocks / most for blocks, most in parts if blocks)

    def next_blocks(self, base: int) -> tuple[NextBlock, ...]:
        """What one more block of labels is worth at each stage that may buy one."""
        allocation, found = self.allocation(base), []
        for stage in label_stages(allocation):
            more = with_blocks(allocation, stage, getattr(allocation, stage) + 1)
            node = self.view.grid.index(more)
            if more.label_blocks > self.furthest or node < 0:
                continue
            before, after = self.draws([base, node]).T
            found.append(
                NextBlock(stage=stage, allocation=str(more), labels=self.per_block, gain_points=triple(after - before))
            )
        return tuple(found)

    def needed(self, gain: float) -> LabelsNeeded:
        """How many labels buy so many points over the best split with those of the study."""
        counts = range(self.num_label_blocks, self.furthest + 1)
        path = [self.best(self.labels <= blocks) for blocks in counts]
        draws = self.draws(path)
        mean, low, high = first_reaching(draws - draws[:, :1], gain)
        labels = [None if place is None else counts[place] * self.per_block for place in (mean, low, high)]
        return LabelsNeeded(
            gain_points=gain,
            labels=labels[0],
            low=labels[1],
            high=labels[2],
            furthest=self.furthest * self.per_block,
            allocation=None if mean is None else str(self.allocation(path[mean])),
        )

    def best_use(self, question: Question) -> BestUse:
        """The best split that the money pays for: its new labels, and what is missing of its training."""
        assert question.money is not None
        view, owned = self.view, len(self.opened.scenario.labels)
        new_labels = np.maximum(self.labels * self.per_block - owned, 0)
        seconds = view.prices()
        seconds = np.where(view.scored & (view.state > 0), 0.0, seconds)
        costs = new_labels * question.label_price + seconds / SECONDS_PER_HOUR * question.gpu_hour_price
        affordable = self._spoken_of & (costs <= question.money)
        if not affordable.any():
            cheapest = costs[self._spoken_of].min()
            raise WhatIfError(f"--money {question.money:g} pays for no split; the cheapest costs {cheapest:.4g}")
        node, trained = self.best(affordable), view.trained
        over = None
        if len(trained) and (known := view.choice.best_of(trained)) != node:
            own, other = self.draws([node, known]).T
            over = triple(own - other)
        return BestUse(
            money=question.money,
            predicted=self.predicted(node),
            new_labels=int(new_labels[node]),
            gpu_seconds=round(float(seconds[node]), 1),
            cost=float(costs[node]),
            over_trained_points=over,
        )
