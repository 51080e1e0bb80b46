"""Grading again: what the policy that an entry names says of its completions, against the suite's own answers.

What: `regrade` compares verdicts, extracted answers, levels and subjects of one sample file, and looks whether its
counts of tokens are possible. Any difference is a mismatch. Where the grader runs out of time, it gets one more try
alone; what is then still open is `Undecided`.

Simplified: how many tokens a completion has, only its model's tokenizer knows: the count is held against the limit.
Whether one that reaches the limit was cut there, or ended just so, cannot be seen either.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader
from typing import Any

from tuition.benchmarks.boards.entries import EntryError, MeasuredEntry
from tuition.benchmarks.boards.outcomes import Bounds, Mismatch, column_texts, sample_columns
from tuition.benchmarks.grading.grader import Grade, Grader, Verdict
from tuition.benchmarks.problems import Problem

PATIENCE = 3.0
"""How many times the usual limit an answer gets when it is graded once more, alone."""
MAX_LATE = 50
"""Answers of one file on which the grader may run out of time; then it grades no more of it. Our choice."""
CHUNK = 512
COLUMNS = (
    "problem_id", "sample", "completion", "extracted", "verdict", "num_tokens", "truncated", "level", "subject",
)  # fmt: skip


class AnswersError(EntryError):
    """Answers that were given lack a problem: nothing is wrong with the entry."""


@dataclass(frozen=True)
class Answers:
    """What the problems of a suite ask for: gold answers by problem id.

    `problems` are the suite's own, in its order; None where the answers came without a suite. `verified`: whether they
    match a known copy.
    """

    golds: Mapping[str, str]
    problems: tuple[Problem, ...] | None = None
    verified: bool = True


MIN_REPEATED = 32
"""So many completions that all are the same are a copy; a choice."""


@dataclass(frozen=True)
class Regraded:
    """A sample file whose completions were graded again: how many, by which policy, and what they are as one hash."""

    id: str
    training_seed: int | None
    sha256: str
    grader: str
    num_samples: int
    completions_sha256: str
    all_correct: bool


@dataclass(frozen=True)
class Undecided:
    """What could neither be confirmed nor refuted, and why."""

    id: str
    field: str
    reason: str
    name: str | None = None


@dataclass(frozen=True)
class _Rows:
    """The columns of a sample table, one value for each sample."""

    ids: Sequence[str]
    samples: Sequence[int]
    completions: Sequence[str]
    extracted: Sequence[str | None]
    verdicts: Sequence[str]
    tokens: Sequence[int]
    truncated: Sequence[bool]
    levels: Sequence[int | None]
    subjects: Sequence[str | None]

    @property
    def sha256(self) -> str:
        """Of all completions by problem and sample, however the file is written."""
        digest = hashlib.sha256()
        for row in sorted(range(len(self.ids)), key=lambda row: (self.ids[row], self.samples[row])):
            digest.update(f"{self.ids[row]}\0{self.samples[row]}\0{self.completions[row]}\0".encode("utf-8", "replace"))
        return digest.hexdigest()


def regrade(
    id: str, entry: MeasuredEntry, place: int, file: BufferedReader, answers: Answers, grader: Grader
) -> tuple[Regraded, list[Mismatch], list[Undecided]]:
    """Grade the completions of the entry's sample file number `place` again.

    AnswersError when `answers` lack a problem, EntryError when the file is no sample table.
    """
    rows = _read(file, entry)
    missing = sorted(set(rows.ids) - answers.golds.keys())
    if missing:
        raise AnswersError(f"{entry.name}: {len(missing)} problems have no gold answer (first: {missing[0]!r:.60})")
    grades = _graded([answers.golds[id] for id in rows.ids], rows.completions, rows.verdicts, grader)
    mismatches: list[Mismatch] = []
    undecided: list[Undecided] = []

    def field(row: int, name: str) -> str:
        return f"samples[{place}], problem {rows.ids[row]}, sample {rows.samples[row]}, {name}"

    for row, grade in enumerate(grades):
        stated = rows.verdicts[row]
        if grade is None or (grade.verdict is Verdict.timeout and stated != str(Verdict.timeout)):
            reason = "not graded: the grader ran out of time on too many answers of this file"
            if grade is not None:
                reason = f"stated {stated}, but the grader runs out of time on it, also alone"
            undecided.append(Undecided(id, field(row, "verdict"), reason))
        elif stated != str(grade.verdict):
            mismatches.append(Mismatch(id, field(row, "verdict"), stated, str(grade.verdict)))
        elif rows.extracted[row] != grade.extracted:
            mismatches.append(Mismatch(id, field(row, "extracted"), rows.extracted[row], grade.extracted))
    for row, name, told, right in _impossible(rows, entry, answers.problems):
        mismatches.append(Mismatch(id, field(row, name), told, right))
    all_correct = all(verdict == str(Verdict.correct) for verdict in rows.verdicts)
    run = entry.samples[place]
    graded = Regraded(id, run.training_seed, run.sha256, entry.grader, len(rows.ids), rows.sha256, all_correct)
    return graded, mismatches, undecided


def _read(file: BufferedReader, entry: MeasuredEntry) -> _Rows:
    bounds = Bounds.of(entry)
    table = sample_columns(file, COLUMNS, bounds)
    texts = {name: list(column_texts(table[name], name)) for name in ("problem_id", "verdict", "subject")}
    long = {name: list(column_texts(table[name], name, bounds.expanded_bytes)) for name in ("completion", "extracted")}
    return _Rows(
        ids=texts["problem_id"],
        samples=table["sample"].to_pylist(),
        completions=long["completion"],
        extracted=long["extracted"],
        verdicts=texts["verdict"],
        tokens=table["num_tokens"].to_pylist(),
        truncated=table["truncated"].to_pylist(),
        levels=table["level"].to_pylist(),
        subjects=texts["subject"],
    )


def _graded(
    golds: Sequence[str], completions: Sequence[str], stated: Sequence[str], grader: Grader
) -> list[Grade | None]:
    """A grade for each completion; None from where on too many had taken the grader's whole time."""
    grades: list[Grade | None] = []
    late = 0
    with Grader(grader.timeout_seconds * PATIENCE, policy=grader.policy.name) as alone:
        for start in range(0, len(golds), CHUNK):
            if late > MAX_LATE:
                return grades + [None] * (len(golds) - start)
            found = grader.grade_many(golds[start : start + CHUNK], completions[start : start + CHUNK])
            for row, grade in enumerate(found, start):
                if grade.verdict is Verdict.timeout:
                    late += 1
                    if stated[row] != str(Verdict.timeout) and late <= MAX_LATE:
                        grade = alone.grade(golds[row], completions[row])
                grades.append(grade)
    return grades


