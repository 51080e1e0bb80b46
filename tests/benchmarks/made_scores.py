"""Scores for tests of leaderboards: synthetic outcomes, kept by the real ScoreStore and made into real entries."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tuition.benchmarks.boards.entries import MeasuredEntry
from tuition.benchmarks.boards.measured_entry import entry_of_scores
from tuition.benchmarks.grading.policies import GRADER_VERSION
from tuition.benchmarks.scoring.score_store import Making, ScoreKey, ScoreStore
from tuition.benchmarks.suites.micro import SUITE_VERSION, make_problems

# Rows of the example leaderboard, with their accuracy.
NAMES = {"direct": 0.3, "half": 0.45, "teacher-upstream": 0.7}
PRESET = {"name": "sampled", "temperature": 1.0, "top_p": 1.0, "max_new_tokens": 40, "prompt_suffix": "\n<think>"}
FIELDS: dict[str, Any] = {
    "allocation": "teacher=large teacher_rl=4 opd=2", "scenario": {"name": "small", "sha256": "5" * 64},
    "labels_trained": 32, "labels_validation": 64, "labels_owned": 128, "gpu_seconds": 12.5,
    "accelerator": "cpu x86_64", "command": "tuition baselines --scenario small", "code_version": "0.1.0",
}  # fmt: skip


def sample_table(accuracy: float, seed: int, num_problems: int = 12, num_samples: int = 4) -> pd.DataFrame:
    """A sample table whose problems differ in difficulty in the same way for every seed."""
    rng = np.random.default_rng(seed)
    difficulty_P = np.random.default_rng(99).normal(0, 0.15, num_problems)
    chance_P = np.clip(accuracy + difficulty_P, 0, 1)
    correct = (rng.random((num_problems, num_samples)) < chance_P[:, None]).ravel()
    size = num_problems * num_samples
    return pd.DataFrame(
        {
            "problem_id": np.repeat([f"toy/{i:03}" for i in range(num_problems)], num_samples),
            "sample": np.tile(range(num_samples), num_problems),
            "completion": [f"\\boxed{{{7 if ok else 8}}}" for ok in correct],
            "extracted": ["7" if ok else "8" for ok in correct],
            "verdict": ["correct" if ok else "wrong" for ok in correct],
            "correct": correct,
            "num_tokens": 5,
            "truncated": False,
            "level": pd.array([1] * size, dtype="Int64"),
            "subject": pd.array([None] * size, dtype="string"),
        }
    )


def two_by_two(num_problems: int = 2, num_samples: int = 2) -> pd.DataFrame:
    """A table in which the first sample of each problem is correct and the others have no answer."""
    return pd.DataFrame(
        [
            {
                "problem_id": f"p{problem}",
                "sample": sample,
                "completion": "1+1=2 \\boxed{2}",
                "extracted": None if sample else "2",
                "verdict": "no_answer" if sample else "correct",
                "correct": sample == 0,
                "num_tokens": 9,
                "truncated": False,
                "level": None,
                "subject": "sums",
            }
            for problem in range(num_problems)
            for sample in range(num_samples)
        ]
    )


def answered(table: pd.DataFrame, answers: Mapping[str, str]) -> pd.DataFrame:
    """The outcomes of a sample table as completions of real problems: the right answer, or one digit more."""
    ids = np.repeat(sorted(answers), len(table) // len(answers))
    said = [answers[id] + ("" if ok else "1") for id, ok in zip(ids, table["correct"], strict=True)]
    return table.assign(problem_id=ids, completion=[f"so \\boxed{{{text}}}" for text in said], extracted=said)


def micro_entry(
    results: Path, name: str, accuracy: float = 0.5, count: int = 12, **changes: Any
) -> tuple[MeasuredEntry, list[Path]]:
    """A measured entry on the first `count` problems of micro's test split, graded by today's grader."""
    answers = {problem.id: problem.answer for problem in make_problems("test", count)}
    suite = f"micro-test@{SUITE_VERSION}/{count}"
    made = {"suite": suite, "grader": GRADER_VERSION, "num_problems": count, "answers": answers, **changes}
    return made_entry(results, name, accuracy, **made)


def save_score(results: Path, table: pd.DataFrame, weights: str, **changes: Any) -> str:
    """Keep a sample table as the score of the checkpoint with the hash of `weights`; its key."""
    key = ScoreKey(
        weights_sha256=weights if weights.startswith("served") else f"{sum(weights.encode()) * 7919:064x}",
        suite=changes.get("suite", "toy@1"),
        decoding=changes.get("decoding", PRESET),
        num_samples=int(table["sample"].max()) + 1,
        sampling_seed=17,
        engine="transformers 5, torch 2",
        grader=changes.get("grader", "tuition-1"),
    )
    making = Making.model_validate({"versions": {"torch": "2.11"}, **changes.get("record", {})})
    ScoreStore(results / "scores").save(key, table, making)
    return key.key


def made_entry(
    results: Path, name: str, accuracy: float = 0.5, seeds: Sequence[int] = (1, 2, 3), **changes: Any
) -> tuple[MeasuredEntry, list[Path]]:
    """A measured entry and its sample files.

    `changes`: suite, decoding, grader, num_problems, num_samples, fields of the entry, and `answers` (by problem id) to
    sample real problems.
    """
    answers = changes.pop("answers", None)
    shape = {n: changes.pop(n) for n in ("num_problems", "num_samples") if n in changes}
    of_key = {n: changes.pop(n) for n in ("suite", "decoding", "grader") if n in changes}
    runs: list[tuple[int | None, str]] = []
    for seed in seeds:
        table = sample_table(accuracy, seed + 1000 * sum(name.encode()), **shape)
        if answers is not None:
            table = answered(table, answers)
        runs.append((seed, save_score(results, table, f"{name} {seed} {sorted(of_key.items())}", **of_key)))
    entry, paths, _ = entry_of_scores(results / "scores", runs, {**FIELDS, "name": name, **changes})
    return entry, paths
