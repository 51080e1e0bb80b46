"""Compare: two to six allocations or baselines, problem by problem."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from tuition.app.dashboard import charts, latex, words
from tuition.app.dashboard.data import caches, samples
from tuition.app.dashboard.data.files import Unreadable
from tuition.app.dashboard.data.record_index import Protocol, StoredScore
from tuition.app.dashboard.data.samples import Item, Sampled
from tuition.app.dashboard.show import View, chart, choose, name_unreadable, no_study, several, switch, switch_on, table
from tuition.benchmarks.artefacts import FileError
from tuition.benchmarks.boards.standings import compare_runs

MOST = 6
OFFERED = 300  # our choice: of 10,000 trials the best are offered, and those that the URL or Allocations name
FOLDED = 700  # letters of a completion that are shown at once


def show(view: View) -> None:
    """The page."""
    st.title("Compare")
    if no_study(view) or view.study is None:
        return
    found, unreadable = caches.scores(view.results)
    items = caches.items(view.results, view.study.name)
    chosen = _chosen(items)
    if len(chosen) < 2:
        st.info("Select two to six allocations or baselines.")
        name_unreadable(unreadable)
        return
    offered = samples.protocols(chosen, found)
    if not offered:
        st.info(
            "These have no suite and protocol in common: tested entries have test scores, trials have validation "
            "scores. Select one kind only."
        )
        name_unreadable(unreadable)
        return
    protocol = _protocol(offered)
    read, damaged = _read(view, chosen, protocol, found)
    name_unreadable([*unreadable, *damaged])
    if len(read) < 2:
        st.info("Fewer than two of these could be read.")
        return
    reference = choose("Reference", "ref", list(read), "direct" if "direct" in read else None)
    if protocol.suite.partition("@")[0].endswith("validation"):
        st.caption("Validation scores were used to select splits, so the best are optimistic. Test scores are not.")
    left, right = st.columns(2)
    with left:
        _differences(read, reference)
    with right:
        _scores(read)
    _score_table(read)
    part = switch("Show", "part", ["Problems", "Levels", "Subjects"])
    if part == "Problems":
        _problems(view, read, reference, protocol)
    else:
        _breakdown(view, read, "level" if part == "Levels" else "subject")


def _chosen(items: Mapping[str, Item]) -> list[Item]:
    asked = [*st.query_params.get("with", "").split("~"), *st.session_state.get("with", [])]
    options = [*list(items)[:OFFERED], *(name for name in asked if name in items)]
    options = list(dict.fromkeys(options))
    default = first({name: items[name] for name in options})
    names = several("Allocations and baselines", "with", options, default, MOST)
    chosen = [items[name] for name in names]
    if chosen:
        st.dataframe(
            pd.DataFrame({"name": item.id, "allocation": item.allocation} for item in chosen),
            hide_index=True, width="stretch",
        )  # fmt: skip
    return chosen


def first(items: Mapping[str, Item]) -> list[str]:
    """What is compared by default: the first two tested entries."""
    return [name for name, item in items.items() if item.tested][:2] or list(items)[:2]


def _protocol(offered: list[Protocol]) -> Protocol:
    by_name = samples.named(offered)
    return by_name[choose("Suite", "suite", list(by_name))]


def _read(
    view: View, chosen: list[Item], protocol: Protocol, found: Mapping[str, list[StoredScore]]
) -> tuple[dict[str, Sampled], list[Unreadable]]:
    read, damaged = {}, []
    for item in chosen:
        try:
            read[item.id] = caches.sampled(view.results, item, protocol, found)
        except FileError as error:
            path, _, why = str(error).partition(": ")
            damaged.append(Unreadable(path, f"{item.id}: {why}"))
    return read, damaged


def _differences(read: Mapping[str, Sampled], reference: str) -> None:
    st.subheader("Paired differences")
    rows, single = [], False
    for name, one in read.items():
        if name == reference:
            continue
        difference = compare_runs(one.outcomes, read[reference].outcomes)
        if difference is None:
            st.caption(f"{words.code(name)} shares fewer than two problems with the reference.")
            continue
        trained = any(run.seed is not None for run in (*one.outcomes, *read[reference].outcomes))
        single = single or (trained and difference.excludes_training_variance)
        low, mean, high = (100 * x for x in (difference.low, difference.mean, difference.high))
        rows.append((f"{name}: {words.points(difference)}", mean, low, high, "difference"))
    frame = pd.DataFrame(rows, columns=["name", "mean", "low", "high", "kind"]).sort_values("mean", ascending=False)
    if frame.empty:
        return
    about = "Paired by problem, with 95 % intervals" + (
        f"; {words.ONE_RUN}." if single else " over problems and seeds."
    )
    chart("differences", about, charts.forest, frame, unit=f"minus {reference}, points")


def _scores(read: Mapping[str, Sampled]) -> None:
    st.subheader("Scores")
    rows = []
    for name, one in read.items():
        score = one.score
        error = 100 * score.se_problems
        rows.append((name, 100 * score.mean, 100 * score.mean - error, 100 * score.mean + error, "score"))
    frame = pd.DataFrame(rows, columns=["name", "mean", "low", "high", "kind"]).sort_values("mean", ascending=False)
    chart("scores", "Scores ± one standard error over problems.", charts.forest, frame, unit="score, %", zero=False)


def _score_table(read: Mapping[str, Sampled]) -> None:
    shown = []
    for name, one in read.items():
        score = one.score
        seeds = sum(seed is not None for seed, _ in one.item.runs)
        shown.append((name, words.score(score), score.num_problems, score.num_samples, seeds))
    columns = ["name", "score", "problems", "samples", "seeds"]
    frame = pd.DataFrame(shown, columns=columns)
    st.dataframe(frame, hide_index=True, width="stretch")
    table("score table", frame, "Scores as CSV")


def _breakdown(view: View, read: Mapping[str, Sampled], column: str) -> None:
    frames, damaged = {}, []
    for name, one in read.items():
        try:
            frames[name] = [caches.details(str(view.results), key) for key in one.keys]
        except FileError as error:
            path, _, why = str(error).partition(": ")
            damaged.append(Unreadable(path, why))
    name_unreadable(damaged)
    frame = samples.breakdown(frames, column)
    if frame.empty:
        st.info(f"This suite records no {column}.")
        return
    left, right = st.columns(2)
    with left:
        chart(f"by {column}", f"Scores by {column}, ± one standard error over problems.", charts.bars, frame,
              unit="score, %")  # fmt: skip
    with right:
        number = st.column_config.NumberColumn
        st.dataframe(
            frame, hide_index=True, width="stretch",
            column_config={
                "group": column, "mean": number("score, %", format="%.1f"), "error": number("± problems", format="%.1f")
            },
        )  # fmt: skip


def _problems(view: View, read: Mapping[str, Sampled], reference: str, protocol: Protocol) -> None:
    st.subheader("Problems solved more often by one than by the other")
    others = [name for name in read if name != reference]
    left, right = st.columns(2)
    with left:
        a = choose("First", "a", list(read), others[0])
    with right:
        b = choose("Second", "b", list(read), reference)
    if a == b:
        st.info("Select two different entries.")
        return
    both = samples.solved_by_one(read[a], read[b])
    if both.empty:
        st.info("Both solve every problem equally often.")
        return
    number = st.column_config.NumberColumn
    st.dataframe(
        both.reset_index(), hide_index=True, width="stretch", height=240,
        column_config={
            "a": number(f"{a}, % of samples", format="%.0f"),
            "b": number(f"{b}, % of samples", format="%.0f"),
            "difference": number("difference, points", format="%+.0f"),
        },
    )  # fmt: skip
    table("problems", both.reset_index().rename(columns={"a": f"{a}, %", "b": f"{b}, %"}), "Problems as CSV")
    problem = choose("Problem", "problem", list(both.index[:OFFERED]))
    raw = switch_on("Plain text", "raw", "Show completions verbatim, without typesetting.")
    asked(view, protocol.suite, problem, raw)
    better = a if float(both["difference"][problem]) > 0 else b
    for column, name in zip(st.columns(2), (a, b), strict=True):
        with column:
            st.markdown(words.code(name))
            _completion(view, read[name], problem, raw, wrong=name != better)


def asked(view: View, suite: str, problem: str, raw: bool) -> None:
    """A problem's statement and its answer."""
    try:
        found = samples.statement(view.results, suite, problem)
    except FileError as error:
        st.warning(words.code(error))
        return
    if found is None:
        st.caption(
            "The problem statement was not stored with this score; scoring again with the same command stores it."
        )
        return
    st.markdown(f"**Problem**, with the answer {words.code(found[1])}:")
    completion(found[0], raw)


