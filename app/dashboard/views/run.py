"""Run: one route with one seed: its chain of blocks, ledgers, curves, samples, log and how to repeat it."""

import shlex

import pandas as pd
import streamlit as st

from tuition.app.dashboard import charts, words
from tuition.app.dashboard.data import block_tree, caches, record_index, samples
from tuition.app.dashboard.data.block_tree import CURVES
from tuition.app.dashboard.data.files import Unreadable, last_lines
from tuition.app.dashboard.data.record_index import Block
from tuition.app.dashboard.data.samples import Item
from tuition.app.dashboard.data.study_frames import StudyFrames, parse
from tuition.app.dashboard.show import View, chart, choose, name_unreadable, no_study, switch, switch_on, table
from tuition.app.dashboard.views.compare import OFFERED, asked, completion
from tuition.benchmarks.artefacts import FileError
from tuition.planner.cost import charge
from tuition.runners.store.block_record import charge_used
from tuition.runners.store.chains import Chain

LOG_LINES = 200
SAMPLES_SHOWN = 500
PARTS = ("Blocks", "Curves", "Samples", "Log and versions")


def show(view: View) -> None:
    """The page."""
    st.title("Run")
    if no_study(view) or view.study is None:
        return
    items = caches.items(view.results, view.study.name)
    if not items:
        st.info("No run is complete yet. The Live page shows what is being trained.")
        return
    asked = st.query_params.get("run", "")
    offered = list(dict.fromkeys([*list(items)[:OFFERED], *([asked] if asked in items else [])]))
    item = items[choose("Run", "run", offered)]
    st.markdown(words.code(item.allocation))
    if not item.runs:
        st.info("The report does not list the training runs of this entry.")
        return
    index = 0
    if len(item.runs) > 1:
        index = int(choose("Training run", "nr", [str(number) for number in range(len(item.runs))]))
    seed, weights = item.runs[index]
    st.caption(f"Training seed {seed}; final weights {weights[:12]}…")
    found = caches.blocks(view.results)
    chain = block_tree.chain(found.items, caches.blocks_by_weights(view.results), seed, weights)
    part = switch("Part", "part", PARTS)
    if part == "Samples":
        _samples(view, item, index)
    elif part == "Log and versions":
        _log(view.study, item)
        _repeat(view, view.study, item, chain, seed)
    elif chain is None:
        st.warning("The last block of this run is no longer in the store; `tuition run` trains it again.")
    elif part == "Blocks":
        _blocks(view, view.study, item, chain, seed)
    else:
        _curves(view, chain)
    name_unreadable(found.unreadable)


def _blocks(view: View, study: StudyFrames, item: Item, chain: Chain[Block], seed: int | None) -> None:
    uses = caches.uses(view.results, study.name)
    charged = charge(block.price for block in chain.blocks)
    used = charge_used(block.used for block in chain.blocks)
    frame = pd.DataFrame(
        {
            "block": block.name,
            "model": block.model,
            "new labels": block.labels_new,
            "label pool": block.labels_pool,
            "steps": block.steps,
            "GPU-s": gpu_seconds,
            "used": gpu_seconds_used,
            "shared by runs": uses.get(block.key, 0),
            "key": block.key[:12],
        }
        for block, gpu_seconds, gpu_seconds_used in zip(chain.blocks, charged, used, strict=True)
    )
    shared = int((frame["shared by runs"] > 1).sum())
    whole = "" if chain.whole else " The chain is incomplete: an ancestor is no longer in the store."
    st.markdown(
        f"{words.whole(len(frame), 'block')}, {shared} of them shared with other runs of the study; "
        f"full cost {words.seconds(frame['GPU-s'].sum())} GPU-seconds, "
        f"{words.whole(frame['new labels'].sum(), 'label')}.{whole}"
    )
    number = st.column_config.NumberColumn
    st.dataframe(
        frame, hide_index=True, width="stretch",
        column_config={
            "GPU-s": number(format="%.3g", help="Reserved: includes the rollouts that the route first needed here"),
            "used": number(format="%.3g", help="Of these, seconds in which a device drew or trained; empty: unknown"),
            "shared by runs": number(help="Runs of the study that use this block"),
        },
    )  # fmt: skip
    table("blocks", frame)
    allocation = parse(item.allocation)
    if allocation is None:
        return
    try:
        booked = block_tree.labels_booked(view.results, study.name, seed, allocation.id)
    except FileError as error:
        st.warning(words.code(error))
        return
    counted = ", ".join(f"{words.whole(count, 'label')} for {words.code(stage)}" for stage, count in booked.items())
    st.markdown(f"Label ledger: {counted}." if counted else "The label ledger has no entries for this route.")


