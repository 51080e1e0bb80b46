"""Coverage of the 95 % interval of a score: ours, the plain t interval and the bootstrap, on made 0/1 outcomes.

How to run (five minutes of one core): python -m tests.experiments.simulations.score_coverage

Problem p is solved with probability b_p, a draw from Beta(c m, c (1 - m)) with m the true score and c = 1/2 (problems
are solved nearly always or never), 2, or 20 (all alike); with several training seeds .8 b_p + .2 a_s, the a_s drawn
from Beta(10 m, 10 (1 - m)). Covered: the interval holds m. A cell shows the least and the greatest over the three c.
The last column is of the t interval over the seeds' true scores, as if these were known.
"""

import argparse
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tuition.benchmarks.statistics.intervals import bootstrap, crossed_interval, score_interval

SCORES = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5)
SPREADS = (0.5, 2.0, 20.0)
SUITES = {30: 16, 256: 8, 500: 4}  # problems: samples
SEEDS = (1, 3)


@dataclass(frozen=True)
class Held:
    """Shares of intervals that hold the true score, and the mean half width of ours (a fraction)."""

    ours: float
    plain: float
    resampled: float
    half_width: float


def simulate(
    score: float, spread: float, num_seeds: int, num_problems: int, repetitions: int, resampled: int = 0
) -> Held:
    """Draw experiments and count; the bootstrap in the first `resampled` of them. The same arguments, the same shares.

    A bootstrap that knows nothing (all problems alike) holds nothing.
    """
    rng = np.random.default_rng([num_seeds, num_problems])
    ours, plain, boots, widths = 0, 0, 0, 0.0
    for number in range(repetitions):
        problem_P = rng.beta(spread * score, spread * (1 - score), num_problems)
        rate_SP = problem_P[None]
        if num_seeds > 1:
            rate_SP = 0.8 * rate_SP + 0.2 * rng.beta(10 * score, 10 * (1 - score), (num_seeds, 1))
        outcomes_SPK = rng.binomial(1, rate_SP[..., None], (num_seeds, num_problems, SUITES[num_problems]))
        total, straight = score_interval(list(outcomes_SPK)), crossed_interval(outcomes_SPK.mean(axis=2))
        ours += total.low <= score <= total.high
        plain += straight.low <= score <= straight.high
        widths += (total.high - total.low) / 2
        if number < resampled:
            drawn = bootstrap(outcomes_SPK[0], "problems", num_resamples=400)
            boots += drawn.low <= score <= drawn.high
    return Held(ours / repetitions, plain / repetitions, boots / max(resampled, 1), widths / repetitions)


def known_scores(score: float, num_seeds: int, repetitions: int) -> float:
    """Coverage of the t interval over the seeds' TRUE scores: without error from problems and samples, skewed still."""
    # A t interval moves and stretches with its values, so that a_s alone is as good as .8 m + .2 a_s.
    scores_RS = np.random.default_rng(0).beta(10 * score, 10 * (1 - score), (repetitions, num_seeds))
    errors_R = scores_RS.std(axis=1, ddof=1) / num_seeds**0.5
    return float((np.abs(scores_RS.mean(axis=1) - score) <= stats.t.ppf(0.975, num_seeds - 1) * errors_R).mean())


def main() -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2000)
    arguments = parser.parse_args()
    for num_seeds in SEEDS:
        print(f"\n{num_seeds} training seed{'s' * (num_seeds > 1)}, {arguments.repetitions} repetitions\n")
        known = ["seeds' true scores known"] if num_seeds > 1 else []
        print("| true score, % | " + " | ".join([f"{p} × {k}" for p, k in SUITES.items()] + known) + " |")
        print("|---|" + "---|" * len([*SUITES, *known]))
        for score in SCORES:
            cells = []
            for num_problems in SUITES:
                held = [
                    simulate(
                        score, spread, num_seeds, num_problems, arguments.repetitions,
                        arguments.repetitions // 4 if num_seeds == 1 else 0,
                    )
                    for spread in SPREADS
                ]  # fmt: skip
                kinds = [[h.ours for h in held], [h.plain for h in held]]
                kinds += [[h.resampled for h in held]] if num_seeds == 1 else []
                cells.append(" / ".join(f"{100 * min(k):.0f}-{100 * max(k):.0f}" for k in kinds))
            if num_seeds > 1:
                cells.append(f"{100 * known_scores(score, num_seeds, 100_000):.0f}")
            print(f"| {100 * score:g} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
