"""What is read and drawn before the dashboard serves: what its first visitor would wait for."""

from pathlib import Path

from tuition.app.dashboard import charts
from tuition.app.dashboard.data import caches, samples
from tuition.app.dashboard.data.study_frames import StudyFrames, study_names
from tuition.app.dashboard.show import plot_before
from tuition.app.dashboard.views import allocations, compare, tree
from tuition.benchmarks.artefacts import FileError


def prepare(results: Path) -> None:
    """Read all records and the study that the first page shows, and draw the charts with most points.

    Reading while pages are served would be no faster for the reader: it takes the interpreter that draws the pages.
    """
    caches.blocks(results)
    found, _ = caches.scores(results)
    names = study_names(results)
    if not names:
        return
    blocks = caches.tree(results, names[0])
    if not blocks.empty:
        plot_before(charts.tree, tree.drawn_frame(blocks))
    study = caches.study(results, names[0])
    _draw_allocations(study)
    items = caches.items(results, study.name)
    chosen = [items[name] for name in compare.first(items)]
    for protocol in samples.protocols(chosen, found)[:1] if len(chosen) > 1 else []:
        for item in chosen:
            try:
                caches.sampled(results, item, protocol, found)
            except FileError:
                continue  # the page names it


def _draw_allocations(study: StudyFrames) -> None:
    frame = allocations.prepared(study)
    done = frame if frame.empty else allocations.kept(frame).dropna(subset=["percent"])
    if not done.empty:
        plot_before(charts.simplex, allocations.simplex_frame(done))
        plot_before(charts.cost, allocations.cost_frame(done))
        plot_before(charts.parallel, allocations.parallel_frame(done))
