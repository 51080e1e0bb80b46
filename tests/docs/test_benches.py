"""docs/benches.md, the data sheet: every field stands in it, its examples run as they are, its citation can be read."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.docs.documents import ROOT
from tuition.benchmarks.tables.recorded_table import SCHEMA, RecordedBlock
from tuition.benchmarks.tables.shipped import shipped_tables
from tuition.benchmarks.tables.table_header import Header, RecordedRecipe, RecordedSuite, UntrainedScore
from tuition.planner.space import SearchSpace
from tuition.planner.stages import STAGES

PAGE = (ROOT / "docs" / "benches.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


def documented(heading: str) -> set[str]:
    """The names in the first column of the table under this heading."""
    (rows,) = re.findall(rf"^\| {heading} \| .*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, flags=re.MULTILINE)
    return {name for row in rows.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}


def test_every_field_of_a_file_is_documented() -> None:
    assert documented("column") == set(SCHEMA.names)
    assert documented("field of a block") == set(RecordedBlock.model_fields)
    assert documented("field of the header") == set(Header.model_fields)
    assert documented("field of the recipe") == set(RecordedRecipe.model_fields)
    assert documented("field of the space") == set(SearchSpace.model_fields)
    inner = set(RecordedSuite.model_fields) | set(UntrainedScore.model_fields) | {stage.name for stage in STAGES}
    assert {name for name in inner if f"`{name}`" not in PAGE} == set()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs_beside_the_tables_that_ship(number: int, tmp_path: Path) -> None:
    for path in shipped_tables().values():
        shutil.copy(path, tmp_path)
    command = [sys.executable, "-W", "error::FutureWarning", "-c", EXAMPLES[number]]
    done = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert ("chosen: student_rl=5\n", "micro-b@")[number] in done.stdout  # as `tuition recorded` has it


def test_the_example_leaves_teachers_checkpoints_out_by_their_last_stage() -> None:
    assert {stage.name for stage in STAGES if stage.name.startswith("teacher")} == {
        stage.name for stage in STAGES if stage.model == "teacher"
    }


def test_the_citation_is_of_the_data_set_and_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "docs" / "benches_citation.cff").read_text(encoding="utf-8"))
    software = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["type"] == "dataset" and {"message", "title", "authors", "license"} <= citation.keys()
    for same in ("cff-version", "authors", "version", "license", "references"):
        assert citation[same] == software[same]
    (bibtex,) = re.findall(r"^```bibtex\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert citation["title"] in bibtex and citation["version"] in bibtex and citation["license"] in bibtex
    assert citation["references"][0]["title"] in bibtex.replace("{GRPO}", "GRPO") and bibtex.count("{") == bibtex.count(
        "}"
    )
