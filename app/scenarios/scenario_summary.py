"""`tuition scenarios`: load, check and describe a scenario, or as much of it as there is without the Hub."""

from typing import Any

from tuition.app.studies.single_run import allocations_by_name
from tuition.runners.scenarios.model_checks import check_models
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import ScenarioFile
from tuition.runners.scenarios.sources import HubError, ProblemSource, SuiteSource


def describe_scenario(name: str) -> dict[str, Any]:
    """Check a scenario and say what is in it. No model is fetched: weights may be hundreds of gigabytes.

    Where data sets cannot be fetched either, the file alone is described; `hub` says what is missing.
    """
    file, _ = ScenarioFile.read(name)
    scenario, missing = None, ""
    warnings: tuple[str, ...] = ()
    try:
        scenario = Scenario.load(name)
        warnings = check_models(scenario)
    except HubError as error:
        missing = f"; not fetched, so not checked: {error}"
    blocks = scenario.num_label_blocks if scenario else (file.labels.count or 0) // file.labels_per_block
    wanted = [f"model {name}" for name in file.hub_models] + [f"data set {name}" for name in file.hub_data]
    return {
        "name": file.name,
        "description": file.description,
        # The hash covers the weights.
        "sha256": scenario.sha256 if scenario and not file.hub_models else None,
        "student": file.student.path or file.student.hub,
        "teachers": ", ".join(file.teachers) + f" (named routes use {file.default_teacher})",
        "labels": f"{_count(scenario, 'labels', file.labels)} in blocks of {file.labels_per_block}",
        "prompts": f"{_count(scenario, 'prompts', file.prompts)} without answers",
        "validation": _suite(scenario, "validation", file.validation),
        "test": _suite(scenario, "test", file.test),
        "device": scenario.device if scenario else file.hardware.device,
        "contamination": "; ".join(map(str, scenario.overlaps)) if scenario else None,
        "warnings": list(warnings),
        "hub": ", ".join(wanted) + missing if wanted else None,
        # Without a count, how many blocks a data set fills is only known when it is there.
        "routes": {n: str(a) for n, a in allocations_by_name(file, blocks).items()} if blocks > 1 else {},
    }


def _count(scenario: Scenario | None, part: str, source: ProblemSource) -> str:
    if scenario is not None:
        return str(len(getattr(scenario, part)))
    return f"{source.count or 'all'} of {source.micro or source.jsonl or source.suite}"


def _suite(scenario: Scenario | None, part: str, source: SuiteSource) -> str:
    return f"{_count(scenario, part, source.problems)} problems × {source.samples} samples"
