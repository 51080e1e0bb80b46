"""Every checkpoint that a search space can reach, as arrays: what precedes it, and what it would cost now.

A search space of 100,000 allocations is asked for predictions and costs before every proposal. `Grid` therefore
numbers the checkpoints: the base student, the teachers after each of their blocks, and the student after each block of
each route. Block counts, parents and costs are arrays over these numbers ("nodes").

Simplified: the costs here take every block of a kind for equally dear, and the store for what the study put there; a
proposal is priced again, exactly, before it is bought.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuition.planner.allocation import Allocation, Checkpoint, TeacherCheckpoint
from tuition.planner.cost import Work
from tuition.planner.space import SearchSpace
from tuition.planner.stages import STUDENT

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

FIELDS = ("teacher", "teacher_rl", "teacher_sft", "warmup", "opd", "transfer_sft", "student_rl", "replay")
TEACHER, RL, SFT, WARMUP, OPD, HARD, STUDENT_RL, REPLAY = range(len(FIELDS))
NO_TEACHER = -1
STAGE_OF = {RL: "teacher_rl", SFT: "teacher_sft", WARMUP: "warmup", OPD: "opd", HARD: "transfer_sft",
            STUDENT_RL: "student_rl", REPLAY: "student_rl"}  # fmt: skip


class Grid:
    """The checkpoints of a search space, numbered.

    Args:
        space: what may be proposed.
        budget: label blocks in the unit that labels are counted in; by default those of the space.

    Attributes:
        counts: [nodes, 8] teacher (its place in `space.teachers`, -1 for none) and block counts, as `FIELDS`.
        is_teacher: [nodes] whether a node is a teacher's checkpoint, raw ones included.
        allowed: [nodes] whether a node is an allocation that the space may propose.
        parent: [nodes] the node before its last block; -1 for base models.
        continues: [nodes] whether its last block continues the stage of the block before, and so needs its optimizer.
        behind: [nodes] the teacher's node that its transfer starts from; -1 without a teacher.
        depth: [nodes] blocks from its base model.
        blocks: [nodes] blocks of the whole route to it, the teacher's included.
    """

    def __init__(self, space: SearchSpace, budget: int | None = None) -> None:
        self.space, self.budget = space, budget or space.num_label_blocks
        teachers, students = _teacher_counts(space), _student_counts(space)
        self.counts: Ints = np.concatenate([teachers, students])
        self.is_teacher = np.arange(len(self.counts)) < len(teachers)
        label_blocks = self.counts[:, [RL, SFT, STUDENT_RL]].sum(1)
        self.allowed = ~self.is_teacher & (label_blocks >= 1)
        self._most = self.counts.max(0)
        codes = self._code(self.counts, self.is_teacher)
        self._order = np.argsort(codes)
        self._sorted = codes[self._order]
        self.last = self._last_field()
        """[nodes] field of the last block, -1 for base models."""
        self.parent = self._parents()
        self.continues = self._continues()
        self.behind = self._behind()
        self.depth = np.where(self.is_teacher, self.counts[:, [RL, SFT]].sum(1), self.counts[:, WARMUP:].sum(1))
        self.blocks = self.counts[:, RL:].sum(1)
        self._levels = [np.flatnonzero(self.depth == depth) for depth in range(1, int(self.depth.max()) + 1)]

    def __len__(self) -> int:
        return len(self.counts)

    def base_model(self, name: str) -> int:
        """The node of an untrained model, "student" or a teacher's name."""
        counts = np.zeros((1, len(FIELDS)), np.int64)
        counts[0, TEACHER] = NO_TEACHER if name == STUDENT else self.space.teachers.index(name)
        return int(self._find(counts, np.array([name != STUDENT]))[0])

    def index(self, checkpoint: Checkpoint) -> int:
        """The node of a checkpoint; -1 for one that no allocation of the space passes."""
        counts = np.zeros((1, len(FIELDS)), np.int64)
        teacher = checkpoint.teacher
        if teacher is not None and teacher not in self.space.teachers:
            return -1
        counts[0, TEACHER] = NO_TEACHER if teacher is None else self.space.teachers.index(teacher)
        if isinstance(checkpoint, TeacherCheckpoint):
            counts[0, FIELDS.index(checkpoint.stage)] = checkpoint.blocks
        else:
            counts[0, RL:] = [getattr(checkpoint, name) for name in FIELDS[RL:]]
        return int(self._find(counts, np.array([isinstance(checkpoint, TeacherCheckpoint)]))[0])

    def checkpoint(self, node: int) -> Checkpoint:
        """The inverse; a raw teacher is no checkpoint of a run.

        Raises:
            ValueError: for the node of a raw teacher.
        """
        counts = self.counts[node].tolist()
        teacher = None if counts[TEACHER] == NO_TEACHER else self.space.teachers[counts[TEACHER]]
        if self.is_teacher[node]:
            stage = RL if counts[RL] else SFT
            if not counts[stage] or teacher is None:
                raise ValueError(f"node {node} is a raw teacher, which no block has trained")
            return TeacherCheckpoint(teacher=teacher, stage=FIELDS[stage], blocks=counts[stage])
        fields: dict[str, Any] = dict(zip(FIELDS[RL:], counts[RL:], strict=True))
        prompts = self.space.prompts if teacher is not None else "pool"
        return Allocation(teacher=teacher, prompts=prompts, **fields)

    def chain(self, node: int) -> list[int]:
        """The nodes that a route to a node passes, its teacher's first; without base models, with the node itself."""
        own = self._ancestry(node)
        teacher = int(self.behind[node])
        return (self._ancestry(teacher) if teacher >= 0 and own else []) + own

    def _ancestry(self, node: int) -> list[int]:
        found: list[int] = []
        while self.parent[node] >= 0:
            found.append(int(node))
            node = int(self.parent[node])
        return found[::-1]

    def block_costs(self, cost: Mapping[Work, float]) -> Floats:
        """[nodes] cost of each node's last block; 0 for base models."""
        costs = np.zeros(len(self))
        for field, stage in STAGE_OF.items():
            for place in range(NO_TEACHER, len(self.space.teachers)):
                chosen = (self.last == field) & (self.counts[:, TEACHER] == place)
                if chosen.any():
                    name = self.space.teachers[place] if place >= 0 else None
                    costs[chosen] = cost[_work(field, stage, name)]
        return costs

    def score_costs(self, cost: Mapping[str, float]) -> Floats:
        """[nodes] cost of a score of each node."""
        teachers = np.array([cost[name] for name in self.space.teachers] or [0.0])
        return np.where(self.is_teacher, teachers[np.maximum(self.counts[:, TEACHER], 0)], cost[STUDENT])

    def missing_costs(self, block_costs: Floats, state: Ints) -> Floats:
        """[nodes] what it costs to have each node's weights, as `tuition.planner.cost.missing_blocks` has it.

        Args:
            block_costs: [nodes] of each node's last block.
            state: [nodes] 0 where the store has nothing, 1 weights, 2 the optimizer's state as well.
        """
        weights, resumable = np.zeros(len(self)), np.zeros(len(self))
        # Whether a missing block of the student needs its teacher.
        weights_teach, resumable_teach = np.zeros(len(self), bool), np.zeros(len(self), bool)
        transfer = np.isin(self.last, (WARMUP, OPD, HARD))
        for level in self._levels:
            parent, continues = self.parent[level], self.continues[level]
            cost = block_costs[level] + np.where(continues, resumable[parent], weights[parent])
            teach = transfer[level] | np.where(continues, resumable_teach[parent], weights_teach[parent])
            weights[level] = np.where(state[level] >= 1, 0.0, cost)
            resumable[level] = np.where(state[level] >= 2, 0.0, cost)
            weights_teach[level] = teach & (state[level] < 1)
            resumable_teach[level] = teach & (state[level] < 2)
        behind = np.maximum(self.behind, 0)
        return weights + np.where(weights_teach & (self.behind >= 0), weights[behind], 0.0)

    def missing(self, node: int, state: Ints) -> list[int]:
        """The nodes that have to be trained to have one node's weights, in order."""
        found = self._missing(node, state)
        teacher = int(self.behind[node])
        if teacher >= 0 and any(self.last[one] in (WARMUP, OPD, HARD) for one in found):
            found = self._missing(teacher, state) + found
        return found

    def _missing(self, node: int, state: Ints) -> list[int]:
        found: list[int] = []
        needed = 1
        while self.parent[node] >= 0 and state[node] < needed:
            found.append(int(node))
            needed = 2 if self.continues[node] else 1
            node = int(self.parent[node])
        return found[::-1]

    def train(self, nodes: Iterable[int], state: Ints, states_kept: Collection[str] = ()) -> None:
        """Put trained nodes into a state, in order: only the tip of a stage keeps its optimizer's state."""
        for node in nodes:
            state[node] = 2
            if self.continues[node] and STAGE_OF[int(self.last[node])] not in states_kept:
                state[self.parent[node]] = 1

    def shared_blocks(self, a: Ints, b: Ints) -> Floats:
        """[len(a), len(b)] blocks that the routes to nodes have in common, the teacher's and then the student's."""
        first, second = self.counts[a][:, None, :], self.counts[b][None, :, :]
        same = first[..., TEACHER] == second[..., TEACHER]
        shared = np.zeros(same.shape)
        for field in (RL, SFT, WARMUP, OPD, HARD, STUDENT_RL, REPLAY):
            shared += same * np.minimum(first[..., field], second[..., field])
            same = same & (first[..., field] == second[..., field])
        return shared

    def codes(self, fields: Sequence[int]) -> Ints:
        """[nodes] a number for each row of some fields, equal where these are."""
        return _code(np.zeros(len(self), np.int64), self.counts[:, fields], self._most[fields])

    def _code(self, counts: Ints, is_teacher: NDArray[np.bool_]) -> Ints:
        return _code(is_teacher.astype(np.int64), counts, self._most)

    def _find(self, counts: Ints, is_teacher: NDArray[np.bool_]) -> Ints:
        codes = self._code(counts, is_teacher)
        # A count beyond every node's would run into the next column of the code.
        inside = (counts <= self._most).all(1)
        place = np.minimum(np.searchsorted(self._sorted, codes), len(self._sorted) - 1)
        return np.where(inside & (self._sorted[place] == codes), self._order[place], -1)

    def _last_field(self) -> Ints:
        last = np.full(len(self), -1)
        for field in (WARMUP, OPD, HARD, STUDENT_RL, REPLAY):
            last[~self.is_teacher & (self.counts[:, field] > 0)] = field
        for field in (RL, SFT):
            last[self.is_teacher & (self.counts[:, field] > 0)] = field
        return last

    def _parents(self) -> Ints:
        counts = self.counts.copy()
        trained = np.flatnonzero(self.last >= 0)
        counts[trained, self.last[trained]] -= 1
        # A student that no block has trained has no teacher.
        bare = ~self.is_teacher & (counts[:, WARMUP:].sum(1) == 0)
        counts[bare] = _base_student()
        parent = np.full(len(self), -1)
        parent[trained] = self._find(counts[trained], self.is_teacher[trained])
        return parent

    def _continues(self) -> NDArray[np.bool_]:
        parent = np.maximum(self.parent, 0)
        same = self.last == self.last[parent]
        replayed = (self.last == REPLAY) & (self.last[parent] == STUDENT_RL)
        continues: NDArray[np.bool_] = (self.parent >= 0) & (same | replayed)
        return continues

    def _behind(self) -> Ints:
        counts = self.counts.copy()
        counts[:, WARMUP:] = 0
        found = self._find(counts, np.ones(len(counts), bool))
        return np.where(~self.is_teacher & (self.counts[:, TEACHER] >= 0), found, -1)


