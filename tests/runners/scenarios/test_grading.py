"""The grading policy of a scenario: in the keys of what it decides, and nowhere else."""

import pytest

from tuition.benchmarks.grading.policies import DEFAULT_POLICY, POLICIES
from tuition.benchmarks.scoring.score_store import ScoredModel
from tuition.runners.route_runner import score_task
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import ScenarioFile


@pytest.mark.parametrize("policy", ["tuition-1", "tuition-2"])
def test_the_policy_is_in_the_keys_of_label_blocks_and_scores(policy: str) -> None:
    file, folder = ScenarioFile.read("micro")
    assert file.grading == DEFAULT_POLICY
    scenario = Scenario(file.model_copy(update={"grading": policy}), folder)
    version = POLICIES[policy].version
    stages = scenario.recipe.stages
    assert stages["student_rl"]["grader"] == stages["teacher_sft"]["grader"] == version
    assert "grader" not in stages["opd"] and "grader" not in stages["warmup"]
    assert score_task(scenario, "test", 0, ScoredModel(label="m"), "w").key.grader == version


def test_an_unknown_policy_is_refused_when_the_file_is_read() -> None:
    file, _ = ScenarioFile.read("micro")
    content = {**file.model_dump(mode="json"), "grading": "best"}
    with pytest.raises(ValueError, match="unknown grading policy 'best': choose one of tuition-1, tuition-2"):
        ScenarioFile.model_validate(content)
