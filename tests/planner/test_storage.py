"""Several processes on one study; what cannot be opened is tested in test_study.py and tests/faults."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import optuna
import pytest

from tuition.planner.storage import open_storage

# A process of its own each: SQLite's locks are between processes, and so was the fault.
TAKE_TRIALS = """
import json, sys
import optuna
from tuition.planner.storage import open_storage
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.load_study(study_name="shared", storage=open_storage(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(json.dumps([study.ask().number for _ in range(int(sys.argv[2]))]))
"""


@pytest.mark.slow
def test_no_waiting_trial_is_taken_by_two_processes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    study = optuna.create_study(study_name="shared", storage=open_storage(url))
    for number in range(60):
        study.enqueue_trial({"x": number})
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TAKE_TRIALS, url, "30"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    taken = Counter(number for process in processes for number in json.loads(process.communicate()[0]))
    assert taken.total() == 90
    assert [number for number, times in taken.items() if times > 1] == []
