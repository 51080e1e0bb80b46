"""`tuition planners`: the planners of Tuition, ranked on a recorded table."""

import math
from pathlib import Path
from typing import Any

import optuna
import pandas as pd

from tuition.app.processes.progress import Reporter
from tuition.app.recordings.evidence_report import check_figure
from tuition.benchmarks.artefacts import finite
from tuition.benchmarks.statistics.multiplicity import RANKED_SEEDS
from tuition.benchmarks.tables.race import (
    COMPARED_WITH,
    SHARES,
    Standing,
    measure,
    references,
    standings,
    write_planners,
)
from tuition.benchmarks.tables.recorded_table import read_table
from tuition.runners.events import PhaseBegan


def measure_planners(
    table: Path, searches: int, to: Path, figure: Path | None, quiet: bool
) -> tuple[dict[str, Any], str]:
    """Measure, write the rows to `to` and the figure if a path is given; standings as JSON values and as Markdown."""
    if figure is not None:
        check_figure(figure)
    recorded = read_table(table)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    reporter = Reporter(quiet=quiet)
    reporter.hear(PhaseBegan(title=f"planners on {table.name}", done=0, total=None))
    frame = measure(table, recorded, searches, lambda done, total: _tell(reporter, done, total))
    to.parent.mkdir(parents=True, exist_ok=True)
    write_planners(frame, to)
    if figure is not None:
        _plot(frame, figure)
    by_share = {share: standings(frame, share) for share in SHARES}
    document = {
        "table": str(table),
        "rows": str(to),
        "scenario": recorded.header.scenario,
        "suite": recorded.header.test.name,
        "budgets": [
            {"share": share, "gpu_seconds": budget_of(frame, share), "standings": [_json(s) for s in found]}
            for share, found in by_share.items()
        ],
        "references": references(frame).to_dict("index"),
    }
    return document, markdown(frame, recorded.header.scenario)


def _tell(reporter: Reporter, done: int, total: int) -> None:
    if done % max(1, total // 10) == 0:
        reporter.say(f"{done}/{total} searches")


def budget_of(frame: pd.DataFrame, share: float) -> float:
    """GPU-seconds of a budget, the mean over the draw seeds."""
    return float(frame.loc[(frame["kind"] == "planner") & (frame["share"] == share), "budget"].mean())


def _json(standing: Standing) -> dict[str, Any]:
    difference = standing.difference
    return {
        "planner": standing.planner,
        "ranks": None if standing.first is None else [standing.first, standing.last],
        "test": standing.test,
        "error_over_recordings": finite(standing.error),
        "difference": None if difference is None else [difference.mean, difference.low, difference.high],
        "trials_median": standing.trials,
        "searches": standing.searches,
        "recordings": standing.recordings,
    }


def cells(standing: Standing) -> dict[str, str]:
    """A standing as cells of a table; scores in percent, differences in points."""
    first, last, difference = standing.first, standing.last, standing.difference
    minus = "reference" if standing.planner == COMPARED_WITH else "not compared"
    if difference is not None:
        # No difference is never printed as "-0.0".
        low, mean, high = (round(100 * x, 1) + 0.0 for x in (difference.low, difference.mean, difference.high))
        minus = "equal in every search" if standing.equal else f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"
    error = f" ± {100 * standing.error:.1f}" if math.isfinite(standing.error) else ""
    return {
        **({} if first is None else {"rank": str(first) if first == last else f"{first} to {last}"}),
        "planner": standing.planner,
        "test of its selection, %": f"{100 * standing.test:.1f}{error}",
        f"minus {COMPARED_WITH}, points": minus,
        "trials": f"{standing.trials:.0f}",
        "searches": str(standing.searches),
    }


def caption(frame: pd.DataFrame) -> str:
    """What the numbers are, in few sentences."""
    draws, judges = sorted(set(frame["draw_seed"])), frame["judge_seeds"].iloc[0].split()
    ranks = (
        "Ranks are consistent with the paired differences after Holm's correction over all pairs."
        if len(draws) >= RANKED_SEEDS
        else f"No ranks below {RANKED_SEEDS} draw seeds: planners stand by score."
    )
    return (
        f"Test score, on {len(judges)} judge seed{'s' if len(judges) > 1 else ''}, of the allocation that a planner "
        f"selects: the best validation score found within its budget on one of {len(draws)} draw seeds. Standard "
        "errors (±) and intervals (95 %) are over the recordings of the draw seeds, each the mean over its searches. "
        f"{ranks}"
    )


def markdown(frame: pd.DataFrame, scenario: str) -> str:
    """The standings at every budget as Markdown."""
    parts = [f"## Planners on {scenario}", caption(frame)]
    for share in SHARES:
        rows = [cells(standing) for standing in standings(frame, share)]
        parts.append(f"**{budget_of(frame, share):.0f} GPU-s** ({100 * share:.0f} % of evaluating everything)")
        lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    for name, row in references(frame).iterrows():
        parts.append(f"For comparison: {name}, {row['budget']:.0f} GPU-s, {100 * row['test']:.1f} %.")
    return "\n\n".join(parts) + "\n"


def chart_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """What `charts.planners` draws: planner, budget (GPU-s), mean, lowest and highest recording (%), kind."""
    rows = [
        (s.planner, budget_of(frame, share), 100 * s.test, 100 * s.lowest, 100 * s.highest)
        for share in SHARES
        for s in standings(frame, share)
    ]
    drawn = pd.DataFrame(rows, columns=["planner", "budget", "mean", "low", "high"]).assign(kind="planner")
    known = references(frame)
    lines = pd.DataFrame(
        {"planner": known.index, "budget": known["budget"], "mean": 100 * known["test"], "kind": "reference"}
    )
    return pd.concat([drawn, lines], ignore_index=True)


def _plot(frame: pd.DataFrame, figure: Path) -> None:
    from tuition.app.dashboard import charts

    figure.write_bytes(charts.render(charts.planners, chart_frame(frame), figure.suffix[1:]))  # type: ignore[arg-type]
