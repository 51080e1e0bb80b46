"""`tuition leaderboard` as a user meets it: rows added, verified, shown and exported, and a flipped verdict found."""

import json
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pytest

from tests.app.conftest import Command, put
from tests.app.studies.made_report import evaluation, write_tested
from tests.benchmarks.made_scores import ROUTES, made_blocks, sample_table, save_score
from tuition.app.storage.exported_model import block_of_row
from tuition.app.storage.store_upkeep import StoreError
from tuition.benchmarks.artefacts import correct_PK
from tuition.benchmarks.boards.ranked_rows import Meta, Row, pairwise_differences, rank_rows, to_json
from tuition.benchmarks.statistics.intervals import score_over_seeds
from tuition.benchmarks.statistics.multiplicity import difference_of
from tuition.planner.allocation import Allocation
from tuition.runners.store.block_store import BlockStore

ROWS = {"direct": 0.3, "half": 0.5, "teacher-upstream": 0.7}
SEEDS = (1000, 2000)
SCENARIO = {"name": "small", "sha256": "5" * 64}
MADE = {
    "command": "tuition baselines --scenario small --seeds 2", "code_version": "0.1.0+g0123456789ab",
    "scenario": SCENARIO, "accelerator": "cpu x86_64",
}  # fmt: skip


def make_study(folder: Path, base: dict[str, tuple[Literal["untrained", "teacher"], str]]) -> None:
    """A tested study as `tuition baselines` leaves it; `base` are its base models: kind and what was scored."""
    tables = {
        name: [sample_table(accuracy, seed + sum(name.encode()), num_problems=24) for seed in SEEDS]
        for name, accuracy in ROWS.items()
    }
    tables |= {name: [sample_table(0.4, len(name), num_problems=24)] for name in base}
    outcomes = {name: [correct_PK(table)[1] for table in several] for name, several in tables.items()}
    allocations = {name: ROUTES.get(name, "teacher=large teacher_rl=4 opd=2") for name in ROWS}
    allocations |= {name: described for name, (_, described) in base.items()}
    pairwise = pairwise_differences(outcomes)
    rows = [
        Row(
            name=name,
            allocation=allocations[name],
            kind=base[name][0] if name in base else "baseline",
            score=score_over_seeds(runs),
            difference=None if name == "direct" else difference_of(pairwise, name, "direct"),
            selected_validation=None,
            labels_trained=0 if name in base else 64,
            gpu_seconds=0.0 if name in base else 20.25,
            seeds=() if name in base else SEEDS,
        )
        for name, runs in outcomes.items()
    ]
    meta = Meta("small-baselines", "toy@1", "sampled", 64, labels_owned=128, seed_variance="moderated")
    document = to_json(rank_rows(rows, pairwise), meta)
    runs = {
        name: [
            {
                "seed": seed,
                "score": save_score(folder, table, f"{name} {seed}"),
                "blocks": () if name in base else stored_blocks(folder, name, seed, allocations[name]),
            }
            for seed, table in zip((None,) if name in base else SEEDS, several, strict=True)
        ]
        for name, several in tables.items()
    }
    study = folder / "studies" / "small-baselines"
    study.mkdir(parents=True)
    (study / "leaderboard.json").write_text(json.dumps(document))
    write_tested(study / "report.json", evaluation(runs, **MADE), document)


