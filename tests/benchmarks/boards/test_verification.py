"""Verification: what an entry states about its samples and they do not bear out, and sample files that are hostile."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from tests.benchmarks.forged_boards import first, relist
from tests.benchmarks.made_scores import FIELDS, answered, made_blocks, micro_entry, sample_table, save_score
from tuition.benchmarks.artefacts import correct_PK, file_sha256
from tuition.benchmarks.boards import board_folder
from tuition.benchmarks.boards.board_folder import add_entries, read_manifest
from tuition.benchmarks.boards.entries import (
    EntryError,
    measured_score,
)
from tuition.benchmarks.boards.loaded_board import load_board
from tuition.benchmarks.boards.measured_entry import ScoredRun, entry_of_scores
from tuition.benchmarks.boards.verification.regrading import Answers, AnswersError
from tuition.benchmarks.boards.verification.whole_board import Checks, Status, Verified, verify_board
from tuition.benchmarks.grading.grader import Grader
from tuition.benchmarks.grading.policies import GRADER_VERSION, policy_of
from tuition.benchmarks.suites.micro import SUITE_VERSION, make_problems

pytestmark = pytest.mark.slow  # together


def flip(path: Path, verdict_too: bool = True) -> None:
    table = pd.read_parquet(path)
    table.loc[0, "correct"] = not table.loc[0, "correct"]
    if verdict_too:
        table.loc[0, "verdict"] = "correct" if table.loc[0, "correct"] else "wrong"
    table.to_parquet(path, index=False)


def test_one_flipped_verdict_fails_by_its_hash(board: Path) -> None:
    id, entry = first(board)
    flip(board / "samples" / f"{entry.samples[0].sha256}.parquet")
    fields = {mismatch.field for mismatch in verify_board(board).mismatches}
    assert {"samples[0].sha256", "score.mean", "score.se_seeds"} <= fields
    with pytest.raises(EntryError, match="tuition leaderboard verify"):
        load_board(board)
    assert {mismatch.id for mismatch in verify_board(board).mismatches} == {id}


def test_one_flipped_verdict_fails_by_the_scores_where_the_hash_was_adjusted(board: Path) -> None:
    id, entry = first(board)
    path = board / "samples" / f"{entry.samples[0].sha256}.parquet"
    flip(path)
    sha256 = file_sha256(path)
    path.rename(path.with_name(f"{sha256}.parquet"))
    forged = entry.model_copy(
        update={"samples": (entry.samples[0].model_copy(update={"sha256": sha256}), *entry.samples[1:])}
    )
    new = relist(board, id, forged)
    found = verify_board(board).mismatches
    assert {mismatch.id for mismatch in found} == {new}
    assert {mismatch.field for mismatch in found} >= {"score.mean", "score.se_problems", "score.se_seeds"}
    mean = next(mismatch for mismatch in found if mismatch.field == "score.mean")
    assert mean.stated == entry.score.mean and abs(mean.recomputed - mean.stated) == pytest.approx(1 / 144)


@pytest.mark.parametrize("name", ["mean", "se_problems", "se_samples", "se_seeds"])
def test_every_number_of_a_score_is_checked(board: Path, name: str) -> None:
    id, entry = first(board)
    changed = entry.score.model_copy(update={name: getattr(entry.score, name) + 1e-6})
    relist(board, id, entry.model_copy(update={"score": changed}))
    assert [mismatch.field for mismatch in verify_board(board).mismatches] == [f"score.{name}"]


@pytest.mark.parametrize(
    ("changes", "field", "right"),
    [
        ({"num_problems": 13}, "samples[0]", "it has 48 rows, not the 52 of num_problems times num_samples"),
        ({"num_samples": 5}, "samples[0]", "it has 48 rows, not the 60"),
        ({"num_problems": 24, "num_samples": 2}, "num_problems (samples[0])", "12"),
        ({"problem_ids_sha256": "0" * 64}, "problem_ids_sha256 (samples[0])", ""),
    ],
)
def test_counts_and_ids_are_checked(board: Path, changes: dict[str, object], field: str, right: str) -> None:
    id, entry = first(board)
    relist(board, id, entry.model_copy(update=changes))
    found = {mismatch.field: str(mismatch.recomputed) for mismatch in verify_board(board).mismatches}
    assert right in found[field]


def test_a_file_that_was_cut_off_is_one_mismatch(board: Path) -> None:
    _, entry = first(board)
    path = board / "samples" / f"{entry.samples[0].sha256}.parquet"
    path.write_bytes(path.read_bytes()[:500])
    (found,) = verify_board(board).mismatches
    assert found.field == "samples[0]" and f"{file_sha256(path)}: it is not a sample table" in found.recomputed


def test_a_verdict_that_contradicts_correct_is_named(board: Path) -> None:
    _, entry = first(board)
    flip(board / "samples" / f"{entry.samples[1].sha256}.parquet", verdict_too=False)
    found = verify_board(board).mismatches
    assert any("problem toy/000, sample 0 has the verdict" in str(mismatch.recomputed) for mismatch in found)
    assert {mismatch.name for mismatch in found} == {entry.name}


def test_an_entry_that_was_edited_in_its_file_is_refused(board: Path) -> None:
    id, _ = first(board)
    path = board / "entries" / f"{id}.json"
    path.write_text(path.read_text().replace('"direct"', '"directed"'))
    assert "it was changed after it was added" in str(verify_board(board).mismatches[0].recomputed)
    with pytest.raises(EntryError, match="it was changed after it was added"):
        load_board(board)


def test_files_that_are_gone_or_too_many_are_named(board: Path) -> None:
    _, entry = first(board)
    (board / "samples" / f"{entry.samples[0].sha256}.parquet").unlink()
    (board / "entries" / f"{read_manifest(board).ids[1]}.json").unlink()
    (board / "samples" / "stray.parquet").write_bytes(b"x")
    found = verify_board(board)
    assert {mismatch.id for mismatch in found.mismatches} == set(read_manifest(board).ids[:2])
    assert all("is missing" in str(mismatch.recomputed) for mismatch in found.mismatches)
    assert "samples/stray.parquet: no entry of version 1.1 needs it" in found.notes


def damage_link(path: Path) -> None:
    path.rename(path.with_suffix(".moved"))
    path.symlink_to(path.with_suffix(".moved"))


def damage_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def damage_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def damage_text(path: Path) -> None:
    path.write_bytes(b"PAR1 no parquet at all PAR1")


def damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def damage_columns(path: Path) -> None:
    pd.DataFrame({"problem_id": ["a"], "correct": [True]}).to_parquet(path)


def damage_holes(path: Path) -> None:
    table = pd.read_parquet(path)
    table.loc[3, "problem_id"] = None
    table.to_parquet(path, index=False)


def damage_types(path: Path) -> None:
    table = pd.read_parquet(path)
    table.assign(correct=table["correct"].astype("int64")).to_parquet(path, index=False)


def damage_verdict(path: Path) -> None:
    table = pd.read_parquet(path)
    table.loc[3, "verdict"] = "brilliant"
    table.to_parquet(path, index=False)


def damage_twice(path: Path) -> None:
    table = pd.read_parquet(path)
    table.loc[1, "sample"] = 0
    table.to_parquet(path, index=False)


def damage_uneven(path: Path) -> None:
    pd.read_parquet(path).iloc[1:].to_parquet(path, index=False)


def damage_empty(path: Path) -> None:
    pd.read_parquet(path).iloc[:0].to_parquet(path, index=False)


def damage_long(path: Path) -> None:
    """A few bytes on disk that would be gigabytes in memory, were the texts expanded."""
    table = pyarrow.parquet.read_table(path)
    long = pyarrow.array(["x" * 1_000_000] * table.num_rows, type=table.schema.field("problem_id").type)
    pyarrow.parquet.write_table(table.set_column(0, "problem_id", long), path)


DAMAGES = [value for name, value in sorted(globals().items()) if name.startswith("damage_")]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_hostile_sample_files_are_a_mismatch_in_one_line(board: Path, damage: Callable[[Path], None]) -> None:
    id, entry = first(board)
    damage(board / "samples" / f"{entry.samples[0].sha256}.parquet")
    found = verify_board(board)
    assert found.mismatches and {mismatch.id for mismatch in found.mismatches} == {id}
    assert all(len(mismatch.sentence.splitlines()) == 1 for mismatch in found.mismatches)
    with pytest.raises(EntryError):
        load_board(board)


def test_a_table_of_too_many_rows_is_not_read(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuition.benchmarks.boards.outcomes.MAX_ROWS", 47)
    assert "it has 48 rows, the limit is 47" in str(verify_board(board).mismatches[0].recomputed)


def test_files_over_the_limit_are_not_read(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_folder, "MAX_SAMPLES_BYTES", 100)
    assert "the limit is 100" in str(verify_board(board).mismatches[0].recomputed)


def test_files_that_expand_too_far_are_not_read(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuition.benchmarks.boards.outcomes.MAX_EXPANDED_BYTES", 100)
    assert "it expands to" in str(verify_board(board).mismatches[0].recomputed)


def micro_board(tmp_path: Path, **changes: Any) -> Path:
    add_entries(tmp_path / "board", [micro_entry(tmp_path, "half", 0.5, **changes)])
    return tmp_path / "board"


def regraded(board: Path, answers: Answers | str) -> Verified:
    with Grader(0.5) as grader:

        def of(version: str) -> Grader:
            assert policy_of(version) is grader.policy
            return grader

        return verify_board(board, Checks(lambda _: answers, of, lambda _: None))


def micro_answers(count: int = 12) -> Answers:
    problems = make_problems("test", count)
    return Answers({problem.id: problem.answer for problem in problems}, problems)


def test_verdicts_that_the_grader_gives_are_no_mismatch(tmp_path: Path) -> None:
    found = regraded(micro_board(tmp_path), micro_answers())
    assert (found.mismatches, found.undecided, len(found.regraded)) == ([], [], 3)
    assert [graded.num_samples for graded in found.regraded] == [48] * 3


def test_without_answers_nothing_is_graded_again_and_it_is_undecided(tmp_path: Path) -> None:
    board = micro_board(tmp_path)
    found = regraded(board, "not at hand")
    assert found.regraded == [] and found.status is Status.undecided
    assert [(one.name, one.reason) for one in found.undecided] == [("half", "not at hand")]
    assert verify_board(board).undecided[0].reason == "not graded again"


def test_a_flipped_verdict_is_found_even_where_all_else_was_made_to_fit(tmp_path: Path) -> None:
    """What only grading again can see: file, hash, scores and id all agree with the lie."""
    board = micro_board(tmp_path, seeds=(1,))
    id, entry = first(board)
    path = board / "samples" / f"{entry.samples[0].sha256}.parquet"
    flip(path)
    sha256, table = file_sha256(path), pd.read_parquet(path)
    path.rename(path.with_name(f"{sha256}.parquet"))
    score, _ = measured_score([correct_PK(table)[1]])
    sample = entry.samples[0].model_copy(update={"sha256": sha256})
    new = relist(board, id, entry.model_copy(update={"samples": (sample,), "score": score}))
    assert verify_board(board).mismatches == []
    (mismatch,) = regraded(board, micro_answers()).mismatches
    assert mismatch.field == "samples[0], problem micro-test-0000, sample 0, verdict"
    assert (mismatch.id, mismatch.name, mismatch.stated) == (new, "half", table["verdict"][0])
    assert {mismatch.stated, mismatch.recomputed} == {"correct", "wrong"}


def test_an_unknown_policy_fails_and_names_those_that_are_known(tmp_path: Path) -> None:
    found = regraded(micro_board(tmp_path, grader="tuition-0+math-verify-0.8.0", seeds=(1,)), micro_answers())
    (mismatch,) = found.mismatches
    assert (mismatch.field, mismatch.stated, found.regraded) == ("grader", "tuition-0+math-verify-0.8.0", [])
    assert "unknown policy" in mismatch.recomputed or "install that version" in mismatch.recomputed


LATE = "\\boxed{" + "(" * 400 + "1" + ")" * 400 + "}"
"""No grader is done with it in time."""


def late_board(tmp_path: Path, verdict: str, completion: str) -> Path:
    table = answered(sample_table(0.5, 1), make_problems("test", 12))
    correct = verdict == "correct"
    table.loc[0, ["completion", "extracted", "verdict", "correct"]] = [completion, None, verdict, correct]
    suite = f"micro-test@{SUITE_VERSION}/12"
    key = save_score(tmp_path, table, "w", suite=suite, grader=GRADER_VERSION)
    runs = [ScoredRun(1, key, made_blocks(FIELDS, "w"))]
    entry, paths, _ = entry_of_scores(tmp_path / "scores", runs, {**FIELDS, "name": "late"})
    add_entries(tmp_path / "board", [(entry, paths)])
    return tmp_path / "board"


@pytest.mark.slow
def test_a_verdict_on_which_the_grader_runs_out_of_time_twice_is_undecided(tmp_path: Path) -> None:
    found = regraded(late_board(tmp_path, "correct", LATE), micro_answers())
    (undecided,) = found.undecided
    assert found.mismatches == [] and found.status is Status.undecided
    assert undecided.field == "samples[0], problem micro-test-0000, sample 0, verdict"
    assert "runs out of time on it, also alone" in undecided.reason


def test_a_timeout_that_is_stated_holds_only_where_the_grader_runs_out_of_time(tmp_path: Path) -> None:
    assert regraded(late_board(tmp_path / "late", "timeout", LATE), micro_answers()).undecided == []
    found = regraded(late_board(tmp_path / "said", "timeout", "\\boxed{1}"), micro_answers())
    assert [(one.stated, one.recomputed) for one in found.mismatches] == [("timeout", "wrong")]


def test_of_a_file_of_many_late_answers_only_so_many_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("MAX_LATE", 0), ("CHUNK", 1)):
        monkeypatch.setattr(f"tuition.benchmarks.boards.verification.regrading.{name}", value)
    found = regraded(late_board(tmp_path, "correct", LATE), micro_answers())
    assert len(found.undecided) == 48 and "on too many answers" in found.undecided[-1].reason


def test_problems_that_are_not_the_suites_are_a_mismatch(tmp_path: Path) -> None:
    found = regraded(micro_board(tmp_path, seeds=(1,)), micro_answers(13))
    (mismatch,) = found.mismatches
    assert mismatch.field == f"problem_ids_sha256 (suite micro-test@{SUITE_VERSION}/12)" and found.regraded == []


def test_answers_that_lack_a_problem_are_an_error_and_no_fault_of_the_entry(tmp_path: Path) -> None:
    golds = dict(list(micro_answers().golds.items())[1:])
    with pytest.raises(AnswersError, match="half: 1 problems have no gold answer"):
        regraded(micro_board(tmp_path), Answers(golds))


def test_a_file_that_cannot_be_read_is_named_once_and_the_others_are_graded(tmp_path: Path) -> None:
    board = micro_board(tmp_path)
    _, entry = first(board)
    damage_cut(board / "samples" / f"{entry.samples[1].sha256}.parquet")
    found = regraded(board, micro_answers())
    assert [mismatch.field for mismatch in found.mismatches].count("samples[1]") == 1
    assert [graded.training_seed for graded in found.regraded] == [1, 3]
