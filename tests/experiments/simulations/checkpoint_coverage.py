"""Coverage of the 95 % interval where one checkpoint is compared with several training runs (`standings.compare`).

How to run (under a minute of one core): python -m tests.experiments.simulations.checkpoint_coverage

The laws are those of `tests.experiments.simulations.coverage`. The checkpoint is one fixed training; the truth is its
mean over all problems less that of the other recipe over all problems and seeds, by 400,000 draws. Covered: the
interval holds it.
"""

import argparse

import numpy as np

from tests.experiments.simulations.coverage import REGIMES, Regime
from tuition.benchmarks.statistics.intervals import paired_difference

SUITES = {256: 8, 30: 16}  # problems: samples
NUM_SEEDS, REPETITIONS, TRUTH_DRAWS = 3, 300, 400_000


def _chance(regime: Regime, shift: np.ndarray | float, rng: np.random.Generator) -> np.ndarray:
    """Chances of a correct sample, by problem, when `shift` holds all but the interaction."""
    logits = np.asarray(shift)
    chances: np.ndarray = 1 / (1 + np.exp(-(logits + rng.normal(0, regime.interaction, logits.shape))))
    return chances


def coverage(
    regime: Regime, num_problems: int, num_samples: int, rng: np.random.Generator, repetitions: int = REPETITIONS
) -> float:
    """Share of the intervals that hold the true difference of the checkpoint and the recipe."""
    checkpoint_seed = rng.normal(0, regime.seed)

    def problems(count: int) -> np.ndarray:
        return rng.normal(regime.mean, regime.difficulty, count)

    def own(count: int) -> np.ndarray:
        return rng.normal(0, regime.problem, count)

    everywhere = problems(TRUTH_DRAWS)
    many_seeds = rng.normal(0, regime.seed, TRUTH_DRAWS)
    truth = (
        _chance(regime, everywhere + checkpoint_seed + own(TRUTH_DRAWS), rng).mean()
        - _chance(regime, everywhere + many_seeds + own(TRUTH_DRAWS), rng).mean()
    )
    held = 0
    for _ in range(repetitions):
        difficulty, others = problems(num_problems), own(num_problems)
        chances = [_chance(regime, difficulty + checkpoint_seed + own(num_problems), rng)]
        chances += [_chance(regime, difficulty + rng.normal(0, regime.seed) + others, rng) for _ in range(NUM_SEEDS)]
        checkpoint, *runs = [rng.random((num_problems, num_samples)) < chance[:, None] for chance in chances]
        interval = paired_difference([checkpoint] * NUM_SEEDS, runs)
        held += interval.low <= truth <= interval.high
    return held / repetitions


def main() -> None:
    """Print one line for each regime."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    repetitions = parser.parse_args().repetitions
    rng = np.random.default_rng(5)
    print(f"covered, %: one checkpoint against {NUM_SEEDS} seeds; {repetitions} repetitions")
    for regime in REGIMES:
        shares = [
            f"{100 * coverage(regime, count, samples, rng, repetitions):.1f}" for count, samples in SUITES.items()
        ]
        print(
            f"{regime.name:34} "
            + "  ".join(f"{n} x {k}: {s}" for (n, k), s in zip(SUITES.items(), shares, strict=True))
        )


if __name__ == "__main__":
    main()
