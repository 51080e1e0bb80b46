"""The GPU checks: every stage in bfloat16, resumed against uninterrupted, speed, memory, and the ratio to bare TRL.

Run: `make gpu-check`, or `python -m tests.experiments.gpu.check [--out gpu.md]`, on a machine with a GPU; nothing is
fetched. It builds base models of about 10 M and 100 M parameters and a scenario on them in a temporary folder, takes
some minutes, prints one section of Markdown and writes it to `--out` after every check, so that a stop loses nothing.
Without a GPU it says so and ends well. `--device cpu --tiny` runs the same checks on a CPU at no size, for development.

A check that fails says why in its row and stops no other; the exit status is then 1.
"""

import argparse
import contextlib
import datetime
import io
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

from tests.experiments.gpu import variants
from tests.experiments.gpu.bases import GPU, TINY, Size, make_scenario
from tests.experiments.gpu.resume import check_in_memory, check_resume
from tests.experiments.gpu.stages import (
    ROUTES,
    STUDY,
    StageFigures,
    Watch,
    run_stage,
    sampling_rate,
)
from tests.experiments.speed.stage_overhead import CASES, measure
from tuition.app.processes.libraries import silence_libraries
from tuition.benchmarks.scoring.engines.vllm_engine import vllm_version
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario

VERSIONED = ("torch", "transformers", "trl", "accelerate", "peft")
RESUMED = ("student_rl=2", "teacher=big warmup=2")
HEADER = (
    "stage", "model", "block, s", "step, s", "of it grading, s", "rollouts, tokens/s", "training, tokens/s",
    "peak, GiB", "predicted, GiB", "predicted / peak",
)  # fmt: skip
GIB = 2**30


class Report:
    """The section that the checks write, and how many of them failed."""

    def __init__(self, title: str, out: Path | None):
        self.title = title
        self.out = out
        self.stages: list[tuple[str, ...]] = []
        self.checks: list[tuple[str, str, str]] = []
        self.notes: list[str] = []
        self.failures = 0
        self._began = time.perf_counter()

    def say(self, text: str) -> None:
        """Progress, on standard error."""
        print(f"[{time.perf_counter() - self._began:5.0f} s] {text}", file=sys.stderr, flush=True)

    def check(self, name: str, work: Callable[[], tuple[str, bool]]) -> None:
        """Do one check: a row with what it says and `ok`, or FAILED."""
        self.say(name)
        try:
            told, good = work()
        except Exception as error:
            told, good = reason(error), False
        self.failures += not good
        self.checks.append((name, told, "ok" if good else "FAILED"))
        self.write()

    def stage(self, name: str, work: Callable[[], StageFigures]) -> None:
        """Train one stage: a row of figures, or FAILED."""
        self.say(f"stage {name}")
        try:
            figures = work()
        except Exception as error:
            self.failures += 1
            self.stages.append((name, "", f"FAILED: {reason(error)}", *[""] * (len(HEADER) - 3)))
        else:
            self.stages.append(stage_row(figures))
            self.notes.append(memory_note(figures))
        self.write()

    def markdown(self) -> str:
        """The whole section."""
        took = time.perf_counter() - self._began
        parts = [
            self.title,
            f"Took {took / 60:.1f} min so far; {self.failures} failed.",
            table(HEADER, self.stages),
            table(("check", "result", "verdict"), self.checks),
            "Predicted peaks, and what lay on the device before the block began:\n\n" + "\n".join(self.notes),
        ]
        return "\n\n".join(parts) + "\n"

    def write(self) -> None:
        """Write the section as far as it goes."""
        if self.out is not None:
            self.out.write_text(self.markdown(), encoding="utf-8")


def reason(error: Exception) -> str:
    """An error in one line of a table."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}".replace("|", "\\|")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def stage_row(figures: StageFigures) -> tuple[str, ...]:
    """A stage's row of the table."""
    rollouts, peak = figures.rollout_tokens_per_second, figures.peak_bytes
    predicted = figures.prediction.total
    return (
        figures.stage,
        figures.model,
        f"{figures.block_seconds:.1f}",
        f"{figures.step_seconds:.3f}",
        "-" if figures.grading_seconds is None else f"{figures.grading_seconds:.3f}",
        "-" if rollouts is None else f"{rollouts:,.0f}",
        f"{figures.training_tokens_per_second:,.0f}",
        "-" if peak is None else f"{peak / GIB:.2f}",
        f"{predicted / GIB:.2f}",
        "-" if peak is None else f"{predicted / peak:.2f}",
    )


def memory_note(figures: StageFigures) -> str:
    """What a prediction consists of."""
    parts = sorted(figures.prediction.parts.items(), key=lambda part: -part[1])
    shown = ", ".join(f"{name} {size / GIB:.3f}" for name, size in parts)
    kept = f"; {figures.kept} samples were right" if figures.kept else ""
    before = f"before {figures.before_bytes / GIB:.3f}"
    return f"- {figures.stage}: {figures.prediction.moment}: {shown} GiB; {before}{kept}"


