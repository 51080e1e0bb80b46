"""What stands behind the pages: words, completions as Markdown, charts, the front, chains, logs, the index."""

import csv
import io
import math
from pathlib import Path

import pandas as pd
import pytest

from tuition.app.dashboard import charts, latex, words
from tuition.app.dashboard.advice import with_option
from tuition.app.dashboard.data.block_tree import by_weights, chain, largest, subtree, tree
from tuition.app.dashboard.data.record_index import Block, blocks
from tuition.app.dashboard.data.samples import Item
from tuition.app.dashboard.views.allocations import front
from tuition.benchmarks.statistics.intervals import Difference, Score
from tuition.planner.cost import Price


def test_numbers_have_no_more_digits_than_their_errors_allow() -> None:
    assert words.score(Score(0.858, 0.0104, 0.005, 384, 8)) == "85.8 % ± 1.0 over problems, ± 0.5 over samples"
    assert words.score(Score(0.5, 0.15, math.nan, 10, 1)) == "50 % ± 15 over problems"
    assert words.points(Difference(0.061, 0.039, 0.082, 64, 1, True, 0.01)) == "+6.1 points [+3.9, +8.2]"
    assert words.points(Difference(0.06, -0.4, 0.5, 8, 1, True, 0.9)) == "+6 points [-40, +50]"


def test_trials_are_counted_by_state_in_words() -> None:
    assert words.states({"running": 2, "fail": 1, "complete": 1200}) == "1,200 complete, 1 failed, 2 running"
    assert words.states({}) == ""


@pytest.mark.parametrize("given", ["plain", "a`b", "``", "`a", "", "line\nbreak", "<b>x</b>"])
def test_code_spans_hold_any_text(given: str) -> None:
    span = words.code(given)
    fence = len(span) - len(span.lstrip("`"))
    inner = span[fence:-fence]
    assert "\n" not in span and "`" * fence not in inner and span.endswith("`" * fence)


def test_csv_cells_are_no_formulas() -> None:
    frame = pd.DataFrame({"name": ["=1+1", "-5", "plain", "-"], "value": [-1.5, 2.0, 3.0, 4.0]})
    assert words.csv(frame).decode() == "name,value\n'=1+1,-1.5\n'-5,2.0\nplain,3.0\n-,4.0\n"


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("@SUM(1)", "'@SUM(1)"),
        (" +1", " '+1"),
        ("\t=1", "\t'=1"),
        ("\uff1d1", "'\uff1d1"),  # full-width: Japanese spreadsheets read it as the plain sign
        ("a;=1", "a;'=1"),  # a semicolon ends a cell in German ones
        ("a\n=1;-2", "a\n'=1;'-2"),
        ("a=1; b - 2", "a=1; b - 2"),
    ],
)
def test_no_language_of_a_spreadsheet_finds_a_formula(given: str, written: str) -> None:
    frame = pd.DataFrame({given: pd.Categorical([given])})
    assert list(csv.reader(io.StringIO(words.csv(frame).decode(), newline=""))) == [[written], [written]]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("x \\boxed{7}", "x $\\boxed{7}$"),
        ("\\(a+b\\)", "$a+b$"),
        ("$$\\frac{1}{2}$$", "$\\frac{1}{2}$"),
        ("$\\href{x}{y}$", "\\$\\\\href\\{x\\}\\{y\\}\\$"),
        ("<b>", "\\<b\\>"),
        ("cost $5", "cost \\$5"),
    ],
)
def test_only_typesetting_is_rendered(given: str, shown: str) -> None:
    assert latex.markdown(given) == shown


def test_addresses_do_not_become_links() -> None:
    assert "://" not in latex.markdown("https://evil.example") and "www." not in latex.markdown("www.evil.example")


FOREST = pd.DataFrame({"name": ["$\\bad{"], "mean": [1.0], "low": [0.0], "high": [2.0], "kind": ["x"]})


@pytest.mark.parametrize(("format", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_charts_come_in_three_formats_and_read_no_mathematics(format: charts.Format, begins: bytes) -> None:
    made = charts.render(charts.forest, FOREST, format)
    assert made.startswith(begins)
    assert made == charts.render(charts.forest, FOREST, format)


def test_the_front_holds_what_none_cheaper_beats() -> None:
    cost, score = pd.Series([1.0, 2.0, 3.0, 2.0]), pd.Series([10.0, 30.0, 20.0, 25.0])
    assert front(cost, score).tolist() == [True, True, False, False]


def test_a_tree_is_cut_to_what_most_runs_use() -> None:
    frame = pd.DataFrame(
        {"node": [0, 1, 2, 3], "parent": [-1, 0, 1, 0], "depth": [0, 1, 2, 1], "row": 0, "uses": [3, 2, 1, 1]}
    )
    assert largest(frame, 2)["node"].tolist() == [0, 1]
    assert subtree(frame, 1)["node"].tolist() == [1, 2]


def test_records_that_go_round_in_a_circle_end_a_chain() -> None:
    def block(key: str, parent: str) -> Block:
        return Block(key, "student_rl", 1, "student", 0, parent, None, key, Price(1.0), 4, 4, 2)

    blocks = {"a": block("a", "b"), "b": block("b", "a")}
    found = chain(blocks, by_weights(blocks), 0, "a")
    assert found is not None and [one.key for one in found.blocks] == ["b", "a"] and not found.whole
    item = Item("#0", "student_rl=2", False, ((0, "a"),), 0.5)
    assert tree([item], blocks).empty


def test_a_tree_charges_rollouts_to_the_first_block_of_a_path_that_needs_them() -> None:
    def block(key: str, parent: str, price: Price) -> Block:
        return Block(key, "opd", 0, "student", 0, parent, None, key, price, 0, 4, 2)

    shared = Price(5.0, "rollouts", 2.0)
    found = [block("a", "base", shared), block("b", "a", shared), block("c", "a", Price(1.0)), block("d", "c", shared)]
    blocks = {one.key: one for one in (*found, block("e", "base", shared))}
    items = [Item(f"#{key}", "", False, ((0, key),), 0.5) for key in ("b", "d", "e")]
    frame = tree(items, blocks).set_index("key")
    # Another route that needs the same rollouts is charged them as well.
    assert frame["gpu_seconds"].to_dict() == {"a": 7.0, "b": 5.0, "c": 1.0, "d": 5.0, "e": 7.0}
    assert frame.loc["a", "saved"] == 7.0


def test_an_option_is_replaced_or_added() -> None:
    assert with_option("tuition search --trials 6", "--trials", "16") == "tuition search --trials 16"
    assert with_option("tuition search --trials=6 -q", "--trials", "16") == "tuition search -q --trials 16"


def test_the_index_sees_what_comes_and_goes(tmp_path: Path) -> None:
    from tests.app.conftest import put
    from tuition.runners.store.block_store import BlockStore

    store, index = BlockStore(tmp_path / "store"), blocks(tmp_path)
    put(store, "a" * 64)
    assert set(index.refresh().items) == {"a" * 64}
    put(store, "b" * 64)
    assert set(index.refresh().items) == {"a" * 64, "b" * 64}
    store.evict("a" * 64)
    assert set(index.refresh().items) == {"b" * 64}
    version = index.refresh().version
    assert index.refresh().version == version
