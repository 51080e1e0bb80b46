"""Writes what the recorded tables that ship show into docs/micro.md and docs/benches.md, and draws the figure.

    python -m tests.docs.fill_evidence

What: every part of a page between `<!-- evidence: NAME -->` and `<!-- /evidence -->` becomes that section of `tuition
evidence`, or the list of tables; `test_evidence_in_docs` holds the pages against it. Run it when a table is new.
"""

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

from tests.docs.documents import ROOT
from tuition.app.recordings.evidence_report import gather_all
from tuition.benchmarks.evidence.figure import plot
from tuition.benchmarks.evidence.markdown import sections
from tuition.benchmarks.tables.recorded_table import missing_checkpoints, read_table
from tuition.benchmarks.tables.shipped import shipped_tables

PAGES = ("micro.md", "benches.md")
DOCS = ROOT / "docs"


def filled(text: str, parts: Mapping[str, str]) -> str:
    """The text with every marked part replaced; KeyError for a mark of no section."""

    def part(match: re.Match[str]) -> str:
        return f"{match[1]}\n{parts[match[2]]}\n{match[3]}"

    return re.sub(r"(<!-- evidence: (\w+) -->)\n.*?(<!-- /evidence -->)", part, text, flags=re.DOTALL)


def list_of_tables() -> str:
    """Every table that ships, in numbers."""
    lines = [
        "| table | rows | allocations | teachers' checkpoints | seeds (judge + draw) | of these with the whole space "
        "| problems (validation, test) | samples | MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, path in shipped_tables().items():
        table = read_table(path)
        judges, draws = len(table.seeds("judge")), len(table.seeds("draw"))
        whole = sum(not missing_checkpoints(table, seed) for seed in table.seeds())
        suites = (table.header.validation, table.header.test)
        lines.append(
            f"| `{name}` | {len(table.rows):,} | {len(table.allocations)} "
            f"| {len({run.allocation for run in table.teachers}) or 'none'} | {judges} + {draws} | {whole or 'none'} "
            f"| {', '.join(str(len(suite.problem_ids)) for suite in suites)} "
            f"| {', '.join(map(str, dict.fromkeys(suite.samples for suite in suites)))} "
            f"| {path.stat().st_size / 1e6:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Fill the pages and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=DOCS, help="the folder to write to")
    folder = parser.parse_args().out
    found = gather_all([])
    parts = {**sections(found), "tables": list_of_tables()}
    for page in PAGES:
        text = (DOCS / page).read_text(encoding="utf-8")
        (folder / page).write_text(filled(text, parts), encoding="utf-8")
    plot(found, folder / "evidence.png")
    print(f"{folder}: {', '.join(PAGES)} and evidence.png, of {', '.join(evidence.table for evidence in found)}")


if __name__ == "__main__":
    main()