def _impossible(
    rows: _Rows, entry: MeasuredEntry, problems: Sequence[Problem] | None
) -> Iterator[tuple[int, str, Any, Any]]:
    """(row, column, stated, right) of what cannot be: tokens beyond the limit, a cut before it, other levels."""
    limit = entry.preset.fields.get("max_new_tokens")
    # Other engines also stop where the model's context is full, whose length no file says.
    whole_context = entry.engine.startswith("transformers ")
    by_id = {problem.id: problem for problem in problems or ()}
    for row, id in enumerate(rows.ids):
        if rows.tokens[row] < 0 or (rows.completions[row] and not rows.tokens[row]):
            yield row, "num_tokens", rows.tokens[row], "1 or more"
        elif isinstance(limit, int) and rows.tokens[row] > limit:
            yield row, "num_tokens", rows.tokens[row], f"at most {limit}"
        elif isinstance(limit, int) and rows.truncated[row] and rows.tokens[row] < limit and whole_context:
            yield row, "truncated", True, f"false: it ended after {rows.tokens[row]} of {limit} tokens"
        if (problem := by_id.get(id)) is not None:
            for name, told, right in (
                ("level", rows.levels[row], problem.level),
                ("subject", rows.subjects[row], problem.subject),
            ):
                if told != right:
                    yield row, name, told, right


def completions_repeated(graded: Sequence[Regraded]) -> Iterator[tuple[Regraded, Regraded]]:
    """Pairs of different files with the same completions throughout, which two checkpoints hardly give.

    They may if all are correct (a suite that both know by heart), or if there are few: checkpoints that are nearly the
    same, sampled with the same seeds.
    """
    first: dict[str, Regraded] = {}
    for one in graded:
        if one.all_correct or one.num_samples < MIN_REPEATED:
            continue
        other = first.setdefault(one.completions_sha256, one)
        if other.sha256 != one.sha256:
            yield other, one
