"""The file of a planner in a race: a header, and a row for each unit, search and budget. One reader, one writer."""

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tuition.benchmarks.artefacts import write_bytes
from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.planning.contestant import RaceError

METADATA_KEY = b"tuition race"
MAX_BYTES, MAX_ROWS = 16 << 20, 500_000
COUNTS = ("unit", "search", "trials")
TEXTS = ("named", "trained")
INTERVAL = ("named_low", "named_high")
"""What a planner with a posterior expects of the split that it names, fractions; nan without one. Since format 2."""
NUMBERS = ("budget", "spent", "dearest", "best", "named_value", "trained_value", *INTERVAL)
"""`budget` and `spent` in R, `dearest` (R) in GPU-seconds; values are fractions, nan where there was no answer yet."""
COLUMNS = (*COUNTS, *TEXTS, *NUMBERS)
Text = Annotated[str, Field(max_length=1000)]


class RaceHeader(BaseModel):
    """What all rows share, and what decides them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1, 2] = 2
    ground: Text
    kind: Literal["table", "family"]
    identity: Text
    units: tuple[int, ...] = Field(min_length=1, max_length=10_000)
    planner: Text
    about: Text
    revision: int
    repeats: int
    budgets: tuple[float, ...] = Field(min_length=1, max_length=1000)
    optuna: Text


@dataclass(frozen=True)
class Measured:
    """A planner's header and rows."""

    header: RaceHeader
    rows: pd.DataFrame


def race_file(folder: Path, planner: str) -> Path:
    """The file of a planner in a race's folder."""
    return folder / f"{planner}.parquet"


def write_measured(measured: Measured, file: Path) -> None:
    """Write it, whole or not at all."""
    rows = measured.rows[list(COLUMNS)].astype(_types())
    table = pyarrow.Table.from_pandas(rows, preserve_index=False)
    metadata = {METADATA_KEY: measured.header.model_dump_json().encode()}
    content = io.BytesIO()
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), content, compression="zstd")
    write_bytes(file, content.getvalue())


def read_measured(file: Path) -> Measured:
    """Read it again, from an untrusted disk. RaceError for what is not such a file."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise RaceError(f"{file} has {file.stat().st_size:,} bytes, the limit is {MAX_BYTES:,}")
        with pyarrow.parquet.ParquetFile(file) as parquet:
            if parquet.metadata.num_rows > MAX_ROWS:
                raise RaceError(f"{file} has {parquet.metadata.num_rows:,} rows, the limit is {MAX_ROWS:,}")
            header = RaceHeader.model_validate_json((parquet.metadata.metadata or {})[METADATA_KEY])
            absent = dict.fromkeys(INTERVAL, math.nan) if header.format == 1 else {}
            columns = [name for name in COLUMNS if name not in absent]
            rows: pd.DataFrame = parquet.read(columns).to_pandas().assign(**absent).astype(_types())
    except (OSError, pyarrow.ArrowException, ValidationError, ValueError, TypeError, KeyError) as error:
        if isinstance(error, RaceError):
            raise
        raise RaceError(f"{file} is not a planner's race ({one_line(error, 150)})") from None
    values = rows[["best", "named_value", "trained_value"]]
    sane = values.isna() | ((values >= 0) & (values <= 1))
    if rows.empty or not sane.all().all() or not np.isfinite(rows[["budget", "spent", "dearest", "best"]]).all().all():
        raise RaceError(f"{file} holds no scores between 0 and 1")
    return Measured(header, rows)


def read_race(folder: Path) -> list[Measured]:
    """All planners of a race's folder, by name. RaceError for a file that cannot be read, or planners that were
    measured on different grounds."""
    found = [read_measured(file) for file in sorted(folder.glob("*.parquet"))]
    if not found:
        raise RaceError(f"{folder} holds no planner's race")
    grounds = {(one.header.ground, one.header.identity, one.header.units) for one in found}
    if len(grounds) > 1:
        raise RaceError(f"{folder} holds planners that were measured on different units: measure them again")
    return found


def _types() -> dict[str, type]:
    return {**dict.fromkeys(COUNTS, int), **dict.fromkeys(TEXTS, str), **dict.fromkeys(NUMBERS, float)}
