"""Draws docs/architecture.svg, for light and dark pages: `python -m tests.docs.draw_architecture`."""

from dataclasses import dataclass
from html import escape

from tests.docs.documents import ROOT

PICTURE = ROOT / "docs" / "architecture.svg"
WIDTH, LEFT, GAP = 1040, 200, 10
"""In pixels: of the picture, of the column of floors' names, between two rooms."""
ROOM_HEIGHT, STEP_RADIUS = 34, 9

STYLE = """
text { font: 14px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 16px }
.muted { fill: #59636e; font-size: 13px }
.paper { fill: #ffffff }
.floor { fill: #f3f5f7; stroke: #d1d9e0 }
.disk { fill: none; stroke: #818b98; stroke-dasharray: 5 4 }
.room { fill: #ffffff; stroke: #818b98 }
.step { fill: #0550ae }
.number { fill: #ffffff; font-size: 11px; font-weight: 600; text-anchor: middle }
.middle { text-anchor: middle }
.arrow { stroke: #59636e; stroke-width: 1.5; fill: none }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .muted { fill: #9198a1 }
  .paper { fill: #0d1117 }
  .floor { fill: #161b22; stroke: #3d444d }
  .disk, .room { stroke: #656c76 }
  .room { fill: #0d1117 }
  .step { fill: #1f6feb }
  .arrow { stroke: #9198a1 }
}
"""


@dataclass(frozen=True)
class Floor:
    """A floor: its name, what it is for, and its rooms with the steps of a search that happen there."""

    name: str
    purpose: str
    rooms: dict[str, tuple[int, ...]]


FLOORS = (
    Floor(
        "app",
        "commands and pages",
        {
            "commands": (1,),
            "api": (),
            "studies": (2, 14, 16),
            "advice": (),
            "tuning": (),
            "costs": (),
            "recordings": (),
            "scoring": (),
            "boards": (),
            "storage": (),
            "scenarios": (),
            "processes": (),
            "dashboard": (),
        },
    ),
    Floor(
        "runners",
        "how labels are spent",
        {
            "scenarios": (3,),
            "route_runner.py": (6,),
            "labels.py": (7,),
            "training": (9,),
            "store": (10,),
            "base_models": (),
            "events.py": (),
            "reuse.py": (),
        },
    ),
    Floor(
        "benchmarks",
        "what they bought",
        {
            "scoring": (11,),
            "grading": (12,),
            "statistics": (13, 15),
            "boards": (15,),
            "suites": (),
            "tables": (),
            "planning": (),
            "evidence": (),
            "reported": (),
            "measured_boards": (),
            "measured_planners": (),
        },
    ),
    Floor(
        "planner",
        "what to spend",
        {
            "study.py": (4,),
            "space.py": (4,),
            "sampler.py": (),
            "planning": (),
            "scores": (),
            "searching": (4,),
            "route.py": (5,),
            "cost.py": (8,),
            "stages.py": (),
            "allocation.py": (),
        },
    ),
)
RESULTS = Floor(
    "results folder",
    "what a search writes",
    {"ledger.sqlite": (7,), "store/": (10,), "scores/": (12,), "studies/": (4, 16)},
)


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(picture())


def picture() -> str:
    """The picture as SVG."""
    parts, top = [], 16
    for floor in FLOORS:
        drawn, height = _floor(floor, top, "floor")
        parts += drawn
        top += height + 18
        parts += _arrow(top - 18) if floor is not FLOORS[-1] else []
    drawn, height = _floor(RESULTS, top + 6, "disk")
    parts += drawn
    top += height + 30
    parts.append(_text(16, top, "A floor imports only floors below it. Numbers: the steps of tuition search.", "muted"))
    top += 14
    title = "The floors app, runners, benchmarks and planner, each with its rooms"
    size = f'viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    paper = f'<rect class="paper" width="{WIDTH}" height="{top}"/>'
    return "\n".join([head, f"<title>{title}</title>", f"<style>{STYLE}</style>", paper, *parts, "</svg>", ""])


def _floor(floor: Floor, top: int, kind: str) -> tuple[list[str], int]:
    """A floor and its rooms, which are set like words in lines; and its height."""
    parts, x, y = list[str](), LEFT, top + 16
    for name, steps in floor.rooms.items():
        width = 26 + 8 * len(name)
        if x + width > WIDTH - 16 - GAP:
            x, y = LEFT, y + ROOM_HEIGHT + 14
        parts.append(_rect(x, y, width, ROOM_HEIGHT, "room"))
        parts.append(_text(x + width // 2, y + 22, name, "middle"))
        for place, step in enumerate(reversed(steps)):
            parts += _step(step, x + width - 4 - place * (2 * STEP_RADIUS + 2), y)
        x += width + GAP
    height = y + ROOM_HEIGHT + 14 - top
    names = [_text(16 + 14, top + 32, floor.name, "title"), _text(16 + 14, top + 52, floor.purpose, "muted")]
    return [_rect(16, top, WIDTH - 32, height, kind), *names, *parts], height


def _step(step: int, x: int, y: int) -> list[str]:
    return [
        f'<circle class="step" cx="{x}" cy="{y}" r="{STEP_RADIUS}"/>',
        f'<text class="number" x="{x}" y="{y + 4}">{step}</text>',
    ]


def _arrow(top: int) -> list[str]:
    return [f'<path class="arrow" d="M 60 {top + 2} v 13 m -5 -6 l 5 6 l 5 -6"/>']


def _rect(x: int, y: int, width: int, height: int, kind: str) -> str:
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>'


def _text(x: int, y: int, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x}" y="{y}">{escape(text)}</text>'


if __name__ == "__main__":
    main()
