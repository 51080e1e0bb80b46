"""A scenario's YAML file, as written: its keys, their types and defaults, and how it is read. No model is looked at."""

import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, Field, ValidationError

from tuition.benchmarks.grading.policies import DEFAULT_POLICY, find_policy
from tuition.benchmarks.one_line import one_line
from tuition.runners.scenarios.settings import StageSettings, TeacherServer, Vllm
from tuition.runners.scenarios.sources import (
    Frozen,
    ModelSource,
    ProblemSource,
    ScenarioError,
    SuiteSource,
)

BUILT_IN = Path(__file__).parent


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
    offload_teacher: bool = Field(
        False,
        description="keep it in the processor's memory and, while it is used, one layer at a time on the device",
    )
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
    grading: Annotated[str, AfterValidator(lambda name: find_policy(name).name)] = Field(
        DEFAULT_POLICY, description="the policy that says whether an answer is right (docs/grading.md)"
    )
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

    def text(self, folder: Path) -> str:
        """The file as YAML with absolute paths, so that it may lie elsewhere than in `folder`."""
        sources = ("student", "labels", "prompts", "validation", "test")
        located: dict[str, Any] = {name: getattr(self, name).absolute(folder) for name in sources}
        located["teachers"] = {name: teacher.absolute(folder) for name, teacher in self.teachers.items()}
        content = self.model_copy(update=located).model_dump(mode="json", exclude_unset=True)
        return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)

    @classmethod
    def read(cls, name_or_path: str) -> tuple[Self, Path]:
        """A built-in scenario by name or a YAML file by path, and its folder. Models and problems are not looked at."""
        path = BUILT_IN / f"{name_or_path}.yaml"
        if name_or_path not in built_in_scenarios():
            path = Path(name_or_path)
            if not _is_file(path):
                known = ", ".join(built_in_scenarios())
                raise ScenarioError(f"unknown scenario {name_or_path!r}: give a path of a YAML file or one of {known}")
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ScenarioError(f"{path} cannot be read: {error.strerror}") from None
        except Exception as error:
            # The safe loader lets its converters' errors through: of wrong dates, long numbers, deep nesting and so on.
            raise ScenarioError(f"{path} is not YAML: {one_line(error, 300)}") from None
        if not isinstance(content, dict):
            raise ScenarioError(f"{path} is not a mapping of scenario keys (name, student, teachers, labels, ...)")
        try:
            return cls.model_validate(content), path.parent
        except ValidationError as error:
            raise ScenarioError(f"{path}: {_first_problem(error)}") from None


def built_in_scenarios() -> list[str]:
    """Names of the scenarios that ship with Tuition."""
    return sorted(path.stem for path in BUILT_IN.glob("*.yaml"))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


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
