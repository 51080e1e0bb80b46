"""`tuition leaderboard verify`: every leaderboard that ships, a copy with one verdict flipped, and grading again."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.app.conftest import Command
from tests.benchmarks.made_scores import made_entry, micro_entry
from tuition.benchmarks import measured_boards
from tuition.benchmarks.boards.board_folder import MANIFEST, add_entries, read_entry, read_manifest
from tuition.benchmarks.boards.entries import MeasuredEntry
from tuition.benchmarks.grading.policies import GRADER_VERSION
from tuition.benchmarks.measured_boards import shipped_boards
from tuition.benchmarks.problems import Problem
from tuition.benchmarks.reported import reported_entries
from tuition.benchmarks.suites.catalog import SUITES
from tuition.benchmarks.suites.loading import load
from tuition.runners.scenarios.scenario import hash_texts

DATA = Path(__file__).parents[3].parent / "shared" / "data"
SHIPPED = shipped_boards()
# What a clone and a wheel should have to carry for it.
MAX_SHIPPED_BYTES = 2_500_000


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A leaderboard of micro scores, made by what makes real ones."""
    rows = [micro_entry(tmp_path, name, accuracy) for name, accuracy in (("direct", 0.3), ("half", 0.6))]
    add_entries(tmp_path / "board", rows, "Small board")
    return tmp_path / "board"


@pytest.fixture
def shipping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of the leaderboards that ship."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setattr(measured_boards, "FOLDER", folder)
    return folder


