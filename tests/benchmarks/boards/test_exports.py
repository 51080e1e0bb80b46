"""Exports: every number in every format, errors named apart, reported apart, and nothing hostile comes alive."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.benchmarks.made_scores import made_entry
from tuition.benchmarks.boards.board_folder import add_entries
from tuition.benchmarks.boards.entries import MeasuredEntry, entry_id
from tuition.benchmarks.boards.exports.bibtex import escape as tex
from tuition.benchmarks.boards.exports.formats import FORMATS, export
from tuition.benchmarks.boards.exports.markdown import escape as md
from tuition.benchmarks.boards.loaded_board import Board, Listed, load_board
from tuition.benchmarks.boards.manifest import Change, Manifest
from tuition.benchmarks.reported import reported_entries

HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>|\\input{/etc/passwd} $x$ `y` [z](javascript:w)"


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    root = tmp_path_factory.mktemp("board")
    rows = [made_entry(root, "direct", 0.3), made_entry(root, "half", 0.5), made_entry(root, "one", 0.6, seeds=(9,))]
    reported = [(entry, []) for entry in reported_entries("arxiv-2605.12483")]
    add_entries(root / "board", [*rows, *reported], "Toy board")
    return load_board(root / "board")


@pytest.fixture(scope="module")
def hostile_board(board: Board) -> Board:
    """Texts that no entry is allowed to hold: the exports must be safe without the schema."""
    entries = []
    for listed in board.entries[:4]:
        entry = listed.entry.model_copy(update={"name": HOSTILE, "model": HOSTILE})
        if isinstance(entry, MeasuredEntry):
            preset = entry.preset.model_copy(update={"name": HOSTILE, "fields": {"a": HOSTILE}})
            entry = entry.model_copy(update={"command": HOSTILE, "preset": preset, "engine": HOSTILE})
        else:
            source = entry.source.model_copy(update={"title": HOSTILE, "authors": (HOSTILE,), "table": HOSTILE})
            entry = entry.model_copy(update={"source": source})
        entries.append(Listed(listed.id, entry, listed.outcomes))
    change = Change(version="1.0", date="2026-01-01", change="x", added=tuple(entry.id for entry in entries))
    manifest = Manifest(name="x", title="X", version="1.0", changelog=(change,))
    return Board(manifest.model_copy(update={"title": HOSTILE}), tuple(entries))


class Tags(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_no_network_and_no_script(board: Board) -> None:
    page = export(board, "html")
    parsed = Tags(page)
    assert not {"script", "link", "img", "iframe", "object", "form", "base", "embed"} & set(parsed.tags)
    assert not [name for name, _ in parsed.attributes if name.startswith("on") or name == "src"]
    policies = [value or "" for name, value in parsed.attributes if name == "content"]
    assert any(policy.startswith("default-src 'none'; style-src 'unsafe-inline'") for policy in policies)
    assert "url(" not in page and "@import" not in page
    assert {value for name, value in parsed.attributes if name == "href"} == {"https://arxiv.org/abs/2605.12483v1"}
    assert 'name="viewport"' in page and "prefers-color-scheme: dark" in page


def test_the_page_shows_what_an_entry_says(board: Board) -> None:
    page = export(board, "html")
    text = re.sub(r"\s+", " ", Tags(page).text)
    for listed in board.entries[:3]:
        entry = listed.entry
        assert isinstance(entry, MeasuredEntry)
        for part in (
            listed.id, entry.name, f"{100 * entry.score.mean:.1f}", entry.command, entry.code_version, entry.grader,
            "32 trained, 64 validation, 128 owned", *(file.sha256 for file in entry.samples),
            f"@misc{{tuition-{listed.short},",
        ):  # fmt: skip
            assert part in text
    assert text.index("Measured") < text.index("one training run: excludes training variance") < text.index("Reported")
    assert "never ranked with measured" in text and page.count("<svg") == 2
    assert "problems" in text and "samples" in text and "seeds" in text


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_every_format_holds_every_score_and_id(board: Board, format: str) -> None:
    text = export(board, format)
    for listed in board.entries:
        assert listed.short in text or (format == "latex" and listed.entry.kind == "reported")
        fraction, percent = listed.entry.score.mean, f"{100 * listed.entry.score.mean:.1f}"
        assert percent in text or repr(fraction) in text


@pytest.mark.parametrize("format", ["html", "latex", "md"])
def test_the_caption_says_what_is_corrected_for_many_pairs(board: Board, format: str) -> None:
    text = export(board, format).replace("&#39;", "'")
    assert "after Holm's correction over all ranked pairs of the table" in text
    assert "Intervals of differences are not corrected for multiple comparisons" in text


def test_hostile_texts_stay_texts_in_html(hostile_board: Board) -> None:
    parsed = Tags(export(hostile_board, "html"))
    assert "script" not in parsed.tags and "img" not in parsed.tags
    assert "<script>alert(1)</script>" in parsed.text
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]


def test_hostile_texts_stay_texts_in_markdown_and_latex(hostile_board: Board) -> None:
    outside_code = re.sub(r"```.*?```", "", export(hostile_board, "md"), flags=re.S)
    assert "<script" not in outside_code and "<img" not in outside_code and "](javascript" not in outside_code
    rows = [line for line in outside_code.splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) in (3, 9) for row in rows), rows
    for format in ("latex", "bibtex"):
        assert "\\input{" not in export(hostile_board, format)


def test_escapes_keep_every_letter() -> None:
    assert tex(r"50% of $x_1 & {a}\b^~#") == (
        r"50\% of \$x\_1 \& \{a\}\textbackslash{}b\textasciicircum{}\textasciitilde{}\#"
    )
    assert md("a|b<c>*d*_e_") == r"a\|b&lt;c&gt;\*d\*\_e\_"


def test_csv_has_one_row_for_an_entry_at_full_precision(board: Board) -> None:
    rows = list(csv.DictReader(io.StringIO(export(board, "csv"))))
    assert [row["id"] for row in rows if row["kind"] == "measured"] and len(rows) == len(board.entries)
    by_id = {row["id"]: row for row in rows}
    for listed in board.entries:
        assert float(by_id[listed.id]["mean"]) == listed.entry.score.mean
        unranked = listed.entry.kind == "reported" or len(listed.entry.seeds) < 3
        assert (by_id[listed.id]["rank_first"] == "") == (by_id[listed.id]["rank_last"] == "") == unranked
    cells = [cell for row in rows for name, cell in row.items() if not name.startswith("difference")]
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]


def test_json_holds_the_entries_as_they_are(board: Board) -> None:
    from tuition.benchmarks.boards.entries import validate_entry

    document = json.loads(export(board, "json"))
    rows = [row for table in document["measured"] for row in table["rows"]] + document["reported"]
    assert len(rows) == len(board.entries)
    assert all(entry_id(validate_entry(row["entry"], "x")) == row["id"] for row in rows)
    assert document["leaderboard"]["version"] == "1.0"


def test_bibtex_has_balanced_records_with_one_key_each(board: Board) -> None:
    text = export(board, "bibtex")
    keys = re.findall(r"^@misc\{([^,]+),$", text, re.M)
    assert len(keys) == len(set(keys)) == len(board.entries) + 1
    assert all(record.count("{") == record.count("}") for record in text.split("\n\n"))
    assert "eprint       = {2605.12483v1}" in text and "as reported" in text


def test_latex_tables_are_whole(board: Board) -> None:
    text = export(board, "latex")
    assert text.count("\\begin{table}") == text.count("\\end{table}") == 7
    for body in re.findall(r"\\midrule\n(.*?)\n    \\bottomrule", text, re.S):
        widths = {len(re.findall(r"(?<!\\)&", line)) for line in body.splitlines()}
        assert len(widths) == 1


def test_an_empty_leaderboard_can_be_exported(tmp_path: Path) -> None:
    add_entries(tmp_path / "board", [])
    for format in FORMATS:
        assert "board" in export(load_board(tmp_path / "board"), format) or format == "csv"
