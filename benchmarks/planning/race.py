"""The race: planners play the same games at the same budgets, and each one's answers are judged.

What: `hold` plays every planner on every unit of a ground (`tuition.benchmarks.planning.grounds`), a planner whose
search has draws several times, and writes one file a planner as soon as it is through: a race that was interrupted goes
on with the next planner. Costs are in R, what the dearest single route of the unit costs with its score; an answer at a
budget is the one of the last step within it.

Two answers are judged: *named*, of all allocations, maybe untrained, and *trained*, whose training was paid within the
budget. A planner without a model has one: its best validated trial.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import optuna
import pandas as pd

from tuition.benchmarks.planning.contestant import Game, Planner, RaceError, Step
from tuition.benchmarks.planning.grounds import Ground, Unit
from tuition.benchmarks.planning.race_file import (
    COLUMNS,
    Measured,
    RaceHeader,
    race_file,
    read_measured,
    write_measured,
)
from tuition.benchmarks.planning.rivals import PLANNERS
from tuition.planner.allocation import Allocation
from tuition.planner.route import derive_seed

BUDGETS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
"""In R; our choice."""
ROUNDING = 5e-4
"""Of a budget: a study's records are rounded to milliseconds."""
OnUnit = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Rules:
    """What holds for every planner of a race.

    Attributes:
        repeats: searches on each unit, of planners whose searches have draws.
        budgets: in R, ascending.
        workers: processes that play.

    Raises:
        RaceError: for no repeats, budgets or workers, and budgets that are not above 0.
    """

    repeats: int = 5
    budgets: tuple[float, ...] = BUDGETS
    workers: int = 1

    def __post_init__(self) -> None:
        if self.repeats < 1 or self.workers < 1:
            raise RaceError(f"{self.repeats} repeats and {self.workers} workers: at least 1 of each is needed")
        if not self.budgets or list(self.budgets) != sorted(set(self.budgets)) or not self.budgets[0] > 0:
            raise RaceError(f"budgets {self.budgets}: give some above 0, each once, ascending")


def hold(
    ground: Ground, planners: Sequence[Planner], rules: Rules, folder: Path, on_unit: OnUnit | None = None
) -> list[Measured]:
    """Play what this folder does not hold yet, and return what was asked for.

    A search depends on its unit, its budget and its seed alone, so a file of fewer units or budgets is completed, and
    one of more is left as it is. What was played by another revision of a planner, or with other repeats, is replaced.

    Args:
        ground: what is played on.
        planners: who plays.
        rules: for all.
        folder: one file a planner; it is made if need be.
        on_unit: told the planner, and how many units of how many it has played.

    Raises:
        RaceError: for a file that lacks some of what is asked for and holds something else, which would be lost.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for planner in planners:
        header, file = header_of(ground, planner, rules), race_file(folder, planner.name)
        held = _held(file, header)
        kept = held[held["unit"].isin(header.units) & held["budget"].isin(header.budgets)]
        missing = _missing(kept, header)
        if missing:
            if len(kept) < len(held):
                raise RaceError(
                    f"{file} holds {held['unit'].nunique()} units at budgets of {', '.join(_budgets(held))} R, which "
                    "this race would replace: ask for at least these, or choose another folder with --to"
                )
            played = pd.DataFrame(_play_all(ground, planner, rules, missing, on_unit), columns=list(COLUMNS))
            kept = pd.concat([kept, played]) if len(kept) else played
            kept = kept.sort_values(["unit", "search", "budget"], kind="stable")
            write_measured(Measured(header, kept), file)
        found.append(Measured(header, kept.reset_index(drop=True)))
    return found


def header_of(ground: Ground, planner: Planner, rules: Rules) -> RaceHeader:
    """What the file of a planner says it was measured by."""
    return RaceHeader(
        ground=ground.name,
        kind=ground.kind,
        identity=ground.identity,
        units=ground.units,
        planner=planner.name,
        about=planner.about,
        revision=planner.revision,
        repeats=rules.repeats if planner.draws else 1,
        budgets=rules.budgets,
        optuna=optuna.__version__,
    )


def _held(file: Path, header: RaceHeader) -> pd.DataFrame:
    """The rows that were measured in the same way before."""
    try:
        measured = read_measured(file)
    except RaceError:
        return pd.DataFrame(columns=list(COLUMNS))
    asked = measured.header.model_copy(update={"units": header.units, "budgets": header.budgets})
    return measured.rows if asked == header else measured.rows.iloc[:0]


def _budgets(rows: pd.DataFrame) -> list[str]:
    return [f"{budget:g}" for budget in sorted(rows["budget"].unique())]


def _missing(rows: pd.DataFrame, header: RaceHeader) -> dict[int, tuple[float, ...]]:
    """The budgets at which a unit has not been played, by unit."""
    played = set(zip(rows["unit"], rows["budget"], strict=True))
    found = {unit: tuple(one for one in header.budgets if (unit, one) not in played) for unit in header.units}
    return {unit: budgets for unit, budgets in found.items() if budgets}


def _play_all(
    ground: Ground, planner: Planner, rules: Rules, missing: dict[int, tuple[float, ...]], on_unit: OnUnit | None
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    games = repeat(ground), repeat(planner.name), missing, [replace(rules, budgets=own) for own in missing.values()]

    def take(results: Any) -> None:
        for done, played in enumerate(results, 1):
            rows.extend(played)
            if on_unit is not None:
                on_unit(planner.name, done, len(missing))

    if rules.workers == 1 or len(missing) == 1:
        take(map(play_unit, *games))
        return rows
    with ProcessPoolExecutor(rules.workers, get_context("spawn"), _quiet) as pool:
        try:
            take(pool.map(play_unit, *games))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return rows


def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def play_unit(ground: Ground, name: str, number: int, rules: Rules) -> list[dict[str, Any]]:
    """All searches of a planner on a unit: a row for each of them and each budget."""
    planner, unit = PLANNERS[name], ground.unit(number)
    dearest = unit.replay.dearest
    rows = []
    for search in range(rules.repeats if planner.draws else 1):
        # Other draws on each unit, or luck would be shared by all of them; the same for every planner.
        seed = derive_seed("race", number, search)
        for budget in rules.budgets:
            seconds = budget * dearest
            steps = planner.play(Game(unit.replay.emptied(), unit.named, seconds, seed, unit.proxy))
            within = [step for step in steps if step.spent <= seconds * (1 + ROUNDING)]
            last = within[-1] if within else Step(0.0, None, None, 0)
            rows.append({"unit": number, "search": search, "budget": budget, **_judged(unit, last)})
    return rows


def _judged(unit: Unit, step: Step) -> dict[str, Any]:
    named, trained = (_as_judged(unit, answer) for answer in (step.named, step.trained))
    nothing = float("nan")
    # What is said of one split says nothing of another that stands for it.
    low, high = step.expected if step.expected is not None and named == step.named else (nothing, nothing)
    return {
        "spent": step.spent / unit.replay.dearest,
        "dearest": unit.replay.dearest,
        "trials": step.trials,
        "named": "" if named is None else str(named),
        "trained": "" if trained is None else str(trained),
        "best": unit.best,
        "named_value": nothing if named is None else unit.value(named),
        "trained_value": nothing if trained is None else unit.value(trained),
        "named_low": low,
        "named_high": high,
    }


def _as_judged(unit: Unit, answer: Allocation | None) -> Allocation | None:
    """An incomplete table judges the nearest split that it holds."""
    return None if answer is None else unit.replay.nearest_route(answer).allocation
