"""How fast the dashboard is in Chromium, and how much memory its server takes, over a large results folder.

Run: `python -m tests.experiments.speed.dashboard FOLDER`, on a folder of
`tests/experiments/speed/synthetic_results.py` (10,000 runs on 7 suites). Targets: the first page in 2 s, anything else
in 1 s, the server below 1 GB. Times are from the click, or from asking for the address, until the page's script has
ended and its elements are there; an interaction is done three times and its slowest time told. The first page is that
of a server that has just started; so is its browser's cache empty.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.app.browser.served import PATIENCE_MS, Server, open_chromium, open_page, serve, settle

PAGES = ("Decision", "Allocations", "Compare", "Run", "Tree", "Leaderboards", "Live")
FIRST_SECONDS, SECONDS, MEMORY_BYTES = 2.0, 1.0, 10**9


def seconds(action: Callable[[], object]) -> float:
    """Wall time of an action."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def tell(name: str, taken: float, target: float) -> None:
    """One line: what, how long, whether the target was met."""
    print(f"{name}: {taken:.2f} s{'' if taken < target else f', over {target:.0f} s'}", flush=True)


def go(page: Any, name: str) -> None:
    """Click on a page's name and wait for it."""
    page.get_by_test_id("stSidebarNavLink").filter(has_text=name).click()
    page.get_by_role("heading", name=name, exact=True, level=1).wait_for()
    settle(page)


def after(page: Any, act: Callable[[], object], ended: Callable[[], object]) -> float:
    """Seconds from an act until `ended` returns and the page is at rest."""

    def whole() -> None:
        act()
        ended()
        settle(page)

    return seconds(whole)


def measure_pages(page: Any, repeats: int) -> None:
    """Every page by a click, from Decision, in turn, so many times."""
    times: dict[str, list[float]] = {name: [] for name in PAGES}
    for _ in range(repeats):
        for name in PAGES[1:] + PAGES[:1]:
            times[name].append(seconds(lambda name=name: go(page, name)))  # type: ignore[misc]
    for name, taken in times.items():
        tell(f"{name}, first click", taken[0], SECONDS)
        if taken[1:]:
            tell(f"{name}, later", max(taken[1:]), SECONDS)


def measure_allocations(page: Any, server: Server) -> None:
    """Search, sort, and the way of picked rows to Compare."""
    open_page(page, server.url("allocations"), "Allocations")
    box = page.get_by_label("Search allocations")
    for text in ("teacher_rl=4", "replay=1", ""):
        told = f"Allocations, search {text!r}"
        address = "**find=*" if text else lambda url: "find=" not in url
        tell(told, after(page, lambda text=text: (box.fill(text), box.press("Enter")),  # type: ignore[misc]
                         lambda address=address: page.wait_for_url(address)), SECONDS)  # fmt: skip
    for picture in ("Parallel", "Simplex"):
        taken = after(page, page.get_by_role("radio", name=picture).click,
                      lambda picture=picture: page.wait_for_url(f"**picture={picture}*"))  # fmt: skip
        tell(f"Allocations, picture {picture}", taken, SECONDS)
    table = page.get_by_test_id("stDataFrame").first.bounding_box()
    for row in (0, 1):
        page.mouse.click(table["x"] + 15, table["y"] + 35 * (row + 1.5))
        settle(page)
    button = page.get_by_role("button", name="Compare 2 selected")
    button.wait_for()
    heading = page.get_by_role("heading", name="Paired differences")
    tell("Allocations, two rows carried to Compare", after(page, button.click, heading.wait_for), SECONDS)


def measure_compare(page: Any) -> None:
    """Another part of the comparison that is open."""
    for part in ("Levels", "Subjects", "Problems"):
        address = (lambda url: "part=" not in url) if part == "Problems" else f"**part={part}*"
        taken = after(page, page.get_by_role("radio", name=part).click, lambda: page.wait_for_url(address))  # noqa: B023
        tell(f"Compare, {part}", taken, SECONDS)


def main() -> None:
    """Print one line per thing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--repeats", type=int, default=3, help="of the clicks on every page")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as scratch,
        open_chromium() as browser,
        serve(given.results, Path(scratch) / "server.log") as server,
    ):
        page = browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
        page.set_default_timeout(PATIENCE_MS)
        tell("first page", seconds(lambda: open_page(page, server.url(), "Decision")), FIRST_SECONDS)
        measure_pages(page, given.repeats)
        measure_allocations(page, server)
        measure_compare(page)
        peak = server.peak_memory_bytes()
        print(f"server, peak memory: {peak / 1e6:,.0f} MB{'' if peak < MEMORY_BYTES else ', over 1 GB'}")


if __name__ == "__main__":
    main()