def stored_blocks(folder: Path, name: str, seed: int, allocation: str) -> tuple[str, ...]:
    """Keys of a run's blocks, which are put into the store; they cost 20.25 GPU-seconds together."""
    fields = {"allocation": allocation, "gpu_seconds": 20.25}
    store, blocks = BlockStore(folder / "store"), made_blocks(fields, f"{name} {seed}")
    for block in blocks:
        if store.record(block.key) is None:
            put(store, block.key, block.gpu_seconds, weights_sha256=block.weights_sha256)
    return tuple(block.key for block in blocks)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder with a tested study."""
    make_study(tmp_path / "results", {})
    return tmp_path / "results"


def test_base_models_are_entries_without_a_training_seed(tmp_path: Path, tuition: Command) -> None:
    base = {"untrained-student": ("untrained", "base"), "raw-teacher": ("teacher", "base:large")}
    make_study(tmp_path / "results", base)  # type: ignore[arg-type]
    add(tuition, "--study", "small-baselines")
    (table,) = json.loads(tuition("leaderboard", "show", "board", "--json").stdout)["measured"]
    study = json.loads((tmp_path / "results" / "studies" / "small-baselines" / "leaderboard.json").read_text())
    entries = {row["entry"]["name"]: row for row in table["rows"]}
    assert "raw-teacher" in {row["name"] for row in study["rows"]} - entries.keys(), "a reference, no student to rank"
    for row in study["rows"]:
        if row["name"] == "raw-teacher":
            continue
        ours = entries[row["name"]]
        assert ours["difference"] == row["difference"], "a base model is paired with every training seed"
        seeds = [sample["training_seed"] for sample in ours["entry"]["samples"]]
        assert seeds == ([None] if row["name"] in base else list(SEEDS))
    student = entries["untrained-student"]["entry"]
    assert (student["allocation"], student["labels_trained"], student["gpu_seconds"]) == ("base", 0, 0.0)
    assert not any("training variance" in note for note in table["notes"])
    shown = tuition("leaderboard", "export", "board", "--format", "md").stdout
    assert "untrained-student" in shown and "seed unknown" not in shown
    named = tuition("leaderboard", "add", "board", "--study", "small-baselines", "--row", "raw-teacher")
    assert named.returncode == 2 and "'raw-teacher'" in named.stderr
    with pytest.raises(StoreError, match="has no row 'raw-teacher': choose from 'direct'"):
        block_of_row(tmp_path / "results", "small-baselines", "raw-teacher", None)


def add(tuition: Command, *arguments: str) -> dict[str, Any]:
    result = tuition("leaderboard", "add", "board", "--json", *arguments)
    assert result.returncode == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


@pytest.mark.slow
def test_a_study_goes_the_whole_way(results: Path, tmp_path: Path, tuition: Command) -> None:
    added = add(tuition, "--study", "small-baselines", "--reported", "arxiv-2605.12483", "--title", "Small board")
    assert (len(added["added"]), added["known"], added["version"]) == (3 + 117, [], "1.0")
    again = add(tuition, "--study", "small-baselines")
    assert (again["added"], len(again["known"]), again["version"]) == ([], 3, "1.0")

    verified = tuition("leaderboard", "verify", "board", "--json")
    (found,) = json.loads(verified.stdout)["leaderboards"]
    assert verified.returncode == 1 and found["status"] == "refused", "toy scores name a grader without a version"
    assert {one["field"] for one in found["mismatches"]} == {"grader"}
    assert (found["measured"], found["reported"], found["notes"], found["regraded"]) == (3, 117, [], [])

    shown = tuition("leaderboard", "show", "board/")
    assert shown.returncode == 0
    for part in (
        "Small board, version 1.0",
        "toy@1 (sampled)",
        "teacher-upstream",
        "teacher_rl=4 opd=2",
        "64 trained",
        "128 owned",
        "Table 8",
    ):
        assert part in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 110

    document = json.loads(tuition("leaderboard", "show", "board", "--json").stdout)
    (table,) = document["measured"]
    rows = {row["entry"]["name"]: row for row in table["rows"]}
    study = json.loads((results / "studies" / "small-baselines" / "leaderboard.json").read_text())
    for row in study["rows"]:
        ours = rows[row["name"]]
        assert (ours["rank_first"], ours["rank_last"]) == (row["rank_first"], row["rank_last"])
        assert ours["entry"]["score"]["mean"] == row["score"]["mean"] and ours["difference"] == row["difference"]
        assert ours["entry"]["command"] == MADE["command"] and ours["entry"]["gpu_seconds"] == 20.25
        assert [sample["training_seed"] for sample in ours["entry"]["samples"]] == list(SEEDS)
    assert len(document["reported"]) == 117

    for format in ("md", "html", "csv", "json", "latex", "bibtex"):
        written = tuition("leaderboard", "export", "board", "--format", format, "--out", f"board.{format}")
        assert written.returncode == 0 and written.stdout == ""
        printed = tuition("leaderboard", "export", "board", "--format", format)
        assert printed.stdout == (tmp_path / f"board.{format}").read_text() and "teacher-upstream" in printed.stdout
    assert not list(tmp_path.glob(".partial-*"))


def test_show_and_export_refuse_what_verify_fails(results: Path, tmp_path: Path, tuition: Command) -> None:
    add(tuition, "--study", "small-baselines")
    path = sorted((tmp_path / "board" / "samples").glob("*.parquet"))[0]
    table = pd.read_parquet(path)
    table.loc[5, "correct"] = not table.loc[5, "correct"]
    table.loc[5, "verdict"] = "correct" if table.loc[5, "correct"] else "wrong"
    table.to_parquet(path, index=False)
    assert tuition("leaderboard", "verify", "board").returncode == 1
    for command in (["show", "board"], ["export", "board"]):
        refused = tuition("leaderboard", *command)
        assert refused.returncode == 2 and "tuition leaderboard verify" in refused.stderr and refused.stdout == ""
    # It does not touch what is there.
    assert tuition("leaderboard", "add", "board", "--reported", "arxiv-2605.12483").returncode == 0


def test_scores_of_the_bench_become_entries_of_one_checkpoint(tmp_path: Path, tuition: Command) -> None:
    record = {
        "model": {"label": "/somewhere/Qwen3-1.7B"}, "command": "tuition bench --model Qwen3-1.7B",
        "suite_verified": False,
        "versions": {"tuition": "0.1.0", "torch": "2.11", "transformers": "5"}, "gpu_seconds": 3.0,
    }  # fmt: skip
    table = sample_table(0.4, 3, num_problems=20)
    key = save_score(tmp_path / "results", table, "w", suite="math500@1[:20]", record=record)
    assert len(add(tuition, "--score", key[:10])["added"]) == 1
    document = json.loads(tuition("leaderboard", "show", "board", "--json").stdout)
    (row,) = document["measured"][0]["rows"]
    assert (row["entry"]["model"], row["entry"]["gpu_seconds"], row["entry"]["labels_trained"]) == (
        "Qwen3-1.7B",
        None,
        None,
    )
    notes = " ".join(document["measured"][0]["notes"])
    for note in ("one training run: excludes training variance", "partial suite", "unverified suite"):
        assert note in notes
    assert row["entry"]["code_version"] == "0.1.0"

    plain = save_score(tmp_path / "results", table, "v")
    refused = tuition("leaderboard", "add", "board", "--score", plain)
    assert refused.returncode == 2 and "of a study with --study" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["add", "board"], "nothing to add"),
        (["add", "board", "--study", "absent"], "no report of study 'absent'"),
        (["add", "board", "--study", "../x"], "study name '../x'"),
        (["add", "board", "--study", "small-baselines", "--row", "best"], "row 'best' is in none of the given studies"),
        (["add", "board", "--score", "../../x"], "score '../../x'"),
        (["add", "board", "--score", "abcd"], "0 scores in results start with it"),
        (["add", "board", "--reported", "arxiv-0000.00000"], "reported source 'arxiv-0000.00000' is unknown"),
        (["add", "board", "--entry", "absent.json"], "absent.json is missing"),
        (["add", "results", "--reported", "arxiv-2605.12483"], "holds other files"),
        (["show", "nowhere/"], "leaderboard.json is missing"),
        (["verify", "nowhere/"], "leaderboard.json is missing"),
        (["verify", "nowhere"], "'nowhere' is neither a folder nor a shipped leaderboard"),
        (["verify", "results", "--no-regrade", "--data-dir", "."], "--no-regrade grades nothing"),
        (["verify", "results", "--regrade", "--problems", "absent.jsonl"], "absent.jsonl cannot be read"),
        (["export", "nowhere"], "neither a folder nor a shipped leaderboard"),
        (["export", "nowhere", "--format", "docx"], "docx"),
    ],
)
def test_wrong_input_is_one_line_and_code_2_and_writes_nothing(
    results: Path, tmp_path: Path, tuition: Command, arguments: list[str], message: str
) -> None:
    before = sorted(tmp_path.rglob("*"))
    result = tuition("leaderboard", *arguments)
    assert result.returncode == 2 and message in result.stderr and result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1 and "Traceback" not in result.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_a_report_that_names_no_scores_says_how_to_mend_it(results: Path, tuition: Command) -> None:
    path = results / "studies" / "small-baselines" / "report.json"
    report = json.loads(path.read_text())
    for run in report["test"]["runs"]["half"]:
        del run["score"]
    path.write_text(json.dumps(report))
    result = tuition("leaderboard", "add", "board", "--study", "small-baselines")
    assert result.returncode == 2 and "rerun its command" in result.stderr


def test_a_shuffled_row_keeps_an_allocation_that_can_be_read_and_says_shuffled(results: Path, tuition: Command) -> None:
    path = results / "studies" / "small-baselines" / "report.json"
    report = json.loads(path.read_text())
    row = next(row for row in report["leaderboard"]["rows"] if row["name"] == "teacher-upstream")
    row |= {"name": "upstream-shuffled", "shuffled": True}
    report["test"]["runs"]["upstream-shuffled"] = report["test"]["runs"].pop("teacher-upstream")
    for run in report["test"]["runs"]["upstream-shuffled"]:
        run["blocks"] = [run["blocks"][0], *run["blocks"][-2:]]  # its four label blocks are one
    row["gpu_seconds"] = 20.25 / 2
    path.write_text(json.dumps(report))
    add(tuition, "--study", "small-baselines", "--row", "upstream-shuffled")
    (shown,) = json.loads(tuition("leaderboard", "show", "board", "--json").stdout)["measured"][0]["rows"]
    assert (shown["entry"]["shuffled"], shown["entry"]["scenario"]) == (True, SCENARIO)
    assert str(Allocation.parse(shown["entry"]["allocation"])) == row["allocation"]
    assert "opd=2 (shuffled, no blocks)" in tuition("leaderboard", "export", "board", "--format", "html").stdout

    # As earlier versions wrote it.
    row["allocation"] += " (shuffled, no blocks)"
    path.write_text(json.dumps(report))
    refused = tuition("leaderboard", "add", "other", "--study", "small-baselines")
    assert refused.returncode == 2 and "'(shuffled,' is not name=value" in refused.stderr
    assert "add the row again from its study" in refused.stderr and len(refused.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["scenario", "accelerator"])
def test_a_report_that_does_not_say_what_was_trained_on_what_is_refused(
    results: Path, tuition: Command, name: str
) -> None:
    path = results / "studies" / "small-baselines" / "report.json"
    report = json.loads(path.read_text())
    del report["test"][name]
    path.write_text(json.dumps(report))
    result = tuition("leaderboard", "add", "board", "--study", "small-baselines")
    assert result.returncode == 2 and f"test.{name} is missing" in result.stderr
    assert "rerun its command, which trains nothing" in result.stderr


def test_a_report_whose_scores_are_not_its_samples_is_refused(results: Path, tuition: Command) -> None:
    path = results / "studies" / "small-baselines" / "report.json"
    report = json.loads(path.read_text())
    report["leaderboard"]["rows"][0]["score"]["mean"] += 0.01
    path.write_text(json.dumps(report))
    result = tuition("leaderboard", "add", "board", "--study", "small-baselines")
    assert result.returncode == 2 and "its samples" in result.stderr


def test_reported_entries_come_from_files_too_but_measured_ones_do_not(
    results: Path, tmp_path: Path, tuition: Command
) -> None:
    add(tuition, "--study", "small-baselines", "--reported", "arxiv-2605.12483")
    files = sorted((tmp_path / "board" / "entries").glob("*.json"))
    kinds = {json.loads(path.read_text())["kind"]: path for path in files}
    other = tuition("leaderboard", "add", "other", "--entry", str(kinds["reported"]))
    assert other.returncode == 0 and kinds["reported"].stem in other.stdout
    refused = tuition("leaderboard", "add", "other", "--entry", str(kinds["measured"]))
    assert refused.returncode == 2 and "needs its samples" in refused.stderr


def test_no_entry_holds_the_password_of_a_database(results: Path, tmp_path: Path, tuition: Command) -> None:
    path = results / "studies" / "small-baselines" / "report.json"
    report = json.loads(path.read_text())
    report["command"] = "tuition search --storage postgresql://me:hunter2@db:5432/x?password=hunter2 --trials 3"
    path.write_text(json.dumps(report))
    add(tuition, "--study", "small-baselines")
    (table,) = json.loads(tuition("leaderboard", "show", "board", "--json").stdout)["measured"]
    command = table["rows"][0]["entry"]["command"]
    assert command.startswith("tuition search --storage postgresql://me@db:5432/x?password left out")
    assert not [file for file in (tmp_path / "board").rglob("*") if file.is_file() and b"hunter2" in file.read_bytes()]


def test_weights_and_contamination_are_stated_as_given(results: Path, tuition: Command) -> None:
    given = ["--weights", "https://example.org/{row}/{seed}", "--contamination", "Trained after the test was made."]
    add(tuition, "--study", "small-baselines", "--row", "half", *given)
    (row,) = json.loads(tuition("leaderboard", "show", "board", "--json").stdout)["measured"][0]["rows"]
    addresses = [run["weights_address"] for run in row["entry"]["samples"]]
    assert addresses == ["https://example.org/half/1000", "https://example.org/half/2000"]
    # What the scenario's check says stays, and `verify` computes it again.
    assert row["entry"]["contamination"].startswith("Not checked: the scenario cannot be loaded")
    assert row["entry"]["contamination"].endswith("Trained after the test was made.")
