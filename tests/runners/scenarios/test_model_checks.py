"""What the files of models tell before anything is trained, each case made of micro's models."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.runners.conftest import tiny_scenario_file
from tuition.planner.allocation import Allocation
from tuition.runners.scenarios.model_checks import check_models, findings
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import BUILT_IN
from tuition.runners.scenarios.sources import ScenarioError
from tuition.runners.training.checkpoint import load_tokenizer

TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"
END2 = 164
NO_TRANSFER, BRIDGE = Allocation(student_rl=1), Allocation(teacher="big", opd=1)


def change(path: Path, **fields: Any) -> None:
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**content, **fields}))


class Case:
    """A scenario with copies of micro's models, to be changed."""

    def __init__(self, folder: Path, load: Callable[[dict[str, Any]], Scenario]):
        self.folder, self._load, self.changes = folder, load, dict[str, Any]()
        for name in ("student", "teacher"):
            shutil.copytree(BUILT_IN / "micro" / name, folder / name)
        self.student: dict[str, Any] = {"path": str(folder / "student")}
        self.teacher: dict[str, Any] = {"path": str(folder / "teacher")}

    def scenario(self) -> Scenario:
        return self._load(tiny_scenario_file(student=self.student, teachers={"big": self.teacher}, **self.changes))

    def found(self, *allocations: Allocation) -> list[tuple[str, bool]]:
        return [(one.text, one.problem) for one in findings(self.scenario(), allocations or None)]

    def problem(self, *allocations: Allocation) -> str:
        ((text, problem),) = self.found(*allocations)
        assert problem and "\n" not in text
        return text

    def two_ends(self) -> None:
        """One tokenizer with two ends, of which the student has the first and the teacher the second."""
        for name in ("student", "teacher"):
            tokenizer = load_tokenizer(self.folder / name)
            tokenizer.add_special_tokens({"additional_special_tokens": ["<end2>"]})
            assert tokenizer.convert_tokens_to_ids("<end2>") == END2
            if name == "teacher":
                tokenizer.eos_token = "<end2>"
                change(self.folder / name / "generation_config.json", eos_token_id=END2)
            tokenizer.save_pretrained(self.folder / name)
            change(self.folder / name / "config.json", vocab_size=END2 + 1)

    def templates(self, student: str, teacher: str | None = None) -> None:
        self.changes["chat_template"] = True
        for name, text in (("student", student), ("teacher", student if teacher is None else teacher)):
            (self.folder / name / "chat_template.jinja").write_text(text)


@pytest.fixture
def case(tmp_path: Path, load: Callable[[dict[str, Any]], Scenario]) -> Case:
    return Case(tmp_path, load)


@pytest.mark.parametrize("name", ["micro", "micro-b", "micro-c"])
def test_nothing_is_found_in_what_ships(name: str) -> None:
    assert findings(Scenario.load(name)) == []


def test_padding_to_other_sizes_is_no_problem(case: Case) -> None:
    change(case.folder / "teacher" / "config.json", vocab_size=192)
    assert case.found() == []
    case.changes["hardware"] = {"device": "cpu", "teacher_server": {"top_k": 5}}
    assert "hardware.teacher_server needs models with one vocab_size, but the student has 164 rows" in case.problem()


def test_a_student_that_caps_its_logits_needs_its_teacher_in_the_process(case: Case) -> None:
    change(case.folder / "student" / "config.json", final_logit_softcapping=30.0, logit_scale=1.0)
    assert case.found() == []
    case.changes["hardware"] = {"device": "cpu", "teacher_server": {"top_k": 5}}
    assert "scaled or capped (final_logit_softcapping in its config.json)" in case.problem()


def test_fewer_rows_than_tokens_stop_transfer_only(case: Case) -> None:
    change(case.folder / "teacher" / "config.json", vocab_size=150)
    assert "need the tokenizer's 164 tokens in both models' output, but the student has 164 rows" in case.problem()
    assert case.problem(BRIDGE) == case.problem() and case.found(NO_TRANSFER) == []
    with pytest.raises(ScenarioError, match=r"^warmup, opd and transfer_sft need the tokenizer's 164 tokens"):
        check_models(case.scenario())
    assert check_models(case.scenario(), [NO_TRANSFER]) == ()


