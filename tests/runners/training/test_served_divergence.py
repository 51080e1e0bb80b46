"""The loss against a teacher behind a server: all tokens of a step weigh alike, and few logits are there at once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tuition.benchmarks.grading.grader import Grader
from tuition.planner.route import Block
from tuition.runners.scenarios.scenario_file import BUILT_IN
from tuition.runners.scenarios.settings import TransferSettings
from tuition.runners.training.checkpoint import load_model, load_tokenizer
from tuition.runners.training.stages import forward_kl, harness, reverse_kl, served_divergence
from tuition.runners.training.stages.harness import StageWork
from tuition.runners.training.stages.served_divergence import divergence, log_probabilities
from tuition.runners.training.work_order import ModelFiles, WorkOrder

STUDENT, TEACHER = BUILT_IN / "micro" / "student", BUILT_IN / "micro" / "teacher"
VOCABULARY = 164
COMPLETIONS = [[13, 20, 31, 44, 17, 1], [25, 1], [13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 1], [40, 41, 1]]


class ServerOfTeacher:
    """What vLLM's server answers, computed here."""

    def __init__(self, **address: Any) -> None:
        self.teacher = load_model(TEACHER, "float32", "cpu")

    def get_sequence_logprobs(
        self, sequences: list[list[int]], prompt_lengths: list[int], top_logprobs: int, temperature: float
    ) -> dict[str, Any]:
        """The teacher's log-probabilities at each token of the completions."""
        answer: dict[str, Any] = {"logprobs": [], "logprob_token_ids": [], "actual_logprobs": []}
        for ids, start in zip(sequences, prompt_lengths, strict=True):
            with torch.no_grad():
                logits = self.teacher(torch.tensor([ids])).logits[0, start - 1 : -1]
            scores = torch.log_softmax(logits / temperature, -1)
            best = scores.topk(top_logprobs)
            answer["logprobs"].append(best.values.tolist())
            answer["logprob_token_ids"].append(best.indices.tolist())
            answer["actual_logprobs"].append(scores.gather(-1, torch.tensor(ids[start:]).unsqueeze(-1)).tolist())
        return answer


@pytest.fixture(autouse=True)
def served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trl.generation.vllm_client.VLLMClient", ServerOfTeacher)


def train(stage: str, folder: Path, micro_batch: int, url: str | None = "http://teacher", top_k: int = 1) -> Any:
    """Loss and norm of the gradient of one step over COMPLETIONS, or over the student's own."""
    settings = TransferSettings(
        steps=1, micro_batch=micro_batch, prompts_per_step=4, completions=1, max_completion_tokens=12, lr_warmup_steps=0
    )
    block = Block("k" * 64, stage, 0, "student", "parent", "parent", "teacher", (), (), 0, 0)
    files = {"student": ModelFiles(STUDENT, STUDENT, "float32"), "teacher": ModelFiles(TEACHER, TEACHER, "float32")}
    order = WorkOrder(
        block=block, settings=settings, model=files["student"], teacher=None if url else files["teacher"],
        teacher_url=url, teacher_top_k=top_k, device="cpu", dtype="float32", engine="transformers",
    )  # fmt: skip
    rows: list[dict[str, Any]] = [{"prompt": f"{n}k=", "completion_ids": ids} for n, ids in enumerate(COMPLETIONS)]
    work = StageWork(
        order, files["student"].load("cpu", True), load_tokenizer(STUDENT), rows, folder, Grader(),
        teacher=None if url else files["teacher"].load("cpu", False),
    )  # fmt: skip
    curves = (forward_kl if stage == "warmup" else reverse_kl).train(work).curves
    return curves[["loss", "grad_norm"]].to_numpy()[0].tolist()


@pytest.mark.slow
def test_with_all_tokens_compared_it_is_the_loss_of_a_teacher_in_the_process(tmp_path: Path) -> None:
    inside = train("warmup", tmp_path, 4, url=None)
    assert train("warmup", tmp_path, 4, top_k=VOCABULARY) == pytest.approx(inside, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "top_k"), [("warmup", 20), ("opd", 1)])
def test_the_micro_batch_does_not_change_what_is_learnt(stage: str, top_k: int, tmp_path: Path) -> None:
    assert train(stage, tmp_path, 1, top_k=top_k) == pytest.approx(train(stage, tmp_path, 4, top_k=top_k), rel=1e-4)


@pytest.mark.slow
def test_that_test_fails_for_averages_of_each_forward_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "over_step_tokens", lambda trainer: trainer)
    apart, together = (train("warmup", tmp_path, micro, top_k=20) for micro in (1, 4))
    assert apart[0] != pytest.approx(together[0], rel=5e-3)


def numbers(*shape: int) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_pieces_give_the_log_probabilities_and_gradients_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_divergence, "CHUNK_TOKENS", 3)
    hidden, head, compared = numbers(8, 4).requires_grad_(), torch.nn.Linear(4, 11), torch.arange(16).reshape(8, 2) % 11
    found = log_probabilities(hidden, head, compared, 0.7)
    expected = torch.log_softmax(head(hidden) / 0.7, -1).gather(-1, compared)
    torch.testing.assert_close(found, expected)
    weighted = numbers(8, 2)
    inputs = [hidden, head.weight, head.bias]
    torch.testing.assert_close(
        torch.autograd.grad((found * weighted).sum(), inputs), torch.autograd.grad((expected * weighted).sum(), inputs)
    )
    assert log_probabilities(hidden[:0], head, compared[:0], 1.0).shape == (0, 2)


class Largest(TorchDispatchMode):
    """Notes the elements of the largest tensor that any operation makes."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        """Run it, and note what it makes."""
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, (list, tuple)) else [made]:
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return made


def test_never_are_all_logits_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_divergence, "CHUNK_TOKENS", 16)
    hidden, head = numbers(256, 4).requires_grad_(), torch.nn.Linear(4, 500, bias=False)
    teacher = torch.log_softmax(numbers(256, 20), -1)[:, :10]
    with Largest() as made:
        divergence(
            log_probabilities(hidden, head, torch.arange(2560).reshape(256, 10) % 500, 1.0), teacher, 0.0
        ).backward()
    assert 16 * 500 <= made.elements < 2 * 16 * 500, "of 256 * 500"


@pytest.mark.slow
def test_what_the_server_leaves_out_ends_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    complete = ServerOfTeacher.get_sequence_logprobs

    def without_one(self: Any, *args: Any, **named: Any) -> dict[str, Any]:
        answer = complete(self, *args, **named)
        answer["logprobs"][0][0][0] = float("-inf")
        return answer

    monkeypatch.setattr(ServerOfTeacher, "get_sequence_logprobs", without_one)
    with pytest.raises(ValueError, match="left out log-probabilities"):
        train("warmup", tmp_path, 4, top_k=2)
