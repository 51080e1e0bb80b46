"""Coverage of the 95 % interval of a paired difference where gains sit in few problems, and where nothing varies.

How to run (a minute and a half of one core): nice -n 10 python -m tests.experiments.simulations.few_problems

A law draws, for every problem, the logit of solving it for the reference and for the recipe; each run adds a part of
its seed and of its (seed, problem), normal each. Outcomes are Bernoulli. The truth is the mean difference over 400,000
problems. In each cell, from the least to the greatest over the numbers of seeds: how many intervals hold it, %, and in
parentheses how many t intervals alone (before 2026-11-30), and the mean width relative to the width that 95 % would
need if all variances were known.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from tuition.benchmarks.statistics.few_problems import bounds
from tuition.benchmarks.statistics.variance import mean_squares

Array = NDArray[np.float64]
Law = Callable[[np.random.Generator, tuple[int, int]], tuple[Array, Array]]
"""Logits (experiments, problems) of the recipe and of the reference."""

SEEDS = (3, 5, 10)
SUITES = {30: 16, 100: 8, 500: 4}  # problems: samples
TRUTH_PROBLEMS, BATCH_CELLS = 400_000, 500_000


@dataclass(frozen=True)
class Regime:
    """A law, and the standard deviations of a seed and of a (seed, problem) on the logit scale."""

    name: str
    law: Law
    seed: float = 0.1
    interaction: float = 0.2


def everywhere(shift: float, spread: float, heavy: bool = False) -> Law:
    """Every problem changes by about `shift`; difficulties are normal, or of Student's t with 2 degrees of freedom."""

    def law(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Array, Array]:
        logit = 2 * (rng.standard_t(2, size) if heavy else rng.standard_normal(size)) - 1
        return logit + shift + spread * rng.standard_normal(size), logit

    return law


def few(share: float, base: float, changed: float, others: float = 0.0) -> Law:
    """All problems are at `base`; a share of them goes to `changed`, the others by `others`."""

    def law(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Array, Array]:
        logit = np.full(size, base)
        return np.where(rng.random(size) < share, changed, logit + others), logit

    return law


def two_kinds(share: float) -> Law:
    """Three in four problems are never solved, the others nearly always; a share of all turns from never to 73 %."""

    def law(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Array, Array]:
        logit = np.where(rng.random(size) < 0.75, -5.0, 2.0) + 0.7 * rng.standard_normal(size)
        return np.where((rng.random(size) < share) & (logit < 0), 1.0, logit), logit

    return law


NEVER, RARELY, NEARLY, ALWAYS = -30.0, -6.2, 5.3, 30.0  # 0, 0.2, 99.5 and 100 %
REGIMES = (
    Regime("all problems change, none on average", everywhere(0, 0.5), 0.3, 0.5),
    Regime("all problems gain", everywhere(0.5, 0.5), 0.3, 0.5),
    Regime("all problems gain, heavy tails", everywhere(0.5, 0.7, heavy=True), 0.3, 0.5),
    Regime("never or nearly always solved, gains on 10 %", two_kinds(0.10), 0.2, 0.3),
    Regime("never or nearly always solved, gains on 5 %", two_kinds(0.05), 0.2, 0.3),
    Regime("floor 0.2 %, 3 % newly solved", few(0.03, RARELY, 0.4)),
    Regime("floor 0.2 %, 5 % newly solved", few(0.05, RARELY, 0.4)),
    Regime("floor 0.2 %, 10 % newly solved", few(0.10, RARELY, 0.4)),
    Regime("floor 0, 3 % newly solved", few(0.03, NEVER, 0.4)),
    Regime("floor 0, 3 % always solved", few(0.03, NEVER, ALWAYS)),
    Regime("floor 0, 5 % always solved", few(0.05, NEVER, ALWAYS)),
    Regime("floor 0, 10 % always solved", few(0.10, NEVER, ALWAYS)),
    Regime("ceiling 99.5 %, 5 % lost", few(0.05, NEARLY, -1.0)),
    Regime("5 % mended, the others at 99.5 %", lambda rng, size: few(0.05, NEARLY, -1.0)(rng, size)[::-1]),
    Regime("10 % mended, the others at 99.5 %", lambda rng, size: few(0.10, NEARLY, -1.0)(rng, size)[::-1]),
    Regime("equal at the floor, 0.2 %", few(0, RARELY, 0.0), 0, 0),
    Regime("equal at the ceiling, 99.5 %", few(0, NEARLY, 0.0), 0, 0),
    Regime("all equal, nothing varies", few(0, NEVER, 0.0), 0, 0),
    Regime("small gain on most, 5 % lost", few(0.05, 1.0, -2.0, others=0.2), 0.05, 0.1),
)


