"""`tuition evidence`: what recorded tables show of the paper's claims, of the teacher's share and of the best splits.

Named entries are compared on all recorded seeds that they share. The best splits are selected on the validation scores
of the draw seeds and compared on the test scores of the judge seeds only, so that no seed that selected one judges it.
"""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from tuition.app.recordings.evidence_entries import gather_entries, upstream_names
from tuition.benchmarks.baselines import DIRECT, DIRECT_COMPUTE, OPPOSITE, UNTRAINED_STUDENT, UPSTREAM
from tuition.benchmarks.evidence.claims import CLAIMS, Claim, judge, stronger_teacher
from tuition.benchmarks.evidence.comparisons import Comparison, compare
from tuition.benchmarks.evidence.figure import plot
from tuition.benchmarks.evidence.label_curve import label_curves
from tuition.benchmarks.evidence.markdown import markdown
from tuition.benchmarks.evidence.share_curve import share_curves
from tuition.benchmarks.evidence.split_families import (
    BEST_DIRECT,
    BEST_INTERIOR,
    BEST_OPPOSITE,
    BEST_SPLIT,
    BEST_UPSTREAM,
)
from tuition.benchmarks.evidence.table_evidence import Evidence, to_json
from tuition.benchmarks.tables.recorded_table import RecordedError, RecordedTable, read_table
from tuition.benchmarks.tables.shipped import find_table, newest_tables, shipped_tables

PLANNED = (
    Comparison(DIRECT, UNTRAINED_STUDENT, "direct GRPO against the untrained student"),
    Comparison("raw-bridge", DIRECT, "raw-teacher bridge against direct GRPO"),
    Comparison(OPPOSITE, DIRECT, "raw-teacher bridge before direct GRPO, label-matched"),
    Comparison(UPSTREAM, DIRECT, "RL'd-teacher bridge against direct GRPO, label-matched"),
    Comparison(UPSTREAM, OPPOSITE, "all labels on the teacher against all on the student, same bridge"),
    Comparison(UPSTREAM, DIRECT_COMPUTE, "RL'd-teacher bridge against direct GRPO, compute-matched"),
    Comparison(UPSTREAM, "opd-only", "two-stage bridge against opd only"),
    Comparison(UPSTREAM, "sft-teacher", "RL'd against SFT'd teacher"),
    Comparison("half", "half-replay", "fresh labels against replay"),
)

PICKED = (
    *(
        Comparison(BEST_INTERIOR, b, f"best interior split against {b_words}", judged=True)
        for b, b_words in (
            (UPSTREAM, "all labels on the teacher"),
            (OPPOSITE, "the opposite split"),
            (DIRECT, "direct GRPO"),
            ("half", "half"),
            (BEST_UPSTREAM, "the best with labels on the teacher only"),
            (BEST_OPPOSITE, "the best with labels on the student only, after a bridge"),
            (BEST_DIRECT, "the best without a teacher"),
        )
    ),
    Comparison(BEST_SPLIT, UPSTREAM, "best split found against all upstream", judged=True),
    Comparison(BEST_SPLIT, "half", "best split found against half", judged=True),
    Comparison(BEST_SPLIT, OPPOSITE, "best split found against the opposite split", judged=True),
)


def make_evidence(tables: Sequence[str], figure: Path | None) -> tuple[dict[str, Any], str]:
    """The evidence of tables as JSON values and as Markdown; the figure is written if a path is given.

    Tables are files or names of shipped ones; none stands for the newest shipped table of every bench.
    """
    if figure is not None:
        check_figure(figure, "--out")
    found = gather_all(tables)
    if figure is not None:
        plot(found, figure)
    return {"tables": [to_json(evidence) for evidence in found]}, markdown(found)


def gather_all(tables: Sequence[str]) -> list[Evidence]:
    """The evidence of each table, as `make_evidence` takes them."""
    return [gather(read_table(find_table(table)), name_of(table)) for table in tables or newest_tables()]


def name_of(table: str) -> str:
    """What a table is called: its name, or its file's without folder and ending."""
    return table if table in shipped_tables() else Path(table).stem


def check_figure(figure: Path, option: str = "--figure") -> None:
    """RecordedError for a figure that could not be written there, or not in that format."""
    if not figure.parent.is_dir():
        raise RecordedError(f"{option} {figure}: the folder {figure.parent} does not exist; create it first")
    if figure.suffix not in (".png", ".pdf", ".svg"):
        raise RecordedError(f"{option} {figure}: use a name that ends in .png, .pdf or .svg")


def gather(table: RecordedTable, name: str) -> Evidence:
    """Everything that the table shows; RecordedError where it has no rows."""
    if not table.rows:
        raise RecordedError(f"{name} has no rows: record some with `tuition record`")
    entries, notes = gather_entries(table)
    header, judges = table.header, table.seeds("judge")
    if other := header.other_revisions:
        stages = ", ".join(f"{stage} (revision {then}, now {now})" for stage, (then, now) in other.items())
        notes.append(f"recorded by an earlier code of {stages}: what is trained today differs.")
    if idle := header.idle_first_steps:
        notes.append(f"recorded when the first step of a warm-up trained nothing ({', '.join(idle)}): today it trains.")
    others = [Comparison(UPSTREAM, b, f"all labels on the teacher: {b.partition(':')[2]} instead")
              for b in list(upstream_names(table).values())[1:]]  # fmt: skip
    return Evidence(
        name,
        header.scenario,
        header.test.name,
        tuple(entries),
        judge((*CLAIMS, *_teacher_claims(table)), entries, judges),
        share_curves(table),
        label_curves(table),
        compare(entries, [*PLANNED, *others], judges),
        compare(entries, PICKED, judges),
        tuple(notes),
    )


def _teacher_claims(table: RecordedTable) -> list[Claim]:
    """For every two teachers whose base scores differ, that the stronger one is worth the labels more."""
    names = upstream_names(table)
    scores = {t: outcomes.mean() for t in names if (outcomes := table.untrained_PK(t)) is not None}
    ranked = sorted(scores, key=lambda teacher: -scores[teacher])
    return [stronger_teacher(names[a], names[b]) for a, b in combinations(ranked, 2) if scores[a] > scores[b]]
