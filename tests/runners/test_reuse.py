import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.runners.made_records import store_untrained
from tuition.planner.allocation import Allocation
from tuition.planner.route import Route, compile_route
from tuition.runners.reuse import Explained, explain_route
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import BUILT_IN
from tuition.runners.store.block_record import CHECKSUM
from tuition.runners.store.block_store import BlockStore

WHOLE = "teacher=medium teacher_rl=2 warmup=1 opd=1 student_rl=1"
NAMES = ["teacher_rl[0]", "teacher_rl[1]", "warmup[0]", "opd[0]", "student_rl[0]"]


class Case:
    """A store that holds a route of a scenario, and that route under a changed scenario."""

    def __init__(self, folder: Path, file: dict[str, Any], load: Callable[[dict[str, Any]], Scenario]):
        self.file, self.load = file, load
        self.store = BlockStore(folder / "store")
        self.trained: set[str] = set()
        self.scenario = load(file)

    def route(self, text: str = WHOLE, seed: int = 0) -> Route:
        return compile_route(Allocation.parse(text), self.scenario.recipe, seed)

    def put(self, text: str = WHOLE, seed: int = 0, **changes: Any) -> None:
        store_untrained(self.store, self.route(text, seed), self.scenario, **changes)

    def make_format_1(self) -> None:
        for record in self.store.records():
            file = self.store.path(record.key) / "record.json"
            fields = json.loads(file.read_text())
            del fields["pool"], fields[CHECKSUM]
            file.write_text(json.dumps({**fields, "format": 1}))

    def change(self) -> None:
        self.scenario = self.load(self.file)

    def explain(self, text: str = WHOLE, seed: int = 0) -> dict[str, Explained]:
        fresh = BlockStore(self.store.folder)
        found = explain_route(self.route(text, seed), self.scenario, fresh, self.trained.__contains__)
        return {one.block.name: one for one in found}

    def reasons(self, text: str = WHOLE, seed: int = 0) -> dict[str, list[str]]:
        return {name: list(one.reasons) for name, one in self.explain(text, seed).items() if one.status != "stored"}


@pytest.fixture
def case(tmp_path: Path, scenario_file: dict[str, Any], load: Callable[[dict[str, Any]], Scenario]) -> Case:
    case = Case(tmp_path, scenario_file, load)
    case.put()
    return case


def test_a_route_that_is_stored_needs_no_reason(case: Case) -> None:
    assert case.reasons() == {} and list(case.explain()) == NAMES


@pytest.mark.parametrize(
    ("change", "first", "lines"),
    [
        (lambda file: file["stages"]["opd"].update(steps=3), 3, ["stages.opd.steps: 3, was 2"]),
        (lambda file: file["stages"]["teacher_rl"].update(steps=3), 0, ["stages.teacher_rl.steps: 3, was 2"]),
        (
            lambda file: file["stages"]["student_rl"].update(filter={"samples": 4}),
            4,
            [
                "hardware.generation_batch: 256, was not set",  # what a filter draws depends on it
                "stages.student_rl.filter.least: 0.05, was not set",
                "stages.student_rl.filter.most: 0.95, was not set",
                "stages.student_rl.filter.samples: 4, was not set",
            ],
        ),
        (lambda file: file["hardware"].update(dtype="bfloat16"), 0, ["hardware.dtype: bfloat16, was float32"]),
        (lambda file: file["hardware"].update(generation_batch=8), 2, ["hardware.generation_batch: 8, was 256"]),
        (lambda file: file.update(prompt_suffix=" Think."), 0, ['prompt_suffix: " Think.", was ""']),
        (lambda file: file.update(template={"thinking": False}), 0, ["template.thinking: false, was not set"]),
    ],
)  # fmt: skip
def test_a_changed_field_is_named_as_in_the_scenario_and_what_descends_from_it_follows(
    case: Case, change: Callable[[dict[str, Any]], None], first: int, lines: list[str]
) -> None:
    change(case.file)
    case.change()
    expected = {NAMES[first]: lines, **{name: [f"follows from {NAMES[first]}"] for name in NAMES[first + 1 :]}}
    assert case.reasons() == expected


