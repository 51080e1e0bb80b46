"""`tuition race`: planners raced on a recorded table or on simulated problems, as Markdown, JSON and a figure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pandas as pd

from tuition.app.processes.progress import Reporter
from tuition.app.recordings.evidence_report import check_figure
from tuition.benchmarks.artefacts import finite
from tuition.benchmarks.planning.contestant import COVERAGE, RaceError
from tuition.benchmarks.planning.grounds import Ground, family_ground, table_ground
from tuition.benchmarks.planning.problems import FIRST_JUDGING
from tuition.benchmarks.planning.race import Rules, hold
from tuition.benchmarks.planning.race_file import Measured
from tuition.benchmarks.planning.regrets import Regret, answers_differ, regrets
from tuition.benchmarks.planning.rivals import choose_planners
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.benchmarks.statistics.multiplicity import RANKED_SEEDS
from tuition.benchmarks.tables.noise_floor import noise_floor
from tuition.benchmarks.tables.recorded_table import RecordedError, read_table
from tuition.benchmarks.tables.shipped import find_table

RANKED_AT = 1.0
"""Planners stand by what they have lost at this budget, in R, or the nearest one."""


@dataclass(frozen=True)
class RaceRequest:
    """The options of the command."""

    table: str | None
    family: str | None
    planners: str
    repeats: int
    problems: int
    budgets: str
    tuning: bool
    to: Path | None
    figure: Path | None
    workers: int
    results: Path

    def ground(self) -> Ground:
        """What is played on. RaceError for neither or both."""
        if (self.table is None) == (self.family is None):
            raise RaceError("give either --table or --family")
        if self.family is not None:
            return family_ground(self.family, self.problems, self.tuning)
        if self.tuning:
            raise RaceError("--tuning is for --family: a table has no problems to tune on")
        assert self.table is not None
        return table_ground(find_table(self.table))

    def rules(self) -> Rules:
        """RaceError for budgets that are no numbers."""
        try:
            budgets = tuple(float(text.strip().removesuffix("R")) for text in self.budgets.split(","))
        except ValueError:
            raise RaceError(f"--budgets {self.budgets!r}: give numbers of R, separated by commas: 1R,2R") from None
        return Rules(self.repeats, budgets, self.workers)


def run_race(request: RaceRequest, quiet: bool) -> tuple[dict[str, Any], str]:
    """Hold the race; its regrets as JSON values and as Markdown. The figure is written if a path is given."""
    if request.figure is not None:
        check_figure(request.figure)
    planners = choose_planners([name.strip() for name in request.planners.split(",") if name.strip()])
    ground, rules = request.ground(), request.rules()
    folder = request.to or ResultsFolder(request.results).planners / ground.name
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    reporter = Reporter(quiet=quiet)

    def tell(planner: str, done: int, total: int) -> None:
        if done == total or done % max(1, total // 4) == 0:
            reporter.say(f"{ground.name}: {planner} has played {done}/{total} {_units(ground.kind)}")

    measured = hold(ground, planners, rules, folder, tell)
    if request.figure is not None:
        _plot(measured, request.figure)
    floor = floor_sentence(Path(ground.source)) if ground.kind == "table" else None
    document = {
        "ground": ground.name,
        "kind": ground.kind,
        "rows": str(folder),
        "units": list(ground.units),
        "noise_floor": floor,
        "regrets": [_json(regret) for regret in regrets(measured)],
    }
    return document, markdown(measured, floor)


def _units(kind: str) -> str:
    return "recordings" if kind == "table" else "problems"


def _json(regret: Regret) -> dict[str, Any]:
    return {
        "planner": regret.planner,
        "answer": regret.answer,
        "budget": regret.budget,
        "regret": finite(regret.mean),
        "half_of_interval": finite(regret.half),
        "units": regret.units,
        "trials": regret.trials,
        "interval_covers": finite(regret.covered),
    }


def floor_sentence(path: Path) -> str:
    """What noise alone costs on a table, and how far its judges are themselves from the truth."""
    try:
        floor = noise_floor(read_table(path))
    except RecordedError as error:
        return f"No noise floor: {error}."
    return (
        f"Noise: a judges' mean has an error of {100 * floor.error:.1f} points, and their best is partly best by luck; "
        f"whoever has evaluated everything loses {100 * floor.one_draw.raw:.1f} points by one draw seed's own scores, "
        f"{100 * floor.all_draws.raw:.1f} by all draw seeds'."
    )


def caption(measured: Sequence[Measured]) -> str:
    """What the numbers are, in few sentences."""
    header = measured[0].header
    dearest = measured[0].rows.groupby("unit")["dearest"].first()
    cost = (
        f"{dearest.min():,.0f}" if dearest.min() == dearest.max() else f"{dearest.min():,.0f} to {dearest.max():,.0f}"
    )
    judge = (
        f"the mean test score on the judge seeds ({len(header.units)} recordings, one a draw seed)"
        if header.kind == "table"
        else f"the true score ({len(header.units)} simulated problems, numbers {header.units[0]} to {header.units[-1]}"
        + (", on which planners may be tuned)" if header.units[0] < FIRST_JUDGING else ")")
    )
    return (
        f"Points lost to the best split, by {judge}, against what the search has spent, in R: the dearest single route "
        f"costs 1 R, {cost} GPU-s. ± is half of the 95 % interval over {_units(header.kind)}, each the mean over its "
        "searches. Trained: the answer's training is paid within the budget; named: of all splits, maybe untrained. "
        f"Covered: how often the {COVERAGE:.0%} interval that a planner with a posterior gives for the split that it "
        "names holds the judge's score, at each budget."
    )


def cells(measured: Sequence[Measured]) -> list[dict[str, str]]:
    """The table: a row for each planner, and for each of its two answers where they differ; the best first."""
    by_planner: dict[str, dict[str, dict[float, Regret]]] = {}
    all_regrets = regrets(measured)
    for regret in all_regrets:
        by_planner.setdefault(regret.planner, {}).setdefault(regret.answer, {})[regret.budget] = regret
    differ = {one.header.planner for one in measured if answers_differ(one)}
    covers = not all(math.isnan(regret.covered) for regret in all_regrets)
    at = min(measured[0].header.budgets, key=lambda budget: abs(budget - RANKED_AT))

    def standing(planner: str) -> tuple[bool, float, str]:
        regret = by_planner[planner]["trained"].get(at)
        mean = math.nan if regret is None else regret.mean
        return math.isnan(mean), mean, planner

    rows = []
    for planner in sorted(by_planner, key=standing):
        answers = ("trained", "named") if planner in differ else ("trained",)
        for answer in answers:
            found = by_planner[planner][answer]
            name = f"{planner}, {answer}" if planner in differ else planner
            regret_cells = {f"{budget:g} R": _cell(regret) for budget, regret in found.items()}
            trials = {f"trials at {at:g} R": f"{found[at].trials:.1f}"}
            row = {"planner": name, **regret_cells, **trials}
            if covers:
                row["covered"] = _covered(by_planner[planner]["named"].values()) if answer == answers[-1] else ""
            rows.append(row)
    return rows


def _covered(regrets: Iterable[Regret]) -> str:
    """Empty where the planner gives no interval."""
    shares = [one.covered for one in regrets]
    cells = ["-" if math.isnan(share) else f"{100 * share:.0f} %" for share in shares]
    return "" if all(map(math.isnan, shares)) else ", ".join(cells)


def _cell(regret: Regret) -> str:
    if math.isnan(regret.mean):
        return "-"
    return f"{100 * regret.mean:.2f}" + ("" if math.isnan(regret.half) else f" ± {100 * regret.half:.2f}")


def markdown(measured: Sequence[Measured], floor: str | None) -> str:
    """The race as Markdown."""
    rows = cells(measured)
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    who = "\n".join(f"- {one.header.planner}: {one.header.about}" for one in measured)
    parts = [f"## Planners on {measured[0].header.ground}", caption(measured), *([floor] if floor else []), table, who]
    return "\n\n".join(parts) + "\n"


def chart_frame(measured: Sequence[Measured]) -> pd.DataFrame:
    """What `charts.race` draws: planner, answer, budget (R), regret, low, high (points); equal answers once.

    Fewer than three units have no band: it would reach over the whole figure.
    """
    differ = {one.header.planner for one in measured if answers_differ(one)}
    rows = []
    for r in regrets(measured):
        if not math.isnan(r.mean) and (r.answer == "trained" or r.planner in differ):
            half = r.half if r.units >= RANKED_SEEDS else math.nan
            rows.append((r.planner, r.answer, r.budget, 100 * r.mean, 100 * (r.mean - half), 100 * (r.mean + half)))
    return pd.DataFrame(rows, columns=["planner", "answer", "budget", "regret", "low", "high"])


def _plot(measured: Sequence[Measured], figure: Path) -> None:
    from tuition.app.dashboard import charts

    figure.write_bytes(charts.render(charts.race, chart_frame(measured), figure.suffix[1:]))  # type: ignore[arg-type]
