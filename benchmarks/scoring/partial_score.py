"""Partial scores: finished batches of a score in the making, so that a killed run loses one batch at most.

One append-only file per score, `scores/<2 hex>/.<key>.batches.jsonl`. Each line is the first 16 hex digits of the
SHA-256 of its JSON, a space, and the JSON; a line is on disk before the next batch begins. A torn or damaged line is
named in a warning and dropped, and its batch is drawn again, from where the batch before left the random stream. The
first line holds the key, the number of batches and their device.

Simplified: one process at a time may write (`tuition.benchmarks.scoring.scorer` holds a lock).
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuition.benchmarks.scoring.engines.requests import Generated
from tuition.benchmarks.scoring.sampling import Stream

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """One finished batch, and where it left the random stream. `gpu_seconds` is None where nobody can tell."""

    number: int
    completions: tuple[Generated, ...]
    seconds: float
    gpu_seconds: float | None
    stream: Stream


class PartialScore:
    """The file of one score. `batches` are those it holds, by number; `header` must be equal for them to be taken."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = path
        self.header = dict(header)
        self.batches: dict[int, Batch] = {}
        self._read()

    @property
    def num_completions(self) -> int:
        """Completions of all batches so far."""
        return sum(len(batch.completions) for batch in self.batches.values())

    def append(self, batch: Batch) -> None:
        """Keep a batch; it is on disk when this returns."""
        start = b"" if self.path.exists() else _line(self.header)
        with self.path.open("ab") as file:
            file.write(start + _line(_values(batch)))
            file.flush()
            os.fsync(file.fileno())
        self.batches[batch.number] = batch

    def remove(self) -> None:
        """Drop the file: the score is whole elsewhere."""
        self.path.unlink(missing_ok=True)
        self.batches = {}

    def _read(self) -> None:
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        documents = [_document(line) for line in lines if line]
        if not documents or documents[0] != self.header:
            logger.warning("%s is damaged or from another run; its batches are sampled again", self.path)
            self.path.unlink()
            return
        for document in documents[1:]:
            if document is not None:
                batch = _batch(document)
                self.batches[batch.number] = batch
        dropped = documents.count(None)
        if dropped:
            logger.warning("%s: dropped %d damaged lines, their batches are sampled again", self.path, dropped)
        if dropped or lines[-1]:  # a last line without its end would swallow the next one
            self._rewrite()

    def _rewrite(self) -> None:
        fresh = self.path.with_name(f"{self.path.name}.new")
        kept = [_values(batch) for batch in self.batches.values()]
        with fresh.open("wb") as file:
            file.write(b"".join(_line(document) for document in [self.header, *kept]))
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, self.path)


def _line(document: Mapping[str, Any]) -> bytes:
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    return hashlib.sha256(text).hexdigest()[:16].encode() + b" " + text + b"\n"


def _values(batch: Batch) -> dict[str, Any]:
    # As `asdict`, which takes longer than all else that is done with a batch here.
    return {**vars(batch), "completions": [vars(one) for one in batch.completions], "stream": vars(batch.stream)}


def _document(line: bytes) -> dict[str, Any] | None:
    """What a line holds; None when it is torn or damaged."""
    digest, _, text = line.partition(b" ")
    if hashlib.sha256(text).hexdigest()[:16].encode() != digest:
        return None
    # The digest fits, so this is what we wrote.
    document: dict[str, Any] = json.loads(text)
    return document


def _batch(document: Mapping[str, Any]) -> Batch:
    completions: Sequence[Mapping[str, Any]] = document["completions"]
    return Batch(
        document["number"],
        tuple(Generated(**completion) for completion in completions),
        document["seconds"],
        document["gpu_seconds"],
        Stream(**document["stream"]),
    )
