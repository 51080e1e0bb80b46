"""False and found pairs of a table's ranks, by the seed variance that its differences use.

How to run (about 3 minutes of one core): nice -n 10 python -m tests.experiments.simulations.false_tables

A table holds N rows of S training seeds on 384 problems with 8 samples. The logit of solving problem p by row i with
seed s is difficulty_p + level_i + seed_is + problem_ip + interaction_isp; normal each, with standard deviations
2, 0, 0.25 (3 points), 0.5 and 0.5. Outcomes are Bernoulli. Unequal seed variances: `lognormal` multiplies each row's
standard deviation by exp(0.5 z); `one noisy` that of one row by 3; `half noisy` that of every second row by 3; `half
quiet` divides that of every second row by 10; `collapse` lowers one run in ten by a whole logit.

False: tables in which a pair is called different that is not, or the wrong way round, when all rows are equal. Found:
share of all true pairs that are called different in the right order when rows are 0.25 logit (3 points) apart, and
false there. Each for `own`, the pair's own seed variance (before 2026-11-30), and `moderated`, the table's
(`tuition.benchmarks.statistics.seed_variance`). Holm's correction over all pairs, at 5 %.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuition.benchmarks.statistics.seed_variance import MODERATED, OWN, moderate, of_difference
from tuition.benchmarks.statistics.variance import MeanSquares

Array = NDArray[np.float64]

PROBLEMS, SAMPLES = 384, 8
SEED_SD, PROBLEM_SD, INTERACTION_SD, DIFFICULTY_SD, STEP = 0.25, 0.5, 0.5, 2.0, 0.25
SEEDS, ROWS = (1, 2, 3, 4, 5, 10), (3, 6, 11)
KINDS = ("equal", "lognormal", "one noisy", "half noisy", "half quiet", "collapse")
BATCH_CELLS = 2_000_000


@dataclass(frozen=True)
class Tables:
    """Of many tables: the share with a false pair, and the share of the true pairs that were found."""

    false: float
    found: float


def simulate(
    kind: str, num_rows: int, num_seeds: int, step: float, repetitions: int, seed: int = 0, problems: int = PROBLEMS
) -> dict[str, Tables]:
    """By method. The same arguments give the same numbers; both methods see the same tables."""
    rng = np.random.default_rng([seed, num_rows, num_seeds, KINDS.index(kind)])
    true_N: Array = np.arange(num_rows, dtype=np.float64) * step
    wrong: dict[str, list[Array]] = {OWN: [], MODERATED: []}
    found: dict[str, list[Array]] = {OWN: [], MODERATED: []}
    for batch in _batches(repetitions, num_rows * num_seeds * problems):
        values_RNSP = draw(kind, true_N, batch, num_seeds, problems, rng)
        first, second = np.triu_indices(num_rows, 1)
        truth = np.sign(true_N[first] - true_N[second])
        means_RN = values_RNSP.mean(axis=(2, 3))
        sign = np.sign(means_RN[:, first] - means_RN[:, second])
        for method in (OWN, MODERATED):
            called = holm(p_values(values_RNSP, method)) < 0.05
            right = sign == truth
            wrong[method].append((called & ~right).any(axis=1))
            found[method].append((called & right)[:, truth != 0].mean(axis=1) if step else np.zeros(batch))
    return {
        method: Tables(float(np.concatenate(wrong[method]).mean()), float(np.concatenate(found[method]).mean()))
        for method in wrong
    }


def _batches(repetitions: int, cells: int) -> Iterator[int]:
    size = max(1, BATCH_CELLS // cells)
    for start in range(0, repetitions, size):
        yield min(size, repetitions - start)


def draw(kind: str, true_N: Array, batch: int, num_seeds: int, problems: int, rng: np.random.Generator) -> Array:
    num_rows = len(true_N)
    sd_RN = np.full((batch, num_rows), SEED_SD)
    if kind == "lognormal":
        sd_RN *= np.exp(0.5 * rng.standard_normal(sd_RN.shape))
    elif kind == "one noisy":
        sd_RN[:, num_rows // 2] *= 3
    elif kind == "half noisy":
        sd_RN[:, ::2] *= 3
    elif kind == "half quiet":
        sd_RN[:, ::2] /= 10
    run_RNS = true_N[:, None] + sd_RN[:, :, None] * rng.standard_normal((batch, num_rows, num_seeds))
    if kind == "collapse":
        run_RNS -= rng.random(run_RNS.shape) < 0.1
    logit = rng.normal(0, DIFFICULTY_SD, (batch, 1, 1, problems)) + run_RNS[..., None]
    logit = logit + rng.normal(0, PROBLEM_SD, (batch, num_rows, 1, problems))
    logit += INTERACTION_SD * rng.standard_normal(logit.shape)
    return np.asarray(rng.binomial(SAMPLES, 1 / (1 + np.exp(-logit))) / SAMPLES)


def p_values(values_RNSP: Array, method: str) -> Array:
    """Of every pair of rows (tables, pairs), as `paired_difference` and `SeedVariances` give them one by one."""
    _, num_rows, num_seeds, num_problems = values_RNSP.shape
    first, second = np.triu_indices(num_rows, 1)
    runs_RNS = values_RNSP.mean(axis=3)
    rows_RNP = values_RNSP.mean(axis=2)
    mean_RN = runs_RNS.mean(axis=2)
    rest = values_RNSP - runs_RNS[..., None] - rows_RNP[:, :, None] + mean_RN[:, :, None, None]
    rows_RNP = rows_RNP - mean_RN[:, :, None]
    seeds_RNS = runs_RNS - mean_RN[:, :, None]

    def of_pairs(parts: Array) -> Array:
        """Sums of squares of the differences of two rows' parts, by their products."""
        flat = parts.reshape(*parts.shape[:2], -1)
        products = flat @ flat.swapaxes(1, 2)
        own = np.diagonal(products, axis1=1, axis2=2)
        return np.asarray(own[:, first] + own[:, second] - 2 * products[:, first, second])

    freedom_of_seeds = max(num_seeds - 1, 1)  # of one seed both are 0
    squares = MeanSquares(
        num_problems * of_pairs(seeds_RNS) / freedom_of_seeds,
        num_seeds * of_pairs(rows_RNP) / (num_problems - 1),
        of_pairs(rest) / (freedom_of_seeds * (num_problems - 1)),
        num_seeds,
        num_problems,
    )
    if method == MODERATED and num_seeds > 1:
        freedom = float(num_seeds - 1)
        variances = moderate(runs_RNS.var(axis=2, ddof=1), np.full(num_rows, freedom))
        pair = ((variances[:, first], freedom), (variances[:, second], freedom))
        squares = squares.with_seed_variance(of_difference(*pair, num_rows * freedom))
    return np.asarray(squares.p_value(mean_RN[:, first] - mean_RN[:, second]))


