"""Settings that are possible and hardly meant: they train, and not as their author expects."""

from collections.abc import Iterator

from tuition.planner.stages import STUDENT_RL
from tuition.runners.scenarios.scenario_file import ScenarioFile
from tuition.runners.scenarios.settings import RLSettings

IMPLAUSIBLE_CLIP = 1.0
"""From here on the lower bound of the ratio, 1 - clip, is 0 or less: it never acts."""


def unlikely_settings(file: ScenarioFile, num_label_blocks: int) -> Iterator[str]:
    """One line for each setting that is hardly meant, with the fix, in a scenario with so many label blocks."""
    search = file.search
    most = {
        "warmup": max(search.bridge_warmup, search.max_warmup),
        "opd": max(search.bridge_opd, search.max_opd),
        "transfer_sft": max(search.bridge_warmup + search.bridge_opd, search.max_warmup + search.max_opd),
        STUDENT_RL.name: num_label_blocks + search.max_replay,
    }
    for stage, settings in file.stages.present.items():
        blocks = most.get(stage.name, num_label_blocks)
        steps = settings.steps * blocks
        if blocks and settings.lr_warmup_steps > steps:
            yield (
                f"stages.{stage.name}.lr_warmup_steps={settings.lr_warmup_steps} exceeds the {steps} steps that the "
                f"stage can have ({blocks} x {settings.steps}): learning_rate={settings.learning_rate:g} is never "
                f"reached; lower it to {steps} or less"
            )
        if isinstance(settings, RLSettings) and settings.clip >= IMPLAUSIBLE_CLIP:
            yield (
                f"stages.{stage.name}.clip={settings.clip:g} is 1 or more, so no ratio is ever clipped from below: "
                "set it below 1 (usual: 0.2)"
            )
