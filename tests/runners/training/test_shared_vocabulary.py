"""Student and teacher with one tokenizer and outputs of other sizes: what is compared, drawn and trained."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from trl.trainer import distillation_trainer

from tests.runners.conftest import tiny_scenario_file
from tuition.planner.allocation import Allocation
from tuition.planner.route import compile_route
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import BUILT_IN
from tuition.runners.training.rows import within_vocabulary
from tuition.runners.training.stages.shared_vocabulary import over_shared_rows

ROWS, PADDED = 164, 192  # of micro's models, and of their padded copies


class Divergence:
    """As much of TRL's distillation trainer as computes the loss."""

    def compute_loss(self, beta: float, student: Any, teacher: Any) -> Any:
        (h_s, w_s, b_s), (h_t, w_t, b_t) = student, teacher
        biases = {"student_lm_head_bias": b_s, "teacher_lm_head_bias": b_t}
        mask = torch.ones(h_s.shape[:2])
        return distillation_trainer._chunked_divergence_loss(h_s, h_t, w_s, w_t, mask, beta, **biases)[0]


@pytest.mark.parametrize("beta", [0.0, 1.0], ids=["forward", "reverse"])
@pytest.mark.parametrize("sizes", [(7, 5), (5, 7)], ids=["larger student", "larger teacher"])
@pytest.mark.parametrize("biased", [False, True])
def test_the_divergence_is_over_the_rows_that_both_have(beta: float, sizes: tuple[int, int], biased: bool) -> None:
    generator = torch.Generator().manual_seed(0)

    def model(rows: int, width: int) -> tuple[Any, ...]:
        hidden, weight, bias = (
            torch.randn(*shape, generator=generator).requires_grad_()
            for shape in ((2, 3, width), (rows, width), (rows,))
        )
        return hidden, weight, bias if biased else None

    student, teacher = model(sizes[0], 4), model(sizes[1], 6)
    trainer = over_shared_rows(Divergence, 5)
    loss = trainer.compute_loss(
        trainer.__new__(trainer), beta, student, tuple(None if t is None else t.detach() for t in teacher)
    )
    (gradient,) = torch.autograd.grad(loss, [student[1]])

    def log_probabilities(hidden: Any, weight: Any, bias: Any) -> Any:
        return torch.log_softmax((hidden @ weight.T + (0 if bias is None else bias))[..., :5], -1)

    ours, theirs = log_probabilities(*student), log_probabilities(*teacher).detach()
    first, second = (theirs, ours) if beta == 0 else (ours, theirs)
    expected = (first.exp() * (first - second)).sum(-1).mean()
    (by_hand,) = torch.autograd.grad(expected, [student[1]])
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, by_hand)
    assert not gradient[5:].any() and gradient[:5].any()


def test_a_completion_ends_before_the_first_id_that_the_student_lacks() -> None:
    whole = [5, 163, 1]
    assert within_vocabulary(whole, ROWS, 1) is whole and within_vocabulary([], ROWS, 1) == []
    assert within_vocabulary([5, 7, 164, 9], ROWS, 1) == [5, 7]
    assert within_vocabulary([190, 9], ROWS, 1) == [1]


def padded(folder: Path, model: str) -> str:
    """A copy of a micro model whose embedding and output have more rows, which it would often choose."""
    shutil.copytree(BUILT_IN / "micro" / model, folder)
    made: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    weight = made.get_input_embeddings().weight.data
    made.resize_token_embeddings(PADDED, mean_resizing=False)
    made.get_input_embeddings().weight.data[ROWS:] = weight[: PADDED - ROWS]
    made.save_pretrained(folder)
    return str(folder)


def plain(folder: Path, model: str) -> str:
    return str(shutil.copytree(BUILT_IN / "micro" / model, folder))


Paths = Callable[[Path, str], str]


@pytest.fixture
def bridged(
    tmp_path: Path, load: Callable[[dict[str, Any]], Scenario], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, Paths, Paths], tuple[dict[str, Any], list[list[int]]]]:
    """Weights after a bridge block between two models, and the completions that were cached for it."""
    # Seeds derive from the content of the models.
    monkeypatch.setattr(
        "tuition.runners.scenarios.scenario.hash_base", lambda folder: hashlib.sha256(folder.name.encode()).hexdigest()
    )

    def run(stage: str, student: Paths, teacher: Paths) -> tuple[dict[str, Any], list[list[int]]]:
        import pandas as pd

        folder = tmp_path / f"{stage} {student.__name__} {teacher.__name__}"
        file = tiny_scenario_file(
            student={"path": student(folder / "student", "student")},
            teachers={"medium": {"path": teacher(folder / "teacher", "teacher")}},
        )
        file["stages"][stage] |= {"lr_warmup_steps": 0, "steps": 2}
        scenario = load(file)
        runner = RouteRunner(scenario, folder / "results")
        try:
            route = compile_route(Allocation.parse(f"teacher=medium {stage}=1"), scenario.recipe, 0)
            weights = load_file(runner.run(route, "s").model / "model.safetensors")
            cached = [pd.read_parquet(file) for file in runner.results.rollouts.glob("*/*/rollouts.parquet")]
            return weights, [list(ids) for table in cached for ids in table["completion_ids"]]
        finally:
            runner.close()

    return run


EMBEDDING = "model.embed_tokens.weight"


@pytest.mark.slow
def test_a_padded_teacher_teaches_what_it_teaches_without_its_padding(bridged: Callable[..., Any]) -> None:
    ours, _ = bridged("opd", plain, padded)
    theirs, _ = bridged("opd", plain, plain)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.slow
def test_a_padded_teachers_rollouts_are_cut_where_the_student_lacks_an_id(bridged: Callable[..., Any]) -> None:
    weights, completions = bridged("warmup", plain, padded)
    assert max(max(ids) for ids in completions) >= ROWS, "the case that it is about"
    assert len(weights[EMBEDDING]) == ROWS


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["warmup", "opd"])
def test_a_padded_students_padding_is_neither_drawn_nor_trained(bridged: Callable[..., Any], stage: str) -> None:
    weights, _ = bridged(stage, padded, plain)
    before = load_file(BUILT_IN / "micro" / "student" / "model.safetensors")[EMBEDDING]
    assert len(weights[EMBEDDING]) == PADDED
    assert torch.equal(weights[EMBEDDING][ROWS:], before[: PADDED - ROWS])
    assert not torch.equal(weights[EMBEDDING][:ROWS], before)
