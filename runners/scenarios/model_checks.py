"""What a scenario's settings and the files of its models tell before anything is trained: what fails, what spoils it.

Tokenizers, vocabularies, end tokens, chat templates, lengths and adapters, of the student, of each teacher, and of the
two together. Every command that plans or trains asks here. Nothing is fetched and no weight is read: a model of the Hub
is passed over while its files are not on this machine.
"""

import json
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.problems import Problem
from tuition.benchmarks.scoring.sampling import encode_prompts, render_prompt, writes_date
from tuition.planner.allocation import Allocation
from tuition.planner.stages import STUDENT, TRANSFER_STAGES, Stage, listed
from tuition.runners.scenarios.outline import Outline
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.setting_checks import unlikely_settings
from tuition.runners.scenarios.sources import TOKENIZER_FILES, ModelSource, ScenarioError
from tuition.runners.training.checkpoint import end_tokens, first_differing_token, load_tokenizer, vocabulary_size
from tuition.runners.training.stages.served_divergence import AFTER_THE_HEAD

LONG_PROMPTS = 32
"""Of each pool, this many problems with the longest texts are encoded to find the longest prompt."""


@dataclass(frozen=True)
class Finding:
    """One line about a model, or a setting. A `problem` stops what uses it; anything else is a warning.

    `model` is the student (of a setting, too) or a teacher; with `bridge` it concerns transfer from that teacher only.
    """

    text: str
    problem: bool
    model: str
    bridge: bool = False


def check_models(scenario: Scenario, allocations: Iterable[Allocation] | None = None) -> tuple[str, ...]:
    """Warnings about the models that allocations use, by default all of the scenario's. ScenarioError for a problem."""
    found = findings(scenario, allocations)
    problems = [one.text for one in found if one.problem]
    if problems:
        more = f" (and {len(problems) - 1} more: tuition doctor --scenario lists them)" if len(problems) > 1 else ""
        raise ScenarioError(f"{problems[0]}{more}")
    return tuple(one.text for one in found if not one.problem)


def findings(scenario: Scenario, allocations: Iterable[Allocation] | None = None) -> list[Finding]:
    """What was found in the models that allocations use, by default in all of the scenario's."""
    found = _all_findings(scenario)
    if allocations is None:
        return list(found)
    wanted = list(allocations)
    used = {STUDENT, *(allocation.teacher for allocation in wanted)}
    bridged = {allocation.teacher for allocation in wanted if allocation.transfer_blocks}
    return [one for one in found if one.model in (bridged if one.bridge else used)]


@lru_cache(maxsize=8)  # a route asks again
def _all_findings(scenario: Scenario) -> tuple[Finding, ...]:
    student = _model(scenario, STUDENT)
    unlikely = unlikely_settings(scenario.file, scenario.num_label_blocks)
    found = [Finding(text, problem=False, model=STUDENT) for text in unlikely]
    found += _of_one(scenario, student) if student else []
    for name in scenario.file.teachers:
        if (teacher := _model(scenario, name)) is None:
            continue
        found += _of_one(scenario, teacher)
        if student is not None and student.unreadable is None and teacher.unreadable is None:
            found += [Finding(*said, name, bridge=True) for said in _of_two(scenario, student, teacher)]
    return tuple(found)


class Said(NamedTuple):
    """A line, and whether it stops what uses the model."""

    text: str
    problem: bool


def _problem(text: str) -> Said:
    return Said(text, problem=True)


def _warning(text: str) -> Said:
    return Said(text, problem=False)


