"""What a mean leaves: a Matérn-5/2 process over the nodes of a grid and the luck of shared blocks, integrated out.

With D the scores' noise and S the blocks that two scores share, M = D + tau² S = L L', and L⁻¹ K L⁻ᵀ = Q diag(e) Q'.
A member with residual size rho and mean f has z = Q' L⁻¹ (y - f), and its log likelihood is
-1/2 sum(z² / (rho² e + 1) + log(rho² e + 1)) - sum(log diag L): one decomposition serves every member and step.

Simplified: tau and the length-scale are chosen from a few values; teachers' scores have noise, but no residual.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from tuition.planner.planning.grid import HARD, OPD, REPLAY, RL, SFT, STUDENT_RL, TEACHER, WARMUP, Floats, Grid, Ints

LENGTHS = (0.7, 1.2)
BLOCK_EFFECTS = (0.005, 0.025, 0.06)
"""Sizes that the effect of the blocks behind a student may have, in headrooms."""
CARRIED = 0.85
"""How much of a checkpoint's luck is left after another block."""


@dataclass(frozen=True)
class Setting:
    """A length-scale and a size of block effects, with what the likelihood needs of them."""

    length: float
    effect: float
    basis: Floats
    """L⁻ᵀ Q."""
    spectrum: Floats
    log_det: float

    def log_likelihood(self, rest: Floats, rho: Floats) -> Floats:
        """[members] of the scores, given what the members' means leave [members, scores] and the residuals' sizes."""
        spread = rho[:, None] ** 2 * self.spectrum + 1.0
        result: Floats = -0.5 * ((rest @ self.basis) ** 2 / spread + np.log(spread)).sum(1) - self.log_det
        return result

    def told(self, rest: Floats, rho: Floats) -> Floats:
        """[members, scores] what the scores say of the members' residuals."""
        size = rho[:, None] ** 2
        result: Floats = size * (rest @ self.basis) / (size * self.spectrum + 1)
        return result

    def explained(self, rho: Floats) -> Floats:
        """[members, scores] by how much the scores narrow residuals of some sizes."""
        result: Floats = rho[:, None] ** 4 / (rho[:, None] ** 2 * self.spectrum + 1)
        return result


class Residual:
    """The residual of a grid's nodes, of size one.

    Args:
        grid: the checkpoints.

    Attributes:
        has: [nodes] whether there is one: base models and teachers have none.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.has: NDArray[np.bool_] = ~grid.is_teacher & (grid.blocks > 0)
        self._features = features(grid.counts, grid.budget, len(grid.space.teachers))

    def kernel(self, a: Ints, b: Ints, length: float) -> Floats:
        """[len(a), len(b)] its correlation."""
        kernel: Floats = matern(self._features[a], self._features[b], length) * self.has[a][:, None] * self.has[b]
        return kernel

    def settings(self, nodes: Ints, noise: Floats, headroom: float) -> list[Setting]:
        """What scores of nodes with some noise (points) say, for each length-scale and size of block effects."""
        luck, found = self._luck(nodes), []
        for length in LENGTHS:
            kernel = self.kernel(nodes, nodes, length)
            for effect in BLOCK_EFFECTS:
                covariance = np.diag(noise**2 + 1e-9) + (effect * headroom) ** 2 * luck
                chol = np.linalg.cholesky(covariance)
                half = solve_triangular(chol, kernel, lower=True)
                spectrum, vectors = np.linalg.eigh(solve_triangular(chol, half.T, lower=True))
                basis = solve_triangular(chol.T, vectors, lower=False)
                log_det = float(np.log(np.diag(chol)).sum())
                found.append(Setting(length, effect, basis, np.maximum(spectrum, 0.0), log_det))
        return found

    def _luck(self, nodes: Ints) -> Floats:
        """[nodes, nodes] how much of their luck checkpoints share: all of it one with itself, none with base models."""
        blocks, shared = self.grid.blocks[nodes], self.grid.shared_blocks(nodes, nodes)
        apart = blocks[:, None] + blocks - 2 * shared
        return np.where(shared > 0, CARRIED**apart, 0.0)


def features(counts: Ints, budget: int, num_teachers: int) -> Floats:
    """[nodes, 7 + teachers] coordinates for the residual: labels in budgets, bridge blocks in units of 3.2.

    Different teachers are one length-scale apart, as are a student with a bridge and one without, GRPO and SFT.

    Args:
        counts: [nodes, 8] as a grid has them.
        budget: label blocks in the unit that labels are counted in.
        num_teachers: that there are.
    """
    labels = (counts[:, RL] + counts[:, SFT]) / budget
    one_hot = (counts[:, [TEACHER]] == np.arange(num_teachers)) / np.sqrt(2)
    return np.column_stack(
        [
            labels,
            counts[:, STUDENT_RL] / budget / 0.6,
            counts[:, WARMUP] / 3.2,
            (counts[:, OPD] + counts[:, HARD]) / 3.2,
            counts[:, REPLAY] / budget / 0.6,
            counts[:, SFT] > 0,
            counts[:, HARD] > 0,
            one_hot,
        ]
    )


def matern(a: Floats, b: Floats, length: float) -> Floats:
    """[len(a), len(b)] Matérn-5/2 correlation."""
    square = np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T, 0.0)
    apart = np.sqrt(5 * square) / length
    correlation: Floats = (1 + apart * (1 + apart / 3)) * np.exp(-apart)
    return correlation
