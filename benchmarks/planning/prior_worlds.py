"""Worlds drawn from our own planner's prior over a search space: what a search may find before it is paid for.

    prior = Prior(space, costs, r, Validation(problems=500, samples=8), untrained={"student": 0.3, "8b": 0.55})
    world = prior.world(3)
    world.replay(), world.best, world.value(allocation)

A world is what the planner believes before any score: each checkpoint's truth is drawn from the posterior of base
models' scores alone. They are stated, or drawn for each world from the prior. A checkpoint's validation score is its
truth, its luck (as the planner has it: shared by the checkpoints behind a block, fading with every further block) and
noise. All of it is replayed with the charges of a recorded table.

Simplified: noise is that of problems which are all equally hard, the most that so many samples can have; every block of
a kind costs the same; the store is empty at first. Whatever is simulated is as good as the prior.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np

from tuition.benchmarks.planning.problems import POINTS, ProblemError, simulated_recipe
from tuition.benchmarks.statistics.intervals import Score
from tuition.benchmarks.tables.replay import Replay
from tuition.benchmarks.tables.replay_source import Row, Source
from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.cost import Price, work_of
from tuition.planner.planning.grid import Floats, Grid
from tuition.planner.planning.planner import Costs, Planner, View
from tuition.planner.planning.posterior import LEAST_NOISE, MEMBERS
from tuition.planner.planning.residual import BLOCK_EFFECTS, CARRIED
from tuition.planner.route import Route, compile_checkpoint, derive_seed
from tuition.planner.space import SearchSpace
from tuition.planner.stages import STUDENT

MOST_NODES = 5000
"""Checkpoints of a space that is drawn: a world is one draw of all of them together."""
LEAST_UNTRAINED, MOST_UNTRAINED = 0.01, 0.99
"""What a base model's score is kept within where it is drawn."""


@dataclass(frozen=True)
class Validation:
    """How many problems a validation score has, and how many samples of each."""

    problems: int
    samples: int

    def error(self, score: float) -> float:
        """Standard error of a score over samples, both fractions, if all problems are equally hard."""
        return sqrt(score * (1 - score) / (self.problems * self.samples))


