"""Where a scenario's models and problems come from: fields of its YAML file, and how they are read."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.problems import Problem
from tuition.benchmarks.suites.catalog import POOLS, SUITES
from tuition.benchmarks.suites.loading import Suite, SuiteError, SuiteUnreachableError, load
from tuition.benchmarks.suites.micro import MIXES, make_problems, num_problems
from tuition.runners.scenarios.settings import LoRASettings


class ScenarioError(ValueError):
    """A scenario that cannot be used; one line with the offending value and the fix."""


class HubError(ScenarioError):
    """A model or a data set of a scenario is only on the Hub, and could not be fetched."""


class UntrustedError(ScenarioError):
    """A scenario asks to run code of a model, and nobody has confirmed it."""


class MissingModelError(ScenarioError):
    """A model's folder is not there, or holds no weights."""


# Set by --trust-remote-code, inherited by workers.
TRUST_VARIABLE = "TUITION_TRUST_REMOTE_CODE"
TOKENIZER_FILES = ("*.json", "*.jinja", "*.txt", "*.model", "*.codes", "*.tokenizer")


def confirm_trust(confirmed: bool) -> None:
    """Let models whose scenario says so run their own code, in this process and in every one that it starts."""
    if confirmed:
        os.environ[TRUST_VARIABLE] = "1"


class Frozen(BaseModel):
    """A part of a scenario file: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Shape(Frozen):
    """What a decoder's memory depends on: sizes of its configuration."""

    layers: int = Field(ge=1)
    width: int = Field(ge=1)
    mlp: int = Field(ge=1)
    query: int = Field(ge=1, description="width of all query heads")
    key: int = Field(ge=1, description="width of all key heads, and of all value heads")
    vocabulary: int = Field(ge=1)
    tied: bool = Field(True, description="one matrix is embedding and output")
    head_norms: bool = Field(True, description="queries and keys are normed, as in Qwen3")

    @classmethod
    def of(cls, config: Any) -> Self:
        """From a transformers configuration."""
        heads = config.num_attention_heads
        head = getattr(config, "head_dim", None) or config.hidden_size // heads
        return cls(
            layers=config.num_hidden_layers,
            width=config.hidden_size,
            mlp=config.intermediate_size,
            query=heads * head,
            key=(getattr(config, "num_key_value_heads", None) or heads) * head,
            vocabulary=config.vocab_size,
            tied=config.tie_word_embeddings,
            head_norms="qwen3" in config.model_type,
        )

    @property
    def linear(self) -> int:
        """Parameters of the layers' matrices."""
        return self.layers * self.width * (2 * self.query + 2 * self.key + 3 * self.mlp)

    @property
    def output(self) -> int:
        """Parameters of the output matrix."""
        return self.vocabulary * self.width

    @property
    def parameters(self) -> int:
        """All parameters but the norms'."""
        return self.linear + (1 if self.tied else 2) * self.output

    def adapter(self, rank: int) -> int:
        """Parameters of a LoRA adapter on all linear maps of the layers."""
        maps = 4 * self.width + 2 * self.query + 2 * self.key + 3 * (self.width + self.mlp)
        return self.layers * rank * maps


