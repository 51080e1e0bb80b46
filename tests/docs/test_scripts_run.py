"""Every script that README or docs name is run, at a tiny size.

A script that nothing runs breaks without a word when the code that it calls is changed.
"""

import gzip
import json
import re
from pathlib import Path

import pytest
import yaml

from tests.app.browser.served import CHROMIUM
from tests.docs.documents import DOCUMENTS, ROOT, code_of
from tests.docs.forked_script import run
from tests.runners.conftest import tiny_scenario_file

pytestmark = pytest.mark.xdist_group("scripts")  # they share the process that they are forked from

TINY: dict[str, list[str]] = {
    "tests.benchmarks.grading.test_hostile": ["--limit", "0.5", "--rows", "4"],
    "tests.experiments.advice_calibration": ["--problems", "1", "--budget", "0.1"],
    "tests.experiments.base_pass_rates": ["--scenario", "{tiny}", "--problems", "2", "--samples", "2"],
    "tests.experiments.correction.mismatch": [
        "--model", "runners/scenarios/micro/student", "--completions", "1", "--length", "16",
    ],
    "tests.experiments.costs.fit": [],
    "tests.experiments.dashboard_pictures": ["{results}", "--only", "tree", "--out", "{folder}"],
    "tests.experiments.gpu.check": [],
    "tests.experiments.grading_rules": ["--data", "{data}", "--rows", "3"],
    "tests.experiments.leaderboard_picture": ["--out", "{folder}/leaderboard.png"],
    "tests.experiments.marginal_values": [
        "--tables", "micro-b@2", "--budget", "0.1", "--repeats", "1", "--draws", "1",
    ],
    "tests.experiments.micro_c.splits": [
        "--scenario", "{tiny}", "--seeds", "0", "--first", "2", "--results", "{folder}/results",
    ],
    "tests.experiments.recorded_again": [
        "--table", "micro-b@2", "--rows", "1", "--seed", "3", "--results", "{folder}/again",
    ],
    "tests.experiments.scarcity.label_curves": [
        "--scenario", "{tiny}", "--labels", "8", "--seeds", "0", "1", "--results", "{folder}/results", "--workers", "1",
    ],
    "tests.experiments.sharing.closing": ["--scenario", "{tiny}", "--seeds", "0"],
    "tests.experiments.sharing.compare": ["tests/experiments/sharing/micro.parquet"],
    "tests.experiments.sharing.recipes": ["--scenario", "{tiny}", "--seeds", "0", "--share", "0.5"],
    "tests.experiments.sharing.train": [
        "--scenario", "{tiny}", "--seeds", "2", "--workers", "1", "--first", "2", "--results", "{folder}/results",
        "--out", "{folder}/sharing.parquet",
    ],
    "tests.experiments.simulations.checkpoint_coverage": ["--repetitions", "2"],
    "tests.experiments.simulations.coverage": [
        "--repetitions", "2", "--seeds", "1", "2", "--problems", "30", "--ratios", "0", "1",
    ],
    "tests.experiments.simulations.error_bars": [],
    "tests.experiments.simulations.false_tables": ["--repetitions", "2"],
    "tests.experiments.simulations.few_problems": ["--repetitions", "2"],
    "tests.experiments.simulations.score_coverage": ["--repetitions", "4"],
    "tests.experiments.sll_parses": ["--data", "{data}", "--rows", "3"],
    "tests.experiments.speed.bookkeeping": ["--trials", "5", "10", "--measured", "2"],
    "tests.experiments.speed.dashboard": ["{results}", "--repeats", "1"],
    "tests.experiments.speed.grading_throughput": ["--data", "{data}", "--only", "Rho", "--workers", "1"],
    "tests.experiments.speed.host_memory": ["--layers", "1", "--width", "16", "--sharding", "none"],
    "tests.experiments.speed.memory": ["--scenario", "{tiny}", "--stages", "teacher_rl"],
    "tests.experiments.speed.planning": [
        "--seeds", "1", "--scores", "20", "--teachers", "1", "--blocks", "3", "--bridge", "2", "--live", "{tiny}",
    ],
    "tests.experiments.speed.replay": ["--routes", "8", "--passes", "1", "--trials", "2"],
    "tests.experiments.speed.served_logits": ["--positions", "8", "--vocabulary", "50"],
    "tests.experiments.speed.side_by_side": ["--scenario", "{tiny}", "--sequences", "8", "--repeats", "1"],
    "tests.experiments.speed.small_things": [
        "--blocks", "20", "--study-trials", "20", "--pairs", "1", "--trials", "0",
    ],
    "tests.experiments.speed.stage_overhead": ["--pairs", "1", "--warm-up", "0", "--scenario", "{tiny}"],
    "tests.faults.kill_search": [
        "--kills", "1", "--trials", "1", "--workers", "1", "--longest-wait", "1", "--folder", "{folder}/results",
    ],
    "tests.runners.training.pin_golden_curves": ["opd", "--out", "{folder}/golden.json"],
}  # fmt: skip
"""Arguments that make a script tiny; {tiny} is a scenario of one step a block, {results} a results folder of a few runs
that was made up, {data} a folder of outputs to grade, {folder} an empty folder."""

