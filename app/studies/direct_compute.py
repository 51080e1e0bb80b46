"""`direct-compute`: direct GRPO with as much compute as another route, on the same labels.

Direct GRPO is extended by replay blocks until its full GPU-seconds, measured and averaged over the seeds, reach those
of the compared route; the validation suite then chooses how many of these blocks to keep, for all seeds together. These
are the seeds that are tested, so the choice favours this baseline, and the sentence says so. The whole chain is
charged, because all of it was trained to choose. What was found is written to the study's folder, so that a repeated
command gives the same table although block costs differ from machine to machine.

Simplified: scoring the validation suite is charged to no route, so it is not charged here either.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import ceil
from pathlib import Path
from statistics import fmean

from pydantic import BaseModel, ConfigDict, ValidationError

from tuition.app.processes.channel import Channel, logged
from tuition.app.processes.progress import Reporter
from tuition.app.processes.run_configuration import RunConfiguration
from tuition.app.processes.workers import Remote, run_workers
from tuition.app.studies.evaluation import Entry
from tuition.benchmarks.artefacts import correct_PK, write_json
from tuition.benchmarks.baselines import DIRECT_COMPUTE
from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.results_folder import StudyFolder
from tuition.benchmarks.statistics.intervals import avg_at_k
from tuition.planner.allocation import Allocation
from tuition.planner.cost import BlockCosts
from tuition.planner.route import Route, compile_route
from tuition.runners.events import RunDone
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario

CLOCK_SECONDS = 0.001  # block costs are recorded in milliseconds


class Candidate(BaseModel):
    """Direct GRPO after `replay` replay blocks: mean over the seeds of its validation score and of its full cost."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    replay: int
    validation: float
    gpu_seconds: float


class ComputeMatch(BaseModel):
    """Direct GRPO matched to the compute of another route. Seconds are full GPU-seconds, means over the seeds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    scenario_sha256: str
    seeds: tuple[int, ...]
    compared: str
    compared_allocation: str
    target_gpu_seconds: float
    label_blocks: int
    replay_blocks: int
    charged_gpu_seconds: tuple[float, ...]
    """Full cost of the whole chain, for each seed."""
    chosen_replay: int
    candidates: tuple[Candidate, ...]

    @property
    def remainder_gpu_seconds(self) -> float:
        """What the chain costs beyond its target: less than one block, or direct GRPO's own excess."""
        return fmean(self.charged_gpu_seconds) - self.target_gpu_seconds

    @property
    def chosen(self) -> Candidate:
        """The candidate that validation chose."""
        return self.candidates[self.chosen_replay]

    def entry(self) -> Entry:
        """The matched baseline, as an entry of the test."""
        return Entry(
            f"{DIRECT_COMPUTE} (compute of {self.compared})",
            extended(self.label_blocks, self.chosen_replay),
            selected_validation=self.chosen.validation,
            charged_gpu_seconds=self.charged_gpu_seconds,
        )

    def sentence(self) -> str:
        """The match in words, with every number of it."""
        scores = " ".join(f"{100 * candidate.validation:.1f}" for candidate in self.candidates)
        return (
            f"{DIRECT_COMPUTE}: {self.label_blocks} label blocks and {self.replay_blocks} replay blocks cost "
            f"{fmean(self.charged_gpu_seconds):.1f} GPU-s, {self.remainder_gpu_seconds:+.1f} compared with the "
            f"{self.target_gpu_seconds:.1f} of {self.compared}. The row reports the checkpoint after "
            f"{self.chosen_replay} replay blocks ({self.chosen.gpu_seconds:.1f} GPU-s), selected by validation on "
            f"the seeds that are tested, which favours it: scores after 0 to {self.replay_blocks} replay blocks are "
            f"{scores} %."
        )


def extended(label_blocks: int, replay: int) -> Allocation:
    """Direct GRPO on all labels, then `replay` replay blocks."""
    return Allocation(student_rl=label_blocks, replay=replay)


def replays_of_direct(allocations: Iterable[Allocation], label_blocks: int) -> list[int]:
    """How many replay blocks those of the allocations have that are direct GRPO with any number of them."""
    return [a.replay for a in allocations if a == extended(label_blocks, a.replay)]


def foreseen_replay(scenario: Scenario, costs: BlockCosts, compared: Allocation) -> int:
    """How many replay blocks the chain will need, by predicted costs, to reach the compute of `compared`.

    Where a cost is unknown, blocks are weighed as in `BlockCosts.relative`.
    """
    routes = [
        compile_route(allocation, scenario.recipe, 0)
        for allocation in (compared, extended(scenario.recipe.num_label_blocks, 0))
    ]
    target, direct = (sum(map(costs.relative, route.blocks)) for route in routes)
    return max(0, ceil((target - direct) / costs.relative(routes[1].blocks[-1])))


