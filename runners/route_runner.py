"""Runs routes and scores checkpoints in the calling process, one block after the other.

Every route books its labels, trains what is missing, reuses what is stored, and scores its last checkpoint. Reuse is
silent in the result: a reused block costs the search nothing and the route its full price.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tuition.benchmarks.grading.grader import Grader
from tuition.benchmarks.provenance import names_no_processor
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.benchmarks.scoring.effective_decoding import taken_before
from tuition.benchmarks.scoring.engines.transformers_engine import transformers_identity
from tuition.benchmarks.scoring.engines.vllm_engine import vllm_batch, vllm_identity
from tuition.benchmarks.scoring.score_store import ScoredModel
from tuition.benchmarks.scoring.scorer import Scorer, Task
from tuition.benchmarks.suites.loading import SuiteKind
from tuition.planner.allocation import Allocation
from tuition.planner.cost import Price, charge, missing_blocks
from tuition.planner.route import Block, Route
from tuition.planner.stages import STAGE, STUDENT, TRANSFER_STAGES
from tuition.runners.events import BlockDone, BlockStarted, Listener, Said, Scoring, ignore
from tuition.runners.labels import LabelCounts, LabelPool, Ledger
from tuition.runners.scenarios.model_checks import check_models
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.store.block_record import BlockRecord
from tuition.runners.store.leases import Leases
from tuition.runners.training.block_trainer import BlockTrainer
from tuition.runners.training.meter import accelerator_name
from tuition.runners.training.rows import BlockError

logger = logging.getLogger(__name__)

MUCH_CUT = 0.1
"""From this share of completions that ran into their limit on, there is a warning. Our choice."""


@dataclass(frozen=True)
class BlockUse:
    """One block of a run: what it cost once, and whether this run trained it."""

    key: str
    stage: str
    index: int
    executed: bool
    gpu_seconds: float
    """Full price of the block, with the rollouts that it was the first of its route to need."""
    gpu_seconds_spent: float
    """What this run really spent on it now."""
    price: Price
    """What it cost when it was trained; with its rollouts, where it is gone by now."""
    record: BlockRecord | None
    """None where it is gone by now."""


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
        """What the route costs from scratch: what a leaderboard charges."""
        return sum(use.gpu_seconds for use in self.blocks)

    @property
    def gpu_seconds_marginal(self) -> float:
        """What was really spent on it now."""
        return sum(use.gpu_seconds_spent for use in self.blocks)


@dataclass(frozen=True)
class Scored:
    """Per-sample outcomes of a checkpoint on a suite, and what sampling them cost (0 when they were stored)."""

    table: pd.DataFrame
    suite: str
    gpu_seconds: float
    key: str
    """The score's key: its folder in the results folder's `scores/`."""

    @property
    def truncated_share(self) -> float:
        """Share of the completions that ran into the limit."""
        return float(self.table["truncated"].mean())


class RouteRunner:
    """Runs routes of one scenario into one results folder, in this process."""

    def __init__(
        self,
        scenario: Scenario,
        results: Path,
        hear: Listener = ignore,
        mix_versions: bool = False,
        ledger: Path | None = None,
    ):
        self.scenario = scenario
        self.hear = hear
        """Called with every event of the runner."""
        self.results = ResultsFolder(results)
        self._leases, self._lease = Leases(self.results.leases), ExitStack()
        self.ledger = Ledger(ledger or self.results.ledger)
        """The results folder's own, unless another was named."""
        self.pool = LabelPool(scenario.labels, [*scenario.validation, *scenario.test], self.ledger)
        self.grader = Grader(policy=scenario.policy.name)
        self.scorer = Scorer(self.results, self.grader)
        self.trainer = BlockTrainer(scenario, self.results, self.pool, self.grader, mix_versions)
        self.store = self.trainer.store
        self._bases = {scenario.recipe.student, *scenario.recipe.teachers.values()}
        self._noted, self._cut = False, set[tuple[str, str]]()

    def close(self) -> None:
        """End the grader's worker process, and the lease of the last route's blocks."""
        self.grader.close()
        self._lease.close()

    def run(self, route: Route, study: str) -> RouteRun:
        """Train what is missing of a route and return the whole of it. Labels are booked to it in every case.

        Its blocks are safe from eviction until the next route, so that they can be scored.
        """
        self._lease.close()
        self._lease.enter_context(self._leases.hold([block.key for block in route.blocks]))
        check_models(self.scenario, [_trained(route)])
        # Refuses other versions before anything is trained on top of them.
        stored = [record for block in route.blocks if (record := self.trainer.usable(block.key)) is not None]
        self._note_processors(stored)
        answers = self.book(route, study)
        spent: dict[str, float] = {}
        total = len(missing_blocks(route, self.store.state))
        # Asked again after every block: another process may have trained the next one, or dropped its state, meanwhile.
        while missing := missing_blocks(route, self.store.state):
            block = missing[0]
            self.hear(BlockStarted.of(block, min(len(spent) + 1, total), total))
            extended = any(b.parent == block.key and b.continues_stage for b in missing)
            record, executed = self.trainer.ensure(
                block, answers, self.hear, self._on_trained(block, study, spent), resumable=extended
            )
            self.hear(BlockDone(key=block.key, gpu_seconds=record.gpu_seconds, reused=not executed))
            self._warn_of_cut(record)
        for block in route.blocks:
            if block.key not in spent:
                self.hear(BlockDone(key=block.key, gpu_seconds=0.0, reused=True))
        return RouteRun(
            route,
            self._uses(route, spent),
            self.label_counts(route, study),
            self.trainer.weights_sha256(route.final),
            self.trainer.checkpoint(route.final),
        )

    def _note_processors(self, stored: Sequence[BlockRecord]) -> None:
        """Say once that stored blocks are used of which nobody knows the processor."""
        unnamed = sorted({record.accelerator for record in stored if names_no_processor(record.accelerator)})
        if unnamed and not self._noted:
            self._noted = True
            self.hear(
                Said(
                    text=f"note: some stored blocks do not say which processor trained them ({', '.join(unnamed)}); "
                    f"another than this one ({accelerator_name('cpu')}) may have trained other weights"
                )
            )

    def _warn_of_cut(self, record: BlockRecord) -> None:
        """Say once of a stage and model that many completions never came to their end."""
        share, of = record.truncated_share or 0.0, (record.stage, record.model)
        if share >= MUCH_CUT and of not in self._cut:
            self._cut.add(of)
            limit = self.scenario.file.stages.of(record.stage).max_completion_tokens
            self.hear(
                Said(
                    text=f"warning: {share:.0%} of the completions of {record.name} ran into its limit of {limit} "
                    f"tokens: raise stages.{record.stage}.max_completion_tokens, or see whether the model ends at all"
                )
            )

    def _on_trained(self, block: Block, study: str, spent: dict[str, float]) -> Callable[[float], None]:
        def write_down(gpu_seconds: float) -> None:
            spent[block.key] = gpu_seconds
            self.ledger.record_training(study, block.key, gpu_seconds)

        return write_down

    def label_counts(self, route: Route, study: str) -> LabelCounts:
        """The three counts of a route within its study."""
        validation = len(self.scenario.validation)
        return LabelCounts(
            self.ledger.trained(study, route.seed, _route_name(route)),
            validation,
            self.ledger.owned(study, at_most=len(self.scenario.labels)) + validation,
        )

    def book(self, route: Route, study: str) -> dict[str, str]:
        """Book a route's labels to it, once, and return their answers."""
        answers: dict[str, str] = {}
        for block in route.blocks:
            if block.new_labels:
                answers |= self.pool.reveal(
                    block.new_labels, study=study, seed=route.seed, route=_route_name(route), stage=block.stage
                )
        return answers

    def _uses(self, route: Route, spent: dict[str, float]) -> tuple[BlockUse, ...]:
        records = [self.store.record(block.key) for block in route.blocks]
        prices = [
            self._price_of_gone(block.key) if record is None else record.price
            for block, record in zip(route.blocks, records, strict=True)
        ]
        return tuple(
            BlockUse(
                key=block.key,
                stage=block.stage,
                index=block.index,
                executed=block.key in spent,
                gpu_seconds=gpu_seconds,
                gpu_seconds_spent=spent.get(block.key, 0.0),
                price=price,
                record=record,
            )
            for block, record, price, gpu_seconds in zip(route.blocks, records, prices, charge(prices), strict=True)
        )

    def _price_of_gone(self, key: str) -> Price:
        """What a block cost that a route stands on though it is gone: nothing that was missing needed it."""
        price = self.ledger.price(key)
        if price is None:
            raise BlockError(
                f"block {key[:12]} is gone and its cost is not in the ledger, so the route's full cost is unknown"
            )
        return Price(price)

    def score(self, model: str, suite: SuiteKind, study: str, seed: int = 0) -> Scored:
        """Sample and grade a checkpoint (block key or base hash) on the validation or the test suite, or load it."""
        task = self._task(model, suite, seed)
        score = self.scorer.score(
            task,
            lambda: self.trainer.opened(model),
            lambda done, total, _: self.hear(Scoring(suite=task.suite.name, done=done, total=total)),
        )
        spent = 0.0
        if score.new:
            spent = score.record.gpu_seconds or 0.0
            self.ledger.record_training(study, f"score:{score.record.key}", spent)
        return Scored(score.table, task.suite.name, spent, score.record.key)

    def is_scored(self, model: str, suite: SuiteKind, seed: int = 0) -> bool:
        """Whether `score` of the same would find it stored; not where the checkpoint itself is not."""
        stored = model in self._bases or self.store.record(model) is not None
        return stored and self.scorer.find(self._task(model, suite, seed).key) is not None

    def _task(self, model: str, suite: SuiteKind, seed: int) -> Task:
        described, weights = self._described(model), self.trainer.weights_sha256(model)
        return score_task(self.scenario, suite, seed, described, weights, self.trainer.base_name(model))

    def _described(self, model: str) -> ScoredModel:
        record = self.store.record(model)
        if record is None:
            return ScoredModel.of_base(self.scenario.name, self.trainer.base_name(model))
        return ScoredModel.of_block(model, record.name)