SAYS = {"tests.experiments.gpu.check": "gpu-check skipped: PyTorch sees no GPU here"}
"""What a script says that cannot do its work here. It ends well then, and its parts are tested in its folder."""

MADE_UP = "tests.experiments.speed.synthetic_results"
"""It makes {results}."""

WHOLE = "tests.docs.fill_evidence"
"""It has no tiny size: test_evidence_in_docs.py runs it, and holds the pages against what it writes."""


def named_scripts() -> set[str]:
    """The modules of `tests` that documents call."""
    found = set()
    for document in DOCUMENTS:
        for line in code_of(document.read_text()):
            for named in re.findall(r"python -m (tests[.\w]*(?:\|\w+)*)", line):
                first, *others = named.split("|")  # `python -m tests.a|b` names two
                found |= {first, *(f"{first.rpartition('.')[0]}.{other}" for other in others)}
            found |= {path.replace("/", ".") for path in re.findall(r"python (tests/[\w/]+)\.py", line)}
    return {module for module in found if (ROOT / f"{module.replace('.', '/')}.py").exists()}


def test_every_script_that_documents_name_is_run() -> None:
    assert named_scripts() - (TINY.keys() | {MADE_UP, WHOLE}) == set(), "say how it is run at a tiny size"
    assert "tests.experiments.speed.memory" in named_scripts()


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_scenario_file()))
    return path


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made-up")
    done = run(MADE_UP, [f"{folder}/results", "--runs", "6"], folder / "output")
    assert done.status == 0, done.output[-2000:]
    return folder / "results"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = {
        "samples_qwen_math100_k8": {
            "id": "q", "gold": "2", "samples": [{"response": r"It is \boxed{2}.", "correct": True}],
        },
        "grader_cases_model_outputs": {
            "id": "m", "gold": "2", "kind": "extracted", "prediction": "3", "correct": False, "arguable": False,
        },
        "samples_rho1_greedy": {
            "model": "m", "problem_id": "p", "gold": "1/2", "pred": r"\frac{1}{2}", "correct": True,
        },
    }  # fmt: skip
    for name, row in rows.items():
        (tmp_path / f"{name}.jsonl.gz").write_bytes(gzip.compress(json.dumps(row).encode()))
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("module", sorted(TINY))
def test_a_script_runs_at_a_tiny_size(module: str, tiny: Path, request: pytest.FixtureRequest) -> None:
    places = {"tiny": tiny, "folder": tiny.parent}
    if "{results}" in TINY[module]:
        if CHROMIUM is None:
            pytest.skip("no chromium: .ci/install-browser installs Debian's (root, apt)")
        places["results"] = request.getfixturevalue("results")
    if "{data}" in TINY[module]:
        places["data"] = request.getfixturevalue("data")
    done = run(module, [argument.format(**places) for argument in TINY[module]], tiny.parent / "output")
    assert done.status == 0, done.output[-2000:]
    assert SAYS.get(module, "") in done.output
    assert done.output.strip() or (tiny.parent / "golden.json").exists()


@pytest.mark.slow
def test_a_made_up_folder_has_every_runs_scores_and_a_report(results: Path) -> None:
    assert len(list((results / "scores").glob("??/*/record.json"))) >= 6 * 7
    assert (results / "studies" / "synthetic-seed0" / "report.json").is_file()


@pytest.mark.slow
def test_the_gpu_checks_resume_a_killed_block_and_train_in_memory(tmp_path: Path) -> None:
    from tests.experiments.gpu.resume import check_in_memory, check_resume

    scenario = tiny_scenario_file()
    scenario["stages"]["student_rl"] |= {"steps": 3, "lr_warmup_steps": 0}
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(scenario))
    for check in (check_resume, check_in_memory):
        told, is_so = check(file, tmp_path / "work", "student_rl=2")
        assert is_so and "undisturbed: bit for bit" in told, told
