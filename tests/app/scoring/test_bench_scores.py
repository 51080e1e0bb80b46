"""`tuition bench` and `tuition suites` as a user meets them, on a micro base checkpoint and small local files."""

import json
import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.app.conftest import Command
from tests.runners import forked_command
from tuition.app.scoring.bench_scores import run_bench
from tuition.app.scoring.bench_tables import tables
from tuition.app.scoring.bench_tasks import BenchRequest
from tuition.benchmarks.artefacts import file_sha256
from tuition.benchmarks.provenance import CODE_VERSION
from tuition.benchmarks.scoring.partial_score import PartialScore
from tuition.benchmarks.scoring.score_store import SAMPLES_FILE
from tuition.benchmarks.suites.catalog import load_by_name

ROOT = Path(__file__).parents[3]
STUDENT = ROOT / "runners" / "scenarios" / "micro" / "student"
DATA = ROOT.parent / "shared" / "data"
BENCH = ["bench", "--model", "base:student", "--suite", "micro", "--limit", "6", "--samples", "2"]


def bench(tuition: Command, *arguments: str) -> dict[str, Any]:
    result = tuition(*BENCH, "--json", *arguments)
    assert result.returncode == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_help_teaches(tuition: Command) -> None:
    result = tuition("bench", "--help")
    assert result.returncode == 0 and "Example: tuition bench" in " ".join(result.stdout.split())
    for name in ("list", "check", "lock", "contamination"):
        assert "Example: tuition suites" in " ".join(tuition("suites", name, "--help").stdout.split())


def test_a_score_is_kept_with_all_that_led_to_it_and_drawn_once(tuition: Command, tmp_path: Path) -> None:
    (row,) = bench(tuition)["scores"]
    assert (row["suite"], row["partial"], row["num_samples"], row["samples_drawn_now"]) == (
        "micro-test@1/384[:6]",
        True,
        2,
        12,
    )
    folder = tmp_path / row["folder"]
    record = json.loads((folder / "record.json").read_text())
    told = ("model", "command", "host", "versions", "gpu_seconds", "seconds", "preset_sources", "num_problems_whole")
    for name in told:
        assert record[name] not in (None, "")
    for name in ("suite", "weights_sha256", "num_samples"):
        assert record["score_key"][name] not in (None, "")
    assert record["score_key"]["decoding"]["name"] == row["preset"] == "sampled"
    assert record["code_version"] == CODE_VERSION
    assert record["command"].startswith("tuition bench --model base:student")
    assert record["gpu_seconds"] > 0 and len(record["score_key"]["weights_sha256"]) == 64
    assert record["model"]["label"] == "micro base:student"
    table = pd.read_parquet(folder / SAMPLES_FILE)
    assert table["correct"].mean() == pytest.approx(row["mean"])
    (again,) = bench(tuition)["scores"]
    assert again["samples_drawn_now"] == 0 and again["key"] == row["key"] and again["mean"] == row["mean"]


def test_a_folder_with_the_same_weights_is_the_same_model(tuition: Command, tmp_path: Path) -> None:
    shutil.copytree(STUDENT, tmp_path / "copy")
    (row,) = bench(tuition)["scores"]
    result = tuition("bench", "--model", "copy", *BENCH[3:], "--json")
    assert json.loads(result.stdout)["scores"][0]["key"] == row["key"]


def test_settings_that_change_a_draw_change_the_key(tuition: Command) -> None:
    keys = [bench(tuition, *extra)["scores"][0]["key"] for extra in ([], ["--seed", "1"], ["--batch-size", "3"])]
    assert len(set(keys)) == 3


def test_the_table_is_headed_and_presets_are_never_set_side_by_side(tuition: Command, tmp_path: Path) -> None:
    request = BenchRequest("base:student", ("micro",), samples=2, limit=6, results=tmp_path / "results", quiet=True)
    first, other = run_bench(request), run_bench(replace(request, suites=("micro-validation",), max_new_tokens=20))
    assert first.document()["heading"] == "one checkpoint: excludes training variance"
    titles = [str(table.title) for table in tables(replace(first, scores=first.scores + other.scores))]
    assert len(titles) == 4 and ["sampled[max_new_tokens=20]" in title for title in titles] == [False] * 2 + [True] * 2
    assert all("excludes training variance" in title for title in titles)
    shown = tuition(*BENCH).stdout
    for text in ("micro-test@1/384[:6]", "avg@k, %", "over problems,", "pass@k, %", "maj@k, %", "preset sampled"):
        assert text in shown


