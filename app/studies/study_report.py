"""A study's report: the type of `report.json`, its one reader and its one writer.

A search, a comparison of baselines, `tuition shuffled` and `tuition tune` each leave one in the study's folder.
Format 1, which earlier versions wrote, names neither its format nor its kind; `read_report` makes it one of today.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic import model_serializer as serializer

from tuition.app.advice.verdict import Decision
from tuition.benchmarks.artefacts import FileError, finite_fields, read_json, write_json
from tuition.benchmarks.boards.ranked_rows import Meta, RankedRow, from_json
from tuition.benchmarks.one_line import first_complaint, one_line
from tuition.benchmarks.secret_texts import without_secrets
from tuition.benchmarks.statistics.intervals import Difference, Interval
from tuition.benchmarks.statistics.multiplicity import SignFlip

FORMAT = (
    5  # 4 had no tuning; 3 ranked any number of seeds, by each pair's own seed variance; 2 had no rows of base models
)
_ROWS, _META = TypeAdapter(list[RankedRow]), TypeAdapter(Meta)

T = TypeVar("T")


def _numbers(stated: object) -> object:
    """JSON has no nan: such a number is null there."""
    if not isinstance(stated, dict):
        return stated
    return {name: math.nan if value is None else value for name, value in stated.items()}


Stated = Annotated[T, BeforeValidator(_numbers), PlainSerializer(finite_fields)]
"""A dataclass of the statistics, in JSON as its fields."""


Command = Annotated[str, AfterValidator(without_secrets)]
"""Earlier versions kept passwords of database URLs."""


class Frozen(BaseModel):
    """What is read is not changed."""

    model_config = ConfigDict(frozen=True)


class ExpectedReuse(Frozen):
    """Distinct over requested, in blocks and in predicted seconds, for as many random allocations. None for none."""

    distinct_over_requested_blocks: float | None
    distinct_over_requested_seconds: float | None


class BlockAccount(Frozen):
    """Blocks that a study's routes asked for, distinct ones among them, and those that were trained."""

    requested: int
    distinct: int
    executed: int
    executed_by_this_call: int
    predicted_gpu_seconds_requested: float | None
    """None where a part is unknown."""
    predicted_gpu_seconds_distinct: float | None
    predicted_basis: dict[str, Any] = {}
    """Where the second of these comes from: seconds by source. Reports of before do not say."""
    gpu_seconds_requested: float
    gpu_seconds_executed: float
    expected_of_random_allocations: ExpectedReuse


class LabelAccount(Frozen):
    """The scenario's budget of labels, and the study's three counts."""

    labels_budget: int
    labels_trained: int
    labels_validation: int
    labels_owned: int
    labels_outside: int = 0
    """The most that a score told from outside declares; in none of the others."""


class ValidationScore(Frozen):
    """What a trial scored: fractions."""

    mean: float
    se_problems: float | None = None
    se_samples: float | None = None


class TrialReport(Frozen):
    """A trial, with all attributes of its Optuna trial. `score` is None for one that is not complete."""

    model_config = ConfigDict(frozen=True, extra="allow")

    number: int
    state: str
    score: ValidationScore | None
    allocation: str = ""
    repeat_of: int | None = None
    on_the_way_of: int | None = None
    """The trial whose route passed it: a score of its own, but no proposal."""
    error: str | None = None
    refused: str | None = None
    """Why it was not begun: it did not fit the budget. It counts as no trial."""
    told_from_outside: str | None = None
    """The SHA-256 of the file, of a route that was trained elsewhere: it has no checkpoint, and is no proposal."""
    labels_outside: int = 0
    """That such a route was trained on, as its sender declares."""
    labels_trained: int = 0
    gpu_seconds_full: float = 0.0
    gpu_seconds_marginal: float = 0.0
    truncated_share: float | None = None
    """Of its validation completions, those that ran into the limit; None of earlier versions."""


class EvaluatedRun(Frozen):
    """One training run of a tested row: its block keys, first to last, and its score's key.

    A base model has one "run", without blocks; its seed is None.
    """

    seed: int | None
    blocks: tuple[str, ...]
    weights_sha256: str
    score: str
    gpu_seconds_full: float
    labels_trained: int


class EvaluatedBlocks(Frozen):
    """Blocks of all tested runs; `executed` are those that the call has trained."""

    requested: int
    executed: int
    distinct: int


class Pair(Frozen):
    """Two tested rows compared, a - b. `these_problems` needs two seeds or more.

    `p_value_holm` is corrected over the pairs of ranked rows; None where one of the two has no rank.
    """

    a: str
    b: str
    difference: Difference
    p_value_holm: float | None
    sign_flip: Stated[SignFlip]
    these_problems: Stated[Difference] | None

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, stated: object) -> object:
        """In JSON the difference's fields stand beside the others."""
        if not isinstance(stated, dict) or "difference" in stated:
            return stated
        own = {field.name for field in fields(Difference)}
        difference = _numbers({name: value for name, value in stated.items() if name in own})
        return {**{name: value for name, value in stated.items() if name not in own}, "difference": difference}

    @serializer
    def _spread(self) -> dict[str, Any]:
        return {
            "a": self.a,
            "b": self.b,
            **finite_fields(self.difference),
            "p_value_holm": self.p_value_holm,
            "sign_flip": finite_fields(self.sign_flip),
            "these_problems": None if self.these_problems is None else finite_fields(self.these_problems),
        }