class Prior:
    """What our own planner believes of a search space before it has a score.

    Args:
        space: what may be proposed.
        costs: of its blocks and scores.
        dearest: R in device-seconds.
        validation: what a score is made of.
        untrained: true scores of base models as far as they are known, fractions by name.
        seed: of all draws.

    Raises:
        ProblemError: for a space with more than `MOST_NODES` checkpoints, a model that it does not have, and a score
            that is no fraction.
    """

    def __init__(
        self,
        space: SearchSpace,
        costs: Costs,
        dearest: float,
        validation: Validation,
        untrained: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        self.space, self.costs, self.dearest, self.validation, self.seed = space, costs, dearest, validation, seed
        self.known = dict(untrained or {})
        for name, score in self.known.items():
            if name not in self.models:
                raise ProblemError(f"no base model {name!r}: choose from {', '.join(self.models)}")
            if not 0 < score < 1:
                raise ProblemError(f"{name} at {100 * score:g}%: give a score between 0 and 100")
        self.grid = Grid(space)
        if len(self.grid) > MOST_NODES:
            raise ProblemError(
                f"the space has {len(self.grid):,} checkpoints, and at most {MOST_NODES:,} can be drawn together: "
                "lower the scenario's search.max_warmup, max_opd or max_replay"
            )
        self._routes: dict[int, Route] = {}

    @property
    def models(self) -> tuple[str, ...]:
        """The base models."""
        return (STUDENT, *self.space.teachers)

    def _believed(self, untrained: Mapping[str, float], *names: int | str) -> View:
        seed = derive_seed(self.seed, "worlds", *names)
        known = {name: (score, LEAST_NOISE / POINTS) for name, score in untrained.items()}
        return Planner(self.space, self.costs, seed, known).view([])

    @cached_property
    def _untrained(self) -> Floats:
        """[draws, models] base models' scores, fractions, where some are not known."""
        nodes = np.array([self.grid.base_model(name) for name in self.models])
        drawn: Floats = self._believed(self.known, "untrained").posterior.draws(nodes, 1)
        return np.clip(drawn / POINTS, LEAST_UNTRAINED, MOST_UNTRAINED)

    def world(self, number: int) -> PriorWorld:
        """One draw; the same whenever it is asked for."""
        rng = np.random.default_rng(derive_seed(self.seed, "world", number))
        untrained = dict(self.known)
        if untrained.keys() != set(self.models):
            drawn = self._untrained[rng.integers(MEMBERS)]
            untrained = {**{name: float(score) for name, score in zip(self.models, drawn, strict=True)}, **untrained}
        # A posterior of its own: base models' scores may differ from world to world.
        posterior = self._believed(untrained, "world", number).posterior
        truths = posterior.draws(np.arange(len(self.grid)), 1)[rng.integers(MEMBERS)]
        return PriorWorld(self, number, np.clip(truths, 0.0, POINTS) / POINTS, posterior.structure.headroom, rng)

    def route(self, node: int) -> Route:
        """The route to a checkpoint, in every world."""
        if node not in self._routes:
            recipe = simulated_recipe(self.space, f"prior:{self.seed}")
            self._routes[node] = compile_checkpoint(self.grid.checkpoint(node), recipe, self.seed)
        return self._routes[node]


class PriorWorld:
    """One world of a prior.

    Attributes:
        truths: [nodes] true scores, fractions.
        best: the true score of the best allocation.
    """

    def __init__(self, prior: Prior, number: int, truths: Floats, headroom: float, rng: np.random.Generator) -> None:
        self.prior, self.number, self.truths = prior, number, truths
        self.best = float(truths[prior.grid.allowed].max())
        self._luck_size = float(rng.choice(BLOCK_EFFECTS)) * headroom / POINTS
        self._luck, self._noise = rng.standard_normal((2, len(truths)))

    def value(self, allocation: Allocation) -> float:
        """The true score of an allocation of the space, a fraction."""
        return float(self.truths[self.prior.grid.index(allocation)])

    def score(self, node: int) -> Score:
        """The validation score of a checkpoint of one training run."""
        seen = min(max(self.truths[node] + self._luck_size * self.luck_of(node), 0.0), 1.0)
        validation = self.prior.validation
        error = validation.error(seen)
        mean = min(max(seen + error * self._noise[node], 0.0), 1.0)
        return Score(float(mean), error, error, validation.problems, validation.samples)

    def luck_of(self, node: int) -> float:
        """What a checkpoint owes to its seed, of size 1; base models owe nothing."""
        luck = 0.0
        for number, block in enumerate(self.prior.grid.chain(node)):
            own = self._luck[block]
            luck = CARRIED * luck + sqrt(1 - CARRIED**2) * own if number else own
        return luck

    def replay(self) -> Replay:
        """The world as a search sees it, with an empty store."""
        prior, costs = self.prior, self.prior.costs
        untrained = {name: (self.score(prior.grid.base_model(name)), costs.scores[name]) for name in prior.models}
        source = Source(
            seed=self.number,
            space=prior.space,
            rows=_Rows(self),
            untrained=untrained,
            states_kept=costs.states_kept,
            block_seconds=costs.blocks,
            score_seconds=costs.scores,
            dearest=prior.dearest,
        )
        return Replay.of(source)


class _Rows(Mapping[Checkpoint, Row]):
    """A world's rows, each worked out when it is asked for."""

    def __init__(self, world: PriorWorld) -> None:
        self._world, self._prior, self._grid = world, world.prior, world.prior.grid

    def __contains__(self, checkpoint: object) -> bool:
        return isinstance(checkpoint, Checkpoint) and self._node(checkpoint) >= 0

    def _node(self, checkpoint: Checkpoint) -> int:
        """-1 for base models too: nothing trains them."""
        node = self._grid.index(checkpoint)
        return node if node >= 0 and self._grid.parent[node] >= 0 else -1

    def __iter__(self) -> Iterator[Checkpoint]:
        return (self._grid.checkpoint(node) for node in np.flatnonzero(self._grid.parent >= 0).tolist())

    def __len__(self) -> int:
        return int((self._grid.parent >= 0).sum())

    def __getitem__(self, checkpoint: Checkpoint) -> Row:
        node = self._node(checkpoint)
        if node < 0:
            raise KeyError(checkpoint)
        route, costs = self._prior.route(node), self._prior.costs
        prices = {block.key: Price(costs.blocks[work_of(block)]) for block in route.blocks}
        model = checkpoint.teacher if self._grid.is_teacher[node] and checkpoint.teacher else STUDENT
        return Row(
            route=route,
            prices=prices,
            validation=self._world.score(node),
            scoring_gpu_seconds=costs.scores[model],
            weights_sha256=route.final,
            gpu_seconds_full=sum(price.gpu_seconds for price in prices.values()),
            labels_trained=len(route.labels_trained),
        )
