"""`tuition record`: what it will train, real recordings, stopped and resumed."""

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

import tuition.app.recordings.recording
from tests.app.conftest import Command
from tests.runners.conftest import tiny_scenario_file
from tuition.app.processes.channel import Channel
from tuition.app.processes.interrupts import Stopped
from tuition.app.processes.run_configuration import RunConfiguration
from tuition.app.recordings.recording import (
    RecordingError,
    Tasks,
    record_route,
    record_worker,
    run_recording,
)
from tuition.app.recordings.recording_plan import (
    RecordRequest,
    chosen_allocations,
    header_of,
    read_rows,
    training_order,
)
from tuition.benchmarks.artefacts import correct_PK
from tuition.benchmarks.results_folder import RecordingFolder, ResultsFolder
from tuition.benchmarks.tables.recorded_table import read_table, recorded_seeds
from tuition.planner.allocation import Allocation
from tuition.planner.route import compile_route
from tuition.planner.stages import STAGES
from tuition.runners.events import BlockDone, Event, RunDone
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.store.block_store import BlockStore

# One group: the recording that most of them read is made once.
pytestmark = pytest.mark.xdist_group("record")


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_scenario_file(**changes)))
    return path


def request_of(path: Path, **changes: Any) -> RecordRequest:
    configuration = RunConfiguration(str(path), path.parent / "results", quiet=True)
    return changed(RecordRequest(configuration, num_seeds=1, num_routes=12, out=None, only_named=False), **changes)


def changed(request: RecordRequest, **changes: Any) -> RecordRequest:
    """The request with other fields, of its own or of its configuration."""
    of_run = {name: changes.pop(name) for name in list(changes) if hasattr(request.run, name)}
    return replace(request, run=replace(request.run, **of_run), **changes)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("recording"))


@pytest.fixture(scope="module")
def scenario(path: Path) -> Scenario:
    return Scenario.load(str(path))


def recording(request: RecordRequest, scenario: Scenario) -> RecordingFolder:
    return ResultsFolder(request.run.results).recording(scenario.sha256)


def stop_after(runs: int, request: RecordRequest) -> None:
    """A recording that is asked to stop after so many runs."""
    left = iter(range(runs))

    def run_or_stop(*arguments: Any) -> Any:
        if next(left, None) is None:
            raise Stopped
        return record_route(*arguments)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(tuition.app.recordings.recording, "record_route", run_or_stop)
        run_recording(request)


@pytest.fixture(scope="module")
def stopped_and_completed(path: Path) -> Iterator[tuple[RecordRequest, list[int]]]:
    """A recording that is stopped after 3 runs, and again after 5 more, and then completed; rows after each stop."""
    request = request_of(path)
    table = request.table_path(Scenario.load(str(path)))
    rows = []
    for runs in (3, 5):
        stop_after(runs, request)
        rows.append(len(read_table(table).runs))
    run_recording(request)
    yield request, rows


def trainings(results: Path) -> Counter[str]:
    with closing(sqlite3.connect(results / "ledger.sqlite")) as db:
        return Counter(key for (key,) in db.execute("SELECT key FROM trained"))


@pytest.mark.slow
def test_the_choice_is_the_named_routes_all_splits_and_a_cover(scenario: Scenario) -> None:
    chosen = [str(allocation) for allocation in chosen_allocations(scenario, 12, False, None)]
    names = header_of(scenario).names
    assert chosen[:9] == list(names.values()) and "student_rl=2 replay=" in chosen[9]
    assert {"teacher=medium warmup=1 opd=1 student_rl=2", "teacher=medium teacher_rl=2 warmup=1 opd=1"} <= set(chosen)
    assert len(chosen) == len(set(chosen)) == 12
    longer = [str(allocation) for allocation in chosen_allocations(scenario, 15, False, None)]
    assert longer[:12] == chosen and len(longer) == 15
    assert [str(a) for a in chosen_allocations(scenario, 15, True, None)] == chosen[:11]