def match_compute(
    runner: RouteRunner,
    run: RunConfiguration,
    folder: StudyFolder,
    compared: Entry,
    seeds: Sequence[int],
    log: Path,
    reporter: Reporter,
) -> ComputeMatch:
    """The match with `compared`: the one that the study keeps if it is of this command, else trained now and kept."""
    scenario, study = runner.scenario, folder.name
    kept = _load(folder.direct_compute, reporter)
    wanted = (scenario.sha256, tuple(seeds), str(compared.allocation), compared.name)
    if kept and (kept.scenario_sha256, kept.seeds, kept.compared_allocation, kept.compared) == wanted:
        return kept
    target = fmean(
        runner.run(compile_route(compared.allocation, scenario.recipe, seed), study).gpu_seconds_full for seed in seeds
    )
    blocks = scenario.recipe.num_label_blocks
    arguments = (run, tuple(seeds), study, log)
    replay = 0
    costs = _costs(runner, study, seeds, replay)
    while (reached := fmean(cost[-1] for cost in costs)) < target:
        # As many as are needed at the mean price of its blocks so far: hardly one too many is trained.
        price = max(reached / (blocks + replay), CLOCK_SECONDS)
        replay += ceil((target - reached) / price)
        reporter.say(
            f"{DIRECT_COMPUTE}: {reached:.1f} of {target:.1f} GPU-seconds so far (measured); continuing to {replay} "
            "replay blocks, estimated from the cost of those so far"
        )
        if run.workers > 1:
            workers = min(run.workers, len(seeds))
            run_workers(workers, chain_worker, (*arguments, replay), reporter, num_tasks=len(seeds))
        costs = _costs(runner, study, seeds, replay)
    length = chain_length(costs, target)
    scores = [
        candidate_scores(runner, compile_route(extended(blocks, length), scenario.recipe, seed), study, reporter)
        for seed in seeds
    ]
    match = choose_match(scenario.sha256, seeds, compared, target, blocks, costs, scores)
    write_json(match.model_dump(mode="json"), folder.direct_compute)
    return match


def chain_length(costs: Sequence[Sequence[float]], target: float) -> int:
    """Replay blocks of the chain. The first that reaches the target ends it, even if blocks cost more than estimated.

    `costs` holds for each seed the full GPU-seconds with 0, 1, ... replay blocks. ValueError where none reaches it.
    """
    means = [fmean(values) for values in zip(*costs, strict=True)]
    reaching = [k for k, mean in enumerate(means) if mean >= target]
    if not reaching:
        raise ValueError(f"{len(means) - 1} replay blocks cost {means[-1]:.1f} GPU-seconds, less than {target:.1f}")
    return reaching[0]


def choose_match(
    scenario_sha256: str,
    seeds: Sequence[int],
    compared: Entry,
    target: float,
    blocks: int,
    costs: Sequence[Sequence[float]],
    scores: Sequence[Sequence[float]],
) -> ComputeMatch:
    """The candidate with the best mean validation score, the shorter chain among equals.

    `costs` and `scores` hold for each seed the full GPU-seconds and the validation scores with 0, 1, ... replay blocks,
    at least as many as the chain needs.
    """
    length = chain_length(costs, target)
    means = [fmean(values) for values in zip(*costs, strict=True)]
    validation = [fmean(values) for values in zip(*scores, strict=True)]
    return ComputeMatch(
        scenario_sha256=scenario_sha256,
        seeds=tuple(seeds),
        compared=compared.name,
        compared_allocation=str(compared.allocation),
        target_gpu_seconds=round(target, 3),
        label_blocks=blocks,
        replay_blocks=length,
        charged_gpu_seconds=tuple(round(cost[length], 3) for cost in costs),
        chosen_replay=max(range(length + 1), key=lambda k: (validation[k], -k)),
        candidates=tuple(
            Candidate(replay=k, validation=validation[k], gpu_seconds=round(means[k], 3)) for k in range(length + 1)
        ),
    )


def _load(path: Path, reporter: Reporter) -> ComputeMatch | None:
    try:
        return ComputeMatch.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        reporter.say(f"{path} is damaged ({one_line(error, 120)}): the compute is matched again")
        return None


def _costs(runner: RouteRunner, study: str, seeds: Sequence[int], replay: int) -> list[list[float]]:
    """For each seed, full GPU-seconds of direct GRPO with 0, 1, ... `replay` replay blocks; trains what is missing."""
    recipe = runner.scenario.recipe
    routes = [compile_route(extended(recipe.num_label_blocks, replay), recipe, seed) for seed in seeds]
    runs = [runner.run(route, study) for route in routes]
    return [list(accumulate(use.gpu_seconds for use in run.blocks))[recipe.num_label_blocks - 1 :] for run in runs]


def candidate_scores(runner: RouteRunner, route: Route, study: str, channel: Channel) -> list[float]:
    """Validation scores of direct GRPO with 0, 1, ... all of the route's replay blocks."""
    scores = []
    for block in route.blocks[runner.scenario.recipe.num_label_blocks - 1 :]:
        channel.check()
        scores.append(avg_at_k(correct_PK(runner.score(block.key, "validation", study).table)[1]).mean)
    return scores


def chain_worker(
    run: RunConfiguration, seeds: Sequence[int], study: str, log: Path, replay: int, remote: Remote
) -> None:
    """One worker's part of the chains of all seeds, trained and scored on validation."""
    scenario = run.load_scenario()
    with logged(log, remote), run.open_runner(scenario, remote) as runner:
        for number in remote.tasks():
            allocation = extended(scenario.recipe.num_label_blocks, replay)
            route = compile_route(allocation, scenario.recipe, seeds[number])
            runner.run(route, study)
            candidate_scores(runner, route, study, remote)
            name = f"{DIRECT_COMPUTE} (seed {route.seed})"
            remote.hear(RunDone(name=name, result="trained", done=number + 1, total=len(seeds)))
