"""A rival without structure: a noise-aware Gaussian process, expected improvement for its cost, scores on the way.

It sees what Tuition's own planner sees of students: every checkpoint that its routes pass is scored and learnt from. It
knows nothing of stages: all block counts are coordinates, and teachers' scores are of no use to it.

Model: y - mean(y) ~ A² · Matérn-5/2(r) + E², r² the squared distance in block counts over the space's largest, each
group (label stages, transfer stages, which teacher) over its length-scale. The five parameters are the posterior's mode
under log-normal priors (A the scores' sd, or 3 points; length-scales .6, .8, 1, E the scores' own error).
Choice: the largest expected improvement per cost^.7 (marginal GPU-seconds) of what fits the budget, with the
noise-corrected sd v/√(v + E²), v the posterior variance; at first the half split.

Simplified: of a space of more than `MOST_CANDIDATES` allocations a random part is considered.
"""

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize
from scipy.stats import norm

from tuition.benchmarks.planning.contestant import Game, Step, interval
from tuition.planner.allocation import Allocation
from tuition.planner.planning.residual import matern
from tuition.planner.space import SearchSpace
from tuition.planner.stages import LABEL_STAGES, TRANSFER_STAGES

FloatArray = NDArray[np.float64]
MOST_CANDIDATES = 4000
MOST_PRICED = 100
"""Candidates whose price is asked for: the best by expected improvement."""
EXPONENT = 0.7
"""Of the cost: between .6 and 1 nothing is distinguished, below and at 0 it is worse."""
REFIT = 1.15
"""The parameters are fitted anew when there are this many times as many scores."""
LEAST_SIZE = 0.03
PRIOR = np.log([LEAST_SIZE, 0.6, 0.8, 1.0])
SPREAD = 0.7


class _Features:
    """Block counts as coordinates, in three groups."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        stages = [*LABEL_STAGES, *TRANSFER_STAGES]
        self.most = {stage.name: max(1, space.most_blocks(stage)) for stage in stages}
        self.most["replay"] = max(1, space.max_replay)
        kinds = (None, *space.teachers)
        self.place = {kind: place for place, kind in enumerate(kinds)}
        transfer = {stage.name for stage in TRANSFER_STAGES}
        self.group = np.array([1 if name in transfer else 0 for name in self.most] + [2] * len(kinds))

    def __call__(self, allocations: Sequence[Allocation]) -> FloatArray:
        rows = np.zeros((len(allocations), len(self.group)))
        for row, allocation in zip(rows, allocations, strict=True):
            row[: len(self.most)] = [getattr(allocation, name) / most for name, most in self.most.items()]
            row[len(self.most) + self.place[allocation.teacher]] = math.sqrt(0.5)
        return rows


@lru_cache(maxsize=4)
def _everything(space: SearchSpace) -> tuple[list[Allocation], FloatArray]:
    allocations = space.allocations()
    if len(allocations) > MOST_CANDIDATES:
        allocations = random.Random(0).sample(allocations, MOST_CANDIDATES)
    return allocations, _Features(space)(allocations)


class _Process:
    """The posterior, given scores of allocations."""

    def __init__(self, group: NDArray[np.int64], error: float) -> None:
        self.group = group
        self.prior = np.append(PRIOR, math.log(max(error, 0.001)))
        self.parameters = self.prior
        self.fitted = 0

    def _scaled(self, x: FloatArray) -> FloatArray:
        scaled: FloatArray = x / np.exp(self.parameters[1:4])[self.group]
        return scaled

    def _covariance(self) -> FloatArray:
        scaled, signal, noise = self._scaled(self.x), np.exp(2 * self.parameters[0]), np.exp(2 * self.parameters[4])
        value: FloatArray = signal * matern(scaled, scaled, length=1.0) + (noise + 1e-10) * np.eye(len(scaled))
        return value

    def fit(self, x: FloatArray, y: FloatArray) -> None:
        """Take these scores; fit the parameters anew if there are many more than at the last time."""
        self.x, self.mean = x, float(y.mean())
        self.y = y - self.mean
        if len(y) >= REFIT * self.fitted:
            self.fitted = len(y)
            self.prior[0] = math.log(max(LEAST_SIZE, float(y.std())))
            bounds = [(p - 2.5, p + 2.5) for p in self.prior]
            found = optimize.minimize(
                self._loss, self.parameters, method="L-BFGS-B", bounds=bounds, options={"maxiter": 25}
            )
            self.parameters = found.x
        self.factor = linalg.cho_factor(self._covariance(), lower=True)
        self.weights = linalg.cho_solve(self.factor, self.y)

    def _loss(self, parameters: FloatArray) -> float:
        self.parameters = parameters
        factor = linalg.cholesky(self._covariance(), lower=True)
        z = linalg.solve_triangular(factor, self.y, lower=True)
        surprise = ((parameters - self.prior) / SPREAD) ** 2
        return float(0.5 * z @ z + np.log(np.diag(factor)).sum() + 0.5 * surprise.sum())

    def predict(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Posterior mean and variance of the true score."""
        signal = np.exp(2 * self.parameters[0])
        cross = signal * matern(self._scaled(x), self._scaled(self.x), length=1.0)
        left = linalg.solve_triangular(self.factor[0], cross.T, lower=True)
        return self.mean + cross @ self.weights, np.maximum(signal - (left**2).sum(0), 1e-12)

    @property
    def noise(self) -> float:
        """Variance of a score's noise."""
        return float(np.exp(2 * self.parameters[4]))


