"""Loading of suites: every copy gives the same problems, and rows that are not the expected ones are refused."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuition.benchmarks.problems import Problem
from tuition.benchmarks.suites import amc23, gsm8k, loading, math500, olympiadbench
from tuition.benchmarks.suites.catalog import MICRO, SUITES, find_suite, generated, load_by_name
from tuition.benchmarks.suites.loading import (
    HubSource,
    Suite,
    SuiteError,
    canonical_answer,
    canonical_problem,
    checksums,
    load,
    problem_of,
    read_lock,
    write_lock,
)
from tuition.benchmarks.suites.micro import num_problems

DATA = Path(__file__).parents[3].parent / "shared" / "data"
ROWS = [
    {"problem": "What is $1 + 1$?", "answer": "2", "level": 1, "subject": "Sums"},
    {"problem": "And $500 \\cdot 2$?", "answer": "1,000"},
    {"problem": "Half?", "answer": "$\\frac{1}{2}$"},
]


def read_row(row: Any) -> Problem:
    return problem_of(row["problem"], row["answer"])


def suite_of(rows: list[dict[str, Any]]) -> Suite:
    problems = [problem_of(row["problem"], row["answer"]) for row in rows]
    total, texts = checksums(problems)
    return Suite("tiny", 1, "Tiny", len(rows), total, texts, HubSource("a/tiny", None, "test", read_row), ())


def folder_of(folder: Path, rows: list[dict[str, Any]]) -> Path:
    (folder / "tiny.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize("name", SUITES)
def test_the_shipped_checksums_are_those_of_the_real_data(name: str) -> None:
    suite = SUITES[name]
    if not any((DATA / file).is_file() for file in suite.files):
        pytest.skip(f"needs {suite.files[0]} in shared/data beside the repository")
    loaded = load(suite, DATA)
    assert loaded.verified and loaded.checksum == suite.checksum and len(loaded.problems) == suite.num_problems
    assert [p.id for p in loaded.problems] == sorted(p.id for p in loaded.problems)


def test_the_unverified_suite_has_no_checksum_and_no_revision_is_invented() -> None:
    assert [name for name, suite in SUITES.items() if suite.checksum is None] == ["aime26"]
    assert {suite.hub.revision for suite in SUITES.values()} == {None}


def test_micro_suites_are_generated_and_pinned() -> None:
    expected = {
        "micro": ("micro-test@1/384", "6f75e1fce5ff49462f30011e5cf69055c4470667aa793458912a97c01b2d4eeb"),
        "micro-validation": (
            "micro-validation@1/192",
            "59c2d652d24729a8cc678769c50db1349f920dbe7956f2bdeecf4e083c911efa",
        ),
        "micro-b": ("micro-b-test@1/320", "4430d24e780fd5893a0c499a9f9acee7eb7128d4ab5fbdb3beda3d30522268d3"),
        "micro-b-validation": (
            "micro-b-validation@1/160",
            "5cc6957c86dfe2275935febbad4c45be1817e9e6f8a469fcb7c7ded2893d9f2f",
        ),
        "micro-c": ("micro-c-test@1/360", "53398e326bff7e71c560053bb543d5f4d66f74a3bd95cd0107a66f5c8f243d75"),
        "micro-c-validation": (
            "micro-c-validation@1/180",
            "44804f11e7b258503bcd5c9f6dec5391ca10b7136f55147e7bad5272cd4a7d54",
        ),
    }
    for name in MICRO:
        loaded = load_by_name(name)
        assert (loaded.name, loaded.checksum) == expected[name] and loaded.verified


def test_order_spacing_and_spelling_of_numbers_change_neither_checksum_nor_ids(tmp_path: Path) -> None:
    suite = suite_of(ROWS)
    plain = load(suite, folder_of(tmp_path, ROWS))
    other = [
        {"problem": " Half? ", "answer": "\\frac{1}{2}"},
        {"problem": "And $500\\cdot2$?", "answer": 1000.0},
        {"problem": "What is\n$1+1$?", "answer": "02"},
    ]
    copy = load(suite, folder_of(tmp_path, other))
    assert copy.checksum == plain.checksum
    assert [p.id for p in copy.problems] == [p.id for p in plain.problems]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:2], "it has 2 rows, not 3"),
        (lambda rows: [{**rows[0], "answer": "3"}, *rows[1:]], "the problems match, an answer differs"),
        (lambda rows: [{**rows[0], "problem": "What is $1 - 1$?"}, *rows[1:]], "the text of a problem differs"),
    ],
)
def test_other_rows_are_refused_and_the_error_says_what_differs(tmp_path: Path, change: Any, message: str) -> None:
    suite = suite_of(ROWS)
    with pytest.raises(SuiteError, match=message) as error:
        load(suite, folder_of(tmp_path, change(ROWS)))
    assert str(suite.checksum)[:16] in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "tiny.jsonl:2"),
        ('{"problem": "p"}', "KeyError"),
        ('{"problem": "p", "answer": ""}', "empty"),
        ('{"problem": "p", "answer": [1]}', "list"),
        ('{"problem": "p", "answer": true}', "bool"),
        ('{"problem": "p\\ud800", "answer": "1"}', "surrogates"),
        ("[" * 100_000, "tiny.jsonl:2"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "tiny.jsonl").write_text('{"problem": "q", "answer": "1"}\n' + line + "\n")
    with pytest.raises(SuiteError, match=message):
        load(suite_of(ROWS), tmp_path)


def test_a_problem_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    rows = [ROWS[0], ROWS[0]]
    with pytest.raises(SuiteError, match="appears twice"):
        load(suite_of(rows), folder_of(tmp_path, rows))


def test_an_absent_file_is_an_error_that_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"looked for math500.jsonl, eval_math500.jsonl.*--data-dir.*Hub"):
        load(SUITES["math500"], tmp_path)


def test_offline_is_an_error_that_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*arguments: object, **options: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr("datasets.load_dataset", offline)
    with pytest.raises(SuiteError, match=r"no network.*--data-dir"):
        load(SUITES["math500"])


def test_the_hub_is_asked_for_the_locked_revision_and_its_rows_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def load_dataset(repo: str, config: str | None, split: str, revision: str | None) -> list[dict[str, Any]]:
        asked.append((repo, config, split, revision))
        return ROWS

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    suite = suite_of(ROWS)
    assert load(suite).verified
    assert load(suite, lock={"tiny@1": {"revision": "abc"}}).source == "a/tiny@abc"
    assert asked == [("a/tiny", None, "test", None), ("a/tiny", None, "test", "abc")]
    unverified = replace(suite, checksum=None, texts_checksum=None)
    assert not load(unverified).verified
    assert not load(unverified, lock={"tiny@1": {"checksum": str(suite.checksum)}}).verified
    with pytest.raises(SuiteError, match="changed after they were locked"):
        load(unverified, lock={"tiny@1": {"checksum": "0" * 64}})
    with pytest.raises(SuiteError, match="has an unexpected shape"):
        load(replace(suite, hub=replace(suite.hub, read_row=gsm8k.read_row)))


def test_rows_of_the_hub_become_problems() -> None:
    row = {"problem": "p", "answer": "1", "level": 3, "subject": "Algebra", "solution": "s", "unique_id": "u"}
    assert math500.read_row(row) == Problem("", "p", "1", 3, "Algebra")
    assert gsm8k.read_row({"question": "q", "answer": "1 + 1 <<1+1=2>>\n#### 2,000"}).answer == "2000"
    assert amc23.read_row({"question": "q", "answer": 27.0}).answer == "27"
    pairs = olympiadbench.read_row({"question": "q", "final_answer": ["$69$,$84$"], "subfield": "Algebra"})
    assert pairs.answer == "$69$,$84$"
    single = olympiadbench.read_row({"question": "q", "final_answer": ["$\\frac{1}{2}$"], "subfield": None})
    assert single.answer == "\\frac{1}{2}"
    with pytest.raises(TypeError, match="not a list"):
        olympiadbench.read_row({"question": "q", "final_answer": "2", "subfield": None})


def test_the_first_problems_go_under_another_name(tmp_path: Path) -> None:
    loaded = load(suite_of(ROWS), folder_of(tmp_path, ROWS))
    few = loaded.first(2)
    assert (few.name, few.partial, few.problems) == ("tiny@1[:2]", True, loaded.problems[:2])
    assert loaded.first(3) is loaded and loaded.first(None) is loaded and not loaded.partial


def test_names_with_versions_and_unknown_ones() -> None:
    assert find_suite("math500@1") is find_suite("math500")
    with pytest.raises(SuiteError, match="has math500@1"):
        find_suite("math500@2")
    with pytest.raises(SuiteError, match=r"unknown suite 'maths'.*math500"):
        find_suite("maths")
    with pytest.raises(SuiteError, match="has micro@1"):
        load_by_name("micro@7")


def test_a_lock_is_kept_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    assert read_lock(tmp_path) == {}
    lock = {"tiny@1": {"revision": "abc", "checksum": "def"}}
    write_lock(tmp_path / "results", lock)
    assert read_lock(tmp_path / "results") == lock
    for text in ("{", "[]", '{"a": 1}', '{"a": {"revision": 1}}'):
        (tmp_path / loading.LOCK_FILE).write_text(text)
        with pytest.raises(SuiteError, match=r"remove it and run `tuition suites lock` again"):
            read_lock(tmp_path)


@given(st.integers(-(10**9), 10**9), st.integers(0, 3))
def test_a_whole_number_has_one_canonical_form(number: int, zeros: int) -> None:
    sign, digits = ("-", str(-number)) if number < 0 else ("", str(number))
    forms = [f"{number}", f"{number:,}", f"${number}$", f" {sign}{'0' * zeros}{digits} "]
    assert {canonical_answer(form) for form in forms} == {str(number)}


@given(st.text(), st.randoms(use_true_random=False))
def test_canonical_text_ignores_white_space_only(text: str, rng: random.Random) -> None:
    spaced = "".join(character + " \n\t"[: rng.randint(0, 3)] for character in text)
    assert canonical_problem(spaced) == canonical_problem(text)
    assert canonical_problem(canonical_problem(text)) == canonical_problem(text)
    assert canonical_problem(text + "x") != canonical_problem(text)


@pytest.mark.parametrize("name", MICRO)
def test_a_generated_suite_is_made_by_the_name_that_its_scores_carry(name: str) -> None:
    loaded = load_by_name(name)
    assert generated(loaded.name) == loaded
    whole, _, count = loaded.name.rpartition("/")
    shorter = generated(f"{whole}/{int(count) - 1}")
    assert shorter is not None and shorter.problems == loaded.problems[:-1]


@pytest.mark.parametrize(
    "name",
    [
        "math500@1", "micro", "micro-test", "micro-test@1", "micro-test@99/384",
        f"micro-test@1/{num_problems('test') + 1}", "micro-labels@1/8",
        "micro-z-test@1/8", "micro-test@1/0", "micro-test@1/384[:4]", "micro-test@1/384\n", "../micro-test@1/8",
    ],
)  # fmt: skip
def test_no_other_name_is_a_generated_suite(name: str) -> None:
    assert generated(name) is None
