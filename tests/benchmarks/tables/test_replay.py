"""Replay: what the live store would charge, only seeds that are for drawing, and studies that run on it."""

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.made_table import SEEDS, SPACE, made_header, made_run, made_runs
from tuition.benchmarks.tables.recorded_table import RecordedError, RecordedTable, checked_table
from tuition.benchmarks.tables.replay import Replay
from tuition.planner.allocation import Allocation
from tuition.planner.sampler import SAMPLERS, SeededSampler
from tuition.planner.study import StudyLimits, finalists, search

TEXTS = [str(a) for a in dict.fromkeys(SPACE.random_allocations(400, seed=0))][:40]
BRIDGED = "teacher=large teacher_rl=2 warmup=1 opd=1"
FIXED = [BRIDGED, f"{BRIDGED} student_rl=2", "teacher=large teacher_rl=1 warmup=1", "student_rl=3", "student_rl=2",
         "student_rl=2 replay=1", "teacher=large teacher_rl=3 opd=1"]  # fmt: skip
DRAW = SEEDS[1]


@pytest.fixture(scope="module")
def table() -> RecordedTable:
    header = made_header()
    return checked_table(header, made_runs(header, list(dict.fromkeys([*FIXED, *TEXTS]))))


def cost(replay: Replay, text: str) -> tuple[float, list[str]]:
    charge = replay.run(Allocation.parse(text))
    return charge.training_gpu_seconds, [f"{block.stage}[{block.index}]" for block in charge.blocks]


def test_a_shared_beginning_is_charged_once(table: RecordedTable) -> None:
    replay = Replay(table, DRAW)
    whole = ["teacher_rl[0]", "teacher_rl[1]", "warmup[0]", "opd[0]"]
    assert cost(replay, BRIDGED) == (2 * 5 + 3 + 1 + 3.5, whole), "its teacher's rollouts of 1 s among them"
    assert cost(replay, BRIDGED) == (0, [])
    assert cost(replay, f"{BRIDGED} student_rl=2") == (4, ["student_rl[0]", "student_rl[1]"])
    assert cost(replay, "teacher=large teacher_rl=1 warmup=1") == (4, ["warmup[0]"]), "weights start another stage"
    assert cost(replay, "teacher=large teacher_rl=3 opd=1") == (8.5, ["teacher_rl[2]", "opd[0]"]), "the tip goes on"


def test_a_fork_inside_a_stage_trains_what_lost_its_optimizer_state_again(table: RecordedTable) -> None:
    replay = Replay(table, DRAW)
    assert cost(replay, "student_rl=3")[0] == 6
    assert cost(replay, "student_rl=2") == (0, [])
    assert cost(replay, "student_rl=2 replay=1") == (6, ["student_rl[0]", "student_rl[1]", "student_rl[2]"])
    kept = made_header(states_kept=("student_rl",))
    replay = Replay(checked_table(kept, made_runs(kept, FIXED)), DRAW)
    assert cost(replay, "student_rl=3")[0] == 6
    assert cost(replay, "student_rl=2 replay=1") == (2, ["student_rl[2]"])


def test_asking_what_it_would_cost_charges_nothing_and_scores_are_charged_once(table: RecordedTable) -> None:
    replay = Replay(table, DRAW)
    allocation = Allocation.parse(BRIDGED)
    foreseen = replay.marginal_cost(allocation)
    assert foreseen == replay.marginal_cost(allocation) == replay.run(allocation)
    assert foreseen.scoring_gpu_seconds == 0.25 and replay.marginal_cost(allocation).gpu_seconds == 0


@given(st.permutations(list(range(len(TEXTS)))))
def test_whatever_the_order_each_block_is_paid_for_in_a_space_without_forks(
    table: RecordedTable, order: list[int]
) -> None:
    replay = Replay(table, DRAW)
    spent = sum(replay.run(Allocation.parse(TEXTS[number])).training_gpu_seconds for number in order)
    blocks = {b.key: b for text in TEXTS for b in table.run(Allocation.parse(text), DRAW).blocks}
    rollouts = {b.rollouts: b.rollouts_gpu_seconds for b in blocks.values() if b.rollouts}
    assert spent == pytest.approx(sum(b.gpu_seconds for b in blocks.values()) + sum(rollouts.values()))


def test_only_recorded_draw_seeds_can_be_replayed(table: RecordedTable) -> None:
    with pytest.raises(
        RecordedError, match="seed 1000001 is for judging only: planners may draw from 1000002, 1000004"
    ):
        Replay(table, SEEDS[0])
    with pytest.raises(RecordedError, match="seed 1000006 is not recorded"):
        Replay(table, SEEDS[0] + 5)


def test_what_is_not_recorded_is_an_error_and_has_a_nearest_neighbour(table: RecordedTable) -> None:
    replay = Replay(table, DRAW)
    absent = Allocation.parse("teacher=large teacher_rl=2 warmup=1 opd=1 replay=1")
    for ask in (replay.route, replay.validation, replay.marginal_cost, replay.run):
        with pytest.raises(RecordedError, match="is not recorded"):
            ask(absent)
    assert str(replay.nearest_route(absent).allocation) == BRIDGED
    for allocation in replay.allocations:
        assert replay.nearest_route(allocation).allocation == allocation
    assert {str(a) for a in replay.allocations} == {*FIXED, *TEXTS}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_study_of_20_trials_runs_on_a_replay(table: RecordedTable, sampler: str) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    replay = Replay(table, DRAW)
    study = optuna.create_study(sampler=SeededSampler(sampler, 0), direction="maximize")
    search(study, table.header.space, replay.nearest_route, replay.evaluate, StudyLimits(trials=20))
    trials = [trial for trial in study.trials if trial.value is not None]
    assert len(study.trials) == 20 and len(trials) >= 10
    for trial in finalists(study, 5):
        allocation = Allocation.parse(trial.user_attrs["allocation"])
        assert trial.value == pytest.approx(table.correct_PK(allocation, DRAW, "validation").mean())
    again = Replay(table, DRAW)
    for trial in trials:
        if "repeat_of" not in trial.user_attrs:
            charge = again.run(Allocation.parse(trial.user_attrs["allocation"]))
            assert trial.user_attrs["gpu_seconds"] == pytest.approx(charge.gpu_seconds, abs=1e-3)


def test_the_base_student_costs_its_score(table: RecordedTable) -> None:
    header = table.header
    charge = Replay(checked_table(header, [made_run(header, "base", DRAW)]), DRAW).run(Allocation())
    assert (charge.blocks, charge.gpu_seconds) == ((), 0.25)
