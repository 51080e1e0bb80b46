"""One checkpoint has one score: what a search has scored, `tuition bench` finds, and the other way round."""

import importlib.metadata
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.app.conftest import Command
from tests.benchmarks.made_scores import two_by_two
from tests.runners.conftest import tiny_scenario_file
from tuition.app.recordings.recording import record_route
from tuition.benchmarks.grading.policies import GRADER_VERSION
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.benchmarks.scoring.score_store import Making, ScoredModel, ScoreKey, ScoreStore
from tuition.planner.allocation import Allocation
from tuition.planner.route import compile_route
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import BUILT_IN
from tuition.runners.training.checkpoint import hash_base

# The test and validation problems of the scenario, which are the first four of micro's.
OURS = ("--scenario", "tiny.yaml", "--limit", "4", "--samples", "2")


@pytest.fixture(autouse=True)
def scenario(tmp_path: Path) -> Path:
    """A tiny scenario that decodes as micro does, in the folder that commands run in."""
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_scenario_file(decoding={"name": "sampled", "max_new_tokens": 8})))
    return path


def bench(tuition: Command, model: str, suite: str, *arguments: str) -> dict[str, Any]:
    result = tuition("bench", "--model", model, "--suite", suite, "--json", *(arguments or OURS))
    assert result.returncode == 0, result.stderr
    (row,) = json.loads(result.stdout)["scores"]
    return dict(row)


def scores(tmp_path: Path) -> ScoreStore:
    return ScoreStore(ResultsFolder(tmp_path / "results").scores)


@pytest.mark.slow
def test_a_bench_finds_what_a_search_has_scored(
    tuition: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = tuition("search", "--scenario", "tiny.yaml", "--trials", "1", "--test-seeds", "1", "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    made = scores(tmp_path).score_keys()
    monkeypatch.setattr("tuition.app.scoring.bench_scores.open_engine", lambda *_: pytest.fail("no model is loaded"))

    def scored(key: str) -> str:
        """What `bench` calls the model of a score."""
        model = scores(tmp_path).read(key).model
        assert model is not None
        return model.block or model.label.split()[-1]  # "tiny base:student"

    for (run,) in report["test"]["runs"].values():
        row = bench(tuition, scored(run["score"]), "micro")
        assert (row["key"], row["samples_drawn_now"], row["suite"]) == (run["score"], 0, "micro-test@1/4")
    searched = [key for key in made if "validation" in scores(tmp_path).read(key).score_key.suite]
    assert {bench(tuition, scored(key), "micro-validation")["key"] for key in searched} == set(searched)
    assert scores(tmp_path).score_keys() == made


def test_a_run_finds_what_a_bench_has_scored(tuition: Command, tmp_path: Path) -> None:
    rows = [bench(tuition, "base:student", suite) for suite in ("micro", "micro-validation")]
    assert [row["samples_drawn_now"] for row in rows] == [8, 8]
    result = tuition("run", "base", "--scenario", "tiny.yaml", "--test", "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)["scores"]
    assert {suite: score["mean"] for suite, score in found.items()} == {row["suite"]: row["mean"] for row in rows}
    assert scores(tmp_path).score_keys() == sorted(row["key"] for row in rows)


def test_what_a_bench_paid_for_a_score_is_the_price_that_a_recording_tells(
    tuition: Command, tmp_path: Path, scenario: Path
) -> None:
    with closing(RouteRunner(Scenario.load(str(scenario)), tmp_path / "results")) as runner:
        route = compile_route(Allocation.parse("student_rl=1"), runner.scenario.recipe, 0)
        runner.run(route, "a study")
        row = bench(tuition, route.final, "micro")
        run = record_route(runner, route)
        assert run.test_gpu_seconds == row["gpu_seconds"] > 0
        validation = runner.score(route.final, "validation", "a study")
        assert run.validation_gpu_seconds == runner.ledger.price(f"score:{validation.key}")


def test_the_scores_of_a_search_become_entries_of_a_leaderboard(tuition: Command, tmp_path: Path) -> None:
    assert tuition("run", "base", "--scenario", "tiny.yaml", "--test", "--json").returncode == 0
    key = bench(tuition, "base:student", "micro")["key"]
    assert scores(tmp_path).read(key).command == "tuition run base --scenario tiny.yaml --test --json"
    added = tuition("leaderboard", "add", "board", "--score", key[:12], "--json")
    assert added.returncode == 0, added.stderr
    (entry,) = (tmp_path / "board" / "entries").iterdir()
    assert json.loads(entry.read_text())["model"] == "tiny base:student"


def test_other_samples_than_the_searchs_are_other_scores(tuition: Command) -> None:
    ours = bench(tuition, "base:student", "micro")
    others = [
        bench(tuition, "base:student", "micro", *OURS, *more)
        for more in (["--seed", "1"], ["--batch-size", "3"], ["--max-new-tokens", "9"], ["--limit", "3"])
    ]
    assert len({row["key"] for row in (ours, *others)}) == 5
    assert others[-1]["suite"] == "micro-test@1/384[:3]"
    # What a scenario's file says of decoding can be asked for as well.
    assert bench(tuition, "base:student", "micro", *OURS, "--preset", "tiny.yaml")["key"] == ours["key"]


def test_scores_under_the_keys_of_before_are_used(tuition: Command, tmp_path: Path) -> None:
    libraries = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("transformers", "torch"))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    before = ScoreKey(
        weights_sha256=hash_base(BUILT_IN / "micro" / "student"),
        suite="micro-test@1/384[:2]",
        decoding={
            "name": "sampled", "temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_new_tokens": 8, "prompt_suffix": "",
            "chat_template": False,
        },
        num_samples=2,
        sampling_seed=3,
        engine=f"{libraries}, float32, {device}, batches of 64 with a seed each",
        grader=GRADER_VERSION,
    )  # fmt: skip
    scores(tmp_path).save(before, two_by_two(), Making(model=ScoredModel(label="student"), seconds=2.0))
    asked = ("--limit", "2", "--samples", "2")
    row = bench(tuition, "base:student", "micro", *asked, "--seed", "3")
    assert (row["key"], row["samples_drawn_now"], row["mean"]) == (before.key, 0, 0.5)
    assert (row["verdicts"]["no_answer"], row["num_tokens"], row["tokens_per_second"]) == (2, 36, 18.0)
    assert bench(tuition, "base:student", "micro", *asked, "--seed", "4")["samples_drawn_now"] == 4
