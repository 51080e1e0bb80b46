"""What docs/micro.md shows of `tuition evidence` is what the command prints of the tables that ship."""

from pathlib import Path

import pytest

from tests.docs.documents import ROOT
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
