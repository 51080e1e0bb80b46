"""The made-up folder keeps up with the real writers."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_folder_has_every_runs_scores_and_a_report(tmp_path: Path) -> None:
    made = [sys.executable, "-m", "tests.experiments.speed.synthetic_results", str(tmp_path / "results"), "--runs", "6"]
    ended = subprocess.run(made, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=200)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert len(list((tmp_path / "results" / "scores").glob("??/*/record.json"))) >= 6 * 7
    assert (tmp_path / "results" / "studies" / "synthetic-seed0" / "report.json").is_file()
