"""`tuition leaderboard new`: a leaderboard that declares how its entries are made, before the first is there."""

from pathlib import Path
from typing import Any

from tuition.app.studies.evaluation import seeds_for_test
from tuition.benchmarks.boards.board_folder import make_board
from tuition.benchmarks.boards.entries import Preset
from tuition.benchmarks.boards.protocol import DeclaredScenario, Protocol
from tuition.benchmarks.scoring.score_store import ScoredModel
from tuition.runners.route_runner import score_task
from tuition.runners.scenarios.scenario import Scenario


def new_board(
    folder: Path, scenario: str, num_seeds: int, seed: int, title: str | None, url: str | None = None
) -> dict[str, Any]:
    """Make a leaderboard for a scenario's test suite; what it declares, as JSON values.

    `num_seeds` and `seed` are those of `tuition baselines` or `tuition search`: the training seeds follow from them.
    EntryError where the folder is a leaderboard already or holds other files.
    """
    protocol = protocol_of(Scenario.load(scenario), seeds_for_test(seed, num_seeds))
    manifest = make_board(folder, title, (protocol,), url)
    return {
        "leaderboard": manifest.name,
        "folder": str(folder),
        "head": manifest.head,
        **manifest.model_dump(mode="json"),
    }


def protocol_of(scenario: Scenario, training_seeds: tuple[int, ...]) -> Protocol:
    """What entries of a scenario's test suite have in common."""
    key = score_task(scenario, "test", 0, ScoredModel(label=""), "").key
    return Protocol(
        suite=key.suite,
        preset=Preset(name=key.decoding["name"], fields={n: v for n, v in key.decoding.items() if n != "name"}),
        num_samples=key.num_samples,
        sampling_seed=key.sampling_seed,
        grader=key.grader,
        training_seeds=training_seeds,
        scenario=counts_of(scenario),
    )


def counts_of(scenario: Scenario) -> DeclaredScenario:
    """What a protocol declares of a scenario."""
    return DeclaredScenario(
        name=scenario.name,
        sha256=scenario.sha256,
        labels=len(scenario.labels),
        labels_per_block=scenario.file.labels_per_block,
        labels_validation=len(scenario.validation),
    )
