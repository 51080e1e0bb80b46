"""The text of a new scenario: every number that decides something, with the reason for it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from tuition.benchmarks.grading.policies import DEFAULT_POLICY
from tuition.benchmarks.scoring.decoding import SUFFIX
from tuition.planner.stages import STAGES

LABEL_BLOCKS = 8
FEWEST_STEPS = 10  # twice the warm-up
VALIDATION_SHARE, TEST_SHARE = 1 / 8, 1 / 4
MOST_VALIDATION, MOST_TEST = 256, 512


@dataclass(frozen=True)
class NewScenario:
    """What a user gives. `student` and `teacher` are folders or Hub ids."""

    out: Path
    student: str
    teacher: str
    problems: Path
    data_dir: Path | None = None
    """A folder with copies of the suites; without it the Hub is asked."""
    max_tokens: int = 1024


def scenario_text(
    request: NewScenario, without: Sequence[str], num_problems: int, template: Mapping[str, bool] | None
) -> str:
    """The YAML of a scenario on `num_problems` problems of the request's file, `without` left out.

    `template` has variables of the chat template; None: prompts are plain text.
    """
    folder = request.out.parent
    num_validation = min(MOST_VALIDATION, int(num_problems * VALIDATION_SHARE))
    num_test = min(MOST_TEST, int(num_problems * TEST_SHARE))
    per_block = (num_problems - num_validation - num_test) // LABEL_BLOCKS
    num_labels = per_block * LABEL_BLOCKS
    prompts_per_step = min(8, per_block)
    return SCENARIO.format(
        name=re.sub(r"[^a-z0-9._-]+", "-", request.out.stem.lower()).strip("-._")[:64] or "mine",
        student=_source(request.student, folder),
        teacher=_source(request.teacher, folder),
        problems=_quoted(_beside(request.problems, folder)),
        without=f"[{', '.join(_quoted(i) for i in without)}]",
        num_labels=num_labels,
        per_block=per_block,
        num_validation=num_validation,
        validation_from=num_labels,
        num_test=num_test,
        test_from=num_labels + num_validation,
        grading=DEFAULT_POLICY,
        suffix=_quoted(SUFFIX),
        chat="false" if template is None else "true",
        template=json.dumps(template or {}),
        max_tokens=request.max_tokens,
        stages=_stages(
            # The last block draws from all labels: whole passes leave none of them untrained.
            steps=max(FEWEST_STEPS, ceil(num_labels / prompts_per_step)),
            # As many sequences as two passes over one block's labels.
            rejection_steps=max(FEWEST_STEPS, 2 * per_block // prompts_per_step),
            prompts_per_step=prompts_per_step,
            transfer_prompts=min(32, num_labels),
            max_tokens=request.max_tokens,
        ),
    )


def _stages(**numbers: int) -> str:
    """The settings of every stage. Stages of one kind begin with the same ones, which are written out once."""
    lines: list[str] = []
    written: set[str] = set()
    for stage in STAGES:
        kind = "grpo" if stage.is_rl else "transfer" if stage.is_transfer else "rejection"
        lines += [f"  # {stage.title}", f"  {stage.name}: {'*' if kind in written else '&'}{kind}"]
        if kind not in written:
            lines.append(SETTINGS[kind].format(**numbers))
            written.add(kind)
    return "\n".join(lines)


def _source(name: str, folder: Path) -> str:
    path = Path(name)
    return f"path: {_quoted(_beside(path, folder))}" if path.is_dir() else f"hub: {_quoted(name)}, revision: null"


def _beside(path: Path, folder: Path) -> str:
    """A path as the scenario's file names it: from its own folder where it lies in it, so that both can move."""
    path, folder = path.resolve(), folder.resolve()
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # is YAML, too


SCENARIO = """\
# Written by `tuition scenarios new`. The numbers are starting points, not advice: docs/micro.md shows how much rates
# matter.
name: {name}
description: ""

# LoRA trains an adapter, and a block stores only that. Full training takes about 16 bytes per parameter and rates of
# about 1.0e-6.
student: {{{student}, lora: &lora {{rank: 32, alpha: 64, target_modules: all-linear}}}}
teachers:
  big: {{{teacher}, lora: *lora}}

# One file holds labels and suites. Its rows are ordered by a hash of their texts, so every part is a fixed random
# sample. `without` lists repeats and answers that the grader cannot read.
labels: &mine {{jsonl: {problems}, shuffle: true, without: {without}, count: {num_labels}}}
# Labels per block: the smallest share that a search moves between teacher and student.
labels_per_block: {per_block}
# The prompts of the bridge. Answers are not read; more problems of the same kind, without answers, work better.
prompts: *mine
# The search selects by validation. The test is scored once, for the finalists.
validation: {{problems: {{<<: *mine, skip: {validation_from}, count: {num_validation}}}, samples: 4}}
test: {{problems: {{<<: *mine, skip: {test_from}, count: {num_test}}}, samples: 8}}

# A prompt is the problem plus this suffix, sent as a user's message if `chat_template`. `template` holds variables of
# the chat template.
# Which rules say whether an answer is right (docs/grading.md). Other rules have other keys: blocks and scores are not
# shared.
grading: {grading}
prompt_suffix: {suffix}
chat_template: {chat}
template: {template}
decoding: {{name: sampled, temperature: 1.0, top_p: 1.0, max_new_tokens: {max_tokens}}}

# A search uses the stages that `search` allows; the others are for the controls of `tuition baselines`.
stages:
{stages}

search: {{bridge_warmup: 1, bridge_opd: 2, max_warmup: 2, max_opd: 4}}
# auto: the GPU if there is one. For several GPUs of one machine set processes: 8, and sharding: fsdp2 if a model's
# training state does not fit on one. generation_batch: sequences generated together for scores and the teacher's
# rollouts; lower it if memory is short.
hardware: {{device: auto, dtype: bfloat16, engine: transformers, generation_batch: 32}}
"""

SETTINGS = {
    "grpo": """\
    # An optimizer step takes prompts_per_step x generations sequences, micro_batch at a time. An answer truncated at
    # max_completion_tokens gets no reward. The steps of a block pass over all labels once, so that none is bought and
    # never trained on (`tuition plan` shows the passes); fewer cost less.
    steps: {steps}
    prompts_per_step: {prompts_per_step}
    generations: 8
    learning_rate: 2.0e-5
    lr_warmup_steps: 5
    micro_batch: 4
    max_completion_tokens: {max_tokens}
    gradient_checkpointing: true
    # Groups whose completions are all right or all wrong teach nothing. This filter skips problems that the model
    # solves too rarely or too often when a block starts; it costs compute, and skipped labels still count as spent:
    # filter: {{samples: 8, least: 0.05, most: 0.95}}""",
    "transfer": """\
    steps: 32
    prompts_per_step: {transfer_prompts}
    completions: 1
    learning_rate: 1.0e-4
    lr_warmup_steps: 5
    micro_batch: 4
    max_completion_tokens: {max_tokens}
    gradient_checkpointing: true""",
    "rejection": """\
    steps: {rejection_steps}
    sequences: 32
    samples_per_problem: 8
    learning_rate: 2.0e-5
    lr_warmup_steps: 5
    micro_batch: 4
    max_completion_tokens: {max_tokens}
    gradient_checkpointing: true""",
}
