"""What has to divide what: labels into blocks, a step's sequences into processes and micro-batches, pools into steps.

TRL silently drops an incomplete last batch, and paid labels would go untrained.
"""

from typing import TYPE_CHECKING

from runners.settings import RLSettings
from runners.sources import ScenarioError

if TYPE_CHECKING:
    from runners.scenario import Scenario


def check_batches(scenario: "Scenario") -> None:
    """ScenarioError for what does not divide."""
    file = scenario.file
    for suite in ("validation", "test"):
        if len(getattr(scenario, suite)) < 2:
            raise ScenarioError(
                f"the {suite} suite has {len(getattr(scenario, suite))} problems: an error needs 2 or more"
            )
    texts = [label.problem for label in scenario.labels]
    if len(set(texts)) < len(texts):
        twice = next(text for text in texts if texts.count(text) > 1)
        raise ScenarioError(f"the label pool holds {twice[:60]!r} twice: one problem would be paid for twice")
    if len(scenario.labels) % file.labels_per_block:
        raise ScenarioError(
            f"{len(scenario.labels)} labels are no multiple of labels_per_block={file.labels_per_block}: "
            "the rest would be paid for and never trained"
        )
    for stage in ("teacher_rl", "student_rl"):
        settings: RLSettings = getattr(file.stages, stage)
        if settings.prompts_needed > file.labels_per_block:
            raise ScenarioError(
                f"stages.{stage}.prompts_per_step={settings.prompts_needed} exceeds labels_per_block="
                f"{file.labels_per_block}: the first block could not fill a generation batch"
            )
    processes = file.hardware.processes
    if file.hardware.sharding != "none":
        if processes == 1:
            raise ScenarioError(f"hardware.sharding={file.hardware.sharding} needs hardware.processes of 2 or more")
        if adapted := [name for name, model in {"student": file.student, **file.teachers}.items() if model.lora]:
            raise ScenarioError(
                f"hardware.sharding={file.hardware.sharding} and lora ({', '.join(adapted)}) do not go together: an "
                "adapter's training state fits one device; leave one of them out"
            )
    for stage, settings in file.stages:
        of_each, rest = divmod(settings.sequences_per_step, processes)
        if rest or (of_each > settings.micro_batch and of_each % settings.micro_batch):
            raise ScenarioError(
                f"stages.{stage}: {settings.sequences_per_step} sequences a step do not divide into "
                f"hardware.processes={processes} shares of whole micro-batches of {settings.micro_batch}: choose a "
                "divisor"
            )
    for stage in ("warmup", "opd", "transfer_sft"):
        needed = getattr(file.stages, stage).prompts_needed
        if needed > len(scenario.prompts):
            raise ScenarioError(
                f"stages.{stage}.prompts_per_step={needed} exceeds the {len(scenario.prompts)} prompts of the pool"
            )
