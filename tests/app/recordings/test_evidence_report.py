"""`tuition evidence`: the best split is found on draw seeds and judged on others; compute is matched as elsewhere."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import Command
from tests.benchmarks.made_table import SEEDS, made_header, made_run
from tuition.app.recordings.evidence_report import BEST, COMPARISONS, gather
from tuition.benchmarks.tables.evidence import Entry, Evidence, markdown
from tuition.benchmarks.tables.recorded_table import RecordedRun, checked_table, role_of, write_table
from tuition.planner.stages import STAGES

HEADER = made_header(num_problems=20, untrained={"student": (1,) * 20, "large": (4,) * 20})
CHAIN = [f"student_rl=4 replay={replay}" for replay in range(1, 13)]
NAMED = list(HEADER.names.values())


def run(text: str, seed: int, validation: int, test: int, **changes: Any) -> RecordedRun:
    counts = {"validation_correct": (validation,) * 20, "test_correct": (test,) * 20}
    return made_run(HEADER, text, seed, **{**counts, **changes})


def runs(texts: Sequence[str] = (*NAMED, *CHAIN)) -> list[RecordedRun]:
    """All routes alike, but for the validation score of four replay blocks."""
    return [run(text, seed, 3 if text == CHAIN[3] else 1, 2 + seed % 2) for seed in SEEDS for text in texts]


def entries(evidence: Evidence) -> dict[str, Entry]:
    return {entry.name: entry for entry in evidence.entries}


def test_every_comparison_of_the_issue_is_made() -> None:
    evidence = gather(checked_table(HEADER, [*runs(), *(run("student_rl=3", seed, 4, 4) for seed in SEEDS)]))
    again = [comparison for comparison, reason in evidence.left_out if reason.startswith("it is best-split - ")]
    assert len(again) == len(evidence.left_out), "but for runners-up that have a name of their own"
    made = [compared.comparison for compared in evidence.compared]
    assert made == [comparison for comparison in COMPARISONS if comparison not in again]
    assert [compared.seeds for compared in evidence.compared] == [SEEDS] * 9 + [SEEDS[::2]] * (len(made) - 9)


def test_compute_is_matched_by_full_seconds_and_chosen_by_validation() -> None:
    found = entries(gather(checked_table(HEADER, runs())))["direct-compute"]
    # The paper's rule costs 4 * 5 + 3 + 1 + 3.5 = 27.5 seconds, a block of the student 2: 14 blocks, 10 of them replay.
    assert "direct-compute" not in entries(gather(checked_table(HEADER, runs([*NAMED, *CHAIN[:6]]))))
    assert found.allocation == CHAIN[3] and set(found.gpu_seconds.values()) == {28.0}


def test_the_best_split_is_selected_without_judges_and_scored_without_draws() -> None:
    upstream, lucky, sound = HEADER.names["teacher-upstream"], "student_rl=3", "student_rl=2"
    planted = []
    for seed in SEEDS:
        draws = role_of(seed) == "draw"
        planted.append(run(sound, seed, 4 if draws else 0, 0 if draws else 3))
        planted.append(run(lucky, seed, 0 if draws else 4, 4))
    evidence = gather(checked_table(HEADER, [*runs(), *planted]))
    best = entries(evidence)[BEST]
    assert best.allocation == sound and set(best.outcomes) == set(SEEDS[::2]) and best.score.mean == 0.75
    assert "100.0 %, biased upwards: it is the best of" in best.note
    compared = {(c.comparison.a, c.comparison.b): c for c in evidence.compared}[BEST, "teacher-upstream"]
    upstream_mean = sum(entries(evidence)["teacher-upstream"].outcomes[seed].mean() for seed in SEEDS[::2]) / 2
    assert compared.difference.mean == pytest.approx(0.75 - upstream_mean) and upstream in NAMED


def test_a_table_of_the_first_seed_says_what_cannot_be_answered_yet() -> None:
    evidence = gather(checked_table(HEADER, [r for r in runs(NAMED) if r.seed == SEEDS[0]]))
    assert len(evidence.compared) == 8
    assert {reason for _, reason in evidence.left_out} == {
        "direct-compute is not recorded",
        "best-split is not recorded",
    }
    assert "the recorded chain is too short" in evidence.notes[0]


def test_base_models_have_one_score_and_are_compared_with_every_seed() -> None:
    evidence = gather(checked_table(HEADER, runs()))
    student, teacher = (entries(evidence)[name] for name in ("untrained-student", "raw-teacher"))
    assert (student.allocation, student.labels_trained, student.seeds) == ("base", 0, ())
    assert (student.score.mean, student.score.num_seeds) == (0.25, 1) and student.score.se_samples > 0
    assert (teacher.allocation, teacher.score.mean) == ("base:large", 1.0) and "no student to deploy" in teacher.note
    compared = {(c.comparison.a, c.comparison.b): c for c in evidence.compared}["direct", "untrained-student"]
    assert compared.seeds == SEEDS and not compared.difference.excludes_training_variance
    assert "| untrained-student | `base` | 0 | 25.0 |" in markdown(evidence)
    before = gather(checked_table(HEADER.model_copy(update={"untrained": {}, "format": 1}), runs()))
    assert "untrained-student is not recorded" in {reason for _, reason in before.left_out}


def test_the_opposite_split_is_found_in_tables_that_do_not_name_it() -> None:
    names = {name: text for name, text in HEADER.names.items() if name != "opposite"}
    evidence = gather(checked_table(HEADER.model_copy(update={"names": names}), runs()))
    found = entries(evidence)["opposite"]
    assert found.allocation == HEADER.names["opposite"] == "teacher=large warmup=1 opd=1 student_rl=4"
    assert ("teacher-upstream", "opposite") in {(c.comparison.a, c.comparison.b) for c in evidence.compared}


def test_the_best_split_is_compared_with_its_runners_up_and_no_pair_twice() -> None:
    opposite = HEADER.names["opposite"]
    planted = [run(text, seed, 4, 4) for seed in SEEDS for text in ("student_rl=3",)]
    planted += [run(opposite, seed, 3, 3) for seed in SEEDS]
    evidence = gather(checked_table(HEADER, [*(r for r in runs() if r.allocation != opposite), *planted]))
    found = entries(evidence)
    assert found[BEST].allocation == "student_rl=3" and found["runner-up-1"].allocation == opposite
    assert found["runner-up-1"].note.startswith("75.0 % on validation")
    left = {(c.a, c.b): reason for c, reason in evidence.left_out}
    assert left[BEST, "runner-up-1"] == "it is best-split - opposite on the same seeds"
    made = [(c.comparison.a, c.comparison.b) for c in evidence.compared]
    assert (BEST, "opposite") in made and (BEST, "runner-up-2") in made and len(made) == len(set(made))


def test_stages_that_compute_something_else_today_are_named() -> None:
    notes = gather(checked_table(HEADER, runs())).notes
    stages = [stage for stage in STAGES if stage.revision != 1]
    assert len(notes) == 1 and all(f"{stage.name} (revision 1, now {stage.revision})" in notes[0] for stage in stages)


def test_the_command_prints_markdown_or_json_and_writes_the_figure(tmp_path: Path, tuition: Command) -> None:
    write_table(tmp_path / "made.parquet", HEADER, runs())
    shown = tuition("evidence", "--table", "made.parquet", "--figure", "figure.svg")
    assert shown.returncode == 0, shown.stderr
    assert "| raw-teacher bridge against direct GRPO: raw-bridge - direct | 4 |" in shown.stdout
    assert (tmp_path / "figure.svg").read_text().startswith("<?xml")
    document = json.loads(tuition("evidence", "--table", "made.parquet", "--json").stdout)
    assert len(document["comparisons"]) + len(document["left_out"]) == len(COMPARISONS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--table", "absent.parquet"], "no recorded table 'absent.parquet'"),
        (["--table", "made.parquet", "--figure", "nowhere/f.png"], "the folder nowhere does not exist"),
        (["--table", "made.parquet", "--figure", "f.txt"], "ends in .png, .pdf or .svg"),
    ],
)
def test_wrong_input_is_one_line(tmp_path: Path, tuition: Command, arguments: list[str], message: str) -> None:
    write_table(tmp_path / "made.parquet", HEADER, runs())
    result = tuition("evidence", *arguments)
    assert result.returncode == 2 and message in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["made.parquet"]


def test_planners_are_ranked_and_written_for_the_dashboard(tmp_path: Path, tuition: Command) -> None:
    write_table(tmp_path / "made.parquet", HEADER, runs())
    arguments = ("planners", "--table", "made.parquet", "--searches", "2")
    result = tuition(*arguments, "--figure", "planners.png")
    assert result.returncode == 0, result.stderr
    assert "# Planners on made@" in result.stdout and "tpe, no named routes" in result.stdout
    assert (tmp_path / "planners.png").stat().st_size > 10_000
    document = json.loads(tuition(*arguments, "--json").stdout)
    assert (tmp_path / document["rows"]).exists() and len(document["budgets"]) == 4
    assert document["budgets"][0]["standings"][0]["searches"] == 4


def test_planners_of_something_else_are_refused(tmp_path: Path, tuition: Command) -> None:
    (tmp_path / "made.parquet").write_text("no table")
    result = tuition("planners", "--table", "made.parquet")
    assert result.returncode == 2 and "made.parquet" in result.stderr and len(result.stderr.splitlines()) <= 2
    assert "--figure" in tuition("planners", "--table", "made.parquet", "--figure", "x.txt").stderr
