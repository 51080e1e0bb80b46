"""`tuition suites`: list the suites, check local copies, pin what the Hub has, look for contamination."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from tuition.app.processes.terminal import terminal
from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.suites.catalog import MICRO, SUITES, find_suite, load_by_name
from tuition.benchmarks.suites.loading import Suite, SuiteError, load, read_lock, write_lock
from tuition.runners.scenarios.contamination import find_overlap
from tuition.runners.scenarios.sources import ProblemSource


def list_suites(results: Path) -> list[dict[str, Any]]:
    """All suites: version, number of problems, whether a checksum ships, where rows come from, what is locked."""
    lock = read_lock(results)
    rows: list[dict[str, Any]] = []
    for suite in SUITES.values():
        locked = lock.get(suite.versioned, {})
        rows.append(
            {
                "name": suite.name,
                "suite": suite.versioned,
                "title": suite.title,
                "num_problems": suite.num_problems,
                "verified": suite.checksum is not None,
                "checksum": suite.checksum or locked.get("checksum"),
                "hub": suite.hub.repo,
                "config": suite.hub.config,
                "split": suite.hub.split,
                "revision": suite.hub.revision or locked.get("revision"),
            }
        )
    for name in MICRO:
        loaded = load_by_name(name)
        rows.append(
            {
                "name": name,
                "suite": loaded.name,
                "title": "letters for digits, generated",
                "num_problems": len(loaded.problems),
                "verified": True,
                "checksum": loaded.checksum,
                "hub": None,
                "config": None,
                "split": None,
                "revision": None,
            }
        )
    return rows


def check_suites(data_dir: Path, names: Sequence[str], results: Path) -> list[dict[str, Any]]:
    """Load suites from a folder and say of each whether its rows are the expected ones; absent ones only if named."""
    lock = read_lock(results)
    if not data_dir.is_dir():
        raise SuiteError(f"--data-dir {data_dir}: no such folder")
    rows: list[dict[str, Any]] = []
    for suite in [find_suite(name) for name in names] or SUITES.values():
        held = any((data_dir / name).is_file() for name in (f"{suite.name}.jsonl", *suite.files))
        if not held and not names:
            rows.append({"suite": suite.versioned, "status": "absent", "detail": ""})
            continue
        try:
            loaded = load(suite, data_dir, lock)
        except SuiteError as error:
            rows.append({"suite": suite.versioned, "status": "wrong", "detail": str(error)})
        else:
            status = "matches" if loaded.verified else "unverified"
            rows.append({"suite": suite.versioned, "status": status, "detail": f"{loaded.source}, {loaded.checksum}"})
    return rows


def lock_suites(names: Sequence[str], results: Path) -> tuple[Path, list[dict[str, Any]]]:
    """Look up the newest revision of each data set on the Hub, check its rows, and pin both in the lock file.

    A suite whose rows don't match its checksum is not locked: SuiteError, and the suites before it stay locked.
    """
    lock = read_lock(results)
    path, rows = results, []
    for suite in [find_suite(name) for name in names] or list(SUITES.values()):
        revision = _newest_revision(suite)
        pinned = replace(suite, hub=replace(suite.hub, revision=revision))
        # Not against an earlier lock: locking again is how one moves on.
        loaded = load(pinned)
        entry = {
            "repo": suite.hub.repo,
            "revision": revision,
            "checksum": loaded.checksum,
            "locked": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        lock[suite.versioned] = entry
        path = write_lock(results, lock)
        rows.append({"suite": suite.versioned, "verified": loaded.verified, **entry})
    return path, rows


def _newest_revision(suite: Suite) -> str:
    import httpx
    from huggingface_hub import dataset_info

    try:
        revision = dataset_info(suite.hub.repo).sha
    except (OSError, RuntimeError, ValueError, httpx.HTTPError) as error:
        reason = one_line(error, 160)
        raise SuiteError(
            f"{suite.versioned}: the Hub did not give the revision of {suite.hub.repo} ({reason}): go online"
        ) from None
    if revision is None:
        raise SuiteError(f"{suite.versioned}: the Hub has no revision of {suite.hub.repo}: try again later")
    return revision


def find_contamination(
    labels: Path, names: Sequence[str], data_dir: Path | None, results: Path
) -> list[dict[str, Any]]:
    """Problems that a pool of labels shares with suites, by exact text and by 13-gram. Answers are not read."""
    pool = ProblemSource(jsonl=str(labels.resolve())).load(Path(), answers=False)
    lock = read_lock(results)
    rows: list[dict[str, Any]] = []
    for name in names or [*SUITES]:
        try:
            loaded = load_by_name(name, data_dir, lock)
        except SuiteError as error:
            if names:
                raise
            rows.append({"suite": name, "exact": None, "ngram": None, "pairs": [], "detail": str(error)})
            continue
        overlap = find_overlap(pool, loaded.problems, labels.name, loaded.name)
        pairs = [{"label": a, "problem": b, "test": "exact"} for a, b in overlap.exact]
        pairs += [{"label": a, "problem": b, "test": "13-gram"} for a, b in overlap.ngram]
        rows.append(
            {
                "suite": loaded.name,
                "exact": len(overlap.exact),
                "ngram": len(overlap.ngram),
                "pairs": pairs,
                "detail": f"{len(pool)} labels",
            }
        )
    return rows


def show_rows(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Chosen fields of rows as a table on the terminal."""
    table = Table(*columns, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    terminal(width=140).print(table)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return "-" if value is None else str(value)
