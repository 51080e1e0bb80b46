"""The dashboard's frame: navigation, the choice of a study, and what is damaged. `entry.py` is what Streamlit runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from app.dashboard import caches
from app.dashboard.files import Problem
from app.dashboard.pages import allocations, compare, decision
from app.dashboard.show import View, choose, name_problems
from app.dashboard.studies import Study, study_names

# By the path in the URL; the first is shown where the URL names none.
PAGES: dict[str, tuple[str, str, Callable[[View], None]]] = {
    "decision": ("Decision", ":material/balance:", decision.show),
    "allocations": ("Allocations", ":material/scatter_plot:", allocations.show),
    "compare": ("Compare", ":material/compare_arrows:", compare.show),
}


def run(results: Path) -> None:
    """Show the page that the URL names."""

    def page(path: str) -> st.Page:
        title, icon, show = PAGES[path]
        return st.Page(lambda: show(view), title=title, icon=icon, url_path=path, default=path == next(iter(PAGES)))

    pages = {path: page(path) for path in PAGES}
    st.session_state["pages"] = pages
    chosen = st.navigation(list(pages.values()))
    # After the pages, whose icons Streamlit would otherwise fetch for the browser's tab from another server.
    st.set_page_config(f"{chosen.title} - Tuition", _icon(), layout="wide")
    with st.sidebar:
        view = View(results, _chosen_study(results))
        st.caption("Read only. GPU-seconds are processor time on a CPU.")
    problems: tuple[Problem, ...] = view.study.problems if view.study is not None else ()
    if not results.is_dir():
        problems = (Problem(results.name, "there is no such folder: name one, or run a search first"),)
    name_problems(problems)
    chosen.run()
    caches.warm(results)  # after the first page, which needs none of it


def _chosen_study(results: Path) -> Study | None:
    names = study_names(results)
    return caches.study(results, choose("Study", "study", names)) if names else None


def _icon() -> Any:
    """Three bars: labels for the teacher, for the student, unspent."""
    icon = np.zeros((32, 32, 4), dtype=np.uint8)
    for top, width, colour in ((3, 28, (0, 114, 178)), (13, 18, (213, 94, 0)), (23, 10, (160, 160, 160))):
        icon[top : top + 7, 2 : 2 + width] = (*colour, 255)
    return icon
