"""Tree: the study's blocks as a tree, what each cost, who uses it, and the best score below it."""

import pandas as pd
import streamlit as st

from tuition.app.dashboard import advice, charts, words
from tuition.app.dashboard.data import block_tree, caches
from tuition.app.dashboard.show import View, chart, choose, name_unreadable, no_study, table

DRAWN = 150  # our choice: more nodes than this cannot be distinguished
LISTED = 2000
WHOLE = "the whole tree"


def show(view: View) -> None:
    """The page."""
    st.title("Tree")
    if no_study(view) or view.study is None:
        return
    saved = advice.reuse_sentence(view.study.proposed)
    if saved is not None:
        st.markdown(f"**{saved}**")
    frame = caches.tree(view.results, view.study.name)
    name_unreadable(caches.blocks(view.results).unreadable)
    if frame.empty:
        st.info("No block of a complete trial is in the store.")
        return
    forks = frame[frame["uses"] > 1].sort_values(["uses", "depth"], ascending=[False, True]).head(300)
    names = {f"{label} {key[:12]}": node for label, key, node in forks[["label", "key", "node"]].to_numpy()}
    below = choose("Show blocks below", "node", [WHOLE, *names])
    shown = frame if below == WHOLE else block_tree.subtree(frame, names[below])
    drawn = drawn_frame(shown)
    if len(drawn) < len(shown):
        st.caption(f"Showing the {len(drawn)} most used of {len(shown):,} blocks.")
    left, right = st.columns(2)
    with left:
        about = (
            "Blocks, starting from the base models on the left. Size: runs that use it; colour: best score downstream."
        )
        chart("tree", about, charts.tree, drawn)
    with right:
        _table(shown)


def _table(shown: pd.DataFrame) -> None:
    listed = shown.head(LISTED)
    start = listed["depth"].min()
    frame = pd.DataFrame(
        {
            "block": [
                f"{'· ' * int(depth - start)}{label}"
                for depth, label in zip(listed["depth"], listed["label"], strict=True)
            ],
            "model": listed["model"],
            "GPU-s": listed["gpu_seconds"],
            "runs": listed["uses"],
            "saved": listed["saved"],
            "best": listed["score"],
            "key": listed["key"].str[:12],
        }
    )
    number = st.column_config.NumberColumn
    st.dataframe(
        frame, hide_index=True, width="stretch", height=520,
        column_config={
            "GPU-s": number(format="%.3g", help="With its rollouts, unless a block above needed them"),
            "runs": number("used by runs", help="Trials that use this block"),
            "saved": number("GPU-s saved", format="%.3g", help="Its cost times the number of reuses"),
            "best": number("best downstream, %", format="%.1f", help="Best validation score of the runs that use it"),
        },
    )  # fmt: skip
    if len(shown) > LISTED:
        st.caption(f"The first {LISTED:,} of {words.whole(len(shown), 'block')}; the CSV has all of them.")
    table("blocks", shown.drop(columns=["node", "parent", "row"]))


def drawn_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """What `charts.tree` draws of a tree's blocks."""
    columns = ["node", "parent", "depth", "row", "label", "uses", "score"]
    return block_tree.largest(frame, DRAWN)[columns].reset_index(drop=True)
