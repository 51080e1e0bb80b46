"""What can be said of splits by draws from the posterior, and what money would be spent on next.

Draws are [draws, splits], in points: each row is one world that the scores allow. The words are those of ranking and
selection: a split is *good enough* where no other is better by more than a margin, and the expected regret (expected
opportunity cost) of a split is by how much the best is expected to be better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tuition.planner.planning.choice import EXPONENT, Bools, Purchase
from tuition.planner.planning.grid import Floats, Ints
from tuition.planner.planning.planner import View

LEVEL = 0.9
"""Of all intervals."""
EACH = 8
"""Draws of each member of the posterior."""
MOST_RIVALS = 500
"""Splits that are compared: the best by mean and spread."""
CHUNK = 20_000
"""Nodes whose means are held in memory at once, for every member."""
LEAST_GAIN = 0.02
"""Points: a plan ends where the next route promises less."""


def intervals(draws: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean, low and high at `LEVEL` of each column of draws, or of draws of one number."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return draws.mean(0), low, high


@dataclass(frozen=True)
class Spread:
    """A mean with its interval at `LEVEL`, in points."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, draws: Floats) -> Spread:
        """Of draws of one number."""
        mean, low, high = intervals(draws)
        return cls(float(mean), float(low), float(high))

    @property
    def open(self) -> bool:
        """Whether it holds zero."""
        return self.low <= 0 <= self.high


@dataclass(frozen=True)
class Standing:
    """How a split stands among all.

    Attributes:
        score: what it is expected to score.
        best: the probability that it is the best.
        good_enough: the probability that no other is better by more than the margin.
        regret: by how much the best is expected to be better, in points.
        rival: the place of the split that is most often the best where the chosen one is not good enough, if any is.
        ahead: by how much the chosen one is better than the rival.
    """

    score: Spread
    best: float
    good_enough: float
    regret: float
    rival: int | None
    ahead: Spread | None


def standing(draws: Floats, chosen: int, margin: float) -> Standing:
    """How one of the splits stands; `chosen` is its place."""
    first = draws.argmax(1)
    loss = draws.max(1) - draws[:, chosen]
    missed = first[loss > margin]
    rival = int(np.bincount(missed).argmax()) if len(missed) else None
    return Standing(
        score=Spread.of(draws[:, chosen]),
        best=float((first == chosen).mean()),
        good_enough=float((loss <= margin).mean()),
        regret=float(loss.mean()),
        rival=rival,
        ahead=None if rival is None else Spread.of(draws[:, chosen] - draws[:, rival]),
    )


def probability_best(draws: Floats) -> Floats:
    """[splits] how often each is the best."""
    return np.bincount(draws.argmax(1), minlength=draws.shape[1]) / len(draws)


def alike(draws: Floats, chosen: int, margin: float) -> Bools:
    """[splits] which cannot be distinguished from one, and are expected to be worse by the margin at most."""
    mean, low, high = intervals(draws[:, [chosen]] - draws)
    found: Bools = (low <= 0) & (high >= 0) & (mean <= margin)
    found[chosen] = False
    return found


def first_reaching(gains: Floats, wanted: float) -> tuple[int | None, int | None, int | None]:
    """Where a gain that is wanted is reached first, by the mean, and the interval of that place at `LEVEL`.

    Args:
        gains: [draws, places] in their order.
        wanted: points.

    Returns:
        Places; None where it is not reached.
    """
    reached = gains >= wanted
    first = np.where(reached.any(1), reached.argmax(1), gains.shape[1])
    by_mean = np.flatnonzero(gains.mean(0) >= wanted)
    low, high = np.quantile(first, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="nearest").tolist()
    within = [None if place >= gains.shape[1] else int(place) for place in (low, high)]
    return int(by_mean[0]) if len(by_mean) else None, within[0], within[1]


def posterior_means(view: View, among: Bools) -> Floats:
    """[nodes] posterior means in points, of as many nodes as there are; -inf for those that are not asked for."""
    nodes = np.flatnonzero(among)
    means = np.full(len(view.grid), -np.inf)
    for part in np.array_split(nodes, max(len(nodes) // CHUNK, 1)):
        means[part] = view.posterior.at(part).means.mean(0)
    return means


@dataclass(frozen=True)
class Rivals:
    """The allocations that are compared, with draws of them.

    Attributes:
        nodes: what could be the best, and the best that is trained, in the order of their numbers.
        draws: of the nodes.
        named: the place of the one with the best posterior mean.
    """

    nodes: Ints
    draws: Floats
    named: int

    @classmethod
    def of(cls, view: View) -> Rivals:
        """At a moment of a study."""
        choice, trained = view.choice, view.trained
        promising = choice.nodes[np.argsort(-(choice.mean + 2 * choice.sd), kind="stable")[:MOST_RIVALS]]
        best_trained = [choice.best_of(trained)] if len(trained) else []
        nodes = np.unique([*promising, choice.best, *best_trained])
        return cls(nodes, view.posterior.draws(nodes, EACH), int(np.searchsorted(nodes, choice.best)))


@dataclass(frozen=True)
class Step:
    """A route of a plan, and by how much the plan's expected rise of the best posterior mean grows with it (points)."""

    route: Purchase
    gain: float


def plan(view: View, money: float, most: int) -> list[Step]:
    """What money would be spent on, one route after the other: the most points per price^`EXPONENT` first.

    Args:
        view: of the study.
        money: device-seconds.
        most: routes.
    """
    steps: list[Step] = []
    gained, left = 0.0, money
    while len(steps) < most:
        candidates = view.candidates(left)
        if not candidates:
            break
        chosen = max(candidates, key=lambda one: (one.gain - gained) / one.route.price**EXPONENT)
        if chosen.gain - gained < LEAST_GAIN:
            break
        steps.append(Step(chosen.route, chosen.gain - gained))
        gained, left = chosen.gain, left - chosen.route.price
        view = view.after(chosen.route)
    return steps