@dataclass(frozen=True)
class _Model:
    name: str
    source: ModelSource
    folder: Path

    @cached_property
    def unreadable(self) -> Said | None:
        """Why its tokenizer or its configuration cannot be read."""
        try:
            _ = self.tokenizer, self.configuration, self.size, self.ends
        except Exception as error:  # of tokenizers, which are written in Rust, too
            reason = one_line(error, 160)
            return _problem(
                f"tokenizer, config.json or generation_config.json of {self.name} in {self.folder} cannot be read "
                f"({reason})"
            )
        return None

    @cached_property
    def tokenizer(self) -> Any:
        return load_tokenizer(self.folder)

    @cached_property
    def configuration(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        return {**content, **content.get("text_config", {})}

    @property
    def size(self) -> int:
        """Rows of its output."""
        return vocabulary_size(self.folder)

    @property
    def needed(self) -> int:
        """Rows of output that its tokens need; models are padded to more."""
        return 1 + max(int(token) for token in self.tokenizer.get_vocab().values())

    @cached_property
    def ends(self) -> frozenset[int]:
        """Tokens that end its completions."""
        ends = {self.tokenizer.eos_token_id, *end_tokens(self.folder)}
        return frozenset(token for token in ends if isinstance(token, int))

    def named(self, tokens: Iterable[int]) -> str:
        return ", ".join(f"{self.tokenizer.convert_ids_to_tokens(token)!r} ({token})" for token in sorted(tokens))


def _model(scenario: Scenario, name: str) -> _Model | None:
    """A base model whose files are on this machine."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    source = scenario.source(name)
    if source.path is not None:
        return _Model(name, source, source.located(scenario.folder))
    try:
        folder = snapshot_download(
            str(source.hub), revision=source.revision, allow_patterns=list(TOKENIZER_FILES), local_files_only=True
        )
    except LocalEntryNotFoundError:
        return None
    return _Model(name, source, Path(folder))


def _of_one(scenario: Scenario, model: _Model) -> Iterator[Finding]:
    """What is wrong with one model by itself."""
    if model.unreadable is not None:
        yield Finding(*model.unreadable, model.name)
        return
    said = [*_template(scenario, model), *_adapter(model)]
    if not model.ends:
        said.append(_problem(f"{model.name} has no end token: set eos_token in its tokenizer_config.json"))
    if not any(one.problem for one in said):  # prompts cannot be made without a template
        said += _lengths(scenario, model)
    for one in said:
        yield Finding(*one, model.name)


def _template(scenario: Scenario, model: _Model) -> Iterator[Said]:
    """The chat template, if prompts are made by it."""
    if not scenario.file.chat_template:
        return
    if not model.tokenizer.chat_template:
        yield _problem(
            f"chat_template is true, but {model.name} in {model.folder} has no chat template: set it to false"
        )
        return
    variables: Any = scenario.file.template
    asked = {"role": "user", "content": scenario.labels[0].problem}
    try:
        dated = writes_date(model.tokenizer, variables)
        encode_prompts(model.tokenizer, [[asked]], variables)
        exchange = [asked, {"role": "assistant", "content": "1"}]
        answered = model.tokenizer.apply_chat_template(exchange, return_dict=True, **variables)["input_ids"]
    except Exception as error:  # whatever a template does
        yield _problem(
            f"the chat template of {model.name} in {model.folder} fails on a problem ({one_line(error, 160)}): correct "
            "`template` in the scenario, or set chat_template to false"
        )
        return
    if dated:
        yield _problem(
            f"the chat template of {model.name} writes today's date, so that prompts change from day to day under the "
            "same keys: set its variable, as in `template: {date_string: 26 Jul 2024}`"
        )
    special = [token for token in answered if token in model.tokenizer.all_special_ids]
    if special and special[-1] not in model.ends:
        yield _warning(
            f"the chat template of {model.name} ends an answer with {model.named(special[-1:])}, which is none of its "
            f"end tokens, {model.named(model.ends)}: add it to eos_token_id in its generation_config.json"
        )


def _lengths(scenario: Scenario, model: _Model) -> Iterator[Said]:
    """Whether the longest prompt and completion fit the model's positions."""
    positions = model.configuration.get("max_position_embeddings")
    if not isinstance(positions, int) or isinstance(scenario, Outline):
        return
    stages = scenario.file.stages
    said = [
        one for stage, one in stages.present.items() if stage.name in stages.model_fields_set and _uses(stage, model)
    ]
    completion = max((settings.max_completion_tokens for settings in said), default=0)
    pools: list[Sequence[Problem]] = [scenario.labels, scenario.prompts]
    if model.name == STUDENT:
        completion = max(completion, scenario.decoding.max_new_tokens)
        pools += [scenario.validation, scenario.test]
    texts = [text for pool in pools for text in sorted((one.problem for one in pool), key=len)[-LONG_PROMPTS:]]
    prompts = [render_prompt(text, scenario.decoding) for text in texts]
    longest = max(map(len, encode_prompts(model.tokenizer, prompts, scenario.file.template)))
    if longest + completion > positions:
        # vLLM refuses it; transformers goes on beyond what the model has learnt.
        yield Said(
            f"the longest prompt has {longest} tokens; with {completion} for the completion that exceeds the "
            f"{positions} positions of {model.name}: lower max_completion_tokens and decoding.max_new_tokens, or leave "
            "long problems out",
            problem=scenario.engine == "vllm",
        )


def _uses(stage: Stage, model: _Model) -> bool:
    return (stage.model == "student") == (model.name == STUDENT) or stage.is_transfer


def _adapter(model: _Model) -> Iterator[Said]:
    """Whether an adapter can be trained on the modules that the scenario names; the model is made without weights."""
    lora = model.source.lora
    if lora is None or model.source.trust_remote_code:
        return
    import torch
    from peft import LoraConfig, get_peft_model
    from peft.tuners.tuners_utils import BaseTunerLayer
    from transformers import AutoConfig, AutoModelForCausalLM

    modules = lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules)
    configuration = AutoConfig.from_pretrained(model.folder, local_files_only=True, trust_remote_code=False)
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it warns of is said below
            made: Any = AutoModelForCausalLM.from_config(configuration)
            adapted = get_peft_model(made, LoraConfig(r=lora.rank, target_modules=modules, task_type="CAUSAL_LM"))
    except ValueError as error:
        yield _problem(f"lora.target_modules of {model.name} cannot be used: {one_line(error, 200)}")
        return
    if isinstance(adapted.get_output_embeddings(), BaseTunerLayer):
        yield _problem(
            f"lora.target_modules of {model.name} has the output layer, whose adapter TRL would leave untrained: "
            "remove lm_head"
        )