def test_another_seed_is_said_once(case: Case) -> None:
    assert case.reasons(seed=1) == {
        NAMES[0]: ["seed: 1, was 0"], **{name: [f"follows from {NAMES[0]}"] for name in NAMES[1:]},
    }  # fmt: skip


def test_other_labels_are_counted_and_said_once(case: Case) -> None:
    case.file["labels"]["count"] = 32
    case.change()
    assert case.reasons()[NAMES[0]] == ["labels: 4 different ones"]
    assert {tuple(reasons) for name, reasons in case.reasons().items() if name != NAMES[0]} == {
        (f"follows from {NAMES[0]}",)
    }


def test_more_labels_in_a_block_are_named(case: Case) -> None:
    case.file["labels_per_block"] = 8
    case.change()
    assert case.reasons("teacher=medium teacher_rl=1 warmup=1") == {
        "teacher_rl[0]": ["labels_per_block: 8, was 4"], "warmup[0]": ["follows from teacher_rl[0]"],
    }  # fmt: skip


def test_another_prompt_pool_is_named(case: Case) -> None:
    case.file["prompts"]["count"] = 24
    case.change()
    reasons = case.reasons()
    assert list(reasons) == NAMES[2:] and reasons["warmup[0]"][0].startswith("prompts: different ones (")
    assert reasons["opd[0]"] == ["follows from warmup[0]"]


def test_prompts_of_labels_in_place_of_the_pool_are_named(case: Case) -> None:
    assert case.reasons(f"{WHOLE} prompts=labels")["warmup[0]"] == ["prompts: problems, was prompts"]


@pytest.mark.parametrize(("role", "first"), [("student", 2), ("medium", 0)])
def test_other_weights_are_named(case: Case, role: str, first: int) -> None:
    folder = str(BUILT_IN / "micro" / ("teacher" if role == "student" else "student"))
    (case.file["student"] if role == "student" else case.file["teachers"][role])["path"] = folder
    before = case.scenario.recipe
    case.change()
    after = case.scenario.recipe
    was, now = (before.student, after.student) if role == "student" else (before.teachers[role], after.teachers[role])
    name = role if role == "student" else f"teachers.{role}"
    assert case.reasons()[NAMES[first]] == [
        f"{name}: other weights, tokenizer, generation_config.json or adapter ({now[:12]}…, was {was[:12]}…)"
    ]


def test_two_changes_have_two_origins(case: Case) -> None:
    case.file["stages"]["teacher_rl"]["steps"] = 3
    case.file["stages"]["opd"]["steps"] = 4
    case.change()
    assert case.reasons() == {
        "teacher_rl[0]": ["stages.teacher_rl.steps: 3, was 2"],
        "teacher_rl[1]": ["follows from teacher_rl[0]"],
        "warmup[0]": ["follows from teacher_rl[0]"],
        "opd[0]": ["stages.opd.steps: 4, was 2", "follows from teacher_rl[0]"],
        "student_rl[0]": ["follows from opd[0]"],
    }


def test_the_nearest_of_several_is_compared(case: Case) -> None:
    case.file["stages"]["opd"].update(steps=5, learning_rate=0.5)
    case.change()
    case.put(finished=2.0)
    case.file["stages"]["opd"].update(steps=6)
    case.change()
    nearest = case.explain()["opd[0]"]
    assert nearest.reasons == ("stages.opd.steps: 6, was 5",)
    case.file["stages"]["opd"].update(learning_rate=1e-3)  # as the older one has it
    case.change()
    assert case.explain()["opd[0]"].reasons == ("stages.opd.steps: 6, was 2",)


