"""The dashboard's frame: navigation, the choice of a study, and what is damaged. `entry.py` is what Streamlit runs."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from tuition.app.dashboard.data import caches
from tuition.app.dashboard.data.files import Unreadable
from tuition.app.dashboard.data.study_frames import StudyFrames, study_names
from tuition.app.dashboard.show import View, choose, name_unreadable
from tuition.app.dashboard.views import allocations, compare, decision, leaderboards, live, tree
from tuition.app.dashboard.views import run as run_page

# By the path in the URL; the first is shown where the URL names none.
PAGES: dict[str, tuple[str, Callable[[View], None]]] = {
    "decision": ("Decision", decision.show),
    "allocations": ("Allocations", allocations.show),
    "compare": ("Compare", compare.show),
    "run": ("Run", run_page.show),
    "tree": ("Tree", tree.show),
    "leaderboards": ("Leaderboards", leaderboards.show),
    "live": ("Live", live.show),
}


def run(results: Path) -> None:
    """Show the page that the URL names."""
    # No icons, neither here nor on the pages: Streamlit fetches those for the browser's tab from another server.
    st.set_page_config("Tuition", layout="wide")

    def page(path: str) -> st.Page:
        title, show = PAGES[path]
        return st.Page(lambda: show(view), title=title, url_path=path, default=path == next(iter(PAGES)))

    pages = {path: page(path) for path in PAGES}
    st.session_state["pages"] = pages
    chosen = st.navigation(list(pages.values()))
    with st.sidebar:
        view = View(results, _chosen_study(results))
        st.caption("Read-only. On a CPU, GPU-seconds are processor time.")
    unreadable: tuple[Unreadable, ...] = view.study.unreadable if view.study is not None else ()
    if not results.is_dir():
        unreadable = (
            Unreadable(
                results.name, "no such folder: start `tuition app` with a results folder, or run a search first"
            ),
        )
    name_unreadable(unreadable)
    chosen.run()


def _chosen_study(results: Path) -> StudyFrames | None:
    names = study_names(results)
    return caches.study(results, choose("Study", "study", names)) if names else None
