"""The archive of the recorded tables: the same bytes from the same files, whole, with checksums that hold."""

import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from tuition.benchmarks.tables.release import CHECKSUMS, archive, release_files, write_release
from tuition.benchmarks.tables.shipped import shipped_tables


def test_it_holds_every_table_with_sheet_licence_citation_and_right_checksums(tmp_path: Path) -> None:
    path = write_release(tmp_path / "dist")
    with zipfile.ZipFile(path) as packed:
        held = {name.removeprefix(f"{path.stem}/"): packed.read(name) for name in packed.namelist()}
    tables = {f"tables/{table.name}" for table in shipped_tables().values()}
    assert held.keys() == {"DATASHEET.md", "LICENSE", "CITATION.cff", CHECKSUMS, *tables}
    sums = dict(reversed(line.split("  ")) for line in held.pop(CHECKSUMS).decode().splitlines())
    assert sums == {name: hashlib.sha256(content).hexdigest() for name, content in held.items()}
    assert held["tables/" + next(iter(shipped_tables())) + ".parquet"].startswith(b"PAR1")


def test_the_same_files_give_the_same_bytes_in_any_order_and_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    files = release_files()
    first = archive(files, "benches")
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert archive(dict(reversed(files.items())), "benches") == first
    with zipfile.ZipFile(io.BytesIO(first)) as packed:
        assert {(info.date_time[0], info.external_attr >> 16) for info in packed.infolist()} == {(1980, 0o100644)}


def test_without_a_checkout_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="LICENSE is not there: make the archive in a checkout"):
        (tmp_path / "docs").mkdir()
        for name in ("benches.md", "benches_citation.cff"):
            (tmp_path / "docs" / name).touch()
        release_files(tmp_path)