def test_every_number_of_samples_on_the_way_is_shown_with_its_error(tuition: Command, tmp_path: Path) -> None:
    (row,) = bench(tuition, "--samples", "6")["scores"]
    table = pd.read_parquet(tmp_path / row["folder"] / SAMPLES_FILE)
    outcomes_PK = table.sort_values(["problem_id", "sample"])["correct"].to_numpy(float).reshape(6, 6)
    assert [step["k"] for step in row["by_k"]] == [1, 2, 4, 6]
    first, last = row["by_k"][0], row["by_k"][-1]
    assert first["pass_at_k"]["mean"] == pytest.approx(row["mean"]) == pytest.approx(first["maj_at_k"]["mean"])
    assert last["pass_at_k"]["mean"] == pytest.approx(outcomes_PK.any(axis=1).mean())
    assert last["pass_at_k"]["se_samples"] is None
    assert first["pass_at_k"]["se_samples"] == pytest.approx(row["se_samples"])
    assert all(step[name]["se_problems"] >= 0 for step in row["by_k"] for name in ("pass_at_k", "maj_at_k"))
    assert 0 <= row["interval"]["low"] <= row["mean"] <= row["interval"]["high"] <= 1
    for bounds in row["bootstrap"].values():
        assert bounds["low"] is None or bounds["low"] <= row["mean"] <= bounds["high"]
    shown = tuition(*BENCH, "--samples", "6").stdout
    assert f"{100 * last['maj_at_k']['mean']:.1f}" in shown
    assert f"[{100 * row['interval']['low']:.1f}, {100 * row['interval']['high']:.1f}]" in shown


def test_one_sample_of_one_problem_has_a_score_and_nothing_else(tuition: Command) -> None:
    (row,) = bench(tuition, "--limit", "1", "--samples", "1")["scores"]
    assert row["interval"] is None and row["bootstrap"]["problems"]["low"] is None
    assert [(step["k"], step["pass_at_k"]["se_problems"]) for step in row["by_k"]] == [(1, None)]
    shown = tuition(*BENCH, "--limit", "1", "--samples", "1").stdout
    assert "avg@k" in shown and "pass@k" not in shown


def test_local_files_are_scored_and_progress_goes_to_standard_error(tuition: Command, tmp_path: Path) -> None:
    # The student's tokenizer knows few characters: problems that it can read, under the name of the suite without a
    # checksum.
    rows = [{"problem": f"{n}k=", "answer": f"{n}83"} for n in range(1, 31)]
    (tmp_path / "aime26.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ["--suite", "aime26", "--data-dir", ".", "--preset", "micro"]
    result = tuition("bench", "--model", "base:student", *arguments, "--samples", "1", "--json")
    assert result.returncode == 0, result.stderr
    (row,) = json.loads(result.stdout)["scores"]
    assert (row["suite"], row["verified"], row["num_problems"]) == ("aime26@1", False, 30)
    assert "aime26@1: 30/30 samples" in result.stderr
    record = json.loads((tmp_path / row["folder"] / "record.json").read_text())
    assert record["suite_verified"] is False and record["suite_source"] == "aime26.jsonl"
    plain = tuition("bench", "--model", "base:student", *arguments, "--samples", "1")
    assert "aime26@1 (unverified)" in plain.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite", "maths"], "unknown suite 'maths'"),
        (["--suite", "micro,micro"], "each once"),
        (["--suite", "math500", "--data-dir", "."], "math500@1 is not in ."),
        (["--preset", "psychic"], "unknown preset 'psychic'"),
        (["--preset", "greedy", "--no-chat"], "greedy samples are identical"),
        (["--preset", "paper"], "no chat template"),
        (["--model", "base:giant"], "base:student"),
        (["--model", "nowhere"], "no such folder"),
        (["--model", "."], "no safetensors weights"),
        (["--model", "abcdef"], "no store in"),
        (["--engine", "server"], "--engine server and --url need each other"),
        (["--url", "http://localhost:1/v1"], "--engine server and --url need each other"),
        (["--engine", "server", "--url", "localhost"], "give http"),
        (["--engine", "vllm"], "vLLM cannot be imported"),
        (["--engine", "telepathy"], "telepathy"),
        (["--limit", "0"], "--limit"),
    ],
)
def test_wrong_input_is_one_line_and_code_2_and_writes_nothing(
    tuition: Command, tmp_path: Path, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    result = tuition(*BENCH, *arguments)
    assert result.returncode == 2, result.stderr
    assert message in result.stderr and len(result.stderr.strip().splitlines()) == 1 and result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_adapters_and_pickles_are_not_models(tuition: Command, tmp_path: Path) -> None:
    shutil.copytree(STUDENT, tmp_path / "adapter")
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    assert "is an adapter" in tuition(*BENCH, "--model", "adapter").stderr
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"\x80")
    assert "pickled weights are not read" in tuition(*BENCH, "--model", "pickled").stderr


