"""Scores on disk: one folder a score, found by the hash of all that decides it.

    scores/<2 hex>/<key>/   samples.parquet (per-sample outcomes), record.json (written last)

What: `ScoreKey` names all that decides a score; `ScoreRecord` is the type of every `record.json`; `ScoreStore` writes
and reads both files. Nothing else opens a record, but for the dashboard's index, which reads many at once and parses
them by this type.

Simplified: scores are never evicted, because a table is small.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tuition.benchmarks.artefacts import (
    RECORD_FILE,
    FileError,
    RecordError,
    RecordFormatError,
    artefact_folder,
    checked_table,
    file_sha256,
    move_aside,
    publish_folder,
    read_bytes,
    refuse_newer,
    write_samples,
)
from tuition.benchmarks.one_line import first_complaint, one_line
from tuition.benchmarks.scoring.effective_decoding import EffectiveDecoding

SAMPLES_FILE = "samples.parquet"
FORMAT = 2


@dataclass(frozen=True)
class ScoreKey:
    """All that decides a score: content and settings, never names of models.

    `suite` is a name with its version ("micro-validation@1"), `decoding` the preset's fields, `engine` what draws the
    samples, `grader` the grader's version.
    """

    weights_sha256: str
    suite: str
    decoding: Mapping[str, Any]
    num_samples: int
    sampling_seed: int
    engine: str
    grader: str

    @property
    def text(self) -> str:
        """Canonical JSON (sorted names, no spaces). RecordError for what JSON cannot hold."""
        try:
            return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise RecordError(f"score key {self.suite!r} holds a value that JSON cannot: {error}") from error

    @property
    def key(self) -> str:
        """SHA-256 of `text`. RecordError as there."""
        return hashlib.sha256(self.text.encode()).hexdigest()


class ScoredModel(BaseModel):
    """What was scored, in words. Which weights it has stands in the key."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    label: str
    block: str | None = None
    """The key of a block of the store."""
    revision: str | None = None
    """The commit of a model of the Hub."""
    served: str | None = None
    """The address of a server: whose weights it has, nobody can check from here."""

    @classmethod
    def of_block(cls, key: str, name: str) -> Self:
        """A block of the store, `name` being its stage and place there: "opd[1]"."""
        return cls(label=f"block {key[:12]} ({name})", block=key)

    @classmethod
    def of_base(cls, scenario: str, model: str) -> Self:
        """A base model of a scenario: "student" or a teacher's name."""
        return cls(label=f"{scenario} base:{model}")


