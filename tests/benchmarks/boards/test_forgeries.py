"""Forged copies of leaderboards, one fault each: every one is refused, by a message that names what is wrong.

Each forger adjusts hashes, scores, ids and the whole chain of the changelog, so that only the lie itself is left to be
found. They work on a leaderboard of today's format with a protocol, and on copies of the one that ships.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from tests.benchmarks.forged_boards import (
    COST,
    SCENARIO,
    SUITE,
    Document,
    change_samples,
    make_honest,
    named,
    relist,
    rescore,
    rewrite,
)
from tuition.benchmarks.artefacts import file_sha256
from tuition.benchmarks.boards.board_folder import (
    MANIFEST,
    read_entry,
    read_manifest,
)
from tuition.benchmarks.boards.entries import EntryError, RepeatableEntry, ScenarioRef
from tuition.benchmarks.boards.protocol import DeclaredScenario
from tuition.benchmarks.boards.verification.regrading import Answers
from tuition.benchmarks.boards.verification.whole_board import Checks, Status, Verified, verify_board
from tuition.benchmarks.grading.grader import Grader
from tuition.benchmarks.grading.policies import policy_of
from tuition.benchmarks.measured_boards import changed_from_shipped, shipped_boards
from tuition.benchmarks.suites.catalog import generated

pytestmark = pytest.mark.slow  # together

Forger = Callable[[Path], None]


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

    def counts(stated: ScenarioRef) -> DeclaredScenario | None:
        return SCENARIO if stated.sha256 == SCENARIO.sha256 else None

    checks = Checks(
        lambda e: answers(e.suite), of, lambda e, seed: chains.get((e.name, seed)), lambda e: "5" * 64, counts
    )
    changed = frozenset(read_manifest(board).ids) - frozenset(read_manifest(honest).ids)
    found = verify_board(board, checks, changed)
    found.mismatches.extend(changed_from_shipped(board, read_manifest(board)))
    return found


def all_correct(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(verdict="correct", correct=True)


def forged(board: Path, name: str, change: Callable[[Document], None]) -> None:
    """Change an entry's document, its scores made to fit its samples."""
    id, document = named(board, name)
    change(document)
    rescore(board, document)
    relist(board, id, document)


def of_samples(change: Callable[[pd.DataFrame], pd.DataFrame], row: str = "direct", /, **fields: Any) -> Forger:
    """A forger who changes every sample file of a row, and some fields of its entry."""

    def forge(board: Path) -> None:
        def changed(document: Document) -> None:
            for place in range(len(document["samples"])):
                change_samples(board, document, place, change)
            document.update(fields)

        forged(board, row, changed)

    return forge


def of_fields(row: str, /, **fields: Any) -> Forger:
    """A forger who changes fields of an entry."""
    return lambda board: forged(board, row, lambda document: document.update(fields))


def one_run_thrice(board: Path) -> None:
    def change(document: Document) -> None:
        runs = document["samples"]
        for place in (1, 2):
            runs[place] = {**runs[place], "sha256": runs[0]["sha256"]}

    forged(board, "teacher-upstream", change)


def one_run_written_twice(board: Path) -> None:
    """The same completions, in files of other bytes, under the statements of the runs that they replace."""

    def change(document: Document) -> None:
        table = pd.read_parquet(board / "samples" / f"{document['samples'][0]['sha256']}.parquet")
        change_samples(board, document, 1, lambda _: table.iloc[::-1].reset_index(drop=True))

    forged(board, "teacher-upstream", change)


def without_the_worst_seed(board: Path) -> None:
    forged(board, "half", lambda document: document["samples"].pop(1))


def with_a_lucky_seed(board: Path) -> None:
    def change(document: Document) -> None:
        document["samples"].append({**document["samples"][0], "training_seed": 9999, "weights_sha256": "9" * 64})
        change_samples(board, document, -1, lambda table: table.assign(num_tokens=7))

    forged(board, "half", change)


def shorter_allocation(board: Path) -> None:
    """The best row for an eighth of the labels, with the key that this route's block has, taken from another row."""

    def change(document: Document) -> None:
        document.update(allocation="student_rl=1", labels_trained=8, gpu_seconds=COST / 8)
        for run, other in zip(document["samples"], named(board, "direct")[1]["samples"], strict=True):
            run["blocks"] = [{**other["blocks"][0], "weights_sha256": run["weights_sha256"]}]

    forged(board, "teacher-upstream", change)


def cheaper_blocks(board: Path) -> None:
    def change(document: Document) -> None:
        document["gpu_seconds"] = 40.0
        for run in document["samples"]:
            for block in run["blocks"]:
                block["gpu_seconds"] = 40.0 / len(run["blocks"])

    forged(board, "teacher-upstream", change)


def rival_dropped(board: Path) -> None:
    """Without a trace in changelog or folder, but in the chain that somebody may know the head of."""
    id, document = named(board, "teacher-upstream")
    text = (board / MANIFEST).read_text()
    manifest = json.loads(text)
    for change in manifest["changelog"]:
        change["added"] = [added for added in change["added"] if added != id]
    (board / MANIFEST).write_text(json.dumps(manifest))
    (board / "entries" / f"{id}.json").unlink()
    for run in document["samples"]:
        (board / "samples" / f"{run['sha256']}.parquet").unlink()