def test_a_block_of_a_place_that_was_never_trained_says_so(case: Case) -> None:
    assert case.reasons(f"{WHOLE.replace('opd=1', 'opd=2')}") == {
        "opd[1]": ["no opd[1] of student is stored"], "student_rl[0]": ["follows from opd[1]"],
    }  # fmt: skip


def test_another_shape_of_the_route_is_named(case: Case) -> None:
    reasons = case.reasons("student_rl=1")["student_rl[0]"]
    student = case.scenario.recipe.student
    assert f"starts from: student ({student[:12]}…), was opd[0] ({case.route().blocks[3].key[:12]}…)" in reasons
    assert "labels: 4 different ones" in reasons, "direct GRPO buys the first labels, which the teacher had"


def test_a_replay_block_buys_no_labels(case: Case) -> None:
    wanted = WHOLE.replace("student_rl=1", "replay=1")
    assert case.reasons(wanted) == {"student_rl[0]": ["labels bought: 0, was 4"]}


def test_a_block_of_format_1_does_not_say_what_its_pool_held(case: Case) -> None:
    case.make_format_1()
    assert case.reasons() == {}
    case.file["stages"]["teacher_rl"]["steps"] = 3
    case.change()
    assert case.reasons()["teacher_rl[0]"] == [
        "stages.teacher_rl.steps: 3, was 2", "labels: unknown whether they differ, because its record has format 1",
    ]  # fmt: skip


def test_what_is_unknown_does_not_make_a_block_less_alike(case: Case) -> None:
    case.make_format_1()
    case.put(seed=1, finished=2.0)
    case.file["stages"]["teacher_rl"]["steps"] = 3
    case.change()
    assert "stages.teacher_rl.steps: 3, was 2" in case.reasons()["teacher_rl[0]"]
    assert not any(reason.startswith("seed") for reason in case.reasons()["teacher_rl[0]"])


def test_a_stored_block_of_other_versions_is_refused(case: Case) -> None:
    case.put(accelerator="another GPU")
    explained = case.explain()
    assert {one.status for one in explained.values()} == {"refused"}
    assert "trained with accelerator another GPU (here cpu" in explained["opd[0]"].reasons[0]
    assert "--mix-versions" in explained["opd[0]"].reasons[0]


def test_a_stage_that_cannot_be_extended_says_what_is_trained_again(case: Case) -> None:
    case.store.drop_optimizer(case.route().blocks[3].key)
    found = case.explain(WHOLE.replace("opd=1", "opd=2"))
    assert found["opd[0]"].status == "refused"
    assert found["opd[0]"].reasons == (
        "its optimizer state was dropped, which opd[1] needs to continue: it is trained again",
    )
    assert case.reasons() == {}, "it can be scored, and start a stage"


def test_a_damaged_block_is_said_to_be_so_now_and_later(case: Case) -> None:
    block = case.route().blocks[-1]
    (case.store.path(block.key) / "optimizer.safetensors").write_bytes(b"other")
    assert "does not match its checksum" in case.reasons()["student_rl[0]"][0]
    assert case.reasons()["student_rl[0]"][0].startswith("it was damaged and moved aside earlier (.damaged-")


def test_an_evicted_block_is_told_from_one_that_was_never_trained(case: Case) -> None:
    key = case.route().blocks[-1].key
    case.trained.add(key)
    case.store.evict(key)
    assert case.reasons() == {"student_rl[0]": ["it was trained here and has since been evicted or removed"]}


def test_what_nothing_missing_needs_is_not_needed(case: Case) -> None:
    case.store.evict(case.route().blocks[0].key)
    found = case.explain()
    assert found["teacher_rl[0]"].status == "not needed" and found["teacher_rl[0]"].reasons == ()


def test_an_empty_store_holds_nothing_like_it(case: Case, tmp_path: Path) -> None:
    case.store = BlockStore(tmp_path / "empty")
    assert case.reasons() == {name: [f"no {name} of {model} is stored"] for name, model in zip(
        NAMES, ["medium", "medium", "student", "student", "student"], strict=True
    )}  # fmt: skip
