"""Real vLLM: what it draws is what transformers says it is, and blocks train through it.

Each test that trains is a process's worth of vLLM; the models are those of `micro`.
"""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import torch

from tuition.benchmarks.scoring.engines.vllm_engine import generate_with_vllm, load_vllm
from tuition.benchmarks.scoring.sampling import Decoding
from tuition.planner.allocation import Allocation
from tuition.planner.route import Route, compile_route
from tuition.runners.events import Event, StepDone, ignore
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import BUILT_IN
from tuition.runners.training.checkpoint import load_model, load_tokenizer
from tuition.runners.training.rows import BlockError
from tuition.runners.training.teacher_server import TeacherServerError
from tuition.runners.training.work_order import WorkOrder

TEMPERATURE_1 = Decoding("rollouts", 1.0, 1.0, 0, 16)


@pytest.fixture
def make_runner(
    scenario_file: dict[str, Any], load: Callable[..., Scenario], tmp_path: Path, models: Path
) -> Iterator[Callable[..., RouteRunner]]:
    runners = []
    scenario_file["student"] = {"path": str(models / "student")}
    scenario_file["teachers"] = {"medium": {"path": str(models / "teacher")}}

    def make(results: str = "results", lora: dict[str, int] | None = None, **hardware: Any) -> RouteRunner:
        for model in (scenario_file["student"], scenario_file["teachers"]["medium"]):
            model["lora"] = lora
        scenario_file["hardware"] = {"device": "cpu", **hardware}
        runners.append(RouteRunner(load(scenario_file), tmp_path / results))
        return runners[-1]

    yield make
    for runner in runners:
        runner.close()


def _route(runner: RouteRunner, text: str) -> Route:
    return compile_route(Allocation.parse(text), runner.scenario.recipe, 0)


