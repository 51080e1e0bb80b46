"""The local engine: runs routes and scores checkpoints in the calling process, one block after the other.

Every route books its labels, trains what is missing, reuses what is stored, and scores its last checkpoint. Reuse is
silent in the result: a reused block costs the search nothing and the route its full price.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import pandas as pd

from benchmarks.grading import GRADER_VERSION, Grader
from benchmarks.records import ScoreKey, ScoreStore
from benchmarks.sampling import sample, score_samples
from planner.cost import missing_blocks
from planner.route import Block, Route, derive_seed
from runners.blocks import BlockTrainer, Clock
from runners.checkpoint import load_tokenizer
from runners.labels import LabelCounts, LabelPool, Ledger
from runners.scenario import Scenario
from runners.store import BlockStore

logger = logging.getLogger(__name__)

Suite = Literal["validation", "test"]


class Listener(Protocol):
    """Hears what the engine does, for progress displays."""

    def block_started(self, block: Block, position: int, total: int) -> None:
        """Block `position` (from 1) of the `total` that this route still has to train begins."""

    def block_step(self, block: Block, step: int, steps: int) -> None:
        """An optimizer step is done."""

    def block_done(self, block: Block, gpu_seconds: float, reused: bool) -> None:
        """A block is in the store, trained now or reused."""

    def scoring(self, suite: str, done: int, total: int) -> None:
        """Sequences of a suite that are sampled so far."""


class Silent:
    """A listener that does nothing."""

    def block_started(self, block: Block, position: int, total: int) -> None:
        """Nothing."""

    def block_step(self, block: Block, step: int, steps: int) -> None:
        """Nothing."""

    def block_done(self, block: Block, gpu_seconds: float, reused: bool) -> None:
        """Nothing."""

    def scoring(self, suite: str, done: int, total: int) -> None:
        """Nothing."""


@dataclass(frozen=True)
class BlockUse:
    """One block of a run: what it cost once, and whether this run trained it."""

    key: str
    stage: str
    index: int
    executed: bool
    gpu_seconds: float
    """Full price of the block, rollouts that it was the first to need included."""


@dataclass(frozen=True)
class RouteRun:
    """A route executed with one seed."""

    route: Route
    blocks: tuple[BlockUse, ...]
    labels: LabelCounts
    weights_sha256: str
    model: Path

    @property
    def gpu_seconds_full(self) -> float:
        """What the route costs from nothing: what a leaderboard charges."""
        return sum(use.gpu_seconds for use in self.blocks)

    @property
    def gpu_seconds_marginal(self) -> float:
        """What was really spent on it now."""
        return sum(use.gpu_seconds for use in self.blocks if use.executed)


@dataclass(frozen=True)
class Scored:
    """Per-sample outcomes of a checkpoint on a suite, and what sampling them cost (0 when they were stored)."""

    table: pd.DataFrame
    suite: str
    gpu_seconds: float


class LocalEngine:
    """Runs routes of one scenario into one results folder, in this process."""

    def __init__(self, scenario: Scenario, results: Path, listener: Listener | None = None, mix_versions: bool = False):
        self.scenario = scenario
        self.listener = listener or Silent()
        self.store = BlockStore(results / "store")
        self.scores = ScoreStore(results / "scores")
        self.ledger = Ledger(results / "ledger.sqlite")
        self.pool = LabelPool(scenario.labels, [*scenario.validation, *scenario.test], self.ledger)
        self.grader = Grader()
        self.trainer = BlockTrainer(scenario, self.store, self.pool, self.grader, mix_versions)

    def close(self) -> None:
        """End the grader's worker process."""
        self.grader.close()

    def run(self, route: Route, study: str) -> RouteRun:
        """Train what is missing of a route and return the whole of it. Labels are booked to it in every case."""
        answers = self._book(route, study)
        missing = {block.key for block in missing_blocks(route, self.store.state)}
        trained: set[str] = set()
        for position, block in enumerate([b for b in route.blocks if b.key in missing], 1):
            self.listener.block_started(block, position, len(missing))
            following = self._extended_by(route, block)
            record, executed = self.trainer.ensure(
                block,
                answers,
                lambda step, steps, block=block: self.listener.block_step(block, step, steps),  # type: ignore[misc]
                resumable=following is not None and following.key in missing,
            )
            if executed:
                trained.add(block.key)
            self.listener.block_done(block, float(record["gpu_seconds"]), not executed)
        for block in route.blocks:
            if block.key not in missing:
                self.trainer.usable(block.key)
                self.listener.block_done(block, 0.0, True)
        return RouteRun(
            route,
            self._uses(route, trained),
            self.label_counts(route, study),
            self.trainer.weights_sha256(route.final),
            self.trainer.checkpoint(route.final),
        )

    def label_counts(self, route: Route, study: str) -> LabelCounts:
        """The three counts of a route within its study."""
        validation = len(self.scenario.validation)
        return LabelCounts(
            self.ledger.trained(study, route.seed, _route_name(route)),
            validation,
            self.ledger.owned(study) + validation,
        )

    def _book(self, route: Route, study: str) -> dict[str, str]:
        answers: dict[str, str] = {}
        for block in route.blocks:
            if block.new_labels:
                answers |= self.pool.reveal(
                    block.new_labels, study=study, seed=route.seed, route=_route_name(route), stage=block.stage
                )
        return answers

    @staticmethod
    def _extended_by(route: Route, block: Block) -> Block | None:
        return next((b for b in route.blocks if b.parent == block.key and b.index > 0), None)

    def _uses(self, route: Route, trained: set[str]) -> tuple[BlockUse, ...]:
        uses: list[BlockUse] = []
        charged: set[str] = set()
        for block in route.blocks:
            record = self.store.record(block.key) or {}
            gpu_seconds = float(record.get("gpu_seconds", 0.0))
            rollouts = record.get("rollouts")
            if rollouts and rollouts["key"] not in charged:
                charged.add(rollouts["key"])
                gpu_seconds += float(rollouts["gpu_seconds"])
            uses.append(BlockUse(block.key, block.stage, block.index, block.key in trained, gpu_seconds))
        return tuple(uses)

    def score(self, model: str, suite: Suite, seed: int = 0) -> Scored:
        """Sample and grade a checkpoint (block key or base hash) on the validation or the test suite, or load it."""
        key = self._score_key(model, suite, seed)
        name = self.scenario.suite_name(suite)
        stored = self.scores.load(key)
        if stored is not None:
            return Scored(stored, name, 0.0)
        clock = Clock(self.scenario.device)
        problems = self.scenario.validation if suite == "validation" else self.scenario.test
        table = self._sample(model, problems, key)
        gpu_seconds = round(clock.gpu_seconds(), 3)
        self.scores.save(key, table, gpu_seconds=gpu_seconds, versions=self.trainer.versions)
        return Scored(table, name, gpu_seconds)

    def _score_key(self, model: str, suite: Suite, seed: int) -> ScoreKey:
        source = self.scenario.file.validation if suite == "validation" else self.scenario.file.test
        return ScoreKey(
            weights_sha256=self.trainer.weights_sha256(model),
            suite=self.scenario.suite_name(suite),
            decoding=self.scenario.decoding.__dict__,
            num_samples=source.samples,
            sampling_seed=derive_seed("score", suite, seed),
            engine="transformers",
            grader=GRADER_VERSION,
        )

    def _sample(self, model: str, problems: Sequence[object], key: ScoreKey) -> pd.DataFrame:
        import torch

        if self.scenario.device == "cpu":
            torch.set_num_threads(1)
        completions = sample(
            self.trainer.frozen(model),
            load_tokenizer(self.scenario.base_folder("student")),
            problems,  # type: ignore[arg-type]
            self.scenario.decoding,
            key.num_samples,
            key.sampling_seed,
            progress=lambda done, total: self.listener.scoring(key.suite, done, total),
        )
        return score_samples(problems, completions, self.grader)  # type: ignore[arg-type]


def _route_name(route: Route) -> str:
    # Two allocations may end in one checkpoint but spend labels differently; the ledger keeps them apart.
    return f"{route.allocation.id}:{route.final}"
