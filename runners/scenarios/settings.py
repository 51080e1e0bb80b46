"""Settings of the stages: every number that changes what a block computes, one frozen type per stage.

The defaults are our choice for a small model on a CPU; a scenario's YAML overrides them by name. Sampling in
every training rollout is temperature 1 and top-p 1 and is therefore not a setting.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tuition.planner.route import Block
from tuition.planner.stages import STAGE, STAGES, Objective, Stage


class Settings(BaseModel):
    """What all stages share."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    trained_before: ClassVar[Mapping[str, Any]] = {}
    """Fields that are newer than stored blocks, and the values at which they compute what those blocks did."""

    steps: int = Field(10, ge=1, description="optimizer steps of one block")
    learning_rate: float = Field(1e-4, gt=0, description="constant after the stage's one warm-up")
    lr_warmup_steps: int = Field(5, ge=0, description="linear warm-up, once per stage, not per block")
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    micro_batch: int = Field(64, ge=1, description="sequences per device and forward pass; the rest is accumulated")
    max_completion_tokens: int = Field(56, ge=1)
    # It changes no weight on a CPU, and roundings on a GPU. It stays in keys, where it has been from the start: without
    # it every key would be another.
    gradient_checkpointing: bool = False

    def key_fields(self) -> dict[str, Any]:
        """What keys cover of the settings: a new field changes no key at the value that blocks had before it."""
        fields = self.model_dump(exclude_none=True)
        before = self.trained_before
        return {name: value for name, value in fields.items() if name not in before or value != before[name]}

    @property
    def sequences_per_step(self) -> int:
        """Sequences that one optimizer step trains on."""
        raise NotImplementedError

    @property
    def sequences_per_rollout(self) -> int:
        """Sequences that are drawn together while the stage trains."""
        return self.sequences_per_step

    @property
    def prompts_needed(self) -> int:
        """Distinct prompts that a pool needs so that one generation batch holds none twice."""
        raise NotImplementedError

    def accumulation(self, processes: int = 1) -> int:
        """Forward passes per optimizer step in each of `processes` processes."""
        return max(1, self.sequences_per_step // processes // self.micro_batch)

    @model_validator(mode="after")
    def _whole_batches(self) -> Self:
        if self.sequences_per_step > self.micro_batch and self.sequences_per_step % self.micro_batch:
            raise ValueError(
                f"{self.sequences_per_step} sequences per step are not a multiple of micro_batch={self.micro_batch}; "
                "a shorter last batch would change the loss: choose a divisor"
            )
        return self


class PassRate(BaseModel):
    """Which problems a GRPO block trains on, by how often its model solves them when the block begins.

    A group whose completions all have one reward teaches nothing. The draws cost compute and no label: what was bought
    is bought, and a problem that is left out is a label wasted, which the block's record counts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    samples: int = Field(8, ge=2, description="completions per problem from which its pass rate is estimated")
    least: float = Field(0.05, ge=0, le=1)
    most: float = Field(0.95, ge=0, le=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.least >= self.most:
            raise ValueError(f"least={self.least} is not below most={self.most}: lower least or raise most")
        return self

    def distance(self, rate: float) -> float:
        """How far a pass rate is outside; 0 within."""
        return max(self.least - rate, rate - self.most, 0.0)


class RolloutCorrection(BaseModel):
    """How GRPO's loss corrects for completions that vLLM drew from another distribution than the trained one.

    vLLM computes in other kernels, and in bfloat16 where the trained weights are float32. The loss of a token is
    multiplied by the ratio of the probabilities, trained over drawn: of the token, or of its whole completion (the
    product over tokens, which for thousands of them is near 0 or very large). A ratio outside of the bounds is cut to
    the bound (truncate) or the loss is dropped (mask). Completions that transformers draws need none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mode: Literal["off", "token_truncate", "token_mask", "sequence_truncate", "sequence_mask"] = "token_truncate"
    clip_min: float | None = Field(None, ge=0, description="smallest ratio; default: no bound")
    clip_max: float | None = Field(3.0, gt=0, description="largest ratio; null: no bound")

    def key_fields(self) -> dict[str, Any]:
        """What keys cover: bounds only where they act."""
        return self.model_dump(include={"mode"} if self.mode == "off" else None)

    @field_validator("mode", mode="before")
    @classmethod
    def _off(cls, mode: Any) -> Any:
        return "off" if mode is False else mode  # what YAML reads a plain off as

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.mode != "off" and self.clip_min is None and self.clip_max is None:
            raise ValueError(f"mode={self.mode} has neither clip_min nor clip_max: set one, or mode: off")
        if self.clip_min is not None and self.clip_max is not None and self.clip_min >= self.clip_max:
            raise ValueError(f"clip_min={self.clip_min} is not below clip_max={self.clip_max}: lower it")
        cuts = "cuts a ratio of 1, that of tokens drawn as trained: move it past 1"
        if self.clip_min is not None and self.clip_min > 1:
            raise ValueError(f"clip_min={self.clip_min} {cuts}")
        if self.clip_max is not None and self.clip_max < 1:
            raise ValueError(f"clip_max={self.clip_max} {cuts}")
        return self


SEQUENCE_MASK = RolloutCorrection(mode="sequence_mask")
"""What blocks were trained with before there was a setting."""


class LabelSettings(Settings):
    """A stage that trains on labels, which come block by block."""

    trained_before: ClassVar[Mapping[str, Any]] = {"new_labels_first": 0.0}

    new_labels_first: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of a block's steps that come first and draw only from the labels that the block buys; the "
        "others draw from all that the stage has bought so far. With 0, the last labels are hardly trained",
    )

    @property
    def steps_on_new_labels(self) -> int:
        """The first steps of a block, which draw from the labels that it buys."""
        return round(self.new_labels_first * self.steps)


