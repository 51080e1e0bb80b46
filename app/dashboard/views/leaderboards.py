"""Leaderboards: measured entries with rank intervals, reported entries separately, citation and export."""

from functools import partial

import pandas as pd
import streamlit as st

from tuition.app.dashboard import charts, latex, words
from tuition.app.dashboard.data import caches
from tuition.app.dashboard.data.files import Unreadable
from tuition.app.dashboard.data.recomputed_boards import ShownBoard, board_folders, race_folders
from tuition.app.dashboard.data.study_frames import StudyFrames
from tuition.app.dashboard.show import View, chart, choose, name_unreadable, switch, table
from tuition.app.recordings import race_report
from tuition.benchmarks.boards.entries import EntryError, MeasuredEntry, ReportedEntry
from tuition.benchmarks.boards.exports import cell_text
from tuition.benchmarks.boards.exports.bibtex import board_record, entry_record
from tuition.benchmarks.boards.exports.formats import FORMATS
from tuition.benchmarks.boards.ranked_rows import TEACHER_NOTE, heading, notes_on_differences, row_label
from tuition.benchmarks.boards.standings import MeasuredTable, ReportedTable
from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.planning.contestant import RaceError

MIME = {"md": "text/markdown", "html": "text/html", "csv": "text/csv", "json": "application/json"}
SCORES_AND_COSTS = (
    "Scores in percent; each error says what it is over. GPU-seconds: training cost of one run from scratch, ignoring "
    "reuse; processor time on a CPU."
)
ENDINGS = {"latex": "tex", "bibtex": "bib"}


def show(view: View) -> None:
    """The page."""
    st.title("Leaderboards")
    folders = board_folders(view.results)
    own = [f"study: {view.study.name}"] if view.study is not None and view.study.rows else []
    offered = [*own, *folders]
    if not offered:
        st.info(
            "No leaderboard yet. A tested search creates one; `tuition leaderboard add` creates leaderboard folders."
        )
        return
    chosen = choose("Leaderboard", "board", offered)
    if chosen in own and view.study is not None:
        _of_study(view.study)
        return
    try:
        shown = caches.board(folders[chosen])
    except EntryError as error:
        name_unreadable([Unreadable(chosen, one_line(str(error).replace(str(folders[chosen]), folders[chosen].name)))])
        return
    name_unreadable(shown.unreadable)
    manifest = shown.board.manifest
    st.markdown(f"{words.code(manifest.title)}, version {manifest.version} ({manifest.changelog[-1].date})")
    part = switch("Part", "part", ["Allocations", "Planners", "Entry", "Cite and export"])
    if part == "Allocations":
        for index, measured in enumerate(shown.standings.measured):
            _measured(measured, index)
        for index, reported in enumerate(shown.standings.reported):
            _reported(reported, index)
        if not shown.board.entries:
            st.info("No entry of this leaderboard can be shown.")
    elif part == "Planners":
        _planners(view)
    elif part == "Entry":
        _entry(shown)
    else:
        _export(shown)


def _planners(view: View) -> None:
    races = race_folders(view.results)
    chosen = choose("Race", "planners", list(races))
    try:
        measured = caches.race(races[chosen])
    except RaceError as error:
        name_unreadable([Unreadable(chosen, one_line(str(error).replace(f"{races[chosen]}/", "")))])
        return
    st.markdown(f"Planners on {words.code(measured[0].header.ground)}")
    st.caption(latex.escape(race_report.caption(measured)))
    table_of = pd.DataFrame(race_report.cells(measured))
    st.dataframe(table_of, hide_index=True, width="stretch")
    table("planners", table_of)
    left, _ = st.columns(2)
    with left:
        chart("regret against cost", "Points that planners lose to the best split, by what they have spent, with 95 % "
              "intervals of three units and more.", charts.race, race_report.chart_frame(measured))  # fmt: skip
    st.caption(f"For another table, run {words.code('tuition race --table TABLE')}.")


def _of_study(study: StudyFrames) -> None:
    if study.meta is None:
        return
    st.markdown(f"{words.code(study.meta.suite)}, decoding {words.code(study.meta.decoding)}")
    for line in (heading(study.rows) or "").splitlines():
        st.caption(f"{line.capitalize()}.")
    frame = pd.DataFrame(
        {
            **words.rank_cell(ranked, study.rows),
            "entry": ranked.row.name,
            "score": words.score(ranked.row.score),
            "difference": "reference" if ranked.row.difference is None else words.points(ranked.row.difference),
            "kind": ranked.row.kind,
            "labels": ranked.row.labels_trained,
            "GPU-s, full": ranked.row.gpu_seconds,
            "selected, %": None if ranked.row.selected_validation is None else 100 * ranked.row.selected_validation,
            "allocation": ranked.row.allocation,
        }
        for ranked in study.rows
    )
    number = st.column_config.NumberColumn
    st.dataframe(
        frame, hide_index=True, width="stretch",
        column_config={"GPU-s, full": number(format="%.0f"), "selected, %": number(format="%.1f")},
    )  # fmt: skip
    table("leaderboard", frame)
    rows = [
        (row_label(ranked), *(100 * x for x in _ends(row.difference)), row.kind)
        for ranked in study.rows
        if (row := ranked.row).difference is not None
    ]
    left, _ = st.columns(2)
    with left:
        _forest("leaderboard differences", rows, "difference to direct GRPO, points")
    if any(ranked.row.kind == "teacher" for ranked in study.rows):
        st.caption(TEACHER_NOTE)
    st.caption(" ".join(notes_on_differences(study.rows, study.meta)))
    st.caption(SCORES_AND_COSTS)


