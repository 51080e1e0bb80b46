"""A search seen progressing in a real browser, while it runs."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.browser.served import REPOSITORY, Server, command, open_page

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

LIVE = "live"
PATIENCE_SECONDS = 150.0


@pytest.fixture
def searching(results: Path, scenario: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A search on a seed of its own, so that it has blocks to train, in the folder that is being served."""
    arguments = command(
        "search", "--scenario", str(scenario), "--trials", "40", "--results", str(results), "--study", LIVE,
        "--seed", "5", "--quiet",
    )  # fmt: skip
    with (tmp_path / "search.log").open("wb") as log:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(arguments, cwd=REPOSITORY, env=environment, stdout=log, stderr=log)
        yield process
        process.kill()
        process.wait()


def test_a_running_search_is_seen_progressing(
    server: Server, searching: subprocess.Popen[bytes], results: Path, page: Any
) -> None:
    wait_for(lambda: (results / "studies" / LIVE / "study.db").is_file(), searching)
    seen: list[int] = []

    def progressed() -> bool:
        open_page(page, server.url("allocations", study=LIVE), "Allocations")
        assert page.get_by_test_id("stException").count() == 0
        found = re.search(r"of (\d+)\.", page.get_by_test_id("stMain").inner_text())
        seen.append(int(found[1]) if found else 0)
        return seen[-1] > seen[0] and seen[-1] >= 2

    wait_for(progressed, searching)
    assert seen == sorted(seen)


def wait_for(condition: Any, searching: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert searching.poll() is None, "the search has ended"
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s"
        time.sleep(0.5)
