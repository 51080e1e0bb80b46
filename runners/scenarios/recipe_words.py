"""What keys cover of settings and environment, by the names that the scenario's file has for it."""

from collections.abc import Mapping
from typing import Any

from tuition.planner.stages import STAGE
from tuition.runners.scenarios.settings import SEQUENCE_MASK


def in_words(stages: Mapping[str, Mapping[str, Any]], environment: Mapping[str, str]) -> dict[str, Any]:
    """Settings of some stages of a recipe and its environment, as fields of the file. What stages share stands once.

    Made for `tuition.planner.drift.describe_drift`: `stages.opd.steps`, `hardware.dtype`, `prompt_suffix`, `revision
    of opd`.
    """
    named: dict[str, Any] = {}
    own = {name: dict(settings) for name, settings in stages.items()}
    hardware: dict[str, Any] = {"sharding": "none", **environment, "processes": int(environment.get("processes", 1))}
    for name, settings in own.items():
        named[f"revision of {name}"] = settings.pop("revision", None)
        prompt = settings.pop("prompt", {})
        named["prompt_suffix"], named["chat_template"] = prompt.get("suffix"), prompt.get("chat_template")
        named["template"] = prompt.get("template", {})
        if "grader" in settings:
            named["grader"] = settings.pop("grader")
        if "generation_batch" in settings:
            hardware["generation_batch"] = settings.pop("generation_batch")
        if settings.get("lr_warmup_steps"):
            settings.setdefault("lr_warmup_first_rate", "zero")  # as it was at first
        if environment.get("engine", "").startswith("vllm") and STAGE[name].is_rl:
            settings.setdefault("rollout_correction", SEQUENCE_MASK.key_fields())
        if "teacher_tensor_parallel" in settings:
            hardware.setdefault("teacher_server", {})["tensor_parallel"] = settings.pop("teacher_tensor_parallel")
        if "teacher_top_k" in settings:
            loss = settings.pop("teacher_server_loss", "over each forward pass")  # as it was at first
            hardware.setdefault("teacher_server", {})["loss"] = loss
            hardware.setdefault("teacher_server", {})[name] = f"{settings.pop('teacher_top_k')} tokens compared"
    if "vllm_tensor_parallel" in hardware:
        hardware["vllm"] = {"tensor_parallel": int(hardware.pop("vllm_tensor_parallel"))}
    if hardware.get("dtype") == "bfloat16" and hardware.pop("autocast", None) is None:
        hardware["dtype"] = "bfloat16, the bridge in float32"  # as it was at first
    return {**named, "stages": own, "hardware": hardware}
