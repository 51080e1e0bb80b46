"""What the ± of arXiv 2605.12483 can be: its AIME and MATH columns against bounds that hold for any model.

How to run: python -m tests.experiments.simulations.error_bars

With mean m over P problems of the means of K samples, p_i the true rate of problem i and v the variance of the p_i:
    E[se_problems^2] = (m (1 - m) / K + v (1 - 1 / K)) / P   is at least   m (1 - m) / (K P), reached at v = 0,
    E[se_samples^2]  = (m (1 - m) - v) / (K P)               is at most    m (1 - m) / (K P), reached at v = 0,
because the mean of p_i (1 - p_i) is m (1 - m) - v. One number, sqrt(m (1 - m) / (K P)), is the floor of the one and the
ceiling of the other. Simplified: the printed mean stands for m; the bounds are for expectations, so that a single
printed value may cross them by chance, by about 1 / sqrt(2 (P - 1)) (13 % at 30 problems), but hardly all of them.
"""

import math

import numpy as np

NUM_SAMPLES = 16
COLUMNS = {"MATH-500": 500, "AIME 2024": 30, "AIME 2025": 30}  # problems
# Tables 2, 3 and 8: mean and ±, percent, in the order of COLUMNS.
PRINTED = {
    "1.7B direct": ((75.9, 0.9), (19.8, 1.4), (17.1, 0.9)),
    "4B direct": ((85.2, 0.8), (39.2, 1.4), (34.4, 1.0)),
    "8B direct": ((88.4, 0.8), (47.7, 1.5), (36.7, 1.2)),
    "14B direct": ((89.5, 0.7), (47.1, 1.2), (39.0, 0.9)),
    "raw 8B, two-stage": ((71.5, 0.9), (15.0, 1.5), (10.6, 1.2)),
    "raw 14B, two-stage": ((72.8, 0.8), (16.7, 1.4), (13.5, 1.3)),
    "SFT'd 8B, two-stage": ((76.9, 0.9), (22.1, 1.7), (17.6, 1.4)),
    "SFT'd 14B, two-stage": ((77.6, 0.8), (23.2, 1.6), (18.4, 1.5)),
    "RL'd 1.7B, two-stage": ((76.5, 0.8), (20.6, 1.5), (17.1, 1.4)),
    "RL'd 8B, two-stage": ((79.3, 0.7), (25.2, 1.6), (20.2, 1.3)),
    "RL'd 14B, two-stage": ((78.6, 0.9), (24.6, 1.5), (20.8, 1.5)),
    "RL'd 1.7B, OPD only": ((75.2, 0.9), (19.1, 1.5), (12.4, 1.2)),
    "RL'd 8B, OPD only": ((77.6, 0.8), (23.0, 1.4), (18.9, 1.4)),
    "RL'd 14B, OPD only": ((77.1, 1.0), (22.8, 1.5), (18.6, 1.7)),
    "RL'd 1.7B, teacher-sample SFT": ((73.6, 0.9), (16.7, 1.4), (11.4, 1.0)),
    "RL'd 8B, teacher-sample SFT": ((76.0, 0.9), (22.4, 1.5), (19.4, 1.4)),
    "RL'd 14B, teacher-sample SFT": ((76.5, 1.1), (21.5, 1.5), (17.0, 1.1)),
    "Llama direct": ((59.8, 0.9), (12.5, 1.2), (7.2, 1.1)),
    "Llama raw 70B": ((55.4, 0.8), (8.8, 1.5), (3.1, 1.2)),
    "Llama RL'd 70B": ((62.1, 0.8), (14.9, 1.8), (9.2, 1.4)),
}


def same_difficulty_error(mean: float, num_problems: int, num_samples: int) -> float:
    """sqrt(m (1 - m) / (K P)): se_problems is at least this in expectation, se_samples at most. Fractions."""
    return math.sqrt(mean * (1 - mean) / (num_samples * num_problems))


def largest_problem_error(mean: float, num_problems: int) -> float:
    """se_problems if every problem were always or never solved: sqrt(m (1 - m) / (P - 1)). Fractions."""
    return math.sqrt(mean * (1 - mean) / (num_problems - 1))


def implied_problem_sd(mean: float, error: float, num_problems: int, num_samples: int) -> float:
    """The problems' sd of true rates that makes se_samples equal `error`; nan where none does. Fractions."""
    variance = mean * (1 - mean) - error**2 * num_problems * num_samples
    return math.sqrt(variance) if variance >= 0 else math.nan


def main() -> None:
    """Print one row per column, then the worked row."""
    print(
        "| column | printed ± (min, median, max) | equal-difficulty error | printed / it | below it | most possible |"
    )
    print("|---|---|---|---|---|---|")
    for index, (column, num_problems) in enumerate(COLUMNS.items()):
        cells = np.array([row[index] for row in PRINTED.values()]) / 100
        means, errors = cells.T
        bound = np.array([same_difficulty_error(mean, num_problems, NUM_SAMPLES) for mean in means])
        most = np.array([largest_problem_error(mean, num_problems) for mean in means])
        ratio = errors / bound
        print(
            f"| {column} | {_points(errors)} | {_points(bound)} | {ratio.min():.2f}, {np.median(ratio):.2f}, "
            f"{ratio.max():.2f} | {(errors < bound).sum()} of {len(errors)} | {_points(most)} |"
        )
    implied = [
        implied_problem_sd(row[index][0] / 100, row[index][1] / 100, 30, NUM_SAMPLES)
        for row in PRINTED.values()
        for index in (1, 2)
    ]
    found = [100 * value for value in implied if not math.isnan(value)]
    print(
        f"\nAs sampling errors, {len(found)} of the {len(implied)} AIME cells have an answer: problems' sd of true "
        f"rates {min(found):.0f} to {max(found):.0f} points, median {np.median(found):.0f}."
    )


def _points(values: np.ndarray) -> str:
    return ", ".join(f"{100 * value:.2f}" for value in (values.min(), np.median(values), values.max()))


if __name__ == "__main__":
    main()