def die_after_three_batches() -> None:
    keep = PartialScore.append

    def append(self: PartialScore, *batch: Any) -> None:
        keep(self, *batch)
        if len(self.batches) == 3:
            with self.path.open("ab") as file:
                file.write(b"0123456789abcdef {half a li")
            os.kill(os.getpid(), signal.SIGKILL)

    PartialScore.append = append  # type: ignore[method-assign]


@pytest.mark.slow
def test_a_killed_bench_goes_on_and_equals_an_undisturbed_one(tuition: Command, tmp_path: Path) -> None:
    (whole,) = bench(tuition, "--results", "whole", "--batch-size", "3")["scores"]
    arguments = [*BENCH, "--results", str(tmp_path / "parts"), "--batch-size", "3", "--json"]
    killed = forked_command.start(arguments, tmp_path / "output", die_after_three_batches)
    killed.join()
    assert killed.exitcode == -signal.SIGKILL, (tmp_path / "output").read_text()
    (resumed,) = json.loads(tuition(*arguments).stdout)["scores"]
    assert resumed["samples_drawn_now"] == 3 and resumed["key"] == whole["key"]
    tables = [file_sha256(tmp_path / row["folder"] / SAMPLES_FILE) for row in (whole, resumed)]
    assert tables[0] == tables[1]


def test_suites_are_listed_with_what_is_verified(tuition: Command) -> None:
    rows = {row["name"]: row for row in json.loads(tuition("suites", "list", "--json").stdout)["suites"]}
    assert not rows["aime26"]["verified"] and rows["math500"]["verified"]
    assert rows["gsm8k"]["num_problems"] == 1319 and rows["math500"]["revision"] is None
    assert "micro-validation" in tuition("suites", "list").stdout


def test_a_folder_of_copies_is_checked(tuition: Command, tmp_path: Path) -> None:
    (tmp_path / "aime26.jsonl").write_text('{"problem": "1+1", "answer": "2"}\n')
    result = tuition("suites", "check", "--data-dir", ".", "--json")
    status = {row["suite"]: row["status"] for row in json.loads(result.stdout)["suites"]}
    assert (status["aime26@1"], status["math500@1"], result.returncode) == ("wrong", "absent", 1)
    assert tuition("suites", "check", "gsm8k", "--data-dir", ".").returncode == 1
    assert tuition("suites", "check", "--data-dir", "nowhere").returncode == 2


def test_the_real_copies_match(tuition: Command) -> None:
    if not DATA.is_dir():
        pytest.skip("needs shared/data beside the repository")
    result = tuition("suites", "check", "--data-dir", str(DATA), "--json")
    assert result.returncode == 0
    status = {row["suite"]: row["status"] for row in json.loads(result.stdout)["suites"]}
    assert [suite for suite, value in status.items() if value != "matches"] == ["aime26@1"]


def test_a_lock_pins_what_the_hub_has(tuition: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Info:
        sha = "c0ffee"

    rows = [{"problem": f"Problem {n}", "answer": n} for n in range(30)]
    monkeypatch.setattr("huggingface_hub.dataset_info", lambda repo: Info())
    monkeypatch.setattr("datasets.load_dataset", lambda *arguments, **options: rows)
    result = tuition("suites", "lock", "aime26", "--json")
    (locked,) = json.loads(result.stdout)["suites"]
    assert (locked["revision"], locked["verified"], result.returncode) == ("c0ffee", False, 0)
    listed = {row["name"]: row for row in json.loads(tuition("suites", "list", "--json").stdout)["suites"]}
    assert listed["aime26"]["revision"] == "c0ffee" and listed["aime26"]["checksum"] == locked["checksum"]
    # Rows that are not the expected ones are never pinned.
    assert "aime24@1" in tuition("suites", "lock", "aime24").stderr
    assert list(json.loads((tmp_path / "results" / "suites.lock.json").read_text())) == ["aime26@1"]


def test_labels_that_are_in_a_suite_are_found(tuition: Command, tmp_path: Path) -> None:
    problem = load_by_name("micro").problems[0]
    rows = [{"id": "seen", "problem": problem.problem}, {"id": "new", "problem": "1+1="}]
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = tuition("suites", "contamination", "labels.jsonl", "micro", "--json")
    (row,) = json.loads(result.stdout)["suites"]
    assert row["pairs"] == [{"label": "seen", "problem": problem.id, "test": "exact"}]
