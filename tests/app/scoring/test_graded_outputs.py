"""`tuition grade` as a user meets it: order, fields, every kind of bad line, pipes, packed files, stops."""

import functools
import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.app.conftest import Command
from tuition.app.scoring.graded_outputs import MAX_LINE_BYTES, GradeInputError, parse_row, read_rows
from tuition.benchmarks.grading.policies import POLICIES

ROOT = Path(__file__).parents[3]
TOWER = "\\boxed{9^{9^{9^{9}}}}"
ROWS: list[dict[str, Any]] = [
    {"id": 1, "gold": "70", "completion": "12+58=70 \\boxed{70}", "nested": {"a": [1, None, "é\u2028"]}},
    {"id": 2, "gold": "\\frac{1}{2}", "prediction": "0.5"},
    {"id": 3, "gold": "5", "completion": "I do not know."},
    {"id": 4, "gold": "5", "prediction": ""},
    {"id": 5, "gold": "5", "completion": "\ud800 so the answer is 6"},
]
VERDICTS = ["correct", "correct", "no_answer", "no_answer", "wrong"]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_one_line_each_in_order_with_all_fields_and_a_summary(tmp_path: Path, tuition: Command) -> None:
    write(tmp_path / "in.jsonl", ROWS)
    result = tuition("grade", "in.jsonl", "--workers", "2")
    assert result.returncode == 0, result.stderr
    graded = lines(result.stdout)
    assert [row["verdict"] for row in graded] == VERDICTS
    assert [row["extracted"] for row in graded] == ["70", "0.5", None, None, "6"]
    assert all(row["seconds"] >= 0 for row in graded)
    added = ("verdict", "extracted", "seconds")
    assert [{k: v for k, v in row.items() if k not in added} for row in graded] == ROWS
    assert "graded 5 answers" in result.stderr and "2 correct, 1 wrong, 2 no_answer, 0 timeout" in result.stderr


def test_packed_in_packed_out_and_a_summary_as_json(tmp_path: Path, tuition: Command) -> None:
    write(tmp_path / "in.jsonl.gz", ROWS[:4])
    result = tuition("grade", "in.jsonl.gz", "--out", "out.jsonl.gz", "--json", "--workers", "1")
    summary = json.loads(result.stdout)
    assert summary["verdicts"] == {"correct": 2, "wrong": 0, "no_answer": 2, "timeout": 0}
    with gzip.open(tmp_path / "out.jsonl.gz", "rt") as packed:
        assert [row["verdict"] for row in lines(packed.read())] == VERDICTS[:4]
    assert sorted(os.listdir(tmp_path)) == ["in.jsonl.gz", "out.jsonl.gz"]


def test_standard_input(tmp_path: Path, tuition: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\ufeff" + '{"gold": "7", "prediction": "7"}\n\n  \n{"gold": "7", "completion": "\\\\boxed{8}"}'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    result = tuition("grade", "-")
    assert [row["verdict"] for row in lines(result.stdout)] == ["correct", "wrong"]


def test_an_empty_file_is_graded_in_full(tmp_path: Path, tuition: Command) -> None:
    (tmp_path / "in.jsonl").touch()
    result = tuition("grade", "in.jsonl")
    assert (result.returncode, result.stdout) == (0, "") and "graded 0 answers" in result.stderr


def test_fields_of_the_input_that_are_replaced_are_named(tmp_path: Path, tuition: Command) -> None:
    write(tmp_path / "in.jsonl", [{"gold": "7", "prediction": "7", "verdict": "wrong", "seconds": 3}])
    result = tuition("grade", "in.jsonl")
    assert lines(result.stdout)[0]["verdict"] == "correct"
    assert "fields of the input that were overwritten: seconds, verdict" in result.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "not JSON"),
        (b'{"gold": "1", "completion": "1", "score": 1e999}', "out of range"),
        (b'{"gold": "1", "completion": "1", "n": ' + b"1" * 5000 + b"}", "not JSON"),
        (b"[1, 2]", "[1, 2] is not an object"),
        (b'{"completion": "1"}', 'no "gold"'),
        (b'{"gold": "1"}', 'neither "prediction" nor "completion"'),
        (b'{"gold": "1", "prediction": "1", "completion": "1"}', 'both "prediction" and "completion"'),
        (b'{"gold": NaN, "completion": "1"}', '"gold" is NaN; give a string or a number'),
        (b'{"gold": true, "completion": "1"}', '"gold" is true; give a string or a number'),
        (b'{"gold": "1", "completion": null}', '"completion" is null; give a string'),
        (b'{"gold": "1", "completion": ["' + b"a" * 200 + b'"]}', 'aaa...; give a string'),
        (b'{"gold": " ", "completion": "1"}', '"gold" is empty'),
        (b'{"gold": "1", "completion": "\xff"}', "byte 30 is not UTF-8"),
        ('{"gold": "1", "completion": "1"}'.encode("utf-16"), "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)  # fmt: skip
def test_a_bad_line_is_refused_with_its_number_before_anything_is_graded(
    tmp_path: Path, tuition: Command, line: bytes, message: str
) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'{"gold": "5", "completion": "\\\\boxed{5}"}\n' + line + b"\n")
    result = tuition("grade", "in.jsonl", "--out", "out.jsonl")
    assert (result.returncode, result.stdout) == (2, "")
    assert "in.jsonl:2: " in result.stderr and message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert os.listdir(tmp_path) == ["in.jsonl"]


def test_a_bad_line_of_standard_input_ends_the_run_where_it_stands(
    tuition: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"gold": "7", "prediction": "7"}\n{}\n')))
    result = tuition("grade", "-")
    assert result.returncode == 2 and 'standard input:2: no "gold"' in result.stderr
    assert [row["verdict"] for row in lines(result.stdout)] == ["correct"]


