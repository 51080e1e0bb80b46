"""Forged outcomes: samples, verdicts, completions, and what they say that they are."""

from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet

from tests.benchmarks.forged_boards import (
    Document,
    Forger,
    all_correct,
    change_samples,
    forged,
    named,
    of_fields,
    of_samples,
    relist,
    rescore,
)
from tuition.benchmarks.artefacts import file_sha256


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


FORGED_OUTCOMES: dict[str, tuple[Forger, str]] = {
    "every verdict by an unknown grader": (
        of_samples(all_correct, grader="tuition-1+math-verify-0.7.0"), "grader: stated tuition-1+math-verify-0.7.0"
    ),
    "suite of another version": (
        of_samples(all_correct, suite="micro-test@2/12"), "suite: stated micro-test@2/12, recomputed this version has"
    ),
    "made-up problems of a suite": (of_samples(all_correct, suite="math500@1"), "num_problems (suite math500@1)"),
    "one run for three seeds": (one_run_thrice, "the file of samples[0] of entry"),
    "one run written twice": (one_run_written_twice, "completions (training seed"),
    "extracted answers": (of_samples(lambda t: t.assign(extracted="1")), "extracted: stated 1, recomputed"),
    "token counts": (of_samples(lambda t: t.assign(num_tokens=0, truncated=False)), "num_tokens: stated 0"),
    "cut before the limit": (
        of_samples(lambda t: t.assign(truncated=True)), "truncated: stated True, recomputed false: it ended after 5"
    ),
    "levels": (of_samples(lambda t: t.assign(level=5)), "level: stated 5, recomputed"),
    "a first part as the whole": (of_samples(fewer_problems), "problem_ids_sha256 (suite micro-test@1/12)"),
    "the best samples": (of_samples(best_samples), "num_samples (the leaderboard's protocol): stated 2, recomputed 4"),
    "swapped files": (files_swapped, "weights_sha256 in the file: stated"),
    "seeds permuted": (seeds_permuted, "samples[0].blocks[0].key"),
    "a rival's answers late": (of_samples(right_ones_late, "teacher-upstream"), "verdict: stated timeout"),
    "one verdict": (of_samples(first_wrong_is_correct), "verdict: stated correct, recomputed wrong"),
    "late answers right": (late_answers_right, "the grader runs out of time on it, also alone"),
    "half a million rows": (many_rows, "it has 500,000 rows, not the 48 of num_problems times num_samples"),
    "another decoding": (another_decoding, "preset in the file: stated"),
    "another sampling seed": (of_fields("direct", sampling_seed=99), "sampling_seed (the leaderboard's protocol)"),
}  # fmt: skip
"""A forger by what it forges, and what refuses it."""