@dataclass(frozen=True)
class Coverage:
    """Shares of the intervals and of the t intervals that hold the truth, and the intervals' width over the ideal."""

    share: float
    plain: float
    width_ratio: float


@cache
def truth_of(regime: Regime, seed: int) -> float:
    """The mean difference over TRUTH_PROBLEMS problems, each with runs of its own."""
    rng = np.random.default_rng([seed, TRUTH_PROBLEMS])
    logits = regime.law(rng, (TRUTH_PROBLEMS // 100, 100))
    recipe, reference = (_solved(regime, logit[:, None], 1, rng).mean() for logit in logits)
    return float(recipe - reference)


def simulate(
    regime: Regime, num_seeds: int, num_problems: int, num_samples: int, repetitions: int, seed: int = 0
) -> Coverage:
    """Draw experiments and count. The same arguments give the same numbers."""
    rng = np.random.default_rng([seed, num_seeds, num_problems])
    truth, held, plain, widths, means = truth_of(regime, seed), [], [], [], []
    size = max(1, BATCH_CELLS // (num_seeds * num_problems))
    for start in range(0, repetitions, size):
        shape = (min(size, repetitions - start), num_problems)
        recipe, reference = (
            rng.binomial(num_samples, _solved(regime, logit[:, None], num_seeds, rng)) / num_samples
            for logit in regime.law(rng, shape)
        )
        values_RSP = recipe - reference
        squares = mean_squares(values_RSP)
        mean, low, high, _, _ = bounds(values_RSP, squares, 0.95)
        held.append((low <= truth) & (truth <= high))
        plain.append(np.abs(mean - truth) <= squares.half_width(0.95))
        widths.append((high - low) / 2)
        means.append(mean)
    ideal = 1.96 * float(np.concatenate(means).std())
    width = float(np.concatenate(widths).mean())
    return Coverage(
        float(np.concatenate(held).mean()),
        float(np.concatenate(plain).mean()),
        width / ideal if ideal else float("inf"),
    )


def _solved(regime: Regime, logit: Array, num_seeds: int, rng: np.random.Generator) -> Array:
    experiments, _, num_problems = logit.shape
    seeds = regime.seed * rng.standard_normal((experiments, num_seeds, 1))
    cells = regime.interaction * rng.standard_normal((experiments, num_seeds, num_problems))
    return np.asarray(expit(logit + seeds + cells))


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(f"{arguments.repetitions} repetitions, seed {arguments.seed}; {', '.join(map(str, SEEDS))} training seeds\n")
    suites = [f"{num_problems} × {num_samples}" for num_problems, num_samples in SUITES.items()]
    print(f"| regime | {' | '.join(suites)} |\n|---|{'---|' * len(suites)}")
    for regime in REGIMES:
        cells = []
        for num_problems, num_samples in SUITES.items():
            sizes = (num_problems, num_samples, arguments.repetitions, arguments.seed)
            found = [simulate(regime, num_seeds, *sizes) for num_seeds in SEEDS]
            now = _range([100 * one.share for one in found])
            before = _range([100 * one.plain for one in found])
            ratios = [one.width_ratio for one in found if np.isfinite(one.width_ratio)]
            cells.append(f"{now} ({before}{f'; {_range(ratios)}' if ratios else ''})")
        print(f"| {regime.name} | {' | '.join(cells)} |", flush=True)


def _range(values: list[float]) -> str:
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return low if low == high else f"{low}-{high}"


if __name__ == "__main__":
    main()