@dataclass
class _Search:
    game: Game
    scores: dict[Allocation, float] = field(default_factory=dict)
    spent: float = 0.0
    trials: int = 0
    error: float = 0.0

    def passed(self, allocation: Allocation) -> list[Allocation]:
        """The students on its way."""
        return [one for one in self.game.replay.checkpoints(allocation)[:-1] if isinstance(one, Allocation)]

    def price(self, allocation: Allocation) -> float | None:
        """What buying it would cost; None where that does not fit the money left."""
        cost = self.game.replay.marginal_cost(allocation, self.passed(allocation)).gpu_seconds
        return cost if self.spent + cost <= self.game.budget + 1e-9 else None

    def buy(self, allocation: Allocation) -> None:
        """Train a route, and score it and the students on its way."""
        replay, passed = self.game.replay, self.passed(allocation)
        self.spent += replay.run(allocation, passed).gpu_seconds
        self.trials += 1
        for one in (*passed, allocation):
            score = replay.score(one)[0]
            self.scores[one] = score.mean
            self.error = max(self.error, score.se_samples if math.isfinite(score.se_samples) else score.se_problems)

    def step(
        self,
        model: _Process,
        features: _Features,
        candidates: list[Allocation],
        mean: FloatArray,
        variance: FloatArray,
    ) -> Step:
        """What it would hand over; `mean` and `variance` are those of the candidates."""
        held = [one for one in self.scores if self.game.replay.space.holds(one)]
        trained = held[int(model.predict(features(held))[0].argmax())] if held else None
        best = int(mean.argmax())
        expected = interval(float(mean[best]), math.sqrt(variance[best]))
        return Step(self.spent, candidates[best], trained, self.trials, expected)


def play_gp_ei(game: Game) -> list[Step]:
    """Play a search, as the module says."""
    replay, steps = game.replay, list[Step]()
    features = _Features(replay.space)
    candidates, x = _everything(replay.space)
    search = _Search(game)
    half = [game.best_named("half")] if "half" in game.named else []
    anything = (replay.nearest_route(one).allocation for one in candidates)
    first = next((one for one in itertools.chain(half, anything) if search.price(one) is not None), None)
    if first is None:
        return []
    search.buy(first)
    model = _Process(features.group, search.error)
    while True:
        model.fit(features(list(search.scores)), np.array(list(search.scores.values())))
        mean, variance = model.predict(x)
        steps.append(search.step(model, features, candidates, mean, variance))
        best = max(model.predict(features(list(search.scores)))[0])
        sd = variance / np.sqrt(variance + model.noise)
        z = (mean - best) / sd
        improvement = sd * (z * norm.cdf(z) + norm.pdf(z))
        chosen = _best_per_cost(search, candidates, improvement)
        if chosen is None:
            return steps
        search.buy(chosen)


def _best_per_cost(search: _Search, candidates: list[Allocation], improvement: FloatArray) -> Allocation | None:
    """Of what fits the budget and is not scored; None where nothing is left."""
    replay, found = search.game.replay, list[tuple[float, Any]]()
    priced = 0
    for place in np.argsort(-improvement):
        allocation = replay.nearest_route(candidates[place]).allocation
        if allocation in search.scores:
            continue
        cost = search.price(allocation)
        if cost is not None:
            found.append((improvement[place] / max(cost, 1e-9) ** EXPONENT, allocation))
        priced += 1
        if found and priced >= MOST_PRICED:
            break
    return max(found, key=lambda pair: pair[0])[1] if found else None
