"""A disk that fills while a search runs; a disk that is full from the start is in test_damage.py."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.faults.conftest import assert_one_line
from tests.runners.conftest import tiny_scenario_file

from tuition.planner.searching import trial_loop

pytestmark = pytest.mark.slow


def test_a_disk_that_fills_during_a_search_counts_as_no_trial(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tuition: Callable[..., tuple[int, str]]
) -> None:
    monkeypatch.setattr(trial_loop, "RETRY_SECONDS", 0.0)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny_scenario_file()))
    command = ["search", "--scenario", str(tmp_path / "tiny.yaml"), "--results", str(disk), "--trials", "2"]
    command += ["--test-seeds", "0", "--sampler", "random"]
    # First direct GRPO, then a teacher whose block does not fit.
    code, error = tuition(*command)
    assert code == 1
    assert_one_line(error, "free disk space", "rerun the same command to resume")
    assert not (disk / "studies" / "tiny-seed0" / "report.json").exists(), "nothing is recommended"
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    assert tuition(*command)[0] == 0
    report = json.loads((disk / "studies" / "tiny-seed0" / "report.json").read_text())
    states = [trial["state"] for trial in report["trials"]]
    assert states == ["complete", "complete", "waiting"], "the third is queued, and was not asked for"
    assert report["trials"][0]["allocation"] == "student_rl=2"