def history_rewritten(board: Path) -> None:
    text = (board / MANIFEST).read_text()
    (board / MANIFEST).write_text(text.replace("Protocol declared", "Protocol declared on Monday"))


def fewer_seeds_declared(board: Path) -> None:
    manifest = json.loads((board / MANIFEST).read_text())
    manifest["protocols"][0]["training_seeds"] = [1, 3]
    (board / MANIFEST).write_text(json.dumps(manifest))


def other_counts_declared(board: Path) -> None:
    """A protocol of half the labels a block, and entries that fit it."""

    def change(manifest: Document) -> None:
        manifest["protocols"][0]["scenario"]["labels_per_block"] = 4

    rewrite(board, change)
    for name in ("direct", "half", "teacher-upstream"):
        id, document = named(board, name)
        relist(board, id, {**document, "labels_trained": document["labels_trained"] // 2})


def files_swapped(board: Path) -> None:
    (one_id, one), (other_id, other) = named(board, "direct"), named(board, "teacher-upstream")
    for ours, theirs in zip(one["samples"], other["samples"], strict=True):
        ours["sha256"], theirs["sha256"] = theirs["sha256"], ours["sha256"]
    for id, document in ((one_id, one), (other_id, other)):
        rescore(board, document)
        relist(board, id, document)


def seeds_permuted(board: Path) -> None:
    def change(document: Document) -> None:
        seeds = [run["training_seed"] for run in document["samples"]]
        for run, seed in zip(document["samples"], seeds[1:] + seeds[:1], strict=True):
            run["training_seed"] = seed

    forged(board, "direct", change)


def first_wrong_is_correct(table: pd.DataFrame) -> pd.DataFrame:
    row = table.index[~table["correct"]][0]
    table.loc[row, ["verdict", "correct"]] = ["correct", True]
    return table


def right_ones_late(table: pd.DataFrame) -> pd.DataFrame:
    late = table.index[table["correct"]][1:]
    table.loc[late, ["verdict", "correct"]] = ["timeout", False]
    return table


def late_ones_right(table: pd.DataFrame) -> pd.DataFrame:
    rows = table.index[~table["correct"]][:1]
    table.loc[rows, ["completion", "verdict", "correct"]] = [
        "\\boxed{" + "(" * 400 + "1" + ")" * 400 + "}",
        "correct",
        True,
    ]
    return table


def late_answers_right(board: Path) -> None:
    forged(board, "direct", lambda document: change_samples(board, document, 0, late_ones_right))


def best_samples(table: pd.DataFrame) -> pd.DataFrame:
    kept = table.sort_values(["problem_id", "correct"], ascending=[True, False]).groupby("problem_id").head(2)
    return kept.assign(sample=kept.groupby("problem_id").cumcount())


def fewer_problems(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["problem_id"].isin(sorted(set(table["problem_id"]))[:6])]


def many_rows(board: Path) -> None:
    """A small file that expands to half a million rows."""

    def change(document: Document) -> None:
        path = board / "samples" / f"{document['samples'][0]['sha256']}.parquet"
        table = pyarrow.parquet.read_table(path)
        schema = table.schema
        columns = [pyarrow.repeat(table[n][0].cast(schema.field(n).type), 500_000) for n in schema.names]
        made = path.with_name("made.parquet")
        pyarrow.parquet.write_table(pyarrow.table(columns, names=schema.names), made, compression="zstd")
        sha256 = file_sha256(made)
        made.rename(path.with_name(f"{sha256}.parquet"))
        document["samples"][0]["sha256"] = sha256

    id, document = named(board, "direct")
    change(document)
    relist(board, id, document)


def another_decoding(board: Path) -> None:
    def change(document: Document) -> None:
        document["preset"]["fields"]["temperature"] = 0.2

    forged(board, "direct", change)


def without_a_seed(board: Path) -> None:
    def change(document: Document) -> None:
        document["samples"] = [{**document["samples"][0], "training_seed": None}]

    forged(board, "half", change)


def trained_as_base(board: Path) -> None:
    """A trained checkpoint as the untrained student, which costs nothing."""

    def change(document: Document) -> None:
        document["samples"] = [{**document["samples"][0], "training_seed": None}]
        if "blocks" in document["samples"][0]:
            document["samples"][0]["blocks"] = []
        document.update(allocation="base", labels_trained=0, gpu_seconds=0.0, name="free")

    forged(board, "teacher-upstream", change)


def trained_thrice_as_base(board: Path) -> None:
    """Three trained checkpoints as a base model of three seeds."""

    def change(document: Document) -> None:
        for run in document["samples"]:
            if "blocks" in run:
                run["blocks"] = []
        document.update(allocation="base", labels_trained=0, gpu_seconds=0.0, name="free")

    forged(board, "teacher-upstream", change)


def made_up_keys(board: Path) -> None:
    def change(document: Document) -> None:
        for run in document["samples"]:
            run["blocks"][0]["key"] = "a" * 64

    forged(board, "direct", change)


def path_as_id(board: Path) -> None:
    text = (board / MANIFEST).read_text()
    (board / MANIFEST).write_text(text.replace(named(board, "direct")[0], "../../../etc/passwd"))


COUNTS = {"labels_trained": 8, "labels_owned": 8, "labels_validation": 0}
TODAY: dict[str, tuple[Forger, str]] = {
    "every verdict by an unknown grader": (
        of_samples(all_correct, grader="tuition-1+math-verify-0.7.0"), "grader: stated tuition-1+math-verify-0.7.0"
    ),
    "suite of another version": (
        of_samples(all_correct, suite="micro-test@2/12"), "suite: stated micro-test@2/12, recomputed this version has"
    ),
    "made-up problems of a suite": (of_samples(all_correct, suite="math500@1"), "num_problems (suite math500@1)"),
    "one run for three seeds": (one_run_thrice, "the file of samples[0] of entry"),
    "one run written twice": (one_run_written_twice, "completions (training seed"),
    "the worst seed dropped": (without_the_worst_seed, "training seeds (the leaderboard's protocol): stated [1, 3]"),
    "a run without a seed": (without_a_seed, "training seeds (the leaderboard's protocol): stated []"),
    "a trained model as base": (trained_as_base, "the scenario's student"),
    "trained models as base": (trained_thrice_as_base, "base was not trained"),
    "a lucky seed added": (with_a_lucky_seed, "training seeds (the leaderboard's protocol)"),
    "fewer labels": (of_fields("teacher-upstream", **COUNTS), "labels_trained: stated 8, recomputed 32"),
    "lower cost": (of_fields("teacher-upstream", gpu_seconds=0.5), "gpu_seconds: stated 0.5, recomputed 1250.0"),
    "cheaper blocks": (cheaper_blocks, "for teacher_rl in other entries on cpu x86_64"),
    "another allocation": (of_fields("half", allocation="student_rl=1", labels_trained=8), ".blocks: stated 10 blocks"),
    "another allocation with its block": (shorter_allocation, "a block of the same key"),
    "made-up keys": (made_up_keys, "samples[0].blocks[0].key: stated aaaa"),
    "extracted answers": (of_samples(lambda t: t.assign(extracted="1")), "extracted: stated 1, recomputed"),
    "token counts": (of_samples(lambda t: t.assign(num_tokens=0, truncated=False)), "num_tokens: stated 0"),
    "levels": (of_samples(lambda t: t.assign(level=5)), "level: stated 5, recomputed"),
    "a rival dropped": (rival_dropped, "the chain of the changelog breaks at version 1.2"),
    "an older change rewritten": (history_rewritten, "the chain of the changelog breaks at version 1.1"),
    "fewer seeds declared": (fewer_seeds_declared, "the chain of the changelog breaks at version 1.0"),
    "a protocol of other label counts": (
        other_counts_declared, "labels_per_block (the protocol of micro-test@1/12): stated 4, recomputed 8"
    ),
    "a second direct": (of_fields("raw-bridge", name="direct"), "recomputed 'direct' is student_rl=8"),
    "direct with accents": (of_fields("raw-bridge", name="dírect"), "too like 'direct'"),
    "an invisible letter": (of_fields("raw-bridge", name="direct\u3164"), "invisible letter U+3164"),
    "a look-alike letter": (of_fields("raw-bridge", name="dir\u0435ct"), "mixes letters of several scripts"),
    "wide letters": (of_fields("raw-bridge", name="\uff44irect"), "write it as 'direct'"),
    "a first part as the whole": (of_samples(fewer_problems), "problem_ids_sha256 (suite micro-test@1/12)"),
    "the best samples": (of_samples(best_samples), "num_samples (the leaderboard's protocol): stated 2, recomputed 4"),
    "swapped files": (files_swapped, "weights_sha256 in the file: stated"),
    "seeds permuted": (seeds_permuted, "samples[0].blocks[0].key"),
    "a rival's answers late": (of_samples(right_ones_late, "teacher-upstream"), "verdict: stated timeout"),
    "one verdict": (of_samples(first_wrong_is_correct), "verdict: stated correct, recomputed wrong"),
    "late answers right": (late_answers_right, "the grader runs out of time on it, also alone"),
    "a path as id": (path_as_id, "changelog"),
    "half a million rows": (many_rows, "it has 500,000 rows, not the 48 of num_problems times num_samples"),
    "another decoding": (another_decoding, "preset in the file: stated"),
    "another sampling seed": (of_fields("direct", sampling_seed=99), "sampling_seed (the leaderboard's protocol)"),
    "a password": (of_fields("direct", command="tuition search --storage postgresql://me:pw@db/x"), "holds a password"),
}  # fmt: skip


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
    "a second direct": "recomputed 'direct' is student_rl alone",
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
    "fewer seeds declared", "a protocol of other label counts",
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
        found.mismatches.extend(changed_from_shipped(copy, manifest))
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
