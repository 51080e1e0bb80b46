"""What a recorded table gives a search as a warm start: validation scores of draw seeds, and nothing else.

Judge seeds and test scores have no part in it, so a search that was begun with a table can still be judged by it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tuition.benchmarks.statistics.intervals import Array, score_over_seeds
from tuition.benchmarks.tables.recorded_table import RecordedError, RecordedTable
from tuition.planner.planning.warm_start import Known, WarmStart


def table_warm_start(table: RecordedTable, name: str, seeds: Sequence[int] = ()) -> WarmStart:
    """The mean scores over some draw seeds, by default all, of all checkpoints that one of them has.

    Raises:
        RecordedError: for a table without such a seed, or a seed that judges.
    """
    draws = table.seeds("draw")
    if not draws or (refused := set(seeds) - set(draws)):
        asked = ", ".join(map(str, sorted(refused))) if draws else "none"
        known = ", ".join(map(str, draws)) or "none"
        raise RecordedError(f"{name}: a warm start takes scores of draw seeds (recorded: {known}), not {asked}")
    chosen = sorted(seeds or draws)
    scores = []
    for checkpoint in dict.fromkeys(checkpoint for checkpoint, _ in table.index):
        own = [seed for seed in chosen if (checkpoint, seed) in table.index]
        if own:
            scores.append(_known(str(checkpoint), [table.correct_PK(checkpoint, s, "validation") for s in own]))
    untrained = [_known(name, [table.untrained_validation_PK(name)]) for name in table.header.untrained_validation]
    return WarmStart(
        source=f"table {name}, draw seeds {', '.join(map(str, chosen))}",
        space=table.header.space,
        untrained=tuple(untrained),
        scores=tuple(scores),
        seeds=tuple(chosen),
    )


def _known(name: str, corrects: Sequence[Array]) -> Known:
    score = score_over_seeds(corrects)
    # One sample of each problem tells nothing of samples.
    error = score.se_problems if math.isnan(score.se_samples) else score.se_samples
    return name, round(score.mean, 6), round(error, 6)
