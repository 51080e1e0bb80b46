"""What all pages share: a chart with its downloads, choices kept in the URL, and how unreadable files are named."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from tuition.app.dashboard import charts, words
from tuition.app.dashboard.data.files import Unreadable
from tuition.app.dashboard.data.study_frames import StudyFrames

MIME: dict[charts.Format, str] = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}
MAX_UNREADABLE_SHOWN = 20


@dataclass(frozen=True)
class View:
    """What a page shows: a results folder and one of its studies (None if there is none)."""

    results: Path
    study: StudyFrames | None


def chart(name: str, about: str, plot: charts.Plot, frame: pd.DataFrame, **options: Any) -> None:
    """A chart of a frame, its downloads, and a text for those who cannot see it. `name` begins the files' names."""
    dark = st.context.theme.type == "dark"
    st.image(_png(plot, frame, options, _content(plot, frame, options), dark), caption=about, width="stretch")
    with st.popover("Download", icon=":material/download:", key=f"download {name}"):
        for format, mime in MIME.items():
            file, make = words.file_name([name]), partial(charts.render, plot, frame, format, **options)
            st.download_button(
                format.upper(), make, f"{file}.{format}", mime, key=f"{name} {format}", on_click="ignore"
            )
        table(name, frame)


def plot_before(plot: charts.Plot, frame: pd.DataFrame, **options: Any) -> None:
    """Draw a chart, light and dark, before it is requested."""
    for dark in (False, True):
        _png(plot, frame, options, _content(plot, frame, options), dark)


def _content(plot: charts.Plot, frame: pd.DataFrame, options: dict[str, Any]) -> str:
    """A hash of what is drawn: of the frame's numbers and texts; as CSV they would take ten times as long."""
    content = pd.util.hash_pandas_object(frame).to_numpy().tobytes()
    return hashlib.sha256(content + repr((plot.__name__, *frame.columns, options)).encode()).hexdigest()


def table(name: str, frame: pd.DataFrame, label: str = "CSV") -> None:
    """A button that downloads a frame as CSV."""
    file = words.file_name([name])
    st.download_button(
        label, partial(words.csv, frame), f"{file}.csv", "text/csv", key=f"{name} csv", on_click="ignore"
    )


@st.cache_resource(max_entries=200, show_spinner=False)
def _png(_plot: charts.Plot, _frame: pd.DataFrame, _options: dict[str, Any], content: str, dark: bool) -> bytes:
    return charts.render(_plot, _frame, "png", dark, transparent=True, **_options)


def choose(label: str, key: str, options: Sequence[str], default: str | None = None, help: str | None = None) -> str:
    """A choice kept in the URL under `key`. A value in the URL that is not an option is ignored."""
    _from_url(key, options, default)
    chosen = str(st.selectbox(label, options, key=key, help=help))
    to_url(key, chosen if chosen != (default or options[0]) else None)
    return chosen


def switch(label: str, key: str, options: Sequence[str], default: str | None = None) -> str:
    """The same for a few options of ours, side by side. Their names are Markdown: never texts of the data."""
    _from_url(key, options, default)
    chosen = st.segmented_control(label, options, key=key, required=True)
    to_url(key, chosen if chosen != (default or options[0]) else None)
    return str(chosen)


def _from_url(key: str, options: Sequence[str], default: str | None) -> None:
    asked = st.query_params.get(key)
    if st.session_state.get(key) not in options:
        st.session_state[key] = asked if asked in options else default if default in options else options[0]


def search_text(label: str, key: str) -> str:
    """A text kept in the URL."""
    if key not in st.session_state:
        st.session_state[key] = st.query_params.get(key, "")[:200]
    text = str(st.text_input(label, key=key, max_chars=200))
    to_url(key, text or None)
    return text


def switch_on(label: str, key: str, help: str | None = None) -> bool:
    """A switch kept in the URL; off unless the URL says 1."""
    if key not in st.session_state:
        st.session_state[key] = st.query_params.get(key) == "1"
    on = st.toggle(label, key=key, help=help)
    to_url(key, "1" if on else None)
    return on


def several(label: str, key: str, options: Sequence[str], default: Sequence[str], most: int) -> list[str]:
    """Several choices kept in the URL, separated by `~`; values that are not options are ignored."""
    if key not in st.session_state:
        asked = [name for name in st.query_params.get(key, "").split("~") if name in options]
        st.session_state[key] = list(dict.fromkeys(asked))[:most] or list(default)
    st.session_state[key] = [name for name in st.session_state[key] if name in options]
    chosen = st.multiselect(label, options, key=key, max_selections=most)
    to_url(key, "~".join(chosen) if chosen else None)
    return list(chosen)


def to_url(key: str, value: str | None) -> None:
    """Put a value into the URL, or take it out."""
    if value is None:
        st.query_params.pop(key, None)
    elif st.query_params.get(key) != value:
        st.query_params[key] = value


def name_unreadable(unreadable: Sequence[Unreadable]) -> None:
    """Name the files that could not be used; nothing where there are none."""
    if not unreadable:
        return
    many = len(unreadable) > 1
    lines = [f"{words.code(file.path)}: {words.code(file.reason)}" for file in unreadable[:MAX_UNREADABLE_SHOWN]]
    if len(unreadable) > MAX_UNREADABLE_SHOWN:
        lines.append(f"and {len(unreadable) - MAX_UNREADABLE_SHOWN} more")
    head = f"{len(unreadable)} files could not be used" if many else "One file could not be used"
    st.warning(
        f"{head}; everything else is shown.\n\n" + "\n".join(f"- {line}" for line in lines), icon=":material/warning:"
    )


def no_study(view: View) -> bool:
    """Say what to do where there is no study yet; True if so."""
    if view.study is not None:
        return False
    st.info("No study yet. Start a search; this page shows it while it runs.", icon=":material/hourglass:")
    st.code("tuition search --scenario micro --trials 6", language=None)
    return True
