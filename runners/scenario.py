"""A scenario: what is fixed while allocations are searched, from one YAML file.

Teachers, student, label pool, prompt pool, validation and test suites, stage settings, hardware. Everything is checked
when the file is loaded, so that a search cannot fail an hour later on a wrong number.
"""

import hashlib
import json
import reprlib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError

from benchmarks.engines.vllm_engine import vllm_version
from benchmarks.grading import GRADER_VERSION
from benchmarks.sampling import Decoding
from benchmarks.suites.micro import SUITE_VERSION
from planner.route import Label, Recipe
from planner.space import SearchSpace
from runners.batches import check_batches
from runners.checkpoint import hash_base, refuse_own_code, weight_files
from runners.contamination import Overlap, find_overlap
from runners.revisions import REVISIONS
from runners.settings import StageSettings, TeacherServer, Vllm
from runners.sources import (
    TOKENIZER_FILES,
    Frozen,
    MissingModelError,
    ModelSource,
    ProblemSource,
    ScenarioError,
    Shape,
    SuiteSource,
)

SHOWN_IDS = 20  # of problems that must leave a pool, in one line
BUILT_IN = Path(__file__).parent / "scenarios"


class Decode(Frozen):
    """How completions are drawn for scores. Training rollouts are always temperature 1, top-p 1."""

    name: str
    temperature: float = Field(1.0, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0)
    max_new_tokens: int = Field(56, ge=1)


class Search(Frozen):
    """Bounds of the search, and the bridge that named routes and baselines use."""

    teacher: str | None = Field(None, description="teacher of the named routes and baselines; default: the last listed")
    bridge_warmup: int = Field(1, ge=0)
    bridge_opd: int = Field(1, ge=0)
    max_warmup: int = Field(2, ge=0)
    max_opd: int = Field(2, ge=0)
    max_replay: int = Field(0, ge=0)
    prepare: tuple[Literal["rl", "sft"], ...] = ("rl",)
    transfer: tuple[Literal["bridge", "sft"], ...] = ("bridge",)
    prompts: Literal["pool", "labels"] = "pool"


class Hardware(Frozen):
    """Where and in what precision blocks are trained."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["float32", "bfloat16"] = "float32"
    engine: Literal["auto", "transformers", "vllm"] = Field(
        "auto", description="what draws rollouts and scores; auto: vllm on a GPU where it is installed"
    )
    processes: int = Field(1, ge=1, description="that train a block together, one device each (accelerate launch)")
    sharding: Literal["none", "fsdp2"] = Field(
        "none", description="of a block's training state over its processes; none: each holds all of it (DDP)"
    )
    vllm: Vllm = Vllm()
    teacher_server: TeacherServer | None = Field(None, description="default: the teacher is in the trainer's process")
    generation_batch: int = Field(256, ge=1, description="sequences drawn together for teacher rollouts and scores")


class ScenarioFile(Frozen):
    """The YAML file, as written."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    description: str = ""
    student: ModelSource
    teachers: dict[str, ModelSource] = Field(min_length=1)
    labels: ProblemSource
    labels_per_block: int = Field(ge=1)
    prompts: ProblemSource
    validation: SuiteSource
    test: SuiteSource
    prompt_suffix: str = ""
    chat_template: bool = False
    template: dict[str, bool | str] = Field(default={}, description="variables of the chat template: enable_thinking")
    decoding: Decode
    stages: StageSettings = StageSettings()
    search: Search = Search()
    hardware: Hardware = Hardware()
    prior_seconds: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default={}, description="seconds of one block of a stage before any is measured; `score`: of 1,000 samples"
    )
    keep_optimizer: Literal["tip", "all"] = "tip"

    @property
    def default_teacher(self) -> str:
        """The teacher of named routes and baselines."""
        return self.search.teacher or list(self.teachers)[-1]

    @property
    def hub_models(self) -> list[str]:
        """Models that come from the Hub."""
        return [str(model.hub) for model in (self.student, *self.teachers.values()) if model.hub is not None]

    @property
    def hub_data(self) -> list[str]:
        """Data sets that come from the Hub."""
        sources = (self.labels, self.prompts, self.validation.problems, self.test.problems)
        return list(dict.fromkeys(source.hub for source in sources if source.hub is not None))

    @classmethod
    def read(cls, name_or_path: str) -> tuple[Self, Path]:
        """A built-in scenario by name or a YAML file by path, and its folder. Models and problems are not looked at."""
        path = BUILT_IN / f"{name_or_path}.yaml"
        if name_or_path not in built_in_scenarios():
            path = Path(name_or_path)
            if not _is_file(path):
                known = ", ".join(built_in_scenarios())
                raise ScenarioError(f"no scenario {name_or_path!r}: give the path of a YAML file or one of {known}")
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ScenarioError(f"{path} cannot be read: {error.strerror}") from None
        except Exception as error:
            # The safe loader lets its converters' errors through: of wrong dates, long numbers, deep nesting and so on.
            raise ScenarioError(f"{path} is not YAML: {' '.join(str(error).split())[:300]}") from None
        if not isinstance(content, dict):
            raise ScenarioError(f"{path} holds no mapping of scenario keys (name, student, teachers, labels, ...)")
        try:
            return cls.model_validate(content), path.parent
        except ValidationError as error:
            raise ScenarioError(f"{path}: {_first_problem(error)}") from None