class RLSettings(LabelSettings):
    """GRPO on the teacher or the student: sparse, sequence-level reward."""

    trained_before: ClassVar[Mapping[str, Any]] = {
        **LabelSettings.trained_before,
        "updates_per_rollout": 1,
        "kl_form": "unbiased",
    }

    prompts_per_step: int = Field(8, ge=1)
    generations: int = Field(8, ge=2, description="completions per prompt, the group that GRPO compares")
    updates_per_rollout: int = Field(
        1,
        ge=1,
        description="optimizer steps on completions that were drawn together, each completion once; with 1, clip "
        "changes nothing",
    )
    kl_coef: float = Field(0.0, ge=0, description="weight of the KL to the checkpoint at the start of the stage")
    kl_form: Literal["unbiased", "k3"] = Field(
        "unbiased",
        description="k3: ratio - log ratio - 1, whose gradient is that of the forward KL; unbiased: k3 times the "
        "policy's ratio, with the gradient of the reverse KL",
    )
    clip: float = Field(0.2, gt=0, description="of the ratio to the policy that drew the completions")
    loss: Literal["grpo", "bnpo", "dr_grpo", "dapo"] = "dapo"
    scale_rewards: Literal["group", "batch", "none"] = "group"
    filter: PassRate | None = Field(None, description="train only on problems of such pass rates; default: on all")
    rollout_correction: RolloutCorrection = Field(
        default=RolloutCorrection(), description="of what vLLM draws; without vLLM there is nothing to correct"
    )

    @property
    def sequences_per_step(self) -> int:
        """Sequences that one optimizer step trains on."""
        return self.prompts_per_step * self.generations

    @property
    def sequences_per_rollout(self) -> int:
        """Sequences that are drawn together while the stage trains."""
        return self.sequences_per_step * self.updates_per_rollout

    @property
    def prompts_needed(self) -> int:
        """Distinct prompts that fill one rollout batch."""
        return self.prompts_per_step * self.updates_per_rollout

    @model_validator(mode="after")
    def _whole_rollouts(self) -> Self:
        if self.steps % self.updates_per_rollout:
            raise ValueError(
                f"steps={self.steps} are not a multiple of updates_per_rollout={self.updates_per_rollout}; the last "
                "completions of a block would not all be trained on: choose a divisor"
            )
        return self


