"""The recorded tables as a release of their own: one archive with data sheet, licence, citation and checksums.

    python -m tuition.benchmarks.tables.release dist        # or `make benches`

What: `release_files` lists what the archive holds, `archive` makes its bytes. The same files give the same bytes,
anywhere: nothing is compressed (the tables are already), and no date, owner or order comes from the disk. It needs a
checkout, because the data sheet and the licence are not part of an installation.
"""

import hashlib
import io
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tuition.benchmarks.artefacts import write_bytes
from tuition.benchmarks.provenance import ROOT
from tuition.benchmarks.tables.shipped import shipped_tables

CHECKSUMS = "SHA256SUMS"
_FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that the format knows


def release_files(root: Path = ROOT) -> dict[str, bytes]:
    """What the archive holds, by name; the checksums are in the form that `sha256sum --check` reads."""
    found = {
        "DATASHEET.md": root / "docs" / "benches.md",
        "LICENSE": root / "LICENSE",
        "CITATION.cff": root / "docs" / "benches_citation.cff",
        **{f"tables/{path.name}": path for path in shipped_tables().values()},
    }
    missing = [str(path) for path in found.values() if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"{missing[0]} is not there: make the archive in a checkout of the repository")
    files = {name: path.read_bytes() for name, path in sorted(found.items())}
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items())
    return {**files, CHECKSUMS: sums.encode()}


def archive(files: Mapping[str, bytes], folder: str) -> bytes:
    """A ZIP of the files within one folder."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as packed:
        for name, part in sorted(files.items()):
            entry = zipfile.ZipInfo(f"{folder}/{name}", _FIRST_DATE)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16  # a file of Unix, on every system
            packed.writestr(entry, part)
    return content.getvalue()


def write_release(folder: Path, root: Path = ROOT) -> Path:
    """Write the archive; its name has the version of the package."""
    version = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    name = f"tuition-benches-{version}"
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / f"{name}.zip", archive(release_files(root), name))
    return folder / f"{name}.zip"


if __name__ == "__main__":
    written = write_release(Path(sys.argv[1] if len(sys.argv) > 1 else "dist"))
    print(f"{hashlib.sha256(written.read_bytes()).hexdigest()}  {written}")