def score_task(
    scenario: Scenario, suite: SuiteKind, seed: int, model: ScoredModel, weights_sha256: str, base: str = STUDENT
) -> Task:
    """The score of a checkpoint on a suite of a scenario, as searches, tests and recordings ask for it.

    `base` is the name of the base model that it grew from.
    """
    hardware, preset = scenario.file.hardware, scenario.preset(suite)
    vllm, sequences = scenario.engine == "vllm", len(getattr(scenario, suite)) * preset.num_samples
    by_transformers = ", ".join([transformers_identity(hardware.dtype, hardware.generation_batch), *scenario.draws])
    return Task(
        model=model,
        weights=weights_sha256,
        suite=scenario.suite(suite),
        kind=suite,
        preset=preset,
        num_samples=preset.num_samples,
        seed=seed,
        engine=vllm_identity(hardware.dtype) if vllm else by_transformers,
        batch_size=vllm_batch(sequences, hardware.processes // scenario.source(base).tensor_parallel)
        if vllm
        else hardware.generation_batch,
        taken_before=not vllm and bool(taken_before(scenario.base_folder(base))),
        grader=scenario.policy.version,
    )


def _trained(route: Route) -> Allocation:
    """What a route trains of its allocation: one of a teacher alone ends before the transfer."""
    if any(STAGE[block.stage].is_transfer for block in route.blocks):
        return route.allocation
    return route.allocation.model_copy(update=dict.fromkeys((stage.name for stage in TRANSFER_STAGES), 0))


def _route_name(route: Route) -> str:
    # Two allocations may end in one checkpoint but spend labels differently; the ledger keeps them apart.
    return f"{route.allocation.id}:{route.final}"
