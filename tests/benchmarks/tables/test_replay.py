"""Replay: what the live store would charge, only seeds that are for drawing, and studies that run on it."""

import gc
from collections.abc import Sequence
from functools import cache
from types import BuiltinFunctionType, FunctionType, ModuleType

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.benchmarks.made_table import (
    SECONDS,
    SEEDS,
    SPACE,
    all_checkpoints,
    made_complete_table,
    made_header,
    made_run,
    made_runs,
)
from tuition.benchmarks.tables.recorded_table import RecordedError, RecordedTable, checked_table, missing_checkpoints
from tuition.benchmarks.tables.replay import Replay
from tuition.benchmarks.tables.table_header import UntrainedScore
from tuition.planner.allocation import Allocation, Checkpoint, TeacherCheckpoint
from tuition.planner.route import Route
from tuition.planner.sampler import SAMPLERS, SeededSampler
from tuition.planner.scores.outcome import Outcome
from tuition.planner.space import SearchSpace
from tuition.planner.study import SearchOptions, StudyLimits, finalists, search

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
    for ask in (replay.route, replay.score, replay.marginal_cost, replay.run, replay.begin):
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


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_budget_is_spent_and_never_exceeded(complete: RecordedTable, sampler: str) -> None:
    """Scores on the way and of base models included; a proposal costs what it was priced at."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    replay, prices = Replay(complete, DRAW), dict[int, float]()

    def evaluate(number: int, allocation: Allocation, route: Route, on_the_way: Sequence[Checkpoint]) -> Outcome:
        prices[number] = replay.price(route, on_the_way)
        return replay.evaluate(number, allocation, route, on_the_way)

    study = optuna.create_study(sampler=SeededSampler(sampler, 0), direction="maximize")
    limits = StudyLimits(gpu_seconds=replay.dearest, price=replay.price)
    every = SearchOptions(score_on_the_way=lambda allocation: allocation.checkpoints()[:-1])
    assert search(study, replay.space, replay.nearest_route, evaluate, limits, every) is not None
    spent = {number: study.trials[number].user_attrs["gpu_seconds"] for number in prices}
    assert spent == pytest.approx(prices, abs=1e-3)
    assert replay.dearest / 2 < sum(spent.values()) <= replay.dearest + 1e-2
    assert sum(trial.user_attrs.get("gpu_seconds", 0.0) for trial in study.trials) == pytest.approx(sum(spent.values()))


def test_the_base_student_costs_its_score(table: RecordedTable) -> None:
    header = table.header
    charge = Replay(checked_table(header, [made_run(header, "base", DRAW)]), DRAW).run(Allocation())
    assert (charge.blocks, charge.gpu_seconds) == ((), 0.25)


FORKING = SearchSpace(
    teachers=("large",),
    num_label_blocks=3,
    max_warmup=1,
    max_opd=2,
    max_replay=2,
    prepare=("rl", "sft"),
    transfer=("bridge", "sft"),
)
"""Replay blocks fork inside a stage, so that blocks are trained again."""

Walk = list[tuple[Checkpoint, tuple[Checkpoint, ...]]]


@pytest.fixture(scope="module")
def complete() -> RecordedTable:
    return made_complete_table(FORKING, seeds=[DRAW])


@pytest.fixture(scope="module")
def forking(complete: RecordedTable) -> Replay:
    return Replay(complete, DRAW)


@pytest.fixture(scope="module")
def forkless() -> Replay:
    return Replay(made_complete_table(SPACE, seeds=[DRAW]), DRAW)


@cache
def ways(space: SearchSpace) -> Walk:
    """Every checkpoint of a space, students and teachers, with what is passed on the way to it."""
    ends = all_checkpoints(space)
    return [(end, tuple(end.checkpoints()[:-1]) if isinstance(end, Allocation) else ()) for end in ends]


def walks(space: SearchSpace = FORKING) -> st.SearchStrategy[Walk]:
    """Checkpoints, and every other one of those on the way, to be scored as well."""
    steps = st.builds(lambda way, first: (way[0], way[1][first::2]), st.sampled_from(ways(space)), st.integers(0, 2))
    return st.lists(steps, min_size=1, max_size=12)


def test_a_complete_table_serves_whatever_routes_pass(complete: RecordedTable) -> None:
    assert not missing_checkpoints(complete, DRAW)
    replay = Replay(complete, DRAW)
    for allocation in FORKING.allocations():
        assert replay.checkpoints(allocation) == tuple(allocation.checkpoints())
    assert {*replay.allocations, *replay.teachers} == set(all_checkpoints(FORKING))
    assert all(replay.marginal_cost(one).gpu_seconds > 0 for one in replay.teachers)


def test_scores_on_the_way_have_a_price_of_their_own_which_is_paid_once(complete: RecordedTable) -> None:
    replay = Replay(complete, DRAW)
    whole = Allocation.parse(f"{BRIDGED} student_rl=1")
    teacher, half = TeacherCheckpoint(teacher="large", stage="teacher_rl", blocks=1), Allocation.parse(BRIDGED)
    with pytest.raises(RecordedError, match="'teacher=large teacher_rl=1' is not in the store"):
        replay.score(teacher)
    assert replay.marginal_cost(whole, [teacher, half]).scoring_gpu_seconds == 3 * 0.25
    assert replay.run(whole, [half]).scoring_gpu_seconds == 2 * 0.25
    score, price = replay.score(teacher)
    assert (score.mean, price) == (complete.correct_PK(teacher, DRAW, "validation").mean(), 0.25)
    assert [replay.score(one)[1] for one in (teacher, half, whole)] == [0, 0, 0]
    for ask in (replay.marginal_cost, replay.run, replay.begin):
        with pytest.raises(RecordedError, match="is not on the way to 'student_rl=1'"):
            ask(Allocation.parse("student_rl=1"), [half])


def test_weights_that_were_scored_under_another_name_cost_nothing() -> None:
    header = made_header()
    runs = [made_run(header, text, DRAW, weights_sha256="a" * 64) for text in ("student_rl=1", "student_rl=2")]
    replay = Replay(checked_table(header, runs), DRAW)
    first, second = replay.allocations
    assert replay.marginal_cost(second, [first]).scoring_gpu_seconds == 0.25
    assert [replay.run(one).scoring_gpu_seconds for one in (first, second)] == [0.25, 0]


@settings(deadline=None, max_examples=40)
@given(walk=walks(SPACE), data=st.data())
def test_whatever_the_order_everything_is_paid_once_in_a_space_without_forks(
    forkless: Replay, walk: Walk, data: st.DataObject
) -> None:
    spent = []
    for order in (walk, data.draw(st.permutations(walk))):
        replay = forkless.emptied()
        spent.append(sum(replay.run(*step).gpu_seconds for step in order))
    blocks = {block.key: block.stage for end, _ in walk for block in forkless.route(end).blocks}
    training = sum(SECONDS[stage] + (stage == "warmup") for stage in blocks.values())  # and its rollouts of 1 s
    scored = {one for end, way in walk for one in (end, *way)}
    assert spent == pytest.approx([training + 0.25 * len(scored)] * 2)


@settings(deadline=None, max_examples=60)
@given(walk=walks(), workers=st.integers(1, 4), data=st.data())
def test_several_workers_are_charged_what_one_is(
    forking: Replay, walk: Walk, workers: int, data: st.DataObject
) -> None:
    alone, together = forking.emptied(), forking.emptied(workers)
    charges = [alone.run(*step) for step in walk]
    total = sum(charge.gpu_seconds for charge in charges)
    assert alone.now == pytest.approx(total)
    begun, done = [], []
    for step in walk:
        while together.in_flight and (len(together.in_flight) == workers or data.draw(st.booleans())):
            done.append(together.next_done())
        foreseen = together.marginal_cost(*step)
        begun.append(together.begin(*step))
        assert begun[-1].charge == foreseen and begun[-1].began == together.now
        assert begun[-1].ends >= together.now + foreseen.gpu_seconds - 1e-9
    while together.in_flight:
        done.append(together.next_done())
    assert [running.charge for running in begun] == charges
    assert sorted(map(id, begun)) == sorted(id(one.running) for one in done)
    ends = [one.running.ends for one in done]
    assert ends == sorted(ends) and together.now == ends[-1]
    assert total / workers <= together.now + 1e-9 and together.now <= total + 1e-9
    for one in done:
        assert set(one.scores) == {one.running.checkpoint, *one.running.on_the_way}
        for checkpoint, score in one.scores.items():
            assert score == alone.score(checkpoint)[0]
    assert sum(alone.run(*step).scoring_gpu_seconds for step in walk) == 0


@settings(deadline=None, max_examples=40)
@given(walk=walks())
def test_nothing_is_there_before_what_it_needs(complete: RecordedTable, forking: Replay, walk: Walk) -> None:
    """Begun together, a run ends no earlier than its chain alone would, and no later than all of them in turn."""
    replay = forking.emptied(len(walk))
    begun = [replay.begin(*step) for step in walk]
    total = sum(running.charge.gpu_seconds for running in begun)
    for running in begun:
        alone = complete.run(running.checkpoint, DRAW).gpu_seconds_full + 0.25
        assert alone - 1e-9 <= running.ends <= total + 1e-9


def test_what_another_run_makes_is_waited_for_and_not_charged(table: RecordedTable) -> None:
    replay = Replay(table, DRAW, workers=2)
    first, second = Allocation.parse(BRIDGED), Allocation.parse(f"{BRIDGED} student_rl=2")
    one, two = replay.begin(first), replay.begin(second)
    # The bridge is there after 10 s of the teacher, 1 + 3 of the warmup and 3.5 of opd.
    assert (one.charge.gpu_seconds, one.ends) == (17.75, 17.75)
    assert (two.charge.gpu_seconds, two.began, two.ends) == (4.25, 0, 17.5 + 4 + 0.25)
    with pytest.raises(RecordedError, match=r"all workers \(2\) are busy"):
        replay.begin(first)
    done = replay.next_done()
    assert done.running is one and replay.now == 17.75 and replay.in_flight == (two,)
    for ask in (replay.run, replay.score):
        with pytest.raises(RecordedError, match="1 runs are in flight"):
            ask(first)
    again = replay.begin(first)
    assert (again.charge.gpu_seconds, again.ends) == (0, 17.75), "it is all there"
    assert [replay.next_done().running for _ in range(2)] == [again, two] and replay.now == 21.75
    with pytest.raises(RecordedError, match="no run is in flight"):
        replay.next_done()


def test_a_score_that_is_being_made_is_waited_for(table: RecordedTable) -> None:
    replay = Replay(table, DRAW, workers=2)
    first, second = (replay.begin(Allocation.parse(BRIDGED)) for _ in range(2))
    assert second.charge.gpu_seconds == 0 and second.ends == first.ends == 17.75
    with pytest.raises(RecordedError, match="workers=0"):
        Replay(table, DRAW, workers=0)


def test_no_test_score_and_no_other_seed_is_within_reach() -> None:
    marked = {"test_correct": (3, 1, 4, 1, 2, 0)}
    header = made_header(untrained={"student": (3, 1, 4, 1, 2, 0)})
    table = checked_table(header, [made_run(header, text, seed, **marked) for text in FIXED for seed in SEEDS])
    replay = Replay(table, DRAW)
    replay.run(Allocation.parse(BRIDGED))
    seen, waiting, found = {id(replay)}, [replay], []
    while waiting:
        for one in gc.get_referents(waiting.pop()):
            if id(one) not in seen and not isinstance(one, (type, ModuleType, FunctionType, BuiltinFunctionType)):
                seen.add(id(one))
                waiting.append(one)
                found.append(one)
    assert marked["test_correct"] not in [one for one in found if isinstance(one, tuple)]
    assert not any(isinstance(one, RecordedTable) or one in SEEDS[::2] for one in found if not hasattr(one, "shape"))


def test_base_models_have_a_validation_score_that_is_paid_once() -> None:
    untrained = {"large": UntrainedScore(correct=(2, 2, 2, 0, 0, 0), gpu_seconds=0.75)}
    header = made_header(untrained_validation=untrained)
    replay = Replay(checked_table(header, [made_run(header, FIXED[0], DRAW)]), DRAW)
    (score, first), (_, again) = replay.score_untrained("large"), replay.score_untrained("large")
    samples = header.validation.samples
    assert score.mean == pytest.approx(6 / (6 * samples)) and (first, again) == (0.75, 0.0)
    assert replay.emptied().score_untrained("large")[1] == 0.75
    with pytest.raises(RecordedError, match="untrained 'student' is recorded; there is: large"):
        replay.score_untrained("student")
