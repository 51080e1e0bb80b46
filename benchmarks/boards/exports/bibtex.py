"""BibTeX: one record for the leaderboard, one for each entry. A reported entry cites its source, not us."""

from tuition.benchmarks.boards.entries import MeasuredEntry
from tuition.benchmarks.boards.exports.cell_text import percent, short
from tuition.benchmarks.boards.loaded_board import Board, Listed
from tuition.benchmarks.boards.manifest import Manifest
from tuition.benchmarks.boards.standings import Standings

TEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "%": r"\%", "$": r"\$", "#": r"\#", "&": r"\&", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$",
}  # fmt: skip


def escape(text: object) -> str:
    """Text as LaTeX shows it, letter by letter."""
    return "".join(TEX.get(letter, letter) for letter in str(text))


def _record(key: str, fields: dict[str, str]) -> str:
    lines = [f"  {name:<12} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{key},", *lines, "}"])


def board_record(manifest: Manifest) -> str:
    """How to cite the leaderboard in its present version."""
    last = manifest.changelog[-1]
    fields = {
        "title": f"{{{escape(manifest.title)}}}, version {manifest.version}",
        "author": f"{{Contributors to {escape(manifest.title)}}}",
        "year": last.date[:4],
        "note": f"Leaderboard {escape(manifest.name)}, version {manifest.version} of {last.date}, made with Tuition",
        "url": manifest.url or "",
    }
    # "@" begins a record, so that a key should not hold it.
    return _record(f"tuition-{manifest.name.replace('@', '-')}-{manifest.version}", fields)


def entry_record(manifest: Manifest, listed: Listed) -> str:
    """How to cite one entry by its permanent id."""
    entry = listed.entry
    id = f"entry {listed.id}"
    if isinstance(entry, MeasuredEntry):
        fields = {
            "title": f"{{{escape(entry.name)}}} on {escape(entry.suite)}",
            "author": f"{{{escape(manifest.title)}}}",
            "year": str(manifest.year(listed.id)),
            "note": f"{percent(entry.score.mean)} \\% (avg@{entry.num_samples}), measured; {id} of leaderboard "
            f"{escape(manifest.name)}",
            "url": manifest.url or "",
        }
    else:
        eprint = entry.source.identifier.removeprefix("arXiv:")
        fields = {
            "title": f"{{{escape(entry.source.title)}}}",
            "author": " and ".join(escape(author) for author in entry.source.authors),
            "year": str(entry.source.year),
            "eprint": escape(eprint) if eprint != entry.source.identifier else "",
            "archivePrefix": "arXiv" if eprint != entry.source.identifier else "",
            "note": f"{escape(entry.source.table)}; {escape(entry.name)} on {escape(entry.suite)}: "
            f"{percent(entry.score.mean)} \\%, as reported; {id}",
            "url": entry.source.url,
        }
    return _record(f"tuition-{short(listed.id)}", fields)


def bibtex(board: Board, shown: Standings) -> str:
    """All records."""
    records = [board_record(board.manifest), *(entry_record(board.manifest, listed) for listed in board.entries)]
    return "\n\n".join(records) + "\n"
