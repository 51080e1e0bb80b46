"""Proxies: like what is raced on, or lying about its shares; a table's never use what judges."""

import numpy as np
import pytest

from tuition.benchmarks.planning.contestant import RaceError
from tuition.benchmarks.planning.problems import Problem
from tuition.benchmarks.planning.proxies import SCORES, as_it_seems, problem_proxy, table_proxy
from tuition.benchmarks.tables.recorded_table import RecordedTable, checked_table, read_table
from tuition.benchmarks.tables.shipped import find_table
from tuition.planner.allocation import Allocation
from tuition.planner.planning.warm_start import WarmStart


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem("interference", 3)


@pytest.fixture(scope="module")
def table() -> RecordedTable:
    return read_table(find_table("micro-b@2"))


def likeness(warm: WarmStart, problem: Problem) -> float:
    """Correlation of a proxy's scores with the truth."""
    scored = [(value, problem.truth(Allocation.parse(text))) for text, value, _ in warm.scores]
    return float(np.corrcoef(np.array(scored).T)[0, 1])


def test_a_right_proxy_is_like_the_problem_and_a_wrong_one_is_not(problem: Problem) -> None:
    right, wrong = problem_proxy(problem, "right"), problem_proxy(problem, "wrong")
    assert len(right.scores) == SCORES and right.space == problem.world.space
    assert likeness(right, problem) > 0.8 > likeness(wrong, problem) + 0.2
    assert problem_proxy(Problem("interference", 3), "right") == right, "a problem always has the same"


def test_a_lie_exchanges_the_shares_of_a_split_with_a_bridge() -> None:
    split, direct = Allocation.parse("teacher=t0 teacher_rl=5 opd=1 student_rl=2"), Allocation(student_rl=3)
    assert str(as_it_seems(split, "wrong")) == "teacher=t0 teacher_rl=2 opd=1 student_rl=5"
    assert as_it_seems(split, "right") == split and as_it_seems(direct, "wrong") == direct


def test_a_tables_proxy_has_scores_of_its_other_draw_seeds(table: RecordedTable) -> None:
    first, *others = table.seeds("draw")
    right, wrong = table_proxy(table, first, "right"), table_proxy(table, first, "wrong")
    for text, value, _ in right.scores:
        means = [table.correct_PK(Allocation.parse(text), seed, "validation").mean() for seed in others]
        assert value == pytest.approx(np.mean(means), abs=1e-5)
    assert right.scores != wrong.scores and right.untrained == wrong.untrained
    alone = checked_table(table.header, [run for run in table.rows if run.seed not in others])
    with pytest.raises(RaceError, match=f"no draw seed but {first}"):
        table_proxy(alone, first, "right")
