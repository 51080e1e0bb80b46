"""Words and numbers of the dashboard: units, errors, no more digits than an error allows, and data made harmless.

Text from a results folder (names, errors, completions) is never Markdown: in a sentence it stands as `code(text)`.
"""

import math
import re
from collections.abc import Iterable, Mapping

import pandas as pd

from tuition.app.processes.progress import duration
from tuition.benchmarks.boards.ranked_rows import ONE_RUN, RankedRow
from tuition.benchmarks.statistics.intervals import Difference, Score

__all__ = ["ONE_RUN", "code", "duration", "points", "rank_cell", "score", "seconds", "value", "whole"]

# Before a formula, also in full-width letters, at the start of a cell or of what another language's spreadsheet, which
# separates by semicolons, takes for one. A single sign is no formula.
FORMULA = re.compile(r"(?:^|[;\t\r\n])[^\S\r\n]*(?=[=+\-@\uff1d\uff0b\uff0d\uff20][^;\t\r\n])")


def _digits(error: float) -> int:
    """Decimals of a number in percent or points: two figures of its error at most, one decimal at most."""
    return 0 if math.isfinite(error) and error >= 10 else 1


def value(percent: float, error: float | None = None) -> str:
    """A number in percent or points, as exact as its error allows."""
    return f"{percent:.{_digits(math.nan if error is None else error)}f}"


def score(found: Score) -> str:
    """A score with its errors named: "85.8 % ± 1.0 over problems, ± 0.5 over samples"."""
    named = {"problems": found.se_problems, "samples": found.se_samples, "training seeds": found.se_seeds}
    known = {name: 100 * error for name, error in named.items() if math.isfinite(error)}
    errors = ", ".join(f"± {value(error, error)} over {name}" for name, error in known.items())
    largest = max(known.values(), default=math.nan)
    return f"{value(100 * found.mean, largest)} % {errors}".strip()


def points(difference: Difference) -> str:
    """A difference with its interval: "+6.1 points [3.9, 8.2]"."""
    low, middle, high = (100 * x for x in (difference.low, difference.mean, difference.high))
    digits = _digits((high - low) / 4)
    mark = "†" if difference.few_problems else ""
    return f"{middle:+.{digits}f} points [{low:+.{digits}f}, {high:+.{digits}f}]{mark}"


def rank_cell(row: RankedRow, rows: Iterable[RankedRow]) -> dict[str, str]:
    """A row's cell of the column "rank"; no such column where no row has a rank."""
    return {"rank": row.rank} if any(other.rank_first is not None for other in rows) else {}


def seconds(count: float | None) -> str:
    """GPU-seconds with three figures."""
    if count is None or not math.isfinite(count):
        return "unknown"
    return f"{count:,.0f}" if count >= 100 or count == 0 else f"{count:.3g}"


def whole(count: float | None, one: str, many: str | None = None) -> str:
    """A count with its noun: "1 label", "1,200 labels"."""
    if count is None or (isinstance(count, float) and not math.isfinite(count)):
        return f"? {many or one + 's'}"
    return f"{count:,.0f} {one if count == 1 else many or one + 's'}"


def states(counts: Mapping[str, int]) -> str:
    """Trials by state: "4 complete, 1 failed, 2 running"; "" for none."""
    return ", ".join(f"{count:,} {'failed' if state == 'fail' else state}" for state, count in sorted(counts.items()))


def code(text: object) -> str:
    """Text of the data inside of Markdown: a code span, in which nothing is a link, an image, HTML or mathematics."""
    line = " ".join(str(text).split())
    runs = [len(run) for run in re.findall(r"`+", line)]
    fence = "`" * (max(runs, default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def csv(frame: pd.DataFrame) -> bytes:
    """A frame as CSV. What a spreadsheet would take for a formula gets an apostrophe in front, in headings too."""
    texts = [name for name, column in frame.items() if not pd.api.types.is_numeric_dtype(column)]
    tamed = frame.assign(**{str(name): frame[name].astype(object).map(_no_formula) for name in texts})
    text: str = tamed.rename(columns=_no_formula).to_csv(index=False)
    return text.encode()


def _no_formula(cell: object) -> object:
    return FORMULA.sub(r"\g<0>'", cell) if isinstance(cell, str) else cell


def file_name(parts: Iterable[str]) -> str:
    """A harmless file name of such parts."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts)).strip("-.")[:80] or "tuition"
