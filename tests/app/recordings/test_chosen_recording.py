"""`tuition record --only`: a few chosen routes, by name or as allocations, and what a table of these shows."""

import json
from pathlib import Path

import pytest
import yaml

from tests.app.conftest import Command
from tests.runners.conftest import tiny_scenario_file
from tuition.benchmarks.tables.recorded_table import read_table, recorded_seeds

CHOSEN = ("direct", "half", "teacher=medium teacher_rl=2 warmup=1 opd=1", "half-replay")


@pytest.mark.slow
def test_chosen_routes_alone_are_recorded_and_more_are_added_later(tmp_path: Path, tuition: Command) -> None:
    path, out = tmp_path / "tiny.yaml", tmp_path / "tiny.parquet"
    path.write_text(yaml.safe_dump(tiny_scenario_file()))

    def record(routes: tuple[str, ...], *more: str) -> tuple[str, ...]:
        only = (part for route in routes for part in ("--only", route))
        return ("record", "--scenario", str(path), "--out", str(out), "--json", *only, *more)

    plan = json.loads(tuition(*record(CHOSEN, "--seeds", "3", "--dry-run")).stdout)
    # direct 2, the teacher 2, its bridges after one and two blocks 4, half 1, half-replay 1.
    assert (plan["routes"], plan["rows_to_record"], plan["blocks_to_train"]) == (4, 12, 3 * 10)

    assert tuition(*record(CHOSEN[:2], "--seeds", "1", "--quiet")).returncode == 0
    assert len(read_table(out).rows) == 2
    assert tuition(*record(CHOSEN, "--seeds", "1", "--quiet")).returncode == 0
    table = read_table(out)
    names = table.header.names
    # `teacher-upstream` is there, but no chain of replay blocks that was not asked for.
    assert {run.allocation for run in table.rows} == {
        *(names[name] for name in ("direct", "half", "half-replay", "teacher-upstream"))
    }
    assert table.seeds() == recorded_seeds(1) and set(table.header.untrained) > {"student"}

    evidence = json.loads(tuition("evidence", "--table", str(out), "--json").stdout)["tables"][0]
    assert {"direct", "half", "half-replay", "teacher-upstream"} <= {row["name"] for row in evidence["entries"]}
    described = json.loads(tuition("recorded", str(out), "--json").stdout)
    assert described["routes"] == 4 and not described["complete"]


def test_what_is_no_route_is_refused_by_its_name(tmp_path: Path, tuition: Command) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_scenario_file()))
    result = tuition("record", "--scenario", str(path), "--only", "halves", "--dry-run")
    assert result.returncode == 2 and "halves" in result.stderr and len(result.stderr.strip().splitlines()) == 1
