"""Replay against the live store: the same blocks trained, the same scores made, step by step."""

import random
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.app.recordings.test_recording import write
from tuition.app.recordings.recording import record_route
from tuition.app.recordings.recording_plan import header_of
from tuition.app.studies.search_evaluation import evaluate_on_validation, score_untrained
from tuition.benchmarks.tables.recorded_table import (
    RecordedRun,
    RecordedTable,
    checked_table,
    recorded_seeds,
    with_first_prices,
)
from tuition.benchmarks.tables.replay import Replay
from tuition.planner.allocation import Allocation, Checkpoint, TeacherCheckpoint
from tuition.planner.route import Route, compile_checkpoint, compile_route
from tuition.planner.sampler import SeededSampler
from tuition.planner.scores.observations import observations
from tuition.planner.scores.outcome import Outcome
from tuition.planner.study import SearchOptions, StudyLimits, search
from tuition.runners.route_runner import RouteRun, RouteRunner
from tuition.runners.scenarios.scenario import Scenario


def live_and_replayed(scenario: Scenario, results: Path, texts: list[str]) -> tuple[RecordedTable, list[Any]]:
    """Run routes in a live store, in this order, and the table that is made of them."""
    seed = recorded_seeds(2)[1]
    live, rows = [], []
    with closing(RouteRunner(scenario, results)) as runner:
        for text in texts:
            route = compile_route(Allocation.parse(text), scenario.recipe, seed)
            run = runner.run(route, "live")
            live.append((run, runner.score(route.final, "validation", "live").gpu_seconds))
            rows.append(record_route(runner, route))
    unique = {row.allocation: row for row in reversed(rows)}
    return checked_table(header_of(scenario), with_first_prices(reversed(unique.values()))), live


WALK = 4
"""A walk with forks, retrainings and teachers."""

BRIDGED = "teacher=medium teacher_rl=2 warmup=1 opd=1"
FORKED = ["student_rl=3", "student_rl=2", "student_rl=2 replay=1"]
SHARED = [
    BRIDGED,
    "teacher=medium teacher_rl=1 warmup=1",  # the teacher's weights of one block before are enough
    f"{BRIDGED} student_rl=1",
    "teacher=medium teacher_rl=3 opd=1",  # the teacher's stage goes on from its tip
    "teacher=medium teacher_sft=1 transfer_sft=1",  # rollouts of both kinds
    BRIDGED,
]


@pytest.mark.slow
@pytest.mark.parametrize(("keep", "texts"), [("tip", [*FORKED, *SHARED]), ("all", FORKED)])
def test_a_replay_charges_what_the_live_store_did(tmp_path: Path, keep: str, texts: list[str]) -> None:
    scenario = Scenario.load(str(write(tmp_path, keep_optimizer=keep, labels={"micro": "labels", "count": 12})))
    table, live = live_and_replayed(scenario, tmp_path / "results", texts)
    replay = Replay(table, table.seeds("draw")[0])
    paid: set[str] = set()
    for text, (run, scoring_gpu_seconds) in zip(texts, live, strict=True):
        charge = replay.run(Allocation.parse(text))
        executed = [use.key for use in run.blocks if use.executed]
        assert [block.key for block in charge.blocks] == executed, text
        assert charge.scoring_gpu_seconds == pytest.approx(scoring_gpu_seconds, abs=1e-9)
        if paid.isdisjoint(executed):  # a retraining never costs quite the same
            assert charge.training_gpu_seconds == pytest.approx(run.gpu_seconds_marginal, abs=2e-3 * len(executed))
        else:
            prices = {b.key: b.gpu_seconds for b in table.run(Allocation.parse(text), replay.seed).blocks}
            assert charge.training_gpu_seconds == pytest.approx(sum(prices[key] for key in executed))
        paid |= set(executed)
    forked = [use.executed for use in live[2][0].blocks]
    # Where the stage forks the optimizer state is gone, unless all are kept.
    assert forked == [True] * 3 if keep == "tip" else [False, False, True]


