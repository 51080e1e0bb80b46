"""Forward KL over the full vocabulary on cached *teacher* rollouts.

TRL's DistillationTrainer with beta = 0 is a forward KL, but on the student's own rollouts; here its generation step
hands out the teacher's completions instead (row column `completion_ids`), and everything else is TRL's.
"""

from typing import Any

from tuition.runners.training.stages.harness import (
    StageResult,
    StageWork,
    callbacks,
    distillation,
    offload_teacher,
    rollout_arguments,
    run,
    trainer_arguments,
)


def make_trainer(work: StageWork) -> Any:
    """The distillation trainer of one block, fed with the teacher's completions."""
    from datasets import Dataset

    distiller, teacher, configuration = distillation(work)

    class ForwardKLTrainer(distiller):  # type: ignore[valid-type, misc]
        def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
            self._teacher_completions = [row["completion_ids"] for row in inputs]
            scored: dict[str, Any] = super()._generate_and_score_completions(inputs)
            return scored

        def _generate_single_turn(self, *args: Any, **kwargs: Any) -> list[list[int]]:
            return self._teacher_completions

    made = ForwardKLTrainer(
        model=work.model,
        **teacher,
        args=configuration(**trainer_arguments(work), **rollout_arguments(work), beta=0.0),
        train_dataset=Dataset.from_list(work.rows),
        processing_class=work.tokenizer,
        callbacks=callbacks(work),
    )
    offload_teacher(made, work)
    return made


def train(work: StageWork) -> StageResult:
    """Train one block; the loss is the divergence."""
    return run(make_trainer(work))
