"""Baselines by name: the allocations that people use today, for the label budget of a scenario.

What: `baseline_allocations` writes every baseline as a row of block counts.

Simplified: tuned learning rates, and baselines that are no plain chain of blocks (one shuffled GRPO run, direct GRPO
with the compute of another route), are not here.
"""

from typing import Literal

from planner.allocation import Allocation, replay_control


class BaselineError(ValueError):
    """Baselines that cannot be; one line with the value and the fix."""


def baseline_allocations(
    teacher: str, num_label_blocks: int, warmup: int, opd: int, prompts: Literal["pool", "labels"] = "pool"
) -> dict[str, Allocation]:
    """The baselines for one teacher, B label blocks and a bridge of `warmup` and `opd` blocks.

    | name | teacher_rl | warmup | opd | student_rl | replay |
    |---|---|---|---|---|---|
    | direct | 0 | 0 | 0 | B | 0 |
    | raw-bridge | 0 | warmup | opd | 0 | 0 |
    | opd-only | B | 0 | warmup + opd | 0 | 0 |
    | teacher-upstream | B | warmup | opd | 0 | 0 |
    | half | B // 2 | warmup | opd | B - B // 2 | 0 |
    | half-replay | B // 2 | warmup | opd | 0 | B - B // 2 |

    `teacher-upstream` is the paper's rule, `half-replay` the replay control of `half`. `opd-only` gets as many transfer
    blocks as the bridge (our choice: the paper does not say). ValueError for fewer than 2 label blocks, for which there
    is no half; the planner's AllocationError for a bridge without blocks.
    """
    if num_label_blocks < 2:
        raise BaselineError(f"num_label_blocks is {num_label_blocks}; the half split needs 2 or more")
    upstream = num_label_blocks // 2
    half = Allocation(
        teacher=teacher,
        teacher_rl=upstream,
        warmup=warmup,
        opd=opd,
        student_rl=num_label_blocks - upstream,
        prompts=prompts,
    )
    return {
        "direct": Allocation(student_rl=num_label_blocks),
        "raw-bridge": Allocation(teacher=teacher, warmup=warmup, opd=opd, prompts=prompts),
        "opd-only": Allocation(teacher=teacher, teacher_rl=num_label_blocks, opd=warmup + opd, prompts=prompts),
        "teacher-upstream": Allocation(
            teacher=teacher, teacher_rl=num_label_blocks, warmup=warmup, opd=opd, prompts=prompts
        ),
        "half": half,
        "half-replay": replay_control(half),
    }
