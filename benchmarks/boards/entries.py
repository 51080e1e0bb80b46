"""Leaderboard entries: one JSON file each, whose id is the hash of what it says.

What: `MeasuredEntry` is a score that we measured, with the hash of each per-sample file behind it; `ReportedEntry` is a
number that a source printed, with its citation. `parse_entry` reads either from untrusted bytes, `entry_id` is the
permanent id. docs/leaderboards.md describes every field. A measured entry of today is a `RepeatableEntry`, which says
all that is needed to sample again; `EarlierEntry` is of format 2, which is read and not written.

Simplified: numbers are fractions (0..1), never percentages. What cannot be computed (an error over samples of one
sample) or was not stated is null, and never a zero.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from tuition.benchmarks.boards.texts import Hash, LongText, Name, Text, Url, no_secret, no_surrogates
from tuition.benchmarks.one_line import first_complaint, one_line, printable
from tuition.benchmarks.statistics.intervals import Array, Score, score_over_seeds
from tuition.planner.allocation import BASE, Allocation, AllocationError
from tuition.planner.cost import Price

MAX_ENTRY_BYTES = 1 << 20
SHORT_ID = 12  # hex digits; enough for any leaderboard that a person reads
NOT_RESAMPLED = "not resampled"  # what files cannot show, said of every measured entry
PARTIAL = "[:"  # "math500@1[:20]": the first 20 problems only, which is another suite than the whole


class EntryError(ValueError):
    """An entry or a leaderboard that is refused; one line with the offending value and the reason.

    Names of files in it come from strangers, so the whole message is made printable here.
    """

    def __init__(self, message: object) -> None:
        super().__init__(printable(message))


Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Seconds = Annotated[float, Field(ge=0, le=1e15)]
# A suite's name and version as score keys carry them, "micro-test@1/384"; a source's set has a name only.
VersionedSuite = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}@[A-Za-z0-9._/-]{1,60}(\[:[1-9][0-9]{0,8}\])?$")]
Setting = str | int | float | bool | None


class Strict(BaseModel):
    """Frozen, no unknown fields, no conversions, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Preset(Strict):
    """How completions were decoded: the preset's name, and every one of its fields as the score key holds them.

    A reported entry has the name "as in the source", and only those fields that the source states.
    """

    name: Text
    fields: dict[
        Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")],
        Annotated[Setting | list[Setting], Field(union_mode="left_to_right")],
    ] = Field(max_length=60)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for value in self.fields.values():
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str) and len(no_secret(no_surrogates(text))) > 20_000:
                    raise ValueError("a field is longer than 20,000 characters")
        return self

    def text(self) -> str:
        """The fields as canonical JSON: equal texts are equal decodings."""
        return canonical(self.fields)


class SampleFile(Strict):
    """The per-sample outcomes of one training run: a Parquet file named by its own SHA-256.

    `training_seed` is null for a checkpoint whose training we do not know, `weights_sha256` for one that a server
    keeps.
    """

    training_seed: Count | None
    sha256: Hash
    weights_sha256: Hash | None


class MeasuredScore(Strict):
    """avg@k and its standard errors by source, as `tuition.benchmarks.statistics.intervals.Score` defines them; null
    where undefined."""

    mean: Fraction
    se_problems: Fraction | None
    se_samples: Fraction | None
    se_seeds: Fraction | None


class ReportedScore(Strict):
    """A printed mean and its ±, which means what the source says it means (`error_meaning`)."""

    mean: Fraction
    error: Fraction | None
    error_meaning: Text | None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.error is None) != (self.error_meaning is None):
            raise ValueError("error and error_meaning belong together: give both, or null for both")
        return self


class Source(Strict):
    """Where a reported number is printed: a paper or page, and the table in it."""

    authors: tuple[Text, ...] = Field(min_length=1, max_length=200)
    title: Text
    year: Annotated[int, Field(ge=1900, le=2200)]
    identifier: Text
    url: Url
    table: Text

    @property
    def citation(self) -> str:
        """The citation on one line, without the table."""
        return f"{', '.join(self.authors)} ({self.year}): {self.title}, {self.identifier}"


class ScenarioRef(Strict):
    """The scenario that an allocation is of: its name, and the SHA-256 of all that decides its results."""

    name: Text
    sha256: Hash


def _allocation(text: str) -> str:
    try:
        canonical_text = str(Allocation.parse(text))
    except AllocationError as error:
        raise ValueError(f"{one_line(error)}; add the row again from its study") from None
    if text != canonical_text:
        raise ValueError(f"write it as {canonical_text!r}")
    return text


