"""Routes on the real stages: reuse, labels, every kind of stage, damage, versions."""

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from tuition.planner.allocation import Allocation
from tuition.planner.route import Route, compile_route
from tuition.runners.labels import LabelError
from tuition.runners.reuse import explain_route
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.sources import ScenarioError
from tuition.runners.score_reuse import explain_score
from tuition.runners.store.block_record import Draws, PoolContent
from tuition.runners.training.execution import train_block
from tuition.runners.training.rows import BlockError

MakeRoute = Callable[..., Route]

pytestmark = pytest.mark.slow


def test_a_route_runs_all_its_stages_and_a_second_run_trains_nothing(runner: RouteRunner, route: MakeRoute) -> None:
    wanted = route("teacher=medium teacher_rl=2 warmup=1 opd=1 student_rl=1")
    first = runner.run(wanted, "study")
    assert [(use.stage, use.executed) for use in first.blocks] == [
        ("teacher_rl", True), ("teacher_rl", True), ("warmup", True), ("opd", True), ("student_rl", True),
    ]  # fmt: skip
    assert first.labels.labels_trained == 12 and first.labels.labels_owned == 12 + 8
    again = runner.run(wanted, "study")
    assert not any(use.executed for use in again.blocks)
    assert again.gpu_seconds_marginal == 0 and again.gpu_seconds_full == pytest.approx(first.gpu_seconds_full)
    assert again.weights_sha256 == first.weights_sha256

    shares_teacher = runner.run(route("teacher=medium teacher_rl=1 warmup=1 opd=1"), "study")
    assert [use.executed for use in shares_teacher.blocks] == [False, True, True]
    assert len({first.weights_sha256, shares_teacher.weights_sha256}) == 2


def test_the_record_and_the_curves_say_what_happened(runner: RouteRunner, route: MakeRoute) -> None:
    run = runner.run(route("teacher=medium teacher_rl=1 warmup=1 opd=1"), "study")
    records = [runner.store.record(use.key) for use in run.blocks]
    assert all(r and r.gpu_seconds > 0 and r.peak_memory_bytes > 0 and r.versions["trl"] for r in records)
    assert records[0] is not None and records[0].labels_new == 4
    recipe = runner.scenario.recipe
    for record, block in zip(records, run.route.blocks, strict=True):
        # All that the key covers.
        assert record is not None and record.pool == PoolContent.of(block, recipe)
        assert record.settings == recipe.stages[block.stage] and record.environment == recipe.environment
        for name in ("parent", "stage", "index", "stage_start", "teacher", "seed"):
            assert getattr(record, name) == getattr(block, name)
    runner.score(run.route.final, "validation", "study")
    assert explain_score(runner.scenario, "validation", run.weights_sha256, runner.scorer.store).stored
    explained = explain_route(run.route, runner.scenario, runner.store, lambda key: False)
    assert {one.status for one in explained} == {"stored"}
    curves = pd.read_parquet(runner.store.path(run.blocks[0].key) / "train.parquet")
    assert list(curves["step"]) == [1, 2]
    assert curves[["reward", "zero_variance_share", "entropy", "mean_tokens", "seconds"]].notna().all().all()
    for use in run.blocks[1:]:
        dense = pd.read_parquet(runner.store.path(use.key) / "train.parquet")
        assert (dense["loss"] > 0).all(), "a divergence is positive"


def test_sft_stages(runner: RouteRunner, route: MakeRoute) -> None:
    run = runner.run(route("teacher=medium teacher_sft=2 transfer_sft=2"), "study")
    kept = [use.record.samples_kept for use in run.blocks if use.record is not None]
    assert kept[0] is not None and kept[0] > 0 and kept[2] is None


def test_replay_spends_no_new_label_and_shares_the_bridge(runner: RouteRunner, route: MakeRoute) -> None:
    fresh = runner.run(route("teacher=medium teacher_rl=2 opd=1 student_rl=2"), "study")
    replay = runner.run(route("teacher=medium teacher_rl=2 opd=1 replay=2"), "study")
    assert [use.executed for use in replay.blocks] == [False, False, False, True, True]
    assert fresh.labels.labels_trained == 16 and replay.labels.labels_trained == 8


