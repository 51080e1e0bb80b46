"""`tuition leaderboard check-submission`, as a pull request's CI runs it."""

import json
import shutil
from pathlib import Path

from tests.app.conftest import Command
from tests.benchmarks.forged_boards import COST, make_honest, named
from tests.benchmarks.made_scores import micro_entry
from tuition.benchmarks.boards.board_folder import add_entries


def test_only_what_is_new_is_graded_again_and_what_is_not_is_refused(tmp_path: Path, tuition: Command) -> None:
    base = make_honest(tmp_path / "base")
    board = Path(shutil.copytree(base, tmp_path / "board"))
    new = {"allocation": "teacher=large teacher_rl=2 opd=2 student_rl=2", "labels_trained": 32, "gpu_seconds": COST}
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
