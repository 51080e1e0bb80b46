"""On-policy distillation. The student writes, the teacher's distribution over every token is the target.

Reverse KL over the full vocabulary, by TRL's DistillationTrainer (beta = 1), which draws one completion per prompt:
rows are repeated for more. With the teacher behind a server, `tuition.runners.training.teacher_server` says what is
minimised instead.
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
    """The distillation trainer of one block."""
    from datasets import Dataset

    trainer, teacher, configuration = distillation(work)
    made = trainer(
        model=work.model,
        **teacher,
        args=configuration(**trainer_arguments(work), **rollout_arguments(work), beta=1.0),
        train_dataset=Dataset.from_list(work.rows),
        processing_class=work.tokenizer,
        callbacks=callbacks(work),
    )
    offload_teacher(made, work)
    return made


def train(work: StageWork) -> StageResult:
    """Train one block; the loss is the divergence."""
    return run(make_trainer(work))
