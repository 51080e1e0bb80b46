"""What a scenario's blocks and scores cost: measured where they can be, else estimated or stated, else unknown.

In this order: blocks of the same recipe in the store; a short block of the same recipe (`tuition measure`); an
estimate by `tuition.planner.cost_law` from other blocks that were measured here, within the sizes that the law was
held against; what the scenario states; any other estimate.
"""

import platform
from dataclasses import replace
from statistics import median
from typing import Any

from tuition.app.studies.study_report import ExpectedReuse
from tuition.benchmarks.artefacts import RecordError
from tuition.benchmarks.scoring.score_store import ScoredModel, ScoreStore
from tuition.benchmarks.suites.loading import SuiteKind
from tuition.planner.cost import UNKNOWN, BlockCosts, Cost, Source, Total, Work
from tuition.planner.cost_law import FIGURES_OF_GPUS, SPEEDS, Sample, Speed, Workload, nearest, scaled
from tuition.planner.route import Recipe, Route, compile_route
from tuition.planner.stages import STAGE, STAGES, STUDENT
from tuition.runners.measured_blocks import MeasuredBlock, MeasuredBlocks, accelerator_here, tokens_of
from tuition.runners.route_runner import score_task
from tuition.runners.scenarios.outline import Outline
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.workload import scenario_workload, score_workload

EXPECTED_REUSE_DRAWS = 20
SUITES: tuple[SuiteKind, ...] = ("validation", "test")


def block_costs(scenario: Scenario, measured: MeasuredBlocks | None) -> BlockCosts:
    """Costs of every kind of work of a scenario, from what was measured; None: what the scenario states alone."""
    stated = {
        work: Cost(scenario.file.prior_seconds[work.stage], Source.stated, Source.stated.value)
        for work in all_work(scenario)
        if work.stage in scenario.file.prior_seconds
    }
    if measured is None:
        return BlockCosts(stated)
    known = _Known(scenario, measured)
    return BlockCosts({work: known.cost(work, stated.get(work)) for work in all_work(scenario)})


def all_work(scenario: Scenario) -> list[Work]:
    """Every kind of work that a scenario's routes can have."""
    return list(
        dict.fromkeys(
            Work(stage.name, stage.trained_model(teacher), teacher if stage.is_transfer else None)
            for stage in STAGES
            if stage in scenario.file.stages.present
            for teacher in scenario.file.teachers
        )
    )


class _Known:
    """What was measured, to say what one block of a kind of work costs."""

    def __init__(self, scenario: Scenario, measured: MeasuredBlocks) -> None:
        self.scenario, self.measured = scenario, measured
        self._samples = [
            Sample(f"a model of {size_words(found.parameters)}", block.record.stage, found, block.seconds)
            for block in measured.comparable()
            if (found := measured.workload(block)) is not None
        ]
        self._figures = figures_of(scenario, measured.accelerator)
        self._speed = self._figures or ratio_speed(scenario)

    def cost(self, work: Work, stated: Cost | None) -> Cost:
        """The cost of one block, by the best of what is known."""
        if same := self.measured.of(work):
            count = "1 block" if len(same) == 1 else f"{len(same)} blocks"
            return Cost(median(block.seconds for block in same), Source.measured, f"measured ({count})")
        if short := self.measured.of(work, short=True):
            return self._of_short(work, max(short, key=lambda block: block.record.finished))
        tokens = self._tokens(work)
        wanted = scenario_workload(self.scenario, work, tokens)
        if wanted is None:
            return stated or UNKNOWN
        source = nearest(wanted, work.stage, self._samples, self._speed) if self._samples else None
        beyond = self._speed.beyond(wanted, source.workload if source is not None else None)
        if stated is not None and (beyond > 1 or source is None):
            return stated
        assumed = [] if tokens is not None else ["if completions are half as long as their limit"]
        if source is not None:
            where = f"{source.stage} of {source.group}, measured here"
            seconds = scaled(source.seconds, source.workload, wanted, self._speed)
            basis = f"estimated from {self._speed.words(beyond, *assumed, where=where)}"
            return Cost(seconds, Source.estimated, basis)
        if self._figures is None:
            return UNKNOWN
        basis = f"estimated from {self._figures.words(beyond, *assumed)}"
        return Cost(self._figures.seconds(wanted), Source.estimated, basis)

    def _of_short(self, work: Work, block: MeasuredBlock) -> Cost:
        short = block.short
        assert short is not None, f"{work} has no short block"
        settings = self.scenario.file.stages.of(work.stage)
        drawn = 1.0  # rejection sampling and filters draw for the pool, not for the steps
        basis = f"measured on {block.record.steps} of {settings.steps} steps"
        if STAGE[work.stage].writer == "teacher":
            drawn = settings.steps / block.record.steps
        elif block.record.samples_drawn:
            basis += ", drawing for the first label block only"
        return Cost(short.seconds(settings.steps, drawn), Source.measured, basis)

    def _tokens(self, work: Work) -> float | None:
        """Mean length of the sequences that the stage's model was trained on here, with the same limit."""
        recipe = self.scenario.recipe
        content = {STUDENT: recipe.student, **recipe.teachers}[work.model]
        limit = self.scenario.file.stages.of(work.stage).max_completion_tokens
        return tokens_of(
            block
            for block in self.measured.blocks
            if block.base == content
            and block.record.stage == work.stage
            and block.record.settings.get("max_completion_tokens") == limit
        )