def _of_two(scenario: Scenario, student: _Model, teacher: _Model) -> Iterator[Said]:
    """Whether the student can learn from this teacher's tokens and distributions."""
    stages, otherwise = listed(TRANSFER_STAGES), "choose models of one family, or an allocation without transfer"
    if (differing := first_differing_token(student.tokenizer, teacher.tokenizer)) is not None:
        index, ours, theirs = differing
        yield _problem(
            f"{stages} need models that share a tokenizer: token {index} is {ours!r} for the student and {theirs!r} "
            f"for teacher {teacher.name}: {otherwise}"
        )
        return
    if student.size != teacher.size:
        yield from _sizes(scenario, student, teacher)
    changed = [name for name in AFTER_THE_HEAD if student.configuration.get(name) not in (None, 1)]
    if changed and scenario.file.hardware.teacher_server is not None:
        yield _problem(
            f"hardware.teacher_server takes no student whose logits are scaled or capped ({', '.join(changed)} in its "
            "config.json): remove it, so that the teacher is in the trainer's process"
        )
    if unknown := teacher.ends - student.ends:
        yield Said(
            f"teacher {teacher.name} ends with {teacher.named(unknown)}, but the student stops at "
            f"{student.named(student.ends)} only, so that it would learn an end at which it does not stop: add "
            f"{', '.join(map(str, sorted(unknown)))} to eos_token_id in {student.folder / 'generation_config.json'} "
            "(of a Hub model, in a copy that is given as `path`)",
            problem=not teacher.ends & student.ends,
        )
    texts = [label.problem for label in scenario.labels[:LONG_PROMPTS]]
    both = (student.tokenizer(texts)["input_ids"], teacher.tokenizer(texts)["input_ids"])
    split = next((text for text, ours, theirs in zip(texts, *both, strict=True) if ours != theirs), None)
    if split is not None:
        yield _warning(
            f"the tokenizers of student and teacher {teacher.name} split {split[:60]!r} into other tokens: transfer "
            "encodes prompts as the student does"
        )
    if scenario.file.chat_template and student.tokenizer.chat_template != teacher.tokenizer.chat_template:
        yield _warning(
            f"the chat templates of student and teacher {teacher.name} differ: transfer prompts both with the student's"
        )


def _sizes(scenario: Scenario, student: _Model, teacher: _Model) -> Iterator[Said]:
    """Outputs that are padded to other sizes share the tokenizer's tokens, unless these are more than one of them."""
    sizes = f"the student has {student.size} rows and teacher {teacher.name} {teacher.size}"
    if min(student.size, teacher.size) < student.needed:
        yield _problem(
            f"{listed(TRANSFER_STAGES)} need the tokenizer's {student.needed} tokens in both models' output, but "
            f"{sizes}: choose models of one family, or an allocation without transfer"
        )
    if scenario.file.hardware.teacher_server is not None:
        yield _problem(
            f"hardware.teacher_server needs models with one vocab_size, but {sizes}: remove it, so that the teacher is "
            "in the trainer's process"
        )