@pytest.mark.slow
def test_a_live_search_with_scores_on_the_way_is_charged_what_a_replayed_one_is(tmp_path: Path) -> None:
    """Every other checkpoint on the way; in a space without forks, where nothing is trained twice."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    scenario = Scenario.load(str(write(tmp_path, labels={"micro": "labels", "count": 12})))
    seed, space = recorded_seeds(2)[1], scenario.space
    options = SearchOptions(score_on_the_way=lambda allocation: allocation.checkpoints()[:-1][::2])

    def new_study() -> optuna.Study:
        return optuna.create_study(direction="maximize", sampler=SeededSampler("random", 5))

    with closing(RouteRunner(scenario, tmp_path / "results")) as runner:

        def evaluate(number: int, _: Allocation, route: Route, on_the_way: Sequence[Checkpoint]) -> Outcome:
            return evaluate_on_validation(runner, route, on_the_way, "live", tmp_path / f"{number}.log")

        live, limits = new_study(), StudyLimits(trials=5)
        search(live, space, lambda one: compile_route(one, scenario.recipe, seed), evaluate, limits, options)
        bases = [score_untrained(runner, model, "live") for model in ("student", "medium", "student")]
        assert bases[0].gpu_seconds > bases[2].gpu_seconds == 0.0 and bases[0].value == bases[2].value
        seen = [o.checkpoint for o in observations(live)]
        rows = [record_route(runner, compile_checkpoint(one, scenario.recipe, seed)) for one in seen]
    table = checked_table(header_of(scenario), with_first_prices(rows))

    replay, replayed = Replay(table, seed), new_study()
    search(replayed, space, replay.route, replay.evaluate, limits, options)
    assert len(live.trials) == len(replayed.trials) and any(isinstance(one, TeacherCheckpoint) for one in seen)
    assert any("on_the_way_of" in trial.user_attrs for trial in live.trials)
    for one, other in zip(live.trials, replayed.trials, strict=True):
        assert (one.params, one.value, one.state) == (other.params, other.value, other.state)
        for name in ("on_the_way_of", "repeat_of", "weights_sha256", "labels_trained", "blocks_executed"):
            assert one.user_attrs.get(name) == other.user_attrs.get(name), name
        for name in ("gpu_seconds", "gpu_seconds_full"):
            assert one.user_attrs.get(name) == pytest.approx(other.user_attrs.get(name), abs=0.03), name
    for o, other in zip(observations(live), observations(replayed), strict=True):
        assert (o.checkpoint, o.value, o.trial) == (other.checkpoint, other.value, other.trial)
        assert (o.se_problems, o.se_samples) == (other.se_problems, other.se_samples)
        assert o.gpu_seconds == pytest.approx(other.gpu_seconds, abs=0.03)


def random_walk(scenario: Scenario, steps: int, seed: int) -> list[tuple[Checkpoint, tuple[Checkpoint, ...]]]:
    """Allocations of a space with replay blocks, which fork inside a stage, and what is scored on the way to them."""
    space = scenario.space.model_copy(
        update={"max_opd": 2, "max_replay": 1, "prepare": ("rl", "sft"), "transfer": ("bridge", "sft")}
    )
    rng = random.Random(seed)
    walk: list[tuple[Checkpoint, tuple[Checkpoint, ...]]] = []
    for allocation in space.random_allocations(steps, seed):
        passed = allocation.checkpoints()[:-1]
        walk.append((allocation, tuple(rng.sample(passed, min(len(passed), rng.randrange(3))))))
        if (teacher := TeacherCheckpoint.of(allocation)) is not None and rng.random() < 0.5:
            walk.append((teacher, ()))
    return walk


@pytest.mark.slow
def test_a_random_walk_of_live_runs_and_of_replay_is_charged_the_same(tmp_path: Path) -> None:
    scenario = Scenario.load(str(write(tmp_path, labels={"micro": "labels", "count": 12})))
    walk = random_walk(scenario, steps=10, seed=WALK)
    seed = recorded_seeds(2)[1]
    live: list[tuple[RouteRun, float]] = []
    rows: dict[str, RecordedRun] = {}
    with closing(RouteRunner(scenario, tmp_path / "results")) as runner:
        for checkpoint, on_the_way in walk:
            run = runner.run(compile_checkpoint(checkpoint, scenario.recipe, seed), "live")
            routes = [compile_checkpoint(one, scenario.recipe, seed) for one in (*on_the_way, checkpoint)]
            live.append((run, sum(runner.score(route.final, "validation", "live").gpu_seconds for route in routes)))
            for route in routes:  # now, as a block that is trained again has another price
                if str(route.checkpoint) not in rows:
                    rows[str(route.checkpoint)] = record_route(runner, route)
    table = checked_table(header_of(scenario), with_first_prices(rows.values()))

    replay = Replay(table, seed)
    paid: set[str] = set()
    retrained, scored_on_the_way, teachers = 0, 0.0, 0
    for (checkpoint, on_the_way), (run, scoring_gpu_seconds) in zip(walk, live, strict=True):
        charged = replay.run(checkpoint, on_the_way)
        executed = {use.key: use for use in run.blocks if use.executed}
        assert [block.key for block in charged.blocks] == list(executed), str(checkpoint)
        assert charged.scoring_gpu_seconds == pytest.approx(scoring_gpu_seconds, abs=1e-6)
        prices = {block.key: block.gpu_seconds for block in table.run(checkpoint, seed).blocks}
        # A retraining never costs quite the same, and finds its rollouts.
        wanted = sum(prices[key] if key in paid else use.gpu_seconds_spent for key, use in executed.items())
        assert charged.training_gpu_seconds == pytest.approx(wanted, abs=2e-3 * (1 + len(executed)))
        for one in (*on_the_way, checkpoint):
            score, price = replay.score(one)
            assert price == 0 and score.mean == table.correct_PK(one, seed, "validation").mean()
        retrained += len(paid & executed.keys())
        paid |= executed.keys()
        scored_on_the_way += len(on_the_way)
        teachers += isinstance(checkpoint, TeacherCheckpoint)
    assert retrained and scored_on_the_way and teachers, "the walk shows what it is for"