class EvaluatedScenario(Frozen):
    """The scenario of a test."""

    name: str
    sha256: str


class Evaluation(Frozen):
    """The test of finalists and baselines: their runs by row, and the intervals of rows and of pairs."""

    blocks: EvaluatedBlocks
    runs: dict[str, tuple[EvaluatedRun, ...]]
    command: Command
    code_version: str
    versions: dict[str, str]
    scenario: EvaluatedScenario
    accelerator: str
    intervals: dict[str, Stated[Interval]]
    pairwise: tuple[Pair, ...]


class PlannedSplit(Frozen):
    """An allocation's validation score as the planner predicts it: a fraction, and its posterior standard deviation."""

    allocation: str
    mean: float
    sd: float


class PlannerAnswer(Frozen):
    """What the planner would hand over: the split that it names, of all, and the best of those that it trained."""

    named: PlannedSplit
    trained: PlannedSplit


class WarmStartReport(Frozen):
    """Whose scores a search began with."""

    words: str
    sha256: str
    """Of the scores."""


class StudyTest(Frozen):
    """One look at the test suite: which runs were scored. The same runs again are no other look."""

    seeds: tuple[int, ...]
    rows: tuple[str, ...]
    command: Command
    scores_sha256: str

    @classmethod
    def of(cls, test: Evaluation) -> "StudyTest":
        """The look that an evaluation was."""
        runs = [run for several in test.runs.values() for run in several]
        return cls(
            seeds=tuple(sorted({run.seed for run in runs if run.seed is not None})),
            rows=tuple(sorted(test.runs)),
            command=test.command,
            scores_sha256=sha256(" ".join(sorted(run.score for run in runs)).encode()).hexdigest(),
        )


