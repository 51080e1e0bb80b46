"""Cached rollouts of a frozen checkpoint: an artefact of their own, made and charged once.

The key covers the sampling checkpoint, the prompts as token ids, the decoding and the seed. Temperature 1 and top-p 1,
as in all training rollouts.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.records import artefact_folder, file_sha256, move_aside, publish_folder
from benchmarks.sampling import Decoding
from runners.meter import Clock

REVISION = 1


class Rollouts:
    """Rollout artefacts by key, beside the blocks.

    Args:
        folder: of the artefacts.
        generation_batch: sequences that are drawn together.
        versions: of the libraries that draw.
        environment: of the scenario's recipe; its device is the one that is charged.
    """

    def __init__(
        self, folder: Path, generation_batch: int, versions: Mapping[str, str], environment: Mapping[str, str]
    ):
        self.folder = folder
        self.generation_batch = generation_batch
        self.versions = versions
        self.environment = environment

    def get_or_make(
        self,
        *,
        checkpoint: str,
        weights_sha256: str,
        draw: Callable[[list[list[int]], Decoding, int], list[list[int]]],
        prompt_ids: list[list[int]],
        max_new_tokens: int,
        seed: int,
    ) -> tuple[list[list[int]], bool, dict[str, Any]]:
        """Completions (token ids, one per prompt), whether they were made now, and {key, gpu_seconds}."""
        clock = Clock(self.environment["device"])
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
            ],
            sort_keys=True,
        )
        key = hashlib.sha256(content.encode()).hexdigest()
        folder = artefact_folder(self.folder, key)
        stored = self._read(folder)
        if stored is not None:
            completions, gpu_seconds = stored
            return completions, False, {"key": key, "gpu_seconds": gpu_seconds}
        decoding = Decoding("training rollouts", temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=max_new_tokens)
        completions = draw(prompt_ids, decoding, seed)
        gpu_seconds = round(clock.gpu_seconds(), 3)
        with publish_folder(folder) as partial:
            table = partial / "rollouts.parquet"
            pd.DataFrame({"prompt_ids": prompt_ids, "completion_ids": completions}).to_parquet(table, index=False)
            record = {"checkpoint": checkpoint, "sha256": file_sha256(table), "seed": seed, "gpu_seconds": gpu_seconds}
            (partial / "record.json").write_text(json.dumps(record), encoding="utf-8")
        return completions, True, {"key": key, "gpu_seconds": gpu_seconds}

    def _read(self, folder: Path) -> tuple[list[list[int]], float] | None:
        table = folder / "rollouts.parquet"
        try:
            record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
            if file_sha256(table) != record["sha256"]:
                raise ValueError(f"{table} does not match its checksum")
            completions = [list(map(int, ids)) for ids in pd.read_parquet(table)["completion_ids"]]
            return completions, float(record["gpu_seconds"])
        except FileNotFoundError:
            if not folder.exists():
                return None
            reason = "a file is missing"
        except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
            reason = f"{type(error).__name__}: {error}"
        move_aside(folder, reason)
        return None
