"""Allocations: every split of the study, as a table and as charts; selected rows open in Compare."""

import pandas as pd
import streamlit as st

from tuition.app.dashboard import charts, words
from tuition.app.dashboard.data.study_frames import COUNTS, PRUNED, StudyFrames
from tuition.app.dashboard.show import View, chart, choose, no_study, search_text, switch, switch_on, table

ALL = "all"
SORTS = {
    "score": ("score", False),
    "trial": ("number", True),
    "labels": ("labels", True),
    "full cost": ("gpu_seconds_full", True),
    "marginal cost": ("gpu_seconds_marginal", True),
}
MOST_COMPARED = 6
MOST_LINES = 1000  # our choice: more lines cover each other and take longer to draw


def show(view: View) -> None:
    """The page."""
    st.title("Allocations")
    if no_study(view) or view.study is None:
        return
    frame = prepared(view.study)
    if frame.empty:
        st.info("The study has no trials yet.")
        return
    chosen = _filtered(view.study, frame)
    st.caption(
        f"{len(chosen):,} of {words.whole(len(frame), 'trial')}. Splits are selected by these validation scores, so "
        "the best scores are optimistic. Errors are over problems. Select rows to compare them."
    )
    if chosen.empty:
        st.info("No trial matches these filters.")
        return
    _table(view.study, chosen)
    _pictures(chosen)


def prepared(study: StudyFrames) -> pd.DataFrame:
    """The trials with what the page adds: labels by stage, percentages."""
    each, budget = study.labels_per_block or 1, study.budget
    frame = study.trials.copy()
    frame["labels_teacher"] = frame["label_blocks_teacher"] * each
    frame["labels_student"] = frame["label_blocks_student"] * each
    frame["labels"] = frame["labels_teacher"] + frame["labels_student"]
    most = budget if budget else frame["labels"].max()
    frame["labels_unspent"] = (most - frame["labels"]).clip(lower=0)
    frame["percent"], frame["error"] = 100 * frame["score"], 100 * frame["se_problems"]
    return frame


def _filtered(study: StudyFrames, frame: pd.DataFrame) -> pd.DataFrame:
    columns = st.columns([3, 2, 2, 2], vertical_alignment="bottom")
    with columns[0]:
        text = search_text("Search allocations", "find")
    with columns[1]:
        proposed = sorted({name for name in frame["teacher"] if isinstance(name, str)})
        teachers = proposed if study.scenario is None else list(study.scenario.teachers)
        teacher = choose("Teacher", "teacher", [ALL, "none", *teachers])
    with columns[2]:
        sort = choose("Sort by", "sort", list(SORTS))
    with columns[3]:
        pruned = switch_on("All trials", "pruned", "Also show infeasible proposals and repeats of earlier ones.")
    return kept(frame, text, teacher, sort, pruned)


def kept(
    frame: pd.DataFrame, text: str = "", teacher: str = ALL, sort: str = "score", pruned: bool = False
) -> pd.DataFrame:
    """The trials that pass the filters, in order; by default those that the page shows first."""
    if not pruned:
        frame = frame[(frame["state"] != PRUNED) & frame["repeat_of"].isna()]
    if text:
        frame = frame[frame["allocation"].fillna("").str.contains(text, case=False, regex=False)]
    if teacher != ALL:
        frame = frame[frame["teacher"].isna()] if teacher == "none" else frame[frame["teacher"] == teacher]
    column, rising = SORTS[sort]
    return frame.sort_values([column, "number"], ascending=[rising, True])