def shape_in(place: Path | str, revision: str | None = None) -> Shape | None:
    """Sizes of the model in a folder, or of one of the Hub that is on this machine; None where they are unknown."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(place, revision=revision, local_files_only=True, trust_remote_code=False)
        return Shape.of(config.get_text_config())
    except (OSError, ValueError, AttributeError):
        return None


class ModelSource(Frozen):
    """A base model: a folder or a Hub id with its revision.

    A path is relative to the scenario's file; `~` is the home folder.
    """

    path: str | None = None
    hub: str | None = None
    revision: str | None = None
    lora: LoRASettings | None = None
    trust_remote_code: bool = Field(
        False, description="run code that the model brings along; --trust-remote-code has to confirm it"
    )
    tensor_parallel: int = Field(
        1, ge=1, description="devices over which vLLM splits it to draw teacher rollouts and scores"
    )
    shape: Shape | None = Field(None, description="for predictions without the model's config.json")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.path is None) == (self.hub is None):
            raise ValueError("a model needs exactly one of `path` and `hub`")
        return self

    def located(self, folder: Path) -> Path:
        """The folder of a model that has a `path`, in a file that lies in `folder`."""
        try:
            return folder / Path(str(self.path)).expanduser()
        except RuntimeError:  # no home folder
            return folder / str(self.path)

    def absolute(self, folder: Path) -> Self:
        """The same for a file that lies elsewhere."""
        return self if self.path is None else self.model_copy(update={"path": str(self.located(folder).absolute())})

    @property
    def patterns(self) -> list[str]:
        """Names of the files that are needed of a Hub model."""
        return ["*.safetensors", *TOKENIZER_FILES, *(["*.py"] if self.trust_remote_code else [])]

    def fetch(self, patterns: Sequence[str]) -> Path:
        """The local folder of a Hub model's files, fetched unless they are there; HubError when that fails."""
        import httpx
        from huggingface_hub import snapshot_download

        try:
            return Path(snapshot_download(str(self.hub), revision=self.revision, allow_patterns=list(patterns)))
        except (OSError, ValueError, httpx.HTTPError) as error:  # huggingface_hub's own are OSError or ValueError
            reason = one_line(error, 160)
            raise HubError(
                f"model {self.hub} could not be fetched from the Hub ({type(error).__name__}: {reason}): go online "
                "once, or give a local folder as `path`"
            ) from None


class ProblemSource(Frozen):
    """Problems with answers: a split of the micro generator, a JSONL file (`id`, `problem`, `answer`), or a data set.

    `mix` names the generator's families of problems, with `micro` only. `suite` names an evaluation suite or a pool of
    labels on the Hub, `revision` its commit. Of a file or a data set, `without` leaves ids out, then `shuffle` orders
    the rows by the hash of their texts (a data set always is, by its ids), then `skip` passes over some and `count`
    takes some: so one file is labels, validation and test at once.
    """

    micro: Literal["labels", "prompts", "validation", "test"] | None = None
    mix: str = "micro"
    jsonl: str | None = None
    suite: str | None = None
    revision: str | None = None
    without: tuple[str, ...] = ()
    shuffle: bool = False
    skip: int = Field(0, ge=0)
    count: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if [self.micro, self.jsonl, self.suite].count(None) != 2:
            raise ValueError(
                "problems need exactly one of `micro` (a split, with `count`), `jsonl` (a file), `suite` (on the Hub)"
            )
        if self.mix not in MIXES:
            raise ValueError(f"`mix: {self.mix}` is unknown: choose from {', '.join(MIXES)}")
        if self.micro is not None and self.count is None:
            raise ValueError(f"`micro: {self.micro}` needs a `count`")
        if self.micro is not None and (self.count or 0) > (most := num_problems(self.micro, self.mix)):
            raise ValueError(f"`micro: {self.micro}` with count={self.count}: {self.mix} has only {most} such problems")
        if self.micro is not None and (self.without or self.shuffle or self.skip):
            raise ValueError("`without`, `shuffle` and `skip` need `jsonl` or `suite`: remove them")
        if self.suite is not None and self.suite not in {**SUITES, **POOLS}:
            raise ValueError(f"`suite: {self.suite}` is unknown: choose from {', '.join([*SUITES, *POOLS])}")
        if self.revision is not None and self.suite is None:
            raise ValueError("`revision` needs `suite`: remove it")
        return self

    @property
    def hub(self) -> str | None:
        """The data set's name on the Hub; None for what is made or read here."""
        return self.known.hub.repo if self.known is not None else None

    @property
    def known(self) -> Suite | None:
        """The data set that `suite` names; None for what is made or read here."""
        return {**SUITES, **POOLS}[self.suite] if self.suite is not None else None

    @property
    def named_suite(self) -> str | None:
        """The name that tables give a data set that is taken whole or from its beginning; None for any other choice."""
        if self.known is None or self.without or self.skip:
            return None
        return self.known.versioned + (f"[:{self.count}]" if self.count else "")

    def absolute(self, folder: Path) -> Self:
        """The same for a scenario's file that lies elsewhere than in `folder`."""
        return self if self.jsonl is None else self.model_copy(update={"jsonl": str((folder / self.jsonl).absolute())})

    def load(self, folder: Path, answers: bool = True) -> tuple[Problem, ...]:
        """Read the problems; ScenarioError names the file and line of the first bad row.

        With `answers` False the problems are prompts only: a row needs none, and none is read. HubError when a data set
        can neither be fetched nor is in the local cache.
        """
        if self.micro is not None:
            return tuple(make_problems(self.micro, self.count or 0, self.mix))
        problems = self._fetch(answers) if self.suite is not None else _read(folder / str(self.jsonl), answers)
        return self._choose(problems)

    def _fetch(self, answers: bool) -> list[Problem]:
        suite = {**SUITES, **POOLS}[str(self.suite)]
        pinned = replace(suite, hub=replace(suite.hub, revision=self.revision or suite.hub.revision))
        try:
            problems = load(pinned).problems
        except SuiteUnreachableError as error:
            raise HubError(f"{error.reason}: go online once, or give its rows as `jsonl`") from None
        except SuiteError as error:
            raise ScenarioError(str(error)) from None
        return [problem if answers else replace(problem, answer="") for problem in problems]

    def _choose(self, problems: Sequence[Problem]) -> tuple[Problem, ...]:
        name = self.jsonl or self.suite
        if unknown := set(self.without) - {problem.id for problem in problems}:
            raise ScenarioError(f"`without` names {min(unknown)!r}, which is not in {name}: correct the id")
        kept = [problem for problem in problems if problem.id not in self.without]
        if self.shuffle:
            kept.sort(key=lambda problem: hashlib.sha256(problem.problem.encode()).hexdigest())
        chosen = kept[self.skip :][: self.count]
        if self.count is not None and len(chosen) < self.count and (self.skip or self.suite):
            raise ScenarioError(
                f"skip={self.skip} leaves fewer than count={self.count} of {name}'s {len(kept)} problems"
            )
        return tuple(chosen)


