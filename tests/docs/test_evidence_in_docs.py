"""What documents show of outcomes that ship is what the commands print of them."""

import re

import pandas as pd
import pytest

from tests.docs.documents import ROOT
from tests.docs.fill_evidence import DOCS, PAGES, filled, parts
from tests.experiments.sharing.compare import report
from tuition.benchmarks.evidence.markdown import TITLES


def words(text: str) -> str:
    """The text with single spaces: a document breaks lines where it likes."""
    return " ".join(text.split())


@pytest.mark.slow
def test_the_evidence_of_the_pages_is_what_the_commands_print() -> None:
    texts, marked = parts(), []
    for name in PAGES:
        page = (DOCS / name).read_text(encoding="utf-8")
        marked += re.findall(r"<!-- evidence: (\w+) -->", page)
        assert page.splitlines() == filled(page, texts).splitlines(), "python -m tests.docs.fill_evidence"
    assert marked == [*TITLES, "board", "tables", "floors"] == list(texts), "every section, in the command's order"


@pytest.mark.parametrize("name", ["micro", "micro-b"])
def test_blocks_against_ordinary_runs_are_as_the_page_says(name: str) -> None:
    printed = report(pd.read_parquet(ROOT / "tests" / "experiments" / "sharing" / f"{name}.parquet"))
    page = words((ROOT / "docs" / "sharing.md").read_text(encoding="utf-8"))
    for line in printed[1:]:
        assert words(line) in page, f"docs/sharing.md has another line than the comparison of {name}.parquet"
