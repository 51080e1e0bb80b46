"""What `tuition bench` was asked for, as tasks of the scorer that searches use, under the keys that searches use.

A suite whose problems are a scenario's test or validation problems has that scenario's name for them, its batches and
its device, so that the same weights have one score. The scenario is the one named by --scenario, or that of a generated
suite.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

from tuition.app.scoring.model_files import BenchedModel, find_model
from tuition.benchmarks.grading.policies import DEFAULT_POLICY, find_policy
from tuition.benchmarks.scoring.decoding import PRESETS, Preset
from tuition.benchmarks.scoring.engines.requests import Engine
from tuition.benchmarks.scoring.engines.server import ServerEngine, server_identity
from tuition.benchmarks.scoring.engines.transformers_engine import TransformersEngine, transformers_identity
from tuition.benchmarks.scoring.engines.vllm_engine import VLLM_BATCH, VllmEngine, load_vllm, vllm_identity
from tuition.benchmarks.scoring.score_store import ScoredModel, ScoreKey
from tuition.benchmarks.scoring.scorer import Task
from tuition.benchmarks.suites.catalog import home_scenario, load_by_name
from tuition.benchmarks.suites.loading import LoadedSuite, SuiteKind, read_lock
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import built_in_scenarios

EngineName = Literal["transformers", "vllm", "server"]
# Sequences that are drawn and kept together where no scenario says how many.
BATCH_SIZES: dict[str, int] = {"transformers": 64, "vllm": VLLM_BATCH, "server": 256}


class BenchError(ValueError):
    """A bench that was asked for with settings that do not go together; one line with the fix."""


@dataclass(frozen=True)
class BenchRequest:
    """What `tuition bench` was asked for. None stands for the preset's or the engine's own value."""

    model: str
    suites: tuple[str, ...]
    samples: int | None = None
    preset: str | None = None
    engine: EngineName = "transformers"
    url: str | None = None
    concurrency: int = 16
    data_dir: Path | None = None
    limit: int | None = None
    seed: int = 0
    results: Path = Path("results")
    scenario: str | None = None
    policy: str | None = None
    """Of grading. Default: the scenario's."""
    batch_size: int | None = None
    max_new_tokens: int | None = None
    chat: bool | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    quiet: bool = False

    def __post_init__(self) -> None:
        if (self.engine == "server") != (self.url is not None):
            raise BenchError("--engine server and --url need each other: give both or neither")
        if not self.suites or len(set(self.suites)) != len(self.suites):
            raise BenchError(f"--suite {','.join(self.suites)}: give one or more suites, each once")


@dataclass(frozen=True)
class Planned:
    """One suite of a bench: its task, the device that it is drawn on, and the key that it had in earlier versions."""

    task: Task
    device: str
    former_key: Callable[[], ScoreKey]


def plan_bench(request: BenchRequest) -> tuple[BenchedModel | None, list[Planned]]:
    """The model (None for a server's) and a task for each suite. Raises for all that can be wrong with a request."""
    lock, load = read_lock(request.results), cache(Scenario.load)
    suites = [load_by_name(name, request.data_dir, lock).first(request.limit) for name in request.suites]
    presets = [find_preset(request, name, load) for name in request.suites]
    files = None
    if request.engine != "server":
        files = find_model(request.model, request.results, _models_scenario(request))
    planned = []
    for name, suite, preset in zip(request.suites, suites, presets, strict=True):
        home = request.scenario or home_scenario(name)
        planned.append(_planned(request, files, suite, preset, load(home) if home else None))
    return files, planned


def find_preset(request: BenchRequest, suite: str, load: Callable[[str], Scenario]) -> Preset:
    """The preset for a suite, with the request's overrides. Default: `paper`; a generated suite has its scenario's."""
    name = request.preset or home_scenario(suite) or "paper"
    if name in PRESETS:
        preset = PRESETS[name]
    elif name in built_in_scenarios() or Path(name).is_file():
        preset = load(name).preset("test")
    else:
        raise BenchError(
            f"unknown preset {name!r}: choose from {', '.join([*PRESETS, *built_in_scenarios()])}, or give a "
            "scenario's file"
        )
    overrides = {"max_new_tokens": request.max_new_tokens, "chat_template": request.chat}
    preset = preset.overridden(**{name: value for name, value in overrides.items() if value is not None})
    if preset.decoding.temperature == 0 and (request.samples or 1) > 1:
        raise BenchError(
            f"--samples {request.samples} with preset {preset.name}: greedy samples are identical; use --samples 1"
        )
    return preset