class _Entry(Strict):
    name: Text
    preset: Preset
    model: Text | None = None
    allocation: Text | None = None
    labels_trained: Count | None = None
    labels_validation: Count | None = None
    labels_owned: Count | None = None
    gpu_seconds: Seconds | None = None

    @model_validator(mode="after")
    def _check_subject(self) -> Self:
        if self.model is None and self.allocation is None:
            raise ValueError("model and allocation are both null: say what was scored")
        owned = self.labels_owned
        for name, count in (("labels_trained", self.labels_trained), ("labels_validation", self.labels_validation)):
            if owned is not None and count is not None and count > owned:
                raise ValueError(f"{name} is {count} but labels_owned only {owned}")
        return self


class MeasuredEntry(_Entry):
    """A score that we measured: what entries of every format say of it.

    `allocation` is the text that `Allocation.parse` reads, `scenario` what it is of; `shuffled` says that the label
    stage was one ordinary run over all labels, without blocks. `gpu_seconds` is the route's full training cost, the
    mean over the training seeds, on the `accelerator` (several names where blocks were trained on several).
    """

    schema_version: int
    kind: Literal["measured"] = "measured"
    allocation: Annotated[Text, AfterValidator(_allocation)] | None = None
    shuffled: bool = False
    scenario: ScenarioRef | None = None
    accelerator: Text | None = None
    suite: VersionedSuite
    suite_verified: bool = True
    score: MeasuredScore
    num_problems: Annotated[int, Field(ge=1, le=1_000_000)]
    num_samples: Annotated[int, Field(ge=1, le=100_000)]
    problem_ids_sha256: Hash
    samples: tuple[SampleFile, ...] = Field(min_length=1, max_length=1000)
    sampling_seed: int
    engine: Text
    grader: Text
    command: LongText
    code_version: Text
    versions: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,60}$")], Text] = Field(max_length=100)

    @model_validator(mode="after")
    def _check_route(self) -> Self:
        if (self.allocation is None) != (self.scenario is None):
            raise ValueError("allocation and scenario belong together: give both, or null for both")
        if self.shuffled and self.allocation is None:
            raise ValueError("shuffled is true without an allocation: say which")
        if (self.gpu_seconds is None) != (self.accelerator is None):
            raise ValueError("gpu_seconds and accelerator belong together: give both, or null for both")
        return self

    @model_validator(mode="after")
    def _check_samples(self) -> Self:
        weights, seeds = [file.weights_sha256 for file in self.samples], [file.training_seed for file in self.samples]
        if len(set(weights)) != len(weights):
            raise ValueError("two training runs have the same checkpoint; give each run its own")
        if len(seeds) > 1 and (None in seeds or len(set(seeds)) != len(seeds)):
            raise ValueError(f"training seeds are {seeds}: give every run a different seed")
        undefined = {"se_problems": self.num_problems, "se_samples": self.num_samples, "se_seeds": len(seeds)}
        for name, count in undefined.items():
            if (getattr(self.score, name) is None) != (count == 1):
                wanted = "null" if count == 1 else "a number"
                raise ValueError(f"score.{name} must be {wanted}, as num_{name[3:]} is {count}")
        return self

    @property
    def untrained(self) -> bool:
        """Whether it is the base model of a scenario: nothing was trained, so no training variance is left out.

        What states no allocation may be the best of many runs, whatever costs it states: it is a single checkpoint.
        """
        return (
            self.allocation == BASE
            and self.scenario is not None
            and (len(self.samples), self.seeds, self.labels_trained, self.gpu_seconds) == (1, (), 0, 0)
        )

    @property
    def seeds(self) -> tuple[int, ...]:
        """The training seeds that are known."""
        return tuple(file.training_seed for file in self.samples if file.training_seed is not None)

    @property
    def table(self) -> tuple[str, str, str]:
        """What decides in which table it stands: suite and decoding."""
        return self.suite, self.preset.name, self.preset.text()

    @property
    def partial(self) -> bool:
        """Whether it was scored on a part of the suite only."""
        return PARTIAL in self.suite


class EarlierEntry(MeasuredEntry):
    """Of format 2. Its costs cannot be taken apart, and nothing ties a sample file to its run."""

    schema_version: Literal[2]


class TrainedBlock(Strict):
    """A block of a training run: its key, its weights (null where it was gone), and its price.

    The price is without rollouts, which several blocks of a run may share: the first of them is charged for them.
    """

    key: Hash
    weights_sha256: Hash | None
    gpu_seconds: Seconds
    rollouts: Hash | None = None
    rollouts_gpu_seconds: Seconds = 0.0


class TrainingRun(SampleFile):
    """A training run: its samples, its blocks, first to last, and where its weights can be had.

    `weights_address` is a link, a model's id with its revision, or null where they are made by running the allocation.
    """

    weights_address: Text | None
    blocks: tuple[TrainedBlock, ...] = Field(max_length=100_000)

    @property
    def prices(self) -> list[Price]:
        """What its blocks cost."""
        return [Price(block.gpu_seconds, block.rollouts, block.rollouts_gpu_seconds) for block in self.blocks]


