"""What to train next: the route whose scores are worth most for their price.

What: routes that fit the money left are sifted by expected improvement; for each of the best the *knowledge gradient*
of all scores that it would give, its end's and those on the way: how much the best posterior mean is expected to rise
(Frazier, Powell, Dayanik 2009). The most per price^`EXPONENT` is bought. When what is left would not pay for both that
and the training of what is now best, the route is bought after which the best is expected to be trained in the end:
what it trains itself, or what could still be paid for when its scores are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, qmc

from tuition.planner.planning.grid import Floats, Grid, Ints
from tuition.planner.planning.posterior import At, Posterior
from tuition.planner.planning.structure import Singles

EXPONENT = 0.7
SHORTLIST = 100
DRAWS = 64
MOST_NODES = 3000
MOST_TARGETS = 2000
"""Allocations whose posterior means are followed: the best by mean and spread; others could not become the best."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Purchase:
    """A route that could be bought: its end, the nodes whose scores it would give (its end last), and its price."""

    node: int
    new: tuple[int, ...]
    price: float


@dataclass(frozen=True)
class Candidate:
    """A route that could be bought, and what it would be worth.

    Attributes:
        route: what would be bought.
        gain: expected rise of the best posterior mean, in points.
        after: [draws, targets] posterior means that it may lead to, in points.
        trained: [draws, allocations] the same of all allocations that are trained then.
    """

    route: Purchase
    gain: float
    after: Singles
    trained: Floats

    @property
    def worth(self) -> float:
        """What candidates are compared by."""
        worth: float = self.gain / self.route.price**EXPONENT
        return worth

    def handed_over(self, affordable: Bools) -> float:
        """Expected posterior mean of what is trained in the end, if one of some targets may be bought after it.

        Args:
            affordable: [targets] which could be.
        """
        means = np.concatenate([self.trained, self.after[:, affordable]], 1)
        return float(means.max(1).mean()) if means.shape[1] else -np.inf


