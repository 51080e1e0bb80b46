"""Where things lie in a results folder: what was written before must be found again."""

from pathlib import Path

from tuition.benchmarks.results_folder import ResultsFolder

RESULTS = ResultsFolder(Path("r"))


def test_everything_lies_where_earlier_versions_wrote_it() -> None:
    study, recording = RESULTS.study("s"), RESULTS.recording("0123456789abcdef")
    found = {
        RESULTS.store: "store",
        RESULTS.rollouts: "store/rollouts",
        RESULTS.leases: "store/leases",
        RESULTS.scores: "scores",
        RESULTS.statements: "statements",
        RESULTS.ledger: "ledger.sqlite",
        RESULTS.tracking: "tracking",
        RESULTS.planners: "planners",
        RESULTS.log("block-00"): "logs/block-00.log",
        RESULTS.recorded_table("micro"): "recorded/micro.parquet",
        recording.row(100, "a1"): "recorded/0123456789ab/100/a1.json",
        recording.log: "recorded/0123456789ab/recording.log",
        recording.lock: "recorded/0123456789ab/recording.lock",
        study.database: "studies/s/study.db",
        study.report: "studies/s/report.json",
        study.leaderboard: "studies/s/leaderboard.json",
        study.figure: "studies/s/leaderboard.png",
        study.direct_compute: "studies/s/direct-compute.json",
        study.trial_log(3): "studies/s/logs/trial-0003.log",
        study.log("test"): "studies/s/logs/test.log",
        study.workers: "studies/s/workers",
        study.opening_lock: "studies/s/opening.lock",
    }
    assert {str(path.relative_to("r")) for path in found} == set(found.values())
    assert all(path == Path("r") / name for path, name in found.items())


def test_studies_and_rows_are_found_in_order_and_asking_makes_nothing(tmp_path: Path) -> None:
    results = ResultsFolder(tmp_path / "results")
    assert list(results.study_folders()) == [] and results.recording("ab").rows() == [] and not results.path.exists()
    for name in ("b", "a"):
        results.study(name).path.mkdir(parents=True)
        row = results.recording("ab").row(1, name)
        row.parent.mkdir(parents=True, exist_ok=True)
        row.write_text("{}")
    (results.studies / "note.txt").write_text("no study")
    assert [study.name for study in results.study_folders()] == ["a", "b"]
    assert [path.stem for path in results.recording("ab").rows()] == ["a", "b"]
