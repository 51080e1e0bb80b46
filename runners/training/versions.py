"""The versions that decide what a block computes: results of others are not mixed in unless somebody says so."""

from collections.abc import Mapping
from importlib.metadata import version

from tuition.benchmarks.scoring.engines.vllm_engine import vllm_version
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.store.block_record import BlockRecord
from tuition.runners.training.meter import same_accelerator

VERSIONED = ("torch", "transformers", "trl", "peft")


def library_versions(scenario: Scenario) -> dict[str, str]:
    """The installed versions of the libraries that train a scenario's blocks."""
    versions = {name: version(name) for name in VERSIONED}
    if scenario.engine == "vllm" or scenario.file.hardware.teacher_server:
        versions["vllm"] = str(vllm_version())
    return versions


def other_versions(record: BlockRecord, versions: Mapping[str, str], accelerator: str) -> list[str]:
    """The libraries that trained a block in other versions than these, and its accelerator if it was another."""
    ours = {**versions, "accelerator": accelerator}
    theirs = {**record.versions, "accelerator": record.accelerator}
    if same_accelerator(accelerator, record.accelerator):
        theirs["accelerator"] = accelerator
    return [f"{name} {theirs.get(name)} (here {ours[name]})" for name in ours if ours[name] != theirs.get(name)]