def found(tuition: Command, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    result = tuition("leaderboard", "verify", *arguments, "--json")
    assert result.returncode == code, result.stderr
    documents: list[dict[str, Any]] = json.loads(result.stdout)["leaderboards"]
    return documents


@pytest.mark.slow
def test_every_measured_entry_that_ships_recomputes_and_is_graded_again(tuition: Command) -> None:
    if not SHIPPED:
        pytest.skip("no measured leaderboard ships yet: benchmarks/measured_boards has no folder")
    documents = found(tuition)
    assert [document["leaderboard"] for document in documents] == list(SHIPPED)
    for document in documents:
        assert document["measured"] > 0 and document["mismatches"] == document["undecided"] == document["notes"] == []
        assert document["as_it_ships"], f"HEADS has not {document['leaderboard']} with the head {document['head']}"
        files = sum(len(read_entry(SHIPPED[document["leaderboard"]], id).samples) for id in ids(document))  # type: ignore[union-attr]
        assert len(document["regraded"]) == files
    sizes = {name: sum(f.stat().st_size for f in path.rglob("*") if f.is_file()) for name, path in SHIPPED.items()}
    assert sum(sizes.values()) <= MAX_SHIPPED_BYTES, sizes


def ids(document: dict[str, Any]) -> list[str]:
    folder = SHIPPED[document["leaderboard"]]
    return [id for id in read_manifest(folder).ids if isinstance(read_entry(folder, id), MeasuredEntry)]


@pytest.mark.parametrize(
    "name", [*(pytest.param(name, marks=pytest.mark.slow) for name in SHIPPED), "made for this test"]
)
def test_one_flipped_verdict_in_a_copy_is_named_by_entry_problem_and_sample(
    name: str, board: Path, tmp_path: Path, tuition: Command
) -> None:
    copy = Path(shutil.copytree(SHIPPED.get(name, board), tmp_path / "copy"))
    id = next(id for id in read_manifest(copy).ids if isinstance(read_entry(copy, id), MeasuredEntry))
    entry = read_entry(copy, id)
    assert isinstance(entry, MeasuredEntry)
    path = copy / "samples" / f"{entry.samples[0].sha256}.parquet"
    table = pd.read_parquet(path)
    row = int(table.index[table["verdict"] == "wrong"][-1])
    table.loc[row, ["verdict", "correct"]] = ["correct", True]
    table.to_parquet(path, index=False)

    sample = f"problem {table['problem_id'][row]}, sample {table['sample'][row]}, verdict"
    (document,) = found(tuition, "copy", code=1)
    assert {(m["id"], m["name"]) for m in document["mismatches"]} == {(id, entry.name)}
    assert f"samples[0], {sample}" in [m["field"] for m in document["mismatches"]]
    if name not in SHIPPED:  # grading all of those a second time shows nothing more
        result = tuition("leaderboard", "verify", "copy")
        assert result.returncode == 1
        assert f"{id[:12]} ({entry.name}) samples[0], {sample}: stated correct, recomputed wrong" in result.stdout
        assert f"{id[:12]} ({entry.name}) score.mean: stated {entry.score.mean}, recomputed" in result.stdout
    (document,) = found(tuition, "copy", "--no-regrade", code=1)
    assert document["regraded"] == [] and all("verdict" not in m["field"] for m in document["mismatches"])


def test_what_ships_is_found_by_name_and_verified_without_any(shipping: Path, board: Path, tuition: Command) -> None:
    for name in ("micro@1", "other@1"):
        shutil.copytree(board, shipping / name)
    assert [document["leaderboard"] for document in found(tuition, code=3)] == ["micro@1", "other@1"]
    (document,) = found(tuition, "micro@1", code=3)
    assert (document["measured"], document["folder"]) == (2, str(shipping / "micro@1"))
    assert document["status"] == "incomplete" and "no protocol" in document["lacks"][0]
    assert sum(graded["num_samples"] for graded in document["regraded"]) == 2 * 3 * 48
    assert (
        "micro@1, version 1.0: recomputed 2 measured entries, graded 288 of their samples again"
        in tuition("leaderboard", "verify").stdout
    )

    assert "Small board, version 1.0" in tuition("leaderboard", "show", "micro@1").stdout
    assert json.loads(tuition("leaderboard", "show", "--json").stdout)["shipped"] == ["micro@1", "other@1"]
    assert "shipped leaderboards: micro@1, other@1" in tuition("leaderboard", "show").stdout
    assert tuition("leaderboard", "export", "micro@1").stdout.startswith("# Small board")


def test_a_folder_of_ones_own_comes_before_one_that_ships(shipping: Path, board: Path, tuition: Command) -> None:
    shutil.copytree(board, shipping / "board")
    assert found(tuition, "board", code=3)[0]["folder"] == "board"


def test_a_shipped_folder_without_a_measured_entry_fails_loudly(shipping: Path, board: Path, tuition: Command) -> None:
    none = tuition("leaderboard", "verify")
    assert none.returncode == 2 and "no leaderboard ships with this version" in none.stderr
    shutil.copytree(board, shipping / "micro@1")
    (shipping / "other@1").mkdir()
    empty = tuition("leaderboard", "verify")
    assert empty.returncode == 2 and f"other@1/{MANIFEST} is missing" in empty.stderr and empty.stdout == ""
    add_entries(shipping / "other@1", [(entry, []) for entry in reported_entries("arxiv-2605.12483")[:1]])
    reported = tuition("leaderboard", "verify")
    assert reported.returncode == 2 and "the shipped leaderboard other@1 has no measured entry" in reported.stderr
    (manifest,) = (json.loads((shipping / "other@1" / MANIFEST).read_text()),)
    manifest["changelog"][0]["added"] = []
    (shipping / "other@1" / MANIFEST).write_text(json.dumps(manifest))
    assert "other@1 has no measured entry" in tuition("leaderboard", "verify").stderr


def test_problems_of_ones_own_are_graded_by_a_file_of_answers(tmp_path: Path, tuition: Command) -> None:
    row = made_entry(tmp_path, "half", num_problems=24, seeds=(1, 2), grader=GRADER_VERSION)
    add_entries(tmp_path / "board", [row, micro_entry(tmp_path, "half")])
    (plain,) = found(tuition, "board", code=3)
    assert (len(plain["regraded"]), plain["status"]) == (3, "undecided")
    (undecided,) = plain["undecided"]
    assert (undecided["field"], undecided["name"]) == ("suite toy@1", "half")
    assert "undecided: " in tuition("leaderboard", "verify", "board").stdout
    assert "not in the catalogue: give its answers with --problems FILE" in undecided["reason"]

    golds = tmp_path / "golds.jsonl"
    golds.write_text("\n".join(json.dumps({"id": f"toy/{i:03}", "answer": "7"}) for i in range(24)))
    (document,) = found(tuition, "board", "--problems", "golds.jsonl", code=3)
    assert len(document["regraded"]) == 5 and "which problems it has" in document["undecided"][0]["reason"]
    golds.write_text(golds.read_text().replace('"toy/003", "answer": "7"', '"toy/003", "answer": "8"'))
    (document,) = found(tuition, "board", "--problems", "golds.jsonl", code=1)
    assert {m["field"] for m in document["mismatches"]} == {
        f"samples[{place}], problem toy/003, sample {sample}, verdict" for place in range(2) for sample in range(4)
    }
    for text, message in (('{"id": "toy/000"}', "golds.jsonl, line 1"), ("", "24 problems have no gold answer")):
        golds.write_text(text)
        wrong = tuition("leaderboard", "verify", "board", "--problems", "golds.jsonl")
        assert wrong.returncode == 2 and message in wrong.stderr
    golds.write_text('{"id": "toy/000", "answer": "7"}')
    short = tuition("leaderboard", "verify", "board", "--problems", "golds.jsonl")
    assert short.returncode == 2 and "23 problems have no gold answer" in short.stderr


def test_a_suite_of_ones_own_is_known_by_the_hash_in_its_name(tmp_path: Path, tuition: Command) -> None:
    problems = [Problem(f"mine-{number:02}", f"What is {number} + 1?", str(number + 1)) for number in range(12)]
    suite = f"mine-test@{hash_texts(*(text for p in problems for text in (p.problem, p.answer)))[:10]}"
    made = {"suite": suite, "grader": GRADER_VERSION, "problems": problems, "num_problems": 12}
    add_entries(tmp_path / "board", [made_entry(tmp_path, "half", **made)])
    lines = [json.dumps({"id": p.id, "problem": p.problem, "answer": p.answer}) for p in problems]
    (tmp_path / "mine.jsonl").write_text("\n".join(lines))
    (document,) = found(tuition, "board", "--problems", "mine.jsonl", code=3)
    assert (document["undecided"], document["mismatches"], len(document["regraded"])) == ([], [], 3)
    (tmp_path / "mine.jsonl").write_text("\n".join(lines).replace("0 + 1", "0 + 01"))
    (document,) = found(tuition, "board", "--problems", "mine.jsonl", code=3)
    assert "which problems it has is not at hand" in document["undecided"][0]["reason"]


def test_a_catalog_suite_is_graded_by_its_rows_from_a_data_folder(tmp_path: Path, tuition: Command) -> None:
    if not (DATA / "eval_aime2024.jsonl").is_file():
        pytest.skip("needs eval_aime2024.jsonl in shared/data beside the repository")
    whole = load(SUITES["aime24"], DATA)
    rows = []
    for suite in (whole, whole.first(5)):
        made = {"suite": suite.name, "grader": GRADER_VERSION, "seeds": (1,), "num_problems": len(suite.problems)}
        rows.append(made_entry(tmp_path, suite.name, 0.5, problems=suite.problems, suite_verified=True, **made))
    add_entries(tmp_path / "board", rows)
    arguments = ["board", "--data-dir", str(DATA)]
    (document,) = found(tuition, *arguments, code=3)
    assert [graded["num_samples"] for graded in document["regraded"]] == [120, 20] and not document["mismatches"]
    (document,) = found(tuition, "board", "--data-dir", str(tmp_path), code=3)
    assert "aime24@1 is not in" in document["undecided"][0]["reason"]
    (document,) = found(tuition, "board", code=3)
    assert "its rows are not at hand: give --data-dir" in document["undecided"][0]["reason"]

    # A part that is not the first five problems is another suite than its name says.
    made = {"suite": "aime24@1[:5]", "grader": GRADER_VERSION, "seeds": (1,), "num_problems": 5}
    wrong = made_entry(tmp_path, "x", problems=whole.problems[5:10], **made)
    add_entries(tmp_path / "board", [wrong])
    (document,) = found(tuition, *arguments, code=1)
    assert [m["field"] for m in document["mismatches"]] == ["problem_ids_sha256 (suite aime24@1[:5])"]
