"""The workflow that docs/leaderboards.md offers to maintainers is one that GitHub can read, and runs what is there."""

import re
from typing import Any

import yaml

from tests.docs.documents import ROOT
from tests.docs.test_names_in_docs import commands_in, wrong_in_command


def workflow() -> dict[Any, Any]:
    text = (ROOT / "docs" / "leaderboards.md").read_text()
    (block,) = re.findall(r"^```yaml\n# \.github/workflows/(?:\w+)\.yml\n(.*?)^```", text, re.S | re.M)
    loaded: dict[Any, Any] = yaml.safe_load(block)
    return loaded


def test_it_is_a_workflow_without_secrets_and_write_access() -> None:
    # YAML 1.1 reads the key `on` as true; GitHub does not.
    found = workflow()
    assert found.keys() == {"name", True, "permissions", "jobs"}
    assert found[True].keys() == {"pull_request"}, "never pull_request_target, which has the secrets"
    assert found["permissions"] == {"contents": "read"}
    (job,) = found["jobs"].values()
    assert job.keys() == {"runs-on", "timeout-minutes", "steps"}
    for step in job["steps"]:
        assert step.keys() <= {"uses", "with", "run"} and ("uses" in step) != ("run" in step)
        assert re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]) if "uses" in step else isinstance(step["run"], str)


def test_it_runs_the_checker_of_the_base_on_what_was_submitted() -> None:
    (job,) = workflow()["jobs"].values()
    folders = {step["with"]["path"] for step in job["steps"] if "checkout" in step.get("uses", "")}
    runs = [step["run"] for step in job["steps"] if "run" in step]
    (install, check) = runs
    assert "./base" in install and "submitted" not in install
    (words,) = commands_in([check])
    assert words[:2] == ["leaderboard", "check-submission"] and wrong_in_command(words) == []
    assert {words[2].partition("/")[0], words[-1].partition("/")[0]} == folders == {"submitted", "base"}
