"""`tuition tune`: equal tries, their price, verdicts from made-up outcomes, resuming, the scenario that it writes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.app.conftest import Command
from tests.runners.conftest import tiny_scenario_file
from tuition.app.processes.run_configuration import RunConfiguration
from tuition.app.studies.study_report import TunedStage, TuningReport, read_report
from tuition.app.tuning import tuning_run as module
from tuition.app.tuning.tuning_plan import Axis, Cell, Settings, TuningError, TuningRequest, grid, plan_tuning
from tuition.app.tuning.tuning_run import TriedRun
from tuition.app.tuning.tuning_verdicts import changes, judged, tried, verdict_text
from tuition.benchmarks.artefacts import write_json
from tuition.benchmarks.results_folder import ResultsFolder, StudyFolder
from tuition.benchmarks.scoring.score_store import ScoreStore
from tuition.runners.labels import Ledger
from tuition.runners.scenarios.scenario import Scenario

PROBLEMS, SAMPLES = 32, 2
ROUTES = {
    "teacher_rl": "teacher=medium teacher_rl=2",
    "teacher_sft": "teacher=medium teacher_sft=2",
    "warmup": "teacher=medium teacher_rl=2 warmup=1 opd=1",
    "opd": "teacher=medium teacher_rl=2 warmup=1 opd=1",
    "transfer_sft": "teacher=medium teacher_rl=2 transfer_sft=2",
    "student_rl": "student_rl=2",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tiny_scenario_file()
    file["stages"] = {name: {**settings, "steps": 2} for name, settings in file["stages"].items()}
    file["validation"]["problems"]["count"] = PROBLEMS
    file["prior_seconds"] = {"opd": 10, "score": 1}
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(file))
    return path


def request_of(path: Path, **options: object) -> TuningRequest:
    configuration = RunConfiguration(str(path), path.parent / "results", quiet=True)
    return TuningRequest(configuration, **options)  # type: ignore[arg-type]


def test_every_stage_has_as_many_tries_and_the_route_that_uses_it(path: Path) -> None:
    plan = plan_tuning(request_of(path))
    assert {row.stage: row.route for row in plan.stages} == ROUTES
    assert {(row.tries, row.runs, row.runs_done) for row in plan.stages} == {(8, 16, 0)}
    rows = {row.stage: row for row in plan.stages}
    assert rows["teacher_rl"].blocks_to_train == 8 * 2 * 2
    # The teacher with the scenario's own settings is among the tries of teacher_rl, and opd's own are warmup's own.
    assert rows["warmup"].blocks_to_train == 8 * 2 * 2 and rows["opd"].blocks_to_train == 7 * 2
    assert not (path.parent / "results").exists()


def test_the_grid_holds_the_scenarios_own_settings_and_the_price_follows_the_steps(path: Path) -> None:
    scenario = Scenario.load(str(path))
    tries = grid(request_of(path, stages=("opd",), rates="2x", steps="3x"), scenario)
    assert tries == {"opd": [Settings(2, 1e-3), Settings(2, 2e-3), Settings(6, 1e-3), Settings(6, 2e-3)]}
    longer = Cell("opd", Settings(6, 1e-3), 0).scenario(scenario)
    assert longer.file.prior_seconds == {"opd": 30, "score": 1}
    assert longer.recipe.stages["opd"]["steps"] == 6 and longer.sha256 != scenario.sha256
    assert longer.with_stages(scenario.file.stages).sha256 == scenario.sha256
    reloaded = Scenario(longer.file, longer.folder)
    assert (longer.recipe, longer.sha256) == (reloaded.recipe, reloaded.sha256)


def test_factors_round_to_whole_rollout_batches_and_products_stay_short() -> None:
    assert Axis.parse("--steps", "0.5x,0.1x,1x").steps(12, 4) == {4, 8, 12}
    assert Axis.parse("--rates", "0.3x, 1e-5").rates(1e-6) == {1e-6, 3e-7, 1e-5}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rates", "1x,fast"], "--rates '1x,fast': 'fast' is no number above 0"),
        (["--rates", "0x"], "'0x' is no number above 0"),
        (["--steps", "2.5"], "--steps: 2.5 is no whole number of steps"),
        (["--stage", "sft"], "--stage 'sft': choose from teacher_rl, teacher_sft"),
        (["--rates", "1x", "--steps", "1x"], "nothing but the scenario's own settings"),
        (["--study", "../x"], "study name '../x'"),
        (["--write", "tiny.yaml"], "--write tiny.yaml: the file exists"),
        (["--seeds", "0"], "--seeds"),
    ],
)
def test_what_cannot_be_is_one_line(options: list[str], message: str, path: Path, tuition: Command) -> None:
    result = tuition("tune", "--scenario", str(path), *options)
    assert result.returncode == 2 and message in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert not (path.parent / "results").exists()


def test_unequal_tries_are_refused(path: Path) -> None:
    file = yaml.safe_load(path.read_text())
    file["stages"]["opd"]["learning_rate"] = 1e-5
    path.write_text(yaml.safe_dump(file))
    with pytest.raises(TuningError, match=r"different numbers of tries .*opd 6.* give factors"):
        plan_tuning(request_of(path, rates="1e-3,2e-3"))


def made_stage(*shares: tuple[float, ...], current: int = 0) -> TunedStage:
    """A stage's tries at rates 1, 2, ... whose seeds solve these shares of 64 problems."""
    counts = [tuple(tuple(int(i < 64 * share) for i in range(64)) for share in seeds) for seeds in shares]
    tries = [tried(2, rate + 1.0, correct, 1, [1.0]) for rate, correct in enumerate(counts)]
    return judged("opd", "base", tries, current, 1)


