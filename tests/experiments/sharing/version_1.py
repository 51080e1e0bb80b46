"""The recipe of `micro@1` and `micro-b@1`: 30 steps a block, all of which draw from all labels bought so far."""

from tuition.runners.scenarios.scenario import Scenario

TEACHER_RATES = {"micro": 2e-4, "micro-b": 4e-4}


def version_1(scenario: Scenario) -> Scenario:
    """A built-in bench as it was."""
    before = {"steps": 30, "new_labels_first": 0.0}
    stages = scenario.file.stages.changed("student_rl", **before)
    stages = stages.changed("teacher_rl", **before, learning_rate=TEACHER_RATES[scenario.name])
    return scenario.with_stages(stages)