def figures_of(scenario: Scenario, accelerator: str | None) -> Speed | None:
    """The constants of a scenario's device; None where it has none for its type of number and rollout engine."""
    figures = SPEEDS.get("cpu" if scenario.device == "cpu" else accelerator or "")
    return figures if figures is not None and figures.holds_for(scenario.recipe.environment) else None


def ratio_speed(scenario: Scenario) -> Speed:
    """Constants of another device of the scenario's kind: they give the ratio of two works, and nothing more."""
    return SPEEDS["cpu" if scenario.device == "cpu" else FIGURES_OF_GPUS]


def size_words(parameters: float) -> str:
    """Parameters of a model, for people."""
    return f"{parameters / 1e9:.1f} B parameters" if parameters >= 1e9 else f"{parameters / 1e6:.3g} M parameters"


def count_blocks(routes: list[Route], costs: BlockCosts) -> dict[str, Any]:
    """Blocks that routes ask for and distinct ones among them, in number and in predicted device-seconds."""
    blocks = [block for route in routes for block in route.blocks]
    distinct = {block.key: block for block in blocks}
    requested, once = costs.total(blocks), costs.total(distinct.values())
    return {
        "requested": len(blocks),
        "distinct": len(distinct),
        "predicted_gpu_seconds_requested": requested.rounded,
        "predicted_gpu_seconds_distinct": once.rounded,
        "predicted_basis": once.basis(),
    }


def expected_reuse(scenario: Scenario, num_allocations: int, seed: int, costs: BlockCosts) -> ExpectedReuse:
    """Distinct over requested blocks for as many random allocations: the mean over several draws of such sets."""
    by_blocks, by_seconds = [], []
    for draw in range(EXPECTED_REUSE_DRAWS if num_allocations else 0):
        allocations = scenario.space.random_allocations(num_allocations, seed=draw)
        counts = count_blocks([compile_route(a, scenario.recipe, seed) for a in allocations], costs)
        by_blocks.append(counts["distinct"] / counts["requested"])
        if counts["predicted_gpu_seconds_requested"]:
            by_seconds.append(counts["predicted_gpu_seconds_distinct"] / counts["predicted_gpu_seconds_requested"])
    mean = [sum(values) / len(values) if values else None for values in (by_blocks, by_seconds)]
    return ExpectedReuse(distinct_over_requested_blocks=mean[0], distinct_over_requested_seconds=mean[1])


