"""The command line as a user meets it: exit codes, one-line errors, JSON, and that wrong input writes nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.app.conftest import Command
from tests.runners.conftest import small_scenario_file
from tuition.runners.scenarios.scenario import Scenario

ROOT = Path(__file__).parents[2]


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump({**small_scenario_file(), **changes}))
    return path


@pytest.mark.parametrize(
    "command",
    [
        "",
        "search",
        "run",
        "baselines",
        "plan",
        "power",
        "record",
        "recorded",
        "evidence",
        "tune",
        "leaderboard",
        "scenarios",
        "micro",
        "doctor",
    ],
)
def test_help_teaches(command: str, tuition: Command) -> None:
    result = tuition(*command.split(), "--help")
    assert result.returncode == 0 and "Usage:" in result.stdout
    if command in ("search", "run", "baselines", "plan", "power", "record", "recorded", "evidence", "tune"):
        assert f"Example: tuition {command}" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "teacher=medium teacher_rl=3 opd=1 student_rl=2"], "asks for 5 label blocks (3 teacher + 2 student)"),
        (["run", "student_rl=-1"], "student_rl=-1"),
        (["run", "replay=2"], "replay=2 but no label is paid for"),
        (["run", "teacher=medium opd=1 replay=1"], "replay=1 but no label is paid for"),
        (["run", "teacher=giant opd=1"], "unknown teacher 'giant'"),
        (["run", "colour=1"], "unknown field 'colour'"),
        (["search", "--trials", "0"], "--trials"),
        (["search", "--study", "../escape"], "study name '../escape'"),
        (["search", "--sampler", "psychic"], "psychic"),
        (["leaderboard", "show", "absent"], "no leaderboard of study 'absent'"),
        (["store", "list"], "no store in"),
        (["record", "--complete", "--only-named"], "give one of them"),
        (["record", "--complete", "--only", "half"], "give one of them"),
    ],
)
def test_wrong_input_is_one_line_and_code_2_and_writes_nothing(
    tmp_path: Path, tuition: Command, arguments: list[str], message: str
) -> None:
    scenario = ["--scenario", str(write(tmp_path))] if arguments[0] in ("run", "search") else []
    before = sorted(tmp_path.rglob("*"))
    result = tuition(*arguments, *scenario)
    assert result.returncode == 2, result.stderr
    assert message in result.stderr
    assert "Traceback" not in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "blue"}, "unknown key 'colour'"),
        ({"student": {"path": "nowhere"}}, "missing checkpoint"),
        ({"labels": {"micro": "test", "count": 16}}, "problems of the labels pool are in the test suite"),
    ],
)
def test_wrong_scenarios_are_refused_by_every_command(
    tmp_path: Path, tuition: Command, changes: dict[str, Any], message: str
) -> None:
    path = write(tmp_path, **changes)
    for command in (["search"], ["run", "student_rl=1"], ["baselines"], ["plan"]):
        result = tuition(*command, "--scenario", str(path))
        assert result.returncode == 2 and message in result.stderr and "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == [path]


def test_plan_prices_a_search_and_writes_nothing(tmp_path: Path, tuition: Command) -> None:
    result = tuition("plan", "--scenario", str(write(tmp_path)), "--trials", "5", "--json")
    plan = json.loads(result.stdout)
    assert plan["search"]["requested"] >= plan["search"]["distinct"] == plan["search"]["to_train"] > 0
    assert plan["gpu_seconds"] > 0 and plan["peak_disk_bytes"] > 1_000_000
    assert plan["basis"] == {"estimated": plan["gpu_seconds"]}
    assert all("estimated from one thread" in cost["basis"] for cost in plan["costs"])
    assert plan["commands"][0].startswith("tuition measure --scenario")
    assert 0 < plan["dearest_route_gpu_seconds"] < plan["gpu_seconds"]
    assert plan["labels"] == {"labels_budget": 16, "labels_validation": 8, "labels_owned": 24}
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_whole_search_its_repeat_and_its_refusals(tmp_path: Path, tuition: Command) -> None:
    path = write(tmp_path, labels={"micro": "labels", "count": 8})
    arguments = ["search", "--scenario", str(path), "--trials", "6", "--json"]
    first = tuition(*arguments)
    assert first.returncode == 0, first.stderr
    report = json.loads(first.stdout)

    blocks = report["blocks"]
    assert blocks["executed"] == blocks["distinct"] < blocks["requested"]
    proposed = [trial for trial in report["trials"] if "on_the_way_of" not in trial]
    assert len(proposed) == 6
    complete = [trial for trial in proposed if trial["state"] == "complete"]
    for trial in complete:
        assert 0 <= trial["score"]["mean"] <= 1 and trial["score"]["se_problems"] >= 0
        assert trial["gpu_seconds_full"] >= trial["gpu_seconds_marginal"] >= 0
        assert trial["labels_trained"] <= 8
    assert report["labels"]["labels_owned"] <= 8 + 8
    assert report["decision"]["scores"] >= len({trial["allocation"] for trial in complete})
    assert report["decision"]["sentence"].startswith(("Deploy", "Train and deploy", "No decision possible: "))

    rows = {row["name"]: row for row in report["leaderboard"]["rows"]}
    baselines = {"raw-bridge", "half-replay"}
    assert baselines <= rows.keys() and any(row["difference"] is None for row in rows.values())
    base = {"untrained-student": "untrained", "raw-teacher": "teacher"}
    assert {name: row["kind"] for name, row in rows.items() if not row["seeds"]} == base
    assert all(row["seeds"] in ([1000], []) for row in rows.values()), "tested on seeds the search never used"
    assert all(rows[name]["labels_trained"] == rows[name]["gpu_seconds"] == 0 for name in base)
    assert all(row["difference"]["excludes_training_variance"] for row in rows.values() if row["difference"])
    pairs = report["test"]["pairwise"]
    students = [name for name, row in rows.items() if row["kind"] != "teacher"]
    assert len(pairs) == len(students) * (len(students) - 1) / 2
    assert all(row["rank_first"] is None for row in rows.values()), "one seed has no rank"
    assert all(pair["p_value_holm"] is None and 0 <= pair["p_value"] <= 1 for pair in pairs)
    assert all(pair["sign_flip"]["over"] == "problems" and pair["sign_flip"]["exact"] for pair in pairs)
    folder = tmp_path / "results" / "studies" / "small-seed0"
    assert (folder / "leaderboard.png").stat().st_size > 10_000
    assert (folder / "logs" / "trial-0000.log").read_text()

    keys = {p.name for p in (tmp_path / "results" / "store").glob("??/*")}
    again = tuition(*arguments)
    assert again.returncode == 0, again.stderr
    assert {p.name for p in (tmp_path / "results" / "store").glob("??/*")} == keys, "the repeat trained something"
    repeated = json.loads(again.stdout)
    assert repeated["trials"] == report["trials"] and repeated["leaderboard"] == report["leaderboard"]
    assert repeated["test"]["blocks"]["executed"] == 0

    shown = tuition("leaderboard", "show", "small-seed0")
    assert shown.returncode == 0 and "excludes training variance" in " ".join(shown.stdout.split())
    assert "best" not in shown.stdout

    added = tuition("leaderboard", "add", "board", "--study", "small-seed0", "--json")
    assert added.returncode == 0 and len(json.loads(added.stdout)["added"]) == len(rows) - 1, (
        "the raw teacher is a reference"
    )
    verified = tuition("leaderboard", "verify", "board", "--json")
    [verdict] = json.loads(verified.stdout)["leaderboards"]
    # No protocol was declared, and the scenario is a file that the leaderboard does not know.
    assert verified.returncode == 3 and verdict["status"] == "incomplete" and verdict["measured"] == len(rows) - 1

    write(tmp_path, labels_per_block=8)
    other = tuition(*arguments)
    assert other.returncode == 2 and "choose another --study name" in other.stderr
    assert "labels_per_block: 8, was 4" in other.stderr and len(other.stderr.strip().splitlines()) == 1
    kept = Scenario.load(str(folder / "scenario.yaml"))
    assert kept.sha256 == report["scenario_sha256"] and kept.file.labels_per_block == 4


def test_the_command_runs_as_a_program_and_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys, tuition.app.cli\n"
        "sys.exit(1 if {'torch', 'transformers', 'optuna', 'pandas'} & sys.modules.keys() else 0)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0
    command = [sys.executable, "-m", "tuition.app.cli", "grade", "nowhere.jsonl"]  # which imports no torch
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (2, "") and result.stderr.startswith("error: no file nowhere.jsonl")


def test_a_table_that_does_not_exist_is_told_before_libraries_are_imported(tmp_path: Path) -> None:
    code = (
        "import sys, tuition.app.cli\n"
        "for arguments in (['race', '--table'], ['recorded'], ['evidence', '--table']):\n"
        "    sys.argv = ['tuition', *arguments, 'micro@99']\n"
        "    try:\n"
        "        tuition.app.cli.main()\n"
        "    except SystemExit as ended:\n"
        "        assert ended.code == 2\n"
        "assert not {'torch', 'optuna', 'pandas', 'numpy', 'pyarrow', 'scipy'} & sys.modules.keys()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr.count("error: 'micro@99' is neither a file nor") == 3, done.stderr


def test_a_scenario_of_the_hub_is_described_without_it(tmp_path: Path, tuition: Command) -> None:
    document = json.loads(tuition("scenarios", "qwen3-8b-to-1.7b", "--json").stdout)
    assert document["hub"].startswith("model Qwen/Qwen3-1.7B, model Qwen/Qwen3-8B, data set YouJiacheng/DAPO-Math")
    assert document["labels"] == "16896 of dapo-math-17k in blocks of 2112" and document["sha256"] is None
    assert document["routes"]["R5-half"] == "teacher=8b teacher_rl=4 warmup=2 opd=2 student_rl=4 prompts=labels"
    shown = tuition("scenarios", "qwen3-8b-to-1.7b")
    assert [line for line in shown.stdout.splitlines() if "needs the Hub: model Qwen/Qwen3-1.7B" in line]
    refused = tuition("run", "R1", "--scenario", "qwen3-8b-to-1.7b")
    assert refused.returncode == 2 and len(refused.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_plan_on_another_device_than_anything_known_says_unknown(tmp_path: Path, tuition: Command) -> None:
    path = write(tmp_path, hardware={"device": "cuda", "dtype": "bfloat16"})
    plan = json.loads(tuition("plan", "--scenario", str(path), "--trials", "3", "--json").stdout)
    assert plan["gpu_seconds"] is None and plan["gpu_seconds_known"] == 0 and plan["basis"].keys() == {"unknown"}
    shown = " ".join(tuition("plan", "--scenario", str(path), "--trials", "3").stdout.split())
    assert "Time: unknown of GPU time" in shown and "tuition measure --scenario" in shown
    assert " 60 " not in shown and " min" not in shown


@pytest.mark.slow
def test_a_dry_run_needs_neither_weights_nor_a_network(tmp_path: Path, tuition: Command) -> None:
    plan = json.loads(tuition("search", "--scenario", "qwen3-8b-to-1.7b", "--dry-run", "--json").stdout)
    assert plan["planned_from"].startswith("the file alone")
    assert plan["labels"] == {"labels_budget": 16896, "labels_validation": 256, "labels_owned": 17152}
    assert plan["gpu_seconds"] > 1e6 and plan["peak_disk_bytes"] > 1e11
    assert plan["basis"].keys() == {"stated"}
    assert 30e9 < plan["memory"]["teacher_rl"]["bytes"] < 80e9
    assert any(command.startswith("tuition search --scenario qwen3-8b-to-1.7b") for command in plan["commands"])
    assert not (tmp_path / "results").exists()


def test_doctor_says_what_makes_a_stage_smaller(tuition: Command) -> None:
    document = json.loads(tuition("doctor", "--scenario", "micro", "--json").stdout)
    assert document["problems"] == [] and document["memory"]["student_rl"]["bytes"] < 1e9
    shown = tuition("doctor", "--scenario", "qwen3-4b-to-0.6b-lora").stdout
    assert "teacher_rl" in shown and "(stated in the scenario)" in shown and "disk" in shown
