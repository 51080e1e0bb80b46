import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuition.benchmarks.problems import Problem
from tuition.runners.labels import LabelError, LabelPool, Ledger

LABELS = [Problem(f"l{i}", f"{i}+1=", str(i + 1)) for i in range(8)]
TEST = [Problem("t0", "100+1=", "101")]
WHO = {"study": "s", "seed": 0, "route": "r"}


@pytest.fixture
def pool(tmp_path: Path) -> LabelPool:
    return LabelPool(LABELS, TEST, Ledger(tmp_path / "ledger.sqlite"))


def test_reveal_returns_the_answers(pool: LabelPool) -> None:
    assert pool.reveal(["l1", "l2"], **WHO, stage="teacher_rl") == {"l1": "2", "l2": "3"}


def test_booking_again_after_a_restart_changes_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        ledger = Ledger(tmp_path / "ledger.sqlite")
        LabelPool(LABELS, TEST, ledger).reveal(["l1", "l2"], **WHO, stage="teacher_rl")
    assert ledger.trained("s", 0, "r") == 2
    assert ledger.owned("s") == 2


def test_one_label_in_two_shares_of_a_route_is_refused_and_not_booked(pool: LabelPool) -> None:
    pool.reveal(["l1"], **WHO, stage="teacher_rl")
    with pytest.raises(LabelError, match=r"'l1' is already spent on teacher_rl"):
        pool.reveal(["l2", "l1"], **WHO, stage="student_rl")
    assert pool._ledger.trained("s", 0, "r") == 1


def test_one_label_may_serve_two_routes_and_is_owned_once(pool: LabelPool) -> None:
    pool.reveal(["l1"], study="s", seed=0, route="a", stage="teacher_rl")
    pool.reveal(["l1"], study="s", seed=0, route="b", stage="student_rl")
    assert pool._ledger.owned("s") == 1


@pytest.mark.parametrize("label", ["t0", "unknown"])
def test_a_label_that_is_not_for_sale_is_refused(pool: LabelPool, label: str) -> None:
    with pytest.raises(LabelError, match=repr(label)):
        pool.reveal(["l0", label], **WHO, stage="teacher_rl")
    assert pool._ledger.trained("s", 0, "r") == 0


def test_a_pool_label_with_the_text_of_a_test_problem_is_refused(tmp_path: Path) -> None:
    pool = LabelPool([Problem("l9", "100+1=", "101")], TEST, Ledger(tmp_path / "ledger.sqlite"))
    with pytest.raises(LabelError, match="validation or test suite"):
        pool.reveal(["l9"], **WHO, stage="teacher_rl")


def test_more_labels_than_the_scenario_has_are_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.book("s", 0, "r", "teacher_rl", ["a", "b"], limit=3)
    with pytest.raises(LabelError, match="would spend 4 labels, but the scenario has 3"):
        ledger.book("s", 0, "r", "student_rl", ["c", "d"], limit=3)
    assert ledger.trained("s", 0, "r") == 2


def test_the_booking_is_committed_before_the_answers_are_out(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    LabelPool(LABELS, TEST, Ledger(path)).reveal(["l3"], **WHO, stage="teacher_rl")
    with sqlite3.connect(path) as other_process:
        assert other_process.execute("SELECT id FROM spent").fetchall() == [("l3",)]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(range(8))), max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
def test_counts_never_exceed_the_distinct_labels(
    tmp_path_factory: pytest.TempPathFactory, purchases: list[tuple[str, int]]
) -> None:
    ledger = Ledger(tmp_path_factory.mktemp("ledger") / "ledger.sqlite")
    pool = LabelPool(LABELS, TEST, ledger)
    for route, number in purchases:
        pool.reveal([f"l{number}"], study="s", seed=0, route=route, stage="student_rl")
    owned = len({number for _, number in purchases})
    assert [ledger.owned("s"), ledger.owned("s", at_most=owned), ledger.owned("s", at_most=owned + 1)] == [owned] * 3
    for route in "ab":
        assert ledger.trained("s", 0, route) == len({number for r, number in purchases if r == route})


def test_what_was_spent_is_the_sum_of_all_trainings_of_every_process(tmp_path: Path) -> None:
    ours, theirs = Ledger(tmp_path / "ledger.sqlite"), Ledger(tmp_path / "ledger.sqlite")
    assert ours.spent("s") == 0
    for number, ledger in enumerate([ours, theirs, theirs, ours]):
        ledger.record_training("s", f"block {number}", 2.0**number)
        ledger.record_training("other study", f"block {number}", 100.0)
        assert ours.spent("s") == sum(seconds for _, seconds in ours.trainings("s"))
    assert theirs.spent("s") == ours.spent("s") == 15.0