def holm(p_RM: Array) -> Array:
    """`statistics.multiplicity.holm` of many tables, (tables, pairs)."""
    order = np.argsort(p_RM, axis=1)
    ordered = np.take_along_axis(p_RM, order, 1) * (p_RM.shape[1] - np.arange(p_RM.shape[1]))
    adjusted = np.empty_like(p_RM)
    np.put_along_axis(adjusted, order, np.maximum.accumulate(np.minimum(ordered, 1), axis=1), 1)
    return adjusted


def main() -> None:
    """Print both tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=1000, help="of equal rows; a third as many of the ladder")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(f"{arguments.repetitions} tables of equal rows, seed {arguments.seed}: false tables, %, own / moderated\n")
    columns = ["rows", "seed variances", *(f"{count} seed{'s' * (count > 1)}" for count in SEEDS)]
    heading = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"
    print(heading)
    for step, repetitions in ((0.0, arguments.repetitions), (STEP, max(1, arguments.repetitions // 3))):
        if step:
            print(f"\n{repetitions} ladders: true pairs found, % (false tables, %), own / moderated\n\n{heading}")
        for num_rows in ROWS:
            for kind in KINDS:
                cells = []
                for num_seeds in SEEDS:
                    both = simulate(kind, num_rows, num_seeds, step, repetitions, arguments.seed).values()
                    texts = [
                        f"{100 * one.found:.0f} ({100 * one.false:.1f})" if step else f"{100 * one.false:.1f}"
                        for one in both
                    ]
                    cells.append(" / ".join(texts))
                print(f"| {num_rows} | {kind} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
