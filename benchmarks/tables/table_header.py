"""The header of a recorded table: what all of its rows share."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from tuition.benchmarks.baselines import UPSTREAM
from tuition.benchmarks.grading.policies import FIRST_POLICY
from tuition.benchmarks.one_line import printable
from tuition.planner.allocation import BASE, Allocation
from tuition.planner.route import Label, Recipe
from tuition.planner.space import SearchSpace
from tuition.planner.stages import STAGES, STUDENT


def _shown_as_it_is(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it holds letters that do not show; only printable text may stand here")
    return text


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Field(max_length=10_000)]
Shown = Annotated[Text, AfterValidator(_shown_as_it_is)]
"""Text that is printed: a stranger's table must not steer a terminal."""


class Frozen(BaseModel):
    """Read with suspicion: nothing that is unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RecordedSuite(Frozen):
    """A suite: its name and version, samples of each problem, and the problems' ids in order."""

    name: Shown
    samples: int = Field(ge=1, le=60_000)
    problem_ids: tuple[Text, ...] = Field(min_length=2, max_length=100_000)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.problem_ids)) < len(self.problem_ids):
            raise ValueError(f"suite {self.name} has a problem id twice")
        return self


class RecordedRecipe(Frozen):
    """`tuition.planner.route.Recipe` as JSON; a label is (id, SHA-256 of its problem, SHA-256 of problem and
    answer)."""

    student: Text
    teachers: dict[str, Text]
    labels: tuple[tuple[Text, Text, Text], ...] = Field(max_length=100_000)
    labels_per_block: int
    prompts_sha256: Text
    stages: dict[str, dict[str, Any]]
    environment: dict[str, str]

    @classmethod
    def of(cls, recipe: Recipe) -> Self:
        """The JSON form of a recipe."""
        return cls(
            student=recipe.student,
            teachers=dict(recipe.teachers),
            labels=tuple((label.id, label.problem_sha256, label.content_sha256) for label in recipe.labels),
            labels_per_block=recipe.labels_per_block,
            prompts_sha256=recipe.prompts_sha256,
            stages={stage: dict(settings) for stage, settings in recipe.stages.items()},
            environment=dict(recipe.environment),
        )

    def recipe(self) -> Recipe:
        """The recipe."""
        return Recipe(**{**dict(self), "labels": tuple(Label(*label) for label in self.labels)})


class UntrainedScore(Frozen):
    """A base model's validation score: correct samples of each problem, and what sampling them cost."""

    correct: tuple[int, ...]
    gpu_seconds: float = Field(ge=0, allow_inf_nan=False)


class Header(Frozen):
    """What all rows of a table share.

    `names` are the baselines' allocations; `states_kept` the stages of which every block keeps its optimizer state (of
    the others only the tip does, so a fork inside one trains again); `untrained` counts the correct test samples of
    base models, by "student" or a teacher's name: tables of format 1 have none. From format 3 on there may be rows of
    teachers' checkpoints, and `untrained_validation` has the base models' scores that a planner may ask for.
    """

    format: Literal[1, 2, 3] = 3
    scenario: Shown
    scenario_sha256: Sha256
    recipe: RecordedRecipe
    space: SearchSpace
    names: dict[Shown, Shown]
    states_kept: tuple[Shown, ...]
    validation: RecordedSuite
    test: RecordedSuite
    decoding: dict[str, Any]
    untrained: dict[str, tuple[int, ...]] = {}
    untrained_validation: dict[str, UntrainedScore] = {}

    @model_validator(mode="after")
    def _of_one_bench(self) -> Self:
        """What it says must agree with its recipe: no other step looks at a name before it is compared."""
        recipe = self.recipe.recipe()
        if not self.scenario.endswith(f"@{self.scenario_sha256[:12]}"):
            raise ValueError(f"scenario {self.scenario:.80} does not end with its hash, @{self.scenario_sha256[:12]}")
        if self.space.num_label_blocks != recipe.num_label_blocks:
            raise ValueError(
                f"the space has {self.space.num_label_blocks} label blocks, the recipe {recipe.num_label_blocks}"
            )
        self.space.check_size()
        models = {STUDENT, *recipe.teachers}
        if unknown := {*self.space.teachers, *self.untrained, *self.untrained_validation} - models:
            raise ValueError(f"the recipe has no model {min(unknown)!r:.80}")
        for name, text in self.names.items():
            allocation = Allocation.parse(text)
            allocation.check_budget(recipe.num_label_blocks)
            if allocation.teacher not in (None, *recipe.teachers):
                raise ValueError(f"{name:.80} has a teacher {allocation.teacher!r:.80} that the recipe has not")
        if not Allocation.parse(self.names.get(UPSTREAM, BASE)).teacher_label_blocks:
            raise ValueError(f"names has no {UPSTREAM!r} that buys labels for a teacher: others are compared with it")
        return self

    @property
    def grader(self) -> str:
        """The version of the policy that graded rewards and scores."""
        return next((printable(s["grader"]) for s in self.recipe.stages.values() if "grader" in s), FIRST_POLICY)

    @property
    def idle_first_steps(self) -> list[str]:
        """Stages that warmed up, when they were recorded, from a rate of 0; today their first step trains."""
        stages = self.recipe.stages.items()
        return [name for name, s in stages if s.get("lr_warmup_steps") and "lr_warmup_first_rate" not in s]

    @property
    def other_revisions(self) -> dict[str, tuple[int, int]]:
        """Stages that today compute something else than was recorded: the revision that was recorded, and today's."""
        recorded = {name: int(settings["revision"]) for name, settings in self.recipe.stages.items()}
        return {
            s.name: (recorded[s.name], s.revision) for s in STAGES if recorded.get(s.name, s.revision) != s.revision
        }
