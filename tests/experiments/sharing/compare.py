"""Blocks against ordinary runs: the gap, by stage and over all, and whether both rank allocations alike.

How to run (moments):
    python -m tests.experiments.sharing.compare tests/experiments/sharing/micro.parquet --figure docs/sharing.png

Reads what `train` wrote. Kendall's tau is of mean scores over one half of the seeds in blocks and over the other half
in ordinary runs; beside it, that of ordinary runs with themselves; both are means over all ways to halve the seeds.
Regret: the allocation that one seed of blocks would choose (or of ordinary runs), judged by the ordinary runs of the
other seeds, against the best of these.
"""

import argparse
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from tuition.benchmarks.statistics.intervals import paired_difference
from tuition.planner.allocation import Allocation, parse_checkpoint

Array = Any


def outcomes(correct: Sequence[int], samples: int) -> Array:
    """Outcomes (problems, samples) with the correct ones first."""
    return (np.arange(samples)[None, :] < np.asarray(correct)[:, None]).astype(np.int8)


def by_seed(frame: pd.DataFrame, allocation: str, ordinary: bool) -> list[Array]:
    """The outcomes of an allocation, seed by seed."""
    rows = frame[(frame["allocation"] == allocation) & (frame["ordinary"] == ordinary)].sort_values("seed")
    return [outcomes(row.correct, row.samples) for row in rows.itertuples()]


