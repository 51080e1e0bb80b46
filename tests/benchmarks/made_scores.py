"""Scores for tests of leaderboards: synthetic outcomes, kept by the real ScoreStore and made into real entries."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tuition.benchmarks.boards.accounts import stages_of
from tuition.benchmarks.boards.cross_checks import SAMPLING_SEEDS
from tuition.benchmarks.boards.entries import MeasuredEntry, TrainedBlock
from tuition.benchmarks.boards.measured_entry import ScoredRun, entry_of_scores
from tuition.benchmarks.grading.policies import GRADER_VERSION
from tuition.benchmarks.problems import Problem
from tuition.benchmarks.scoring.score_store import Making, ScoreKey, ScoreStore
from tuition.benchmarks.suites.micro import SUITE_VERSION, make_problems
from tuition.planner.allocation import BASE, Allocation

# Rows of the example leaderboard, with their accuracy.
NAMES = {"direct": 0.3, "half": 0.45, "teacher-upstream": 0.7}
ROUTES = {
    "direct": "student_rl=8",
    "half": "teacher=large teacher_rl=4 opd=2 student_rl=4",
    "raw-bridge": "teacher=large opd=2",
}
"""Of names that are a baseline's."""
PRESET = {"name": "sampled", "temperature": 1.0, "top_p": 1.0, "max_new_tokens": 40, "prompt_suffix": "\n<think>"}
FIELDS: dict[str, Any] = {
    "allocation": "teacher=large teacher_rl=4 opd=2", "scenario": {"name": "small", "sha256": "5" * 64},
    "labels_trained": 32, "labels_validation": 64, "labels_owned": 128, "gpu_seconds": 12.5,
    "accelerator": "cpu x86_64", "command": "tuition baselines --scenario small", "code_version": "0.1.0",
    "contamination": "Made up for a test.",
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


def answered(table: pd.DataFrame, problems: Sequence[Problem]) -> pd.DataFrame:
    """The outcomes of a sample table as completions of real problems: the right answer, or digits more."""
    asked = [p for p in sorted(problems, key=lambda p: p.id) for _ in range(len(table) // len(problems))]
    # Draws of two tables differ, as real ones do.
    wrong = [str(number % 7 + 1) * (1 + len(table["level"]) % 2) for number in range(len(table))]
    said = [p.answer + ("" if ok else no) for p, ok, no in zip(asked, table["correct"], wrong, strict=True)]
    return table.assign(
        problem_id=[p.id for p in asked], completion=[f"so \\boxed{{{text}}}" for text in said], extracted=said,
        level=pd.array([p.level for p in asked], dtype="Int64"),
        subject=pd.array([p.subject for p in asked], dtype="string"),
    )  # fmt: skip


def micro_entry(
    results: Path, name: str, accuracy: float = 0.5, count: int = 12, **changes: Any
) -> tuple[MeasuredEntry, list[Path]]:
    """A measured entry on the first `count` problems of micro's test split, graded by today's grader."""
    suite = f"micro-test@{SUITE_VERSION}/{count}"
    made = {"suite": suite, "grader": GRADER_VERSION, "num_problems": count, **changes}
    made["problems"] = make_problems("test", count)
    return made_entry(results, name, accuracy, **made)


def weights_hash(weights: str) -> str:
    """The hash of made-up weights."""
    return hashlib.sha256(weights.encode()).hexdigest()


def save_score(results: Path, table: pd.DataFrame, weights: str, **changes: Any) -> str:
    """Keep a sample table as the score of the checkpoint with the hash of `weights`; its key."""
    key = ScoreKey(
        weights_sha256=weights if weights.startswith("served") else weights_hash(weights),
        suite=changes.get("suite", "toy@1"),
        decoding=changes.get("decoding", PRESET),
        num_samples=int(table["sample"].max()) + 1,
        sampling_seed=SAMPLING_SEEDS[0],
        engine="transformers 5, torch 2.11",
        grader=changes.get("grader", "tuition-1"),
    )
    making = Making.model_validate({"versions": {"torch": "2.11", "transformers": "5"}, **changes.get("record", {})})
    ScoreStore(results / "scores").save(key, table, making)
    return key.key


def made_entry(
    results: Path, name: str, accuracy: float = 0.5, seeds: Sequence[int | None] = (1, 2, 3), **changes: Any
) -> tuple[MeasuredEntry, list[Path]]:
    """A measured entry and its sample files.

    `changes`: suite, decoding, grader, num_problems, num_samples, fields of the entry, and `problems` to sample real
    ones.
    """
    problems = changes.pop("problems", None)
    shape = {n: changes.pop(n) for n in ("num_problems", "num_samples") if n in changes}
    of_key = {n: changes.pop(n) for n in ("suite", "decoding", "grader") if n in changes}
    fields = {**FIELDS, "name": name, **({"allocation": ROUTES[name]} if name in ROUTES else {}), **changes}
    runs: list[ScoredRun] = []
    for seed in seeds:
        table = sample_table(accuracy, (seed or 0) + 1000 * sum(name.encode()), **shape)
        if problems is not None:
            table = answered(table, problems)
        weights = f"{name} {seed} {sorted(of_key.items())}"
        key = save_score(results, table, weights, **of_key)
        runs.append(ScoredRun(seed, key, made_blocks(fields, weights, f"teacher, seed {seed}")))
    entry, paths, _ = entry_of_scores(results / "scores", runs, fields)
    return entry, paths


def made_blocks(fields: Mapping[str, Any], weights: str, teacher: str = "") -> tuple[TrainedBlock, ...]:
    """Blocks of a run that was never trained: as many as its allocation has, which share its cost.

    Those of a teacher are the same for every route with this `teacher`.
    """
    if fields.get("allocation") in (None, BASE):
        return ()
    stages = stages_of(Allocation.parse(fields["allocation"]), fields.get("shuffled", False))
    own = f"{fields['allocation']} {weights}"
    keys = [
        hashlib.sha256(f"{teacher if stage.startswith('teacher') and teacher else own} {number}".encode()).hexdigest()
        for number, stage in enumerate(stages)
    ]
    hashes = [*keys[:-1], weights_hash(weights)]
    return tuple(
        TrainedBlock(key=key, weights_sha256=sha256, gpu_seconds=fields["gpu_seconds"] / len(stages))
        for key, sha256 in zip(keys, hashes, strict=True)
    )
