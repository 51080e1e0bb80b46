"""What the corrections of `tuition-2` do to real outputs: agreement before and after, rows that change, counts by rule.

Run: `python -m tests.experiments.grading_rules [--data FOLDER] [--rows N]`, on the data sets of `../shared/data`: the
tables of `docs/grading.md`. A rule's first count is of rows in which it took part, the second of those whose verdict is
another when it is left out. Expected verdicts are those that the data sets bring along, from other graders.
"""

import argparse
import gzip
import json
import logging
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuition.benchmarks.grading import worker
from tuition.benchmarks.grading.grader import Grader, as_formula
from tuition.benchmarks.grading.rules import RULES, Rules

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
LIMIT_SECONDS = 20
BEFORE, AFTER = "tuition-1", "tuition-2"


@dataclass(frozen=True)
class Row:
    """One output to grade. `arguable`: its expected verdict is a convention."""

    source: str
    id: str
    gold: str
    text: str
    expected: bool
    arguable: bool = False


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file; none where it is not there."""
    if path.exists():
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def load(data: Path) -> Iterator[Row]:
    """All rows, of each data set in its order."""
    for source, name in (
        ("hand-made cases", "grader_cases_handmade.jsonl"),
        ("model outputs (4 sources)", "grader_cases_model_outputs.jsonl.gz"),
    ):
        for case in read(data / name):
            full = case.get("kind") == "cot_response"
            text = case["prediction"] if full else as_formula(case["prediction"])
            yield Row(source, case["id"], str(case["gold"]), text, case["correct"], case["arguable"])
    for row in read(data / "samples_qwen_math100_k8.jsonl.gz"):
        for number, sample in enumerate(row["samples"]):
            yield Row("full responses (Qwen2.5-Math)", f"{row['id']}/{number}", str(row["gold"]), sample["response"],
                      sample["correct"])  # fmt: skip
    for row in read(data / "samples_rho1_greedy.jsonl.gz"):
        if row["gold"]:
            text = as_formula(str(row["pred"])) if str(row["pred"]).strip() else ""
            yield Row("extracted answers (Rho-1)", f"{row['model']}/{row['problem_id']}", str(row["gold"]), text,
                      row["correct"])  # fmt: skip


def verdicts(rows: Sequence[Row], policy: str) -> list[bool]:
    """Whether each is correct by a policy."""
    with Grader(LIMIT_SECONDS, policy=policy) as grader:
        return [grade.correct for grade in grader.grade_many([row.gold for row in rows], [row.text for row in rows])]


def without(row: Row, *rules: str) -> tuple[bool, list[str]]:
    """The verdict when rules are left out, and the rules that took part; wrong when it takes too long."""
    used = Rules(rules)
    signal.alarm(LIMIT_SECONDS)
    try:
        return worker.grade_with_corrections(row.gold, row.text, used)[0], used.used
    except TimeoutError:
        return False, used.used
    finally:
        signal.alarm(0)


def count_rules(rows: Sequence[Row]) -> dict[str, tuple[int, int]]:
    """By rule: rows in which it took part, and rows whose verdict is another without it."""
    took_part, decided = Counter[str](), Counter[str]()
    for row in {(row.gold, row.text): row for row in rows}.values():
        verdict, used = without(row)
        took_part.update(used)
        decided.update(rule for rule in used if without(row, rule)[0] != verdict)
    return {rule: (took_part[rule], decided[rule]) for rule in RULES}


def show_agreement(rows: Sequence[Row], before: Sequence[bool], after: Sequence[bool]) -> None:
    """A line for each source, then the rows whose verdict changes, each once."""
    print(f"| outputs | n | {BEFORE} agrees | {AFTER} agrees | right that became wrong | wrong that became right |")
    print("|---|---|---|---|---|---|")
    for source in dict.fromkeys(row.source for row in rows):
        of = [n for n, row in enumerate(rows) if row.source == source and not row.arguable]
        agreed = [sum(each[n] == rows[n].expected for n in of) for each in (before, after)]
        lost = sum(before[n] == rows[n].expected != after[n] for n in of)
        won = sum(before[n] != rows[n].expected == after[n] for n in of)
        print(f"| {source} | {len(of):,} | {agreed[0]:,} | {agreed[1]:,} | {lost} | {won} |")
    print("\n| id | gold | answer | expected | before | after | |\n|---|---|---|---|---|---|---|")
    shown = set()
    for row, was, now in zip(rows, before, after, strict=True):
        if was != now and (row.gold, row.text) not in shown:
            shown.add((row.gold, row.text))
            words = ["correct" if each else "wrong" for each in (row.expected, was, now)]
            note = "arguable" if row.arguable else ""
            print(f"| {row.id} | `{_cell(row.gold)}` | `{_cell(row.text)}` | {' | '.join(words)} | {note} |")


def _cell(text: str) -> str:
    text = text.replace("\n", " ").replace("|", "\\|")
    return text if len(text) <= 60 else f"{text[:20]} ... {text[-35:]}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--rows", type=int, default=None, help="of each data set, from the first on")
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    worker.enlarge_caches()

    def too_late(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, too_late)
    rows: list[Row] = []
    kept = Counter[str]()
    for row in load(options.data):
        if options.rows is None or kept[row.source] < options.rows:
            kept[row.source] += 1
            rows.append(row)
    if not rows:
        raise SystemExit(f"{options.data} has none of the data sets: give their folder with --data")
    show_agreement(rows, verdicts(rows, BEFORE), verdicts(rows, AFTER))
    print("\n| rule | took part | decided | what it says |\n|---|---|---|---|")
    for rule, (took_part, decided) in count_rules(rows).items():
        print(f"| `{rule}` | {took_part:,} | {decided:,} | {RULES[rule]} |")


if __name__ == "__main__":
    main()
