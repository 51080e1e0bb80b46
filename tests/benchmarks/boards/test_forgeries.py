"""Forged copies of leaderboards, one fault each: every one is refused, by a message that names what is wrong.

Each forger adjusts hashes, scores, ids and the whole chain of the changelog, so that only the lie itself is left to be
found. They work on a leaderboard of today's format with a protocol, and on copies of the one that ships.
"""

import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from tests.benchmarks.boards.forged_claims import FORGED_CLAIMS, on_another_device
from tests.benchmarks.boards.forged_history import (
    FORGED_HISTORY,
    fewer_seeds_declared,
    history_rewritten,
    of_last_change,
    rival_dropped,
)
from tests.benchmarks.boards.forged_outcomes import FORGED_OUTCOMES
from tests.benchmarks.forged_boards import (
    SCENARIO,
    SUITE,
    Document,
    Forger,
    all_correct,
    forged,
    make_honest,
    named,
    of_fields,
    of_samples,
    relist,
    rewrite,
)
from tests.benchmarks.made_scores import FIELDS
from tuition.benchmarks.baselines import baseline_allocations
from tuition.benchmarks.boards.board_folder import read_entry, read_manifest
from tuition.benchmarks.boards.cross_checks import KnownScenario
from tuition.benchmarks.boards.entries import EntryError, RepeatableEntry, ScenarioRef
from tuition.benchmarks.boards.loaded_board import load_board
from tuition.benchmarks.boards.standings import standings
from tuition.benchmarks.boards.verification.regrading import Answers
from tuition.benchmarks.boards.verification.whole_board import Checks, Status, Verified, verify_board
from tuition.benchmarks.grading.grader import Grader
from tuition.benchmarks.grading.policies import policy_of
from tuition.benchmarks.measured_boards import shipped_boards
from tuition.benchmarks.suites.catalog import generated

pytestmark = pytest.mark.slow  # together


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_honest(tmp_path_factory.mktemp("honest"))


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(0.3) as grader:
        yield grader


@pytest.fixture
def today(honest: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(honest, tmp_path / "board"))


@cache
def answers(suite: str) -> Answers | str:
    loaded = generated(suite)
    return (
        "not in the catalogue"
        if loaded is None
        else Answers({p.id: p.answer for p in loaded.problems}, loaded.problems)
    )


def verified(board: Path, honest: Path, grader: Grader) -> Verified:
    """What verification finds, with what the command line brings along; entries that did not change are not read."""
    chains = {}
    for id in read_manifest(honest).ids:
        entry = read_entry(honest, id)
        if isinstance(entry, RepeatableEntry):
            for run in entry.samples:
                chains[entry.name, run.training_seed] = tuple(block.key for block in run.blocks)

    def of(version: str) -> Grader:
        assert policy_of(version) is grader.policy
        return grader

    known = KnownScenario(
        counts=SCENARIO, student="5" * 64, baselines=baseline_allocations("large", 8, 0, 2),
        contamination=FIELDS["contamination"], keys=lambda entry, seed: chains.get((entry.name, seed), ()),
    )  # fmt: skip

    def scenario(stated: ScenarioRef) -> KnownScenario | None:
        return known if stated.sha256 == SCENARIO.sha256 else None

    checks = Checks(lambda entry: answers(entry.suite), of, scenario)
    changed = frozenset(read_manifest(board).ids) - frozenset(read_manifest(honest).ids)
    return verify_board(board, checks, changed)


TODAY = {**FORGED_OUTCOMES, **FORGED_CLAIMS, **FORGED_HISTORY}
LATE = "late answers right"  # its worker is killed twice


@pytest.mark.parametrize("case", [pytest.param(c, marks=pytest.mark.slow) if c == LATE else c for c in TODAY])
def test_a_forged_leaderboard_of_today_is_refused_by_name(case: str, today: Path, honest: Path, grader: Grader) -> None:
    forge, message = TODAY[case]
    try:
        forge(today)
        found = verified(today, honest, grader)
    except EntryError as error:
        assert message in str(error)
        return
    assert found.status is (Status.undecided if case == LATE else Status.refused)
    said = [f"{one.field}: {one.reason}" for one in found.undecided] + [one.sentence for one in found.mismatches]
    assert any(message in one for one in said), said


