"""On-policy distillation. The student writes, the teacher's distribution over every token is the target.

Reverse KL over the full vocabulary, by TRL's DistillationTrainer (beta = 1), which draws one completion per prompt:
rows are repeated for more. With the teacher behind a server, `tuition.runners.training.teacher_server` says what is
minimised instead.
"""

from tuition.runners.training.stages.harness import StageResult, StageWork, distillation_trainer, run


def train(work: StageWork) -> StageResult:
    """Train one block; the loss is the divergence."""
    return run(distillation_trainer(work, beta=1.0))