def test_a_large_difference_on_all_seeds_is_a_change() -> None:
    stage = made_stage((0.25, 0.27, 0.23), (0.75, 0.77, 0.73), (0.3, 0.31, 0.29))
    assert (stage.verdict, stage.best, stage.edges) == ("change", 1, ())
    assert stage.difference is not None and stage.difference.mean == pytest.approx(0.5, abs=0.02)
    assert stage.p_value_holm is not None and stage.p_value_holm < 0.05
    assert {name: one.learning_rate for name, one in changes([stage]).items()} == {"opd": 2.0}
    assert verdict_text(stage, 3).startswith("change to steps=2 learning_rate=2: +5")


def test_what_cannot_be_distinguished_is_kept_and_an_edge_is_named() -> None:
    stage = made_stage((0.5, 0.3), (0.45, 0.4), (0.4, 0.55))
    assert (stage.verdict, stage.best, stage.edges) == ("keep", 2, ("highest learning_rate",))
    said = verdict_text(stage, 2)
    assert "cannot be distinguished" in said and "edge of the grid (highest learning_rate)" in said
    assert "--rates" in said and changes([stage]) == {}


def test_the_current_settings_may_be_the_best_and_win_a_tie() -> None:
    assert made_stage((0.5, 0.5), (0.5, 0.5), (0.25, 0.25), current=1).best == 1
    stage = made_stage((0.2, 0.3), (0.7, 0.7), (0.25, 0.25), current=1)
    assert (stage.verdict, stage.difference) == ("keep", None)
    assert verdict_text(stage, 2) == "keep: the current settings have the highest mean."


def test_with_one_seed_or_without_the_current_settings_nothing_is_claimed() -> None:
    stage = made_stage((0.1,), (0.9,))
    assert (stage.verdict, stage.best, stage.difference) == ("undecided", 1, None)
    assert "excludes training variance" in verdict_text(stage, 1)
    failed = [tried(2, 1.0, [None, (1, 1)], 1, [1.0]), tried(2, 2.0, [(1, 1), (1, 1)], 1, [1.0])]
    stage = judged("opd", "base", failed, 0, 1)
    assert (stage.verdict, stage.best, stage.tries[0].mean) == ("undecided", None, None)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """The cells that are run; the highest rate solves everything, others nothing."""
    made: list[Cell] = []

    def run_cell(run: object, scenario: Scenario, folder: StudyFolder, cell: Cell, channel: object) -> TriedRun:
        made.append(cell)
        solved = SAMPLES * (cell.settings.learning_rate > 1e-3)
        result = TriedRun(correct=(solved,) * PROBLEMS, gpu_seconds_full=1.0, blocks=(), weights_sha256="w", score="s")
        path = cell.path(folder, scenario)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(result.model_dump(mode="json"), path)
        return result

    monkeypatch.setattr(module, "_run_cell", run_cell)
    return made


TUNE = ["--stage", "opd", "--rates", "1x,2x", "--steps", "1x", "--seeds", "3"]


