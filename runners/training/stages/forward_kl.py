"""Forward KL over the full vocabulary on cached *teacher* rollouts.

TRL's DistillationTrainer with beta = 0 is a forward KL, but on the student's own rollouts; here its generation step
hands out the teacher's completions instead (row column `completion_ids`), and everything else is TRL's.
"""

from typing import Any

from tuition.runners.training.stages.harness import StageResult, StageWork, distillation_trainer, run


def _on_teacher_completions(trainer: Any) -> Any:
    """A distillation trainer of TRL that is fed with the teacher's completions."""

    class ForwardKLTrainer(trainer):  # type: ignore[misc]  # one of two classes of TRL, both untyped
        def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
            self._teacher_completions = [row["completion_ids"] for row in inputs]
            scored: dict[str, Any] = super()._generate_and_score_completions(inputs)
            return scored

        def _generate_single_turn(self, *args: Any, **kwargs: Any) -> list[list[int]]:
            return self._teacher_completions

    return ForwardKLTrainer


def train(work: StageWork) -> StageResult:
    """Train one block; the loss is the divergence."""
    return run(distillation_trainer(work, beta=0.0, adapted=_on_teacher_completions))
