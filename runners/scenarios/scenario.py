"""A scenario: what is fixed while allocations are searched, from one YAML file.

Teachers, student, label pool, prompt pool, validation and test suites, stage settings, hardware. Everything is checked
when the file is loaded, so that a search cannot fail an hour later on a wrong number.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self, get_args

from tuition.benchmarks.artefacts import file_sha256, write_text
from tuition.benchmarks.grading.policies import Policy, find_policy
from tuition.benchmarks.problems import Problem
from tuition.benchmarks.scoring.decoding import Preset
from tuition.benchmarks.scoring.engines.transformers_engine import SEED_EACH_BATCH
from tuition.benchmarks.scoring.engines.vllm_engine import vllm_version
from tuition.benchmarks.scoring.sampling import Decoding
from tuition.benchmarks.suites.loading import LoadedSuite, SuiteKind, checksums
from tuition.benchmarks.suites.micro import SUITE_VERSION
from tuition.planner.route import Label, Recipe
from tuition.planner.space import SearchSpace
from tuition.planner.stages import STAGE, STUDENT_RL, Stage
from tuition.runners.scenarios.batch_checks import check_batches, check_pools
from tuition.runners.scenarios.contamination import Overlap, find_overlap
from tuition.runners.scenarios.recipe_words import in_words
from tuition.runners.scenarios.scenario_file import ScenarioFile
from tuition.runners.scenarios.settings import SEQUENCE_MASK, AnySettings, RLSettings, StageSettings
from tuition.runners.scenarios.sources import (
    TRUST_VARIABLE,
    MissingModelError,
    ModelSource,
    ProblemSource,
    ScenarioError,
    Shape,
    SuiteSource,
    UntrustedError,
    shape_in,
)
from tuition.runners.training.checkpoint import hash_base, refuse_own_code, weight_files

WARM_UP = {"lr_warmup_first_rate": "above zero"}
"""Of stages that warm up. Blocks of before, whose first step had a rate of 0, are not mixed in."""

SHOWN_IDS = 20  # of problems that must leave a pool, in one line


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
                f"search.teacher={self.default_teacher!r} is unknown: choose from {', '.join(file.teachers)}"
            )
        check_pools(file, self.labels, self.validation, self.test)
        check_batches(file, len(self.prompts))
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
                f"{scenario.file.labels_per_block}, so there is nothing to allocate; lower labels_per_block"
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
                        f"{ours!r} = {theirs!r}): scores would be contaminated; remove them from the pool by "
                        f"listing their ids under `without`: {listed}"
                    )
                overlaps.append(overlap)
        shared = find_overlap(self.validation, self.test, "validation", "test")
        if shared.exact:
            raise ScenarioError(
                f"{shared.exact[0][0]!r} is in both the validation and the test suite: remove it from one of them"
            )
        return tuple(overlaps)

    def _check_checkpoint(self, spec: ModelSource) -> None:
        folder = spec.located(self.folder)
        try:
            weight_files(folder)
        except (OSError, ValueError):  # ValueError: a null byte in the path
            raise MissingModelError(
                f"missing checkpoint {str(folder)!r}: make it (tuition micro build, tuition smol fetch) or correct the "
                "path"
            ) from None

    def base_folder(self, model: str) -> Path:
        """The folder of a base model: "student" or a teacher's name. A Hub model is fetched on first use."""
        spec = self.source(model)
        if spec.path is not None:
            return spec.located(self.folder)
        return spec.fetch(spec.patterns)

    def shape(self, model: str) -> Shape | None:
        """Sizes of a base model, from its configuration if that is available, else from the file; None without."""
        spec = self.source(model)
        place = spec.located(self.folder) if spec.path is not None else str(spec.hub)
        return shape_in(place, spec.revision) or spec.shape

    def source(self, model: str) -> ModelSource:
        """Where a model comes from: "student" or a teacher's name."""
        return self.file.student if model == "student" else self.file.teachers[model]

    @property
    def policy(self) -> Policy:
        """What decides whether an answer is right."""
        return find_policy(self.file.grading)

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

    @property
    def draws(self) -> tuple[str, ...]:
        """How teacher rollouts and scores are drawn other than by one process; keys cover it."""
        by_transformers = self.file.hardware.processes > 1 and self.engine == "transformers"
        return (SEED_EACH_BATCH,) if by_transformers else ()

    @cached_property
    def recipe(self) -> Recipe:
        """All of the scenario that decides what a block computes, as content."""
        file = self.file
        return Recipe(
            student=self._content("student"),
            teachers={name: self._content(name) for name in file.teachers},
            labels=tuple(Label(p.id, hash_texts(p.problem), hash_texts(p.problem, p.answer)) for p in self.labels),
            labels_per_block=file.labels_per_block,
            prompts_sha256=hash_texts(*sorted(p.problem for p in self.prompts)),
            stages=self._covered_stages,
            environment=self._environment,
        )

    def with_stages(self, stages: StageSettings) -> Self:
        """The same with other settings of its stages; models and problems are not looked at again.

        Seconds that it states for a block follow the block's steps. ScenarioError for batches that do not divide.
        """
        file, before = self.file.model_copy(update={"stages": stages}), self.file.stages
        if self.file.prior_seconds:
            stated = {
                name: seconds
                * (stages.of(name).steps / before.of(name).steps if STAGE.get(name) in stages.present else 1)
                for name, seconds in self.file.prior_seconds.items()
            }
            file = file.model_copy(update={"prior_seconds": stated})
        check_batches(file, len(self.prompts))
        other = copy(self)
        other.file = file
        for name in ("_identity", "sha256", "fields"):
            other.__dict__.pop(name, None)
        other.__dict__["recipe"] = replace(self.recipe, stages=other._covered_stages)
        return other

    @property
    def _covered_stages(self) -> dict[str, dict[str, Any]]:
        """What the keys of blocks cover of each stage that the scenario has."""
        return {stage.name: self._covered(stage, settings) for stage, settings in self.file.stages.present.items()}

    def _covered(self, stage: Stage, settings: AnySettings) -> dict[str, Any]:
        """What the keys of a stage's blocks cover of it."""
        hardware = self.file.hardware
        # No key changes because there can be a filter or a correction.
        covered = {**settings.key_fields(), "prompt": self._prompting, "revision": stage.revision}
        covered.pop("rollout_correction", None)
        if settings.lr_warmup_steps > 0:
            covered |= WARM_UP
        if stage.buys_labels:
            covered["grader"] = self.policy.version
        # Completions that transformers draws together share one stream of random numbers.
        filtered = isinstance(settings, RLSettings) and settings.filter is not None
        if not stage.generates or (filtered and self.engine == "transformers"):
            covered["generation_batch"] = hardware.generation_batch
            if self.draws:
                covered["draws"] = ", ".join(self.draws)
        if isinstance(settings, RLSettings) and self.engine == "vllm":
            correction = settings.rollout_correction
            if correction != SEQUENCE_MASK:
                covered["rollout_correction"] = correction.key_fields()
        if stage.is_dense and hardware.teacher_server is not None:
            covered |= hardware.teacher_server.key_fields(stage.objective)
        return covered

    @property
    def _environment(self) -> dict[str, str]:
        hardware = self.file.hardware
        # A server has its own type and random stream.
        engine = "vllm server" if self.engine == "vllm" and hardware.vllm.rollout_server else self.engine
        environment = {"device": self.device, "dtype": hardware.dtype, "engine": engine}
        if hardware.dtype == "bfloat16":  # stores from before, whose bridge was in float32, are not mixed in
            environment["autocast"] = "every stage"
        if hardware.processes > 1:  # each draws from its own stream, and gradients are summed in another order
            environment["processes"] = str(hardware.processes)
            if self.engine == "vllm":  # of before, when all drew from the block's stream, nothing is mixed in
                environment["rollout_seeds"] = "of each process"
        if self.engine == "vllm" and hardware.vllm.tensor_parallel > 1:  # sums in another order
            environment["vllm_tensor_parallel"] = str(hardware.vllm.tensor_parallel)
        models = {"student": self.file.student, **self.file.teachers}
        split = [f"{name} {model.tensor_parallel}" for name, model in models.items() if model.tensor_parallel > 1]
        if self.engine == "vllm" and split:  # as vllm.tensor_parallel
            environment["sampling_tensor_parallel"] = ", ".join(split)
        if hardware.sharding != "none":
            environment["sharding"] = hardware.sharding
        return environment

    def _content(self, model: str) -> str:
        """Content hash of a base model, and of the adapter that is trained on it if there is one."""
        from safetensors import SafetensorError

        folder = self.base_folder(model)
        trusted = self._trusted(model, folder)
        if not trusted:
            refuse_own_code(folder)
        try:
            base = hash_base(folder)
        except (SafetensorError, ValueError, TypeError, AttributeError, RecursionError, OSError) as error:
            raise ScenarioError(
                f"the checkpoint in {folder} cannot be read ({error}): fetch or build it again"
            ) from None
        if trusted:  # its code decides what is computed
            base = hash_texts(base, *(file_sha256(file) for file in sorted(folder.glob("*.py"))))
        lora = self.source(model).lora
        return hash_texts(base, lora.model_dump_json()) if lora else base

    def _trusted(self, model: str, folder: Path) -> bool:
        """Whether code that a model brings along may run: the scenario says so, and the command has confirmed it."""
        if self.source(model).trust_remote_code and not os.environ.get(TRUST_VARIABLE):
            raise UntrustedError(
                f"scenario {self.name} asks to run code that comes with its model {model} (trust_remote_code): read "
                f"*.py in {folder}, and confirm with --trust-remote-code ({TRUST_VARIABLE}=1 for commands without it)"
            )
        return self.source(model).trust_remote_code

    @property
    def _prompting(self) -> dict[str, Any]:
        # No key of a scenario without template variables changes because there can be some.
        variables = {"template": self.file.template} if self.file.template else {}
        return {"suffix": self.file.prompt_suffix, "chat_template": self.file.chat_template, **variables}

    @cached_property
    def _identity(self) -> dict[str, Any]:
        """All that `sha256` covers: content (weights, problems), not paths or prose."""
        recipe = self.recipe
        return {
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

    @cached_property
    def sha256(self) -> str:
        """Identity of the scenario: a study belongs to one."""
        return hashlib.sha256(json.dumps(self._identity, sort_keys=True).encode()).hexdigest()

    @cached_property
    def fields(self) -> dict[str, Any]:
        """What `sha256` covers, in the words of the file: to say in which field two scenarios differ.

        Problems are a count and a hash, weights a hash.
        """
        identity = self._identity
        suites = {
            name: {**_counted(identity[name]), "samples": samples}
            for name, samples in zip(("validation", "test"), identity["samples"], strict=True)
        }
        return {
            "student": self._model_fields("student", identity["student"]),
            "teachers": {name: self._model_fields(name, content) for name, content in identity["teachers"].items()},
            **{name: identity[name] for name in ("labels_per_block", "search")},
            **suites,
            "decoding": self.file.decoding.model_dump(),
            "labels": _counted(identity["labels"]),
            "prompts": {"count": len(self.prompts), "sha256": identity["prompts"]},
            **in_words(identity["stages"], identity["environment"]),
        }

    def _model_fields(self, model: str, content: str) -> str | dict[str, Any]:
        """A base model for `fields`: the hash of its content, with the adapter's settings where it has one."""
        lora = self.source(model).lora
        return {"content": content, "lora": lora.model_dump(mode="json")} if lora else content

    def keep(self, path: Path, origin: str) -> None:
        """Write the scenario's file to `path`, to be loaded from there; `origin` is what it was loaded by."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, f"# Scenario of this study, read from {origin!r}.\n{self.file.text(self.folder)}")

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
            return frozenset(STAGE)
        # A search with replay forks inside this stage: fresh and replay blocks continue the same one.
        return frozenset({STUDENT_RL.name} if self.file.search.max_replay > 0 else ())

    def preset(self, kind: SuiteKind) -> Preset:
        """How completions of a suite are drawn, and how many of each problem."""
        source: SuiteSource = getattr(self.file, kind)
        return Preset(self.decoding, source.samples, {"all": f"scenario {self.name}"}, self.file.template)

    def suite(self, kind: SuiteKind) -> LoadedSuite:
        """A suite's problems, with what is known of them."""
        return self._suites[kind]

    @cached_property
    def _suites(self) -> dict[SuiteKind, LoadedSuite]:
        return {kind: self._loaded(kind) for kind in get_args(SuiteKind)}

    def _loaded(self, kind: SuiteKind) -> LoadedSuite:
        source: ProblemSource = getattr(self.file, kind).problems
        problems: tuple[Problem, ...] = getattr(self, kind)
        name = self.suite_name(kind)
        return LoadedSuite(
            name=name,
            suite=name,
            problems=problems,
            num_problems_whole=source.known.num_problems if source.known else len(problems),
            verified=source.known is None or source.known.checksum is not None,
            source=f"scenario {self.name}",
            checksum=checksums(problems)[0],
        )

    def suite_name(self, suite: SuiteKind) -> str:
        """Name and version of a suite, as score keys and tables carry it."""
        source: SuiteSource = getattr(self.file, suite)
        if source.problems.micro is not None:
            return f"{source.problems.mix}-{suite}@{SUITE_VERSION}/{source.problems.count}"
        if (named := source.problems.named_suite) is not None:
            return named
        problems = getattr(self, suite)
        return f"{self.name}-{suite}@{hash_texts(*(text for p in problems for text in (p.problem, p.answer)))[:10]}"


def _counted(listed: Sequence[object]) -> dict[str, Any]:
    """A long list as its length and its hash."""
    return {"count": len(listed), "sha256": hashlib.sha256(json.dumps(listed).encode()).hexdigest()}


def hash_texts(*texts: str) -> str:
    """SHA-256 of texts in their order."""
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()