def _code(code: Ints, counts: Ints, most: Ints) -> Ints:
    """[rows] a number for each row of counts, of which `most` are the largest, after another number."""
    for column in range(counts.shape[1]):
        code = code * int(most[column] + 2) + counts[:, column] + 1
    return code


def _base_student() -> Ints:
    counts = np.zeros(len(FIELDS), np.int64)
    counts[TEACHER] = NO_TEACHER
    return counts


def _work(field: int, stage: str, teacher: str | None) -> Work:
    if field in (RL, SFT):
        return Work(stage, teacher or "")
    return Work(stage, STUDENT, teacher if field in (WARMUP, OPD, HARD) else None)


def _prepared(space: SearchSpace) -> list[tuple[int, int]]:
    """(rl, sft) blocks of a teacher, the raw one once."""
    blocks = range(1, space.num_label_blocks + 1)
    return [
        (0, 0),
        *((n, 0) for n in blocks if "rl" in space.prepare),
        *((0, n) for n in blocks if "sft" in space.prepare),
    ]


def _teacher_counts(space: SearchSpace) -> Ints:
    rows = [(place, rl, sft, 0, 0, 0, 0, 0) for place in range(len(space.teachers)) for rl, sft in _prepared(space)]
    return np.array(rows, np.int64).reshape(-1, len(FIELDS))