def _table(study: StudyFrames, chosen: pd.DataFrame) -> None:
    shown = chosen[
        [
            "number", "allocation", "percent", "error", "labels_teacher", "labels_student", "labels_unspent",
            "gpu_seconds_full", "gpu_seconds_marginal", "state",
        ]
    ].reset_index(drop=True)  # fmt: skip
    told = chosen["told_from_outside"].notna().reset_index(drop=True)
    shown["state"] = shown["state"].mask(told, "told from outside")
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    event = st.dataframe(
        shown, hide_index=True, width="stretch", on_select="rerun", selection_mode="multi-row", key="table",
        column_config={
            "number": number("trial", format="#%d", pinned=True),
            "allocation": text("allocation", width="large"),
            "percent": number("score, %", format="%.1f"),
            "error": number("± problems", format="%.1f", help="Standard error over problems, in points"),
            "labels_teacher": number("labels: teacher", format="%d"),
            "labels_student": number("student", format="%d"),
            "labels_unspent": number("unspent", format="%d"),
            "gpu_seconds_full": number("GPU-s, full", format="%.0f", help="Cost from scratch, ignoring reuse"),
            "gpu_seconds_marginal": number("marginal", format="%.0f", help="What this trial actually cost, with reuse"),
            "state": text("state"),
        },
    )  # fmt: skip
    picked = [f"#{shown['number'].iloc[row]}" for row in event.selection.rows if row < len(shown)]
    left, right = st.columns([1, 1])
    with left:
        label = f"Compare {len(picked)} selected" if picked else "Compare: select 2 to 6 rows"
        if st.button(label, icon=":material/compare_arrows:", disabled=not 2 <= len(picked) <= MOST_COMPARED):
            st.session_state["with"] = picked
            st.switch_page(
                st.session_state["pages"]["compare"], query_params={"study": study.name, "with": "~".join(picked)}
            )
    with right:
        table("allocations", shown, "Table as CSV")


def _pictures(chosen: pd.DataFrame) -> None:
    done = chosen.dropna(subset=["percent"])
    if done.empty:
        st.info("Charts appear after the first complete trial.")
        return
    picture = switch("Chart", "picture", ["Both", "Simplex", "Cost", "Parallel"])
    left, right = st.columns(2)
    if picture in ("Both", "Simplex"):
        with left:
            _simplex(done)
    if picture in ("Both", "Cost"):
        with right if picture == "Both" else left:
            _cost(done)
    if picture == "Parallel":
        with left:
            _parallel(done)


def _simplex(done: pd.DataFrame) -> None:
    chart(
        "simplex",
        "How each allocation splits the labels; colour: validation score.",
        charts.simplex,
        simplex_frame(done),
    )


def simplex_frame(done: pd.DataFrame) -> pd.DataFrame:
    """What `charts.simplex` draws of trials with a score."""
    total = (done["labels"] + done["labels_unspent"]).where(lambda sums: sums > 0, 1)
    return pd.DataFrame(
        {
            "trial": done["number"],
            "teacher": done["labels_teacher"] / total,
            "student": done["labels_student"] / total,
            "unspent": done["labels_unspent"] / total,
            "score": done["percent"],
        }
    )


def _cost(done: pd.DataFrame) -> None:
    about = "Validation score against full cost. Diamonds: Pareto front. Bars: ± one standard error."
    chart("cost", about, charts.cost, cost_frame(done))


def cost_frame(done: pd.DataFrame) -> pd.DataFrame:
    """What `charts.cost` draws of trials with a score."""
    return pd.DataFrame(
        {
            "name": done["number"].map("#{}".format),
            "gpu_seconds": done["gpu_seconds_full"],
            "score": done["percent"],
            "error": done["error"],
            "front": front(done["gpu_seconds_full"], done["percent"]),
        }
    )


def front(cost: pd.Series, score: pd.Series) -> pd.Series:
    """Which runs no other run beats in cost and score at once."""
    ordered = pd.DataFrame({"cost": cost, "score": score}).sort_values(["cost", "score"], ascending=[True, False])
    before = ordered["score"].cummax().shift(fill_value=float("-inf"))
    return (ordered["score"] > before).reindex(cost.index)


def _parallel(done: pd.DataFrame) -> None:
    drawn, about = parallel_frame(done), "One line per run: blocks by stage, cost and score."
    if len(done) > MOST_LINES:
        about += f" Shown: {len(drawn):,} of {len(done):,} runs, the best and an even sample of the rest."
    chart("parallel", about, charts.parallel, drawn)


def parallel_frame(done: pd.DataFrame) -> pd.DataFrame:
    """What `charts.parallel` draws of trials with a score: the best, and an even sample of the rest."""
    varied = [name for name in COUNTS if done[name].nunique() > 1]
    frame = done[[*varied, "gpu_seconds_full", "percent"]].rename(
        columns={"gpu_seconds_full": "GPU-s", "percent": "validation score, %"}
    )
    whole = frame.dropna()
    if len(whole) <= MOST_LINES:
        return whole
    ordered = whole.sort_values(whole.columns[-1], ascending=False)
    return pd.concat([ordered.head(MOST_LINES // 4), ordered.iloc[MOST_LINES // 4 :: len(whole) // MOST_LINES + 1]])
