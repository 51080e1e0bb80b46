"""What is believed of all checkpoints' scores, given the scores so far.

What: members, each with values for the structure's unknowns and a size for the residual, drawn from the posterior by a
differential-evolution Markov chain (ter Braak 2006); a Matérn-5/2 Gaussian process for what the structure leaves,
integrated out in the likelihood (`tuition.planner.planning.residual`); the known noise of every score, and a random
effect of every shared block. Prediction is the mixture of the members.

Members are of three kinds: those whose mean is the structure, flat ones that know no structure, and, with a warm start,
those whose mean is another scenario's surface, moved and scaled.

Simplified: of many scores, the structure's unknowns see a part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from tuition.planner.planning.grid import Floats, Ints
from tuition.planner.planning.residual import LENGTHS, Residual, Setting
from tuition.planner.planning.structure import Structure
from tuition.planner.route import derive_seed

MEMBERS = 256
STEPS, FINAL_STEPS, POOL_STEPS = 10, 100, 5
"""Of the chain before and at the whole likelihood, and after how many its pool is renewed."""
MOST_FITTED = 100
"""Scores that the structure's unknowns are fitted to; the residual sees all."""
ROUGH_MEMBERS, ROUGH_CHUNK = 16, 20_000
JITTER = 1e-6
LEAST_NOISE = 0.1
"""Points, of any score."""
FORMS, FLAT, WARM = range(3)
"""Kinds of members: whose mean is the structure, a constant, or another scenario's surface."""
FLAT_SHARE, WARM_SHARE = 0.25, 0.125
"""Prior shares of members; the second where there is such a surface."""
RESIDUALS = np.array([(np.log(0.05), 1.0), (np.log(0.15), 0.7), (np.log(0.03), 0.6)])
"""Prior of the log of the residual's size in headrooms, by kind: mean and sd."""
LEVEL = (0.2, 0.2)
"""Of a flat member, in headrooms above the untrained student: mean and sd."""
SHIFT, SCALE = (0.0, 0.1), (1.0, 0.5)
"""Of another scenario's surface, both in headrooms: mean and sd."""


@dataclass(frozen=True)
class Scores:
    """Scores so far: of which nodes, in points, and the standard deviations of their known noise."""

    nodes: Ints
    values: Floats
    noise: Floats

    def thinned(self, most: int) -> Scores:
        """At most so many of them, evenly spread over their order."""
        if len(self.nodes) <= most:
            return self
        kept = np.linspace(0, len(self.nodes) - 1, most).round().astype(int)
        return Scores(self.nodes[kept], self.values[kept], self.noise[kept])


@dataclass(frozen=True)
class At:
    """A posterior at some nodes.

    Attributes:
        nodes: which.
        means: [members, nodes] each member's mean.
        seen: for each choice of length-scale and block effect, [nodes, scores] what the scores tell of the residual.
    """

    nodes: Ints
    means: Floats
    seen: tuple[Floats, ...]


