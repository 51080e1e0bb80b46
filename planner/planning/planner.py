"""The planner of one study: scores in, the next route out, and what it would hand over.

It is a function of the seed and of what was observed: a search that was interrupted goes on as one that was not.

>>> from tuition.planner.cost import Work
>>> from tuition.planner.space import SearchSpace
>>> space = SearchSpace(teachers=(), num_label_blocks=4, max_warmup=0, max_opd=0)
>>> costs = Costs({Work("student_rl", "student"): 2.0}, {"student": 0.5})
>>> view = Planner(space, costs, seed=0, untrained={"student": (0.4, 0.01)}).view([])
>>> proposal = view.propose(money=9.0)
>>> proposal.allocation.student_rl, proposal.price <= 9.0
(3, True)
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.cost import Work
from tuition.planner.planning.choice import Bools, Candidate, Choice, Purchase
from tuition.planner.planning.grid import Floats, Grid, Ints
from tuition.planner.planning.posterior import LEAST_NOISE, Posterior, Scores
from tuition.planner.planning.structure import Structure
from tuition.planner.planning.warm_start import WarmStart
from tuition.planner.route import derive_seed
from tuition.planner.scores.observations import Observation
from tuition.planner.space import SearchSpace
from tuition.planner.stages import STUDENT

POINTS = 100.0
UNKNOWN_NOISE = 2.0
"""Points; of a score that comes without an error."""
SCORE_CAP = 0.25
"""A checkpoint on the way is scored where that costs at most this share of its last block. Our choice."""


@dataclass(frozen=True)
class Costs:
    """Predicted device-seconds.

    Attributes:
        blocks: of one block, by kind of work.
        scores: of one validation score, by model: "student" or a teacher's name.
        states_kept: stages whose blocks all keep their optimizer's state, as the store does it.
    """

    blocks: Mapping[Work, float]
    scores: Mapping[str, float]
    states_kept: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Ideas:
    """What a planner uses; all of it by default. Experiments leave parts out."""

    structure: bool = True
    counter_forms: bool = True
    residual: bool = True
    flat_members: bool = True
    scores_on_the_way: bool = True
    teachers_scores: bool = True
    reserve: bool = True


@dataclass(frozen=True)
class Proposal:
    """What to train and score next.

    Attributes:
        allocation: the end of the route.
        on_the_way: what is scored besides, in the route's order.
        price: device-seconds of training what is missing, and of the scores.
        gain: by how many points the best posterior mean is expected to rise.
    """

    allocation: Allocation
    on_the_way: tuple[Checkpoint, ...]
    price: float
    gain: float


@dataclass(frozen=True)
class Prediction:
    """An allocation's score as the planner sees it: fractions, with the posterior's standard deviation."""

    allocation: Allocation
    mean: float
    sd: float


class Planner:
    """Plans for one search space.

    Args:
        space: what may be proposed.
        costs: what it would cost.
        seed: of all draws.
        untrained: scores of base models and their standard errors (fractions) by name, as far as they are known.
        ideas: what to use.
        budget: label blocks that a study has, where the space holds more than these.
        warm: another scenario's scores, which these may be like.
    """

    def __init__(
        self,
        space: SearchSpace,
        costs: Costs,
        seed: int,
        untrained: Mapping[str, tuple[float, float]] | None = None,
        ideas: Ideas | None = None,
        budget: int | None = None,
        warm: WarmStart | None = None,
    ) -> None:
        self.grid, self.costs, self.seed, self.ideas = Grid(space, budget), costs, seed, ideas or Ideas()
        self.block_costs = self.grid.block_costs(costs.blocks)
        self.score_costs = self.grid.score_costs(costs.scores)
        self.base_nodes = {self.grid.base_model(name) for name in (STUDENT, *space.teachers)}
        self.warm = None if warm is None else warm.heights(self.grid)
        """[nodes] what another scenario's scores say, as `WarmStart.heights`."""
        self._untrained = {self.grid.base_model(name): pair for name, pair in (untrained or {}).items()}

    def view(self, observed: Sequence[Observation], in_flight: Iterable[Allocation] = ()) -> View:
        """What it thinks, given scores and what is being trained."""
        return View(self, observed, list(in_flight))