def test_the_honest_leaderboard_holds(honest: Path, grader: Grader) -> None:
    assert verified(honest, honest, grader).status is Status.holds


def test_the_start_of_a_process_is_no_forged_price(today: Path, honest: Path, grader: Grader) -> None:
    """Blocks of a tenth of a second, the first of which took what its process took to start."""
    for name in ("direct", "half", "teacher-upstream", "raw-bridge"):
        id, document = named(today, name)
        for run in document["samples"]:
            for number, block in enumerate(run["blocks"]):
                block["gpu_seconds"] = 0.1 if number or name != "half" else 12.0
        document["gpu_seconds"] = round(sum(block["gpu_seconds"] for block in document["samples"][0]["blocks"]), 3)
        relist(today, id, document)
    assert verified(today, honest, grader).status is Status.holds


def test_a_price_that_nothing_can_be_held_against_is_marked(today: Path, honest: Path, grader: Grader) -> None:
    on_another_device(today)
    found = verified(today, honest, grader)
    assert found.status is Status.holds
    id, _ = named(today, "half")
    assert f"price of {id[:12]} (half): only entry on cpu x86_65" in found.unchecked
    (table,) = standings(load_board(today)).measured
    assert next(row for row in table.rows if row.entry.name == "half").price_unchecked == "only entry on cpu x86_65"
    assert any(note.startswith("‡ price not checked: only entry on cpu x86_65 (half)") for note in table.notes)


def test_invented_completions_pass_and_that_is_said(today: Path, honest: Path, grader: Grader) -> None:
    """What files cannot show: `tuition leaderboard resample` does."""
    problems = {problem.id: problem.answer for problem in generated(SUITE).problems}  # type: ignore[union-attr]

    def invent(table: pd.DataFrame) -> pd.DataFrame:
        said = [problems[id] for id in table["problem_id"]]
        boxed = [f"no, \\boxed{{{text}}}" + " " * (row % 3) for row, text in enumerate(said)]
        right = table["correct"]
        table["completion"] = table["completion"].where(right, boxed)
        table["extracted"] = table["extracted"].where(right, said)
        return all_correct(table)

    of_samples(invent)(today)
    assert verified(today, honest, grader).status is Status.holds


# What is found in a copy of what ships before any completion is graded again; whatever is changed, the list of its
# entries is no longer the one that ships.
SHIPPED = {
    "every verdict by an unknown grader": "differs in score, samples, grader from what ships",
    "suite of another version": "suite: stated micro-test@2/12, recomputed this version has",
    "made-up problems of a suite": "num_problems (suite math500@1)",
    "one run for three seeds": "the file of samples[0] of entry",
    "the worst seed dropped": "differs in score, samples from what ships",
    "trained models as base": "base was not trained",
    "a trained model as base": "changelog: stated without this entry of micro@1",
    "a rival dropped": "changelog: stated without this entry of micro@1, recomputed lists it",
    "a second direct": "recomputed 'direct' is student_rl=2, whatever its number of label blocks",
    "half as direct-compute": "'direct-compute' is student_rl=8, whatever its",
    "half as the compute of half": "'direct-compute' is student_rl=8, whatever its",
    "half as its finalist": "'teacher-upstream' is teacher=big teacher_rl=8 warmup=2 opd=2",
    "a teacher to deploy": "no entry of a leaderboard",
    "upstream in other letters": "too like 'teacher-upstream'",
    "the same result twice": "weights of its own: entry",
    "another title": "title: stated",
    "another address": "url: stated",
    "a date to come": "date: stated 2999-01-01, recomputed not after",
    "a date before the last": "date: stated 2001-01-01, recomputed not before",
    "no day of any year": "date: stated 2026-13-45, recomputed a date",
    "removed in a minor version": "which removes",
    "another library": "versions.torch: stated",
    "another sampling seed everywhere": "which scores have by default",
    "a note in a sample file": "its metadata has b'note'",
    "an unverified suite": "suite_verified: stated False",
    "another version than of the engine's code": "versions.tuition: stated 0.2.0",
    "a device that its torch cannot use": "accelerator: stated NVIDIA H200",
    "direct as our upstream": "'teacher-upstream' is another kind of route",
    "direct as an upstream in a note": "too like 'teacher-upstream'",
    "direct as the paper's": "no 'paper': what a source",
    "direct with accents": "too like 'direct'",
    "an invisible letter": "invisible letter",
    "a look-alike letter": "mixes letters of several scripts",
    "wide letters": "write it as 'direct'",
    "a path as id": "changelog",
    "half a million rows": "it has 500,000 rows, not the 3,072",
    "a password": "holds a password",
}
# Of format 2: what has neither blocks nor a chain or protocol cannot be forged in them.
NOT_OF_FORMAT_2 = {
    "cheaper blocks", "another allocation with its block", "made-up keys", "an older change rewritten",
    "fewer seeds declared", "a protocol of other label counts", "no rollouts", "rollouts for nothing",
    "another contamination statement", "admits others", "the same result by another route",
}  # fmt: skip


