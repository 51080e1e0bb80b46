"""The documents for people, and the code in them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("CONTRIBUTING.md"), *(ROOT / "docs").rglob("*.md")]
)


def code_of(text: str) -> list[str]:
    """What a Markdown text sets as code: the lines of its blocks, fenced or indented, and its spans in backticks."""
    code, prose, fenced = [], [], False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            code.append(line.strip())
        else:
            prose.append(line)
    spans = re.findall(r"`([^`]+)`", "\n".join(prose))
    return code + [" ".join(span.split()) for span in spans]