def test_the_order_shares_all_and_begins_with_the_longest_of_each_teacher(scenario: Scenario) -> None:
    routes = [compile_route(a, scenario.recipe, 1) for a in chosen_allocations(scenario, 30, False, None)]
    for workers in (1, 2, 3):
        ordered = training_order(routes, workers)
        assert Counter(route.key for route in ordered) == Counter(route.key for route in routes)
        assert {r.allocation.teacher_rl for r in ordered[:3]} >= {2} and any(
            r.allocation.teacher_sft for r in ordered[:3]
        )
    trained: set[str] = set()
    for route in training_order(routes, 1):
        new = [block for block in route.blocks if block.key not in trained]
        assert not any(b.continues_stage and b.parent in trained and b.stage == "student_rl" for b in new)
        trained |= {block.key for block in new}


@pytest.mark.slow
def test_a_dry_run_prices_it_and_writes_nothing(tmp_path: Path, tuition: Command) -> None:
    path = write(tmp_path, prior_seconds={stage.name: 60 for stage in STAGES} | {"score": 1000})
    result = tuition("record", "--scenario", str(path), "--routes", "12", "--seeds", "3", "--dry-run", "--json")
    plan = json.loads(result.stdout)
    assert plan["routes"] == 12 and plan["rows_to_record"] == 36 and plan["rows_recorded"] == 0
    assert [row["role"] for row in plan["seeds"]] == ["judge", "draw", "judge"]
    assert plan["gpu_seconds_training"] == 60 * plan["blocks_to_train"]
    assert plan["gpu_seconds_scoring"] == pytest.approx(36 * (4 * 2 + 4 * 2))
    assert plan["basis"] == {"stated": plan["gpu_seconds"]}
    assert 0 < plan["table_bytes"] < 1e6 and plan["peak_disk_bytes"] > 1e6
    assert list(tmp_path.iterdir()) == [path]
    shown = tuition("record", "--scenario", str(path), "--dry-run").stdout
    assert "Table: " in shown and "(stated in the scenario)" in shown


@pytest.mark.slow
def test_a_stopped_recording_goes_on_and_trains_and_scores_nothing_twice(
    stopped_and_completed: tuple[RecordRequest, list[int]], scenario: Scenario
) -> None:
    request, rows = stopped_and_completed
    assert rows == [3, 8]
    table = read_table(request.table_path(scenario))
    wanted = {(a, seed) for seed in recorded_seeds(1) for a in chosen_allocations(scenario, 12, False, None)}
    assert wanted <= table.index.keys()
    counts = trainings(request.run.results)
    assert set(counts.values()) == {1}
    blocks = {block.key for run in table.runs for block in run.blocks}
    assert {key for key in counts if not key.startswith("score:")} == blocks
    before = request.table_path(scenario).read_bytes()
    run_recording(request)
    assert request.table_path(scenario).read_bytes() == before and trainings(request.run.results) == counts


@pytest.mark.slow
def test_rows_agree_with_the_stored_scores_and_block_records(
    stopped_and_completed: tuple[RecordRequest, list[int]], scenario: Scenario
) -> None:
    request, _ = stopped_and_completed
    table = read_table(request.table_path(scenario))
    with closing(RouteRunner(scenario, request.run.results)) as runner:
        for run, route in zip(table.runs, table.routes, strict=True):
            for suite, counts in (("validation", run.validation_correct), ("test", run.test_correct)):
                scored = runner.score(route.final, suite, "check")  # type: ignore[arg-type]
                assert scored.gpu_seconds == 0
                ids, outcomes_PK = correct_PK(scored.table)
                problems = scenario.validation if suite == "validation" else scenario.test
                assert dict(zip(ids, outcomes_PK.sum(axis=1), strict=True)) == dict(
                    zip([p.id for p in problems], counts, strict=True)
                )
            whole = runner.run(route, "check")
            assert run.gpu_seconds_full == pytest.approx(whole.gpu_seconds_full)
            assert run.weights_sha256 == whole.weights_sha256 and run.labels_trained == len(set(route.labels_trained))


@pytest.mark.slow
def test_base_models_are_scored_and_survive_a_resumed_recording(
    stopped_and_completed: tuple[RecordRequest, list[int]], scenario: Scenario
) -> None:
    request, _ = stopped_and_completed
    table = read_table(request.table_path(scenario))
    with closing(RouteRunner(scenario, request.run.results)) as runner:
        for model, content in (("student", scenario.recipe.student), ("medium", scenario.recipe.teachers["medium"])):
            scored = runner.score(content, "test", "check")
            assert scored.gpu_seconds == 0, "it was scored by the recording"
            ids, outcomes_PK = correct_PK(scored.table)
            counts = dict(zip(ids, outcomes_PK.sum(axis=1), strict=True))
            assert table.header.untrained[model] == tuple(counts[problem.id] for problem in scenario.test)
    assert table.untrained_PK("nobody") is None and table.header.format == 3


