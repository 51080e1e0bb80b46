"""Comparisons of named entries of a recorded table: paired differences on the test suite.

What: `compare` computes every comparison's paired difference with two intervals, named apart, and corrects the p-values
by Holm over all comparisons that it was given. The main interval holds for other training seeds and other problems
(`statistics.crossed_interval`); the second for other training seeds on these problems alone
(`statistics.seed_interval`).

Simplified: an entry's outcomes come from counts, so samples of two entries are not paired; problems and seeds are. Each
comparison has its own seed variance (`OWN_VARIANCE` says why); rows of leaderboards moderate each other's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from tuition.benchmarks.statistics.intervals import (
    Array,
    Difference,
    Score,
    paired_difference,
    score_over_seeds,
    seed_interval,
)
from tuition.benchmarks.statistics.multiplicity import SignFlip, holm, sign_flip

OWN_VARIANCE = (
    "seed variance: each comparison's own, not moderated by other rows as on leaderboards, because an entry that was "
    "selected on some seeds is judged on the others alone, and its runs on the former say little about those."
)


@dataclass(frozen=True)
class Comparison:
    """A question: entry `a` minus entry `b`. `judged`: on judge seeds only, as `a` was selected on the others."""

    a: str
    b: str
    question: str
    judged: bool = False


@dataclass(frozen=True)
class Entry:
    """A named allocation with its test outcomes: one (problems, samples) array for each training seed.

    `gpu_seconds` is what is charged for each seed; `note` says how the entry came about. A base model (`untrained`) has
    the same outcomes with each seed.
    """

    name: str
    allocation: str
    outcomes: Mapping[int, Array]
    labels_trained: int
    gpu_seconds: Mapping[int, float]
    note: str = ""
    untrained: bool = False

    @property
    def score(self) -> Score:
        """Its test score over all its seeds; that of a base model over the one checkpoint that it is."""
        return score_over_seeds([self.outcomes[seed] for seed in self.seeds or sorted(self.outcomes)[:1]])

    @property
    def seeds(self) -> tuple[int, ...]:
        """Its training seeds; a base model has none."""
        return () if self.untrained else tuple(sorted(self.outcomes))

    def pick(self, seeds: Sequence[int]) -> list[Array]:
        """The outcomes of these seeds, in their order."""
        return [self.outcomes[seed] for seed in seeds]


@dataclass(frozen=True)
class Compared:
    """The answer. `on_these_problems` is None with one seed; `p_holm` is corrected over all comparisons that were made.

    `gpu_seconds` is what `a` is charged beyond `b`, a mean over the seeds.
    """

    comparison: Comparison
    seeds: tuple[int, ...]
    difference: Difference
    on_these_problems: Difference | None
    sign_flip: SignFlip
    p_holm: float
    gpu_seconds: float


@dataclass(frozen=True)
class Answers:
    """The comparisons that could be made, and why the others could not."""

    compared: tuple[Compared, ...]
    left_out: tuple[tuple[Comparison, str], ...]

    @property
    def one_run(self) -> bool:
        """Whether an interval excludes training variance, because there is one seed."""
        return any(compared.difference.excludes_training_variance for compared in self.compared)


def compare(entries: Sequence[Entry], comparisons: Sequence[Comparison], judge_seeds: Sequence[int]) -> Answers:
    """Every comparison whose entries share a seed that it may use; the others are left out, with the reason."""
    by_name = {entry.name: entry for entry in entries}
    made: list[tuple[Comparison, tuple[int, ...], Difference]] = []
    left_out: list[tuple[Comparison, str]] = []
    asked: dict[tuple[str, str, tuple[int, ...]], Comparison] = {}
    for comparison in comparisons:
        missing = [name for name in (comparison.a, comparison.b) if name not in by_name]
        if missing:
            left_out.append((comparison, f"{missing[0]} is not recorded"))
            continue
        a, b = by_name[comparison.a], by_name[comparison.b]
        seeds = tuple(sorted(a.outcomes.keys() & b.outcomes.keys()))
        if comparison.judged:
            seeds = tuple(seed for seed in seeds if seed in judge_seeds)
        if a.allocation == b.allocation:
            left_out.append((comparison, f"both are the same allocation, {a.allocation}"))
        elif not seeds:
            left_out.append((comparison, "they share no usable seed"))
        elif (same := asked.setdefault((a.allocation, b.allocation, seeds), comparison)) is not comparison:
            left_out.append((comparison, f"it is {same.a} - {same.b} on the same seeds"))
        else:
            made.append((comparison, seeds, paired_difference(a.pick(seeds), b.pick(seeds))))
    adjusted = holm([difference.p_value for _, _, difference in made])
    compared = (
        _compared(by_name[comparison.a], by_name[comparison.b], comparison, seeds, difference, p_holm)
        for (comparison, seeds, difference), p_holm in zip(made, adjusted, strict=True)
    )
    return Answers(tuple(compared), tuple(left_out))


def _compared(
    a: Entry, b: Entry, comparison: Comparison, seeds: tuple[int, ...], difference: Difference, p_holm: float
) -> Compared:
    a_outcomes, b_outcomes = a.pick(seeds), b.pick(seeds)
    return Compared(
        comparison,
        seeds,
        difference,
        seed_interval(a_outcomes, b_outcomes) if len(seeds) > 1 else None,
        sign_flip(a_outcomes, b_outcomes),
        p_holm,
        fmean(a.gpu_seconds[seed] - b.gpu_seconds[seed] for seed in seeds),
    )
