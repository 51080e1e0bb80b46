"""Baselines by name: what people do today with the labels of a scenario, and what each is matched by.

What: `baseline_allocations` writes every baseline that is a plain chain of blocks as a row of block counts; `MATCHED`
says what each baseline shares with the route that it is compared with; `choose_baselines` reads names. Two rows are
checkpoints that nothing has trained (`UNTRAINED`).

Simplified: tuned learning rates are not here. Three baselines are no plain row: `direct-compute`, whose length depends
on measured seconds, and the two ordinary runs without blocks (`SHUFFLED`); `tuition.app.studies.baseline_runs` makes
them.
"""

from collections.abc import Sequence
from typing import Literal

from tuition.planner.allocation import Allocation, replay_control

DIRECT = "direct"
UPSTREAM = "teacher-upstream"
DIRECT_COMPUTE = "direct-compute"
OPPOSITE = "opposite"
UNTRAINED_STUDENT = "untrained-student"
RAW_TEACHER = "raw-teacher"

UNTRAINED = (UNTRAINED_STUDENT, RAW_TEACHER)
"""Rows of base models: no label, no training, no training seed. The teacher is a reference, no student to deploy."""

SHUFFLED = {"direct-shuffled": DIRECT, "upstream-shuffled": UPSTREAM}
"""Baselines whose label stage is one ordinary shuffled run, and the blocked baseline that each repeats."""

MATCHED = {
    DIRECT: "all labels",
    DIRECT_COMPUTE: "all labels, and the GPU-seconds of the compared route",
    "direct-shuffled": "all labels; as many updates as direct, in one run",
    "raw-bridge": "no labels; transfer blocks of teacher-upstream",
    OPPOSITE: "all labels; transfer blocks of teacher-upstream",
    "opd-only": "all labels; blocks of teacher-upstream",
    "sample-sft": "all labels; blocks of teacher-upstream",
    "sft-teacher": "all labels; blocks of teacher-upstream",
    UPSTREAM: "all labels",
    "upstream-shuffled": "all labels; as many updates as teacher-upstream, the teacher's in one run",
    "half": "all labels",
    "half-replay": "the labels of half's teacher; blocks of half",
    UNTRAINED_STUDENT: "nothing: the student before any training",
    RAW_TEACHER: "nothing: the default teacher before any training; a reference, no student to deploy",
}
"""Every baseline, in the order of tables, and what it is matched by."""

EVALUATED_FIRST = (DIRECT, "raw-bridge", "opd-only", UPSTREAM, "half", "half-replay")
"""The baselines that a search evaluates first, as far as its space holds them."""

TESTED_BY_SEARCH = (*EVALUATED_FIRST, OPPOSITE, *UNTRAINED)
"""The baselines that a search tests at its end; `tuition baselines` tests all."""


class BaselineError(ValueError):
    """Baselines that cannot be; one line with the value and the fix."""


def choose_baselines(only: Sequence[str]) -> tuple[str, ...]:
    """The named baselines in the order of tables, direct GRPO always among them; all of them for no name.

    BaselineError for a name that is none.
    """
    unknown = [name for name in only if name not in MATCHED]
    if unknown:
        raise BaselineError(f"unknown baseline {unknown[0]!r}; choose from {', '.join(MATCHED)}")
    return tuple(name for name in MATCHED if not only or name in only or name == DIRECT)


def baseline_allocations(
    teacher: str, num_label_blocks: int, warmup: int, opd: int, prompts: Literal["pool", "labels"] = "pool"
) -> dict[str, Allocation]:
    """The baselines for one teacher, B label blocks and a bridge of `warmup` and `opd` blocks.

    | name | teacher_rl | teacher_sft | warmup | opd | transfer_sft | student_rl | replay |
    |---|---|---|---|---|---|---|---|
    | direct | 0 | 0 | 0 | 0 | 0 | B | 0 |
    | raw-bridge | 0 | 0 | warmup | opd | 0 | 0 | 0 |
    | opposite | 0 | 0 | warmup | opd | 0 | B | 0 |
    | opd-only | B | 0 | 0 | warmup + opd | 0 | 0 | 0 |
    | sample-sft | B | 0 | 0 | 0 | warmup + opd | 0 | 0 |
    | sft-teacher | 0 | B | warmup | opd | 0 | 0 | 0 |
    | teacher-upstream | B | 0 | warmup | opd | 0 | 0 | 0 |
    | half | B // 2 | 0 | warmup | opd | 0 | B - B // 2 | 0 |
    | half-replay | B // 2 | 0 | warmup | opd | 0 | 0 | B - B // 2 |

    `teacher-upstream` is the paper's rule; `opposite` has its labels and its transfer the other way round, so it says
    how much of the rule's gain a transfer without labels has by itself. `opd-only` and `sample-sft` change the rule's
    transfer and nothing else, `sft-teacher` its teacher's training; all have as many blocks, which are as many updates
    where the scenario gives the stages equal steps (our choice: the paper does not say; its own R2 and R6 do this to
    its half split).
    `half-replay` is the replay control of `half`. BaselineError for fewer than 2 label blocks, for which there is no
    half; the planner's AllocationError for a bridge without blocks.
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
        DIRECT: Allocation(student_rl=num_label_blocks),
        "raw-bridge": Allocation(teacher=teacher, warmup=warmup, opd=opd, prompts=prompts),
        OPPOSITE: Allocation(teacher=teacher, warmup=warmup, opd=opd, student_rl=num_label_blocks, prompts=prompts),
        "opd-only": Allocation(teacher=teacher, teacher_rl=num_label_blocks, opd=warmup + opd, prompts=prompts),
        "sample-sft": Allocation(
            teacher=teacher, teacher_rl=num_label_blocks, transfer_sft=warmup + opd, prompts=prompts
        ),
        "sft-teacher": Allocation(
            teacher=teacher, teacher_sft=num_label_blocks, warmup=warmup, opd=opd, prompts=prompts
        ),
        UPSTREAM: Allocation(teacher=teacher, teacher_rl=num_label_blocks, warmup=warmup, opd=opd, prompts=prompts),
        "half": half,
        "half-replay": replay_control(half),
    }