class StudyReport(Frozen):
    """What all kinds of reports share.

    `leaderboard` is the document of `tuition.benchmarks.boards.ranked_rows.to_json`, None before the test, and so is
    `test`. `scenario_sha256` and `command` are None where an earlier version did not write them down.
    """

    kind: ClassVar[str]

    study: str
    scenario: str
    scenario_sha256: str | None
    command: Command | None
    leaderboard: dict[str, Any] | None = None
    test: Evaluation | None = None
    tests: tuple[StudyTest, ...] = ()
    """Every look at the test suite that this study had, the last one being `test`; reports of before do not say."""

    @property
    def looks(self) -> tuple[StudyTest, ...]:
        """`tests`, with at least the one that is here."""
        return self.tests or (() if self.test is None else (StudyTest.of(self.test),))

    def ranked(self) -> tuple[list[RankedRow], Meta] | None:
        """The tested rows and what they share; None before the test. FileError for rows that cannot be read."""
        return None if self.leaderboard is None else ranked_rows(self.leaderboard)

    def document(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {"format": FORMAT, "kind": self.kind, **self.model_dump(mode="json", exclude_unset=True)}


class SearchReport(StudyReport):
    """Of a search: its blocks, labels, seconds and trials, and its test if there was one."""

    kind = "search"

    seed: int
    versions: dict[str, str]
    overlaps: tuple[str, ...]
    blocks: BlockAccount
    labels: LabelAccount
    seconds: float
    gpu_seconds: float
    """Of the search; in reports of before with its test."""
    test_gpu_seconds: float | None = None
    """Of the test by itself; None before it, and of earlier versions."""
    tested_trials: int | None = None
    """How many proposals there were when the test was made: fewer than now where the search went on after it."""
    stopped: str | None = None
    """Why the search stopped, unless that is its number of trials or seconds."""
    answer: PlannerAnswer | None = None
    """Of searches by our own planner."""
    warm_start: WarmStartReport | None = None
    """Whose scores our own planner began with; None without, and in reports of before."""
    decision: Decision | None = None
    """What the validation scores allow to decide; None in reports of before."""
    trials: tuple[TrialReport, ...]
    """Allocations that were scored on the way to another among them."""

    @property
    def proposals(self) -> tuple[TrialReport, ...]:
        """The trials without those and without scores told from outside: what was proposed, or queued first."""
        own = (trial for trial in self.trials if trial.on_the_way_of is None)
        return tuple(trial for trial in own if trial.told_from_outside is None)


class BaselinesReport(StudyReport):
    """Of a comparison of baselines: nothing but a test."""

    kind = "baselines"

    leaderboard: dict[str, Any]
    test: Evaluation


class ShuffledComparison(Frozen):
    """Blocked less shuffled training of one model. Scores are fractions."""

    blocked: float
    shuffled: float
    difference: Stated[Difference]


class ShuffledReport(StudyReport):
    """Of `tuition shuffled`: the price of prefix sharing, by model."""

    kind = "shuffled"

    suite: str
    seeds: tuple[int, ...]
    blocked_minus_shuffled: dict[str, ShuffledComparison]


class TriedSettings(Frozen):
    """A stage's settings that were tried. `correct`: by seed the correct samples of each problem; None: it failed."""

    steps: int
    learning_rate: float
    correct: tuple[tuple[int, ...] | None, ...]
    mean: float | None
    """A fraction, over all seeds; None where one failed."""
    se_seeds: float | None
    gpu_seconds_full: float | None
    """Of the route, mean over its seeds."""


class TunedStage(Frozen):
    """The tries of one stage, and whether one of them is better than the scenario's own settings."""

    stage: str
    route: str
    """The checkpoint that was scored."""
    tries: tuple[TriedSettings, ...]
    current: int
    """Which of them are the scenario's own."""
    best: int | None
    """The highest mean; None where the current settings, or all others, failed."""
    verdict: Literal["keep", "change", "undecided"]
    difference: Stated[Difference] | None
    """Of the best less the current settings, where they are two and have two seeds or more."""
    p_value_holm: float | None
    """Of that difference, corrected for the number of settings that are compared with the current ones."""
    edges: tuple[str, ...] = ()
    """The ends of the grid at which the best lies: "highest learning_rate"."""


class TuningReport(StudyReport):
    """Of `tuition tune`: the same number of tries for each stage, on the validation suite alone."""

    kind = "tuning"

    suite: str
    samples: int
    """Of each problem."""
    seeds: tuple[int, ...]
    stages: tuple[TunedStage, ...]


KINDS: dict[str, type[StudyReport]] = {
    kind.kind: kind for kind in (SearchReport, BaselinesReport, ShuffledReport, TuningReport)
}


class _Header(Frozen):
    """What tells how to read the rest."""

    format: int
    kind: Literal["search", "baselines", "shuffled", "tuning"]


def write_report(report: StudyReport, path: Path) -> None:
    """Write a report, which appears whole."""
    write_json(report.document(), path)


def read_report(path: Path) -> StudyReport:
    """Read a report of this or an earlier version.

    FileNotFoundError where there is none; FileError, whose message is the reason without the path, for one that is
    damaged or of a newer version.
    """
    document = read_json(path)
    try:
        stated = document if "format" in document else _of_format_1(document)
    except (KeyError, TypeError) as error:
        raise FileError(f"is not a report of a study ({one_line(repr(error), 80)})") from None
    try:
        header = _Header.model_validate(stated)
        if header.format > FORMAT:
            raise FileError(f"was written by a newer version (format {header.format} > {FORMAT}): update Tuition")
        return KINDS[header.kind].model_validate(stated)
    except ValidationError as error:
        raise FileError(first_complaint(error)) from None


def _of_format_1(document: Mapping[str, Any]) -> dict[str, Any]:
    """Such a report with what it leaves out. KeyError or TypeError for what is none."""
    if "blocked_minus_shuffled" in document:
        study = f"{document['scenario']}-shuffled"
        added = {"kind": ShuffledReport.kind, "study": study, "scenario_sha256": None, "command": None}
    elif "trials" in document:
        added = {"kind": SearchReport.kind}
    else:
        test, scenario = document["test"], document["test"]["scenario"]
        named = {"study": document["leaderboard"]["study"], "scenario": scenario["name"], "command": test["command"]}
        added = {"kind": BaselinesReport.kind, "scenario_sha256": scenario["sha256"], **named}
    return {**document, **added, "format": 1}


def looks_before(path: Path) -> tuple[StudyTest, ...]:
    """The looks at the test suite that a study had, by its report; none where it has no report that can be read."""
    try:
        return read_report(path).looks
    except (FileNotFoundError, FileError):
        return ()


def with_look(before: Sequence[StudyTest], test: Evaluation) -> tuple[StudyTest, ...]:
    """The looks before and this one, unless it scored the very runs of one of them."""
    look = StudyTest.of(test)
    return (*(other for other in before if other.scores_sha256 != look.scores_sha256), look)


def ranked_rows(leaderboard: Mapping[str, Any]) -> tuple[list[RankedRow], Meta]:
    """The rows of a leaderboard's document and what they share; FileError, with the reason, for one that is damaged."""
    try:
        ranked, meta = from_json(leaderboard)
        _ROWS.validate_python([asdict(row) for row in ranked])  # a dataclass takes any type
        _META.validate_python(asdict(meta))
    except ValidationError as error:
        raise FileError(first_complaint(error)) from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise FileError(one_line(repr(error), 200)) from None
    return ranked, meta