def test_an_end_at_which_the_student_does_not_stop_is_named_with_the_fix(case: Case) -> None:
    case.two_ends()
    ends = case.folder / "student" / "generation_config.json"
    assert case.problem(BRIDGE) == (
        "teacher big ends with '<end2>' (164), but the student stops at '<eos>' (1) only, so that it would learn an "
        f"end at which it does not stop: add 164 to eos_token_id in {ends} (of a Hub model, in a copy that is given "
        "as `path`)"
    )
    assert case.found(NO_TRANSFER) == []
    change(ends, eos_token_id=[1, 164])
    assert case.found() == []


def test_an_end_beside_a_shared_one_is_a_warning(case: Case) -> None:
    case.two_ends()
    change(case.folder / "teacher" / "generation_config.json", eos_token_id=[1, END2])
    ((text, problem),) = case.found()
    assert not problem and text.startswith("teacher big ends with '<end2>' (164), but the student stops at '<eos>' (1)")
    assert check_models(case.scenario()) == (text,)


def test_chat_without_a_template_is_refused(case: Case) -> None:
    case.changes["chat_template"] = True
    with pytest.raises(
        ScenarioError, match=r"student in .* has no chat template: set it to false \(and 1 more: tuition"
    ):
        check_models(case.scenario())
    (text, _), _ = case.found()
    assert text.startswith("chat_template is true, but student in ")


def test_a_template_that_fails_is_refused(case: Case) -> None:
    case.templates(TEMPLATE, "{{ raise_exception('only with a system message') }}")
    text, problem = case.found()[0]
    assert problem and text.startswith("the chat template of big in ") and "only with a system message" in text


@pytest.mark.parametrize(
    "text", ["{{ strftime_now('%d %b %Y') }}", "{% if strftime_now is defined %}{{ strftime_now('%d') }}{% endif %}"]
)
def test_todays_date_in_prompts_is_refused_unless_it_is_set(case: Case, text: str) -> None:
    case.templates(f"{{% if not date_string %}}{text}{{% else %}}{{{{ date_string }}}}{{% endif %}}{TEMPLATE}")
    found = case.found()
    assert all("writes today's date" in line and "date_string: 26 Jul 2024" in line for line, _ in found)
    assert [problem for _, problem in found] == [True, True]
    case.changes["template"] = {"date_string": "26"}
    assert case.found() == []


def test_templates_that_differ_or_end_otherwise_are_warnings(case: Case) -> None:
    case.templates(TEMPLATE, TEMPLATE + "<pad>")
    found = case.found()
    assert [problem for _, problem in found] == [False, False]
    assert found[0][0].startswith("the chat template of big ends an answer with '<pad>' (0), which is none of its end")
    assert found[1][0].startswith("the chat templates of student and teacher big differ")


def test_more_tokens_than_positions_stop_vllm_and_warn_with_transformers(case: Case) -> None:
    case.changes["decoding"] = {"name": "long", "max_new_tokens": 64}
    ((text, problem),) = case.found()
    assert "with 64 for the completion that exceeds the 48 positions of student: lower" in text and not problem
    case.changes["hardware"] = {"device": "cpu", "engine": "vllm"}
    assert case.found() == [(text, True)]


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        (["q_proj", "lm_head"], "lora.target_modules of student has the output layer"),
        (".*(q_proj|lm_head)", "lora.target_modules of student has the output layer"),
        (["no_such_module"], "lora.target_modules of student cannot be used: Target modules"),
        ("all-linear", None),
        (["q_proj", "v_proj"], None),
    ],
)
def test_modules_that_no_adapter_can_be_trained_on(case: Case, modules: Any, message: str | None) -> None:
    case.student["lora"] = {"rank": 2, "alpha": 4, "target_modules": modules}
    if message is None:
        assert case.found() == []
    else:
        assert case.problem(NO_TRANSFER).startswith(message)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("tokenizer.json", "{"),
        ("generation_config.json", "{nope"),
        ("generation_config.json", "[1]"),
        ("generation_config.json", '{"eos_token_id": "<eos>"}'),
        ("generation_config.json", '{"eos_token_id": [1, -1]}'),
    ],
)
def test_what_cannot_be_read_is_one_line(case: Case, file: str, content: str) -> None:
    (case.folder / "teacher" / file).write_text(content)
    assert case.problem().startswith("tokenizer, config.json or generation_config.json of big in ")
