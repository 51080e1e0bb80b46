"""Puts a recorded table among those that ship, under a name and version.

    python -m tuition.benchmarks.tables.publish results/recorded/micro.parquet micro@2

What: `publish` checks the table, takes folders out of the commands that its rows name, and writes it to
`benchmarks/recorded_tables/`. A table that ships is never replaced: another recording is another version.
"""

import re
import sys
from pathlib import Path

from tuition.benchmarks.provenance import without_folders
from tuition.benchmarks.tables.recorded_table import RecordedError, missing_checkpoints, read_table, write_table
from tuition.benchmarks.tables.shipped import FOLDER


def publish(source: Path, name: str, folder: Path = FOLDER) -> Path:
    """The published file; RecordedError without rows, or if the name is no `bench@version`, taken or wrong."""
    found = re.fullmatch(r"([a-z][a-z0-9.-]*)@[1-9][0-9]*", name)
    path = folder / f"{name}.parquet"
    if found is None:
        raise RecordedError(f"{name!r:.80} is no bench with a version: write it as micro@2")
    if path.exists():
        raise RecordedError(f"{name} ships already; give the new table another version")
    table = read_table(source)
    scenario = table.header.scenario.partition("@")[0]
    if scenario != found[1]:
        raise RecordedError(f"{source} is of the scenario {scenario}, not of {found[1]}: call it {scenario}@VERSION")
    if not table.rows:
        raise RecordedError(f"{source} has no row: record it with `tuition record --out {source}`")
    rows = [run.model_copy(update={"command": without_folders(run.command)}) for run in table.rows]
    write_table(path, table.header, rows)
    return path


def main() -> None:
    """Publish the table that the command line names, and say what it lacks."""
    if len(sys.argv) != 3:
        raise SystemExit("usage: python -m tuition.benchmarks.tables.publish TABLE BENCH@VERSION")
    try:
        path = publish(Path(sys.argv[1]), sys.argv[2])
    except RecordedError as error:
        raise SystemExit(f"error: {error}") from None
    table = read_table(path)
    lacking = {seed: len(missing) for seed in table.seeds() if (missing := missing_checkpoints(table, seed))}
    print(f"{path}: {len(table.rows):,} rows, seeds without the whole search space: {lacking or 'none'}")


if __name__ == "__main__":
    main()
