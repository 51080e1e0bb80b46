"""Coverage of the 95 % interval of a paired difference: real 0/1 outcomes, then the normal model on a fine grid.

How to run (under three minutes of one core): python -m tests.experiments.simulations.coverage

First table: two allocations drawn by one law, so that their true difference is exactly 0 whatever the law. The logit of
solving problem p after training with seed s is difficulty_p + seed_xs + problem_xp + interaction_xsp, normal each,
x = a or b; only the difficulty is shared. Outcomes are Bernoulli. Covered: the interval holds 0. Width: mean half width
over 1.96 standard deviations of the mean difference (1 is the least that 95 % can do with everything known).

Second table: the least and the greatest coverage of the normal model over a grid of variances of seeds and problems,
in units of the noise, by `tuition.benchmarks.statistics.power` (quasi-random, no Monte Carlo error to speak of). Third
table: how often a p-value is below a level with no difference, the least and the greatest over the same grid.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tuition.benchmarks.statistics.power import Components, Experiment, power
from tuition.benchmarks.statistics.variance import MeanSquares, mean_squares

SEEDS = (1, 2, 3, 5, 10)
SUITES = {30: 16, 256: 8, 500: 4}  # problems: samples
BATCH_CELLS = 400_000
P_VALUES = (0.01, 0.001)
GRID = (0.0, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


@dataclass(frozen=True)
class Regime:
    """Standard deviations on the logit scale; the mean difficulty decides the score."""

    name: str
    seed: float
    problem: float
    interaction: float
    mean: float = 0.5
    difficulty: float = 2.5


REGIMES = (
    Regime("same model twice: noise alone", 0, 0, 0),
    Regime("no seed variance", 0, 0.5, 0.3),
    Regime("small seed variance", 0.05, 0.5, 0.3),
    Regime("middling seed variance", 0.15, 0.5, 0.3),
    Regime("large seed variance", 0.4, 0.5, 0.3),
    Regime("seeds dominate", 1.5, 0.2, 0.2),
    Regime("hard suite, score near 15 %", 0.15, 0.5, 0.3, mean=-3.0),
)


@dataclass(frozen=True)
class Coverage:
    """Share of intervals that hold the truth, mean half width (a fraction), and the same over the ideal one."""

    share: float
    half_width: float
    width_ratio: float


def simulate(
    regime: Regime, num_seeds: int, num_problems: int, num_samples: int, repetitions: int, seed: int
) -> Coverage:
    """Draw experiments and count. The same arguments give the same numbers."""
    rng = np.random.default_rng([seed, num_seeds, num_problems])
    covered, widths, means = 0, [], []
    for batch in _batches(repetitions, num_seeds * num_problems):
        difficulty = rng.normal(regime.mean, regime.difficulty, (batch, 1, num_problems))
        a, b = (_score_RSP(regime, difficulty, num_seeds, num_samples, rng) for _ in range(2))
        values_RSP = a - b
        if num_seeds == 1:
            variance = values_RSP[:, 0].var(axis=1, ddof=1)
            squares = MeanSquares(np.zeros(batch), variance, np.zeros(batch), 1, num_problems)
        else:
            squares = mean_squares(values_RSP)
        half_R, mean_R = squares.half_width(0.95), values_RSP.mean(axis=(1, 2))
        covered += int((np.abs(mean_R) <= half_R).sum())
        widths.append(half_R)
        means.append(mean_R)
    half_width = float(np.mean(np.concatenate(widths)))
    return Coverage(covered / repetitions, half_width, half_width / (1.96 * float(np.concatenate(means).std())))


def _batches(repetitions: int, cells: int) -> Iterator[int]:
    size = max(1, BATCH_CELLS // cells)
    for start in range(0, repetitions, size):
        yield min(size, repetitions - start)


def _score_RSP(
    regime: Regime, difficulty: np.ndarray, num_seeds: int, num_samples: int, rng: np.random.Generator
) -> np.ndarray:
    batch, _, num_problems = difficulty.shape
    logit = (
        difficulty
        + rng.normal(0, regime.seed, (batch, num_seeds, 1))
        + rng.normal(0, regime.problem, (batch, 1, num_problems))
        + rng.normal(0, regime.interaction, (batch, num_seeds, num_problems))
    )
    return np.asarray(rng.binomial(num_samples, 1 / (1 + np.exp(-logit))) / num_samples)


def normal_coverage(
    num_seeds: int, num_problems: int, least_problem: float, level: float = 0.95, ratios: Sequence[float] = GRID
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """The least and the greatest coverage over the grid, each with (seed, problem) variance ratios.

    The ratios are P s_seed^2 / noise and S s_problem^2 / noise, noise being a cell's variance; the second is at least
    `least_problem`.
    """
    found = []
    for seed_ratio in ratios:
        for problem_ratio in (ratio for ratio in ratios if ratio >= least_problem):
            noise = 0.01
            components = Components(
                seed_sd=noise * math.sqrt(seed_ratio / num_problems),
                problem_sd=noise * math.sqrt(problem_ratio / num_seeds),
                interaction_sd=noise,
                sample_sd=0.0,
            )
            alarm = power(0.0, Experiment(num_problems, 1, num_seeds), components, level).false_alarm
            found.append((1 - alarm, seed_ratio, problem_ratio))
    return min(found), max(found)


def main() -> None:
    """Print both tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5000)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="numbers of training seeds")
    parser.add_argument("--problems", type=int, nargs="+", default=tuple(SUITES), choices=SUITES)
    parser.add_argument("--ratios", type=float, nargs="+", default=GRID, help="of the grid of variances")
    parser.add_argument("--seed", type=int, default=0, help="of the simulation")
    arguments = parser.parse_args()
    ratios = arguments.ratios
    seeds, several = arguments.seeds, [number for number in arguments.seeds if number > 1]
    print(f"Coverage, % (width ratio); {arguments.repetitions} repetitions, seed {arguments.seed}\n")
    print("| regime | problems × samples | " + " | ".join(f"{s} seed{'s' * (s > 1)}" for s in seeds) + " |")
    print("|---|---|" + "---|" * len(seeds))
    for regime in REGIMES:
        for num_problems in arguments.problems:
            num_samples = SUITES[num_problems]
            cells = []
            for num_seeds in seeds:
                result = simulate(regime, num_seeds, num_problems, num_samples, arguments.repetitions, arguments.seed)
                cells.append(f"{100 * result.share:.1f} ({result.width_ratio:.2f})")
            print(f"| {regime.name} | {num_problems} × {num_samples} | " + " | ".join(cells) + " |", flush=True)
    print(
        "\n| seeds | problems | minimum, % (at seed, problem ratio) | maximum | minimum, problem ratio >= 1 | maximum |"
    )
    print("|---|---|---|---|---|---|")
    for num_seeds in several:
        for num_problems in arguments.problems:
            ends = [
                end for least in (0.0, 1.0) for end in normal_coverage(num_seeds, num_problems, least, 0.95, ratios)
            ]
            texts = [f"{100 * share:.1f} ({seed:g}, {problem:g})" for share, seed, problem in ends]
            print(f"| {num_seeds} | {num_problems} | " + " | ".join(texts) + " |", flush=True)
    print("\n| seeds | problems | " + " | ".join(f"p < {level:g}, %" for level in P_VALUES) + " |")
    print("|---|---|" + "---|" * len(P_VALUES))
    for num_seeds in several:
        for num_problems in arguments.problems:
            grids = [normal_coverage(num_seeds, num_problems, 0.0, 1 - level, ratios) for level in P_VALUES]
            texts = [f"{100 * (1 - most[0]):.3f}-{100 * (1 - least[0]):.3f}" for least, most in grids]
            print(f"| {num_seeds} | {num_problems} | " + " | ".join(texts) + " |", flush=True)


if __name__ == "__main__":
    main()
