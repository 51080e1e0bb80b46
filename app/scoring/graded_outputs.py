"""`tuition grade`: grades saved outputs, one JSON line in, one JSON line out, in the same order.

What: a file is read twice. The first pass checks every line, so that a bad line at the end of a million is refused
before an hour of grading; the second grades. Standard input and pipes are read once, and a bad line ends the run where
it stands. Rows in memory are bounded in number and in bytes. `--out` appears whole, or not at all.

Simplified: a killed run starts over; nothing of it is kept. A `.partial-` file beside `--out` may be left by `kill -9`.
"""

import gzip
import json
import math
import os
import sys
import time
import zlib
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, BinaryIO

from tuition.app.processes.progress import Reporter
from tuition.benchmarks.grading.grader import Grade, Grader, Verdict, as_formula
from tuition.benchmarks.grading.hard_golds import hard_golds, in_sentences
from tuition.benchmarks.grading.policies import DEFAULT_POLICY

MAX_LINE_BYTES = 16 << 20
ROWS_AHEAD = 4096
"""Rows that may wait for a slow one: more than the other workers grade within a limit of a few seconds."""
BYTES_AHEAD = 64 << 20
GOLDS_LOOKED_AT = 1_000
"""Different golds, from the first on, that are looked at for whether they can be matched."""
DEFAULT_WORKERS_LIMIT = 8
ADDED_FIELDS = ("verdict", "extracted", "seconds")
_SHOWN_CHARACTERS = 60


class GradeInputError(ValueError):
    """A file or a line that cannot be graded; names the line and the fix."""


class GradeOutputError(RuntimeError):
    """The graded lines could not be written, or the run was stopped."""


@dataclass(frozen=True)
class Row:
    """One line of the input: its fields, and the gold answer and the text that are graded."""

    fields: dict[str, Any]
    gold: str
    text: str
    num_bytes: int


def default_workers() -> int:
    """The cores that this process may use, at most 8: each worker takes some 200 MB."""
    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(usable, DEFAULT_WORKERS_LIMIT)


def parse_row(line: bytes) -> Row:
    """The row of one line. GradeInputError says what is wrong with it and how to fix it."""
    try:
        fields = json.loads(line.decode("utf-8"), parse_float=_finite)
    except UnicodeDecodeError as error:
        raise GradeInputError(f"byte {error.start + 1} is not UTF-8; convert the file to UTF-8") from error
    except RecursionError as error:
        raise GradeInputError("its brackets are nested too deeply; remove that field") from error
    except ValueError as error:
        raise GradeInputError(f"not JSON ({error}); write one object per line") from error
    if not isinstance(fields, dict):
        raise GradeInputError(f'{_show(fields)} is not an object; write {{"gold": ..., "completion": ...}}')
    texts = [name for name in ("prediction", "completion") if name in fields]
    if "gold" not in fields:
        raise GradeInputError('no "gold"; give the checked answer as a string or a number')
    if len(texts) != 1:
        have = 'both "prediction" and "completion"' if texts else 'neither "prediction" nor "completion"'
        raise GradeInputError(
            f'{have}; give one: the extracted answer as "prediction", a full response as "completion"'
        )
    gold, text = _text(fields, "gold"), _text(fields, texts[0])
    if not gold.strip():
        raise GradeInputError('"gold" is empty; a problem needs a checked answer')
    if texts[0] == "prediction" and text.strip():
        text = as_formula(text)
    return Row(fields, gold, text, len(line))


def _text(fields: dict[str, Any], name: str) -> str:
    """A field as text; a number is one as it is written, without an exponent."""
    value = fields[name]
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return format(Decimal(repr(value)), "f")
    raise GradeInputError(f'"{name}" is {_show(value)}; give a string or a number ("" for a missing answer)')


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text[:_SHOWN_CHARACTERS]} is out of range")
    return number


