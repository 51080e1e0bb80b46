"""Another scenario's scores as a prior: a cheap proxy with smaller models, fewer steps or shorter answers.

What: `WarmStart` is what a study keeps of another one: its space and its scores. They are smoothed by the planner's own
posterior, and mapped to the study's space **by shares**: label blocks as shares of the budget, bridge blocks as counts,
teachers by name, or else by their order. What the other space lacks takes the nearest that it has. The planner takes
the surface for a mean whose shift and scale are unknown (`tuition.planner.planning.posterior`).

>>> space = SearchSpace(teachers=(), num_label_blocks=2, max_warmup=0, max_opd=0)
>>> scores = (("student_rl=1", 0.5, 0.01), ("student_rl=2", 0.7, 0.01))
>>> warm = WarmStart(source="proxy", space=space, untrained=(("student", 0.4, 0.01),), scores=scores)
>>> larger = Grid(SearchSpace(teachers=(), num_label_blocks=4, max_warmup=0, max_opd=0))
>>> heights = warm.heights(larger)
>>> bool(heights[larger.index(Allocation(student_rl=2))] < heights[larger.index(Allocation(student_rl=4))])
True
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.spatial import cKDTree

from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.planning.grid import HARD, NO_TEACHER, OPD, REPLAY, TEACHER, WARMUP, Floats, Grid, Ints
from tuition.planner.planning.posterior import LEAST_NOISE, Posterior, Scores
from tuition.planner.planning.residual import features
from tuition.planner.planning.structure import Structure
from tuition.planner.scores.outcome import read_checkpoint
from tuition.planner.space import SearchSpace
from tuition.planner.stages import STUDENT

WARM_START = "warm_start"  # attribute of a study
_POINTS = 100.0
GUESSED_BASE_ERROR = 0.1
"""Of the student's score before any training where only trained ones were scored: the lowest of these, give or take
this. Our choice."""
MOST_SCORES = 300
"""That a surface is made of; a complete table has more, and they say the same."""
NEIGHBOURS = 4
"""Nodes of the other space that a share between them is read from."""
Known = tuple[str, Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, allow_inf_nan=False)]]
"""A model's name or a checkpoint's text, its score and the score's standard error (fractions)."""


class WarmStart(BaseModel):
    """Another scenario's validation scores, as a study keeps them.

    Attributes:
        source: where they are from, in words.
        space: that was searched there.
        untrained: of base models.
        scores: of checkpoints.
        seeds: training seeds of these scores, which no test may judge by.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    source: str
    space: SearchSpace
    untrained: tuple[Known, ...]
    scores: tuple[Known, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _usable(self) -> WarmStart:
        self.space.check_size()
        unknown = {name for name, _, _ in self.untrained} - {STUDENT, *self.space.teachers}
        if unknown:
            raise ValueError(f"base models {', '.join(sorted(unknown))} are not in its space")
        return self

    @property
    def words(self) -> str:
        """Where they are from, for people."""
        return f"{self.source}: {len(self.scores)} validation score{'' if len(self.scores) == 1 else 's'}"

    @property
    def sha256(self) -> str:
        """Of what it says, whatever its source is called."""
        return hashlib.sha256(self.model_dump_json(exclude={"source"}).encode()).hexdigest()

    def heights(self, grid: Grid) -> Floats:
        """[nodes] what the surface says of another grid's students, in its headrooms above its untrained student.

        A teacher's node has a value that says nothing.
        """
        own, values = _surface(self)
        students, num_teachers = np.flatnonzero(~own.is_teacher), len(own.space.teachers)
        tree = cKDTree(features(own.counts[students], own.budget, num_teachers))
        targets = features(_counts_in(own, grid), grid.budget, num_teachers)
        apart, near = tree.query(targets, k=[*range(1, 1 + min(NEIGHBOURS, len(students)))])
        # What the other space has itself is read there.
        weights = 1 / np.maximum(apart, 1e-9) ** 2
        found: Floats = (weights * values[students][near]).sum(1) / weights.sum(1)
        return found


def with_guessed_base(
    untrained: Mapping[str, tuple[float, float]], scores: Sequence[tuple[Checkpoint, float]]
) -> dict[str, tuple[float, float]]:
    """Scores of base models by name, the student's guessed where it has none: the lowest of trained students."""
    known = dict(untrained)
    students = [value for checkpoint, value in scores if isinstance(checkpoint, Allocation)]
    if STUDENT not in known and students:
        known[STUDENT] = min(students), GUESSED_BASE_ERROR
    return known


@lru_cache(maxsize=4)
def _surface(warm: WarmStart) -> tuple[Grid, Floats]:
    """The other space's grid, and [nodes] the posterior means in headrooms above the untrained student."""
    grid = Grid(warm.space)
    scores = [(read_checkpoint(text), value, error) for text, value, error in warm.scores]
    untrained = {name: (value, error) for name, value, error in warm.untrained}
    base = with_guessed_base(untrained, [(checkpoint, value) for checkpoint, value, _ in scores])
    known = {grid.base_model(name): pair for name, pair in base.items()}
    structure = Structure(grid, {node: value * _POINTS for node, (value, _) in known.items()})
    seen = {grid.index(checkpoint): (value, error) for checkpoint, value, error in scores}
    every = {**{node: pair for node, pair in seen.items() if node >= 0}, **known}
    values, errors = np.array(list(every.values())).T * _POINTS
    posterior = Posterior(structure, seed=0)
    posterior.fit(Scores(np.array(list(every)), values, np.maximum(errors, LEAST_NOISE)).thinned(MOST_SCORES))
    means = posterior.at(np.arange(len(grid))).means.mean(0)
    return grid, (means - structure.base) / structure.headroom


def _counts_in(own: Grid, grid: Grid) -> Ints:
    """[nodes, 8] a grid's counts as another one has them: within its longest bridge, with its teachers' places."""
    names = own.space.teachers
    others = [name for name in names if name not in grid.space.teachers]
    counts, places = grid.counts.copy(), []
    for name in grid.space.teachers:
        same = name if name in names else others.pop(0) if others else names[-1] if names else None
        places.append(NO_TEACHER if same is None else names.index(same))
    counts[:, TEACHER] = np.array([*places, NO_TEACHER])[grid.counts[:, TEACHER]]
    for field in (WARMUP, OPD, HARD, REPLAY):
        counts[:, field] = np.minimum(counts[:, field], own.counts[:, field].max())
    return counts