def _curves(view: View, chain: Chain[Block]) -> None:
    try:
        frame = caches.curves(view.results, chain.blocks)
    except FileError as error:
        path, _, why = str(error).partition(": ")
        name_unreadable([Unreadable(path, why)])
        return
    known = [name for name in CURVES if name in frame and frame[name].notna().any()]
    if not known:
        st.info("The blocks of this run have no training curves.")
        return
    columns = st.columns(2)
    for index, name in enumerate(known):
        with columns[index % 2]:
            label = CURVES[name]
            quantity = label.partition(",")[0]
            chart(f"curve {name}", f"{quantity[0].upper()}{quantity[1:]} over the route's steps.", charts.curves,
                  frame[["step", "stage", name]], value=name, label=label)  # fmt: skip


def _samples(view: View, item: Item, index: int) -> None:
    found, unreadable = caches.scores(view.results)
    name_unreadable(unreadable)
    by_protocol = {score.protocol: score for score in found.get(item.runs[index][1], [])}
    ordered = sorted(by_protocol, key=lambda protocol: (protocol.name, protocol.settings, protocol.engine))
    stored = {name: by_protocol[protocol] for name, protocol in samples.named(ordered).items()}
    if not stored:
        st.info("No score of this run's final checkpoint is stored.")
        return
    score = stored[choose("Suite", "suite", list(stored))]
    try:
        frame = caches.details(str(view.results), score.key)
    except FileError as error:
        path, _, why = str(error).partition(": ")
        name_unreadable([Unreadable(path, why)])
        return
    counts = frame["verdict"].value_counts()
    verdict = choose("Verdict", "verdict", ["all", *sorted(map(str, counts.index))])
    kept = frame if verdict == "all" else frame[frame["verdict"] == verdict]
    counted = ", ".join(f"{count:,} {words.code(name)}" for name, count in counts.items())
    st.markdown(f"{words.whole(len(frame), 'sample')}: {counted}.")
    st.dataframe(
        kept.head(SAMPLES_SHOWN).drop(columns="correct"), hide_index=True, width="stretch", height=260,
        column_config={"extracted": "extracted answer", "num_tokens": "tokens"},
    )  # fmt: skip
    if len(kept) > SAMPLES_SHOWN:
        st.caption(f"The first {SAMPLES_SHOWN} of {len(kept):,}; the CSV has all of them.")
    table("samples", kept)
    if kept.empty:
        return
    problems_shown = list(dict.fromkeys(kept["problem_id"].astype(str)))[:OFFERED]
    problem = choose("Problem", "problem", problems_shown)
    raw = switch_on("Plain text", "raw", "Show completions verbatim, without typesetting.")
    asked(view, score.protocol.suite, problem, raw)
    try:
        read = samples.completions(view.results, score.key, problem)
    except FileError as error:
        st.warning(words.code(error))
        return
    for sample in read:
        if verdict not in ("all", sample["verdict"]):
            continue
        st.markdown(
            f"Sample {sample['sample']}: {words.code(sample['verdict'])}, extracted answer "
            f"{words.code(sample['extracted'] or '(none)')}, {words.whole(sample['num_tokens'], 'token')}"
            f"{', truncated' if sample['truncated'] else ''}"
        )
        completion(str(sample["completion"]), raw)


def _log(study: StudyFrames, item: Item) -> None:
    path = study.folder.log("test") if item.tested else study.folder.trial_log(int(item.id.removeprefix("#")))
    lines = last_lines(path, LOG_LINES)
    st.subheader("Log")
    if not lines:
        st.info(f"No log {words.code(path.name)}: it was written elsewhere, or every block was already in the store.")
        return
    st.caption(f"The last {words.whole(len(lines), 'line')} of {words.code(path.name)}.")
    st.code("\n".join(lines), language=None, height=300)


def _repeat(view: View, study: StudyFrames, item: Item, chain: Chain[Block] | None, seed: int | None) -> None:
    st.subheader("Repeat this run")
    name = "SCENARIO" if study.report is None else study.report.scenario
    scenario = name if study.scenario is None else study.folder.scenario
    command = ["tuition", "run", item.allocation, "--scenario", str(scenario)]
    st.code(shlex.join([*command, *([] if seed is None else ["--seed", str(seed)])]), language=None, wrap_lines=True)
    if study.report is not None and study.report.command is not None:
        st.caption("Command of the whole study:")
        st.code(study.report.command, language=None, wrap_lines=True)
    if chain is None or not chain.blocks:
        return
    st.subheader("Versions")
    final = chain.blocks[-1]
    try:
        record = record_index.block_record(view.results, final.key)
    except (ValueError, OSError) as error:
        st.warning(words.code(error))
        return
    facts = {**record.versions, "python": record.python, "accelerator": record.accelerator, "host": record.host}
    st.dataframe(pd.DataFrame(list(facts.items()), columns=["what", "version"]), hide_index=True)
    with st.expander(f"Record of the last block, {final.key[:12]}"):
        st.code(record.model_dump_json(indent=1, exclude_none=True), language=None, height=300)
