"""A user's own models and problems: micro's checkpoints in a folder of theirs."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.app.conftest import Command
from tuition.app.costs.planned_passes import plan_passes
from tuition.app.scenarios.scenario_text import NewScenario, scenario_text
from tuition.benchmarks.suites.catalog import SUITES
from tuition.benchmarks.suites.micro import make_problems
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import BUILT_IN, ScenarioFile

NEW = ("scenarios", "new", "mine.yaml", "--student", "small", "--teacher", "big", "--problems", "mine.jsonl")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a user's two models and forty problems."""
    for name, model in (("small", "student"), ("big", "teacher")):
        shutil.copytree(BUILT_IN / "micro" / model, tmp_path / name)
    write(tmp_path, [{"id": f"p{i}", "problem": p.problem, "answer": p.answer} for i, p in enumerate(problems())])
    return tmp_path


def problems() -> list[Any]:
    return list(make_problems("labels", 40, "micro"))


def write(folder: Path, rows: list[dict[str, str]]) -> None:
    (folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def rows(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "mine.jsonl").read_text().splitlines()]


def change(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_it_writes_a_scenario_that_loads_and_can_be_planned(folder: Path, tuition: Command) -> None:
    result = tuition(*NEW, "--max-tokens", "8", "--json")
    assert result.returncode == 0
    document = json.loads(result.stdout)
    # The sentence that asks for a box is longer than what micro's models were made for.
    assert document["problems"] == [] and "exceeds the 48 positions of student" in " ".join(document["notes"])
    assert document["labels"] == "24 in 8 blocks of 3" and document["left_out"] == []
    assert (document["validation"], document["test"]) == (5, 10)
    assert document["vocab_size"] == {"student": 164, "teacher": 164}
    assert set(document["contamination"].values()) == {"not available"}
    text = (folder / "mine.yaml").read_text()
    assert str(folder) not in text and text.count("#") > 10
    scenario = Scenario.load(str(folder / "mine.yaml"))
    ids = [p.id for p in (*scenario.labels, *scenario.validation, *scenario.test)]
    assert len(set(ids)) == len(ids) == 39
    shown = tuition("scenarios", "mine.yaml")
    assert shown.returncode == 0 and "24 in blocks of 3" in shown.stdout
    assert tuition("plan", "--scenario", "mine.yaml").returncode == 0


@pytest.mark.parametrize("num_problems", [40, 347, 1000])
def test_its_steps_pass_over_every_label(folder: Path, num_problems: int) -> None:
    request = NewScenario(folder / "mine.yaml", str(folder / "small"), str(folder / "big"), folder / "mine.jsonl")
    write(folder, [{"id": f"p{i}", "problem": f"{i}+1=", "answer": str(i + 1)} for i in range(num_problems)])
    file = ScenarioFile.model_validate(yaml.safe_load(scenario_text(request, [], num_problems, None)))
    rows = plan_passes(Scenario(file, folder), seed=0)
    of_labels = {row.stage: row.never for row in rows if row.of == "labels"}
    assert of_labels == {"teacher_rl": 0, "student_rl": 0}
    assert not any(row.note for row in rows)


def test_it_never_overwrites(folder: Path, tuition: Command) -> None:
    (folder / "mine.yaml").write_text("mine")
    result = tuition(*NEW)
    assert result.returncode == 2 and "mine.yaml already exists" in result.stderr
    assert (folder / "mine.yaml").read_text() == "mine"


def test_repeats_and_answers_that_cannot_be_graded_are_left_out_by_name(folder: Path, tuition: Command) -> None:
    given = rows(folder)
    extra = [{**given[0], "id": "again"}, {"id": "odd", "problem": "99z=", "answer": "\\frac{"}]
    write(folder, [*given, *extra])
    document = json.loads(tuition(*NEW, "--json").stdout)
    assert document["left_out"] == ["again", "odd"]
    assert "1 problems are repeats and were left out (again)" in document["notes"]
    assert "1 answers cannot be read by the grader and were left out (odd)" in document["notes"]
    assert yaml.safe_load((folder / "mine.yaml").read_text())["labels"]["without"] == ["again", "odd"]
    assert len(Scenario.load(str(folder / "mine.yaml")).labels) == 24


def test_problems_of_a_suite_are_found(folder: Path, tuition: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SUITES, "aime24", replace(SUITES["aime24"], checksum=None))
    (folder / "data").mkdir()
    suite = [{"problem": f"How much is {i}?", "answer": "1"} for i in range(30)]
    (folder / "data" / "aime24.jsonl").write_text("".join(json.dumps(row) + "\n" for row in suite))
    write(folder, [*rows(folder), {"id": "leak", "problem": "how  much is 3?", "answer": "1"}])
    document = json.loads(tuition(*NEW, "--data-dir", "data", "--json").stdout)
    assert document["contamination"]["aime24@1"] == "1 exact, 0 by 13-gram"
    assert document["contamination"]["math500"] == "not available"
    assert any(note.startswith("1 problems are in aime24@1 (leak)") for note in document["notes"])


@pytest.mark.parametrize(
    ("file", "fields", "message"),
    [
        ("config.json", {"vocab_size": 170}, None),
        (
            "config.json",
            {"vocab_size": 100},
            "warmup, opd and transfer_sft need the tokenizer's 164 tokens in both models' output, but the student has "
            "164 rows and teacher big 100: choose models of one family, or an allocation without transfer",
        ),
    ],
)
def test_models_that_a_bridge_cannot_join(
    folder: Path, tuition: Command, file: str, fields: dict[str, Any], message: str | None
) -> None:
    change(folder / "small" / "config.json", max_position_embeddings=4096)
    change(folder / "big" / file, **fields)
    result = tuition(*NEW, "--json")
    found = json.loads(result.stdout)["problems"]
    assert result.returncode == (1 if message else 0)
    assert found == ([message] if message else [])


def test_the_first_token_that_differs_is_named(folder: Path, tuition: Command) -> None:
    path = folder / "big" / "tokenizer.json"
    content = json.loads(path.read_text())
    vocab = content["model"]["vocab"]
    first, second = (next(t for t, i in vocab.items() if i == wanted) for wanted in (20, 21))
    vocab[first], vocab[second] = 21, 20
    path.write_text(json.dumps(content))
    result = tuition(*NEW)
    assert result.returncode == 1 and (folder / "mine.yaml").is_file()
    named = f"token 20 is {first!r} for the student and {second!r} for teacher big"
    assert f"problem: warmup, opd and transfer_sft need models that share a tokenizer: {named}" in result.stdout


def test_a_thinking_mode_is_switched_off(folder: Path, tuition: Command) -> None:
    for model in ("small", "big"):
        template = "{% if enable_thinking %}{% endif %}{{ messages[0].content }}"
        (folder / model / "chat_template.jinja").write_text(template)
    assert json.loads(tuition(*NEW, "--json").stdout)["chat_template"]
    file = Scenario.load(str(folder / "mine.yaml")).file
    assert file.chat_template and file.template == {"enable_thinking": False}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--student", "nowhere"], "student 'nowhere': no such folder"),
        (["--student", "an/owner"], "model an/owner could not be fetched from the Hub"),
        (["--teacher", "."], "has no safetensors weights"),
        (["--problems", "few.jsonl"], "few.jsonl has 1 usable problems (0 are repeats, 1 have answers"),
        (["--problems", "absent.jsonl"], "no problem file"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(
    folder: Path, tuition: Command, arguments: list[str], message: str
) -> None:
    few = [{"id": "a", "problem": "1+1", "answer": "2"}, {"id": "b", "problem": "1+2", "answer": "\\frac{"}]
    (folder / "few.jsonl").write_text("".join(json.dumps(row) + "\n" for row in few))
    result = tuition(*NEW, *arguments)
    assert result.returncode == 2 and message in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert not (folder / "mine.yaml").exists()


def test_the_list_and_show_stay_what_they_were(tmp_path: Path, tuition: Command) -> None:
    assert "qwen3-8b-to-1.7b" in tuition("scenarios").stdout.splitlines()
    assert "micro" in json.loads(tuition("scenarios", "--json").stdout)["scenarios"]
    assert tuition("scenarios", "show", "micro").stdout == tuition("scenarios", "micro").stdout != ""
    absent = tuition("scenarios", "absent")
    assert absent.returncode == 2 and "unknown scenario 'absent'" in absent.stderr
