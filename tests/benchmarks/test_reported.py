"""The paper's rows that ship: equal, number by number, to the tables in our notes on the paper."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from tuition.benchmarks.boards.entries import EntryError
from tuition.benchmarks.reported import reported_entries, reported_sources

PAPER = Path(__file__).parents[3] / "shared" / "paper.md"
TABLES = (2, 3, 4, 5, 6, 8)
# What the notes abbreviate and our names write out.
STAGES = re.compile(r"\((R\d|1H|R\d-half)\)|\+|GRPO on 2H|GRPO 2H|GRPO replay 1H|replay 1H")


def paper_table(number: int) -> list[tuple[list[str], list[str]]]:
    """(cells that name a row, its printed scores) of a table of the notes."""
    if not PAPER.exists():
        pytest.skip(f"{PAPER} is absent: the notes on the paper are not part of the repository")
    section = re.search(rf"^## Table {number} .*?\n(.*?)(?=^## |\Z)", PAPER.read_text(), re.S | re.M)
    assert section is not None
    lines = [line for line in section[1].splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [(row[:-3], row[-3:]) for row in cells]


def words(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z0-9.']+", text.lower().replace("<-", " ")))


@pytest.mark.parametrize("number", TABLES)
def test_every_number_is_the_papers(number: int) -> None:
    printed = paper_table(number)
    entries = [e for e in reported_entries("arxiv-2605.12483") if e.source.table.startswith(f"Table {number}:")]
    assert len(entries) == 3 * len(printed) > 0
    for place, (names, scores) in enumerate(printed):
        row = entries[3 * place : 3 * place + 3]
        assert [entry.suite for entry in row] == ["MATH-500", "AIME 2024", "AIME 2025"]
        for entry, score in zip(row, scores, strict=True):
            mean, error = score.split("+-")
            assert entry.score.error is not None
            assert (Decimal(str(entry.score.mean)) * 100, Decimal(str(entry.score.error)) * 100) == (
                Decimal(mean),
                Decimal(error),
            )
        # The row's name says which teacher, and how.
        ours = words(f"{row[0].name} {row[0].model}")
        theirs = words(STAGES.sub(" ", " ".join(names)))
        assert theirs <= ours, (theirs, ours)
        assert ("replay" in " ".join(names)) == ("replay" in row[0].name)
        if number in (4, 5):
            assert ("2H" in " ".join(names)) == ("GRPO on the second half" in row[0].name)


def test_every_row_is_cited_and_its_error_keeps_the_sources_meaning() -> None:
    entries = reported_entries("arxiv-2605.12483")
    assert len(entries) == 117
    for entry in entries:
        assert entry.source.identifier == "arXiv:2605.12483v1" and entry.source.url.endswith("2605.12483v1")
        assert entry.score.error_meaning is not None and "as stated by the source" in entry.score.error_meaning
        assert (entry.num_samples, entry.num_training_runs) == (16, 1)
    names = [(entry.source.table, entry.name, entry.suite) for entry in entries]
    assert len(set(names)) == len(names)


def test_an_unknown_source_is_refused_with_those_that_ship() -> None:
    assert reported_sources() == ["arxiv-2605.12483"]
    with pytest.raises(EntryError, match=r"'\.\./entries' is unknown; choose from arxiv-2605\.12483"):
        reported_entries("../entries")
