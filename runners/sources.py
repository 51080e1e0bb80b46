"""Where a scenario's models and problems come from: fields of its YAML file, and how they are read."""

import json
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from benchmarks.suites.micro import MIXES, Problem, make_problems, num_problems
from runners.settings import LoRASettings


class ScenarioError(ValueError):
    """A scenario that cannot be used; one line with the offending value and the fix."""


class Frozen(BaseModel):
    """A part of a scenario file: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelSource(Frozen):
    """A base model: a folder (relative to the scenario's file) or a Hub id with its revision."""

    path: str | None = None
    hub: str | None = None
    revision: str | None = None
    lora: LoRASettings | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.path is None) == (self.hub is None):
            raise ValueError("a model needs exactly one of `path` and `hub`")
        return self


class ProblemSource(Frozen):
    """Problems with answers: a split of the micro generator, or a JSONL file with `id`, `problem`, `answer`.

    `mix` names the generator's families of problems; it means nothing for a file.
    """

    micro: Literal["labels", "prompts", "validation", "test"] | None = None
    mix: str = "micro"
    count: int | None = Field(None, ge=1)
    jsonl: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.micro is None) == (self.jsonl is None):
            raise ValueError("problems need exactly one of `micro` (a split, with `count`) and `jsonl` (a file)")
        if self.mix not in MIXES:
            raise ValueError(f"`mix: {self.mix}` is unknown: choose from {', '.join(MIXES)}")
        if self.micro is not None and self.count is None:
            raise ValueError(f"`micro: {self.micro}` needs a `count`")
        if self.micro is not None and (self.count or 0) > (most := num_problems(self.micro, self.mix)):
            raise ValueError(f"`micro: {self.micro}` with count={self.count}: {self.mix} has {most} such problems")
        return self

    def load(self, folder: Path, answers: bool = True) -> tuple[Problem, ...]:
        """Read the problems; ScenarioError names the file and line of the first bad row.

        With `answers` False the problems are mere prompts: a row needs none, and none is read.
        """
        if self.micro is not None:
            return tuple(make_problems(self.micro, self.count or 0, self.mix))
        path = folder / str(self.jsonl)
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
        return tuple(problems[: self.count])


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
        raise TypeError(f"level {problem.level!r:.40} must be an integer and subject {problem.subject!r:.40} a text")
    if abs(problem.level or 0) >= 2**63:
        raise ValueError("level is too large")
    "".join((problem.id, problem.problem, problem.answer, problem.subject or "")).encode()


class SuiteSource(Frozen):
    """An evaluation suite: its problems and how many samples each gets."""

    problems: ProblemSource
    samples: int = Field(ge=1, description="k of avg@k")
