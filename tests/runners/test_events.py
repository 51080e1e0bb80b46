"""Events: the round trip through a log, torn lines, several writers, and that a full disk ends nothing."""

import errno
import json
import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuition.runners.events import (
    BlockDone,
    BlockStarted,
    Event,
    EventLog,
    PhaseBegan,
    RunDone,
    Said,
    Scoring,
    StepDone,
    ignore,
    read_events,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
COUNTS = st.integers(0, 10**9)
FLOATS = st.floats(allow_nan=False)
EVENTS = st.one_of(
    st.builds(
        BlockStarted,
        key=TEXTS,
        stage=TEXTS,
        index=COUNTS,
        model=TEXTS,
        position=COUNTS,
        total=COUNTS,
        labels_new=COUNTS,
    ),
    st.builds(StepDone, key=TEXTS, step=COUNTS, steps=COUNTS, curves=st.dictionaries(TEXTS, FLOATS, max_size=3)),
    st.builds(BlockDone, key=TEXTS, gpu_seconds=FLOATS, reused=st.booleans()),
    st.builds(Scoring, suite=TEXTS, done=COUNTS, total=COUNTS),
    st.builds(PhaseBegan, title=TEXTS, done=COUNTS, total=st.none() | COUNTS),
    st.builds(RunDone, name=TEXTS, result=TEXTS, done=COUNTS, total=st.none() | COUNTS, done_before=COUNTS),
    st.builds(Said, text=TEXTS),
)  # fmt: skip
STEP = StepDone(key="a" * 64, step=3, steps=30, curves={"loss": 0.25, "seconds": 0.03, "tokens_seen": 1e5})


def events_of(path: Path) -> list[Event]:
    return [line.event for line in read_events(path)[0]]


@given(st.lists(EVENTS, max_size=5))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, told: list[Event]) -> None:
    path = tmp_path_factory.mktemp("log") / "made" / "x.events.jsonl"
    log = EventLog(path, "me")
    for event in told:
        log.write(event)
    log.close()
    lines, end = read_events(path)
    assert [line.event for line in lines] == told and {line.writer for line in lines} <= {"me"}
    assert end == path.stat().st_size
    assert all(json.loads(line)["version"] == 1 for line in path.read_bytes().splitlines())


def test_a_diverged_loss_is_kept(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "log")
    log.write(StepDone(key="k", step=1, steps=1, curves={"loss": math.nan, "kl": math.inf}))
    json.loads((tmp_path / "log").read_text(), parse_constant=pytest.fail)
    (step,) = events_of(tmp_path / "log")
    assert isinstance(step, StepDone) and math.isnan(step.curves["loss"]) and step.curves["kl"] == math.inf


@given(cut=st.integers(0, 300))
def test_a_torn_last_line_costs_itself_only(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    log = EventLog(path)
    log.write(Said(text="before"))
    whole = path.read_bytes()
    log.write(STEP)
    last = path.read_bytes()[len(whole) :]
    path.write_bytes(whole + last[: min(cut, len(last) - 2)])  # a writer was killed
    assert read_events(path) == (read_events(path)[0], len(whole)) and events_of(path) == [Said(text="before")]
    EventLog(path).write(Said(text="after"))
    assert events_of(path) == [Said(text="before"), Said(text="after")]


def test_a_line_that_is_being_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "log")
    log.write(STEP)
    line = (tmp_path / "log").read_bytes()
    (tmp_path / "log").write_bytes(line + line[:40])
    first, position = read_events(tmp_path / "log")
    (tmp_path / "log").write_bytes(line + line)
    second, end = read_events(tmp_path / "log", position)
    assert [line.event for line in first] == [line.event for line in second] == [STEP] and end == 2 * len(line)
    assert read_events(tmp_path / "log", end) == ([], end)


@pytest.mark.parametrize(
    "line",
    [
        b"", b"x", b"[]", b"null", b'{"version": 2, "time": 1, "writer": "", "event": {"kind": "said", "text": ""}}',
        b'{"version": 1, "time": 1, "writer": "", "event": {"kind": "of tomorrow"}}', b"\xff\x00", b"[" * 5000,
        b'{"version": 1, "time": 1, "writer": "", "event": {"kind": "scoring", "suite": "x", "done": -1, "total": 2}}',
    ],
)  # fmt: skip
def test_lines_that_are_no_events_are_passed_over(tmp_path: Path, line: bytes) -> None:
    log = EventLog(tmp_path / "log")
    log.write(STEP)
    with (tmp_path / "log").open("ab") as file:
        file.write(line + b"\n")
    log.write(STEP)
    assert events_of(tmp_path / "log") == [STEP, STEP]


def test_there_may_be_no_log_and_links_are_not_followed(tmp_path: Path) -> None:
    assert read_events(tmp_path / "none") == ([], 0)
    EventLog(tmp_path / "log").write(STEP)
    (tmp_path / "link").symlink_to(tmp_path / "log")
    assert events_of(tmp_path / "link") == []


def test_several_writers_leave_whole_lines(tmp_path: Path) -> None:
    def write(writer: int) -> None:
        log = EventLog(tmp_path / "log", str(writer))
        for _ in range(50):
            log.write(STEP)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    lines, _ = read_events(tmp_path / "log")
    assert sorted(line.writer for line in lines) == sorted("0123" * 50)


def test_a_full_disk_costs_lines_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, write = EventLog(tmp_path / "log"), os.write
    log.write(Said(text="before"))
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda descriptor, content: write(descriptor, content[:30]))
        log.write(STEP)  # the last bytes of the disk

        def refuse(*_: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        full.setattr(os, "write", refuse)
        log.write(STEP)
    log.write(Said(text="after"))
    assert events_of(tmp_path / "log") == [Said(text="before"), Said(text="after")]


def test_a_log_that_cannot_be_opened_is_written_by_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "log", tmp_path):
        log = EventLog(path)
        log.write(STEP)
        log.close()
        assert events_of(path) == []
    if Path("/dev/full").exists():
        EventLog(Path("/dev/full")).write(STEP)
    ignore(STEP)
