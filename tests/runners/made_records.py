"""Records of blocks that were never trained."""

from typing import Any

from runners.block_record import BlockRecord

BASE = "f" * 64


def made_record(key: str, **changes: Any) -> BlockRecord:
    """A whole record, with some fields changed."""
    return BlockRecord.model_validate(
        {
            "key": key, "stage": "opd", "index": 0, "model": "student", "base": BASE, "parent": BASE,
            "parent_weights_sha256": "w", "stage_start": BASE, "weights_sha256": "w", "run_seed": 0, "seed": 1,
            "settings": {"steps": 3}, "environment": {"device": "cpu"}, "versions": {"torch": "made up"},
            "accelerator": "cpu", "host": "host", "python": "3", "labels_new": 0, "labels_pool": 0, "steps": 3,
            "gpu_seconds": 10.0, "seconds": 10.0, "peak_memory_bytes": 1, "finished": 1.0, **changes,
        }
    )  # fmt: skip