def test_a_huge_line_is_not_read_to_its_end() -> None:
    endless = io.BytesIO(b'{"gold": "1", "completion": "' + b"a" * (MAX_LINE_BYTES + 10))
    with pytest.raises(GradeInputError, match="x:1: longer than 16 MiB"):
        list(read_rows(endless, "x"))
    assert endless.tell() == MAX_LINE_BYTES + 1


def test_a_prediction_is_a_formula_and_a_completion_is_as_it_is() -> None:
    assert parse_row(b'{"gold": "1", "prediction": "x+1"}').text == "$x+1$"
    assert parse_row(b'{"gold": "1", "prediction": "$x+1$"}').text == "$x+1$"
    assert parse_row(b'{"gold": "1", "completion": "x+1"}').text == "x+1"


def test_numbers_are_golds_and_what_is_passed_through_may_be_no_number(tmp_path: Path, tuition: Command) -> None:
    assert [parse_row(b'{"gold": %s, "prediction": 2}' % gold).gold for gold in (b"1", b"0.5", b"1e-7")] == [
        "1", "0.5", "0.0000001",
    ]  # fmt: skip
    (tmp_path / "in.jsonl").write_text('{"gold": 7, "completion": "\\\\boxed{7}", "score": NaN}\n')
    (row,) = lines(tuition("grade", "in.jsonl").stdout)
    assert row["verdict"] == "correct" and row["gold"] == 7 and row["score"] != row["score"]


def test_golds_that_are_hard_to_match_are_listed(tmp_path: Path, tuition: Command) -> None:
    write(tmp_path / "in.jsonl", [{"gold": gold, "completion": "\\boxed{42}"} for gold in ("42", "42 dollars")])
    said = "1 answer is hard to match (unit): answer 2: '42 dollars' accepts '42', with any unit or none"
    assert f"note: {said}" in tuition("grade", "in.jsonl").stderr


def test_the_policy_is_chosen_and_said(tmp_path: Path, tuition: Command) -> None:
    write(tmp_path / "in.jsonl", [{"gold": "24", "completion": "\\boxed{13+11}"}])
    for policy, verdict in (("tuition-2", "wrong"), ("math-verify", "correct"), ("last-box", "wrong")):
        result = tuition("grade", "in.jsonl", "--policy", policy)
        assert lines(result.stdout)[0]["verdict"] == verdict and POLICIES[policy].version in result.stderr
    refused = tuition("grade", "in.jsonl", "--policy", "best")
    assert refused.returncode == 2 and "choose one of tuition-1, tuition-2, math-verify, last-box" in refused.stderr


@pytest.mark.parametrize("damage", ["cut", "not packed"])
def test_a_damaged_packed_file_is_one_line(tmp_path: Path, tuition: Command, damage: str) -> None:
    path = write(tmp_path / "in.jsonl.gz", ROWS * 50)
    path.write_bytes(path.read_bytes()[:-20] if damage == "cut" else b'{"gold": "1"}\n')
    result = tuition("grade", "in.jsonl.gz")
    assert result.returncode == 2 and "damaged gzip data" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.jsonl"], "no file absent.jsonl"),
        (["."], "no file ."),
        (["in.jsonl", "--out", "in.jsonl"], "--out in.jsonl already exists"),
        (["in.jsonl", "--json"], "--json needs --out"),
        (["in.jsonl", "--timeout", "0"], "--timeout"),
        (["in.jsonl", "--timeout", "nan"], "timeout"),
        (["in.jsonl", "--workers", "0"], "--workers"),
    ],
)
def test_wrong_arguments_are_one_line_and_code_2(
    tmp_path: Path, tuition: Command, arguments: list[str], message: str
) -> None:
    before = write(tmp_path / "in.jsonl", ROWS).read_bytes()
    result = tuition("grade", *arguments)
    assert (result.returncode, result.stdout) == (2, "") and message in result.stderr
    assert (tmp_path / "in.jsonl").read_bytes() == before


def test_an_output_that_cannot_be_written_is_one_line(tmp_path: Path, tuition: Command) -> None:
    write(tmp_path / "in.jsonl", ROWS)
    result = tuition("grade", "in.jsonl", "--out", "no/such/folder/out.jsonl")
    assert result.returncode == 1 and "No such file or directory" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def start(folder: Path, *arguments: str, **pipes: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tuition.app.cli", "grade", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    # A shell's background jobs, tests among them, may ignore Ctrl-C and hand that down.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, preexec_fn=heed, **pipes)


@pytest.mark.slow
def test_an_interrupt_leaves_nothing_and_ends_the_workers(tmp_path: Path) -> None:
    write(tmp_path / "in.jsonl", [{"gold": "5", "completion": TOWER}])
    arguments = ("in.jsonl", "--out", "out.jsonl", "--timeout", "600", "--policy", "math-verify")
    process = start(tmp_path, *arguments, stdout=subprocess.DEVNULL)
    children: list[psutil.Process] = []
    while not (children and any(child.cpu_times().user > 2.5 for child in children)):
        time.sleep(0.05)
        assert process.poll() is None
        children = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "interrupted after 0 answers" in errors.decode() and "Traceback" not in errors.decode()
    assert os.listdir(tmp_path) == ["in.jsonl"]
    assert not any(child.is_running() for child in children)


def test_a_reader_that_leaves_is_one_line(tmp_path: Path) -> None:
    write(tmp_path / "in.jsonl", ROWS[:1] * 20_000)
    process = start(tmp_path, "in.jsonl", stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    assert b'"correct"' in process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read().decode()
    assert process.wait() == 1
    assert errors.startswith("error: the output was closed by its reader") and len(errors.splitlines()) == 1