class Posterior:
    """Beliefs about the scores of a grid's nodes.

    Args:
        structure: the mean.
        seed: of the chain.
        flat: prior share of members that know no structure; by default `FLAT_SHARE`.
        residual: whether there is one; without it the structure must explain everything (for experiments).
        warm: [nodes] another scenario's scores, in its headrooms above its untrained student.
    """

    def __init__(
        self,
        structure: Structure,
        seed: int,
        flat: float | None = None,
        residual: bool = True,
        warm: Floats | None = None,
    ) -> None:
        self.structure, self.grid = structure, structure.grid
        self._seed, self._residual, self._warm = seed, residual, warm
        self._flat_share = FLAT_SHARE if flat is None else flat
        self._rng = np.random.default_rng(seed)
        # More variables than the structure has: a surface's scale, the level of a mean, and the size of the residual.
        self.z: Floats = np.zeros((MEMBERS, structure.num_unknowns + (2 if warm is None else 3)))
        self._kind: Ints = np.zeros(MEMBERS, np.int64)
        self._which: Ints = np.zeros(MEMBERS, np.int64)
        self._left = Residual(self.grid)
        self._settings: list[Setting] = []
        self._nodes, self._values, self._deviation = np.zeros(0, np.int64), np.zeros(0), np.zeros((MEMBERS, 0))

    @property
    def rho(self) -> Floats:
        """[members] sizes of the residual in points."""
        return self._rho_of(self.z, self._kind)

    def fit(self, scores: Scores) -> None:
        """Draw the members anew, from the posterior of these scores.

        From the prior, the likelihood is let in by degrees: members that it favours are doubled, those that it does not
        are dropped, and all are moved. So the members depend on the seed and these scores only, not on what was fitted
        before, and no peak is lost that the prior had found. Each kind of member keeps its number until the end, when
        the kinds' evidence says how many there are of each: no move leads from one kind to another, so by resampling
        all of them together a kind would win or die by chance.
        """
        self._rng = np.random.default_rng(self._seed)
        self._set_data(scores.thinned(MOST_FITTED))
        self.z = self._rng.standard_normal(self.z.shape)
        place = np.arange(MEMBERS) % 64 / 64
        self._kind = np.where(place < self._flat_share, FLAT, FORMS)
        if self._warm is not None:
            self._kind[place >= 1 - WARM_SHARE] = WARM
        self._which = self._rng.integers(0, len(self._settings), MEMBERS)
        likelihood = self._log_likelihood(self.z, self._which, self._kind)
        kinds = [np.flatnonzero(self._kind == kind) for kind in np.unique(self._kind)]
        evidence = np.log([len(own) / MEMBERS for own in kinds])
        share = 0.0
        while share < 1.0:
            step = _next_step([likelihood[own] for own in kinds], 1.0 - share)
            share = min(share + step, 1.0)
            evidence += [logsumexp(likelihood[own] * step) - np.log(len(own)) for own in kinds]
            kept = np.concatenate([own[_resample(likelihood[own] * step, self._rng)] for own in kinds])
            kinds = [np.flatnonzero(self._kind[kept] == kind) for kind in np.unique(self._kind)]
            if share >= 1.0:
                weights = np.concatenate(
                    [np.full(len(own), log - np.log(len(own))) for own, log in zip(kinds, evidence, strict=True)]
                )
                kept = kept[_resample(weights, self._rng)]
            self.z, self._which, self._kind, likelihood = (
                self.z[kept],
                self._which[kept],
                self._kind[kept],
                likelihood[kept],
            )
            for number in range(FINAL_STEPS if share >= 1.0 else STEPS):
                if number % POOL_STEPS == 0:
                    pool = self.z.copy()
                likelihood = self._move(likelihood, share, pool, leap=number % 10 == 9)
            likelihood = self._redraw_settings(share)
        if len(scores.nodes) > MOST_FITTED:
            self._set_data(scores)
            self._redraw_settings(1.0)
        self._deviation = self._rest(self.z, self._kind)

    def _move(self, likelihood: Floats, share: float, pool: Floats, leap: bool) -> Floats:
        """One step of differential evolution under a share of the likelihood; the members' log likelihoods after it.

        Members move by differences within a pool of earlier members (ter Braak and Vrugt 2008).
        """
        size, shape = self.z.shape[1], self.z.shape
        a, b = self._partners()
        # Some of the variables at a time: moves of all of them are seldom accepted.
        portion = self._rng.choice([0.2, 0.5, 1.0], (len(self.z), 1))
        moved = self._rng.random(shape) < portion
        scale = 1.0 if leap else 2.38 / np.sqrt(2 * size * portion) * self._rng.uniform(0.4, 1.2, (len(self.z), 1))
        jitter = 1e-3 * self._rng.standard_normal(shape)
        proposed = self.z + moved * (scale * (pool[a] - pool[b]) + jitter)
        new = self._log_likelihood(proposed, self._which, self._kind)
        rise = share * (new - likelihood) + _log_prior(proposed) - _log_prior(self.z)
        accepted = np.log(self._rng.random(len(self.z))) < rise
        self.z = np.where(accepted[:, None], proposed, self.z)
        return np.where(accepted, new, likelihood)

    def _partners(self) -> Ints:
        """[2, members] two others for each, of its own kind where there are enough.

        Never itself: a move by a difference to oneself is not as likely back, and draws members together.
        """
        found = self._others(len(self.z))
        for kind in (FORMS, FLAT, WARM):
            own = np.flatnonzero(self._kind == kind)
            if len(own) >= 4:
                found[:, own] = own[self._others(len(own))]
        return found

    def _others(self, count: int) -> Ints:
        """[2, count] two of so many places for each, other than itself."""
        return (np.arange(count) + self._rng.integers(1, count, (2, count))) % count

    def _set_data(self, scores: Scores) -> None:
        self._nodes, self._values = scores.nodes, scores.values
        self._settings = self._left.settings(scores.nodes, scores.noise, self.structure.headroom)

    def _log_likelihood(self, z: Floats, which: Ints, kind: Ints) -> Floats:
        rest, rho = self._rest(z, kind), self._rho_of(z, kind)
        found = np.zeros(len(z))
        for i, setting in enumerate(self._settings):
            mine = which == i
            if mine.any():
                found[mine] = setting.log_likelihood(rest[mine], rho[mine])
        return found

    def _rho_of(self, z: Floats, kind: Ints) -> Floats:
        size: Floats = self.structure.headroom * np.exp(RESIDUALS[kind, 0] + RESIDUALS[kind, 1] * z[:, -1])
        return size if self._residual else np.zeros_like(size)

    def _mean(self, z: Floats, kind: Ints, nodes: Ints) -> Floats:
        """[members, nodes] the members' means without their residuals."""
        structure, has = self.structure, self._left.has[nodes]
        found = structure.scores(z[:, : structure.num_unknowns], nodes)
        level = structure.base + structure.headroom * (LEVEL[0] + LEVEL[1] * z[:, -2])
        found[np.ix_(kind == FLAT, has)] = level[kind == FLAT, None]
        if self._warm is not None:
            own = z[kind == WARM]
            shift, scale = SHIFT[0] + SHIFT[1] * own[:, [-2]], SCALE[0] + SCALE[1] * own[:, [-3]]
            moved = structure.base + structure.headroom * (shift + scale * self._warm[nodes[has]])
            found[np.ix_(kind == WARM, has)] = moved
        return found

    def _rest(self, z: Floats, kind: Ints) -> Floats:
        return self._values - self._mean(z, kind, self._nodes)

    def _redraw_settings(self, share: float) -> Floats:
        """Draw each member's length-scale and block effect anew, given its unknowns; their log likelihoods then."""
        rest, rho = self._rest(self.z, self._kind), self.rho
        each = np.stack([setting.log_likelihood(rest, rho) for setting in self._settings], 1)
        self._which = (share * each + self._rng.gumbel(size=each.shape)).argmax(1)
        result: Floats = each[np.arange(len(self.z)), self._which]
        return result

    def at(self, nodes: Ints) -> At:
        """What is believed of some nodes."""
        kernels = {length: self._left.kernel(nodes, self._nodes, length) for length in LENGTHS}
        seen = tuple(kernels[setting.length] @ setting.basis for setting in self._settings)
        means, rho = self._mean(self.z, self._kind, nodes), self.rho
        for i, setting in enumerate(self._settings):
            mine = np.flatnonzero(self._which == i)
            means[mine] += setting.told(self._deviation[mine], rho[mine]) @ seen[i].T
        return At(nodes, means, seen)

    def rough_spread(self, nodes: Ints) -> Floats:
        """[nodes] mean plus two standard deviations by a few members' structures: a cheap first look at many nodes."""
        few = np.arange(0, len(self.z), len(self.z) // ROUGH_MEMBERS)
        found = np.empty(len(nodes))
        for part in np.array_split(np.arange(len(nodes)), max(len(nodes) // ROUGH_CHUNK, 1)):
            means = self._mean(self.z[few], self._kind[few], nodes[part])
            found[part] = means.mean(0) + 2 * means.std(0)
        return found

    def covariance(self, rows: At, columns: At) -> Floats:
        """[rows, columns] posterior covariance of scores: between members, and of the residual."""
        found: Floats = (rows.means - rows.means.mean(0)).T @ (columns.means - columns.means.mean(0)) / len(self.z)
        kernels = {length: self._left.kernel(rows.nodes, columns.nodes, length) for length in LENGTHS}
        rho = self.rho
        for i, setting in enumerate(self._settings):
            mine = rho[self._which == i]
            found += (mine**2).sum() / len(self.z) * kernels[setting.length]
            found -= (rows.seen[i] * (setting.explained(mine).sum(0) / len(self.z))) @ columns.seen[i].T
        return found

    def variances(self, at: At) -> Floats:
        """[nodes] posterior variances: the diagonal of `covariance`."""
        found, rho = at.means.var(0), self.rho
        for i, setting in enumerate(self._settings):
            mine = rho[self._which == i]
            left = (mine**2).sum() - (at.seen[i] ** 2 * setting.explained(mine).sum(0)).sum(1)
            found = found + self._left.has[at.nodes] * left / len(self.z)
        variances: Floats = np.maximum(found, 1e-9)
        return variances

    def draws(self, nodes: Ints, each: int) -> Floats:
        """[members times `each`, nodes] scores of nodes drawn together from the posterior, residuals among them.

        A residual is drawn from the prior, here and where there are scores, and moved by what the scores say of it
        (Wilson et al. 2020, arXiv 2002.09309).
        """
        rng = np.random.default_rng(derive_seed(self._seed, "draws"))
        at, num = self.at(nodes), len(nodes)
        found, both = np.repeat(at.means, each, 0), np.concatenate([nodes, self._nodes])
        which, rho = np.repeat(self._which, each), np.repeat(self.rho, each)[:, None]
        for length in LENGTHS:
            # A node that is there twice, or has no residual, needs the last term.
            root = np.linalg.cholesky(self._left.kernel(both, both, length) + JITTER * np.eye(len(both)))
            for i, setting in enumerate(self._settings):
                mine = np.flatnonzero((which == i) & (setting.length == length))
                prior = rho[mine] * self._left.has[both] * (rng.standard_normal((len(mine), len(both))) @ root.T)
                size, noise = rho[mine] ** 2, rng.standard_normal((len(mine), len(self._nodes)))
                told = size * (prior[:, num:] @ setting.basis + noise) / (size * setting.spectrum + 1)
                found[mine] += prior[:, :num] - told @ at.seen[i].T
        return found

    @property
    def block_effect(self) -> float:
        """Root mean square of the block effects over the members, in points."""
        effects = np.array([setting.effect for setting in self._settings])[self._which]
        return float(self.structure.headroom * np.sqrt((effects**2).mean()))


def _next_step(likelihoods: Sequence[Floats], most: float) -> float:
    """How much more of the likelihood to let in: of each kind of member, half should still count."""

    def bearable(step: float) -> bool:
        return all(_effective(likelihood * step) >= len(likelihood) / 2 for likelihood in likelihoods)

    low, high = 0.0, most
    if bearable(most):
        return most
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if bearable(middle) else (low, middle)
    return max(low, 1e-6)


def _effective(log_weights: Floats) -> float:
    weights = np.exp(log_weights - log_weights.max())
    return float(weights.sum() ** 2 / (weights**2).sum())


def _resample(log_weights: Floats, rng: np.random.Generator) -> Ints:
    """Members drawn by weight, each as often as its weight says within one (systematic resampling)."""
    weights = np.exp(log_weights - log_weights.max())
    edges = np.cumsum(weights) / weights.sum()
    points = (np.arange(len(weights)) + rng.random()) / len(weights)
    return np.minimum(np.searchsorted(edges, points), len(weights) - 1)


def _log_prior(z: Floats) -> Floats:
    result: Floats = -0.5 * (z**2).sum(1)
    return result
