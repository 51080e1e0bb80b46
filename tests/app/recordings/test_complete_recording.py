"""`tuition record --complete`: every checkpoint of the search space, teachers too, trained once and scored."""

import json

import pytest
import yaml

from tests.app.conftest import Command
from tests.app.recordings.test_recording import trainings
from tests.runners.conftest import tiny_scenario_file
from tuition.app.processes.run_configuration import RunConfiguration
from tuition.app.recordings.recording import run_recording
from tuition.app.recordings.recording_plan import RecordRequest
from tuition.benchmarks.tables.recorded_table import RecordedError, missing_checkpoints, read_table
from tuition.planner.allocation import Allocation, TeacherCheckpoint, parse_checkpoint
from tuition.planner.stages import STAGE


@pytest.fixture(scope="module")
def request_complete(tmp_path_factory: pytest.TempPathFactory) -> RecordRequest:
    """A space of 14 allocations: one teacher, bridges of one warmup block, one opd block, or both."""
    folder = tmp_path_factory.mktemp("complete")
    path = folder / "tiny.yaml"
    search = {"bridge_warmup": 1, "bridge_opd": 1, "max_warmup": 1, "max_opd": 1}
    path.write_text(yaml.safe_dump(tiny_scenario_file(search=search)))
    configuration = RunConfiguration(str(path), folder / "results", quiet=True)
    return RecordRequest(configuration, num_seeds=1, num_routes=1, out=None, only_named=False, complete=True)


@pytest.mark.slow
def test_every_checkpoint_is_trained_once_and_scored(request_complete: RecordRequest, tuition: Command) -> None:
    request, scenario = request_complete, request_complete.run.load_scenario()
    arguments = ["--scenario", request.run.scenario, "--results", str(request.run.results), "--complete"]
    plan = json.loads(tuition("record", *arguments, "--seeds", "1", "--dry-run", "--json").stdout)
    described = run_recording(request)
    table = read_table(request.table_path(scenario))
    (seed,) = table.seeds()

    assert not missing_checkpoints(table, seed) and described["seeds"][0]["missing"] == 0
    assert set(scenario.space.allocations()) <= set(table.allocations)
    kinds = {(route.checkpoint.stage, route.checkpoint.blocks) for route in table.teacher_routes}  # type: ignore[union-attr]
    assert kinds == {("teacher_rl", 1), ("teacher_rl", 2), ("teacher_sft", 1), ("teacher_sft", 2)}
    # The chain of direct-compute may become longer than was foreseen.
    foreseen = {parse_checkpoint(text) for text in plan["allocations"]}
    longer = {checkpoint for checkpoint, _ in table.index} - foreseen
    assert plan["teachers"] == 4 and all(isinstance(c, Allocation) and c.replay and not c.teacher for c in longer)

    # What a route passes is a row of its own, and every block ends at a recorded checkpoint.
    finals = {run.weights_sha256 for run in table.rows}
    assert len(finals) == len({route.final for route in (*table.routes, *table.teacher_routes)})
    blocks = {block.key for run in table.rows for block in run.blocks}
    assert blocks == {run.blocks[-1].key for run in table.rows}
    trained = trainings(request.run.results)
    assert {key for key in trained if not key.startswith("score:")} == blocks and set(trained.values()) == {1}
    assert len(blocks) == plan["blocks_to_train"] + len(longer)

    teacher = TeacherCheckpoint(teacher=scenario.default_teacher, stage="teacher_rl", blocks=2)
    assert table.correct_PK(teacher, seed, "test").shape == (4, 2)
    assert STAGE[table.run(teacher, seed).blocks[-1].stage].model == "teacher"
    untrained = table.header.untrained_validation
    assert untrained.keys() == table.header.untrained.keys() == {"student", *scenario.file.teachers}
    with pytest.raises(RecordedError, match="there is: student, "):
        table.untrained_validation_PK("other")
    before = request.table_path(scenario).read_bytes()
    run_recording(request)
    assert request.table_path(scenario).read_bytes() == before, "nothing is left to do"
