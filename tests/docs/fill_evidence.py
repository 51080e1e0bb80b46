"""Writes what the recorded tables that ship show into docs/micro.md, and its figure.

    python -m tests.docs.fill_evidence

What: every part of the page between `<!-- evidence: NAME -->` and `<!-- /evidence -->` becomes that section of `tuition
evidence`; `test_evidence_in_docs` holds the page against it. Run it when a table that ships is new.
"""

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

from tests.docs.documents import ROOT
from tuition.app.recordings.evidence_report import gather_all
from tuition.benchmarks.evidence.figure import plot
from tuition.benchmarks.evidence.markdown import sections

PAGE = ROOT / "docs" / "micro.md"
FIGURE = ROOT / "docs" / "evidence.png"


def filled(text: str, parts: Mapping[str, str]) -> str:
    """The text with every marked part replaced; KeyError for a mark of no section."""

    def part(match: re.Match[str]) -> str:
        return f"{match[1]}\n{parts[match[2]]}\n{match[3]}"

    return re.sub(r"(<!-- evidence: (\w+) -->)\n.*?(<!-- /evidence -->)", part, text, flags=re.DOTALL)


def main() -> None:
    """Fill the page and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, default=PAGE, help="where to write the page")
    parser.add_argument("--figure", type=Path, default=FIGURE)
    arguments = parser.parse_args()
    found = gather_all([])
    arguments.page.write_text(filled(PAGE.read_text(encoding="utf-8"), sections(found)), encoding="utf-8")
    plot(found, arguments.figure)
    print(f"{arguments.page} and {arguments.figure}: {', '.join(evidence.table for evidence in found)}")


if __name__ == "__main__":
    main()