def test_warmup_and_sft_transfer_share_the_teachers_rollouts(runner: RouteRunner, route: MakeRoute) -> None:
    warm = runner.run(route("teacher=medium warmup=1"), "study")
    sft = runner.run(route("teacher=medium transfer_sft=1"), "study")
    records = [runner.store.record(run.blocks[0].key) for run in (warm, sft)]
    # The draws of prompts differ by stage, so only the seed is shared unless the prompts are equal.
    assert all(record is not None and record.price.rollouts_gpu_seconds > 0 for record in records)


def test_extending_a_stage_whose_optimizer_state_was_dropped(runner: RouteRunner, route: MakeRoute) -> None:
    two = runner.run(route("student_rl=2"), "study")
    # Only the tip keeps its state, so a branch from block 0 (here: replay after one fresh block) retrains it.
    branch = runner.run(route("student_rl=1 replay=1"), "study")
    assert [use.executed for use in branch.blocks] == [True, True]
    assert branch.blocks[0].key == two.blocks[0].key
    # The retrained block has the same weights, so its other descendant still stands.
    assert not any(use.executed for use in runner.run(route("student_rl=2"), "study").blocks)


def test_a_damaged_block_is_trained_again_to_the_same_weights(
    runner: RouteRunner, route: MakeRoute, tmp_path: Path
) -> None:
    first = runner.run(route("student_rl=1"), "study")
    weights = runner.store.model(first.blocks[0].key) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    other_process = RouteRunner(runner.scenario, tmp_path / "results")
    again = other_process.run(route("student_rl=1"), "study")
    other_process.close()
    assert [use.executed for use in again.blocks] == [True]
    assert again.weights_sha256 == first.weights_sha256


def test_blocks_of_other_library_versions_are_refused_unless_mixed(
    runner: RouteRunner, route: MakeRoute, tmp_path: Path
) -> None:
    runner.run(route("student_rl=1"), "study")
    runner.trainer.versions = {**runner.trainer.versions, "trl": "9.9"}
    with pytest.raises(BlockError, match=r"trl 1\.\S+ \(here 9\.9\).*--mix-versions"):
        runner.run(route("student_rl=1"), "study")
    runner.trainer.mix_versions = True
    assert not runner.run(route("student_rl=1"), "study").blocks[0].executed


def test_scores_are_kept_per_sample_and_drawn_once(runner: RouteRunner, route: MakeRoute) -> None:
    base = route("base")
    assert runner.run(base, "study").blocks == ()
    first = runner.score(base.final, "validation", "study")
    again = runner.score(base.final, "validation", "study")
    assert len(first.table) == 8 * 2 and first.gpu_seconds > 0 and again.gpu_seconds == 0
    pd.testing.assert_frame_equal(first.table, again.table)
    assert set(runner.score(base.final, "test", "study").table["problem_id"]).isdisjoint(first.table["problem_id"])


def test_a_score_that_was_stopped_goes_on_and_equals_an_undisturbed_one(
    scenario_file: dict[str, Any], load: Callable[..., Scenario], tmp_path: Path
) -> None:
    scenario_file["hardware"] |= {"generation_batch": 4}
    scenario = load(scenario_file)
    student, heard = scenario.recipe.student, list[int]()

    def listen(event: Any) -> None:
        heard.append(event.done)

    def stop_half_way(event: Any) -> None:
        listen(event)
        if event.done == 8:
            raise KeyboardInterrupt

    with closing(RouteRunner(scenario, tmp_path / "parts", stop_half_way)) as runner:
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                runner.score(student, "test", "study")
        runner.hear = listen
        resumed = runner.score(student, "test", "study")
        record = runner.scorer.store.read(resumed.key)
        assert heard == [0, 4, 8, 8, 8, 12, 16] and record.samples_resumed == 8
        # The price is that of all batches, whichever call drew them.
        assert runner.ledger.price(f"score:{resumed.key}") == record.gpu_seconds == resumed.gpu_seconds
    with closing(RouteRunner(scenario, tmp_path / "whole")) as runner:
        whole = runner.score(student, "test", "study")
    assert whole.key == resumed.key
    pd.testing.assert_frame_equal(whole.table, resumed.table)


