"""Cells that the tables of a board share: numbers with their units, and what a row tells beside its score."""

from tuition.benchmarks.boards.entries import NOT_RESAMPLED, SHORT_ID, LeaderboardEntry, MeasuredEntry, MeasuredScore
from tuition.benchmarks.boards.manifest import Manifest
from tuition.benchmarks.boards.ranked_rows import SHUFFLED
from tuition.benchmarks.boards.standings import MeasuredTable, Standing
from tuition.benchmarks.statistics.intervals import Difference

CAPTION = (
    "Scores in percent; each error says what it is over. Rank, from three training seeds on: ranks consistent with the "
    "pairwise paired differences after Holm's correction over all ranked pairs of the table. Each row's seed "
    "variance is moderated by those of the other rows. Intervals of differences are not corrected for multiple "
    "comparisons. GPU-seconds: training cost of one run from scratch, ignoring reuse; processor time on a CPU. "
    f"Completions are as submitted, {NOT_RESAMPLED}: `tuition leaderboard resample ENTRY` draws them again."
)
REPORTED = "Reported by their sources and not recomputed; never ranked with measured entries."


def percent(fraction: float) -> str:
    """A fraction in percent with one digit."""
    return f"{100 * fraction:.1f}"


def errors(score: MeasuredScore) -> list[tuple[str, str]]:
    """(error in percent, what it is over), for every error that is defined."""
    named = {"problems": score.se_problems, "samples": score.se_samples, "seeds": score.se_seeds}
    return [(percent(error), name) for name, error in named.items() if error is not None]


def points(difference: Difference | None, reference: bool) -> str:
    """A difference in points with its interval."""
    if difference is None:
        return "reference" if reference else "not compared"
    mark = "†" if difference.few_problems else ""
    return f"{100 * difference.mean:+.1f} [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]{mark}"


def labels(entry: LeaderboardEntry) -> str:
    """The three label counts, each with its name."""
    counts = {
        "trained": entry.labels_trained,
        "validation": entry.labels_validation,
        "owned": entry.labels_owned,
    }
    known = [f"{count:,} {name}" for name, count in counts.items() if count is not None]
    return ", ".join(known) or "not stated"


def cost(row: Standing) -> str:
    """Full GPU-seconds of one training run, marked where nothing could be held against them."""
    seconds = row.entry.gpu_seconds
    return "not stated" if seconds is None else f"{seconds:,.0f}{' ‡' if row.price_unchecked else ''}"


def seeds(entry: MeasuredEntry) -> str:
    """The training seeds."""
    return ", ".join(map(str, entry.seeds)) or ("untrained" if entry.untrained else "one checkpoint, seed unknown")


def subject(entry: LeaderboardEntry) -> str:
    """Model and allocation, as far as they are stated and not the name itself."""
    shuffled = isinstance(entry, MeasuredEntry) and entry.shuffled
    allocation = f"{entry.allocation}{SHUFFLED}" if shuffled else entry.allocation
    return "; ".join(text for text in (entry.model, allocation) if text is not None and text != entry.name)


def protocol(table: MeasuredTable) -> str:
    """How often and on what the rows were scored, and by which policy, which all of them share."""
    shapes = sorted({(row.entry.num_samples, row.entry.num_problems) for row in table.rows})
    scored = "; ".join(f"avg@{samples} over {problems} problems" for samples, problems in shapes)
    return f"{scored}, graded by {table.rows[0].entry.grader}"


def level(table: MeasuredTable) -> str:
    """The level of the intervals."""
    levels = sorted({row.difference.level for row in table.rows if row.difference is not None})
    return ", ".join(f"{100 * level:g} %" for level in levels)


def cite(manifest: Manifest) -> str:
    """The leaderboard's citation on one line."""
    last = manifest.changelog[-1]
    where = f" {manifest.url}" if manifest.url else ""
    return f"{manifest.title}, version {manifest.version} ({last.date}), made with Tuition.{where}"


def short(id: str) -> str:
    """The id as it is shown."""
    return id[:SHORT_ID]
