"""`tuition power`: the answer, the number left out, components of a tested study, and wrong input."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.app.conftest import Command
from tests.app.studies.made_report import evaluation, write_tested
from tuition.app.scoring.power_report import measured_components
from tuition.app.studies.study_report import read_report
from tuition.benchmarks.artefacts import SAMPLE_COLUMNS
from tuition.benchmarks.boards.ranked_rows import Meta, Row, pairwise_differences, rank_rows, to_json
from tuition.benchmarks.scoring.score_store import Making, ScoreKey, ScoreStore
from tuition.benchmarks.statistics.intervals import paired_difference, score_over_seeds
from tuition.benchmarks.statistics.multiplicity import RANKED_SEEDS
from tuition.benchmarks.statistics.power import estimate_components


def test_the_number_left_out_is_solved_for(tuition: Command) -> None:
    sizes = {"difference": "3", "problems": "500", "samples": "16", "seeds": "5"}
    power = json.loads(tuition("power", *options(sizes), "--json").stdout)
    assert power["asked"] == "power" and 0.9 < power["answer"]["power"] < 1
    assert [row["seeds"] for row in power["by_seeds"]] == [1, 2, 3, 5, 10]
    for name in sizes:
        rest = {key: value for key, value in sizes.items() if key != name}
        solved = json.loads(tuition("power", *options(rest), "--json").stdout)
        assert solved["asked"] == name
        assert 0.8 - 1e-3 <= solved["answer"]["power"] < 0.97
        found = 100 * solved["answer"][name] if name == "difference" else solved["answer"][name]
        assert found <= float(sizes[name])  # 0.8 takes less than what has 0.9


def options(sizes: dict[str, str]) -> list[str]:
    return [part for name, value in {"seed-sd": "1", **sizes}.items() for part in (f"--{name}", value)]


def test_the_table_names_what_one_seed_leaves_out(tuition: Command) -> None:
    result = tuition("power", "--difference", "2", "--problems", "500", "--samples", "16", "--seeds", "1")
    assert result.returncode == 0
    assert "excludes training variance" in result.stdout and "assumed" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--problems", "30"], "--difference and --samples and --seeds are missing"),
        (["--difference", "300", "--problems", "30", "--samples", "4", "--seeds", "3"], "differ by at most 100 points"),
        (
            ["--difference", "60", "--problems", "30", "--samples", "4", "--accuracy", "75"],
            "two scores that are 75 % on average differ by at most 50 points",
        ),
        (["--difference", "1", "--samples", "1", "--seeds", "3"], "the others limit it"),
        (["--problems", "1", "--samples", "1", "--seeds", "3"], "--problems"),
        (["--problems", "30", "--samples", "1", "--seeds", "3", "--accuracy", "101"], "accuracy is 101"),
        (["--problems", "30", "--samples", "1", "--seeds", "3", "--level", "95"], "level is 95"),
        (["--problems", "30", "--samples", "1", "--seeds", "3", "--seed-sd", "nan"], "seed_sd is nan"),
        (["--problems", "30", "--samples", "1", "--seeds", "3", "--from", "../x"], "no tested study '../x'"),
        (
            ["--problems", "30", "--samples", "1", "--seeds", "2", "--rows", "6"],
            "a table of 6 rows with 2 seeds ranks none",
        ),
        (["--problems", "30", "--samples", "1", "--seeds", "3", "--board", "x"], "'x' is neither a folder nor"),
        (["--problems", "30", "--samples", "1", "--seeds", "3", "--table", "x"], "'x' is neither a file nor"),
        (["--problems", "30", "--samples", "1", "--seeds", "3", "--a", "half"], "give one of these"),
        (
            ["--problems", "30", "--samples", "1", "--seeds", "3", "--board", "micro@1", "--a", "nobody"],
            "has no 'direct' and 'nobody' in one table",
        ),
        (["--problems", "30", "--samples", "1", "--seeds", "3", "--board", "a", "--table", "b"], "give one source"),
    ],
)
def test_wrong_input_is_one_line_and_code_2(tuition: Command, arguments: list[str], message: str) -> None:
    result = tuition("power", *arguments)
    assert result.returncode == 2 and message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1 and result.stdout == ""


SUITE = "a-suite@1"


@pytest.fixture
def tested_study(tmp_path: Path) -> Path:
    """A results folder with a study of two entries on three seeds: leaderboard, report and real score folders."""
    rng = np.random.default_rng(0)
    results = tmp_path / "results"
    rate_P = rng.beta(1, 1, 20)
    outcomes = {
        name: [rng.binomial(1, np.clip(rate_P[:, None] + gain, 0, 1), (20, 4)) for _ in range(3)]
        for name, gain in (("direct", 0.0), ("half", 0.1))
    }
    runs = {}
    for name, arrays in outcomes.items():
        runs[name] = []
        for seed, outcomes_PK in enumerate(arrays):
            weights = f"{name}-{seed}"
            decoding = {"name": "sampled", "temperature": 1.0}
            store = ScoreStore(results / "scores")
            key = ScoreKey(weights, SUITE, decoding, 4, 0, "an engine", "a grader")
            runs[name].append({"seed": seed, "score": store.save(key, table(outcomes_PK), Making()).key})
            # The same weights may have other scores as well, of a bench.
            store.save(replace(key, sampling_seed=1), table(outcomes_PK[:, :2]), Making())
    rows = [
        Row(
            name, "student_rl=1", "baseline", score_over_seeds(arrays),
            None if name == "direct" else paired_difference(arrays, outcomes["direct"]), None, 8, 1.0, (0, 1, 2),
        )
        for name, arrays in outcomes.items()
    ]  # fmt: skip
    folder = results / "studies" / "s"
    folder.mkdir(parents=True)
    meta = Meta("s", SUITE, "sampled", labels_validation=8, labels_owned=16)
    document = to_json(rank_rows(rows, pairwise_differences(outcomes)), meta)
    (folder / "leaderboard.json").write_text(json.dumps(document))
    write_tested(folder / "report.json", evaluation(runs), document)
    expected = estimate_components(outcomes["half"], outcomes["direct"])
    (tmp_path / "expected.json").write_text(json.dumps(vars(expected)))
    return results


def table(outcomes_PK: np.ndarray) -> pd.DataFrame:
    rows = [
        {
            "problem_id": f"problem {p:02}",
            "sample": k,
            "correct": bool(correct),
            "verdict": "correct" if correct else "wrong",
            "extracted": "1",
            "completion": "\\boxed{1}",
            "num_tokens": 3,
            "truncated": False,
            "level": None,
            "subject": None,
        }
        for (p, k), correct in np.ndenumerate(outcomes_PK)
    ]
    return pd.DataFrame(rows)[list(SAMPLE_COLUMNS)]


QUESTION = ["power", "--from", "s", "--problems", "20", "--samples", "4", "--seeds", "3"]


def test_components_come_from_a_tested_study(tested_study: Path, tuition: Command) -> None:
    document = json.loads(tuition(*QUESTION, "--a", "half", "--json").stdout)  # minus direct
    assert document["components_from"] == "measured: half - direct of study s"
    expected = json.loads(tested_study.with_name("expected.json").read_text())
    assert document["components"] == pytest.approx(expected) and expected["sample_sd"] > 0.3


@pytest.mark.parametrize(
    ("arguments", "source"),
    [
        (["--from", "s"], "root mean square over pairs of 2 rows of study s"),
        (["--board", "micro@1", "--a", "half"], "half - direct of leaderboard micro@1"),
        (["--table", "micro@1", "--a", "half"], "half - direct of recorded table micro@1"),
        (["--board", "micro@1"], "root mean square over pairs of 11 rows of leaderboard micro@1"),
    ],
)
def test_variances_come_from_what_is_named(
    tested_study: Path, tuition: Command, arguments: list[str], source: str
) -> None:
    document = json.loads(
        tuition("power", "--problems", "20", "--samples", "4", "--seeds", "3", *arguments, "--json").stdout
    )
    assert document["components_from"] == f"measured: {source}"
    assert 0 < document["components"]["sample_sd"] < 1


def test_a_whole_table_takes_more_seeds_and_starts_at_three(tuition: Command) -> None:
    question = ["power", "--difference", "6", "--problems", "400", "--samples", "8", "--json"]
    alone, table = (json.loads(tuition(*question, *rows).stdout) for rows in ([], ["--rows", "11"]))
    assert alone["components_from"].startswith("seeds as in micro@1 and micro-b@1")
    assert alone["answer"]["rows"] is None and table["answer"]["rows"] == 11
    assert table["answer"]["seeds"] > alone["answer"]["seeds"] and table["answer"]["power"] >= 0.8
    shown = tuition(*question[:-1], "--seeds", "5", "--rows", "11").stdout
    assert "in a table of 11 rows" in shown and "correction over 55 pairs" in shown


def test_no_fewer_seeds_are_advised_than_are_ranked_and_it_is_said(tuition: Command) -> None:
    question = ["power", "--difference", "99", "--problems", "500", "--samples", "16"]
    assert json.loads(tuition(*question, "--json").stdout)["answer"]["seeds"] == RANKED_SEEDS
    assert "3 seeds are the least that is advised: rows of fewer have no rank" in tuition(*question).stdout
    given = json.loads(tuition(*question, "--seeds", "2", "--json").stdout)
    assert given["warnings"] == ["rows of fewer than 3 training seeds have no rank, whatever their power"]


def test_a_difference_that_scores_cannot_have_is_said(tuition: Command) -> None:
    question = ["power", "--problems", "30", "--samples", "16", "--seeds", "2", "--accuracy", "20", "--json"]
    (limit, _) = json.loads(tuition(*question).stdout)["warnings"]
    assert limit.startswith("two scores that are 20 % on average differ by at most 40 points")


@pytest.mark.parametrize(
    ("num_seeds", "num_problems", "reasons"),
    [
        (2, 400, ["1 degree of freedom"]),
        (3, 4, ["2 degrees of freedom", "on 4 problems the noise of a run's mean hides it"]),
    ],
)
def test_a_seed_variance_that_is_hardly_known_is_doubted(num_seeds: int, num_problems: int, reasons: list[str]) -> None:
    rng = np.random.default_rng(3)
    runs = [{seed: rng.binomial(1, 0.5, (num_problems, 4)) for seed in range(num_seeds)} for _ in range(2)]
    (doubt,) = measured_components(dict(zip("ab", runs, strict=True)), "a", "b", "a test").warnings
    assert all(reason in doubt for reason in reasons) and "--seed-sd 3 as in the recorded tables" in doubt
    several = {
        f"row {n}": {seed: rng.binomial(1, rng.uniform(0.2, 0.8), (400, 4)) for seed in range(4)} for n in range(4)
    }
    assert measured_components(several, None, None, "a test").warnings == ()


def test_an_entry_that_is_not_there_is_named(tested_study: Path, tuition: Command) -> None:
    unknown = tuition(*QUESTION, "--a", "nobody")
    assert unknown.returncode == 2 and "no entry 'nobody'; it has 'direct', 'half'" in unknown.stderr


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "samples.parquet").write_bytes(b"PAR1"), "is damaged"),
        (lambda folder: (folder / "record.json").write_text("{"), "is damaged"),
        (lambda folder: (folder / "record.json").unlink(), "is damaged (record.json is missing)"),
    ],
)
def test_damaged_and_missing_scores_are_named(
    tested_study: Path, tuition: Command, damage: Callable[[Path], object], message: str
) -> None:
    run = read_report(tested_study / "studies" / "s" / "report.json").test.runs["half"][0]  # type: ignore[union-attr]
    damage(tested_study / "scores" / run.score[:2] / run.score)
    result = tuition(*QUESTION, "--a", "half")
    assert result.returncode == 2 and message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_report_without_tested_runs_is_named(tested_study: Path, tuition: Command) -> None:
    (tested_study / "studies" / "s" / "report.json").write_text("{}")
    result = tuition(*QUESTION, "--a", "half")
    assert result.returncode == 2 and "lacks tested runs" in result.stderr
