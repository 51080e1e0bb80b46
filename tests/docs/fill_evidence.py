"""Writes what the recorded tables that ship show into the pages about them, and draws the figure.

    python -m tests.docs.fill_evidence

What: every part of a page between `<!-- evidence: NAME -->` and `<!-- /evidence -->` becomes that section of `tuition
evidence`, the leaderboard of the baselines, the list of tables or their noise floors; `test_evidence_in_docs` holds the
pages against it. Run it when a table or a leaderboard is new.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tests.docs.documents import ROOT
from tuition.app.recordings.evidence_report import gather
from tuition.benchmarks.boards.loaded_board import load_board
from tuition.benchmarks.boards.standings import standings
from tuition.benchmarks.evidence.figure import plot
from tuition.benchmarks.evidence.markdown import p_text, points, sections
from tuition.benchmarks.evidence.table_evidence import Evidence
from tuition.benchmarks.measured_boards import find_board
from tuition.benchmarks.tables.noise_floor import LEADING, noise_floor
from tuition.benchmarks.tables.recorded_table import RecordedError, RecordedTable, missing_checkpoints, read_table
from tuition.benchmarks.tables.shipped import find_table, newest_tables, shipped_tables

PAGES = ("micro.md", "benches.md", "recorded.md")
BOARD = "micro@2"
PAIRS = {
    ("teacher-upstream", "direct"): "all labels upstream, at equal labels",
    ("teacher-upstream", "direct-compute"): "the same, at equal labels and equal compute",
    ("direct-compute", "direct"): "more compute on the same labels",
    ("teacher-upstream", "opposite"): "all labels upstream, or all on the student after the same bridge",
    ("opposite", "direct"): "a raw teacher's bridge before direct GRPO",
    ("teacher-upstream", "raw-bridge"): "what reward adds before the bridge",
    ("direct", "raw-bridge"): "direct GRPO against the raw teacher",
    ("teacher-upstream", "opd-only"): "warmup, then opd, against opd alone",
    ("teacher-upstream", "half"): "the last half of the labels, upstream or on the student",
    ("half", "half-replay"): "fresh labels after the bridge, against replay",
    ("teacher-upstream", "sft-teacher"): "GRPO on the teacher, against rejection sampling",
    ("teacher-upstream", "sample-sft"): "the dense bridge, against hard labels",
    ("direct", "direct-shuffled"): "price of blocks, student",
    ("teacher-upstream", "upstream-shuffled"): "price of blocks, teacher, after the bridge",
}
"""What a pair of baselines isolates."""
DOCS = ROOT / "docs"


def filled(text: str, parts: Mapping[str, str]) -> str:
    """The text with every marked part replaced; KeyError for a mark of no section."""

    def part(match: re.Match[str]) -> str:
        return f"{match[1]}\n{parts[match[2]]}\n{match[3]}"

    return re.sub(r"(<!-- evidence: (\w+) -->)\n.*?(<!-- /evidence -->)", part, text, flags=re.DOTALL)


def list_of_tables(tables: Mapping[str, RecordedTable]) -> str:
    """Every table that ships, in numbers."""
    lines = [
        "| table | rows | allocations | teachers' checkpoints | seeds (judge + draw) | of these with the whole space "
        "| problems (validation, test) | samples | MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, table in tables.items():
        judges, draws = len(table.seeds("judge")), len(table.seeds("draw"))
        whole = sum(not missing_checkpoints(table, seed) for seed in table.seeds())
        suites = (table.header.validation, table.header.test)
        lines.append(
            f"| `{name}` | {len(table.rows):,} | {len(table.allocations)} "
            f"| {len({run.allocation for run in table.teachers}) or 'none'} | {judges} + {draws} | {whole or 'none'} "
            f"| {', '.join(str(len(suite.problem_ids)) for suite in suites)} "
            f"| {', '.join(map(str, dict.fromkeys(suite.samples for suite in suites)))} "
            f"| {find_table(name).stat().st_size / 1e6:.2f} |"
        )
    return "\n".join(lines)


def noise_floors(tables: Mapping[str, RecordedTable]) -> str:
    """What noise costs on the newest table of every bench, as `tuition recorded` shows it at length."""
    lines = [
        "| table | judge + draw seeds | error of a judge mean | of a shrunken one | lost by all draw seeds' choice "
        "| by one draw seed's, on average |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name in newest_tables():
        try:
            floors = [noise_floor(tables[name]), noise_floor(tables[name], LEADING)]
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


def baselines_board() -> str:
    """Ranks and paired differences of the leaderboard of the baselines, from its samples."""
    (table,) = standings(load_board(find_board(BOARD))).measured
    ranked = [row for row in table.rows if row.rank_first is not None]
    lines = [
        "| rank | entry | score, % | ± problems | ± samples | ± seeds | minus direct, points [95 %] | labels trained "
        "| CPU-s, full |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in ranked:
        score, ahead = row.entry.score, points(row.difference) if row.difference else "reference"
        numbers = (score.mean, score.se_problems, score.se_samples, score.se_seeds)
        cells = " | ".join(f"{100 * (number or 0.0):.1f}" for number in numbers)
        lines.append(
            f"| {row.rank} | {row.entry.name.partition(' (')[0]} | {cells} | {ahead} | {row.entry.labels_trained} "
            f"| {row.entry.gpu_seconds:.0f} |"
        )
    names = {row.listed.id: row.entry.name.partition(" (")[0] for row in ranked}
    pairs = [pair for pair in table.pairs if pair.p_value_holm is not None]
    distinguished = sum((pair.p_value_holm or 0.0) < 0.05 for pair in pairs)
    lines += [
        "",
        f"| pair (`--json`, `pairs`; {len(pairs)} in total, {distinguished} distinguished) | what it isolates "
        "| difference, points [95 %] | p, Holm |",
        "|---|---|---|---|",
    ]
    found = {(names[pair.a], names[pair.b]): pair for pair in pairs}
    for (a, b), what in PAIRS.items():
        pair, turned = (found[a, b], False) if (a, b) in found else (found[b, a], True)
        difference = pair.difference
        if turned:
            difference = replace(difference, mean=-difference.mean, low=-difference.high, high=-difference.low)
        lines.append(f"| {a} - {b} | {what} | {points(difference)} | {p_text(pair.p_value_holm or 0.0)} |")
    return "\n".join(lines)


def parts(tables: Mapping[str, RecordedTable], found: Sequence[Evidence]) -> dict[str, str]:
    """The text of every mark."""
    others = {"board": baselines_board(), "tables": list_of_tables(tables), "floors": noise_floors(tables)}
    return {**sections(found), **others}


def main() -> None:
    """Fill the pages and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=DOCS, help="the folder to write to")
    folder = parser.parse_args().out
    tables = {name: read_table(path) for name, path in shipped_tables().items()}
    found = [gather(tables[name], name) for name in newest_tables()]
    texts = parts(tables, found)
    for page in PAGES:
        text = (DOCS / page).read_text(encoding="utf-8")
        (folder / page).write_text(filled(text, texts), encoding="utf-8")
    plot(found, folder / "evidence.png")
    print(f"{folder}: {', '.join(PAGES)} and evidence.png, of {', '.join(newest_tables())}")
    print(f"marks: {', '.join(texts)}")


if __name__ == "__main__":
    main()