def _completion(view: View, one: Sampled, problem: str, raw: bool, wrong: bool) -> None:
    """The first sample that shows the difference: a wrong one of who solves it less, a right one of the other."""
    try:
        found = samples.completions(view.results, one.keys[0], problem)
    except FileError as error:
        st.warning(words.code(error))
        return
    if not found:
        st.info("No samples of this problem.")
        return
    sample = next((sample for sample in found if bool(sample["correct"]) != wrong), found[0])
    right = sum(bool(sample["correct"]) for sample in found)
    st.caption(f"Sample {sample['sample']} of {len(found)}, {right} of them correct. Verdict: {sample['verdict']}.")
    st.markdown(f"Extracted answer: {words.code(sample['extracted'] or '(none)')}")
    completion(str(sample["completion"]), raw)


def completion(text: str, raw: bool) -> None:
    """A completion as text, long ones folded."""
    head, rest = text[:FOLDED], text[FOLDED:]
    with st.container(border=True):
        _text(head, raw)
        if rest:
            st.caption("… continued below")
    if rest:
        with st.expander(f"Full text, {len(text):,} characters"):
            _text(text, raw)


def _text(text: str, raw: bool) -> None:
    if raw:
        st.code(text, language=None, wrap_lines=True)
    else:
        st.markdown(latex.markdown(text) or "(empty)")
