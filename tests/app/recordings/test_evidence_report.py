"""`tuition evidence`: best splits are found on draw seeds and judged on others; the paper's claims get verdicts."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import Command
from tests.benchmarks.made_table import SEEDS, made_complete_table, made_header, made_run
from tuition.app.recordings import evidence_report
from tuition.app.recordings.evidence_report import PICKED, PLANNED, make_evidence
from tuition.benchmarks.boards.ranked_rows import ONE_RUN
from tuition.benchmarks.evidence.claims import CLAIMS
from tuition.benchmarks.evidence.comparisons import Entry
from tuition.benchmarks.evidence.markdown import TITLES, markdown
from tuition.benchmarks.evidence.table_evidence import Evidence
from tuition.benchmarks.tables.recorded_table import (
    RecordedError,
    RecordedRun,
    RecordedTable,
    checked_table,
    role_of,
    write_table,
)
from tuition.planner.stages import STAGES

HEADER = made_header(num_problems=20, untrained={"student": (1,) * 20, "large": (4,) * 20})
CHAIN = [f"student_rl=4 replay={replay}" for replay in range(1, 13)]
NAMED = list(HEADER.names.values())
BEST = "best-split"


def run(text: str, seed: int, validation: int, test: int, **changes: Any) -> RecordedRun:
    counts = {"validation_correct": (validation,) * 20, "test_correct": (test,) * 20}
    return made_run(HEADER, text, seed, **{**counts, **changes})


def runs(texts: Sequence[str] = (*NAMED, *CHAIN)) -> list[RecordedRun]:
    """All routes alike, but for the validation score of four replay blocks."""
    return [run(text, seed, 3 if text == CHAIN[3] else 1, 2 + seed % 2) for seed in SEEDS for text in texts]


def gather(table: RecordedTable) -> Evidence:
    return evidence_report.gather(table, "made")


def entries(evidence: Evidence) -> dict[str, Entry]:
    return {entry.name: entry for entry in evidence.entries}


def pairs(evidence: Evidence) -> list[tuple[str, str]]:
    every = (*evidence.planned.compared, *evidence.picked.compared)
    return [(compared.comparison.a, compared.comparison.b) for compared in every]


def test_every_planned_comparison_is_made_on_all_seeds_and_those_of_best_splits_on_judges() -> None:
    evidence = gather(checked_table(HEADER, [*runs(), *(run("student_rl=3", seed, 4, 4) for seed in SEEDS)]))
    assert [compared.comparison for compared in evidence.planned.compared] == list(PLANNED)
    assert {compared.seeds for compared in evidence.planned.compared} == {SEEDS}
    assert {compared.seeds for compared in evidence.picked.compared} == {SEEDS[::2]}
    reasons = {reason.split(" - ")[0] for _, reason in evidence.picked.left_out}
    assert all(reason.startswith(("it is ", "both are the same allocation")) for reason in reasons)
    assert len(evidence.picked.compared) + len(evidence.picked.left_out) == len(PICKED)


def test_compute_is_matched_by_full_seconds_and_chosen_by_validation() -> None:
    found = entries(gather(checked_table(HEADER, runs())))["direct-compute"]
    # The paper's rule costs 4 * 5 + 3 + 1 + 3.5 = 27.5 seconds, a block of the student 2: 14 blocks, 10 of them replay.
    assert "direct-compute" not in entries(gather(checked_table(HEADER, runs([*NAMED, *CHAIN[:6]]))))
    assert found.allocation == CHAIN[3] and set(found.gpu_seconds.values()) == {28.0}


def test_best_splits_are_selected_without_judges_and_scored_without_draws() -> None:
    lucky, sound = (f"teacher=large teacher_rl={t} warmup=1 opd=1 student_rl=1" for t in (1, 2))
    planted = []
    for seed in SEEDS:
        draws = role_of(seed) == "draw"
        planted.append(run(sound, seed, 4 if draws else 0, 0 if draws else 3))
        planted.append(run(lucky, seed, 0 if draws else 4, 4))
    evidence = gather(checked_table(HEADER, [*runs(), *planted]))
    for name in (BEST, "best-interior"):
        best = entries(evidence)[name]
        assert best.allocation == sound and set(best.outcomes) == set(SEEDS[::2]) and best.score.mean == 0.75
        assert "100.0 %, biased upwards: it is the best of" in best.note
    compared = {(c.comparison.a, c.comparison.b): c for c in evidence.picked.compared}
    found = compared["best-interior", "teacher-upstream"]
    upstream_mean = sum(entries(evidence)["teacher-upstream"].outcomes[seed].mean() for seed in SEEDS[::2]) / 2
    assert found.difference.mean == pytest.approx(0.75 - upstream_mean)
    corners = {b for a, b in compared if a == "best-interior"}
    assert {"teacher-upstream", "opposite", "direct", "half"} <= corners


def test_a_table_of_the_first_seed_says_what_cannot_be_answered_yet() -> None:
    evidence = gather(checked_table(HEADER, [r for r in runs(NAMED) if r.seed == SEEDS[0]]))
    assert len(evidence.planned.compared) == 8 and not evidence.picked.compared
    left_out = (*evidence.planned.left_out, *evidence.picked.left_out)
    absent = ("direct-compute", "best-split", "best-interior", "teacher-upstream:small")
    assert {reason for _, reason in left_out} == {f"{name} is not recorded" for name in absent}
    assert "the recorded chain is too short" in evidence.notes[0]
    assert evidence.count("undecided") == len(evidence.claims), "one seed decides nothing"
    text = markdown([evidence])
    assert f"Some rows: {ONE_RUN}" in text and text.count(f"half - half-replay: {ONE_RUN}.") == 1


def test_a_table_without_rows_shows_nothing_and_says_so() -> None:
    with pytest.raises(RecordedError, match="made@1 has no rows"):
        evidence_report.gather(checked_table(HEADER, []), "made@1")


def test_base_models_have_one_score_and_are_compared_with_every_seed() -> None:
    evidence = gather(checked_table(HEADER, runs()))
    student, teacher = (entries(evidence)[name] for name in ("untrained-student", "raw-teacher"))
    assert (student.allocation, student.labels_trained, student.seeds) == ("base", 0, ())
    assert (student.score.mean, student.score.num_seeds) == (0.25, 1) and student.score.se_samples > 0
    assert (teacher.allocation, teacher.score.mean) == ("base:large", 1.0) and "no student to deploy" in teacher.note
    compared = evidence.compared("direct", "untrained-student")
    assert compared and compared.seeds == SEEDS and not compared.difference.excludes_training_variance
    text = markdown([evidence])
    assert "| untrained-student | `base` | 0 | 25.0 |" in text
    assert "| student, untrained | 25.0 |" in text and "| teacher, untrained (no student to deploy) | 100.0 |" in text
    before = gather(checked_table(HEADER.model_copy(update={"untrained": {}, "format": 1}), runs()))
    assert "untrained-student is not recorded" in {reason for _, reason in before.planned.left_out}


def test_the_opposite_split_is_found_in_tables_that_do_not_name_it() -> None:
    names = {name: text for name, text in HEADER.names.items() if name != "opposite"}
    evidence = gather(checked_table(HEADER.model_copy(update={"names": names}), runs()))
    found = entries(evidence)["opposite"]
    assert found.allocation == HEADER.names["opposite"] == "teacher=large warmup=1 opd=1 student_rl=4"
    assert ("teacher-upstream", "opposite") in pairs(evidence)


def test_no_pair_is_compared_twice() -> None:
    planted = [run("student_rl=3", seed, 4, 4) for seed in SEEDS]
    evidence = gather(checked_table(HEADER, [*runs(), *planted]))
    assert entries(evidence)[BEST].allocation == entries(evidence)["best-direct"].allocation == "student_rl=3"
    made = pairs(evidence)
    assert ("best-interior", "best-direct") in made and len(made) == len(set(made))


def test_a_complete_table_answers_every_claim_contradictions_first() -> None:
    def mean(checkpoint: Any, seed: int) -> float:
        text = str(checkpoint)
        return 0.9 if text == HEADER.names["half"] else 0.7 if text == HEADER.names["direct"] else 0.4

    table = made_complete_table(mean=mean, seeds=range(SEEDS[0], SEEDS[0] + 6), num_problems=60, samples=4)
    extra = [HEADER.names[name] for name in ("sft-teacher", "sample-sft", "half-replay")]
    more = [made_run(table.header, text, seed, 0.4) for seed in table.seeds() for text in extra]
    header = table.header.model_copy(update={"untrained": {"large": (1,) * 60, "small": (2,) * 60}})
    evidence = gather(checked_table(header, [*table.rows, *more]))
    judged = {(j.claim.a, j.claim.b): j for j in evidence.claims}
    assert len(judged) == len(CLAIMS) + 1 and all(j.compared is not None for j in judged.values())
    assert judged["half", "half-bridge"].verdict == judged["half", "direct"].verdict == "seen"
    assert judged["teacher-upstream", "half"].verdict == judged["teacher-upstream", "direct"].verdict == "contradicted"
    inner = judged["best-interior", "best-upstream"]
    assert inner.verdict == "contradicted" and inner.compared and len(inner.compared.seeds) == 3
    assert ("teacher-upstream:small", "teacher-upstream") in judged, "the small one is the stronger one here"
    rows = [line for line in markdown([evidence]).splitlines() if line.endswith("seeds |") and " - " in line]
    verdicts = [next(word for word in ("contradicted", "undecided", "seen") if word in row) for row in rows]
    assert verdicts == sorted(verdicts, key=("contradicted", "undecided", "seen").index) and len(rows) == len(judged)
    assert [curve.teacher for curve in evidence.curves] == ["large", "small"]


def test_stages_that_compute_something_else_today_are_named() -> None:
    notes = gather(checked_table(HEADER, runs())).notes
    stages = [stage for stage in STAGES if stage.revision != 1]
    assert len(notes) == 1 and all(f"{stage.name} (revision 1, now {stage.revision})" in notes[0] for stage in stages)


def test_several_tables_stand_side_by_side() -> None:
    table = checked_table(HEADER, [*runs(), *(run("student_rl=3", seed, 1, 1) for seed in SEEDS)])
    found = [evidence_report.gather(table, name) for name in ("one", "two")]
    text = markdown(found)
    assert "| the paper says | it prints, points | `one`, points [95 %] | `two`, points [95 %] |" in text
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        f"## {title}" for title in TITLES.values()
    ]
    cells = {line.count("|") for line in text.splitlines() if line.startswith("| all on the teacher - opposite split")}
    assert cells == {4} and text.count("minus all on the teacher") == 2


def test_the_command_prints_markdown_or_json_and_writes_the_figure(tmp_path: Path, tuition: Command) -> None:
    write_table(tmp_path / "made.parquet", HEADER, runs())
    shown = tuition("evidence", "--table", "made.parquet", "--out", "figure.svg")
    assert shown.returncode == 0, shown.stderr
    assert "| raw-teacher bridge against direct GRPO: raw-bridge - direct | 4 |" in shown.stdout
    assert (tmp_path / "figure.svg").read_text().startswith("<?xml")
    (document,) = json.loads(tuition("evidence", "--table", "made.parquet", "--json").stdout)["tables"]
    other_teacher = 1
    assert len(document["comparisons"]) + len(document["left_out"]) == len(PLANNED) + len(PICKED) + other_teacher
    assert sum(document["verdicts"].values()) == len(document["claims"]) == len(CLAIMS)
    assert document["curves"][0]["points"][0]["teacher_label_blocks"] == 0 and document["table"] == "made"


def test_without_a_table_the_newest_of_every_bench_are_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("micro@1", "micro@2", "other@10", "other@9"):
        write_table(tmp_path / f"{name}.parquet", HEADER, runs(NAMED))
    monkeypatch.setattr("tuition.benchmarks.tables.shipped.FOLDER", tmp_path)
    document, _ = make_evidence([], None)
    assert [table["table"] for table in document["tables"]] == ["micro@2", "other@10"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--table", "absent.parquet"], "no recorded table 'absent.parquet'"),
        (["--table", "made.parquet", "--out", "nowhere/f.png"], "the folder nowhere does not exist"),
        (["--table", "made.parquet", "--figure", "f.txt"], "ends in .png, .pdf or .svg"),
    ],
)
def test_wrong_input_is_one_line(tmp_path: Path, tuition: Command, arguments: list[str], message: str) -> None:
    write_table(tmp_path / "made.parquet", HEADER, runs())
    result = tuition("evidence", *arguments)
    assert result.returncode == 2 and message in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["made.parquet"]