def _student_counts(space: SearchSpace) -> Ints:
    """All nodes of the student: every prefix of every allocation of the space."""
    num_label_blocks, replays = space.num_label_blocks, np.arange(space.max_replay + 1)
    bridges = [(w, o, 0) for w, o in itertools.product(range(space.max_warmup + 1), range(space.max_opd + 1)) if w + o]
    hard = [(0, 0, f) for f in range(1, space.max_warmup + space.max_opd + 1)]
    transfers = (bridges if "bridge" in space.transfer else []) + (hard if "sft" in space.transfer else [])
    parts = [_tails((NO_TEACHER, 0, 0, 0, 0, 0), np.arange(num_label_blocks + 1), replays)]
    for place, (rl, sft), transfer in itertools.product(range(len(space.teachers)), _prepared(space), transfers):
        parts.append(_tails((place, rl, sft, *transfer), np.arange(num_label_blocks - rl - sft + 1), replays))
    return np.concatenate(parts)


def _tails(head: tuple[int, ...], blocks: Ints, replays: Ints) -> Ints:
    student, replay = (part.ravel() for part in np.meshgrid(blocks, replays, indexing="ij"))
    kept = (replay == 0) | (student + head[RL] + head[SFT] > 0)
    tails = np.stack([student[kept], replay[kept]], 1)
    return np.concatenate([np.broadcast_to(np.array(head), (len(tails), len(head))), tails], 1)
