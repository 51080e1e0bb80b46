"""Every page clicked through in a real browser, over a study that the pipeline has made."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.app.browser.conftest import STUDY
from tests.app.browser.served import Server, open_page, settle

# One group: pytest-xdist gives all of them to one worker (--dist loadgroup), so that one search is made.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

SIGNATURES = {"PNG": b"\x89PNG\r\n\x1a\n", "SVG": b"<?xml", "PDF": b"%PDF-"}
PAGES = ("Decision", "Allocations", "Compare", "Run", "Tree", "Leaderboards", "Live")
ROW_HEIGHT = 35  # pixels of Streamlit's tables, which are drawn on a canvas and have no elements to click


def test_the_first_page_is_the_decision_and_every_page_opens_from_the_side(server: Server, page: Any) -> None:
    open_page(page, server.url(study=STUDY), "Decision")
    links = page.get_by_test_id("stSidebarNavLink")
    assert tuple(text.split("\n")[-1].strip() for text in links.all_inner_texts()) == PAGES
    for name in PAGES:
        links.filter(has_text=name).click()
        page.get_by_role("heading", name=name, exact=True, level=1).wait_for()
        settle(page)
        assert page.get_by_test_id("stException").count() == 0, name


def test_the_decision_states_what_the_study_recommends_in_words(server: Server, results: Path, page: Any) -> None:
    open_page(page, server.url("decision", study=STUDY), "Decision")
    trials = [trial for trial in report(results)["trials"] if trial["score"] is not None]
    best = max(trials, key=lambda trial: (trial["score"]["mean"], -trial["number"]))
    text = main_text(page)
    assert best["allocation"] in text
    assert "tuition search" in text  # what to run next


def test_a_filter_narrows_the_table_and_its_address_restores_it(server: Server, page: Any) -> None:
    open_page(page, server.url("allocations", study=STUDY), "Allocations")
    shown, total = counts(page)  # repeated proposals are hidden
    assert 2 < shown <= total
    box = page.get_by_label("Search allocations")
    box.fill("teacher=medium")
    box.press("Enter")
    page.wait_for_url(re.compile("find=teacher"))
    settle(page)
    narrowed, _ = counts(page)
    assert 0 < narrowed < shown
    open_page(page, page.url, "Allocations")
    assert page.get_by_label("Search allocations").input_value() == "teacher=medium"
    assert counts(page) == (narrowed, total)


def test_picked_rows_are_carried_to_compare_and_its_address_restores_them(server: Server, page: Any) -> None:
    open_page(page, server.url("allocations", study=STUDY, sort="trial"), "Allocations")
    pick_rows(page, 0, 1)
    page.get_by_role("button", name="Compare 2 selected").click()
    page.get_by_role("heading", name="Compare", exact=True, level=1).wait_for()
    settle(page)
    assert chosen(page) == ["#0", "#1"]
    open_page(page, page.url, "Compare")
    assert chosen(page) == ["#0", "#1"]


def test_a_deep_link_opens_a_comparison_as_it_was(server: Server, page: Any) -> None:
    link = server.url("compare", study=STUDY, **{"with": "direct~opd-only", "ref": "opd-only", "part": "Levels"})
    open_page(page, link, "Compare")
    assert chosen(page) == ["direct", "opd-only"]
    assert page.get_by_test_id("stMain").get_by_text("Scores by level").count() == 1
    assert page.get_by_label("Reference").input_value() == "opd-only"


def test_an_address_that_leaves_the_results_or_names_nothing_shows_the_page_as_it_is(server: Server, page: Any) -> None:
    link = server.url("compare", study="../../../../etc", ref="<script>", **{"with": "../../passwd~#999"})
    open_page(page, link, "Compare")
    assert page.get_by_test_id("stException").count() == 0
    assert "passwd" not in main_text(page)


def test_a_chart_downloads_as_picture_and_its_data_as_what_the_report_says(
    server: Server, results: Path, page: Any
) -> None:
    open_page(page, server.url("compare", study=STUDY, **{"with": "direct~opd-only", "ref": "direct"}), "Compare")
    page.locator(".st-key-download-differences button").first.click()
    for kind, signature in SIGNATURES.items():
        assert download(page, kind).startswith(signature), kind
    frame = pd.read_csv(io.BytesIO(download(page, "CSV")))
    rows = {row["name"]: row for row in report(results)["leaderboard"]["rows"]}
    expected = 100 * (rows["opd-only"]["score"]["mean"] - rows["direct"]["score"]["mean"])
    assert frame["mean"].tolist() == pytest.approx([expected])
    assert frame["low"][0] <= frame["mean"][0] <= frame["high"][0]


def test_the_table_of_allocations_downloads_as_the_studys_trials(server: Server, results: Path, page: Any) -> None:
    open_page(page, server.url("allocations", study=STUDY, sort="trial"), "Allocations")
    frame = pd.read_csv(io.BytesIO(download(page, "Table as CSV")))
    trials = {trial["number"]: trial for trial in report(results)["trials"]}
    assert 2 < len(frame) <= len(trials)
    for number, allocation, percent in zip(frame["number"], frame["allocation"], frame["percent"], strict=True):
        assert allocation == trials[number]["allocation"]
        assert percent == pytest.approx(100 * trials[number]["score"]["mean"])


def test_a_race_of_planners_is_shown_and_its_table_downloads(server: Server, page: Any) -> None:
    board = "shipped: micro@1"
    open_page(
        page, server.url("leaderboards", study=STUDY, board=board, part="Planners", planners=board), "Leaderboards"
    )
    assert "judge seeds" in main_text(page)
    frame = pd.read_csv(io.BytesIO(download(page, "CSV")))
    assert {"tpe", "random", "rule", "gp-ei, trained", "gp-ei, named"} <= set(frame["planner"])
    assert "1 R" in frame.columns


def test_dark_and_narrow_pages_show_no_error_and_need_no_scrolling_sideways(server: Server, browser: Any) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    page = context.new_page()
    for path, title in [(name.lower(), name) for name in PAGES]:
        open_page(page, server.url(path, study=STUDY), title)
        assert page.get_by_test_id("stException").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    red, green, blue = re.findall(
        r"\d+", page.get_by_test_id("stApp").evaluate("e => getComputedStyle(e).backgroundColor")
    )[:3]
    assert max(int(red), int(green), int(blue)) < 60
    context.close()


def report(results: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((results / "studies" / STUDY / "report.json").read_text(encoding="utf-8"))
    return read


def main_text(page: Any) -> str:
    text: str = page.get_by_test_id("stMain").inner_text()
    return text


def counts(page: Any) -> tuple[int, int]:
    """Trials shown and trials in all, as the page says."""
    found = re.search(r"(\d+) of (\d+) trials?", main_text(page))
    assert found, main_text(page)
    return int(found[1]), int(found[2])


def chosen(page: Any) -> list[str]:
    """What is chosen for comparison."""
    lines: list[str] = page.get_by_test_id("stMultiSelect").inner_text().split("\n")
    return [line for line in lines if line][1:]  # the first is the label


def pick_rows(page: Any, *rows: int) -> None:
    """Click the boxes before rows of the first table."""
    box = page.get_by_test_id("stDataFrame").first.bounding_box()
    for row in rows:
        page.mouse.click(box["x"] + 15, box["y"] + ROW_HEIGHT * (row + 1.5))
        settle(page)


def download(page: Any, label: str) -> bytes:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=label, exact=True).click()
    return Path(waiting.value.path()).read_bytes()