def machine(device: str) -> str:
    """One paragraph: device, driver, versions, date."""
    name = f"CPU {platform.machine()}"
    if device == "cuda":
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        driver = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
        memory = torch.cuda.get_device_properties(0).total_memory / GIB
        name = f"{torch.cuda.get_device_name()} ({memory:.0f} GiB, driver {driver}, CUDA {torch.version.cuda})"
    versions = ", ".join([*(f"{package} {version(package)}" for package in VERSIONED), vllm_version() or "no vLLM"])
    return f"{name}; Python {platform.python_version()}, {versions}; {datetime.date.today().isoformat()}."


def run_checks(report: Report, size: Size, folder: Path, device: str, only: str) -> None:
    """All checks, one after the other. Without a scenario there is nothing to check."""
    file, built = make_scenario(size, folder, device, report.say)
    report.checks += [("base", line, "ok") for line in built]
    if only in ("all", "stages"):
        check_stages(report, file, folder, device)
    if only in ("all", "variants"):
        check_variants(report, file, folder, device)


def check_variants(report: Report, file: Path, folder: Path, device: str) -> None:
    """The other ways to train a stage, and vLLM where it is installed."""
    adapted = variants.vary(file, "adapted", {}, lora=True)
    for stage, text in (("teacher_rl", "teacher=big teacher_rl=1 warmup=1"), ("student_rl", variants.GRPO)):
        report.stage(f"{stage}, LoRA", lambda stage=stage, text=text: adapter(adapted, folder, text, device, stage))
    report.check("offloaded teacher: opd", lambda: variants.check_offloaded(file, folder, device))
    if (missing := variants.without_vllm()) is not None:
        report.check("vLLM", lambda: (f"skipped: {missing}", True))
        return
    report.check("vLLM and transformers: score", lambda: variants.check_scores(file, folder, device))
    for text in (variants.GRPO, variants.OPD):
        report.check(
            f"vLLM beside the trainer: {text}",
            lambda text=text: variants.check_vllm(file, folder / text.replace(" ", "-"), device, text),
        )
    for text in (variants.WARMUP, variants.OPD):
        report.check(
            f"teacher behind a server: {text}",
            lambda text=text: variants.check_teacher_server(file, folder, device, text),
        )


def adapter(file: Path, folder: Path, text: str, device: str, stage: str) -> StageFigures:
    """A block of a stage that trains an adapter."""
    way = variants.train(file, folder / "adapted", text, device, stage)
    return replace(way.figures, stage=f"{stage}, LoRA")


def check_stages(report: Report, file: Path, folder: Path, device: str) -> None:
    """Every stage as most will train it."""
    scenario = Scenario.load(str(file))
    watch = Watch(device)
    runner = RouteRunner(scenario, folder / "results", watch.hear)
    try:
        for stage in ROUTES:
            report.stage(stage, lambda stage=stage: run_stage(runner, watch, stage))
        watch.close()
        for model in ("student", "big"):
            report.check(f"score of the base: {model}", lambda model=model: score(runner, model))
            kind = scenario.file.hardware.dtype
            report.check(f"sampling, {kind}: {model}", lambda model=model: (sampling_rate(runner, model), True))
        for text in RESUMED:
            results = folder / text.replace(" ", "-")
            report.check(f"killed half way: {text}", lambda text=text, at=results: check_resume(file, at, text))
            if text.startswith("student_rl"):
                report.check(f"in memory: {text}", lambda text=text, at=results: check_in_memory(file, at, text))
        for stage in CASES:
            report.check(f"against bare TRL: {stage}", lambda stage=stage: (bare(runner, stage), True))
    finally:
        runner.close()


def score(runner: RouteRunner, model: str) -> tuple[str, bool]:
    """Sample and grade a base model on the test suite."""
    scored = runner.score(runner.trainer._contents[model], "test", STUDY)
    right, lengths = scored.table["correct"].mean(), scored.table["num_tokens"]
    told = f"{100 * right:.1f} % of {len(lengths)} samples right, {lengths.mean():.1f} tokens each"
    return f"{told}, {scored.gpu_seconds:.1f} s", True


def bare(runner: RouteRunner, stage: str) -> str:
    """The ratio to a bare script; the stage ran before, so kernels are compiled and nothing needs warming."""
    with contextlib.redirect_stdout(io.StringIO()):  # a bare script prints every step
        return " ".join(str(measure(runner, stage, pairs=2, warm_up=0)).split())


def main() -> int:
    """Run the checks and print their section; the exit status says whether all went well."""
    parser = argparse.ArgumentParser(description="Checks of every stage on a GPU.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="models of no size, to try the checks themselves")
    parser.add_argument("--only", choices=("all", "stages", "variants"), default="all")
    parser.add_argument("--folder", type=Path, help="a new folder to work in and keep (default: temporary)")
    parser.add_argument("--out", type=Path, help="write the section to this Markdown file as well")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("gpu-check skipped: PyTorch sees no GPU here (torch.cuda.is_available() is False)")
        return 0
    if arguments.folder is not None and arguments.folder.exists():
        parser.error(f"{arguments.folder} exists: give a new folder, stored blocks would not be trained and measured")
    silence_libraries()
    if arguments.device == "cpu":
        torch.set_num_threads(1)
    report = Report(machine(arguments.device), arguments.out)
    with tempfile.TemporaryDirectory(prefix="tuition-gpu-") as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        run_checks(report, TINY if arguments.tiny else GPU, folder, arguments.device, arguments.only)
    report.say("done")
    report.write()
    print(report.markdown())
    return min(report.failures, 1)


if __name__ == "__main__":
    sys.exit(main())
