"""Recorded tables that ship with Tuition, named by scenario and version as `micro@1`."""

from pathlib import Path

from tuition.benchmarks.tables.recorded_error import RecordedError

FOLDER = Path(__file__).parents[1] / "recorded_tables"


def shipped_tables() -> dict[str, Path]:
    """The tables that ship, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.parquet"))}


def newest_tables() -> list[str]:
    """The names of the shipped tables without earlier versions of a bench."""
    newest: dict[str, int] = {}
    for name in shipped_tables():
        bench, _, version = name.rpartition("@")
        newest[bench] = max(int(version), newest.get(bench, 0))
    return [f"{bench}@{version}" for bench, version in sorted(newest.items())]


def find_table(table: str) -> Path:
    """A recorded table's file, from its path or the name of one that ships; RecordedError for neither."""
    shipped = shipped_tables()
    if Path(table).exists() or (table not in shipped and Path(table).suffix):
        return Path(table)
    if table not in shipped:
        raise RecordedError(f"{table!r:.80} is neither a file nor a shipped table (shipped: {', '.join(shipped)})")
    return shipped[table]
