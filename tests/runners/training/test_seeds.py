"""Seeds where several processes train a block: what they draw apart differs."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.runners.training import group_over_ranks
from tuition.runners import fork_server
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.training.stages.trainer_callbacks import SeedRollouts


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_processes_that_share_a_group_draw_different_completions(tmp_path: Path) -> None:
    path = tmp_path / "drawn.json"
    process = fork_server.forked().Process(target=group_over_ranks.run, args=(path,))
    fork_server.start(process)
    process.join()
    assert process.exitcode == 0
    drawn = json.loads(path.read_text())
    assert len(drawn) == 8 and len({tuple(ids) for ids in drawn}) == 8


@pytest.mark.parametrize(
    ("ranks_per_engine", "alike"),
    [(1, [[0], [1], [2], [3]]), (2, [[0, 1], [2, 3]])],
    ids=["each its own", "two of one vLLM"],
)
def test_processes_of_one_engine_share_a_stream_and_others_do_not(
    ranks_per_engine: int, alike: list[list[int]]
) -> None:
    draws: dict[float, list[int]] = {}
    for rank in range(4):
        SeedRollouts(ranks_per_engine).on_train_begin(SimpleNamespace(seed=7, process_index=rank), None, None)
        draws.setdefault(float(torch.rand(1)), []).append(rank)
    assert list(draws.values()) == alike


def test_only_blocks_that_several_processes_draw_with_vllm_have_new_keys(
    scenario_file: dict[str, Any], load: Callable[..., Scenario]
) -> None:
    def environment(**hardware: Any) -> set[str]:
        scenario_file["hardware"] = {"device": "cpu", **hardware}
        return set(load(scenario_file).recipe.environment)

    plain = {"device", "dtype", "engine"}
    assert environment(engine="vllm") == environment(engine="transformers") == plain
    assert environment(engine="transformers", processes=2) == {*plain, "processes"}
    assert environment(engine="vllm", processes=2) == {*plain, "processes", "rollout_seeds"}