class TransferSettings(Settings):
    """Transfer on prompts: dense (the bridge) or hard labels (SFT on teacher samples)."""

    prompts_per_step: int = Field(16, ge=1)
    completions: int = Field(4, ge=1, description="completions per prompt: the teacher's, or the student's own")

    @property
    def sequences_per_step(self) -> int:
        """Sequences that one optimizer step trains on."""
        return self.prompts_per_step * self.completions

    @property
    def prompts_needed(self) -> int:
        """Distinct prompts that fill one step."""
        return self.prompts_per_step


class RejectionSettings(LabelSettings):
    """SFT of the teacher on its own correct samples.

    The paper does not give its SFT-teacher recipe; rejection sampling is our choice: it spends the same labels as RL.
    """

    sequences: int = Field(64, ge=1, description="sequences per optimizer step")
    samples_per_problem: int = Field(16, ge=1, description="samples drawn per problem, the correct ones kept")

    @property
    def sequences_per_step(self) -> int:
        """Sequences that one optimizer step trains on."""
        return self.sequences

    @property
    def prompts_needed(self) -> int:
        """Distinct prompts that fill one step."""
        return 1


AnySettings = RLSettings | TransferSettings | RejectionSettings


class StageSettings(BaseModel):
    """The settings of every stage of a scenario.

    There is one field for each row of `tuition.planner.stages`. The field of a row that is new has a default of None:
    scenarios of before do not have the stage, and stay what they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    teacher_rl: RLSettings = RLSettings()
    teacher_sft: RejectionSettings = RejectionSettings()
    warmup: TransferSettings = TransferSettings()
    opd: TransferSettings = TransferSettings()
    transfer_sft: TransferSettings = TransferSettings()
    student_rl: RLSettings = RLSettings()

    @property
    def present(self) -> dict[Stage, AnySettings]:
        """The settings of the stages that the scenario has, in the table's order."""
        found = {stage: getattr(self, stage.name) for stage in STAGES}
        return {stage: settings for stage, settings in found.items() if settings is not None}

    def of(self, stage: str) -> AnySettings:
        """The settings of a stage that the scenario has, by its name."""
        return self.present[STAGE[stage]]

    def of_block(self, block: Block) -> AnySettings:
        """The settings of a block: in an ordinary run it has the steps of all the blocks that it is."""
        settings = self.of(block.stage)
        return settings.model_copy(update={"steps": settings.steps * block.merged})

    def changed(self, stage: str, **changes: Any) -> Self:
        """The same with other settings of one stage; they are not validated."""
        return self.model_copy(update={stage: self.of(stage).model_copy(update=changes)})


class LoRASettings(BaseModel):
    """One adapter that runs through all stages of a model."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rank: int = Field(32, ge=1)
    alpha: int = Field(64, ge=1)
    target_modules: str | tuple[str, ...] = "all-linear"


class Vllm(BaseModel):
    """Rollouts by vLLM in the trainer's process, or by a server that takes the trainer's weights."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    gpu_memory_utilization: float = Field(0.3, gt=0, le=1, description="share of a GPU for rollouts while training")
    tensor_parallel: int = Field(1, ge=1)
    rollout_server: str | None = Field(
        None,
        pattern=r"^https?://\S+$",
        description="URL of a vLLM server that takes weights by NCCL; default: colocated",
    )


class TeacherServer(BaseModel):
    """The teacher of a bridge block behind a vLLM server, which the block starts and ends."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    top_k: int = Field(20, ge=1, description="likeliest tokens of the teacher that a forward KL compares")
    devices: str | None = Field(None, description="CUDA_VISIBLE_DEVICES of the server; default: the trainer's")
    tensor_parallel: int = Field(1, ge=1)
    gpu_memory_utilization: float = Field(0.4, gt=0, le=1)

    def compared_tokens(self, objective: Objective) -> int:
        """How many of the teacher's likeliest tokens an objective compares; TRL's reverse KL has one only."""
        return self.top_k if objective == "forward_kl" else 1

    def key_fields(self, objective: Objective) -> dict[str, Any]:
        """What the keys of bridge blocks cover of it."""
        covered: dict[str, Any] = {"teacher_top_k": self.compared_tokens(objective)}
        covered["teacher_server_loss"] = "over the step's tokens"  # at first each forward pass was averaged by itself
        if self.tensor_parallel > 1:  # sums in another order
            covered["teacher_tensor_parallel"] = self.tensor_parallel
        return covered
