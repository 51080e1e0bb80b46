"""1,000 mutated scenario files, allocations, records and leaderboards: an error of ours each, or it loads, or it is set
aside; never another exception, and never a write outside of the results folder.

Mutations of real ones: values dropped, renamed, retyped, made huge, nested or strange, and bytes of the text flipped,
cut out or put in. Nothing is trained.
"""

import copy
import io
import json
import random
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.faults.conftest import KEY, Fence, accept, block_record
from tests.runners.conftest import small_scenario_file

from tuition.app.storage.store_upkeep import list_store, verify_store
from tuition.app.studies.study_leaderboard import load_leaderboard, show_leaderboard
from tuition.benchmarks.boards.ranked_rows import Meta, RankedRow, Row, to_json
from tuition.benchmarks.scoring.score_store import Making, ScoreKey, ScoreStore
from tuition.benchmarks.statistics.intervals import Difference, Score
from tuition.planner.allocation import MAX_BLOCKS, Allocation, AllocationError
from tuition.planner.cost import CheckpointState
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.sources import ScenarioError
from tuition.runners.store.block_store import BlockStore
from tuition.runners.training.checkpoint import SCALARS, TENSORS, CarriedState, load_carried, save_carried

pytestmark = pytest.mark.slow
EXAMPLES = {"scenario": 400, "allocation": 250, "block": 150, "score": 50, "optimizer": 50, "leaderboard": 100}
assert sum(EXAMPLES.values()) == 1000

SCORE_KEY = ScoreKey("w", "suite@1", {"temperature": 1.0}, 2, 0, "engine", "grader")