def test_a_second_call_trains_nothing_and_more_seeds_add_to_it(path: Path, tuition: Command, runs: list[Cell]) -> None:
    first = tuition("tune", "--scenario", str(path), *TUNE, "--json")
    assert first.returncode == 0 and len(runs) == 6, first.stderr
    assert "6 runs to do" in first.stderr and "tune tiny: 0 of 6 runs done" in first.stderr
    again = tuition("tune", "--scenario", str(path), *TUNE, "--json")
    assert len(runs) == 6 and json.loads(again.stdout)["stages"] == json.loads(first.stdout)["stages"]
    assert again.stderr == ""
    (row,) = plan_tuning(request_of(path, stages=("opd",), rates="1x,2x", steps="1x", num_seeds=4)).stages
    assert (row.runs, row.runs_done) == (8, 6)
    tuition("tune", "--scenario", str(path), *TUNE[:-1], "4")
    assert [cell.seed for cell in runs[6:]] == [3, 3]


def test_the_written_scenario_has_the_better_settings(path: Path, tuition: Command, runs: list[Cell]) -> None:
    done = tuition("tune", "--scenario", str(path), *TUNE, "--write", "tuned.yaml")
    assert done.returncode == 0, done.stderr
    assert "change to steps=2 learning_rate=0.002" in done.stdout
    pasted = yaml.safe_load(done.stdout[done.stdout.index("stages:") :])
    assert pasted == {"stages": {"opd": {"steps": 2, "learning_rate": 0.002}}}
    before, tuned = Scenario.load(str(path)), Scenario.load(str(path.parent / "tuned.yaml"))
    assert tuned.file.stages == before.file.stages.changed("opd", learning_rate=0.002)
    assert tuned.recipe.labels == before.recipe.labels
    other = tuition("tune", "--scenario", "tuned.yaml", *TUNE)
    assert other.returncode == 2 and "choose another --study name" in other.stderr


def test_a_failed_run_is_named_and_three_in_a_row_end_it(
    path: Path, tuition: Command, runs: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    works: Callable[..., TriedRun] = module._run_cell

    def fails(number: int) -> Callable[..., TriedRun]:
        def run_cell(run: object, scenario: Scenario, folder: StudyFolder, cell: Cell, channel: object) -> TriedRun:
            if cell.seed < number:
                raise RuntimeError("out of memory")
            return works(run, scenario, folder, cell, channel)

        return run_cell

    monkeypatch.setattr(module, "_run_cell", fails(1))
    one = tuition("tune", "--scenario", str(path), *TUNE)
    assert one.returncode == 1 and one.stderr.count("failed: out of memory") == 2
    assert "2 runs failed, such as opd steps=2 learning_rate=0.001 with seed 0" in one.stderr.splitlines()[-1]
    assert "failed" in one.stdout and "undecided" in one.stdout and len(runs) == 4
    monkeypatch.setattr(module, "_run_cell", fails(3))
    all_of_them = tuition("tune", "--scenario", str(path), *TUNE, "--study", "other")
    assert all_of_them.returncode == 1 and "3 runs in a row failed" in all_of_them.stderr.splitlines()[-1]
    monkeypatch.setattr(module, "_run_cell", works)
    assert tuition("tune", "--scenario", str(path), *TUNE).returncode == 0 and len(runs) == 6


@pytest.mark.slow
def test_one_stage_is_tuned_for_real_on_validation_alone(path: Path, tuition: Command) -> None:
    arguments = ["tune", "--scenario", str(path), "--stage", "student_rl", "--rates", "1x,2x", "--steps", "1x"]
    done = tuition(*arguments, "--workers", "2")
    assert done.returncode == 0, done.stderr
    results = ResultsFolder(path.parent / "results")
    report = read_report(results.study("tiny-tune").report)
    assert isinstance(report, TuningReport) and report.seeds == (0, 1)
    (stage,) = report.stages
    assert [len(one.correct) for one in stage.tries] == [2, 2] and stage.best is not None
    store = ScoreStore(results.scores)
    assert {store.read(key).score_key.suite for key in store.score_keys()} == {report.suite}
    # Blocks and scores are in the store: without the tries' files nothing is trained either.
    spent = Ledger(results.ledger).owned("tiny-tune", at_most=8)
    blocks = sorted(results.store.glob("*/*/record.json"))
    for file in results.study("tiny-tune").all_tries.glob("*/*.json"):
        file.unlink()
    again = tuition(*arguments)
    assert again.returncode == 0 and "(0 blocks trained" in again.stderr and again.stdout == done.stdout
    assert sorted(results.store.glob("*/*/record.json")) == blocks
    assert Ledger(results.ledger).owned("tiny-tune", at_most=8) == spent == 8