def _show(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def read_rows(lines: BinaryIO, name: str) -> Iterator[Row]:
    """The rows of an open file, blank lines left out. GradeInputError names the first bad line."""
    number = 0
    while True:
        number += 1
        try:
            line = lines.readline(MAX_LINE_BYTES + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise GradeInputError(f"{name}:{number}: damaged gzip data ({error}); compress the file again") from error
        if not line:
            return
        if len(line) > MAX_LINE_BYTES:
            raise GradeInputError(f"{name}:{number}: longer than {MAX_LINE_BYTES >> 20} MiB; shorten the line")
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            try:
                yield parse_row(line)
            except GradeInputError as error:
                raise GradeInputError(f"{name}:{number}: {error}") from error


@contextmanager
def open_lines(file: str) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked where it ends in `.gz`; `-` is standard input."""
    if file == "-":
        yield sys.stdin.buffer
    elif file.endswith(".gz"):
        with gzip.open(file, "rb") as stream:
            yield stream  # type: ignore[misc]
    else:
        with open(file, "rb") as plain:
            yield plain


def grade_rows(rows: Iterable[Row], grader: Grader) -> Iterator[tuple[Row, Grade]]:
    """Grade rows in order. While one is slow the others go on, up to ROWS_AHEAD and BYTES_AHEAD."""
    waiting: deque[tuple[Row, Future[Grade]]] = deque()
    num_bytes = 0
    for row in rows:
        waiting.append((row, grader.submit(row.gold, row.text)))
        num_bytes += row.num_bytes
        while waiting and (len(waiting) >= ROWS_AHEAD or num_bytes >= BYTES_AHEAD or waiting[0][1].done()):
            first, future = waiting.popleft()
            num_bytes -= first.num_bytes
            yield first, future.result()
    for row, future in waiting:
        yield row, future.result()


@contextmanager
def open_output(out: Path | None) -> Iterator[IO[str]]:
    """Standard output, or a file that takes its name when everything is in it."""
    if out is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    partial = out.with_name(f".partial-{out.name}-{os.getpid()}")
    try:
        if out.suffix == ".gz":
            with gzip.open(partial, "wt", encoding="ascii") as packed:
                yield packed
        else:
            with partial.open("w", encoding="ascii") as plain:
                yield plain
        with partial.open("rb") as whole:
            os.fsync(whole.fileno())
        os.replace(partial, out)
    finally:
        partial.unlink(missing_ok=True)


def grade_file(
    file: str,
    out: Path | None,
    workers: int,
    timeout_seconds: float,
    quiet: bool = False,
    policy: str = DEFAULT_POLICY,
) -> dict[str, Any]:
    """Grade a JSONL file to `out` or standard output; returns the summary.

    GradeInputError for a bad line (before anything is graded, where the input is a file) or an `out` that exists;
    GradeOutputError when writing fails or the run is stopped.
    """
    name = "standard input" if file == "-" else file
    if file != "-" and (not Path(file).exists() or Path(file).is_dir()):
        raise GradeInputError(f"no file {file}; give a JSONL file, or - for standard input")
    if out is not None and out.exists():
        raise GradeInputError(f"--out {out} already exists; delete it or choose another file")
    total = None
    if file != "-" and Path(file).is_file():
        with open_lines(file) as lines:
            total = sum(1 for _ in read_rows(lines, name))
    started = time.monotonic()
    counts: Counter[Verdict] = Counter()
    replaced: set[str] = set()
    golds: dict[str, str] = {}
    try:
        with (
            Grader(timeout_seconds, workers, policy) as grader,
            open_lines(file) as lines,
            open_output(out) as output,
            Reporter(quiet) as reporter,
        ):
            progress = reporter.count("grading", "answers", total)
            for row, grade in grade_rows(read_rows(lines, name), grader):
                if len(golds) < GOLDS_LOOKED_AT:
                    golds.setdefault(row.gold, f"answer {counts.total() + 1}")
                replaced.update(row.fields.keys() & ADDED_FIELDS)
                added = {"verdict": grade.verdict, "extracted": grade.extracted, "seconds": round(grade.seconds, 6)}
                output.write(json.dumps(row.fields | added) + "\n")
                counts[grade.verdict] += 1
                progress.update(counts.total())
    except KeyboardInterrupt as error:
        raise GradeOutputError(
            f"interrupted after {counts.total()} answers; rerun the same command to start over"
        ) from error
    except BrokenPipeError as error:
        # Whoever read our output has seen enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise GradeOutputError(f"the output was closed by its reader after {counts.total()} answers") from error
    except OSError as error:
        raise GradeOutputError(
            f"{error.strerror or error} ({error.filename or out or name}); fix it, then rerun the command to start over"
        ) from error
    return {
        "answers": counts.total(),
        "verdicts": {str(verdict): counts[verdict] for verdict in Verdict},
        "wall_seconds": round(time.monotonic() - started, 3),
        "grader": grader.policy.version,
        "workers": workers,
        "timeout_seconds": timeout_seconds,
        "fields_replaced": sorted(replaced),
        "hard_golds": in_sentences(hard_golds(list(golds)), list(golds.values())),
        "out": None if out is None else str(out),
    }


def show_summary(summary: dict[str, Any]) -> None:
    """The closing lines on standard error."""
    counts = ", ".join(f"{count} {verdict}" for verdict, count in summary["verdicts"].items())
    print(
        f"graded {summary['answers']} answers in {summary['wall_seconds']:.1f} s: {counts} ({summary['grader']}, "
        f"{summary['workers']} workers, limit {summary['timeout_seconds']:g} s per answer)",
        file=sys.stderr,
    )
    for sentence in summary["hard_golds"]:
        print(f"note: {sentence}", file=sys.stderr)
    if summary["fields_replaced"]:
        names = ", ".join(summary["fields_replaced"])
        print(f"fields of the input that were overwritten: {names}", file=sys.stderr)
