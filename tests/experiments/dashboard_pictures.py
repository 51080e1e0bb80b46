"""The pictures of pages in docs/: the dashboard in Chromium, light and dark, wide and on a phone; the exported board.

Run: `python -m tests.experiments.dashboard_pictures RESULTS [--only NAME] [--out FOLDER]`, where RESULTS holds a study
made by `make demo`. Without `--only`, all pages but Live; `--only live` while a search runs in the folder. Not a test.
"""

import argparse
import io
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from tests.app.browser.served import REPOSITORY, Server, command, open_chromium, open_page, serve

DOCS = REPOSITORY / "docs"
BOARD, BOARD_PAGE = "shipped: micro@1", "leaderboard_page"
# By name: page and choices.
PAGES: dict[str, tuple[str, dict[str, str]]] = {
    "decision": ("", {}),
    "allocations": ("allocations", {}),
    "compare": ("compare", {}),
    "run": ("run", {"run": "half = search #3", "part": "Curves"}),
    "tree": ("tree", {}),
    "leaderboards": ("leaderboards", {}),
    "leaderboards-planners": ("leaderboards", {"board": BOARD, "part": "Planners", "planners": BOARD}),
    "live": ("live", {}),
}
# Pages of docs/dashboard.md: file, name of the page, width, dark.
SINGLE = (
    ("dashboard-decision", "decision", 1200, False),
    ("dashboard-allocations", "allocations", 1200, True),
    ("dashboard-compare", "compare", 1200, False),
    ("dashboard-run", "run", 1200, True),
    ("dashboard-tree", "tree", 1200, False),
    ("dashboard-leaderboards", "leaderboards", 1200, False),
    ("dashboard-live", "live", 1200, False),
    ("dashboard-phone", "decision", 390, False),
)
WIDE, PHONE = (1280, 900), (390, 844)
SCALE, GAP, GREY = 0.594, 8, "#888888"
TALLEST = 2200


def picture(context: Any, server: Server, name: str, size: tuple[int, int], dark: bool, whole: bool) -> Image.Image:
    """One page; `whole` is all of it, else what a screen of that size shows."""
    page = context.new_page()
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme="dark" if dark else "light")
    path, choices = PAGES[name]
    open_page(page, server.url(path, **choices), path.capitalize() or "Decision")
    if whole:
        height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
        page.set_viewport_size({"width": size[0], "height": min(height, TALLEST)})
    page.wait_for_timeout(1500)  # tables are drawn on a canvas after the page is at rest
    content = page.screenshot()
    page.close()
    return Image.open(io.BytesIO(content)).convert("RGB")


def four(context: Any, server: Server, name: str) -> Image.Image:
    """A page wide and on a phone, light above dark."""
    return joined(
        [[picture(context, server, name, size, dark, whole=False) for size in (WIDE, PHONE)] for dark in (False, True)],
        int(WIDE[1] * SCALE),
    )


def exported(browser: Any, folder: Path) -> Image.Image:
    """The page of the leaderboard that ships, wide and on a phone."""
    path = folder / "micro.html"
    subprocess.run(command("leaderboard", "export", "micro@1", "--format", "html", "--out", str(path)), check=True)
    shots = []
    for width in (WIDE[0], PHONE[0]):
        page = browser.new_page(viewport={"width": width, "height": 1500})
        page.goto(path.as_uri())
        shots.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
        page.close()
    return joined([shots], 1125)


def joined(rows: list[list[Image.Image]], height: int) -> Image.Image:
    """Pictures in rows, each made so high."""
    scaled = [[p.resize((p.width * height // p.height, height), Image.Resampling.LANCZOS) for p in row] for row in rows]
    width = sum(part.width for part in scaled[0]) + GAP * (len(scaled[0]) - 1)
    whole = Image.new("RGB", (width, len(rows) * (height + GAP) - GAP), GREY)
    for number, row in enumerate(scaled):
        left = 0
        for part in row:
            whole.paste(part, (left, number * (height + GAP)))
            left += part.width + GAP
    return whole


def save(image: Image.Image, path: Path) -> None:
    """A small PNG: 256 colours are enough for pages."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)
    print(path, image.size, flush=True)


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--only", choices=[*PAGES, BOARD_PAGE], action="append")
    parser.add_argument("--out", type=Path, default=DOCS)
    arguments = parser.parse_args()
    names = arguments.only or [*(name for name in PAGES if name != "live"), BOARD_PAGE]
    with (
        tempfile.TemporaryDirectory() as scratch,
        open_chromium() as browser,
        serve(arguments.results.absolute(), Path(scratch) / "server.log") as server,
    ):
        context = browser.new_context()  # one, which keeps the compiled scripts of the pages
        for file, name, width, dark in SINGLE:
            if name in names:
                image = picture(context, server, name, (width, 640 if name == "live" else 900), dark, name != "live")
                save(image, arguments.out / f"{file}.png")
        for name in names:
            if name == BOARD_PAGE:
                save(exported(browser, Path(scratch)), arguments.out / f"{name}.png")
            else:
                save(four(context, server, name), arguments.out / "dashboard" / f"{name}.png")


if __name__ == "__main__":
    main()