def _read(path: Path, answers: bool) -> list[Problem]:
    """The rows of a JSONL file."""
    problems: list[Problem] = []
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            answer = str(row["answer"]).strip() if answers and row["answer"] is not None else ""
            problem = Problem(str(row["id"]), str(row["problem"]), answer, row.get("level"), row.get("subject"))
            _check(problem)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            fields = "id, problem and answer" if answers else "id and problem"
            raise ScenarioError(f"{path}:{number}: not a problem with {fields} ({error!r})") from None
        if answers and not answer:
            raise ScenarioError(f"{path}:{number}: problem {problem.id!r} has an empty answer: it cannot be graded")
        problems.append(problem)
    ids = [problem.id for problem in problems]
    if len(ids) != len(set(ids)):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise ScenarioError(f"{path}: id {twice!r} appears twice; ids must be unique")
    return problems


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path} is not UTF-8 text ({error}): save it as UTF-8") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = "it is missing" if isinstance(error, FileNotFoundError) else str(error)
        raise ScenarioError(
            f"no problem file {str(path)!r} ({reason}): write one JSON object per line with id, problem and answer"
        ) from None


def _check(problem: Problem) -> None:
    """TypeError or UnicodeError for what could not be kept in a table of samples."""
    if not isinstance(problem.level, int | None) or not isinstance(problem.subject, str | None):
        raise TypeError(f"level {problem.level!r:.40} must be an integer and subject {problem.subject!r:.40} text")
    if abs(problem.level or 0) >= 2**63:
        raise ValueError("level is too large")
    "".join((problem.id, problem.problem, problem.answer, problem.subject or "")).encode()


class SuiteSource(Frozen):
    """An evaluation suite: its problems and how many samples each gets."""

    problems: ProblemSource
    samples: int = Field(ge=1, description="k of avg@k")

    def absolute(self, folder: Path) -> Self:
        """The same for a scenario's file that lies elsewhere than in `folder`."""
        return self.model_copy(update={"problems": self.problems.absolute(folder)})
