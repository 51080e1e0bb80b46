"""What documents show of outcomes that ship is what the commands print of them."""

import re
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.docs.documents import ROOT
from tests.docs.fill_evidence import DOCS, PAGES, main
from tests.experiments.sharing.compare import report
from tuition.benchmarks.evidence.markdown import TITLES


def words(text: str) -> str:
    """The text with single spaces: a document breaks lines where it likes."""
    return " ".join(text.split())


@pytest.mark.slow
def test_the_evidence_of_the_pages_is_what_the_commands_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fill_evidence", "--out", str(tmp_path)])
    main()
    marked = []
    for name in PAGES:
        page = (DOCS / name).read_text(encoding="utf-8")
        marked += re.findall(r"<!-- evidence: (\w+) -->", page)
        assert page == (tmp_path / name).read_text(encoding="utf-8"), "python -m tests.docs.fill_evidence"
    assert marked == [*TITLES, "board", "tables", "floors"], "every section, in the command's order"
    assert f"marks: {', '.join(marked)}\n" in capsys.readouterr().out
    assert (tmp_path / "evidence.png").stat().st_size > 10_000


@pytest.mark.parametrize("name", ["micro", "micro-b", "micro-before"])
def test_blocks_against_ordinary_runs_are_as_the_page_says(name: str) -> None:
    printed = report(pd.read_parquet(ROOT / "tests" / "experiments" / "sharing" / f"{name}.parquet"))
    if name == "micro-before":  # of the earlier recipe the page has the sums alone
        printed = [line for line in printed if not line.startswith("|")]
    page = words((ROOT / "docs" / "sharing.md").read_text(encoding="utf-8"))
    for line in printed[1:]:
        assert words(line) in page, f"docs/sharing.md has another line than the comparison of {name}.parquet"
