"""What commit e466b8e wrote still opens, resumes and verifies: store, studies, ledger, leaderboard, recorded table.

`results-e466b8e.tar.xz` was written by that commit (`make.sh`), on a tiny scenario that lies in it as well. Since then
revisions of stages have risen, the first step of a warm-up trains and another policy grades, which is told; all else is
tested as it was then (`revisions_of_then`).
"""

import json
import shutil
import tarfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.app.conftest import Command, Result
from tuition.app.dashboard.data import live_progress
from tuition.app.dashboard.data.study_frames import read_study, study_names
from tuition.benchmarks.boards.board_folder import read_entry, read_manifest
from tuition.benchmarks.boards.entries import MeasuredEntry
from tuition.planner.stages import STAGE, STAGES

ARCHIVE = Path(__file__).parent / "results-e466b8e.tar.xz"
SCENARIO = ("--scenario", "scenario.yaml")


@pytest.fixture(scope="session")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the archive holds; nobody changes it."""
    folder = tmp_path_factory.mktemp("earlier")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(autouse=True)
def earlier(extracted: Path, tmp_path: Path) -> Path:
    """The results folder, as it was, in the folder that commands run in."""
    shutil.copytree(extracted, tmp_path, dirs_exist_ok=True)
    return tmp_path / "results"


@pytest.fixture
def revisions_of_then(monkeypatch: pytest.MonkeyPatch, earlier: Path) -> Iterator[None]:
    """Every stage at the revision, with the warm-up and by the grading policy, by which the archive was made."""
    with (earlier.parent / "scenario.yaml").open("a") as file:
        file.write("\ngrading: tuition-1\n")
    monkeypatch.setattr("tuition.runners.scenarios.scenario.WARM_UP", {})
    now = [stage.revision for stage in STAGES]
    for stage in STAGES:
        object.__setattr__(stage, "revision", 1)  # frozen, for all but this
    yield
    for stage, revision in zip(STAGES, now, strict=True):
        object.__setattr__(stage, "revision", revision)


at_revisions_of_then = pytest.mark.usefixtures("revisions_of_then")


def same_libraries(results: Path) -> bool:
    """Whether the installed libraries are those that drew the archive's scores: a score's key names them."""
    record = json.loads(next(results.glob("store/*/*/record.json")).read_text())
    return all(version(name) == record["versions"][name] for name in ("torch", "transformers"))


def document(result: Result) -> dict[str, Any]:
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


def trained(results: Path) -> int:
    return sum(1 for _ in results.glob("store/[0-9a-f][0-9a-f]/*/record.json"))


@at_revisions_of_then
def test_a_finished_search_trains_nothing_and_reports_the_same(tuition: Command, earlier: Path) -> None:
    before = json.loads((earlier / "studies" / "old" / "report.json").read_text())
    blocks = trained(earlier)
    report = document(
        tuition("search", *SCENARIO, "--trials", "4", "--test-seeds", "1", "--study", "old", "--json", "--mix-versions")
    )
    assert report["blocks"]["executed_by_this_call"] == 0
    # The test has one more row that is trained, whose bridge is there, and two of base models; all else is as it was.
    added = {"opposite", "untrained-student", "raw-teacher"}
    assert trained(earlier) == blocks + 2
    # One seed has no rank any more, and intervals allow for few problems.
    changed = {"rank_first": 0, "rank_last": 0}
    rows, rows_before = (
        {
            row["name"]: {**row, **changed, "difference": row["difference"] and row["difference"]["mean"]}
            for row in found["leaderboard"]["rows"]
        }
        for found in (report, before)
    )
    assert {row["rank_first"] for row in report["leaderboard"]["rows"]} == {None}
    assert rows.keys() == rows_before.keys() | added
    assert {name: row for name, row in rows.items() if name not in added} == rows_before
    for name in ("trials", "seed", "scenario_sha256"):
        assert report[name] == before[name], name
    assert report["labels"] == {**before["labels"], "labels_outside": 0}
    assert before["test"]["runs"].items() <= report["test"]["runs"].items()


def test_live_shows_studies_without_events(earlier: Path) -> None:
    names = study_names(earlier)
    assert {"old", "begun"} <= set(names)
    for name in names:
        study = read_study(earlier, name)
        assert live_progress.progress(study).finished == study.trials["state"].isin(live_progress.FINISHED).sum()
        assert [trial.doing for trial in live_progress.running(study)] == [None] * len(live_progress.running(study))
        assert live_progress.testing(study, "test") == []


@at_revisions_of_then
def test_a_search_that_was_begun_goes_on(tuition: Command, earlier: Path) -> None:
    before = json.loads((earlier / "studies" / "begun" / "report.json").read_text())["trials"]
    done = [(trial["number"], trial["allocation"], trial["score"]) for trial in before if trial["score"]]
    report = document(
        tuition(
            "search", *SCENARIO, "--trials", "3", "--seed", "1", "--test-seeds", "0", "--study", "begun", "--json",
            "--mix-versions",
        )
    )  # fmt: skip
    now = [(trial["number"], trial["allocation"], trial["score"]) for trial in report["trials"] if trial["score"]]
    assert len(done) == 2 and now[:2] == done and len(now) == 3


def test_a_study_of_another_scenario_is_refused(tuition: Command, tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(path.read_text().replace("max_opd: 1", "max_opd: 2"))
    result = tuition("search", *SCENARIO, "--trials", "4", "--study", "old", "--mix-versions")
    assert result.returncode == 2 and "study 'old'" in result.stderr
    assert "which fields differ is unknown: an earlier version started the study" in result.stderr


@at_revisions_of_then
def test_a_resumed_study_keeps_its_scenario_from_now_on(tuition: Command, earlier: Path, tmp_path: Path) -> None:
    search = ("search", *SCENARIO, "--trials", "4", "--test-seeds", "0", "--study", "old", "--mix-versions")
    assert tuition(*search).returncode == 0 and (earlier / "studies" / "old" / "scenario.yaml").is_file()
    path = tmp_path / "scenario.yaml"
    path.write_text(path.read_text().replace("max_opd: 1", "max_opd: 2"))
    result = tuition(*search)
    assert result.returncode == 2 and "search.max_opd: 2, was 1; choose another --study name" in result.stderr


@at_revisions_of_then
def test_stored_blocks_are_whole_and_reused(tuition: Command, earlier: Path) -> None:
    assert document(tuition("store", "verify", "--json"))["damaged"] == []
    assert len(document(tuition("store", "list", "--json"))["blocks"]) == trained(earlier)
    result = tuition("run", "teacher=medium teacher_rl=1 transfer_sft=1", *SCENARIO, "--json", "--mix-versions")
    run = document(result)
    note = "note: some stored blocks do not say which processor trained them (cpu x86_64)"
    assert "".join(result.stderr.split()).count("".join(note.split())) == 1
    assert not any(block["executed"] for block in run["blocks"])
    # Rollouts are charged with the block that needed them.
    record = next(
        json.loads(file.read_text())
        for file in earlier.glob("store/*/*/record.json")
        if run["blocks"][1]["key"] in str(file)
    )
    assert run["blocks"][1]["gpu_seconds"] == pytest.approx(record["gpu_seconds"] + record["rollouts"]["gpu_seconds"])


@at_revisions_of_then
def test_what_differs_from_a_stored_block_is_named(tuition: Command, earlier: Path, tmp_path: Path) -> None:
    why = ("store", "why", "teacher=medium teacher_rl=1 transfer_sft=1", *SCENARIO, "--json")
    assert document(tuition(*why))["blocks_to_train"] == 0
    path = tmp_path / "scenario.yaml"
    scenario = yaml.safe_load(path.read_text())
    scenario["stages"]["transfer_sft"]["steps"] = 2
    path.write_text(yaml.safe_dump(scenario))
    assert document(tuition(*why))["blocks"][1]["reasons"] == [
        "stages.transfer_sft.steps: 2, was 1",
        "prompts: unknown whether they differ, because its record has format 1",
    ]  # fmt: skip


def test_a_revision_that_has_risen_is_named(tuition: Command) -> None:
    teacher, transfer = document(
        tuition("store", "why", "teacher=medium teacher_rl=1 transfer_sft=1", *SCENARIO, "--json")
    )["blocks"]
    assert f"revision of transfer_sft: {STAGE['transfer_sft'].revision}, was 1" in transfer["reasons"]
    assert "stages.teacher_rl.lr_warmup_first_rate: above zero, was zero" in teacher["reasons"]


@pytest.mark.parametrize("model", ["base:student", "block"])
def test_scores_of_bench_are_found(tuition: Command, earlier: Path, model: str) -> None:
    if not same_libraries(earlier):
        pytest.skip("other libraries than those of the archive draw other samples, under other keys")
    if model == "block":
        model = document(tuition("store", "list", "--json"))["blocks"][0]["key"]
    bench = document(
        tuition(
            "bench", "--model", model, *SCENARIO, "--suite", "micro", "--limit", "4", "--samples", "2",
            "--max-new-tokens", "8", "--policy", "tuition-1", "--json",
        )
    )  # fmt: skip
    assert [score["samples_drawn_now"] for score in bench["scores"]] == [0]


def entries_of(board: Path) -> list[MeasuredEntry]:
    entries = [read_entry(board, id) for id in read_manifest(board).ids]
    return [entry for entry in entries if isinstance(entry, MeasuredEntry)]


def test_a_leaderboard_verifies(tuition: Command) -> None:
    result = tuition("leaderboard", "verify", "board", "--json")
    (found,) = json.loads(result.stdout)["leaderboards"]
    assert (found["measured"], found["mismatches"]) == (6, [])
    # Its tiny blocks learnt nothing, so several routes end in one checkpoint; no file of then shows that it is theirs.
    reasons = {one["reason"].partition(": ")[2] for one in found["undecided"]}
    assert reasons <= {"only training again shows that both routes end in it"}
    # It holds as far as its format goes, which is not as far as today's.
    assert (result.returncode, found["status"]) == (3, "undecided")
    assert any(lack.startswith("6 entries: format 2:") for lack in found["lacks"])


def test_a_leaderboard_of_the_study_is_made_again(tuition: Command, tmp_path: Path) -> None:
    document(tuition("leaderboard", "add", "again", "--study", "old", "--json"))
    before, after = ({e.name: e for e in entries_of(tmp_path / board)} for board in ("board", "again"))
    assert before.keys() == after.keys() and {e.schema_version for e in after.values()} == {3}
    for name, entry in before.items():
        same = entry.model_dump(exclude={"schema_version", "samples"})
        assert same.items() <= after[name].model_dump().items()
        files = [file.model_dump() for file in entry.samples]
        assert all(
            file.items() <= run.model_dump().items() for file, run in zip(files, after[name].samples, strict=True)
        )


def test_studies_are_shown_exported_and_kept_from_pruning(tuition: Command, tmp_path: Path) -> None:
    assert document(tuition("leaderboard", "show", "old-baselines", "--json"))["study"] == "old-baselines"
    assert document(tuition("export", "half", "--study", "old", "--to", "exported", "--json"))["folder"]
    assert (tmp_path / "exported" / "model.safetensors").exists()
    pruned = document(tuition("store", "prune", "--max-store", "3MB", "--dry-run", "--json"))
    assert pruned["kept_for_finalists"] > 0


def test_a_recorded_table_is_read(tuition: Command) -> None:
    table = document(tuition("recorded", "table.parquet", "--json"))
    assert (table["rows"], len(table["seeds"])) == (22, 2)