@pytest.mark.slow
def test_the_chain_of_direct_compute_reaches_the_compute_of_the_papers_rule(
    stopped_and_completed: tuple[RecordRequest, list[int]], scenario: Scenario
) -> None:
    request, _ = stopped_and_completed
    table = read_table(request.table_path(scenario))
    longest = max(a.replay for a in table.allocations if a.teacher is None)
    upstream = Allocation.parse(table.header.names["teacher-upstream"])

    def cost(allocation: Allocation) -> float:
        return sum(table.run(allocation, seed).gpu_seconds_full for seed in table.seeds())

    assert cost(Allocation(student_rl=2, replay=longest)) >= cost(upstream)


@pytest.mark.slow
def test_a_lost_table_is_written_from_the_rows_and_a_damaged_row_is_made_again(
    stopped_and_completed: tuple[RecordRequest, list[int]], scenario: Scenario, tmp_path: Path
) -> None:
    request, _ = stopped_and_completed
    table = request.table_path(scenario)
    copied = changed(request, results=tmp_path / "results", out=tmp_path / "again.parquet")
    shutil.copytree(request.run.results, copied.run.results)
    damaged = recording(copied, scenario).rows()[0]
    damaged.write_text(damaged.read_text()[:50])
    run_recording(copied)
    again, first = read_table(copied.out or Path()), read_table(table)
    assert again.index.keys() == first.index.keys() and trainings(copied.run.results) == trainings(request.run.results)
    assert {(r.allocation, r.seed, r.test_correct) for r in again.runs} == {
        (r.allocation, r.seed, r.test_correct) for r in first.runs
    }


@pytest.mark.slow
def test_a_store_that_is_kept_small_loses_no_row_and_no_price(
    stopped_and_completed: tuple[RecordRequest, list[int]], scenario: Scenario, tmp_path: Path
) -> None:
    request, _ = stopped_and_completed
    first = read_table(request.table_path(scenario))
    small = changed(request, results=tmp_path / "results", out=tmp_path / "small.parquet", max_store_bytes=1)
    shutil.copytree(request.run.results, small.run.results)
    half = Allocation.parse(first.header.names["half"])
    recording(small, scenario).row(recorded_seeds(1)[0], half.id).unlink()
    run_recording(small)
    again = read_table(small.out or Path())
    seed = recorded_seeds(1)[0]
    in_use = {block.key for block in first.run(half, seed).blocks}
    assert set(BlockStore(small.run.results / "store").block_keys()) == in_use, "the last run's are under lease"
    assert again.run(half, seed).blocks == first.run(half, seed).blocks
    assert again.index.keys() == first.index.keys() and trainings(small.run.results) == trainings(request.run.results)


