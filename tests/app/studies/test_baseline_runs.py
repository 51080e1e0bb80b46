"""`tuition baselines`: what is refused, what it would cost, how compute is matched, and the whole of it for real."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.app.conftest import Command
from tests.app.studies.made_report import evaluation, search_report, write_tested
from tests.runners.conftest import small_scenario_file
from tuition.app.processes.channel import Channel
from tuition.app.processes.progress import Reporter
from tuition.app.processes.run_configuration import RunConfiguration
from tuition.app.studies.direct_compute import ComputeMatch, chain_worker, match_compute
from tuition.app.studies.evaluation import Entry, entry_worker, merge_entries
from tuition.app.studies.search_run import scenario_baselines
from tuition.app.studies.shuffled_runs import label_stage_only
from tuition.app.studies.study_report import TrialReport, ValidationScore
from tuition.benchmarks.artefacts import write_json
from tuition.benchmarks.baselines import MATCHED
from tuition.benchmarks.boards.ranked_rows import Meta, Row, pairwise_differences, rank_rows, to_json
from tuition.benchmarks.results_folder import ResultsFolder, StudyFolder
from tuition.benchmarks.statistics.intervals import paired_difference, score_over_seeds
from tuition.planner.allocation import Allocation
from tuition.planner.route import Route
from tuition.runners.events import BlockStarted, Event, RunDone, Scoring
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.training.meter import accelerator_name


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(small_scenario_file()))
    return path


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    path = tmp_path_factory.mktemp("scenario") / "small.yaml"
    path.write_text(yaml.safe_dump(small_scenario_file()))
    return Scenario.load(str(path))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "best"], "unknown baseline 'best'; choose from direct, direct-compute"),
        (["--compute-of", "direct"], "--compute-of 'direct': choose from raw-bridge"),
        (["--compute-of", "search #1"], "--compute-of 'search #1': choose from raw-bridge"),
        (["--finalists-of", "absent"], "no search of that name"),
        (["--finalists-of", "../escape"], "study name '../escape'"),
    ],
)
def test_wrong_requests_are_one_line_and_write_nothing(
    path: Path, tuition: Command, arguments: list[str], message: str
) -> None:
    for more in ([], ["--dry-run"]):
        result = tuition("baselines", "--scenario", str(path), *arguments, *more)
        assert result.returncode == 2 and message in result.stderr and result.stdout == ""
        assert len(result.stderr.strip().splitlines()) == 1
    assert list(path.parent.iterdir()) == [path]


def test_baselines_of_other_recipes_are_not_replaced(path: Path, tuition: Command) -> None:
    report = ResultsFolder(path.parent / "results").study("small-baselines").report
    write_tested(report, evaluation({"direct": [{}]}))
    before = report.read_bytes()
    result = tuition("baselines", "--scenario", str(path), "--only", "direct")
    assert result.returncode == 2 and "choose another --study name" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1 and report.read_bytes() == before


@pytest.mark.parametrize(
    ("rows", "seeds", "message"),
    [
        (("direct", "half"), (1000,), "also has half, which this call would lose"),
        (("direct", "half = search #3"), (1000,), "also has half, search #3, which this call would lose"),
        (
            ("direct", "raw-bridge", "direct-compute (compute of raw-bridge)"),
            (1000,),
            "has raw-bridge, direct-compute",
        ),
        (
            ("direct",),
            (1000, 2000),
            "is of training seeds 1000, 2000, of which this call would lose some: raise --seeds",
        ),
    ],
)
def test_a_report_with_more_rows_is_not_replaced_by_one_with_fewer(
    path: Path, scenario: Scenario, tuition: Command, rows: tuple[str, ...], seeds: tuple[int, ...], message: str
) -> None:
    report = ResultsFolder(path.parent / "results").study("small-baselines").report
    made = evaluation({name: [{"seed": seed} for seed in seeds] for name in rows})
    write_tested(report, made, scenario_sha256=scenario.sha256)
    before = report.read_bytes()
    result = tuition("baselines", "--scenario", str(path), "--only", "direct")
    assert result.returncode == 2 and message in result.stderr
    assert "choose another --study name" in result.stderr and report.read_bytes() == before
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_dry_run_prices_all_of_them_and_writes_nothing(path: Path, tuition: Command) -> None:
    file = small_scenario_file()
    path.write_text(yaml.safe_dump({**file, "prior_seconds": {**dict.fromkeys(file["stages"], 60), "score": 10}}))
    result = tuition("baselines", "--scenario", str(path), "--seeds", "2", "--dry-run", "--json")
    plan = json.loads(result.stdout)
    rows = {row["name"].split()[0]: row for row in plan["rows"]}
    assert rows.keys() == MATCHED.keys() and plan["seeds"] == [1000, 2000]
    assert plan["gpu_seconds"] == pytest.approx(
        plan["gpu_seconds_scoring"] + sum(row["gpu_seconds_to_train"] for row in plan["rows"])
    )
    full = {name: row["gpu_seconds_full"] for name, row in rows.items()}
    trained = [row for row in plan["rows"] if row["gpu_seconds_full"]]
    assert all(row["basis"] == {"stated": row["gpu_seconds_full"]} for row in trained)
    assert {row["name"] for row in plan["rows"] if row not in trained} == {"untrained-student", "raw-teacher"}
    assert plan["basis"].keys() == {"stated"} and plan["gpu_seconds_scoring"] > 0
    # Of 60 seconds each: 4 label blocks against 4 and a bridge of 2, whatever is shared and in blocks or not.
    assert full["direct"] == full["direct-shuffled"] == 240 and full["raw-bridge"] == 120
    assert full["teacher-upstream"] == full["upstream-shuffled"] == full["direct-compute"] == 360
    assert rows["direct-compute"]["blocks_to_train"] == 2 * 2, "it goes on from direct GRPO"
    assert rows["sample-sft"]["blocks_to_train"] == 2 * 2, "it shares opd-only's teacher"
    assert list(path.parent.iterdir()) == [path]


def test_the_named_ones_come_with_direct_and_with_what_compute_is_matched_to(path: Path, tuition: Command) -> None:
    arguments = ["baselines", "--scenario", str(path), "--dry-run", "--json", "--only", "direct-compute"]
    rows = [row["name"] for row in json.loads(tuition(*arguments, "--compute-of", "half").stdout)["rows"]]
    assert rows == ["direct", "direct-compute (compute of half)", "half"]
    arguments[-1] = "sft-teacher"
    rows = [row["name"] for row in json.loads(tuition(*arguments).stdout)["rows"]]
    assert rows == ["direct", "sft-teacher"]


def test_an_ordinary_run_is_that_of_the_shuffled_command_with_the_updates_of_the_blocks(scenario: Scenario) -> None:
    rows = scenario_baselines(scenario)
    direct = Entry("direct-shuffled", rows["direct"], shuffled=True).route(scenario.recipe, 1000)
    assert direct.final == label_stage_only(scenario, False, 1000, ordinary=True).final and len(direct.blocks) == 1
    upstream = Entry("upstream-shuffled", rows["teacher-upstream"], shuffled=True).route(scenario.recipe, 1000)
    assert upstream.blocks[0].key == label_stage_only(scenario, True, 1000, ordinary=True).final
    assert [block.stage for block in upstream.blocks] == ["teacher_rl", "warmup", "opd"]
    for route in (direct, upstream):
        assert sorted(route.labels_trained) == sorted(label.id for label in scenario.labels)
    stages = scenario.file.stages
    for stage, block in (("teacher_rl", upstream.blocks[0]), ("student_rl", direct.blocks[0])):
        assert stages.of_block(block).steps == stages.of(stage).steps * scenario.recipe.num_label_blocks


def entry(text: str, name: str = "search #3") -> Entry:
    return Entry(name, Allocation.parse(text), finalist=True, selected_validation=0.5)


def test_finalists_bring_their_replay_controls_once(scenario: Scenario) -> None:
    rows = scenario_baselines(scenario)
    names = {
        e.name: str(e.allocation)
        for e in merge_entries(rows, [entry("teacher=medium teacher_rl=3 opd=1 student_rl=1")])
    }
    assert names["replay of search #3"] == "teacher=medium teacher_rl=3 opd=1 replay=1"
    for text in ("student_rl=3", "teacher=medium teacher_rl=3 opd=1", "teacher=medium opd=1 student_rl=2"):
        assert not [e.name for e in merge_entries(rows, [entry(text)]) if e.name.startswith("replay")], text
    half = [e.name for e in merge_entries(rows, [entry(str(rows["half"]))])]
    assert half[0] == "half = search #3" and len(half) == len(rows), "its control is half-replay, which is there"


def write_report(path: Path, **changes: Any) -> None:
    """What the test needs of the report of a search with seed 7, whose finalist is its trial 3."""
    text = "teacher=medium teacher_rl=3 opd=1 student_rl=1"
    outcomes = {"direct": [np.eye(4, 2)], "search #3": [np.ones((4, 2))]}
    difference = paired_difference(outcomes["search #3"], outcomes["direct"])
    common: dict[str, Any] = {"labels_trained": 8, "gpu_seconds": 1.0, "seeds": (1007,)}
    rows = [
        Row("direct", "student_rl=4", "baseline", score_over_seeds(outcomes["direct"]), None, None, **common),
        Row("search #3", text, "finalist", score_over_seeds(outcomes["search #3"]), difference, 0.5, **common),
    ]
    trials = [TrialReport(number=n, state="complete", allocation=text, score=ValidationScore(mean=0.5)) for n in (3, 5)]
    report = search_report(
        scenario_sha256=Scenario.load(str(path)).sha256,
        seed=7,
        trials=trials,
        leaderboard=to_json(rank_rows(rows, pairwise_differences(outcomes)), Meta("found", "toy@1", "sampled", 8, 16)),
    )
    folder = path.parent / "results" / "studies" / "found"
    folder.mkdir(parents=True, exist_ok=True)
    write_json(report.document() | changes, folder / "report.json")


def test_finalists_of_a_search_join_with_their_controls_on_seeds_it_never_used(path: Path, tuition: Command) -> None:
    write_report(path)
    arguments = ["baselines", "--scenario", str(path), "--finalists-of", "found", "--dry-run", "--json"]
    only = ["--only", "direct-compute", "--compute-of", "search #3"]
    plan = json.loads(tuition(*arguments, *only).stdout)
    names = ["direct", "direct-compute (compute of search #3)", "search #3", "replay of search #3"]
    assert [row["name"] for row in plan["rows"]] == names
    assert plan["seeds"] == [1007] and plan["study"] == "found-baselines"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scenario_sha256": "0" * 64}, "its scenario differs from the current"),
        ({"leaderboard": None}, "it was not tested; rerun the search with --test-seeds 1"),
        ({"trials": []}, "is not a report of a search"),
        ({"seed": "seven"}, "is not a report of a search"),
    ],
)
def test_a_search_that_cannot_give_finalists_is_refused(
    path: Path, tuition: Command, changes: dict[str, Any], message: str
) -> None:
    write_report(path, **changes)
    result = tuition("baselines", "--scenario", str(path), "--finalists-of", "found")
    assert result.returncode == 2 and message in result.stderr and len(result.stderr.strip().splitlines()) == 1


class StubRunner:
    """Blocks that cost what the test says, and a validation score for each; nothing is trained."""

    def __init__(self, scenario: Scenario, prices: dict[str, Iterator[float]], scores: list[float]):
        self.scenario = scenario
        self._prices, self._scores = prices, scores
        self._paid: dict[str, float] = {}
        self._scores_by_key: dict[str, float] = {}
        self.trained = 0

    def run(self, route: Route, study: str) -> Any:
        for block in route.blocks:
            if block.key not in self._paid:
                self.trained += 1
                self._paid[block.key] = next(self._prices[block.stage])
        uses = [SimpleNamespace(gpu_seconds=self._paid[block.key]) for block in route.blocks]
        return SimpleNamespace(blocks=uses, gpu_seconds_full=sum(use.gpu_seconds for use in uses))

    def score(self, key: str, suite: str, study: str) -> Any:
        assert suite == "validation"
        share = self._scores_by_key.setdefault(key, self._scores[len(self._scores_by_key) % len(self._scores)])
        right = round(100 * share)
        outcomes = [(f"p{p:02d}", s, s * 10 + p < right) for p in range(10) for s in range(10)]
        return SimpleNamespace(table=pd.DataFrame(outcomes, columns=["problem_id", "sample", "correct"]))


def cycle(*values: float) -> Iterator[float]:
    while True:
        yield from values


def prices(direct: tuple[float, ...], other: float) -> dict[str, Iterator[float]]:
    return {"student_rl": cycle(*direct)} | {stage: cycle(other) for stage in ("teacher_rl", "warmup", "opd")}


def match(runner: StubRunner, folder: StudyFolder, seeds: tuple[int, ...] = (1000,)) -> ComputeMatch:
    compared = Entry("teacher-upstream", scenario_baselines(runner.scenario)["teacher-upstream"])
    with Reporter(quiet=True) as reporter:
        run = RunConfiguration("small", folder.path)
        return match_compute(runner, run, folder, compared, seeds, folder.log("baselines"), reporter)  # type: ignore[arg-type]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0.5, 3.0), min_size=1, max_size=7), st.floats(0.2, 3.0), st.integers(1, 2))
def test_direct_is_extended_to_the_first_block_that_reaches_the_compute(
    scenario: Scenario, tmp_path_factory: pytest.TempPathFactory, direct: list[float], other: float, num_seeds: int
) -> None:
    runner = StubRunner(scenario, prices(tuple(direct), other), [0.5])
    seeds = tuple(range(1, num_seeds + 1))
    found = match(runner, StudyFolder(tmp_path_factory.mktemp("match")), seeds)
    assert found.target_gpu_seconds == pytest.approx(6 * other, abs=1e-3), "4 teacher blocks and a bridge of 2"
    assert found.remainder_gpu_seconds >= -1e-3
    spent = [candidate.gpu_seconds for candidate in found.candidates]
    assert [candidate.replay for candidate in found.candidates] == list(range(found.replay_blocks + 1))
    assert spent == sorted(spent) and all(seconds < found.target_gpu_seconds + 1e-3 for seconds in spent[:-1])
    if found.replay_blocks:
        assert found.remainder_gpu_seconds <= max(direct) + 1e-3, "equal up to one block"
    assert found.chosen_replay == 0, "of equal scores the shortest chain"


def test_validation_chooses_the_block_and_the_whole_chain_is_charged(scenario: Scenario, tmp_path: Path) -> None:
    found = match(StubRunner(scenario, prices((1.0,), 1.2), [0.2, 0.4, 0.6, 0.1]), StudyFolder(tmp_path))
    assert [candidate.validation for candidate in found.candidates] == pytest.approx([0.2, 0.4, 0.6, 0.1, 0.2])
    assert (found.replay_blocks, found.chosen_replay) == (4, 2)
    chosen = found.entry()
    assert str(chosen.allocation) == "student_rl=4 replay=2" and chosen.selected_validation == pytest.approx(0.6)
    assert chosen.name == "direct-compute (compute of teacher-upstream)"
    assert chosen.charged_gpu_seconds == (8.0,) and found.chosen.gpu_seconds == 6.0
    assert "cost 8.0 GPU-s, +0.8 compared with the 7.2 of teacher-upstream" in found.sentence()


def test_a_match_is_kept_for_the_same_request_only(scenario: Scenario, tmp_path: Path) -> None:
    kept = StudyFolder(tmp_path)
    first = match(StubRunner(scenario, prices((1.0,), 1.2), [0.2, 0.3]), kept)
    dearer = StubRunner(scenario, prices((9.0,), 9.0), [0.2, 0.3])
    assert match(dearer, kept) == first and dearer.trained == 0, "another machine's prices change nothing"
    assert match(StubRunner(scenario, prices((1.0,), 1.2), [0.2]), kept, (1000, 2000)).seeds == (1000, 2000)
    whole = kept.direct_compute.read_bytes()
    kept.direct_compute.write_bytes(whole[: len(whole) // 2])
    again = match(StubRunner(scenario, prices((1.0,), 1.2), [0.2, 0.3]), kept)
    assert again == first, "a file that was cut short is made anew"


class HandedOut(Channel):
    """A worker's link to its parent, which hands out tasks 0 and 1 and remembers what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []
        self.trained: list[str] = []
        self.scored: list[str] = []

    def tasks(self) -> Iterator[int]:
        yield from (0, 1)

    def pass_on(self, event: Event) -> None:
        match event:
            case RunDone():
                self.done.append(event.name)
            case BlockStarted():
                self.trained.append(event.key)
            case Scoring():
                self.scored.append(event.suite)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_all_kinds_for_real_and_again_and_by_the_workers_own_code(path: Path, tuition: Command) -> None:
    names = ["direct-compute", "direct-shuffled", "sample-sft", "sft-teacher"]
    arguments = ["baselines", "--scenario", str(path), "--json", "--compute-of", "sample-sft"]
    arguments += [word for name in names for word in ("--only", name)]
    first = tuition(*arguments)
    assert first.returncode == 0, first.stderr
    document = json.loads(first.stdout)
    rows = {row["name"].split()[0]: row for row in document["rows"]}
    assert rows.keys() == {"direct", *names}
    assert {row["labels_trained"] for row in rows.values()} == {16}, "all are label-matched"
    assert all(row["seeds"] == [1000] and row["gpu_seconds"] > 0 for row in rows.values())
    assert document["intervals"].keys() == {row["name"] for row in rows.values()}

    assert all(str(Allocation.parse(row["allocation"])) == row["allocation"] for row in rows.values())
    assert [name for name, row in rows.items() if row["shuffled"]] == ["direct-shuffled"]

    found = document["direct_compute"]
    assert rows["direct-compute"]["name"] == "direct-compute (compute of sample-sft)"
    assert rows["direct-compute"]["gpu_seconds"] >= found["target_gpu_seconds"]
    # Stored with three decimals, while the row is a sum of such.
    assert rows["sample-sft"]["gpu_seconds"] == pytest.approx(found["target_gpu_seconds"], abs=1e-3)
    assert found["label_blocks"] == 4 and len(found["candidates"]) == found["replay_blocks"] + 1
    updates = {name.split()[0]: (m["updates_teacher"], m["updates_student"]) for name, m in document["matched"].items()}
    assert updates["direct"] == updates["direct-shuffled"] == (0, 8)
    assert updates["sample-sft"] == updates["sft-teacher"] == (8, 4)

    results = path.parent / "results"
    with sqlite3.connect(results / "ledger.sqlite") as ledger:
        booked = ledger.execute(
            "SELECT route, stage, COUNT(DISTINCT id) FROM spent WHERE study LIKE 'small-baselines%' "
            "GROUP BY route, stage"
        ).fetchall()
    ledger.close()
    assert {(stage, count) for _, stage, count in booked} == {
        ("student_rl", 16), ("teacher_rl", 16), ("teacher_sft", 16)
    }  # fmt: skip
    shuffled = label_stage_only(Scenario.load(str(path)), False, 1000, ordinary=True).final
    assert any(route.endswith(shuffled) for route, _, _ in booked), "the shuffled run's labels are booked to it"

    # What workers run, in this process: they find every block and score that this process has made.
    hand, configuration = HandedOut(), RunConfiguration(str(path), results)
    chosen = [
        Entry("direct-shuffled", Allocation(student_rl=4), shuffled=True),
        Entry("direct", Allocation(student_rl=4)),
    ]
    log = results / "worker.log"
    entry_worker(configuration, [(chosen[0], 1000), (chosen[1], 1000)], "small-baselines", log, hand)  # type: ignore[arg-type]
    chain_worker(configuration, (1000, 1000), "small-baselines", log, found["replay_blocks"], hand)  # type: ignore[arg-type]
    assert len(hand.done) == 4 and not hand.trained and not hand.scored

    again = tuition(*arguments)
    assert json.loads(again.stdout) == document
    report = json.loads((results / "studies" / "small-baselines" / "report.json").read_text())
    assert report["test"]["blocks"]["executed"] == 0
    made = Scenario.load(str(path))
    assert report["test"]["scenario"] == {"name": "small", "sha256": made.sha256}
    assert report["test"]["accelerator"] == accelerator_name("cpu")
    shown = " ".join(tuition("leaderboard", "show", "small-baselines").stdout.split())
    assert "what each entry is matched by" in shown and "label blocks and" in shown