@pytest.mark.parametrize("case", [case for case in TODAY if case not in NOT_OF_FORMAT_2])
def test_a_forged_copy_of_what_ships_is_refused_by_name(case: str, tmp_path: Path) -> None:
    shipped = shipped_boards()["micro@1"]
    if read_manifest(shipped).schema_version != 1:
        pytest.skip("what ships has today's format: the test above is about it")
    copy = Path(shutil.copytree(shipped, tmp_path / "copy"))
    message = SHIPPED.get(case, "from what ships")
    try:
        TODAY[case][0](copy)
        manifest = read_manifest(copy)
        found = verify_board(copy, None, frozenset(manifest.ids) - frozenset(read_manifest(shipped).ids))
    except EntryError as error:
        assert message in str(error)
        return
    assert found.status is Status.refused
    assert any(message in one.sentence for one in found.mismatches), [one.sentence for one in found.mismatches][:5]


@pytest.mark.parametrize("change", [rival_dropped, history_rewritten, fewer_seeds_declared])
def test_a_chain_that_was_made_to_fit_has_another_head(change: Forger, today: Path, honest: Path) -> None:
    change(today)
    rewrite(today, lambda manifest: None)
    heads = {one.sha256 for one in read_manifest(today).chained.changelog}
    assert read_manifest(honest).head not in heads


def rows_swapped(board: Path) -> None:
    """The samples and scores of two rows, each under the name of the other."""
    (a, half), (b, direct) = named(board, "half"), named(board, "direct")
    for field in ("samples", "score"):
        half[field], direct[field] = direct[field], half[field]
    relist(board, a, half)
    relist(board, b, direct)


def other_seeds(board: Path) -> None:
    def change(document: Document) -> None:
        for seed, run in zip((7, 8, 9), document["samples"], strict=True):
            run["training_seed"] = seed

    forged(board, "half", change)


COPIES: dict[str, Forger] = {
    "rows swapped": rows_swapped,
    "other seeds": other_seeds,
    "another title": FORGED_HISTORY["another title"][0],
    "a rival dropped": rival_dropped,
    "another date": of_last_change(date="2026-11-27"),
    "renamed": of_fields("half", name="ours"),
    "another grader": of_fields("half", grader="tuition-2+math-verify-0.9.0"),
    "cheaper": of_fields("half", gpu_seconds=1.0),
}


@pytest.mark.parametrize("case", COPIES)
def test_a_forged_copy_of_what_ships_is_not_shown(case: str, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(shipped_boards()["micro@1"], tmp_path / "copy"))
    COPIES[case](copy)
    with pytest.raises(EntryError, match="verify"):
        load_board(copy)
