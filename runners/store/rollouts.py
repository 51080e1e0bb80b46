"""Cached rollouts of a frozen checkpoint: a separate artefact, made and charged once.

The key covers the sampling checkpoint, the prompts as token ids, the limit and the seed. The rest of the decoding is
that of all training rollouts; the record has every field that was in effect.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tuition.benchmarks.artefacts import (
    RECORD_FILE,
    RecordFormatError,
    artefact_folder,
    file_sha256,
    move_aside,
    publish_folder,
    refuse_newer,
)
from tuition.benchmarks.one_line import first_complaint
from tuition.benchmarks.scoring.effective_decoding import EffectiveDecoding
from tuition.benchmarks.scoring.sampling import Decoding, training_rollouts
from tuition.runners.drawing import Drawn
from tuition.runners.store.block_record import RolloutsUsed
from tuition.runners.training.meter import Clock

REVISION = 1
FORMAT = 1
ROLLOUTS_FILE = "rollouts.parquet"


class RolloutsRecord(BaseModel):
    """The `record.json` of an artefact: from what its rollouts were drawn, their table's SHA-256, and the cost."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: int = Field(FORMAT, ge=1, le=FORMAT)  # not written before
    checkpoint: str
    sha256: str
    seed: int
    decoding: EffectiveDecoding | None = None  # not written before
    gpu_seconds: float = Field(ge=0, allow_inf_nan=False)
    gpu_seconds_used: float | None = Field(None, ge=0, allow_inf_nan=False)  # not written before


def read_rollouts_record(folder: Path) -> RolloutsRecord:
    """The record of an artefact whose table is as it was written.

    Raises:
        RecordFormatError: a newer version wrote it.
        ValueError, OSError: the record or the table is damaged or missing.
    """
    content = (folder / RECORD_FILE).read_bytes()
    try:
        record = RolloutsRecord.model_validate_json(content)
    except ValidationError as error:
        try:
            refuse_newer(content, FORMAT)
        except RecordFormatError as newer:
            raise RecordFormatError(f"{folder / RECORD_FILE} {newer}") from None
        raise ValueError(f"{RECORD_FILE}: {first_complaint(error)}") from None
    if file_sha256(folder / ROLLOUTS_FILE) != record.sha256:
        raise ValueError(f"{ROLLOUTS_FILE} does not match its checksum")
    return record


def _engine(environment: Mapping[str, str]) -> str:
    """What draws them: vLLM in this process also where a server draws the rollouts of training."""
    return "transformers" if environment["engine"] == "transformers" else "vllm"


def _used(key: str, record: RolloutsRecord) -> RolloutsUsed:
    return RolloutsUsed(key=key, gpu_seconds=record.gpu_seconds, gpu_seconds_used=record.gpu_seconds_used)


class Rollouts:
    """Rollout artefacts by key, beside the blocks.

    Args:
        folder: of the artefacts.
        generation_batch: sequences that are drawn together.
        versions: of the libraries that draw.
        environment: of the scenario's recipe; its devices are those that are charged.
        how: how else than at first they are drawn; keys cover it.
    """

    def __init__(
        self,
        folder: Path,
        generation_batch: int,
        versions: Mapping[str, str],
        environment: Mapping[str, str],
        how: Sequence[str] = (),
    ):
        self.folder = folder
        self.generation_batch = generation_batch
        self.versions = versions
        self.environment = environment
        self.how = tuple(how)

    def get_or_make(
        self,
        *,
        checkpoint: str,
        weights_sha256: str,
        generate: Callable[[list[list[int]], Decoding, int], Drawn],
        prompt_ids: list[list[int]],
        max_new_tokens: int,
        seed: int,
        ends: Sequence[int],
    ) -> tuple[list[list[int]], Drawn | None, RolloutsUsed]:
        """Completions (token ids, one per prompt), what was drawn if they were made now, and what drawing them cost.

        `ends` are the checkpoint's end tokens, for the record; which they are is part of its content.
        """
        clock = Clock(self.environment["device"], int(self.environment.get("processes", "1")))
        content = json.dumps(
            [
                REVISION,
                self.generation_batch,
                dict(self.versions),
                checkpoint,
                weights_sha256,
                prompt_ids,
                max_new_tokens,
                seed,
                dict(self.environment),
                *self.how,
            ],
            sort_keys=True,
        )
        key = hashlib.sha256(content.encode()).hexdigest()
        folder = artefact_folder(self.folder, key)
        stored = self._read(folder)
        if stored is not None:
            completions, record = stored
            return completions, None, _used(key, record)
        decoding = training_rollouts(max_new_tokens)
        drawn = generate(prompt_ids, decoding, seed)
        completions, gpu_seconds = drawn.completions, round(clock.gpu_seconds(drawn.elsewhere), 3)
        with publish_folder(folder) as partial:
            table = partial / ROLLOUTS_FILE
            pd.DataFrame({"prompt_ids": prompt_ids, "completion_ids": completions}).to_parquet(table, index=False)
            record = RolloutsRecord(
                checkpoint=checkpoint,
                sha256=file_sha256(table),
                seed=seed,
                decoding=EffectiveDecoding.of(_engine(self.environment), decoding, ends),
                gpu_seconds=gpu_seconds,
                gpu_seconds_used=gpu_seconds if drawn.used is None else round(drawn.used, 3),
            )
            (partial / RECORD_FILE).write_text(record.model_dump_json(), encoding="utf-8")
        return completions, drawn, _used(key, record)

    def _read(self, folder: Path) -> tuple[list[list[int]], RolloutsRecord] | None:
        try:
            record = read_rollouts_record(folder)
            completions = [list(map(int, ids)) for ids in pd.read_parquet(folder / ROLLOUTS_FILE)["completion_ids"]]
            return completions, record
        except RecordFormatError:
            raise
        except FileNotFoundError:
            if not folder.exists():
                return None
            reason = "a file is missing"
        except (ValueError, KeyError, TypeError, OSError) as error:
            reason = f"{type(error).__name__}: {error}"
        move_aside(folder, reason)
        return None
