"""GRPO's own settings: updates per rollout batch, the KL's form, and the correction of vLLM's rollouts."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from tuition.benchmarks.grading.grader import Grader
from tuition.planner.allocation import Allocation
from tuition.planner.route import Block, compile_route
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import BUILT_IN
from tuition.runners.scenarios.settings import RLSettings, RolloutCorrection
from tuition.runners.scenarios.sources import ScenarioError
from tuition.runners.store.block_record import BlockRecord
from tuition.runners.training import pinned
from tuition.runners.training.checkpoint import load_model, load_tokenizer
from tuition.runners.training.stages import grpo
from tuition.runners.training.stages.harness import StageResult, StageWork
from tuition.runners.training.stages.rollout_ratio import ratio_curves, ratios
from tuition.runners.training.work_order import ModelFiles, WorkOrder

Load = Callable[[dict[str, Any]], Scenario]
MICRO = BUILT_IN / "micro" / "student"


@pytest.fixture
def train(scenario_file: dict[str, Any], load: Load, tmp_path: Path) -> Callable[..., tuple[BlockRecord, pd.DataFrame]]:
    """Train one block of 4 steps of 1 prompt, with some changes of its settings: its record and curves."""

    def _train(**changes: Any) -> tuple[BlockRecord, pd.DataFrame]:
        stage = scenario_file["stages"]["student_rl"]
        stage |= {"steps": 4, "prompts_per_step": 1, "generations": 8, "lr_warmup_steps": 0, **changes}
        scenario = load(scenario_file)
        with closing(RouteRunner(scenario, tmp_path / "results")) as runner:
            route = compile_route(Allocation(student_rl=1), scenario.recipe, 0)
            runner.run(route, "grpo")
            record = runner.store.record(route.final)
            assert record is not None
            return record, pd.read_parquet(runner.store.path(route.final) / "train.parquet")

    return _train


@pytest.mark.slow
def test_clip_acts_once_several_updates_are_made_of_a_rollout_batch(train: Callable[..., Any]) -> None:
    def clipped(updates: int) -> set[str]:
        return {train(updates_per_rollout=updates, clip=clip)[0].weights_sha256 for clip in (1e-4, 0.2)}

    assert len(clipped(1)) == 1
    assert len(clipped(4)) == 2


@pytest.mark.slow
def test_what_belongs_to_a_rollout_batch_is_counted_once(train: Callable[..., Any]) -> None:
    record, curves = train(updates_per_rollout=2)
    assert curves["loss"].notna().all() and curves["seconds"].notna().all()
    for name in ("reward", "zero_variance_share", "mean_tokens", "tokens_seen"):
        assert curves[name].notna().tolist() == [True, False, True, False], name
    assert record.prompts == record.groups == 4 and record.sequences == 32
    assert record.groups_zero_variance == round(2 * curves["zero_variance_share"].sum())
    assert record.tokens == curves["tokens_seen"].max() > 0


@pytest.mark.slow
def test_the_form_of_the_kl_is_a_setting(train: Callable[..., Any]) -> None:
    forms = {form: train(prompts_per_step=4, kl_coef=0.5, kl_form=form)[0] for form in ("unbiased", "k3")}
    assert forms["unbiased"].weights_sha256 != forms["k3"].weights_sha256
    assert "kl_form" not in forms["unbiased"].settings and forms["k3"].settings["kl_form"] == "k3"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 4, "updates_per_rollout": 3}, r"steps=4 are not a multiple of updates_per_rollout=3"),
        (
            {"steps": 4, "prompts_per_step": 4, "updates_per_rollout": 2},
            r"prompts_per_step=4 times updates_per_rollout=2 exceeds labels_per_block=4",
        ),
        ({"rollout_correction": {"clip_max": None}}, r"mode=token_truncate has neither clip_min nor clip_max"),
        ({"rollout_correction": {"clip_min": 3.0}}, r"clip_min=3.0 is not below clip_max=3.0"),
        ({"rollout_correction": {"clip_min": 1.5}}, r"clip_min=1.5 cuts a ratio of 1"),
        ({"rollout_correction": {"clip_max": 0.5}}, r"clip_max=0.5 cuts a ratio of 1"),
    ],
)
def test_what_does_not_fit_is_refused(
    changes: dict[str, Any], message: str, scenario_file: dict[str, Any], load: Load
) -> None:
    scenario_file["stages"]["student_rl"] |= changes
    with pytest.raises(ScenarioError, match=message) as caught:
        load(scenario_file)
    assert "\n" not in str(caught.value)


def test_a_plain_off_of_yaml_is_the_mode(scenario_file: dict[str, Any], load: Load) -> None:
    scenario_file["stages"]["student_rl"]["rollout_correction"] = yaml.safe_load("{mode: off}")
    settings = load(scenario_file).file.stages.of("student_rl")
    assert isinstance(settings, RLSettings) and settings.rollout_correction.mode == "off"


def test_new_settings_leave_keys_as_they_are_where_they_change_nothing(
    scenario_file: dict[str, Any], load: Load
) -> None:
    def covered(engine: str, **changes: Any) -> dict[str, Any]:
        scenario_file["hardware"]["engine"] = engine
        scenario_file["stages"]["student_rl"] = {"steps": 2, "prompts_per_step": 2, **changes}
        return dict(load(scenario_file).recipe.stages["student_rl"])

    plain = covered("transformers")
    assert not {"updates_per_rollout", "kl_form", "rollout_correction", "generation_batch"} & set(plain)
    assert covered("transformers", rollout_correction={"mode": "off"}) == plain
    as_before = {"mode": "sequence_mask", "clip_max": 3.0}
    assert covered("vllm", rollout_correction=as_before) == plain
    assert covered("vllm")["rollout_correction"] == {"mode": "token_truncate", "clip_min": None, "clip_max": 3.0}
    assert covered("vllm", rollout_correction={"mode": "off"})["rollout_correction"] == {"mode": "off"}
    assert covered("transformers", updates_per_rollout=2)["updates_per_rollout"] == 2
    # The draws of a filter share a stream in batches, but for vLLM's, which have seeds of their own.
    assert "generation_batch" in covered("transformers", filter={"samples": 4})
    assert "generation_batch" not in covered("vllm", filter={"samples": 4})


class VLLM:
    """Stands in for vLLM beside the trainer: draws from the trained model, and says that what it drew was unlikely."""

    drawn = -8.0  # log-probability of every token
    arguments: ClassVar[dict[str, Any]] = {}

    def __init__(self, model: Any, processing_class: Any, max_completion_length: int, **arguments: Any):
        from trl.generation import vllm_generation

        self.model, self.tokenizer, self.limit = model, processing_class, max_completion_length
        VLLM.arguments = {**arguments, "engine": vllm_generation.LLM.keywords}  # type: ignore[attr-defined]

    def sync_weights(self) -> None:
        """It has the weights."""

    def generate(self, prompts: list[list[int]], **_: Any) -> tuple[Any, ...]:
        completions = []
        for ids in prompts:
            with torch.no_grad():
                whole = self.model.generate(
                    input_ids=torch.tensor([ids]), do_sample=True, top_k=0, max_new_tokens=self.limit
                )
            completions.append(whole[0, len(ids) :].tolist())
        return prompts, completions, [[[self.drawn]] * len(tokens) for tokens in completions], None


@pytest.fixture
def corrected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[StageResult, bool]]:
    """Train a step on completions that `VLLM` drew: what is left, and whether a weight has changed."""
    monkeypatch.setattr("trl.trainer.grpo_trainer.VLLMGeneration", VLLM)
    monkeypatch.setattr("trl.generation.vllm_generation.LLM", object, raising=False)

    def _train(mode: str, **bounds: float | None) -> tuple[StageResult, bool]:
        correction = RolloutCorrection.model_validate({"mode": mode, **bounds})
        settings = RLSettings(
            steps=1, prompts_per_step=4, generations=8, lr_warmup_steps=0, max_completion_tokens=8,
            rollout_correction=correction,
        )  # fmt: skip
        block = Block("k" * 64, "student_rl", 0, "student", "p", "p", None, ("a",), ("a",), 0, 1)
        files = ModelFiles(MICRO, MICRO, "float32")
        order = WorkOrder(block=block, settings=settings, model=files, device="cpu", dtype="float32", engine="vllm")
        before = load_model(MICRO, "float32", "cpu").state_dict()
        rows = [{"prompt": f"{number}k=", "answer": "1"} for number in (12, 34, 56, 78)]
        with closing(Grader()) as grader:
            work = StageWork(order, load_model(MICRO, "float32", "cpu"), load_tokenizer(MICRO), rows, tmp_path, grader)
            grades = iter([1.0, 0.0] * 16)  # in every group some are right
            monkeypatch.setattr(
                grpo, "make_reward", lambda _: lambda completions, **_: [next(grades) for _ in completions]
            )
            result = grpo.train(work)
        after = result.model.state_dict()
        return result, any(not torch.equal(before[name], after[name]) for name in before)

    return _train


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "bounds", "learns", "outside"),
    [
        ("token_truncate", {}, True, 1.0),
        ("token_mask", {}, False, 1.0),
        ("sequence_truncate", {}, True, 1.0),
        ("sequence_mask", {}, False, 1.0),
        ("token_mask", {"clip_max": None, "clip_min": 0.5}, True, 0.0),
        ("off", {}, True, None),
    ],
)
def test_the_correction_reaches_the_loss_and_its_ratios_are_curves(
    mode: str,
    bounds: dict[str, float | None],
    learns: bool,
    outside: float | None,
    corrected: Callable[..., tuple[StageResult, bool]],
) -> None:
    result, changed = corrected(mode, **bounds)
    assert changed is learns
    assert VLLM.arguments["engine"] == dict(pinned.VLLM)
    assert VLLM.arguments["generation_kwargs"] == dict(pinned.SAMPLING)
    row = result.curves.iloc[0]
    if outside is None:
        assert pd.isna(row["ratio_mean"]) and pd.isna(row["ratio_outside"])
        return
    assert row["ratio_outside"] == outside
    assert 0 < row["ratio_p05"] <= row["ratio_p50"] <= row["ratio_p95"]
    assert row["ratio_mean"] > 3.0, "of before it was cut"


def test_ratios_are_of_tokens_or_of_whole_completions() -> None:
    trained = torch.tensor([[-1.0, -2.0, 0.0], [-1.0, float("nan"), -1.0]])
    drawn = torch.tensor([[-2.0, -2.0, 9.0], [-1.0, -1.0, -3.0]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    e = float(np.e)
    assert ratios(trained, drawn, mask, of_sequences=False).tolist() == pytest.approx([e, 1, 1, 1, e**2])
    assert ratios(trained, drawn, mask, of_sequences=True).tolist() == pytest.approx([e, e**2])


def test_the_curves_of_ratios_count_what_is_out_of_bounds() -> None:
    values = [0.1, 0.5, 1.0, 2.0, 4.0]
    curves = ratio_curves(values, RolloutCorrection(mode="token_mask", clip_min=0.2, clip_max=3.0))
    assert curves == pytest.approx(
        {"ratio_mean": 1.52, "ratio_p05": 0.1, "ratio_p50": 1.0, "ratio_p95": 4.0, "ratio_outside": 0.4}
    )
    assert ratio_curves([1.0, float("inf")], RolloutCorrection())["ratio_p95"] == float("inf")
    assert ratio_curves(values, RolloutCorrection(mode="off"))["ratio_outside"] == 0
    assert ratio_curves([], RolloutCorrection()) == {}