class Scenario:
    """A loaded and checked scenario.

    Raises ScenarioError on anything wrong: unknown keys, missing checkpoints, pools that overlap with suites, pools
    that do not fill a generation batch, labels that do not divide into blocks.
    """

    def __init__(self, file: ScenarioFile, folder: Path):
        self.file = file
        self.folder = folder
        self.name = file.name
        self.labels = file.labels.load(folder)
        self.prompts = file.prompts.load(folder, answers=False)
        self.validation = file.validation.problems.load(folder)
        self.test = file.test.problems.load(folder)
        if self.default_teacher not in file.teachers:
            raise ScenarioError(
                f"search.teacher={self.default_teacher!r} is none of the teachers {', '.join(file.teachers)}"
            )
        check_batches(self)
        self.overlaps = self._check_contamination()
        for spec in (file.student, *file.teachers.values()):
            if spec.path is not None:
                self._check_checkpoint(spec)

    @classmethod
    def load(cls, name_or_path: str) -> Self:
        """Load a built-in scenario by name or a YAML file by path."""
        scenario = cls(*ScenarioFile.read(name_or_path))
        if len(scenario.labels) < 2 * scenario.file.labels_per_block:
            raise ScenarioError(
                f"{len(scenario.labels)} labels make fewer than 2 blocks of labels_per_block="
                f"{scenario.file.labels_per_block}: there would be nothing to split; lower labels_per_block"
            )
        return scenario

    def _check_contamination(self) -> tuple[Overlap, ...]:
        overlaps = []
        for pool_name, pool in (("labels", self.labels), ("prompts", self.prompts)):
            for suite_name, suite in (("validation", self.validation), ("test", self.test)):
                overlap = find_overlap(pool, suite, pool_name, suite_name)
                if overlap.exact:
                    ours, theirs = overlap.exact[0]
                    listed = ", ".join(sorted({ours for ours, _ in overlap.exact})[:SHOWN_IDS])
                    raise ScenarioError(
                        f"{len(overlap.exact)} problems of the {pool_name} pool are in the {suite_name} suite (first: "
                        f"{ours!r} = {theirs!r}): take them out of the pool, or the scores mean nothing; `without` of "
                        f"a pool leaves ids out: {listed}"
                    )
                overlaps.append(overlap)
        shared = find_overlap(self.validation, self.test, "validation", "test")
        if shared.exact:
            raise ScenarioError(
                f"{shared.exact[0][0]!r} is in the validation and in the test suite: the search would see a test"
            )
        return tuple(overlaps)

    def _check_checkpoint(self, spec: ModelSource) -> None:
        folder = self._resolve(str(spec.path))
        try:
            weight_files(folder)
        except (OSError, ValueError):  # ValueError: a null byte in the path
            raise MissingModelError(
                f"missing checkpoint {str(folder)!r}: make it (tuition micro build, tuition smol fetch) or correct the "
                "path"
            ) from None

    def _resolve(self, path: str) -> Path:
        try:
            return self.folder / Path(path).expanduser()
        except RuntimeError:  # no home folder
            return self.folder / path

    def base_folder(self, model: str) -> Path:
        """The folder of a base model: "student" or a teacher's name. A Hub model is fetched on first use."""
        spec = self.source(model)
        if spec.path is not None:
            return self._resolve(spec.path)
        return spec.fetch(["*.safetensors", *TOKENIZER_FILES])

    def shape(self, model: str) -> Shape | None:
        """Sizes of a base model, from its configuration if that is at hand, else from the file; None without."""
        from transformers import AutoConfig

        spec = self.source(model)
        try:
            place = self._resolve(spec.path) if spec.path is not None else str(spec.hub)
            config = AutoConfig.from_pretrained(place, revision=spec.revision, local_files_only=True)
            return Shape.of(config.get_text_config())
        except (OSError, ValueError, AttributeError):
            return spec.shape

    def source(self, model: str) -> ModelSource:
        """Where a model comes from: "student" or a teacher's name."""
        return self.file.student if model == "student" else self.file.teachers[model]

    @property
    def default_teacher(self) -> str:
        """The teacher of named routes and baselines."""
        return self.file.default_teacher

    @property
    def num_label_blocks(self) -> int:
        """Blocks of labels, from the labels alone."""
        return len(self.labels) // self.file.labels_per_block

    @cached_property
    def device(self) -> str:
        """The torch device type that blocks are trained on."""
        if self.file.hardware.device != "auto":
            return self.file.hardware.device
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"

    @cached_property
    def engine(self) -> str:
        """What draws rollouts and scores: "transformers" or "vllm"."""
        if self.file.hardware.engine != "auto":
            return self.file.hardware.engine
        return "vllm" if self.device == "cuda" and vllm_version() is not None else "transformers"

    @cached_property
    def recipe(self) -> Recipe:
        """All of the scenario that decides what a block computes, as content."""
        file = self.file
        stages = {}
        for stage, revision in REVISIONS.items():
            stages[stage] = {
                # No key changes because there can be a filter.
                **getattr(file.stages, stage).model_dump(exclude_none=True),
                "prompt": self._prompting,
                "revision": revision,
            }
        for stage in ("teacher_rl", "teacher_sft", "student_rl"):
            stages[stage]["grader"] = GRADER_VERSION
        for stage in ("warmup", "transfer_sft", "teacher_sft"):
            # Rollouts are drawn in batches, and a batch shares one stream of random numbers.
            stages[stage]["generation_batch"] = file.hardware.generation_batch
        if (server := file.hardware.teacher_server) is not None:
            stages["warmup"]["teacher_top_k"] = server.top_k
            stages["opd"]["teacher_top_k"] = 1
        return Recipe(
            student=self._content("student"),
            teachers={name: self._content(name) for name in file.teachers},
            labels=tuple(Label(p.id, hash_texts(p.problem), hash_texts(p.problem, p.answer)) for p in self.labels),
            labels_per_block=file.labels_per_block,
            prompts_sha256=hash_texts(*sorted(p.problem for p in self.prompts)),
            stages=stages,
            environment=self._environment,
        )

    @property
    def _environment(self) -> dict[str, str]:
        hardware = self.file.hardware
        # A server has a type and a random stream of its own.
        engine = "vllm server" if self.engine == "vllm" and hardware.vllm.rollout_server else self.engine
        environment = {"device": self.device, "dtype": hardware.dtype, "engine": engine}
        if hardware.processes > 1:  # each draws from a stream of its own, and gradients are summed in another order
            environment["processes"] = str(hardware.processes)
        if hardware.sharding != "none":
            environment["sharding"] = hardware.sharding
        return environment

    def _content(self, model: str) -> str:
        """Content hash of a base model, and of the adapter that is trained on it if there is one."""
        from safetensors import SafetensorError

        folder = self.base_folder(model)
        refuse_own_code(folder)
        try:
            base = hash_base(folder)
        except (SafetensorError, ValueError, TypeError, AttributeError, RecursionError, OSError) as error:
            raise ScenarioError(
                f"the checkpoint in {folder} cannot be read ({error}): fetch or build it again"
            ) from None
        lora = self.source(model).lora
        return hash_texts(base, lora.model_dump_json()) if lora else base

    @property
    def _prompting(self) -> dict[str, Any]:
        # No key of a scenario without template variables changes because there can be some.
        variables = {"template": self.file.template} if self.file.template else {}
        return {"suffix": self.file.prompt_suffix, "chat_template": self.file.chat_template, **variables}

    @cached_property
    def sha256(self) -> str:
        """Identity of the scenario: a study belongs to one. Covers content (weights, problems), not paths or prose."""
        recipe = self.recipe
        document = {
            "student": recipe.student,
            "teachers": dict(recipe.teachers),
            "labels": sorted(label.content_sha256 for label in recipe.labels),
            "labels_per_block": recipe.labels_per_block,
            "prompts": recipe.prompts_sha256,
            "stages": {name: dict(settings) for name, settings in recipe.stages.items()},
            "environment": dict(recipe.environment),
            "validation": [(p.problem, p.answer) for p in self.validation],
            "test": [(p.problem, p.answer) for p in self.test],
            "samples": [self.file.validation.samples, self.file.test.samples],
            "decoding": {**self.file.decoding.model_dump(), **self.file.template},
            "search": self.file.search.model_dump(),
        }
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()

    @cached_property
    def decoding(self) -> Decoding:
        """The decoding preset of all scores, part of every score's key."""
        return Decoding(
            **self.file.decoding.model_dump(),
            prompt_suffix=self.file.prompt_suffix,
            chat_template=self.file.chat_template,
        )

    @property
    def space(self) -> SearchSpace:
        """The allocations that a search may propose."""
        search = self.file.search
        return SearchSpace(
            teachers=tuple(self.file.teachers),
            num_label_blocks=self.num_label_blocks,
            max_warmup=search.max_warmup,
            max_opd=search.max_opd,
            max_replay=search.max_replay,
            prepare=search.prepare,
            transfer=search.transfer,
            prompts=search.prompts,
        )

    @property
    def stages_keeping_states(self) -> frozenset[str]:
        """Stages in which every block keeps its optimizer state; in the others only the stage's tip does."""
        if self.file.keep_optimizer == "all":
            return frozenset(REVISIONS)
        # A search with replay forks inside student_rl: fresh and replay blocks continue the same one.
        return frozenset({"student_rl"} if self.file.search.max_replay > 0 else ())

    def suite_name(self, suite: Literal["validation", "test"]) -> str:
        """Name and version of a suite, as score keys and tables carry it."""
        source: SuiteSource = getattr(self.file, suite)
        if source.problems.micro is not None:
            return f"{source.problems.mix}-{suite}@{SUITE_VERSION}/{source.problems.count}"
        if (named := source.problems.named_suite) is not None:
            return named
        problems = getattr(self, suite)
        return f"{self.name}-{suite}@{hash_texts(*(text for p in problems for text in (p.problem, p.answer)))[:10]}"


def built_in_scenarios() -> list[str]:
    """Names of the scenarios that ship with Tuition."""
    return sorted(path.stem for path in BUILT_IN.glob("*.yaml"))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def hash_texts(*texts: str) -> str:
    """SHA-256 of texts in their order."""
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def _shown(value: object) -> str:
    # A value may be huge, or refer to one part so often that writing it out would fill the memory.
    return repr((value if isinstance(value, str) else reprlib.repr(value))[:80])


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key {where!r} (value {_shown(first['input'])}): remove it or correct its spelling"
    if first["type"] == "missing":
        return f"key {where!r} is missing: add it"
    return f"{where or 'scenario'} = {_shown(first['input'])}: {first['msg'].removeprefix('Value error, ')}"
