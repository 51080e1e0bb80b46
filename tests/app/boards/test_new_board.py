"""`tuition leaderboard new`: what is declared before the first entry, and kept."""

import json
from pathlib import Path

from tests.app.conftest import Command
from tests.benchmarks.forged_boards import make_honest, named, relist, rewrite
from tuition.benchmarks.boards.board_folder import read_manifest
from tuition.benchmarks.grading.policies import GRADER_VERSION


def test_a_new_leaderboard_declares_how_entries_are_made(tmp_path: Path, tuition: Command) -> None:
    made = tuition("leaderboard", "new", "boards/mine", "--scenario", "micro", "--seeds", "3", "--title", "Mine")
    assert made.returncode == 0 and "training seeds 1000, 2000, 3000" in made.stdout
    manifest = read_manifest(tmp_path / "boards" / "mine")
    (protocol,) = manifest.protocols
    assert (protocol.suite, protocol.num_samples, protocol.grader) == ("micro-test@1/384", 8, GRADER_VERSION)
    assert protocol.training_seeds == (1000, 2000, 3000) and protocol.scenario is not None
    counts = protocol.scenario
    assert (counts.labels, counts.labels_per_block, counts.labels_validation) == (48, 6, 192)
    assert f"Head of the changelog: {manifest.head}" in made.stdout

    again = tuition("leaderboard", "new", "boards/mine")
    assert again.returncode == 2 and "its protocol cannot change; choose a new folder" in again.stderr
    (found,) = json.loads(tuition("leaderboard", "verify", "boards/mine", "--json").stdout)["leaderboards"]
    assert (found["status"], found["measured"], found["head"]) == ("holds", 0, manifest.head)
    wrong = tuition("leaderboard", "verify", "boards/mine", "--head", "0" * 64)
    assert wrong.returncode == 1 and "changelog: stated a chain without the hash 000000000000" in wrong.stdout


def test_a_protocol_needs_a_scenario_that_loads(tuition: Command) -> None:
    result = tuition("leaderboard", "new", "boards/mine", "--scenario", "absent.yaml")
    assert result.returncode == 2 and len(result.stderr.splitlines()) == 1


def test_what_breaks_a_protocol_is_told_as_json(tmp_path: Path, tuition: Command) -> None:
    board = make_honest(tmp_path)
    id, document = named(board, "half")
    relist(board, id, {**document, "scenario": {"name": "other", "sha256": "6" * 64}})
    result = tuition("leaderboard", "verify", "board", "--no-regrade", "--json")
    (found,) = json.loads(result.stdout)["leaderboards"]
    (mismatch,) = found["mismatches"]
    assert mismatch["field"] == "scenario (the leaderboard's protocol)" and result.returncode == 1
    assert (mismatch["stated"], mismatch["recomputed"]) == (f"other {'6' * 64}", f"small {'5' * 64}")


def test_other_label_counts_than_the_scenario_has_are_refused(tmp_path: Path, tuition: Command) -> None:
    assert tuition("leaderboard", "new", "mine").returncode == 0
    rewrite(tmp_path / "mine", lambda manifest: manifest["protocols"][0]["scenario"].update(labels=480))
    result = tuition("leaderboard", "verify", "mine")
    assert (
        result.returncode == 1
        and "labels (the protocol of micro-test@1/384): stated 480, recomputed 48" in result.stdout
    )