class Choice:
    """Candidates under one posterior.

    Args:
        posterior: fitted.
        noise: standard deviation of a score to come, in points.
        held: nodes that are trained.
        pending: nodes whose scores are being made: their outcome is open, but not theirs to learn again.
        seed: of the draws.
    """

    def __init__(self, posterior: Posterior, noise: float, held: Ints, pending: Ints, seed: int) -> None:
        self.grid: Grid = posterior.grid
        self._posterior, self._seed = posterior, seed
        self._drawn: dict[int, Floats] = {}
        self._noise = float(np.hypot(noise, posterior.block_effect))
        self._pending = posterior.at(pending)
        among = posterior.covariance(self._pending, self._pending)
        self._given = np.linalg.inv(among + self._noise**2 * np.eye(len(pending)))
        self.nodes = self._sifted(np.concatenate([held, pending]))
        at = posterior.at(self.nodes)
        self.mean, variance = at.means.mean(0), posterior.variances(at)
        if len(pending):
            seen = posterior.covariance(at, self._pending)
            variance = variance - np.einsum("ij,jk,ik->i", seen, self._given, seen)
        self.sd = np.sqrt(np.maximum(variance, 1e-9))
        chosen = np.sort(np.argsort(-(self.mean + 2 * self.sd), kind="stable")[:MOST_TARGETS])
        self._targets = At(self.nodes[chosen], at.means[:, chosen], tuple(seen[chosen] for seen in at.seen))

    def _sifted(self, held: Ints) -> Ints:
        """The allocations that may matter: all of a small space; of a large one the most promising, and those held."""
        allowed: Ints = np.flatnonzero(self.grid.allowed)
        if len(allowed) <= MOST_NODES:
            return allowed
        promising = np.argsort(-self._posterior.rough_spread(allowed), kind="stable")[:MOST_NODES]
        return np.union1d(allowed[promising], held[self.grid.allowed[held]])

    def _covariance(self, rows: At, columns: At) -> Floats:
        """The posterior's, once the scores that are being made are known, whatever they will be."""
        found = self._posterior.covariance(rows, columns)
        if len(self._pending.nodes):
            left = self._posterior.covariance(rows, self._pending)
            found = found - left @ self._given @ self._posterior.covariance(columns, self._pending).T
        return found

    @property
    def targets(self) -> Ints:
        """The allocations whose means are followed."""
        return self._targets.nodes

    @property
    def best(self) -> int:
        """The allocation with the best posterior mean."""
        return int(self.nodes[self.mean.argmax()])

    def best_of(self, nodes: Ints) -> int:
        """The best of some allocations."""
        return int(nodes[self.mean[np.searchsorted(self.nodes, nodes)].argmax()])

    def predict(self, node: int) -> tuple[float, float]:
        """Posterior mean and standard deviation of an allocation's score, in points."""
        at = self._posterior.at(np.array([node]))
        return float(at.means.mean()), float(np.sqrt(self._posterior.variances(at)[0]))

    def shortlist(self, prices: Floats, scored: Bools, money: float) -> Ints:
        """Ends of routes that fit the money, the most promising by expected improvement, plain and for its price.

        Args:
            prices: [nodes] of training what is missing, and of the end's score.
            scored: [nodes] what has a score, or will have one.
            money: what is left.
        """
        price = prices[self.nodes]
        fits = (price <= money) & ~scored[self.nodes]
        # What repeated scores cannot tell is no improvement to hope for.
        sd = self.sd**2 / np.hypot(self.sd, self._noise)
        ahead = (self.mean - self.mean.max()) / sd
        improvement = np.where(fits, sd * (ahead * norm.cdf(ahead) + norm.pdf(ahead)), -1.0)
        price = np.maximum(price, 1e-9)
        found: dict[int, None] = {}
        orders = [np.argsort(-improvement / price**power, kind="stable") for power in (EXPONENT, 1.0, 0.0)]
        for places in zip(*orders, strict=True):
            found.update((int(self.nodes[place]), None) for place in places if improvement[place] >= 0)
            if len(found) >= SHORTLIST or improvement[places[0]] < 0:
                break
        return np.array(list(found)[:SHORTLIST], np.int64)

    def values(self, routes: Sequence[Purchase], trained: Ints, bought: tuple[int, ...] = ()) -> list[Candidate]:
        """The worth of each route's scores.

        Args:
            routes: what could be bought.
            trained: allocations that are trained already.
            bought: nodes whose scores come in any case, and count in every route's gain.
        """
        nodes = np.unique([*bought, *(one for route in routes for one in route.new)])
        # One covariance for all routes: they have most of their nodes in common.
        at, held = self._posterior.at(nodes), self._posterior.at(trained)
        targets, among, crossed = (self._covariance(at, other) for other in (self._targets, at, held))
        target_mean, known_mean, mean = (one.means.mean(0) for one in (self._targets, held, at))
        found = []
        for route in routes:
            places = np.searchsorted(nodes, (*bought, *route.new))
            own = among[np.ix_(places, places)]
            chol = np.linalg.cholesky(own + (self._noise**2 + 1e-6) * np.eye(len(places)))
            z = self._normals(len(places))
            # Single precision: there are 64 x 2,000 means for each of a hundred routes.
            moved = np.linalg.solve(chol, targets[places]).astype(np.float32)
            after = target_mean.astype(np.float32) + z.astype(np.float32) @ moved
            gain = float(after.max(1).mean() - target_mean.max())
            # What is trained then.
            allowed = self.grid.allowed[nodes[places]]
            ends = (mean[places] + z @ np.linalg.solve(chol, own))[:, allowed]
            known = known_mean + z @ np.linalg.solve(chol, crossed[places])
            found.append(Candidate(route, gain, after, np.concatenate([ends, known], 1)))
        return found

    def _normals(self, dimension: int) -> Floats:
        """[draws, dimension] standard normals, the same for all candidates of a dimension."""
        if dimension not in self._drawn:
            points = qmc.Sobol(dimension, seed=self._seed).random(DRAWS // 2)
            half: Floats = norm.ppf(np.clip(points, 1e-6, 1 - 1e-6))
            self._drawn[dimension] = np.concatenate([half, -half])
        return self._drawn[dimension]