class ScoreCosts:
    """What it costs to score one checkpoint on a scenario's suites.

    Measured are scores of this base model, untrained or trained, by the same engine with the same decoding, on this
    host or on the host that trained the checkpoint. A teacher that was never scored costs what the student does, scaled
    by the sizes of both.
    """

    def __init__(self, scenario: Scenario, measured: MeasuredBlocks | None) -> None:
        self.scenario = scenario
        self._seconds: dict[tuple[str, SuiteKind], list[float]] = {}
        self._figures = None if measured is None else figures_of(scenario, accelerator_here(scenario.device))
        if measured is not None and measured.folder.scores.is_dir() and not isinstance(scenario, Outline):
            self._read(measured)

    def _read(self, measured: MeasuredBlocks) -> None:
        names = names_of_bases(self.scenario.recipe)
        made = {b.record.weights_sha256: (names[b.base], b.record.host) for b in measured.blocks if b.base in names}
        made |= {content: (name, platform.node()) for content, name in names.items()}
        wanted = {
            (name, kind): score_task(self.scenario, kind, 0, ScoredModel(label=""), "", name).key
            for name in names.values()
            for kind in SUITES
        }
        store = ScoreStore(measured.folder.scores)
        for key in store.score_keys():
            try:
                record = store.read(key)
            except RecordError:
                continue  # `tuition store verify` names it
            scored = record.score_key
            model, host = made.get(scored.weights_sha256, (None, None))
            if record.gpu_seconds is None or model is None or record.host != host:
                continue
            for kind in SUITES:
                like = wanted[model, kind]
                if replace(scored, weights_sha256="", sampling_seed=like.sampling_seed, grader=like.grader) == like:
                    self._seconds.setdefault((model, kind), []).append(record.gpu_seconds)

    def of(self, suite: SuiteKind, model: str = STUDENT) -> Cost:
        """The cost of one score of a checkpoint that grew from a base model: "student", or a teacher's name."""
        if seconds := self._seconds.get((model, suite)):
            count = "1 score" if len(seconds) == 1 else f"{len(seconds)} scores"
            return Cost(median(seconds), Source.measured, f"measured ({count})")
        samples = self._samples(suite)
        for other in SUITES:
            if seconds := self._seconds.get((model, other)):
                basis = f"estimated from scores of the {other} suite, by their number of samples"
                return Cost(median(seconds) * samples / self._samples(other), Source.estimated, basis)
        work = score_workload(self.scenario, samples, model)
        if model != STUDENT:
            return self._by_size(self.of(suite), score_workload(self.scenario, samples), work)
        if "score" in self.scenario.file.prior_seconds:
            stated = self.scenario.file.prior_seconds["score"] * samples / 1000
            return Cost(stated, Source.stated, Source.stated.value)
        if self._figures is None or work is None:
            return UNKNOWN
        return Cost(
            self._figures.seconds(work),
            Source.estimated,
            f"estimated from {self._figures.words(self._figures.beyond(work))}",
        )

    def _by_size(self, student: Cost, of_student: Workload | None, wanted: Workload | None) -> Cost:
        """What a teacher's score costs where the student's costs this."""
        if student.seconds is None or of_student is None or wanted is None:
            return UNKNOWN
        seconds = scaled(student.seconds, of_student, wanted, self._figures or ratio_speed(self.scenario))
        source = Source.stated if student.source is Source.stated else Source.estimated
        return Cost(seconds, source, f"the student's, scaled by the models' sizes: {student.basis}")

    def _samples(self, suite: SuiteKind) -> int:
        problems = self.scenario.validation if suite == "validation" else self.scenario.test
        source = self.scenario.file.validation if suite == "validation" else self.scenario.file.test
        return len(problems) * source.samples

    def total(self, suite: SuiteKind, count: int, model: str = STUDENT) -> Total:
        """The cost of so many scores."""
        name = "score" if model == STUDENT else f"score of {model}"
        return Total.of([(name, self.of(suite, model).times(count))] if count else [])


def names_of_bases(recipe: Recipe) -> dict[str, str]:
    """The base models by content: "student", or a teacher's name."""
    return {**{content: name for name, content in recipe.teachers.items()}, recipe.student: STUDENT}