class Making(BaseModel):
    """How a score came about. None where an earlier version did not write it down, or nobody can tell."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    model: ScoredModel | None = None
    seed: int | None = Field(None, description="as a person gives it; the key holds what is derived from it")
    decoding: EffectiveDecoding | None = Field(None, description="every field of it that was in effect")
    preset_sources: dict[str, str] = Field({}, description="where each setting of the decoding comes from")
    suite_source: str | None = None
    suite_checksum: str | None = None
    suite_verified: bool | None = Field(None, description="whether the suite's rows match the checksum in its file")
    num_problems_whole: int | None = Field(None, description="of the suite, of which this may be the first few")
    command: str | None = None
    code_version: str | None = None
    versions: dict[str, str] = {}
    python: str | None = None
    host: str | None = None
    started: str | None = None
    seconds: float | None = Field(None, ge=0, description="wall time of drawing, of all batches")
    gpu_seconds: float | None = Field(None, ge=0, description="device time of all of it; None behind a server")
    grading_seconds: float | None = Field(None, ge=0)
    samples_resumed: int = Field(0, ge=0, description="drawn by calls before the one that finished")


class ScoreRecord(Making):
    """`record.json` of a score.

    Format 2 is this class. Format 1 says no format: what a search wrote (`gpu_seconds`, `versions`), and what
    `tuition bench` wrote, with further fields that key and samples tell as well.
    """

    format: int = Field(1, ge=1, le=FORMAT)
    key: str
    score_key: ScoreKey
    samples_sha256: str


def read_score(content: bytes, key: str) -> ScoreRecord:
    """The record of score `key` from its file's content.

    Raises:
        RecordFormatError: a newer version wrote it.
        RecordError: it is damaged, or another score's; the message is the reason, on one line.
    """
    try:
        record = ScoreRecord.model_validate_json(content)
    except ValidationError as error:
        refuse_newer(content, FORMAT)
        raise RecordError(first_complaint(error)) from None
    if record.key != key:
        raise RecordError(f"it belongs to another score, {record.key!r:.80}")
    return record


@dataclass(frozen=True)
class StoredScore:
    """A score in the store: its record, and its samples as `tuition.benchmarks.artefacts` describes them."""

    record: ScoreRecord
    samples: pd.DataFrame


class ScoreStore:
    """The scores under `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """The folder of a score, whether it exists or not."""
        return artefact_folder(self.folder, key)

    def samples_file(self, key: str) -> Path:
        """The file of a score's samples, whether it exists or not."""
        return self.path(key) / SAMPLES_FILE

    def score_keys(self, prefix: str = "") -> list[str]:
        """Keys of the scores that are there, or of those that begin so, in order. Links are passed over."""
        found: list[str] = []
        for parent in self.folder.glob("[0-9a-f][0-9a-f]"):
            if parent.name.startswith(prefix[:2]) and not parent.is_symlink():
                with os.scandir(parent) as entries:
                    found += [entry.name for entry in entries if not entry.is_symlink()]
        return sorted(key for key in found if key.startswith(prefix) and re.fullmatch("[0-9a-f]{64}", key))

    def read(self, key: str) -> ScoreRecord:
        """The record of a score; its samples are not looked at.

        RecordError when it is missing or damaged, RecordFormatError when a newer version wrote it.
        """
        try:
            return read_score(read_bytes(self.path(key) / RECORD_FILE), key)
        except FileNotFoundError:
            raise RecordError(f"{RECORD_FILE} is missing") from None
        except RecordFormatError as error:
            raise RecordFormatError(f"score {key[:12]} {error}") from None
        except (RecordError, FileError) as error:
            raise RecordError(f"{RECORD_FILE} cannot be used: {error}") from None

    def check(self, key: str) -> ScoreRecord:
        """The record of a score whose samples are the recorded ones, byte for byte; RecordError as `read`."""
        record = self.read(key)
        try:
            if record.samples_sha256 != file_sha256(self.samples_file(key)):
                raise RecordError(f"{SAMPLES_FILE} does not match its checksum")
        except FileNotFoundError:
            raise RecordError(f"{SAMPLES_FILE} is missing") from None
        except OSError as error:
            raise RecordError(f"{SAMPLES_FILE} cannot be read ({error.strerror})") from None
        return record

    def stored(self, key: str) -> StoredScore:
        """A score whose samples are the recorded ones. RecordError when anything of it is missing or damaged."""
        record = self.check(key)
        try:
            table = pd.read_parquet(self.samples_file(key), dtype_backend="numpy_nullable")
            return StoredScore(record, checked_table(table))
        except (OSError, ValueError) as error:  # pyarrow's errors are either
            raise RecordError(f"{SAMPLES_FILE} is not a sample table: {one_line(error, 200)}") from None

    def load(self, key: ScoreKey) -> StoredScore | None:
        """A score, or None where there is none.

        A damaged folder is moved aside, named in a warning, and None is returned.
        """
        folder = self.path(key.key)
        if not folder.exists():
            return None
        try:
            return self.stored(key.key)
        except RecordError as error:
            move_aside(folder, str(error))
            return None

    def save(self, key: ScoreKey, samples: pd.DataFrame, making: Making) -> ScoreRecord:
        """Keep a sample table; what is there already stays. Returns the record, as it would be or is."""
        table = checked_table(samples)
        with publish_folder(self.path(key.key)) as folder:
            write_samples(table, folder / SAMPLES_FILE, key.text)
            record = ScoreRecord(
                format=FORMAT,
                key=key.key,
                score_key=key,
                samples_sha256=file_sha256(folder / SAMPLES_FILE),
                **dict(making),
            )
            text = json.dumps(record.model_dump(mode="json"), indent=1, sort_keys=True, allow_nan=False)
            (folder / RECORD_FILE).write_text(text + "\n", encoding="utf-8")
        return self.read(key.key)
