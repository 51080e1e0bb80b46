"""`tuition leaderboard check-submission`, as a pull request's CI runs it."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from tests.app.conftest import Command
from tests.benchmarks.forged_boards import COST, make_honest, named
from tests.benchmarks.made_scores import micro_entry
from tuition.benchmarks.boards.board_folder import MANIFEST, add_entries


def test_only_what_is_new_is_graded_again_and_what_is_not_is_refused(tmp_path: Path, tuition: Command) -> None:
    base = make_honest(tmp_path / "base")
    board = Path(shutil.copytree(base, tmp_path / "board"))
    new: dict[str, Any] = {
        "allocation": "teacher=large teacher_rl=2 opd=2 student_rl=2",
        "labels_trained": 32,
        "gpu_seconds": COST,
    }
    add_entries(board, [micro_entry(tmp_path, "quarter", 0.6, **new)])

    # The made-up scenario is not at hand, so keys are lacking; nothing else is.
    result = tuition("leaderboard", "check-submission", "board", "--base", "base/board", "--json")
    document = json.loads(result.stdout)
    (found,) = document["leaderboards"]
    assert (result.returncode, found["status"], found["mismatches"]) == (3, "incomplete", [])
    assert found["lacks"] == ["1 entry: the scenario is not at hand (small): keys of blocks were not computed again"]
    assert {graded["id"] for graded in found["regraded"]} == {named(board, "quarter")[0]} == set(document["new"])

    (board / "README.md").write_text("<script>")
    refused = tuition("leaderboard", "check-submission", "board", "--base", "base/board")
    assert refused.returncode == 1 and "README.md: stated a new file" in refused.stdout


def test_names_of_files_are_printed_so_that_they_steer_nothing(tmp_path: Path, tuition: Command) -> None:
    hostile, shown = "x\n::error::ok\n\033[2J\u202ey.json", r"x\n::error::ok\n\x1b[2J\u202ey.json"
    assert tuition("leaderboard", "new", "base").returncode == 0
    (tmp_path / "base" / "entries").mkdir()
    board = Path(shutil.copytree(tmp_path / "base", tmp_path / f"b{hostile}"))
    (board / "entries" / hostile).touch()
    (board / hostile).touch()
    (board / "entries" / os.fsdecode(b"\xff.json")).touch()

    checked = tuition("leaderboard", "check-submission", board.name, "--base", "base")
    assert f"entries/{shown}: stated a new file" in checked.stdout and f" {shown}: stated a new file" in checked.stdout
    verified = tuition("leaderboard", "verify", board.name)
    assert f"note: entries/{shown}: no entry" in verified.stdout and rf"b{shown}, version 1.0" in verified.stdout
    assert r"entries/\udcff.json" in verified.stdout
    (board / MANIFEST).unlink()
    gone = tuition("leaderboard", "verify", f"./{board.name}")
    assert gone.stderr == f"error: b{shown}/{MANIFEST} is missing\n"
    for said in (checked, verified, gone):
        text = said.stdout + said.stderr
        assert all(line.isprintable() and not line.startswith("::") for line in text.split("\n"))