def whole_seeds(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of seeds with all allocations, in blocks and in ordinary runs."""
    rows = frame.groupby("seed")["allocation"].transform("size")
    return frame[rows == rows.max()]


def means(frame: pd.DataFrame, ordinary: bool) -> pd.DataFrame:
    """Mean scores (seeds, allocations) of students."""
    students = frame["allocation"].map(lambda text: isinstance(parse_checkpoint(text), Allocation))
    part = frame[(frame["ordinary"] == ordinary) & students]
    score = part["correct"].map(np.mean) / part["samples"]
    return part.assign(score=score).pivot(index="seed", columns="allocation", values="score")


def taus(blocks: pd.DataFrame, ordinary: pd.DataFrame) -> tuple[float, float]:
    """Kendall's tau of blocks with ordinary runs, and of ordinary runs with themselves, over halves of the seeds."""
    seeds = list(ordinary.index)
    with_blocks, with_itself = [], []
    for half in combinations(seeds, len(seeds) // 2):
        other = [seed for seed in seeds if seed not in half]
        judge = ordinary.loc[other].mean()
        with_blocks.append(stats.kendalltau(blocks.loc[list(half)].mean(), judge).statistic)
        with_itself.append(stats.kendalltau(ordinary.loc[list(half)].mean(), judge).statistic)
    return float(np.mean(with_blocks)), float(np.mean(with_itself))


def regrets(chooser: pd.DataFrame, ordinary: pd.DataFrame) -> Array:
    """Points lost by choosing with one seed, for each seed: what the ordinary runs of the other seeds say of it."""
    lost = []
    for seed in chooser.index:
        judge = ordinary.drop(index=seed).mean()
        lost.append(100 * (judge.max() - judge[chooser.loc[seed].idxmax()]))
    return np.array(lost)


def trains_both(text: str) -> bool:
    """Whether an allocation trains teacher and student on labels."""
    allocation = Allocation.parse(text)
    return allocation.teacher_label_blocks > 0 and allocation.student_label_blocks > 0


def mean_gap(blocks: pd.DataFrame, ordinary: pd.DataFrame) -> str:
    """The mean difference over allocations, in points, with its t interval over the seeds."""
    gaps = 100 * (blocks - ordinary).mean(axis=1).to_numpy()
    half = stats.t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / len(gaps) ** 0.5
    return f"{gaps.mean():+.1f} [{gaps.mean() - half:+.1f}, {gaps.mean() + half:+.1f}]"


def report(frame: pd.DataFrame) -> list[str]:
    """Markdown. A seed that not all allocations have counts only in the rows of those that have it."""
    frame = frame[frame.groupby(["seed", "allocation"])["ordinary"].transform("nunique") == 2]
    whole = whole_seeds(frame)
    blocks, ordinary = means(whole, False), means(whole, True)
    lines = [f"{frame['scenario'].iloc[0]}, {len(blocks.index)} seeds, {len(blocks.columns)} allocations", ""]
    lines += [
        "| allocation | seeds | blocks, % | ordinary, % | blocks - ordinary, points [95 %] |",
        "|---|---|---|---|---|",
    ]
    for text in frame["allocation"].drop_duplicates():
        a, b = by_seed(frame, text, False), by_seed(frame, text, True)
        gap = paired_difference(a, b)
        low, mean, high = (100 * x for x in (gap.low, gap.mean, gap.high))
        scores = " | ".join(f"{100 * np.mean([x.mean() for x in several]):.1f}" for several in (a, b))
        lines.append(f"| {text} | {len(a)} | {scores} | {mean:+.1f} [{low:+.1f}, {high:+.1f}] |")
    both = [text for text in blocks.columns if trains_both(text)]
    others = [text for text in blocks.columns if not trains_both(text)]
    tau, itself = taus(blocks, ordinary)
    chosen, best = regrets(blocks, ordinary), regrets(ordinary, ordinary)
    return [
        *lines,
        "",
        f"Mean gap over all allocations: {mean_gap(blocks, ordinary)}.",
        f"Of the {len(both)} that train both models on labels: {mean_gap(blocks[both], ordinary[both])}; "
        f"of the {len(others)} others: {mean_gap(blocks[others], ordinary[others])}.",
        f"Kendall's tau of blocks with ordinary runs: {tau:.2f}; of ordinary runs with themselves: {itself:.2f}.",
        f"Regret of choosing by one seed of blocks: {chosen.mean():.1f} points; of ordinary runs: {best.mean():.1f}.",
    ]


def whole_splits(frame: pd.DataFrame) -> list[tuple[int, str]]:
    """The splits of the whole budget with the longest full bridge that all of them have: (teacher's blocks, text)."""
    splits: dict[tuple[int, int], list[tuple[int, str]]] = {}
    budget = max(Allocation.parse(t).label_blocks for t in means(frame, False).columns)
    for text in means(frame, False).columns:
        allocation = Allocation.parse(text)
        if allocation.teacher is not None and allocation.label_blocks == budget:
            bridge = (allocation.warmup, allocation.opd)
            splits.setdefault(bridge, []).append((allocation.teacher_label_blocks, text))
    return sorted(max(splits.values(), key=len, default=[]))


def draw(frames: Sequence[pd.DataFrame], path: Path) -> None:
    """Score over the teacher's share, in blocks and in ordinary runs, with 95 % intervals over the seeds."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(frames), figsize=(4.6 * len(frames), 3.4), squeeze=False)
    for axis, frame in zip(axes[0], frames, strict=True):
        splits = whole_splits(frame)
        shares, texts = [share for share, _ in splits], [text for _, text in splits]
        for ordinary, label, marker in ((True, "ordinary runs", "o"), (False, "blocks", "s")):
            scores = 100 * means(frame, ordinary)[texts]
            error = stats.t.ppf(0.975, len(scores) - 1) * scores.std(ddof=1) / len(scores) ** 0.5
            axis.errorbar(shares, scores.mean(), yerr=error, marker=marker, markersize=4, capsize=2, label=label)
        axis.set(
            title=frame["scenario"].iloc[0].split("@")[0], xlabel="label blocks of the teacher (the others: student)"
        )
    axes[0][0].set_ylabel("test score, % (95 % over seeds)")
    axes[0][-1].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def read_scores(path: Path) -> pd.DataFrame:
    """What `train` wrote; SystemExit for a file with scores of several scenarios, which no comparison may mix."""
    frame = pd.read_parquet(path)
    scenarios = sorted(frame["scenario"].unique())
    if len(scenarios) != 1:
        raise SystemExit(f"{path} has scores of {', '.join(scenarios) or 'no scenario'}: one file for each scenario.")
    return frame


def main() -> None:
    """Print the comparison of each file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--figure", type=Path, help="score over the teacher's share, as a picture")
    arguments = parser.parse_args()
    frames = []
    for path in arguments.files:
        frame = read_scores(path)
        frames.append(whole_seeds(frame))
        print("\n".join(report(frame)), end="\n\n")
    if arguments.figure:
        draw(frames, arguments.figure)


if __name__ == "__main__":
    main()
