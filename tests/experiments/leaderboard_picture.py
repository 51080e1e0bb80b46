"""The picture of README and docs/micro.md, from the samples of a leaderboard that ships.

    python -m tests.experiments.leaderboard_picture --out docs/leaderboard.png

Simplified: rows without a rank, which nothing has trained, are left out.
"""

import argparse
from pathlib import Path

from tuition.benchmarks.boards.loaded_board import load_board
from tuition.benchmarks.boards.ranked_rows import RankedRow, Row, plot
from tuition.benchmarks.boards.standings import Standing, standings
from tuition.benchmarks.measured_boards import find_board
from tuition.benchmarks.statistics.intervals import score_over_seeds


def ranked_row(standing: Standing) -> RankedRow:
    """A row of a leaderboard as one of a tested study."""
    entry = standing.entry
    row = Row(
        name=entry.name,
        allocation=str(entry.allocation),
        kind="baseline",
        score=score_over_seeds([run.correct_PK for run in standing.listed.outcomes]),
        difference=standing.difference,
        selected_validation=None,
        labels_trained=entry.labels_trained or 0,
        gpu_seconds=entry.gpu_seconds or 0.0,
        seeds=entry.seeds,
        shuffled=entry.shuffled,
    )
    return RankedRow(row, standing.rank_first, standing.rank_last)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", default="micro@2", help="a shipped leaderboard's name or a folder")
    parser.add_argument("--out", type=Path, default=Path("docs/leaderboard.png"))
    arguments = parser.parse_args()
    (table,) = standings(load_board(find_board(arguments.board))).measured
    plot([ranked_row(row) for row in table.rows if row.rank_first is not None], arguments.out)
    print(arguments.out)


if __name__ == "__main__":
    main()