def _ends(difference: object) -> tuple[float, float, float]:
    return tuple(getattr(difference, name) for name in ("mean", "low", "high"))


def _forest(name: str, rows: list[tuple[object, ...]], unit: str) -> None:
    if rows:
        frame = pd.DataFrame(rows, columns=["name", "mean", "low", "high", "kind"])
        chart(name, "Paired differences with 95 % intervals.", charts.forest, frame, unit=unit)


def _measured(measured: MeasuredTable, index: int) -> None:
    st.subheader("Measured")
    st.markdown(f"{words.code(measured.title)}: {cell_text.protocol(measured)}")
    for note in measured.notes:
        st.caption(latex.escape(note))
    frame = pd.DataFrame(
        {
            **({"rank": row.rank} if measured.ranked else {}),
            "entry": row.entry.name,
            "score, %": cell_text.percent(row.entry.score.mean),
            "± errors": ", ".join(f"±{error} {over}" for error, over in cell_text.errors(row.entry.score)),
            f"minus {measured.reference}": cell_text.points(row.difference, row.reference),
            "labels": cell_text.labels(row.entry),
            "GPU-s, full": cell_text.cost(row),
            "seeds": cell_text.seeds(row.entry),
            "id": row.listed.short,
            "verification": "recomputed from its samples",
        }
        for row in measured.rows
    )
    st.dataframe(frame, hide_index=True, width="stretch")
    table(f"measured {index}", frame)
    rows: list[tuple[object, ...]] = [
        (
            row.entry.name if row.rank_first is None else f"{row.entry.name} (rank {row.rank})",
            *(100 * x for x in _ends(row.difference)),
            "measured",
        )
        for row in measured.rows
        if row.difference is not None
    ]
    left, _ = st.columns(2)
    with left:
        _forest(f"measured differences {index}", rows, f"difference to {measured.reference}, points")
    st.caption(cell_text.CAPTION)


def _reported(reported: ReportedTable, index: int) -> None:
    st.subheader("Reported")
    st.markdown(f"{words.code(reported.table)}, {words.code(reported.citation)}")
    st.caption(f"{cell_text.REPORTED} In percent; {latex.escape(reported.error_meaning)}.")
    rows = []
    for name, by_suite in reported.rows:
        cells: dict[str, str] = {"entry (reported)": name}
        for suite in reported.suites:
            if suite in by_suite:
                score = by_suite[suite][1].score
                error = "" if score.error is None else f" ±{cell_text.percent(score.error)}"
                cells[suite] = f"{cell_text.percent(score.mean)}{error}"
        rows.append(cells)
    frame = pd.DataFrame(rows)
    st.dataframe(frame, hide_index=True, width="stretch")
    table(f"reported {index}", frame)


def _entry(shown: ShownBoard) -> None:
    by_name = {f"{listed.entry.name}, {listed.short}": listed for listed in shown.board.entries}
    if not by_name:
        st.info("No entry of this leaderboard can be shown.")
        return
    listed = by_name[choose("Entry", "entry", list(by_name))]
    entry = listed.entry
    if isinstance(entry, MeasuredEntry):
        st.success("Verified now: its numbers were recomputed from its samples.", icon=":material/verified:")
    elif isinstance(entry, ReportedEntry):
        st.info("Reported by its source: it has no samples, so nothing can be recomputed.")
    fields = entry.model_dump(mode="json")
    simple = [(name, str(value)) for name, value in fields.items() if not isinstance(value, (dict, list))]
    st.dataframe(pd.DataFrame(simple, columns=["field", "value"]), hide_index=True, width="stretch")
    st.markdown("**Cite this**")
    st.code(entry_record(shown.board.manifest, listed), language=None, wrap_lines=True)
    with st.expander("Full record"):
        st.code(entry.model_dump_json(indent=1), language=None)


def _export(shown: ShownBoard) -> None:
    manifest = shown.board.manifest
    st.markdown("**Cite this**")
    st.code(cell_text.cite(manifest), language=None, wrap_lines=True)
    st.code(board_record(manifest), language=None, wrap_lines=True)
    st.markdown("**Export**")
    columns = st.columns(len(FORMATS))
    for column, (name, make) in zip(columns, FORMATS.items(), strict=True):
        file = words.file_name([manifest.name, manifest.version])
        with column:
            st.download_button(
                name.upper(), partial(make, shown.board, shown.standings), f"{file}.{ENDINGS.get(name, name)}",
                MIME.get(name, "text/plain"), key=f"export {name}", on_click="ignore",
            )  # fmt: skip