@pytest.mark.slow
def test_runs_that_fail_are_told_and_left_out_and_three_in_a_row_end_it(
    stopped_and_completed: tuple[RecordRequest, list[int]],
    scenario: Scenario,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request, _ = stopped_and_completed
    again = changed(request, results=tmp_path / "results", out=tmp_path / "again.parquet")
    shutil.copytree(request.run.results, again.run.results)
    folder = recording(again, scenario)
    half = read_table(request.table_path(scenario)).header.names["half"]
    failed: list[str] = []

    def fail_on(*texts: str) -> None:
        shutil.rmtree(folder.path / str(recorded_seeds(1)[0]))

        def run_or_fail(runner: RouteRunner, route: Any) -> Any:
            if not texts or str(route.allocation) in texts:
                failed.append(str(route.allocation))
                raise OSError(28, "No space left on device")
            return record_route(runner, route)

        monkeypatch.setattr(tuition.app.recordings.recording, "record_route", run_or_fail)

    fail_on(half)
    # How many there are besides the 12 that are asked for depends on what the chain of direct-compute has cost.
    with pytest.raises(RecordingError, match=rf"^1 of [1-9][0-9] runs failed, such as '{half}' with seed 1000001"):
        run_recording(again)
    first = read_table(request.table_path(scenario))
    assert first.index.keys() - read_table(tmp_path / "again.parquet").index.keys() == {
        (Allocation.parse(half), 1000001)
    }
    assert "No space left on device" in folder.log.read_text()
    (tmp_path / "again.parquet").unlink()
    failed.clear()
    fail_on()
    with pytest.raises(OSError, match="No space left"):
        run_recording(again)
    assert len(failed) == 3 and not (tmp_path / "again.parquet").exists()


def test_a_second_recording_at_the_same_time_is_refused(path: Path, scenario: Scenario) -> None:
    request = request_of(path, results=path.parent / "elsewhere")
    folder = recording(request, scenario)
    folder.path.mkdir(parents=True)
    with FileLock(folder.lock), pytest.raises(RecordingError, match="another recording is running in"):
        run_recording(request)


class HandedOut(Channel):
    """A worker's link to its parent, which hands out tasks 0 and 1 and remembers what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[RunDone] = []

    def tasks(self) -> Iterator[int]:
        yield from (0, 1)

    def pass_on(self, event: Event) -> None:
        if isinstance(event, RunDone):
            self.done.append(event)
        else:
            assert isinstance(event, BlockDone) and event.reused, event  # everything is stored


@pytest.mark.slow
def test_a_worker_writes_the_rows_of_its_tasks_and_tells_no_test_score(
    stopped_and_completed: tuple[RecordRequest, list[int]], scenario: Scenario
) -> None:
    request, _ = stopped_and_completed
    first = read_table(request.table_path(scenario))
    tasks = tuple((run.allocation, run.seed) for run in first.runs[:2])
    link = HandedOut()
    record_worker(request.run, Tasks(tasks, 4, 3, 20), link)  # type: ignore[arg-type]
    assert [(run.done, run.total, run.done_before) for run in link.done] == [(5, 20, 3), (6, 20, 3)]
    assert all(run.result.startswith("validation ") and "test" not in run.result for run in link.done)
    rows = {(run.allocation, run.seed): run for run in read_rows(recording(request, scenario))}
    for run in first.runs[:2]:
        assert rows[run.allocation, run.seed].model_copy(update={"date": run.date}) == run


@pytest.mark.slow
def test_a_table_alone_is_completed_for_another_seed_with_the_named_routes_only(
    stopped_and_completed: tuple[RecordRequest, list[int]],
    scenario: Scenario,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    request, _ = stopped_and_completed
    out = shutil.copy(request.table_path(scenario), tmp_path / "more.parquet")
    more = changed(request, results=tmp_path / "elsewhere", out=out, num_seeds=2, only_named=True, quiet=False)
    first = read_table(out)
    recorded = chosen_allocations(scenario, 12, True, first)
    assert {*first.header.names.values()} < {str(a) for a in recorded} < {str(a) for a in first.allocations}
    stop_after(1, more)
    # Rows of the table that are not asked for now are no progress.
    assert f"[{len(recorded) + 1}/{2 * len(recorded)}]" in capsys.readouterr().err
    completed = read_table(out)
    seed = recorded_seeds(2)[1]
    assert [run for run in completed.runs if run.seed != seed] == list(first.runs)
    assert {a for a, other in completed.index if other == seed} < set(recorded) and len(completed.seeds("draw")) == 1
    with closing(sqlite3.connect(tmp_path / "elsewhere" / "ledger.sqlite")) as db:
        assert db.execute("SELECT DISTINCT seed FROM spent").fetchall() == [(seed,)]


@pytest.mark.slow
def test_a_table_of_another_scenario_is_refused_in_one_line(
    stopped_and_completed: tuple[RecordRequest, list[int]], scenario: Scenario, tmp_path: Path, tuition: Command
) -> None:
    request, _ = stopped_and_completed
    other = write(tmp_path, labels_per_block=8, labels={"micro": "labels", "count": 16})
    table = str(request.table_path(scenario))
    for more in ([], ["--dry-run"]):
        result = tuition("record", "--scenario", str(other), "--out", table, *more)
        assert result.returncode == 2 and len(result.stderr.strip().splitlines()) == 1
        assert "holds tiny@" in result.stderr and "choose another --out" in result.stderr
    assert list(tmp_path.iterdir()) == [other]
    shown = tuition("recorded", table)
    assert shown.returncode == 0 and "rows of" in shown.stdout
    assert json.loads(tuition("recorded", table, "--json").stdout)["scenario_sha256"] == scenario.sha256