class RepeatableEntry(MeasuredEntry):
    """Of format 3: a measured entry with all that somebody else needs to draw its samples again.

    `contamination` says what is known of test problems in what the model was trained on.
    """

    schema_version: Literal[3] = 3
    name: Name
    samples: tuple[TrainingRun, ...] = Field(min_length=1, max_length=1000)
    contamination: LongText


class ReportedEntry(_Entry):
    """A number that a source printed. It has no samples: nothing can be recomputed, and it is never ranked."""

    schema_version: Literal[1] = 1
    kind: Literal["reported"] = "reported"
    suite: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}$")]
    score: ReportedScore
    num_problems: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    num_samples: Annotated[int, Field(ge=1, le=100_000)] | None = None
    num_training_runs: Annotated[int, Field(ge=1, le=1000)] | None = None
    source: Source


LeaderboardEntry = MeasuredEntry | ReportedEntry
_FORMATS: dict[str, dict[int, type[LeaderboardEntry]]] = {
    "measured": {2: EarlierEntry, 3: RepeatableEntry},
    "reported": {1: ReportedEntry},
}


def canonical(document: Any) -> str:
    """JSON with sorted names, without spaces, in ASCII: one text for one content."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def entry_id(entry: LeaderboardEntry) -> str:
    """The permanent id: SHA-256 (hex) of the entry's canonical JSON. Its first SHORT_ID digits are shown."""
    return hashlib.sha256(canonical(entry.model_dump(mode="json")).encode()).hexdigest()


def entry_json(entry: LeaderboardEntry) -> str:
    """The text of an entry's file."""
    return json.dumps(entry.model_dump(mode="json"), indent=1, sort_keys=True, allow_nan=False) + "\n"


def parse_json(data: bytes, where: str, max_bytes: int = MAX_ENTRY_BYTES) -> Any:
    """Plain JSON from untrusted bytes; EntryError for NaN, a name given twice, deep nesting, or too many bytes."""

    def refuse(constant: str) -> None:
        raise ValueError(f"holds {constant}, which is not a JSON number")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            names = [name for name, _ in pairs]
            raise ValueError(f"has the name {next(n for n in names if names.count(n) > 1)!r:.60} twice in one object")
        return fields

    if len(data) > max_bytes:
        raise EntryError(f"{where} is larger than {max_bytes:,} bytes, the limit for such a file")
    try:
        return json.loads(data.decode("utf-8"), parse_constant=refuse, object_pairs_hook=once)
    except RecursionError:
        raise EntryError(f"{where} is nested too deeply") from None
    except ValueError as error:  # unicode's and json's errors are ValueErrors
        raise EntryError(f"{where} is not valid JSON: {one_line(error)}") from None


def parse_entry(data: bytes, where: str) -> LeaderboardEntry:
    """An entry from untrusted bytes; EntryError names `where`, the field, its value and the reason."""
    return validate_entry(parse_json(data, where), where)


def validate_entry(document: Any, where: str) -> LeaderboardEntry:
    """An entry from JSON values; EntryError as `parse_entry`."""
    if not isinstance(document, dict):
        raise EntryError(f"{where}: an entry is a JSON object, not {one_line(repr(document), 40)}")
    kind, version = document.get("kind"), document.get("schema_version")
    formats = _FORMATS.get(kind, {}) if isinstance(kind, str) else {}
    if not formats:
        raise EntryError(f"{where}: kind is {kind!r:.60}: choose from {', '.join(_FORMATS)}")
    version = max(formats) if "schema_version" not in document else version
    if type(version) is not int or version not in formats:
        reason = f"this version reads {' and '.join(map(str, formats))}"
        if (kind, version) == ("measured", 1):
            reason = "written before the first release; add the row again from its study"
        raise EntryError(f"{where}: schema_version is {version!r:.60}: {reason}")
    try:
        # From JSON and not from Python values: strict validation then takes a list for a tuple.
        return formats[version].model_validate_json(json.dumps(document))
    except ValidationError as error:
        raise EntryError(f"{where}: {first_complaint(error)}") from None


def ids_sha256(problem_ids: Sequence[str]) -> str:
    """SHA-256 of the problems' ids, sorted, as canonical JSON: which problems were scored, in any order."""
    return hashlib.sha256(canonical(sorted(problem_ids)).encode()).hexdigest()


def measured_score(outcomes: Sequence[Array]) -> tuple[MeasuredScore, Score]:
    """The score of an entry from its outcomes, one (problems, samples) array per training run, and as statistics."""
    score = score_over_seeds(outcomes)
    errors = {
        "se_problems": score.se_problems if score.num_problems > 1 else None,
        "se_samples": score.se_samples if score.num_samples > 1 else None,
        "se_seeds": score.se_seeds if score.num_seeds > 1 else None,
    }
    return MeasuredScore(mean=score.mean, **errors), score
