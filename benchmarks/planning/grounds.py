"""The grounds of a race: a recorded table, or a family of simulated problems, as units that planners search and that
are judged by what no planner sees.

A table's units are its draw seeds; it is judged by the mean test score over the judge seeds, of which the best is
partly best by luck. A family's units are its problems; they are judged by their truth.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from statistics import fmean
from typing import Literal

from tuition.benchmarks.artefacts import file_sha256
from tuition.benchmarks.baselines import EVALUATED_FIRST
from tuition.benchmarks.planning.contestant import Likeness
from tuition.benchmarks.planning.families import FAMILIES
from tuition.benchmarks.planning.problems import FIRST_JUDGING, Problem, ProblemError
from tuition.benchmarks.planning.proxies import problem_proxy, table_proxy
from tuition.benchmarks.tables.recorded_table import RecordedError, RecordedTable, read_table
from tuition.benchmarks.tables.replay import Replay
from tuition.planner.allocation import Allocation
from tuition.planner.planning.warm_start import WarmStart

FAMILIES_REVISION = 1
"""Raised whenever a family draws something else: results of before are measured again."""


@dataclass(frozen=True)
class Unit:
    """What one search is played on, and its judge.

    Attributes:
        replay: with an empty store; `emptied` it for every search.
        named: named routes that the space holds, in the order in which a search evaluates them, and the paper's.
        best: the judge's value of the best allocation, a fraction.
        value: the judge's value of an allocation, a fraction.
        proxy: the scores of another scenario that is like it, or lies.
    """

    replay: Replay
    named: Mapping[str, Allocation]
    best: float
    value: Callable[[Allocation], float]
    proxy: Callable[[Likeness], WarmStart]


@dataclass(frozen=True)
class Ground:
    """A table or a family, and which of its units are searched.

    Attributes:
        kind: "table" or "family".
        name: of the family, or the table's file without its ending.
        source: the table's path, or the family's name.
        identity: what the results depend on, and nobody sees in a name: the file's hash, or the families' revision.
        units: draw seeds, or problem numbers.
    """

    kind: Literal["table", "family"]
    name: str
    source: str
    identity: str
    units: tuple[int, ...]

    def unit(self, number: int) -> Unit:
        """One of its units; kept in memory for the searches that follow."""
        return _family_unit(self.source, number) if self.kind == "family" else _table_unit(self.source, number)


def family_ground(family: str, problems: int, tuning: bool = False) -> Ground:
    """The first problems of a family that are for judging; with `tuning`, those that are for tuning.

    Raises:
        ProblemError: for an unknown family, or more problems than there are for tuning.
    """
    if family not in FAMILIES:
        raise ProblemError(f"unknown family {family!r}; choose from {', '.join(FAMILIES)}")
    if not 0 < problems <= FIRST_JUDGING:
        raise ProblemError(f"{problems} problems: choose from 1 to {FIRST_JUDGING}")
    first = 0 if tuning else FIRST_JUDGING
    name = f"{family}-tuning" if tuning else family
    return Ground("family", name, family, f"families {FAMILIES_REVISION}", tuple(range(first, first + problems)))


def table_ground(path: Path) -> Ground:
    """All draw seeds of a recorded table. RecordedError for one without a draw or a judge seed of all its splits."""
    table = _table(str(path))
    _judged(str(path))
    return Ground("table", path.stem, str(path), file_sha256(path), table.seeds("draw"))


@lru_cache(maxsize=32)
def _family_unit(family: str, number: int) -> Unit:
    problem = Problem(family, number)
    named = {name: a for name, a in problem.names.items() if problem.world.space.holds(a)}
    return Unit(problem.replay(), named, problem.best, problem.truth, partial(problem_proxy, problem))


@lru_cache(maxsize=2)
def _table(path: str) -> RecordedTable:
    return read_table(Path(path))


@lru_cache(maxsize=2)
def _judged(path: str) -> Mapping[Allocation, float]:
    """The judge's value of every split that a search may be handed: recorded with a draw seed, and no control."""
    table = _table(path)
    proposals = [a for a in table.allocations if table.header.space.holds(a) and table.seeds("draw", a)]
    judges = [seed for seed in table.seeds("judge") if all((a, seed) in table.index for a in proposals)]
    if not proposals or not judges:
        raise RecordedError("the table needs a draw seed and a judge seed with the same allocations: record more seeds")
    return {a: fmean(float(table.correct_PK(a, seed, "test").mean()) for seed in judges) for a in proposals}


@lru_cache(maxsize=32)
def _table_unit(path: str, seed: int) -> Unit:
    table, judged = _table(path), _judged(path)
    names = {name: Allocation.parse(text) for name, text in table.header.names.items()}
    named = {name: a for name, a in names.items() if table.header.space.holds(a)}
    ordered = {name: named[name] for name in (*EVALUATED_FIRST, *named) if name in named}
    return Unit(
        Replay(table, seed), ordered, max(judged.values()), judged.__getitem__, partial(table_proxy, table, seed)
    )
