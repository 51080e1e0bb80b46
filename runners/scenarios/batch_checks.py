"""What has to divide what: labels into blocks, a step's sequences into processes and micro-batches, pools into steps.

TRL silently drops an incomplete last batch, and paid labels would go untrained.
"""

from collections.abc import Sequence

from tuition.benchmarks.problems import Problem
from tuition.runners.scenarios.scenario_file import ScenarioFile
from tuition.runners.scenarios.settings import RLSettings
from tuition.runners.scenarios.sources import ScenarioError


def check_pools(
    file: ScenarioFile, labels: Sequence[Problem], validation: Sequence[Problem], test: Sequence[Problem]
) -> None:
    """ScenarioError for suites that are too small, and for labels that are not distinct or do not fill blocks."""
    for suite, problems in (("validation", validation), ("test", test)):
        if len(problems) < 2:
            raise ScenarioError(f"the {suite} suite has {len(problems)} problems: a standard error needs 2 or more")
    texts = [label.problem for label in labels]
    if len(set(texts)) < len(texts):
        twice = next(text for text in texts if texts.count(text) > 1)
        raise ScenarioError(f"the label pool holds {twice[:60]!r} twice: one problem would be paid for twice")
    if len(labels) % file.labels_per_block:
        raise ScenarioError(
            f"{len(labels)} labels are not a multiple of labels_per_block={file.labels_per_block}: "
            "the remainder would be paid for and never used"
        )


def check_batches(file: ScenarioFile, num_prompts: int) -> None:
    """ScenarioError for what does not divide, in a scenario whose prompt pool has `num_prompts` prompts."""
    for stage, settings in file.stages.present.items():
        if isinstance(settings, RLSettings) and settings.prompts_needed > file.labels_per_block:
            updates = settings.updates_per_rollout
            times = f" times updates_per_rollout={updates}" if updates > 1 else ""
            raise ScenarioError(
                f"stages.{stage.name}.prompts_per_step={settings.prompts_per_step}{times} exceeds labels_per_block="
                f"{file.labels_per_block}: the first block could not fill a generation batch"
            )
    processes = file.hardware.processes
    if file.hardware.sharding != "none":
        if processes == 1:
            raise ScenarioError(f"hardware.sharding={file.hardware.sharding} needs hardware.processes of 2 or more")
        if adapted := [name for name, model in {"student": file.student, **file.teachers}.items() if model.lora]:
            raise ScenarioError(
                f"hardware.sharding={file.hardware.sharding} and lora ({', '.join(adapted)}) cannot be combined: an "
                "adapter's training state fits one device; drop one of them"
            )
    for name, model in {"student": file.student, **file.teachers}.items():
        if model.tensor_parallel > 1 and file.hardware.engine == "transformers":
            raise ScenarioError(f"tensor_parallel={model.tensor_parallel} of {name} needs hardware.engine: vllm")
        if processes % model.tensor_parallel:
            raise ScenarioError(
                f"tensor_parallel={model.tensor_parallel} of {name} does not divide hardware.processes={processes}: "
                "choose a divisor"
            )
    for stage, settings in file.stages.present.items():
        of_each, rest = divmod(settings.sequences_per_step, processes)
        if rest or (of_each > settings.micro_batch and of_each % settings.micro_batch):
            raise ScenarioError(
                f"stages.{stage.name}: {settings.sequences_per_step} sequences per step cannot be split into "
                f"hardware.processes={processes} shares of whole micro-batches of {settings.micro_batch}: choose a "
                "divisor"
            )
    for stage, settings in file.stages.present.items():
        if stage.is_transfer and settings.prompts_needed > num_prompts:
            raise ScenarioError(
                f"stages.{stage.name}.prompts_per_step={settings.prompts_needed} exceeds the {num_prompts} prompts of "
                "the pool"
            )