def test_a_label_cannot_be_booked_past_the_pool(runner: RouteRunner) -> None:
    with pytest.raises(LabelError, match="validation or test suite"):
        runner.pool.reveal([runner.scenario.test[0].id], study="s", seed=0, route="r", stage="teacher_rl")


@pytest.mark.slow
def test_a_blocks_record_says_how_often_its_rows_hold_each_item(runner: RouteRunner, route: MakeRoute) -> None:
    def draws(text: str, stage: str) -> list[Draws | None]:
        uses = runner.run(route(text), "study").blocks
        return [use.record.draws for use in uses if use.stage == stage and use.record is not None]

    # 16 of 16 prompts in each block of the warmup; 8 of 4 and then 8 of 8 labels in those of GRPO.
    text = "teacher=medium warmup=2 student_rl=2"
    assert draws(text, "warmup") == [Draws(never=0, once=16, twice=0, more=0, passes=(1.0,))] * 2
    assert draws(text, "student_rl") == [
        Draws(never=0, once=0, twice=4, more=0, passes=(2.0,)),
        Draws(never=0, once=8, twice=0, more=0, passes=(1.0, 1.0)),
    ]
    # 16 rows of the correct samples of 4 labels.
    (fine_tuned,) = draws("teacher=medium teacher_sft=1 transfer_sft=1", "teacher_sft")
    assert fine_tuned is not None and (fine_tuned.items, fine_tuned.passes) == (4, (4.0,))


CHAT = """{% if enable_thinking is not defined or enable_thinking %}{{ raise_exception('it thinks') }}{% endif %}
{%- for message in messages %}{{ message['content'] }}{% endfor %}"""


def test_every_prompt_gets_the_variables_of_the_chat_template(
    scenario_file: dict[str, Any], load: Callable[..., Scenario], tmp_path: Path
) -> None:
    for model in (scenario_file["student"], scenario_file["teachers"]["medium"]):
        folder = Path(shutil.copytree(model["path"], tmp_path / Path(model["path"]).name))
        (folder / "chat_template.jinja").write_text(CHAT)
        model["path"] = str(folder)
    scenario = load({**scenario_file, "chat_template": True, "template": {"enable_thinking": False}})
    with closing(RouteRunner(scenario, tmp_path / "results")) as runner:
        for text in ("teacher=medium teacher_rl=1 warmup=1 opd=1 student_rl=1", "teacher=medium transfer_sft=1"):
            run = runner.run(compile_route(Allocation.parse(text), scenario.recipe, 0), "s")
        assert len(runner.score(run.route.final, "validation", "s").table) == 16


