"""Completions that ran into their limit: the share is shown and kept, and there is a warning from a tenth on."""

import json
from pathlib import Path

import pytest
import yaml

from tests.app.conftest import Command
from tests.runners.conftest import tiny_scenario_file

OF = ("--scenario", "short.yaml")


@pytest.fixture(autouse=True)
def short(tmp_path: Path) -> None:
    """A scenario whose limits are too small for any answer."""
    file = tiny_scenario_file(decoding={"name": "short", "max_new_tokens": 2})
    for settings in file["stages"].values():
        settings["max_completion_tokens"] = 2
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(file))


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.slow
def test_a_run_shows_them_and_warns_of_each_stage_once(tuition: Command) -> None:
    command = ("run", "teacher=medium warmup=1 opd=1 student_rl=2", *OF)
    first = tuition(*command)
    for block, stage in (("warmup[0]", "warmup"), ("opd[0]", "opd"), ("student_rl[0]", "student_rl")):
        warning = f"warning: 100% of the completions of {block} ran into its limit of 2 tokens: raise stages.{stage}"
        assert flat(first.stderr).count(warning) == 1
    assert "student_rl[1] ran into" not in flat(first.stderr)
    assert "100.0% of the completions ran into the limit." in flat(first.stdout)
    assert "warning: raise decoding.max_new_tokens" in flat(first.stdout)
    document = json.loads(tuition(*command, "--json").stdout)
    assert [block["truncated_share"] for block in document["blocks"]] == [1.0] * 4
    assert set(document["truncated_shares"].values()) == {1.0}


@pytest.mark.slow
def test_a_search_shows_them(tuition: Command) -> None:
    search = ("search", *OF, "--sampler", "random", "--trials", "2", "--test-seeds", "0")
    shown = flat(tuition(*search).stdout)
    assert "warning: in 2 of 2 scored trials 10% or more of the validation completions ran into the limit" in shown
    trials = json.loads(tuition(*search, "--json").stdout)["trials"]
    assert [trial["truncated_share"] for trial in trials if trial["score"]] == [1.0, 1.0]
