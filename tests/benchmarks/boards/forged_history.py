"""Forged histories: changelog, protocol, title, and which entries are listed."""

import json
from pathlib import Path

from tests.benchmarks.forged_boards import SUITE, Document, Forger, named, relist, rewrite
from tuition.benchmarks.boards.board_folder import MANIFEST, read_manifest, write_manifest


def rival_dropped(board: Path) -> None:
    """Without a trace in changelog or folder, but in the chain that somebody may know the head of."""
    id, document = named(board, "teacher-upstream")
    text = (board / MANIFEST).read_text()
    manifest = json.loads(text)
    for change in manifest["changelog"]:
        change["added"] = [added for added in change["added"] if added != id]
    (board / MANIFEST).write_text(json.dumps(manifest))
    (board / "entries" / f"{id}.json").unlink()
    for run in document["samples"]:
        (board / "samples" / f"{run['sha256']}.parquet").unlink()


def history_rewritten(board: Path) -> None:
    text = (board / MANIFEST).read_text()
    (board / MANIFEST).write_text(text.replace("Protocol declared", "Protocol declared on Monday"))


def fewer_seeds_declared(board: Path) -> None:
    manifest = json.loads((board / MANIFEST).read_text())
    manifest["protocols"][0]["training_seeds"] = [1, 3]
    (board / MANIFEST).write_text(json.dumps(manifest))


def other_counts_declared(board: Path) -> None:
    """A protocol of half the labels a block, and entries that fit it."""

    def change(manifest: Document) -> None:
        manifest["protocols"][0]["scenario"]["labels_per_block"] = 4

    rewrite(board, change)
    for name in ("direct", "half", "teacher-upstream"):
        id, document = named(board, name)
        relist(board, id, {**document, "labels_trained": document["labels_trained"] // 2})


def path_as_id(board: Path) -> None:
    text = (board / MANIFEST).read_text()
    (board / MANIFEST).write_text(text.replace(named(board, "direct")[0], "../../../etc/passwd"))


def with_text(old: str, new: str) -> Forger:
    """A forger who writes over a text of the manifest."""

    def forge(board: Path) -> None:
        text = (board / MANIFEST).read_text()
        assert old in text
        (board / MANIFEST).write_text(text.replace(old, new, 1))

    return forge


def with_title(board: Path) -> None:
    with_text(f'"title": "{read_manifest(board).title}"', '"title": "The best board"')(board)


def of_last_change(**fields: object) -> Forger:
    """A forger who changes the last change, and has the chain fit."""
    return lambda board: rewrite(board, lambda manifest: manifest["changelog"][-1].update(fields))


def rival_removed(board: Path) -> None:
    of_last_change(removed=[named(board, "teacher-upstream")[0]])(board)


def admits_others(board: Path) -> None:
    """A suite that is admitted, without a new major version, with a chain that fits."""
    manifest = read_manifest(board)
    declared = manifest.declared.model_copy(update={"suites": (SUITE,)})
    last = manifest.changelog[-1].model_copy(update={"declared": declared})
    changed = manifest.model_copy(update={"suites": (SUITE,), "changelog": (*manifest.changelog[:-1], last)})
    write_manifest(board, changed)


FORGED_HISTORY: dict[str, tuple[Forger, str]] = {
    "a rival dropped": (rival_dropped, "the chain of the changelog breaks at version 1.2"),
    "an older change rewritten": (history_rewritten, "the chain of the changelog breaks at version 1.1"),
    "another title": (with_title, "title not as in the changelog"),
    "another address": (with_text('"url": null', '"url": "https://example.org"'), "url not as in the changelog"),
    "a date to come": (of_last_change(date="2999-01-01"), "date: stated 2999-01-01, recomputed not after"),
    "a date before the last": (of_last_change(date="2001-01-01"), "date: stated 2001-01-01, recomputed not before"),
    "no day of any year": (of_last_change(date="2026-13-45"), "date: stated 2026-13-45, recomputed a date"),
    "removed in a minor version": (rival_removed, "which removes"),
    "admits others": (admits_others, "which admits other suites or presets"),
    "fewer seeds declared": (fewer_seeds_declared, "the chain of the changelog breaks at version 1.0"),
    "a protocol of other label counts": (
        other_counts_declared, "labels_per_block (the protocol of micro-test@1/12): stated 4, recomputed 8"
    ),
    "a path as id": (path_as_id, "changelog"),
}  # fmt: skip
"""A forger by what it forges, and what refuses it."""