def _models_scenario(request: BenchRequest) -> str:
    """Where `base:...` and adapters' bases are looked up: the scenario named, or the generated suites' own."""
    homes = {home for name in request.suites if (home := home_scenario(name))}
    if request.scenario is None and len(homes) > 1:
        raise BenchError(
            f"--suite {','.join(request.suites)} belongs to {len(homes)} scenarios: choose one with --scenario"
        )
    return request.scenario or (homes.pop() if homes else "micro")


def _planned(
    request: BenchRequest, files: BenchedModel | None, suite: LoadedSuite, preset: Preset, scenario: Scenario | None
) -> Planned:
    served = ScoredModel(label=request.model, served=request.url)
    named, kind = _as_in(scenario, suite)
    engine, batch_size = _engine_and_batch_size(request, scenario)
    task = Task(
        model=files.model if files else served,
        weights=files.weights_sha256 if files else _served_weights(request),
        suite=named,
        kind=kind,
        preset=preset,
        num_samples=request.samples or preset.num_samples,
        seed=request.seed,
        engine=engine,
        batch_size=batch_size,
        taken_before=files is not None and request.engine == "transformers" and files.taken_before,
        grader=find_policy(request.policy or (scenario.file.grading if scenario else DEFAULT_POLICY)).version,
    )
    device = scenario.device if scenario else own_device()
    return Planned(task, device, partial(former_key, request, files, task, suite))


def _served_weights(request: BenchRequest) -> str:
    return f"served {request.model} at {request.url}"


def _as_in(scenario: Scenario | None, suite: LoadedSuite) -> tuple[LoadedSuite, SuiteKind]:
    """The suite with the name, order and kind that it has in a scenario; as it is if it belongs to none."""
    kinds: tuple[SuiteKind, ...] = ("test", "validation")
    for kind in kinds:
        own = scenario.suite(kind) if scenario else None
        if own is not None and set(own.problems) == set(suite.problems):
            return replace(suite, name=own.name, problems=own.problems), kind
    return suite, "test"


def _engine_and_batch_size(request: BenchRequest, scenario: Scenario | None) -> tuple[str, int]:
    """The engine's identity, and the size of its batches."""
    batch_size = request.batch_size or BATCH_SIZES[request.engine]
    if request.engine == "server":
        return server_identity(str(request.url)), batch_size
    if request.engine == "vllm":
        return vllm_identity(request.dtype), batch_size
    if scenario is not None:
        batch_size = request.batch_size or scenario.file.hardware.generation_batch
    return transformers_identity(request.dtype, batch_size), batch_size


def former_key(request: BenchRequest, files: BenchedModel | None, task: Task, suite: LoadedSuite) -> ScoreKey:
    """The key that a bench's score had before benches and searches shared theirs; such scores are still used.

    Weights were named by content, a suite was called by its own name, the seed stood as it was given, and the engine
    was named with its device.
    """
    engine = task.engine
    if request.engine == "transformers":
        batch_size = request.batch_size or BATCH_SIZES["transformers"]
        engine = transformers_identity(f"{request.dtype}, {own_device()}", batch_size) + " with a seed each"
    return ScoreKey(
        weights_sha256=files.content_sha256 if files else _served_weights(request),
        suite=suite.name,
        decoding=task.preset.key_fields(),
        num_samples=task.num_samples,
        sampling_seed=request.seed,
        engine=engine,
        grader=task.grader,
    )


def own_device() -> str:
    """The device of this machine that a checkpoint of no scenario is drawn on."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def open_engine(request: BenchRequest, files: BenchedModel | None, device: str) -> Engine[Any]:
    """The engine that was asked for, its model loaded. `files` is None for a server's model."""
    if files is None:
        return ServerEngine(str(request.url), request.model, request.concurrency)
    from tuition.runners.training.checkpoint import end_tokens, load_model, load_tokenizer

    # An adapter's folder has its own tokenizer.
    tokenizer = load_tokenizer(files.folder)
    if request.engine == "transformers":
        model = load_model(files.folder, request.dtype, device, files.base, trainable=False)
        return TransformersEngine(model.eval().requires_grad_(False), tokenizer)
    if files.base is not None:
        raise BenchError("--engine vllm cannot load an adapter: merge it with `tuition export` first")
    ends = sorted({tokenizer.eos_token_id, *end_tokens(files.folder)})
    return VllmEngine(load_vllm(files.folder, request.dtype), tokenizer, ends, own_device())