class View:
    """What a planner thinks at one moment."""

    def __init__(self, planner: Planner, observed: Sequence[Observation], in_flight: Sequence[Allocation]) -> None:
        self.planner, self.grid, self.ideas = planner, planner.grid, planner.ideas
        scores = self._scores(observed)
        # What was trained elsewhere is in no store.
        here = [one for one in observed if not one.outside]
        ends = sorted({one.trial: one.checkpoint for one in here if isinstance(one.checkpoint, Allocation)}.items())
        self.bought: tuple[int, ...] = ()
        """Nodes whose scores were bought since, and are open."""
        self.num_scores = len(set(scores.nodes.tolist()) - planner.base_nodes)
        """Of checkpoints, base models apart."""
        self.state: Ints = np.zeros(len(self.grid), np.int64)
        pending: list[int] = []
        for allocation in [*(end for _, end in ends), *in_flight]:
            node = self.grid.index(allocation)
            if node >= 0:
                missing = self.grid.missing(node, self.state)
                self.grid.train(missing, self.state, planner.costs.states_kept)
                pending += [one for one in [*missing, node] if allocation in in_flight and one not in scores.nodes]
        self.scored = np.zeros(len(self.grid), bool)
        self.scored[scores.nodes] = True
        seed = derive_seed(planner.seed, "planner", len(scores.nodes))
        self.posterior = self._posterior(scores, seed)
        noise = float(np.median(scores.noise)) if len(scores.noise) else UNKNOWN_NOISE
        self.pending: Ints = np.unique(pending).astype(np.int64)
        """Nodes that are being trained and scored."""
        self.choice = Choice(self.posterior, noise, self.trained, self.pending, seed)
        self.scored[pending] = True

    def _scores(self, observed: Sequence[Observation]) -> Scores:
        known = {node: (value, error) for node, (value, error) in self.planner._untrained.items()}
        for one in observed:
            node = self.grid.index(one.checkpoint)
            if node >= 0:
                error = one.se_samples if one.se_samples is not None else one.se_problems
                known.setdefault(node, (one.value, UNKNOWN_NOISE / POINTS if error is None else error))
        values = np.array([value for value, _ in known.values()]) * POINTS
        noise = np.maximum(np.array([error for _, error in known.values()]) * POINTS, LEAST_NOISE)
        return Scores(np.array(list(known), np.int64), values, noise)

    def _posterior(self, scores: Scores, seed: int) -> Posterior:
        untrained = {node: value * POINTS for node, (value, _) in self.planner._untrained.items()}
        structure = Structure(self.grid, untrained, self.ideas.counter_forms)
        posterior = Posterior(structure, seed, self._flat_share(), self.ideas.residual, self.planner.warm)
        posterior.fit(scores)
        return posterior

    def _flat_share(self) -> float | None:
        if not self.ideas.structure:
            return 1.0
        return None if self.ideas.flat_members else 0.0

    @property
    def trained(self) -> Ints:
        """The allocations that are trained, or are being trained."""
        return np.flatnonzero((self.state > 0) & self.grid.allowed)

    def best(self) -> Prediction:
        """The allocation with the best posterior mean of all, whether it is trained or not."""
        return self._prediction(self.choice.best)

    def best_trained(self) -> Prediction | None:
        """The best of those that are trained; None while there is none."""
        return self._prediction(self.choice.best_of(self.trained)) if len(self.trained) else None

    def predict(self, allocation: Allocation) -> Prediction:
        """What an allocation of the space would score."""
        return self._prediction(self.grid.index(allocation))

    def _prediction(self, node: int) -> Prediction:
        mean, sd = self.choice.predict(node)
        allocation = self.grid.checkpoint(node)
        assert isinstance(allocation, Allocation)
        return Prediction(allocation, mean / POINTS, sd / POINTS)

    def purchase(self, node: int) -> Purchase:
        """A route as it would be bought now: what is scored, and the price of all of it."""
        missing = self.grid.missing(node, self.state)
        new = [one for one in missing if not self.scored[one] and one != node]
        worth = self.planner.score_costs <= SCORE_CAP * self.planner.block_costs
        new = [one for one in new if worth[one] and (self.ideas.teachers_scores or not self.grid.is_teacher[one])]
        scored = [*(new if self.ideas.scores_on_the_way else []), node]
        price = self.planner.block_costs[missing].sum() + self.planner.score_costs[scored].sum()
        return Purchase(node, tuple(scored), float(price))

    def prices(self) -> Floats:
        """[nodes] device-seconds of training what is missing of each, and of its own score."""
        return self.grid.missing_costs(self.planner.block_costs, self.state) + self.planner.score_costs

    def after(self, route: Purchase) -> View:
        """What it thinks once a route is bought, its scores still to come."""
        later = copy.copy(self)
        later.state, later.scored = self.state.copy(), self.scored.copy()
        self.grid.train(self.grid.missing(route.node, self.state), later.state, self.planner.costs.states_kept)
        later.scored[list(route.new)] = True
        later.bought = (*self.bought, *route.new)
        return later

    def price(self, allocation: Allocation) -> float:
        """What an allocation of the space would cost now, with the scores that it would give."""
        return self.purchase(self.grid.index(allocation)).price

    def on_the_way(self, allocation: Allocation) -> list[Checkpoint]:
        """What is to be scored on the way to an allocation."""
        node = self.grid.index(allocation)
        return [self.grid.checkpoint(one) for one in self.purchase(node).new[:-1]] if node >= 0 else []

    def best_rate(self, money: float | None = None) -> float:
        """The most points that a route promises for a device-second."""
        candidates = self.candidates(money)
        return max((one.gain / one.route.price for one in candidates), default=0.0)

    def propose(self, money: float | None = None) -> Proposal | None:
        """What to buy next.

        Args:
            money: device-seconds that are left; None for no limit.

        Returns:
            None where nothing new fits the money.
        """
        candidates = self.candidates(money)
        if not candidates:
            return None
        chosen = max(candidates, key=lambda one: one.worth)
        if money is not None and self.ideas.reserve and not self._left_after(chosen.route, money)[self.choice.best]:
            # No money for both another look and the training of what is now best.
            targets = self.choice.targets
            chosen = max(candidates, key=lambda one: one.handed_over(self._left_after(one.route, money)[targets]))
        return self.proposal(chosen.route, chosen.gain)

    def proposal(self, route: Purchase, gain: float) -> Proposal:
        """A route that is to be bought, as a proposal."""
        *on_the_way, end = [self.grid.checkpoint(node) for node in route.new]
        assert isinstance(end, Allocation)
        return Proposal(end, tuple(on_the_way), route.price, gain)

    def candidates(self, money: float | None = None) -> list[Candidate]:
        """Routes that fit the money, valued: the gain of each is that of its scores and of those that were bought."""
        limit = np.inf if money is None else money
        ends = self.choice.shortlist(self.prices(), self.scored, limit)
        routes = [route for route in map(self.purchase, ends.tolist()) if route.price <= limit]
        return self.choice.values(routes, self.trained, self.bought) if routes else []

    def _left_after(self, route: Purchase, money: float) -> Bools:
        """[nodes] what could still be trained and scored after a route is bought."""
        state = self.state.copy()
        self.grid.train(self.grid.missing(route.node, state), state, self.planner.costs.states_kept)
        prices = self.grid.missing_costs(self.planner.block_costs, state) + self.planner.score_costs
        affordable: Bools = prices <= money - route.price
        return affordable
