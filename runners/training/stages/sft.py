"""Next-token cross-entropy on completions, by TRL's SFTTrainer.

A teacher is trained on its own correct samples (rejection sampling: our choice, the paper does not give its recipe), a
student on the teacher's samples, right or wrong: the hard-label control of the bridge. Prompts are masked out of the
loss.
"""

from typing import Any

from tuition.runners.training import pinned
from tuition.runners.training.stages.harness import (
    StageResult,
    StageWork,
    callbacks,
    run,
    trainer_arguments,
    warmed_up,
)


def arguments(work: StageWork) -> dict[str, Any]:
    """Arguments of TRL's SFTConfig."""
    return {**trainer_arguments(work), **pinned.SFT}


def make_trainer(work: StageWork) -> Any:
    """The SFT trainer of one block; rows have `prompt_ids` and `completion_ids`."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    rows = [
        {
            "input_ids": row["prompt_ids"] + row["completion_ids"],
            "labels": [-100] * len(row["prompt_ids"]) + row["completion_ids"],
        }
        for row in work.rows
    ]
    return warmed_up(SFTTrainer)(
        model=work.model,
        args=SFTConfig(**arguments(work)),
        train_dataset=Dataset.from_list(rows),
        processing_class=work.tokenizer,
        callbacks=callbacks(work),
    )


def train(work: StageWork) -> StageResult:
    """Train one SFT block."""
    return run(make_trainer(work))
