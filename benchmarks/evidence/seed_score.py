"""The mean test score of a checkpoint over its recorded seeds, with the interval for other training seeds."""

from dataclasses import dataclass

from scipy import stats

from tuition.benchmarks.statistics.intervals import Score, score_over_seeds
from tuition.benchmarks.tables.recorded_table import RecordedTable
from tuition.planner.allocation import Checkpoint

LEVEL = 0.95


@dataclass(frozen=True)
class SeedScore:
    """A score on these problems; `low` and `high` bound it had training used other seeds, None with one seed."""

    seeds: tuple[int, ...]
    score: Score
    low: float | None
    high: float | None


def seed_score(table: RecordedTable, checkpoint: Checkpoint) -> SeedScore | None:
    """The t interval over the seeds' means, within 0..1; None for a checkpoint that no seed has."""
    seeds = table.seeds(allocation=checkpoint)
    if not seeds:
        return None
    score = score_over_seeds([table.correct_PK(checkpoint, seed, "test") for seed in seeds])
    if len(seeds) == 1:
        return SeedScore(seeds, score, None, None)
    half = float(stats.t.ppf(0.5 + LEVEL / 2, len(seeds) - 1)) * score.se_seeds
    return SeedScore(seeds, score, max(score.mean - half, 0.0), min(score.mean + half, 1.0))
