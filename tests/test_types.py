"""mypy --strict finds nothing. A test, so that it runs beside the others instead of before them."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_types_are_right() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "mypy"], cwd=Path(__file__).parents[1], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
