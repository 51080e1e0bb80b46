"""What documents show of outcomes that ship is what the commands print of them."""

from pathlib import Path

import pandas as pd
import pytest

from tests.docs.documents import ROOT
from tests.experiments.sharing.compare import report
from tuition.app.recordings.evidence_report import make_evidence

TABLES = sorted((ROOT / "benchmarks" / "recorded_tables").glob("*.parquet"))


def words(text: str) -> str:
    """The text with single spaces: a document breaks lines where it likes."""
    return " ".join(text.split())


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.stem)
def test_the_evidence_of_the_page_is_what_the_command_prints(table: Path) -> None:
    _, printed = make_evidence(table, None)
    page = words((ROOT / "docs" / "micro.md").read_text(encoding="utf-8"))
    for line in printed.splitlines():
        assert words(line) in page, f"docs/micro.md has another line than `tuition evidence --table {table.name}`"
    assert words(printed) in page


@pytest.mark.parametrize("name", ["micro", "micro-b"])
def test_blocks_against_ordinary_runs_are_as_the_page_says(name: str) -> None:
    printed = report(pd.read_parquet(ROOT / "tests" / "experiments" / "sharing" / f"{name}.parquet"))
    page = words((ROOT / "docs" / "sharing.md").read_text(encoding="utf-8"))
    for line in printed[1:]:
        assert words(line) in page, f"docs/sharing.md has another line than the comparison of {name}.parquet"