def test_wider_heads_change_nothing(models: Path) -> None:
    for name in ("student", "teacher"):
        ids = load_tokenizer(models / name)("57k=57k=", return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            narrow, wide = (
                load_model(folder / name, "float32", "cpu", trainable=False)(ids).logits
                for folder in (BUILT_IN / "micro", models)
            )
        torch.testing.assert_close(wide, narrow, rtol=1e-3, atol=1e-3)


def test_rollouts_have_the_log_probabilities_that_transformers_gives_them(models: Path) -> None:
    from vllm import SamplingParams, TokensPrompt

    folder = models / "teacher"
    tokenizer = load_tokenizer(folder)
    prompts = [tokenizer(f"{number}k=")["input_ids"] for number in range(10, 26)]
    parameters = SamplingParams(temperature=1.0, max_tokens=16, seed=0, logprobs=0)
    served = load_vllm(folder, "float32")
    outputs = served.generate([TokensPrompt(prompt_token_ids=ids) for ids in prompts], parameters, use_tqdm=False)
    model = load_model(folder, "float32", "cpu", trainable=False).eval()
    differences = []
    for prompt, output in zip(prompts, outputs, strict=True):
        drawn = list(output.outputs[0].token_ids)
        with torch.inference_mode():
            logits = model(torch.tensor([prompt + drawn])).logits[0, len(prompt) - 1 : -1]
        expected = torch.log_softmax(logits, -1)[range(len(drawn)), drawn].tolist()
        found = [step[token].logprob for step, token in zip(output.outputs[0].logprobs, drawn, strict=True)]
        differences += [abs(a - b) for a, b in zip(expected, found, strict=True)]
    print(f"\nlargest difference of {len(differences)} log-probabilities: {max(differences):.1e}")
    assert max(differences) < 1e-3


def test_draws_depend_on_their_seeds_alone(models: Path) -> None:
    folder = models / "student"
    tokenizer = load_tokenizer(folder)
    prompts = [tokenizer(f"{number}k=")["input_ids"] for number in range(10, 18)] * 2
    model, ends = load_vllm(folder, "float32"), [tokenizer.eos_token_id]
    first = generate_with_vllm(model, prompts, range(16), TEMPERATURE_1, ends)
    again = generate_with_vllm(model, prompts[:4], range(4), TEMPERATURE_1, ends)
    assert again == first[:4]
    assert first[:8] != first[8:]
    # Only the limit cuts a completion without an end token.
    assert all(tokens[-1] in ends or len(tokens) == TEMPERATURE_1.max_new_tokens for tokens in first)


@pytest.mark.parametrize("text", ["student_rl=1", "teacher=medium opd=1"])
def test_a_block_trains_through_colocated_vllm_and_repeats_exactly(
    make_runner: Callable[..., RouteRunner], text: str
) -> None:
    runner = make_runner(engine="vllm")
    route = _route(runner, text)
    first = runner.run(route, "first")
    record = runner.store.record(route.final)
    assert record is not None
    assert record.environment["engine"] == "vllm"
    assert record.versions["vllm"].startswith("vllm")
    curves = pd.read_parquet(runner.store.path(route.final) / "train.parquet")
    assert curves["mean_tokens"].between(1, 24).all()
    if text == "student_rl=1":  # vLLM computes as training does here, in float32 or nearly so
        assert curves["ratio_p50"].between(0.9, 1.1).all() and (curves["ratio_outside"] == 0).all()
    assert make_runner("again", engine="vllm").run(route, "again").weights_sha256 == first.weights_sha256


def test_a_block_in_a_process_of_its_own_is_the_same_block(
    make_runner: Callable[..., RouteRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, where vLLM's memory comes back only with the end of its process."""
    runner = make_runner(engine="vllm")
    route = _route(runner, "student_rl=2")
    here = runner.run(route, "here")
    monkeypatch.setattr(WorkOrder, "apart", property(lambda order: True))
    there = make_runner("apart", engine="vllm")
    assert there.run(route, "there").weights_sha256 == here.weights_sha256
    assert len(list(there.store.folder.parent.glob("logs/block-*.log"))) == 2


def test_a_route_with_warmup_and_its_score_through_vllm(make_runner: Callable[..., RouteRunner]) -> None:
    runner = make_runner(engine="vllm")
    route = _route(runner, "teacher=medium warmup=1 student_rl=1")
    run = runner.run(route, "route")
    scored = runner.score(route.final, "validation", "route")
    assert len(scored.table) == 16
    assert run.labels.labels_trained == 4
    assert "vllm" in runner.scorer.store.read(scored.key).score_key.engine


def test_adapters_teach_learn_and_are_scored_through_vllm(make_runner: Callable[..., RouteRunner]) -> None:
    runner = make_runner(engine="vllm", lora={"rank": 4, "alpha": 8})
    route = _route(runner, "teacher=medium teacher_rl=1 warmup=1 student_rl=1")
    run = runner.run(route, "adapters")
    assert (run.model / "adapter_model.safetensors").exists()
    assert len(runner.score(route.final, "validation", "adapters").table) == 16


def test_the_engine_is_in_the_keys_and_where_the_server_runs_is_not(
    make_runner: Callable[..., RouteRunner],
) -> None:
    text = "teacher=medium warmup=1 opd=1"
    vllm = _route(make_runner(engine="vllm"), text).final
    assert _route(make_runner(engine="vllm", vllm={"rollout_server": "http://localhost:1"}), text).final != vllm
    key = _route(make_runner(), text).final
    assert _route(make_runner(engine="vllm"), text).final != key
    assert _route(make_runner(engine="transformers", vllm={"gpu_memory_utilization": 0.5}), text).final == key
    served = _route(make_runner(teacher_server={"top_k": 5}), text).final
    assert served != key
    assert _route(make_runner(teacher_server={"top_k": 5, "devices": "1"}), text).final == served
    assert _route(make_runner(teacher_server={"top_k": 6}), text).final != served
    assert _route(make_runner(teacher_server={"top_k": 5, "tensor_parallel": 2}), text).final != served
    assert _route(make_runner(engine="vllm", vllm={"tensor_parallel": 2}), text).final != vllm


def test_a_warmup_block_with_the_teacher_behind_a_real_server(
    make_runner: Callable[..., RouteRunner],
) -> None:
    text = "teacher=medium warmup=1"
    local = make_runner()
    with_server = make_runner(teacher_server={"top_k": 20})
    losses = []
    for runner in (local, with_server):
        route = _route(runner, text)
        runner.run(route, "teachers")
        record = runner.store.record(route.final)
        assert record is not None
        losses.append(pd.read_parquet(runner.store.path(route.final) / "train.parquet")["loss"].tolist())
    assert record.divergence == ("forward KL over the teacher's 20 likeliest tokens and one bucket for the rest's mass")
    # Events that are taken together are told apart less: the approximation is below the divergence, and not by much.
    assert all(0.9 * full < approximated < full for full, approximated in zip(*losses, strict=True))
    assert not _servers()


def test_an_opd_block_with_the_teacher_behind_a_server(make_runner: Callable[..., RouteRunner]) -> None:
    runner = make_runner(teacher_server={"top_k": 20})
    route = _route(runner, "teacher=medium opd=1")
    runner.run(route, "opd")
    record = runner.store.record(route.final)
    assert record is not None
    assert record.divergence == "reverse KL over two events: the sampled token, and any other"


def test_a_server_killed_mid_block_fails_the_block_and_the_same_run_goes_on(
    make_runner: Callable[..., RouteRunner], scenario_file: dict[str, Any]
) -> None:
    scenario_file["stages"]["opd"]["steps"] = 4
    runner = make_runner(teacher_server={"top_k": 1})
    route = _route(runner, "teacher=medium warmup=1 opd=1")

    def kill_the_servers() -> None:
        for process in _servers():
            os.kill(process.pid, signal.SIGKILL)

    def kill(event: Event) -> None:
        if isinstance(event, StepDone) and event.key == route.final and event.step == 2:
            kill_the_servers()

    runner.hear = kill
    with pytest.raises(TeacherServerError, match=r"ended with .* during training.*read .*teacher-of-.*\.log"):
        runner.run(route, "killed")
    assert runner.store.record(route.blocks[0].key) is not None
    assert runner.store.record(route.final) is None
    assert not _servers()
    runner.hear = ignore
    run = runner.run(route, "killed")
    assert [use.executed for use in run.blocks] == [False, True]


def test_a_server_that_cannot_start_ends_in_one_line(
    make_runner: Callable[..., RouteRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "4000")
    runner = make_runner(teacher_server={"top_k": 1})
    with pytest.raises(
        TeacherServerError, match=r"the teacher's server ended with exit code 1 .*read .*\.log"
    ) as caught:
        runner.run(_route(runner, "teacher=medium opd=1"), "memory")
    assert "\n" not in str(caught.value)


def test_a_rollout_server_that_does_not_answer_ends_in_one_line(make_runner: Callable[..., RouteRunner]) -> None:
    runner = make_runner(engine="vllm", vllm={"rollout_server": "http://127.0.0.1:9"})
    with pytest.raises(BlockError, match=r"rollout_server http://127\.0\.0\.1:9 does not answer") as caught:
        runner.run(_route(runner, "student_rl=1"), "server")
    assert "\n" not in str(caught.value)


def _servers() -> list[psutil.Process]:
    """Teacher servers that are children of this process."""
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if child.is_running() and child.status() != psutil.STATUS_ZOMBIE and "api_server" in " ".join(child.cmdline())
    ]
