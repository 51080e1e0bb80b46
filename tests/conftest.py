"""Settings that must be in the environment before torch or a Hugging Face library is imported.

The tests' subprocesses inherit them. A value that is set already is kept.
"""

import gc
import os
import shutil
from pathlib import Path

import psutil
import pytest

for name, value in {
    "OMP_NUM_THREADS": "1",  # one thread per process: sums are added in one order, and tests do not fight over cores
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",  # read by huggingface_hub, transformers and trl
    "MPLBACKEND": "Agg",
}.items():
    os.environ.setdefault(name, value)

MEMORY = Path("/dev/shm")


def has_room(folder: Path) -> bool:
    """Whether it takes what tests write, at most half a gigabyte a process, and programs can be started from there."""
    if not folder.is_dir() or os.statvfs(folder).f_flag & os.ST_NOEXEC:
        return False
    return shutil.disk_usage(folder).free >= 4 * 2**30 and psutil.virtual_memory().available >= 8 * 2**30


# Blocks, scores and ledgers are flushed to the disk, thousands of times: in memory nobody waits for it.
if has_room(MEMORY):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

# What is imported and collected stays: a tenth of that time would go into looking for garbage among it.
gc.disable()

# Whoever asks for one of these trains, opens a browser, draws pages, builds the wheel, or unpacks earlier results.
SLOW_FIXTURES = {"runner", "browser", "trained", "stopped_and_completed", "show", "wheel", "earlier"}


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is slow by what it asks for; what a module makes once is made in one process, not in each."""
    several = config.pluginmanager.hasplugin("xdist")
    for item in items:
        if isinstance(item, pytest.Function) and SLOW_FIXTURES.intersection(item.fixturenames):
            item.add_marker("slow")
        if several and item.get_closest_marker("xdist_group") is None and shares_with_its_module(item):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
    # The longest first: at the end one process would wait for the other.
    items.sort(key=lambda item: (item.path.name != "test_types.py", item.get_closest_marker("slow") is None))


def shares_with_its_module(item: pytest.Item) -> bool:
    """Whether a test asks for something that is made once for its module."""
    if not isinstance(item, pytest.Function):
        return False
    made = item._fixtureinfo.name2fixturedefs
    return any(one.scope == "module" for name in item.fixturenames for one in made.get(name, ()))


@pytest.hookimpl(tryfirst=True)  # before the tests
def pytest_runtestloop() -> None:
    """From here on there is garbage, but none in what was imported and collected."""
    gc.collect()
    gc.freeze()
    gc.enable()