def test_a_filter_leaves_out_what_teaches_nothing_and_charges_its_draws(
    scenario_file: dict[str, Any], load: Callable[..., Scenario], tmp_path: Path
) -> None:
    plain = load(scenario_file)
    scenario_file["stages"]["student_rl"] |= {
        "prompts_per_step": 2,
        "filter": {"samples": 8, "least": 0.1, "most": 0.6},
    }
    scenario = load(scenario_file)
    route = compile_route(Allocation.parse("student_rl=4"), scenario.recipe, 0)
    assert route.final != compile_route(Allocation.parse("student_rl=4"), plain.recipe, 0).final
    trained: list[set[str]] = []

    def watched(order: Any, rows: list[dict[str, Any]], *more: Any) -> Any:
        trained.append({row["prompt"] for row in rows})
        return train_block(order, rows, *more)

    with closing(RouteRunner(scenario, tmp_path / "results")) as runner, pytest.MonkeyPatch.context() as patch:
        patch.setattr("tuition.runners.training.block_trainer.train_block", watched)
        run = runner.run(route, "s")
        records = [record for block in route.blocks if (record := runner.store.record(block.key)) is not None]
    assert run.labels.labels_trained == 16  # bought is bought
    left = [
        len(block.pool) - (record.labels_filtered or 0) for block, record in zip(route.blocks, records, strict=True)
    ]
    assert [min(4, count) for count in left] == [len(problems) for problems in trained]  # 2 steps of 2 prompts
    assert any(record.labels_filtered for record in records)
    assert [record.samples_drawn for record in records] == [8 * len(block.pool) for block in route.blocks]
    charged = [use.gpu_seconds for use in run.blocks]
    assert charged == [record.gpu_seconds + record.price.rollouts_gpu_seconds for record in records]


def test_lora_runs_through_all_stages_and_stores_an_adapter(
    scenario_file: dict[str, Any], load: Callable[..., Any], tmp_path: Path
) -> None:
    scenario_file["student"]["lora"] = {"rank": 4, "alpha": 8}
    scenario_file["teachers"]["medium"]["lora"] = {"rank": 4, "alpha": 8}
    scenario_file["stages"]["student_rl"]["kl_coef"] = 0.05
    runner = RouteRunner(load(scenario_file), tmp_path / "lora")
    wanted = Allocation.parse("teacher=medium teacher_rl=1 warmup=1 opd=1 student_rl=2")
    run = runner.run(compile_route(wanted, runner.scenario.recipe, 0), "study")
    files = {path.name for path in run.model.iterdir()}
    assert "adapter_model.safetensors" in files and "model.safetensors" not in files and "ref" not in files
    assert len(runner.score(run.route.final, "validation", "study").table) == 16
    runner.close()


def test_vllm_that_is_not_installed_ends_in_one_line(
    scenario_file: dict[str, Any], load: Callable[..., Scenario], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuition.runners.training.launch.vllm_version", lambda: None)
    scenario_file["hardware"] |= {"engine": "vllm"}
    runner = RouteRunner(load(scenario_file), tmp_path / "results")
    with pytest.raises(BlockError, match=r"hardware\.engine is vllm, but vLLM is not installed"):
        runner.run(compile_route(Allocation.parse("student_rl=1"), runner.scenario.recipe, 0), "study")
    runner.close()


def test_out_of_memory_ends_in_one_line(runner: RouteRunner, route: MakeRoute, monkeypatch: pytest.MonkeyPatch) -> None:
    def train_block(*_: Any) -> None:
        raise torch.OutOfMemoryError("tried to allocate\n20 GiB")

    monkeypatch.setattr("tuition.runners.training.block_trainer.train_block", train_block)
    with pytest.raises(BlockError, match=r"student_rl ran out of memory \(tried to allocate 20 GiB\): `tuition doctor"):
        runner.run(route("student_rl=1"), "study")


def test_a_bridge_between_two_tokenizers_is_refused(
    scenario_file: dict[str, Any], load: Callable[..., Scenario], tmp_path: Path
) -> None:
    teacher = shutil.copytree(scenario_file["teachers"]["medium"]["path"], tmp_path / "teacher")
    tokenizer = json.loads((teacher / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    first, second = [token for token, index in vocabulary.items() if index in (20, 21)]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (teacher / "tokenizer.json").write_text(json.dumps(tokenizer))
    scenario_file["teachers"] = {"medium": {"path": str(teacher)}}
    runner = RouteRunner(load(scenario_file), tmp_path / "results")
    wanted = compile_route(Allocation.parse("teacher=medium opd=1"), runner.scenario.recipe, 0)
    with pytest.raises(ScenarioError, match=r"opd .* need models that share a tokenizer: token 20 is .* for the stu"):
        runner.run(wanted, "study")
    runner.close()
