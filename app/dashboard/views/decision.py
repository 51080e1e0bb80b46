"""Decision: the recommended split, what it gains, what is uncertain, what to run next."""

import pandas as pd
import streamlit as st

from tuition.app.dashboard import advice, charts, words
from tuition.app.dashboard.advice import Choice
from tuition.app.dashboard.data.study_frames import StudyFrames
from tuition.app.dashboard.show import View, chart, no_study, table
from tuition.app.studies.study_report import SearchReport, TuningReport
from tuition.app.tuning.tuning_verdicts import verdict_text
from tuition.benchmarks.boards.ranked_rows import heading


def show(view: View) -> None:
    """The page."""
    st.title("Decision")
    if no_study(view) or view.study is None:
        return
    study = view.study
    found = advice.choices(study)
    if not found:
        _nothing_yet(study)
        return
    _recommended(study, found[0])
    left, right = st.columns(2)
    with left:
        _compared(study, found[0])
    with right:
        _runner_up(study, found)
        st.subheader("Still uncertain")
        lines = advice.uncertain(study, found)
        st.markdown("\n".join(f"- {line}" for line in lines) or "Nothing that these numbers reveal.")
    _next(study, found)


def _nothing_yet(study: StudyFrames) -> None:
    if isinstance(study.report, TuningReport):
        st.info("This study tuned settings of stages on the validation suite; it recommends no split.")
        seeds = len(study.report.seeds)
        for stage in study.report.stages:
            st.markdown(f"- {words.code(stage.stage)} {verdict_text(stage, seeds)}")
    elif study.rows:
        st.info("This study tested named routes without a search, so it recommends no split. Its entries:")
        for line in (heading(study.rows) or "").splitlines():
            st.caption(f"{line.capitalize()}.")
        frame = pd.DataFrame(
            {
                **words.rank_cell(ranked, study.rows),
                "entry": ranked.row.name,
                "score": words.score(ranked.row.score),
                "minus direct": "reference" if ranked.row.difference is None else words.points(ranked.row.difference),
                "labels": ranked.row.labels_trained,
            }
            for ranked in study.rows
        )
        st.dataframe(frame, hide_index=True, width="stretch")
        table("entries", frame)
    elif len(study.trials):
        states = words.states({str(state): count for state, count in study.trials["state"].value_counts().items()})
        st.info(f"No trial is complete yet ({states}). The Live page shows what is being trained.")
    else:
        st.info("The study has no trials yet: it has just started, or its files cannot be read.")


def _recommended(study: StudyFrames, best: Choice) -> None:
    shares = advice.split(study, best.allocation)
    if shares.teacher is None or shares.student is None:
        st.subheader("Recommended split")
    else:
        st.subheader(f"Recommended: {shares.teacher:,} labels to the teacher, {shares.student:,} to the student")
    st.markdown(f"{words.code(best.allocation)}, found as {words.code(best.name)}")
    left, right = st.columns([3, 2])
    with left:
        if shares.teacher is not None and shares.student is not None:
            bar = {"teacher": shares.teacher, "student": shares.student, "unspent": shares.unspent or 0}
            frame = pd.DataFrame({"stage": list(bar), "labels": list(bar.values())})
            chart("labels by stage", "Labels of the recommended split, by the model trained on them.",
                  charts.labels_by_stage, frame)  # fmt: skip
    with right:
        if best.row is not None and study.meta is not None:
            row = best.row.row
            st.metric(
                "Test score"
                if best.row.rank_first is None
                else f"Test score, rank {best.row.rank} of {sum(r.rank_first is not None for r in study.rows)}",
                f"{words.value(100 * row.score.mean)} %",
            )
            st.caption(f"{words.score(row.score)}, on {words.code(study.meta.suite)}")
        error = "" if best.se_validation is None else f" ± {words.value(100 * best.se_validation)} over problems"
        st.caption(f"Validation, used for selection: {words.value(100 * best.validation)} %{error}.")


def _compared(study: StudyFrames, best: Choice) -> None:
    st.subheader("What the labels bought")
    found = advice.comparisons(study, best)
    if not found:
        name = best.row.row.name if best.row is not None else None
        if name == "direct":
            st.markdown("Validation selected direct GRPO itself: all labels to the student, no teacher.")
        else:
            st.markdown("Not tested against direct GRPO yet: a search does this at its end (`--test-seeds`).")
        return
    for comparison in found:
        st.markdown(f"**{comparison.sentence}**")
    if best.row is not None and best.row.row.score.num_seeds == 1:
        st.caption(f"95 % intervals, paired by problem; {words.ONE_RUN}.")
    else:
        st.caption("95 % intervals, paired by problem and training seed.")
    if best.allocation.student_rl == 0:
        st.caption("It has no replay control: the student gets no new labels that replayed ones could replace.")
    frame = pd.DataFrame(
        {
            "name": f"minus {comparison.other}",
            "mean": 100 * comparison.difference.mean,
            "low": 100 * comparison.difference.low,
            "high": 100 * comparison.difference.high,
            "kind": "difference",
        }
        for comparison in found
    )
    chart("what labels bought", "Paired differences of the recommended split, in points.", charts.forest, frame,
          unit="difference on the test suite, points")  # fmt: skip


def _runner_up(study: StudyFrames, found: list[Choice]) -> None:
    st.subheader("Runner-up")
    sentence = advice.runner_up_sentence(study, found)
    if sentence is None:
        st.markdown("None: only one distinct route is complete.")
        return
    second = found[1]
    shares = advice.split(study, second.allocation)
    labels = (
        ""
        if shares.teacher is None
        else f": {shares.teacher:,} labels to the teacher, {shares.student:,} to the student"
    )
    st.markdown(f"{words.code(second.name)}{labels}. {sentence}")
    if second.row is not None:
        st.caption(f"Test: {words.score(second.row.row.score)}.")


def _next(study: StudyFrames, found: list[Choice]) -> None:
    st.subheader("What to run next")
    steps = advice.next_steps(study, found)
    if not steps:
        st.markdown("No suggestion for this study. `tuition plan` estimates the cost of a search before it runs.")
    for step in steps:
        st.markdown(f"{step.why} Cost: {step.cost}.")
        st.code(step.command, language=None, wrap_lines=True)
    if isinstance(study.report, SearchReport):
        labels = study.report.labels
        st.caption(
            f"Labels: {labels.labels_trained:,} trained on by the largest route, {labels.labels_validation:,} for "
            f"validation, {labels.labels_owned:,} owned by the study. "
            "On a CPU, GPU-seconds are processor time."
        )
