"""The constants of the estimate law, and how wrong it is on models that it has not seen.

Run: `tuition run "teacher=big teacher_rl=2 warmup=2 opd=2 student_rl=2"` and the like on `micro`, `micro-b` and `smol`
in one results folder, with one process, then `python -m tests.experiments.costs.fit --results FOLDER`. It prints the
constants of this machine's processor and of the GPU of docs/gpu.md, and one line for each kind of block: measured,
estimated by constants that were fitted without its models, and scaled from the nearest block of other models.

Simplified: the GPU's figures are those of two models with 10 steps a block; docs/gpu.md says how they were measured.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from tuition.app.costs.block_costs import ScoreCosts, all_work
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.planner.cost import Source
from tuition.planner.cost_law import Sample, Speed, factor_within, fitted, nearest, scaled
from tuition.runners.measured_blocks import MeasuredBlocks
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.settings import AnySettings, RejectionSettings, RLSettings, TransferSettings
from tuition.runners.scenarios.sources import Shape
from tuition.runners.scenarios.workload import Batches, drawn_before, score_workload, workload

STUDENT = Shape(layers=9, width=256, mlp=768, query=256, key=256, vocabulary=8192)
TEACHER = Shape(layers=12, width=768, mlp=2304, query=768, key=768, vocabulary=8192)
"""Of `make gpu-check`."""
TOKENS = 24.5  # of a sequence: 21 of the completion, the rest of the prompt
SHARED = {"steps": 10, "micro_batch": 256, "max_completion_tokens": 21}
RL = RLSettings(**SHARED, prompts_per_step=8, generations=32, kl_coef=0.05)
TRANSFER = TransferSettings(**SHARED, prompts_per_step=64, completions=4)
REJECTION = RejectionSettings(**SHARED, sequences=256, samples_per_problem=64)
H200: dict[str, tuple[AnySettings, Shape, float, float]] = {
    # settings, trained model, seconds of the block, seconds of a step: the first table of docs/gpu.md
    "teacher_rl": (RL, TEACHER, 11.7, 0.335),
    "warmup": (TRANSFER, STUDENT, 4.5, 0.060),
    "opd": (TRANSFER, STUDENT, 4.3, 0.257),
    "student_rl": (RL, STUDENT, 5.4, 0.274),
    "teacher_sft": (REJECTION, TEACHER, 1.4, 0.042),
    "transfer_sft": (TRANSFER, STUDENT, 1.6, 0.032),
}


def gpu_samples() -> list[Sample]:
    """The steps and the blocks of docs/gpu.md."""
    samples = []
    for stage, (settings, trained, block, step) in H200.items():
        group = "98 M" if trained == TEACHER else "10 M"
        work = workload(stage, settings, trained, TEACHER, TOKENS, Batches(1, 1024), drawn_before(stage, settings, 8))
        samples.append(Sample(group, stage, work, block))
        one = settings.model_copy(update={"steps": 1})
        work = workload(stage, one, trained, TEACHER, TOKENS, Batches(1, 1024), 0)
        samples.append(Sample(group, f"{stage}, a step", replace(work, blocks=0.0), step))
    return samples


def stored_samples(results: Path, scenarios: Sequence[str]) -> list[Sample]:
    """Medians of the blocks of some scenarios in a results folder, by stage and model."""
    samples = []
    for name in scenarios:
        scenario = Scenario.load(name)
        measured = MeasuredBlocks(scenario, ResultsFolder(results))
        for work in all_work(scenario):
            blocks = measured.of(work)
            done = measured.workload(blocks[0]) if blocks else None
            if done is not None:
                seconds = median(block.seconds for block in blocks)
                samples.append(Sample(f"{name} {work.model}", work.stage, done, seconds))
        score = ScoreCosts(scenario, measured).of("validation")
        done = score_workload(scenario, len(scenario.validation) * scenario.file.validation.samples)
        if score.source is Source.measured and score.seconds and done is not None:
            samples.append(Sample(f"{name} student", "score", done, score.seconds))
    return samples


@dataclass(frozen=True)
class Checked:
    """A sample beside two estimates that know nothing of its models."""

    sample: Sample
    by_constants: float
    by_nearest: float

    @property
    def ratios(self) -> tuple[float, float]:
        """Estimated over measured."""
        return self.by_constants / self.sample.seconds, self.by_nearest / self.sample.seconds


def check(samples: Sequence[Sample]) -> list[Checked]:
    """Estimate every sample from those of other models."""
    checked = []
    for group in dict.fromkeys(sample.group for sample in samples):
        others = [sample for sample in samples if sample.group != group]
        speed = speed_of(others)
        for sample in samples:
            if sample.group == group:
                source = nearest(sample.workload, sample.stage, others, speed)
                by_nearest = scaled(source.seconds, source.workload, sample.workload, speed)
                checked.append(Checked(sample, speed.seconds(sample.workload), by_nearest))
    return checked


def speed_of(samples: Sequence[Sample], error_factor: float = 1.0) -> Speed:
    """The constants that fit samples best."""
    largest = max(sample.workload.parameters for sample in samples)
    return Speed(*fitted(samples), error_factor, largest, "", "", "")


def report(title: str, samples: Sequence[Sample]) -> str:
    """Constants, a table of checks, and the error, as Markdown."""
    checked = check(samples)
    factor = factor_within([ratio for one in checked for ratio in one.ratios])
    speed = speed_of(samples, factor)
    lines = [
        f"{title}: Speed({speed.flop:.3g}, {speed.training_pass:.3g}, {speed.decoding_pass:.3g}, {speed.block:.3g}, "
        f"error_factor={factor:.1f}, largest={speed.largest:.3g})",
        "",
        "| models | stage | measured, s | constants fitted without these models, s | nearest block of others, s |",
        "| --- | --- | --- | --- | --- |",
    ]
    for one in checked:
        sample = one.sample
        cells = (f"{value:.3g}" for value in (sample.seconds, one.by_constants, one.by_nearest))
        lines.append(f"| {sample.group} | {sample.stage} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"9 of 10 estimates are within a factor of {factor:.1f}."])


def main() -> None:
    """Print the reports of the GPU's figures and, with a results folder, of this machine's processor."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path)
    parser.add_argument("--scenarios", nargs="+", default=["micro", "micro-b", "smol"])
    given = parser.parse_args()
    print(report("NVIDIA H200, bfloat16", gpu_samples()), end="\n\n")
    if given.results is not None:
        print(report("processor, one thread, float32", stored_samples(given.results, given.scenarios)))


if __name__ == "__main__":
    main()
