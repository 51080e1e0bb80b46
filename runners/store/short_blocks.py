"""Short blocks: what `tuition measure` keeps of a block of a few steps, whose weights it throws away.

    measured/<key>.json     one block each: its record, and its seconds split into those that grow with its steps

The type, its writer and its reader.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tuition.benchmarks.artefacts import FileError, refuse_newer, write_text
from tuition.benchmarks.one_line import first_complaint
from tuition.runners.store.block_record import BlockRecord, Seconds

FORMAT = 1


class ShortBlock(BaseModel):
    """A block of a few steps.

    Attributes:
        record: of the block, as the store would keep it.
        seconds_per_step: device-seconds of a step, the mean without the first.
        seconds_fixed: device-seconds that do not depend on the number of steps: starting, what the first step took
            longer, publishing. Without rollouts that were drawn before training.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: int = Field(FORMAT, ge=1, le=FORMAT)
    record: BlockRecord
    seconds_per_step: Seconds
    seconds_fixed: Seconds

    def seconds(self, steps: int, drawn: float) -> float:
        """Device-seconds of a block of so many steps, with `drawn` times the rollouts."""
        rollouts = self.record.rollouts.gpu_seconds if self.record.rollouts is not None else 0.0
        return self.seconds_fixed + steps * self.seconds_per_step + drawn * rollouts


def write_short_block(folder: Path, block: ShortBlock) -> None:
    """Keep a short block; one of the same key is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / f"{block.record.key}.json", block.model_dump_json(indent=1))


def read_short_blocks(folder: Path) -> list[ShortBlock]:
    """The short blocks in a folder, none where it is not there; FileError for one that cannot be read."""
    return [_read(path) for path in sorted(folder.glob("*.json"))]


def _read(path: Path) -> ShortBlock:
    content = path.read_bytes()
    try:
        return ShortBlock.model_validate_json(content)
    except ValidationError as error:
        refuse_newer(content, FORMAT)
        raise FileError(f"{path} is damaged ({first_complaint(error)}): delete it and rerun tuition measure") from None
