"""Writes what the recorded tables that ship show into the pages about them, and draws the figure.

    python -m tests.docs.fill_evidence

What: every part of a page between `<!-- evidence: NAME -->` and `<!-- /evidence -->` becomes that section of `tuition
evidence`, the list of tables or their noise floors; `test_evidence_in_docs` holds the pages against it. Run it when a
table is new.
"""

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

from tests.docs.documents import ROOT
from tuition.app.recordings.evidence_report import gather_all
from tuition.benchmarks.evidence.figure import plot
from tuition.benchmarks.evidence.markdown import sections
from tuition.benchmarks.tables.noise_floor import LEADING, noise_floor
from tuition.benchmarks.tables.recorded_table import RecordedError, missing_checkpoints, read_table
from tuition.benchmarks.tables.shipped import find_table, newest_tables, shipped_tables

PAGES = ("micro.md", "benches.md", "recorded.md")
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


def noise_floors() -> str:
    """What noise costs on the newest table of every bench, as `tuition recorded` shows it at length."""
    lines = [
        "| table | judge + draw seeds | error of a judge mean | of a shrunken one | lost by all draw seeds' choice "
        "| by one draw seed's, on average |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name in newest_tables():
        table = read_table(find_table(name))
        try:
            floors = [noise_floor(table), noise_floor(table, LEADING)]
        except RecordedError as error:
            lines.append(f"| `{name}` | {error} | | | | |")
            continue
        values = (
            [floor.error for floor in floors],
            [floor.shrunken_error for floor in floors],
            [floor.all_draws.raw for floor in floors],
            [floor.one_draw.raw for floor in floors],
        )
        cells = " | ".join(" / ".join(f"{100 * value:.2f}" for value in pair) for pair in values)
        lines.append(f"| `{name}` | {len(floors[0].judge_seeds)} + {len(floors[0].draw_seeds)} | {cells} |")
    return "\n".join(lines)


def parts() -> dict[str, str]:
    """The text of every mark."""
    return {**sections(gather_all([])), "tables": list_of_tables(), "floors": noise_floors()}


def main() -> None:
    """Fill the pages and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=DOCS, help="the folder to write to")
    folder = parser.parse_args().out
    texts = parts()
    for page in PAGES:
        text = (DOCS / page).read_text(encoding="utf-8")
        (folder / page).write_text(filled(text, texts), encoding="utf-8")
    plot(gather_all([]), folder / "evidence.png")
    print(f"{folder}: {', '.join(PAGES)} and evidence.png, of {', '.join(newest_tables())}")


if __name__ == "__main__":
    main()
