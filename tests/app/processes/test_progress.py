"""The progress of one long piece of work: lines in a log, a bar on a terminal, nothing when quiet."""

import pytest

from tuition.app.processes import progress
from tuition.app.processes.progress import Reporter


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_a_log_gets_a_line_every_ten_seconds_with_the_time_left(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Reporter() as reporter:
        # 100 were there before: the rate is that of the 20 drawn since.
        view = reporter.count("math500@1", "samples", total=1000, before=100)
        for clock.now, done in ((1, 101), (9.9, 110), (10, 120), (19, 150), (20, 160)):
            view.update(done)
    assert capsys.readouterr().err.splitlines() == [
        "math500@1: 120/1000 samples (2.0 per second), about 7 min 20 s left at this pace",
        "math500@1: 160/1000 samples (3.0 per second), about 4 min 40 s left at this pace",
    ]


def test_without_a_total_no_end_is_foretold_nor_while_nothing_is_done(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Reporter() as reporter:
        endless, stuck = reporter.count("grading", "answers", None), reporter.count("stuck", "answers", 5)
        clock.now = 10
        endless.update(20)
        stuck.update(0)
    assert capsys.readouterr().err.splitlines() == [
        "grading: 20 answers (2.0 per second)",
        "stuck: 0/5 answers (0.0 per second)",
    ]


def test_a_quiet_reporter_says_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter(quiet=True) as reporter:
        view = reporter.count("grading", "answers", 5)
        clock.now = 10
        view.update(3)
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar_and_no_lines(
    clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Reporter() as reporter:
        view = reporter.count("grading", "answers", 5)
        clock.now = 10
        view.update(3)
        reporter.bars.refresh()
    shown = capsys.readouterr().err
    assert "grading" in shown and "3/5" in shown and "per second" not in shown
    # The bar of a search's runs is for searches.
    assert "runs" not in shown
