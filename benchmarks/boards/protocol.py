"""What a leaderboard declares before the first entry: how every entry of a suite is trained, drawn and graded.

What: `Protocol` names the training seeds, all of which an entry must have, the decoding, the samples, the policy of the
grader, and what of a scenario decides labels. `broken_by` names what of an entry is otherwise. It stands in
`leaderboard.json`, under the changelog's first hash, so that it cannot change once entries are there.

Simplified: one protocol for a suite.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from tuition.benchmarks.boards.entries import Count, MeasuredEntry, Preset, ScenarioRef, Strict, VersionedSuite
from tuition.benchmarks.boards.texts import Text
from tuition.planner.allocation import BASE


class DeclaredScenario(ScenarioRef):
    """The scenario of trained entries, and the counts of its labels: all, of one block, and of validation."""

    labels: Annotated[int, Field(ge=1, le=10**9)]
    labels_per_block: Annotated[int, Field(ge=1, le=10**9)]
    labels_validation: Count


class Protocol(Strict):
    """How every entry of a suite is made. `scenario` is null for a leaderboard of checkpoints from anywhere."""

    suite: VersionedSuite
    preset: Preset
    num_samples: Annotated[int, Field(ge=1, le=100_000)]
    sampling_seed: int
    grader: Text
    training_seeds: tuple[Count, ...] = Field(max_length=1000)
    scenario: DeclaredScenario | None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.training_seeds)) != len(self.training_seeds):
            raise ValueError(f"training seeds are {list(self.training_seeds)}: name each once")
        if bool(self.training_seeds) != (self.scenario is not None):
            raise ValueError("training_seeds and scenario belong together: give both or neither")
        return self

    def broken_by(self, entry: MeasuredEntry) -> Iterator[tuple[str, Any, Any]]:
        """(field, stated by the entry, declared) of everything that is not as declared."""
        pairs: dict[str, tuple[Any, Any]] = {
            "preset": (f"{entry.preset.name} {entry.preset.text()}", f"{self.preset.name} {self.preset.text()}"),
            "num_samples": (entry.num_samples, self.num_samples),
            "sampling_seed": (entry.sampling_seed, self.sampling_seed),
            "grader": (entry.grader, self.grader),
        }
        if entry.allocation is not None:
            stated, declared = (
                None if one is None else f"{one.name} {one.sha256}" for one in (entry.scenario, self.scenario)
            )
            pairs["scenario"] = (stated, declared)
        if entry.allocation not in (None, BASE):  # a base model is one checkpoint
            pairs["training seeds"] = (sorted(entry.seeds), sorted(self.training_seeds))
        yield from (
            (f"{name} (the leaderboard's protocol)", *pair) for name, pair in pairs.items() if pair[0] != pair[1]
        )
