"""Live: what is being trained now, its progress, and what failed. It refreshes itself without moving the page."""

import pandas as pd
import streamlit as st

from tuition.app.dashboard import words
from tuition.app.dashboard.data import caches, live_progress
from tuition.app.dashboard.data.files import last_lines, records
from tuition.app.dashboard.data.live_progress import Doing, Running, Training
from tuition.app.dashboard.data.study_frames import StudyFrames
from tuition.app.dashboard.show import View, no_study

REFRESH_SECONDS = 2.0
LOG_LINES = 40
FAILURES_SHOWN = 20
TESTS = {
    "test": "**Test**: finalists and baselines are trained on fresh seeds and scored.",
    "baselines": "**Baselines** are trained on fresh seeds and scored.",
    "shuffled": "**Blocked and shuffled training** are compared on fresh seeds.",
    "tuning": "**Tuning**: learning rates and steps of stages are tried and scored on validation.",
}
"""Logs of a study besides those of its trials, and what happens while they are written."""


def show(view: View) -> None:
    """The page."""
    st.title("Live")
    if no_study(view) or view.study is None:
        # Looked at again: the first trial of a new results folder appears by itself.
        st.fragment(lambda: None, run_every=REFRESH_SECONDS)()
        return
    name = view.study.name
    # Only this part is drawn again: what is open stays open, and the page does not move.
    st.fragment(lambda: _now(caches.study(view.results, name)), run_every=REFRESH_SECONDS)()


def _now(study: StudyFrames) -> None:
    found = live_progress.progress(study)
    busy = live_progress.running(study)
    tests = {name: doing for name in TESTS if (doing := live_progress.testing(study, name))}
    _progress(found, busy, bool(tests), live_progress.seconds_since_a_trial(study))
    for trial in busy:
        _running(study, trial)
    for name, doing in tests.items():
        _testing(study, name, doing)
    _failures(study)
    st.caption(f"Refreshed every {REFRESH_SECONDS:.0f} seconds, last at {pd.Timestamp.now():%H:%M:%S}.")


def _progress(found: live_progress.Progress, busy: list[Running], testing: bool, since: float | None) -> None:
    states = words.states(found.counts) or "no trial yet"
    finished = words.whole(found.finished, "trial")
    if found.wanted is not None:
        finished = f"{found.finished:,} of {words.whole(found.wanted, 'trial')}"
    left = ""
    if found.seconds_left is not None:
        left = f"; about {words.duration(found.seconds_left)} left for the search, estimated from its finished trials"
    st.markdown(f"**{finished} finished** ({states}){left}.")
    if found.wanted:
        st.progress(min(1.0, found.finished / found.wanted))
    dead = [trial for trial in busy if not trial.alive]
    if dead:
        st.warning(
            f"{words.whole(len(dead), 'trial is', 'trials are')} marked as running, but the process has ended. "
            "Rerun the same search command to resume; stored blocks are not trained again."
        )
    if busy or testing:
        return
    if since is None:
        st.info("Nothing is being trained in this study now.", icon=":material/check_circle:")
    else:
        st.info(
            f"The last trial ended {words.duration(since)} ago; the next one, or the test, has not started yet.",
            icon=":material/hourglass_empty:",
        )


def _running(study: StudyFrames, trial: Running) -> None:
    with st.container(border=True):
        state = "running" if trial.alive else "its process has ended"
        since = "" if trial.seconds is None else f" for {words.duration(trial.seconds)}"
        st.markdown(f"**Trial #{trial.number}** {words.code(trial.allocation)}: {state}{since}")
        if trial.doing is None:
            st.caption("No block has started yet, or all its blocks were already in the store.")
        _doing(trial.doing)
        with st.expander("Log", key=f"log {trial.number}"):
            lines = last_lines(study.folder.trial_log(trial.number), LOG_LINES)
            st.code("\n".join(lines) or "(empty)", language=None, height=240)


def _doing(doing: Doing) -> None:
    if doing is None:
        return
    if not isinstance(doing, Training):
        st.markdown(f"Scoring {words.code(doing.suite)}")
        if doing.total:
            st.progress(min(1.0, doing.done / doing.total), f"{doing.done:,} of {doing.total:,} samples")
        return
    st.markdown(f"Block {doing.position} of {doing.total}: {words.code(doing.block)} of {words.code(doing.model)}")
    if doing.steps:
        st.progress(min(1.0, doing.step / doing.steps), f"step {doing.step} of {doing.steps}")
    facts = []
    if doing.seconds_per_step is not None:
        facts.append(f"{doing.seconds_per_step:.2g} s/step")
    if doing.tokens_per_second is not None:
        facts.append(f"{doing.tokens_per_second:,.0f} tokens/s")
    if doing.seconds_left is not None and doing.step < doing.steps:
        facts.append(f"about {words.duration(doing.seconds_left)} left for this block, estimated from its last steps")
    st.caption(", ".join(facts))


def _testing(study: StudyFrames, name: str, processes: list[Doing]) -> None:
    with st.container(border=True):
        st.markdown(TESTS[name])
        for doing in processes:
            _doing(doing)
        with st.expander("Log", key=f"log {name}"):
            lines = last_lines(study.folder.log(name), LOG_LINES)
            st.code("\n".join(lines) or "(empty)", language=None, height=240)


def _failures(study: StudyFrames) -> None:
    failed = study.trials[study.trials["state"] == "fail"].sort_values("number", ascending=False)
    if failed.empty:
        return
    st.subheader(f"Failures ({len(failed)})")
    for trial in records(failed.head(FAILURES_SHOWN)):
        number = int(trial["number"])
        st.markdown(
            f"Trial #{number} {words.code(trial['allocation'] or '')}: {words.code(trial['error'] or 'interrupted')}"
        )
        with st.expander(f"Log of trial #{number}", key=f"log of {number}"):
            lines = last_lines(study.folder.trial_log(number), LOG_LINES)
            st.code("\n".join(lines) or "(no log)", language=None, height=240)
