"""Channels: events are kept and passed on, a stop is noticed between blocks, no trouble with a log ends the work."""

import logging
from pathlib import Path

import pytest

from tuition.app.processes.channel import Channel, logged
from tuition.app.processes.interrupts import Stopped
from tuition.app.processes.liveness import is_alive
from tuition.benchmarks.results_folder import events_beside, writers_beside
from tuition.runners.events import BlockStarted, Event, Said, Scoring, read_events

SCORING = Scoring(suite="math500@1", done=3, total=9)
STARTED = BlockStarted(key="k", stage="opd", index=0, model="student", position=1, total=2, labels_new=0)


class Heard(Channel):
    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []

    def pass_on(self, event: Event) -> None:
        self.events.append(event)


def kept(log: Path) -> list[Event]:
    return [line.event for line in read_events(events_beside(log))[0]]


def test_what_is_heard_meanwhile_is_kept_beside_the_log_and_passed_on(tmp_path: Path) -> None:
    channel, log = Heard(), tmp_path / "logs" / "test.log"
    channel.hear(SCORING)
    for _ in range(2):
        with logged(log, channel):
            logging.getLogger("somebody").info("for people")
            channel.say("a line")
    channel.hear(SCORING)
    assert channel.events == [SCORING, Said(text="a line"), Said(text="a line"), SCORING]
    assert kept(log) == [Said(text="a line")] * 2 and log.read_text().count("for people") == 2
    assert events_beside(log) == tmp_path / "logs" / "test.events.jsonl"


def test_who_writes_holds_a_lock_for_so_long(tmp_path: Path) -> None:
    channel, log = Heard(), tmp_path / "test.log"
    with logged(log, channel):
        assert channel.log is not None
        writer = channel.log.writer
        assert is_alive(writers_beside(log), writer)
    assert not is_alive(writers_beside(log), writer)


def test_a_log_within_a_log_takes_its_events_and_gives_back(tmp_path: Path) -> None:
    channel = Heard()
    with logged(tmp_path / "outer.log", channel):
        with logged(tmp_path / "inner.log", channel):
            channel.say("inner")
        channel.say("outer")
    assert kept(tmp_path / "inner.log") == [Said(text="inner")] and kept(tmp_path / "outer.log") == [Said(text="outer")]


def test_a_stop_is_raised_before_a_block_and_nowhere_else(tmp_path: Path) -> None:
    channel, log = Heard(), tmp_path / "test.log"

    def stop() -> None:
        raise Stopped

    channel.check = stop
    with logged(log, channel):
        channel.hear(SCORING)
        with pytest.raises(Stopped):
            channel.hear(STARTED)
    assert channel.events == kept(log) == [SCORING], "the block has not begun"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_log_on_a_full_disk_does_not_end_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    channel, log = Heard(), tmp_path / "test.log"
    monkeypatch.setattr(logging, "raiseExceptions", False)  # it would tell the terminal
    for path in (log, events_beside(log)):
        path.symlink_to("/dev/full")
    with logged(log, channel):
        logging.getLogger("somebody").info("for people")
        channel.say("a line")
    assert channel.events == [Said(text="a line")]


def test_where_neither_locks_nor_events_can_be_written_the_work_goes_on(tmp_path: Path) -> None:
    channel, log = Heard(), tmp_path / "test.log"
    writers_beside(log).write_text("no folder")
    events_beside(log).mkdir()
    with logged(log, channel):
        channel.say("a line")
    assert channel.events == [Said(text="a line")]