def examples(kind: str) -> Any:
    return settings(
        max_examples=EXAMPLES[kind],
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


STRANGE: list[Any] = [
    None, True, False, 0, -1, 1, 2, 3, 10**9, 10**30, -(10**400), 0.5, 1e308, float("nan"), float("inf"), "", " ", "0",
    "\0", "a\0b", "..", "../../outside/bait", "/", "~", "\ud800", "\u202eא", "é" * 5000, "a" * 300, "nan", "1" * 5000,
    [], {}, [[]], [None], {"": None}, {"a": {"b": {}}}, nested(60), ["x"] * 1000, "[red]", "%s{0}", b"\xff",
]  # fmt: skip
STRANGE_TEXTS = [
    "\0", "\ud800", "../", "NaN", "Infinity", "1e999", "9" * 5000, "{", "[" * 3000, "]", '"', "\\", "\n", "\t", ":",
    "- ", "&a [*a]", "*a", "!!python/object/apply:os.system ['touch outside']", "!!timestamp x", "2020-99-99",
    "!!int ''",    "!!bool x", "<<: 1", "? [a]", "\x85", "\ufeff", "=", " ", "-", "0x", "1_000", "é", "\x1b[2J",
    "self=1 ", "teacher=none ",
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, entry in items:
        yield from places(entry, (*path, name))


def mutate(document: Any, rng: random.Random) -> Any:
    """One to three values of a document dropped, renamed, doubled or replaced by a strange one."""
    document = copy.deepcopy(document)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        paths = [path for path in places(document) if path]
        if not paths or rng.random() < 0.01:
            return rng.choice(STRANGE)
        *above, last = rng.choice(paths)
        holder = document
        for name in above:
            holder = holder[name]
        match rng.randrange(6):
            case 0:
                del holder[last]
            case 1 if isinstance(holder, dict):
                holder[rng.choice(["", "x", "\0", "../x", "/x", f"{last}".upper(), "\ud800", 1, None])] = holder.pop(
                    last
                )
            case 2 if isinstance(holder, dict):
                holder[last] = rng.choice(list(holder.values()))
            case 3:
                holder[last] = [holder[last]]
            case _:
                holder[last] = rng.choice(STRANGE)
    return document


def garble(text: str, rng: random.Random) -> bytes:
    """A text with bits flipped, a part cut out or something strange put in."""
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(4):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                del data[at:]
            case 2:
                del data[at : at + rng.randrange(1, 40)]
            case _:
                data[at:at] = rng.choice(STRANGE_TEXTS).encode("utf-8", "surrogatepass")
    return bytes(data)


def hostile(document: Any, write: Callable[[Any], str], seed: int) -> bytes:
    rng = random.Random(seed)
    if rng.random() < 0.6:
        try:
            return write(mutate(document, rng)).encode("utf-8", "surrogatepass")
        except (TypeError, ValueError, RecursionError):  # the mutated document cannot be written in this format
            pass
    return garble(write(document), rng)


def to_text(document: Any) -> str:
    return json.dumps(document)


def seeds() -> Any:
    return st.integers(0, 2**40)


@examples("scenario")
@given(seed=seeds())
def test_scenario_files(fence: Fence, seed: int) -> None:
    def load() -> None:
        scenario = Scenario.load(str(path))
        assert scenario.space and scenario.sha256 and scenario.decoding

    path = fence.results / "scenario.yaml"
    path.write_bytes(hostile(small_scenario_file(), lambda d: yaml.dump(d, sort_keys=False), seed))
    accept(load)
    fence.check()


@examples("allocation")
@given(seed=seeds())
def test_allocation_texts(fence: Fence, seed: int) -> None:
    rng = random.Random(seed)
    words = ["teacher=large", "teacher_rl=4", "warmup=1", "opd=2", "student_rl=2", "replay=1", "prompts=labels"]
    text = garble(" ".join(rng.sample(words, rng.randrange(8))), rng).decode("utf-8", "surrogateescape")

    def load() -> None:
        allocation = Allocation.parse(text)
        assert Allocation.parse(str(allocation)) == allocation and len(allocation.id) == 10
        allocation.check_budget(4 * MAX_BLOCKS)

    accept(load)
    fence.check()


@examples("block")
@given(seed=seeds())
def test_block_records(fence: Fence, seed: int) -> None:
    file = block_record(BlockStore(fence.results / "store"))
    content = json.loads(file.read_text())
    if seed % 2:  # as blocks of before the checksum: every other check has to hold alone
        del content["record_sha256"]
    whole = BlockStore(fence.results / "store").record(KEY)
    file.write_bytes(hostile(content, to_text, seed))
    store = BlockStore(fence.results / "store")
    accept(store.records)
    accept(lambda: list_store(fence.results))
    accept(lambda: store.sizes(KEY))
    error = accept(lambda: store.state(KEY))
    if error is None and store.state(KEY) is not CheckpointState.absent:
        # Believed: then nothing but its checksum can have changed.
        assert store.record(KEY) == whole or "record_sha256" not in json.loads(file.read_bytes())
    accept(lambda: verify_store(fence.results))
    fence.check()


@examples("score")
@given(seed=seeds())
def test_score_records(fence: Fence, seed: int) -> None:
    store = ScoreStore(fence.results / "scores")
    columns = {"problem_id": ["a", "b"], "sample": 0, "completion": "", "extracted": None, "verdict": "correct"}
    numbers = {"correct": True, "num_tokens": 3, "truncated": False, "level": 1, "subject": "sums"}
    store.save(SCORE_KEY, pd.DataFrame({**columns, **numbers}), Making(gpu_seconds=1.0))
    file = store.path(SCORE_KEY.key) / "record.json"
    file.write_bytes(hostile(json.loads(file.read_text()), to_text, seed))
    assert accept(lambda: store.load(SCORE_KEY)) is None
    fence.check()


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    folder = tmp_path_factory.mktemp("carried")
    layer = torch.nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    save_carried(CarriedState(optimizer.state_dict(), {"last_epoch": 1}), folder)
    return folder


@examples("optimizer")
@given(seed=seeds())
def test_optimizer_files(fence: Fence, carried: Path, seed: int) -> None:
    scalars, tensors = (carried / SCALARS).read_text(), (carried / TENSORS).read_bytes()
    if seed % 3:
        (fence.results / SCALARS).write_bytes(hostile(json.loads(scalars), to_text, seed))
        (fence.results / TENSORS).write_bytes(tensors)
    else:
        (fence.results / SCALARS).write_text(scalars)
        (fence.results / TENSORS).write_bytes(garble(tensors.decode("latin-1"), random.Random(seed)))
    accept(lambda: load_carried(fence.results))
    fence.check()


def leaderboard() -> dict[str, Any]:
    score = Score(0.5, se_problems=0.1, se_samples=0.1, num_problems=8, num_samples=2)
    difference = Difference(0.1, -0.1, 0.3, 8, 1, True, 0.2)
    rows = [
        Row("direct", "student_rl=4", "baseline", score, None, None, 16, 10.0, (1,)),
        Row("best", "teacher=medium opd=1", "finalist", score, difference, 0.6, 16, 10.0, (1,)),
    ]
    return to_json([RankedRow(row, 1, 2) for row in rows], Meta("study", "suite@1", "sampled", 8, 24))


@examples("leaderboard")
@given(seed=seeds())
def test_leaderboards(fence: Fence, seed: int) -> None:
    path = fence.results / "studies" / "study" / "leaderboard.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(hostile(leaderboard(), to_text, seed))

    def load() -> None:
        document = load_leaderboard(fence.results, "study")
        with redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")):
            show_leaderboard(document)
        json.dumps(document, allow_nan=False)

    accept(load)
    fence.check()


def test_an_unharmed_file_of_each_kind_is_accepted(fence: Fence, carried: Path) -> None:
    """Or the tests above would pass on files that are refused anyway."""
    path = fence.results / "scenario.yaml"
    path.write_text(yaml.dump(small_scenario_file()))
    assert Scenario.load(str(path)).sha256
    block_record(BlockStore(fence.results / "store"))
    assert BlockStore(fence.results / "store").state(KEY) is CheckpointState.resumable
    assert load_carried(carried).scheduler == {"last_epoch": 1}
    study = fence.results / "studies" / "study"
    study.mkdir(parents=True)
    (study / "leaderboard.json").write_text(json.dumps(leaderboard()))
    assert load_leaderboard(fence.results, "study") == leaderboard()


def test_a_yaml_that_grows_when_written_out_is_refused_at_once(fence: Fence) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    (fence.results / "bomb.yaml").write_text("\n".join([*lines, "name: *a11"]))
    assert isinstance(accept(lambda: Scenario.load(str(fence.results / "bomb.yaml"))), ScenarioError)


@pytest.mark.parametrize(
    "row",
    [
        "[" * 100_000, '{"id": 1, "problem": "\\ud800", "answer": "1"}', '{"id": "a", "problem": "p", "answer": NaN',
        '{"id": "a", "problem": "p", "answer": "1", "level": "hard"}', 
        '{"id": "a", "problem": "p", "answer": ' + "9" * 5000,
        '{"id": "a", "problem": "p", "answer": "1", "level": 1e999}', "null", "7", '"text"', "\x00", b"\xff\xfe",
    ],
)  # fmt: skip
def test_problem_files(fence: Fence, row: str | bytes) -> None:
    (fence.results / "rows.jsonl").write_bytes(row if isinstance(row, bytes) else row.encode())
    content = {**small_scenario_file(), "labels": {"jsonl": "rows.jsonl"}}
    (fence.results / "s.yaml").write_text(yaml.dump(content))
    error = accept(lambda: Scenario.load(str(fence.results / "s.yaml")))
    assert isinstance(error, ScenarioError) and "rows.jsonl" in str(error)


@pytest.mark.parametrize("name", ["", ".", "..", "/", "a\0b", "a" * 5000, "\ud800", "micro/../../x"])
def test_names_that_are_no_scenario(fence: Fence, name: str) -> None:
    assert isinstance(accept(lambda: Scenario.load(name)), ScenarioError)


@pytest.mark.parametrize("text", ["self=1", "opd=" + "9" * 5000, f"teacher=large opd={MAX_BLOCKS + 1}", "fields=1"])
def test_allocations_that_python_would_trip_over(text: str) -> None:
    assert isinstance(accept(lambda: Allocation.parse(text)), AllocationError)
    assert asdict(SCORE_KEY)["suite"] == "suite@1"
