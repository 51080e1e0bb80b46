"""Settings of vLLM on a CPU, before it is imported, and the skip where it is not installed."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.runners.vllm.wide_heads import widen_heads
from tuition.runners.scenarios.scenario_file import BUILT_IN

for name, value in {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # or every process would pin itself to the first core
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "WARNING",
}.items():
    os.environ.setdefault(name, value)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if find_spec("vllm") is None:
        for item in items:
            if "runners/vllm" in item.path.as_posix():
                item.add_marker(pytest.mark.skip(reason="vLLM is not installed here: make test-vllm"))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `student` and `teacher`, those of `micro` as vLLM can take them."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("student", "teacher"):
        widen_heads(BUILT_IN / "micro" / name, folder / name)
    return folder
