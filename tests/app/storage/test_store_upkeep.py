"""The store's commands on blocks that were published without any training."""

import json
import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest
import typer
from filelock import FileLock

from tests.app.conftest import STATE_BYTES, WEIGHTS_BYTES, A, B, C, Command, put
from tests.app.studies.made_report import evaluation, search_report, write_tested
from tests.benchmarks.made_scores import save_score, two_by_two
from tuition.app.storage import store_upkeep
from tuition.app.storage.store_upkeep import StoreLimit, finalist_blocks, parse_size, plan_prune, prune
from tuition.app.studies.study_report import write_report
from tuition.benchmarks.artefacts import file_sha256
from tuition.benchmarks.scoring.score_store import ScoreStore
from tuition.runners.store.block_store import BlockStore, StoreError, bytes_under


def state(store: BlockStore, key: str) -> str:
    return str(BlockStore(store.folder).state(key))


def note_test_of(store: BlockStore, *keys: str) -> Path:
    folder = store.folder.parent / "studies" / "s"
    folder.mkdir(parents=True)
    write_tested(folder / "report.json", evaluation({"direct": [{"blocks": keys}]}))
    (folder / "leaderboard.json").write_text("{}")
    return folder


def dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def leave(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "half").write_bytes(b"x" * 1000)
    return path


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("123", 123), ("7B", 7), ("2kb", 2000), ("500MB", 500 * 10**6), ("1.5 GB", 15 * 10**8)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "lots", "-1", "1 apple", "1e9", "GB", "nan", "1..5GB", "1GBB", "٣GB"])
def test_a_wrong_size_is_named(text: str) -> None:
    with pytest.raises(StoreError, match="as 500MB or 20GB") as error:
        parse_size(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify"], "no store in"),
        (["prune", "--max-store", "1GB"], "no store in"),
        (["prune", "--max-store", "many"], "size 'many'"),
        (["prune"], "--max-store"),
        (["export", "abc", "--to", "out"], "no store in"),
    ],
)
def test_wrong_input_is_one_line_and_code_2_and_writes_nothing(
    tmp_path: Path, tuition: Command, arguments: list[str], message: str
) -> None:
    result = tuition("store", *arguments)
    assert result.returncode == 2 and message in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_list_shows_size_and_state(store: BlockStore, tuition: Command) -> None:
    put(store, A)
    put(store, B, finished=0.5)
    store.drop_optimizer(A)
    document = json.loads(tuition("store", "list", "--json").stdout)
    assert [(block["key"], block["state"]) for block in document["blocks"]] == [(B, "resumable"), (A, "evaluable")]
    assert [block["gpu_seconds_used"] for block in document["blocks"]] == [None, None]  # as in records of before
    assert "unknown" in tuition("store", "list").stdout
    assert document["bytes"] > 2 * WEIGHTS_BYTES + STATE_BYTES and A[:12] in tuition("store", "list").stdout


@pytest.mark.parametrize("field", ["gpu_seconds", "stage"])
def test_a_record_that_lacks_a_field_is_named_and_verify_moves_it_aside(
    store: BlockStore, tuition: Command, field: str
) -> None:
    put(store, A)
    file = store.path(A) / "record.json"
    wrong = None if field == "stage" else float("nan")
    file.write_text(json.dumps({**json.loads(file.read_text()), field: wrong}))
    for arguments in (["list"], ["prune", "--max-store", "0", "--yes"]):
        result = tuition("store", *arguments)
        assert result.returncode == 2 and "record.json" in result.stderr and field in result.stderr
    assert tuition("store", "verify").returncode == 1
    assert tuition("store", "verify").returncode == tuition("store", "list").returncode == 0


def test_verify_passes_a_whole_store(store: BlockStore, tuition: Command) -> None:
    put(store, A)
    result = tuition("store", "verify", "--json")
    assert result.returncode == 0
    assert json.loads(result.stdout) == {
        "checked": {"blocks": 1, "rollouts": 0, "scores": 0}, "damaged": [], "in_use": [],
    }  # fmt: skip


def test_verify_names_what_is_damaged_and_moves_it_aside(store: BlockStore, tuition: Command) -> None:
    results = store.folder.parent
    put(store, A)
    put(store, B, parent=C, parent_weights_sha256="w")
    put(store, C, weights_sha256="other")
    (store.model(A) / "model.safetensors").write_bytes(b"flipped")
    rollouts = store.folder / "rollouts" / "dd" / ("d" * 64)
    rollouts.mkdir(parents=True)
    (rollouts / "rollouts.parquet").write_bytes(b"table")
    record = {"sha256": file_sha256(rollouts / "rollouts.parquet"), "checkpoint": A, "seed": 0, "gpu_seconds": 1.0}
    (rollouts / "record.json").write_text(json.dumps(record))
    (rollouts / "rollouts.parquet").write_bytes(b"tab")
    score = save_score(results, two_by_two(), "w")
    ScoreStore(results / "scores").samples_file(score).unlink()
    result = tuition("store", "verify", "--json")
    assert result.returncode == 1
    document = json.loads(result.stdout)
    assert document["checked"] == {"blocks": 3, "rollouts": 1, "scores": 1}
    reasons = {(damage["kind"], damage["key"][0]): damage["reason"] for damage in document["damaged"]}
    assert reasons.keys() == {("block", "a"), ("block", "b"), ("rollouts", "d"), ("scores", score[0])}
    assert "model.safetensors does not match its checksum" in reasons["block", "a"]
    assert "was retrained to different weights" in reasons["block", "b"]
    assert reasons["scores", score[0]] == "samples.parquet is missing"
    assert len(list(results.rglob(".damaged-*"))) == 4
    assert tuition("store", "verify").returncode == 0


def test_verify_leaves_a_block_that_is_in_use_alone(store: BlockStore, tuition: Command) -> None:
    put(store, A)
    (store.model(A) / "model.safetensors").write_bytes(b"half")
    with store.lock(A):
        result = tuition("store", "verify", "--json")
    assert result.returncode == 0 and json.loads(result.stdout)["in_use"] == [A]
    assert store.path(A).exists()


def test_prune_drops_optimizer_state_first_and_stops_at_the_limit(store: BlockStore, tuition: Command) -> None:
    put(store, A, gpu_seconds=10)
    put(store, B, gpu_seconds=1000)
    document = json.loads(tuition("store", "prune", "--max-store", "90KB", "--yes", "--json").stdout)
    assert [(step["key"], step["part"]) for step in document["evictions"]] == [(A, "optimizer")]
    assert document["deleted"] and document["within_limit"] and document["gpu_seconds_at_stake"] == 10
    assert document["bytes_before"] - document["bytes_after"] == STATE_BYTES + 2
    assert (state(store, A), state(store, B)) == ("evaluable", "resumable")


def test_prune_evicts_whole_blocks_when_it_must(store: BlockStore, tuition: Command) -> None:
    put(store, A, gpu_seconds=10)
    put(store, B, gpu_seconds=1000)
    result = tuition("store", "prune", "--max-store", "70KB", "--yes")
    assert result.returncode == 0, result.stderr
    assert (state(store, A), state(store, B)) == ("absent", "resumable")
    assert result.stdout.index("At stake") < result.stdout.index("Done")
    assert "10.0 GPU-seconds" in result.stdout
    assert [
        path.name for path in store.folder.iterdir() if path.name not in ("locks", "leases") and any(path.iterdir())
    ] == ["bb"]


@pytest.mark.parametrize("json_option", [[], ["--json"]])
def test_a_dry_run_and_a_pipe_delete_nothing(store: BlockStore, tuition: Command, json_option: list[str]) -> None:
    put(store, A)
    partial = leave(store.folder / "aa" / f".partial-{B}-{dead_pid()}-00000000")
    before = sorted(store.folder.rglob("*"))
    result = tuition("store", "prune", "--max-store", "0KB", "--dry-run", *json_option)
    assert result.returncode == 0
    assert "GPU-seconds" in (result.stderr if json_option else result.stdout)
    refused = tuition("store", "prune", "--max-store", "0KB", *json_option)
    assert refused.returncode == 2 and "--yes" in refused.stderr
    assert sorted(store.folder.rglob("*")) == before and partial.exists()


@pytest.mark.parametrize("answer", [True, False])
def test_it_asks_on_a_terminal(
    store: BlockStore, tuition: Command, monkeypatch: pytest.MonkeyPatch, answer: bool
) -> None:
    put(store, A)
    asked: list[str] = []

    class Terminal:
        def isatty(self) -> bool:
            return True

    def confirm(question: str, err: bool) -> bool:
        asked.append(question)
        return answer

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(typer, "confirm", confirm)
    assert tuition("store", "prune", "--max-store", "30KB").returncode == (0 if answer else 1)
    assert asked and state(store, A) == ("evaluable" if answer else "resumable")


def test_blocks_of_tested_routes_stay(store: BlockStore, tuition: Command) -> None:
    put(store, A, gpu_seconds=1)
    put(store, B, gpu_seconds=1000)
    note_test_of(store, A, C)
    result = tuition("store", "prune", "--max-store", "1KB", "--yes", "--json")
    document = json.loads(result.stdout)
    assert result.returncode == 1 and not document["within_limit"] and document["kept_for_finalists"] == 1
    assert (state(store, A), state(store, B)) == ("resumable", "absent")


UNTESTED = json.dumps(search_report().document())


@pytest.mark.parametrize("damage", ['{"test": {"runs": 3}}', "", "[]", '{"trials": []}', UNTESTED, None])
def test_nothing_is_pruned_when_a_tested_study_does_not_name_its_blocks(
    store: BlockStore, tuition: Command, damage: str | None
) -> None:
    put(store, A)
    report = note_test_of(store, A) / "report.json"
    report.write_text(damage) if damage is not None else report.unlink()
    result = tuition("store", "prune", "--max-store", "1KB", "--yes")
    assert result.returncode == 2 and "report.json" in result.stderr and "nothing is pruned" in result.stderr
    assert state(store, A) == "resumable"


def test_a_study_that_was_not_tested_protects_nothing(store: BlockStore) -> None:
    folder = store.folder.parent / "studies" / "s"
    folder.mkdir(parents=True)
    write_report(search_report(), folder / "report.json")
    assert finalist_blocks(store.folder.parent) == set()


def test_blocks_in_use_and_what_they_are_trained_from_stay(store: BlockStore, tuition: Command) -> None:
    put(store, A)
    put(store, B, parent=A)
    put(store, C)
    with store.lock(B):
        document = json.loads(tuition("store", "prune", "--max-store", "1KB", "--yes", "--json").stdout)
    assert document["in_use"] == [B] and {step["key"] for step in document["evictions"]} == {C}
    assert [state(store, key) for key in (A, B, C)] == ["resumable", "resumable", "absent"]


def test_a_block_that_comes_into_use_after_the_plan_is_skipped_and_said(
    store: BlockStore, tuition: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, A)
    put(store, B)
    monkeypatch.setattr(BlockStore, "in_use", lambda self: set())
    with store.lock(A):
        result = tuition("store", "prune", "--max-store", "1KB", "--yes", "--json")
    assert json.loads(result.stdout)["skipped"] == [A] and A[:12] in result.stderr
    assert (state(store, A), state(store, B)) == ("resumable", "absent")


def test_a_route_that_was_tested_while_the_question_stood_stays(store: BlockStore) -> None:
    put(store, A)
    plan = plan_prune(store.folder.parent, 1000)
    note_test_of(store, A)
    assert plan.evictions and prune(store.folder.parent, plan)["skipped"] == [A]
    assert state(store, A) == "resumable"


@pytest.mark.parametrize("holder", ["block", "search"])
def test_nothing_is_pruned_while_something_trains(store: BlockStore, tuition: Command, holder: str) -> None:
    put(store, A)
    workers = store.folder.parent / "studies" / "night" / "workers"
    workers.mkdir(parents=True)
    with store.lock(B) if holder == "block" else FileLock(workers / "host-1-ab.lock"):
        result = tuition("store", "prune", "--max-store", "1KB", "--yes")
        assert tuition("store", "prune", "--max-store", "30KB", "--dry-run").returncode == 0
    assert result.returncode == 1 and ("bbbb" if holder == "block" else "night") in result.stderr
    assert "Traceback" not in result.stderr and state(store, A) == "resumable"


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(store: BlockStore, tuition: Command) -> None:
    put(store, A)
    dead, rollouts, scores = dead_pid(), store.folder / "rollouts" / "dd", store.folder.parent / "scores" / "ee"
    gone = [
        leave(store.folder / "bb" / f".partial-{B}-{dead}-0123abcd"),
        leave(store.folder / "bb" / f".retired-{B}-0123abcd"),
        leave(store.folder / "bb" / f".evicted-{B}-0123abcd"),
        leave(store.folder / "bb" / f".damaged-{B}-0123abcd"),
        leave(rollouts / f".partial-{B}-{dead}-0123abcd"),
        leave(scores / f".damaged-{B}-0123abcd"),
    ]
    stay = [
        leave(store.folder / "bb" / f".partial-{B}-{os.getpid()}-0123abcd"),
        leave(store.folder / "bb" / ".git"),
        leave(store.folder / "aa" / f".retired-{A}-0123abcd"),
    ]
    size = sum(path.stat().st_size for path in store.folder.rglob("*") if path.is_file())
    with store.lock(A):
        document = json.loads(tuition("store", "prune", "--max-store", "1GB", "--yes", "--json").stdout)
    assert len(document["leftovers"]) == len(gone) and document["evictions"] == []
    assert (document["bytes_before"], document["bytes_after"]) == (size, size - 5000)  # scores are not the store's
    assert not any(path.exists() for path in gone) and all(path.exists() for path in stay)
    assert state(store, A) == "resumable"


def test_a_limit_measures_a_block_again_only_when_its_files_have_changed(
    store: BlockStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, measured = StoreLimit(store.folder.parent, 10**9), []

    def counted(folder: Path | str, without: Collection[str] = ()) -> int:
        measured.append(Path(folder).name)
        return bytes_under(folder, without)

    def looked_at() -> list[str]:
        measured.clear()
        assert limit.store_bytes(store) == sum(p.stat().st_size for p in store.folder.rglob("*") if p.is_file())
        return sorted(name for name in measured if len(name) == 64)

    monkeypatch.setattr(store_upkeep, "bytes_under", counted)
    put(store, A)
    put(store, B)
    leave(store.folder / "bb" / f".damaged-{B}-0123abcd")
    assert looked_at() == [A, B] and looked_at() == []
    put(store, C)  # by whichever process
    assert looked_at() == [C]
    store.drop_optimizer(A)
    assert looked_at() == [A]
    put(store, A)  # trained again, to be continued
    store.evict(B)
    assert looked_at() == [A] and looked_at() == []
    assert limit.hold({A}) is None and store.block_keys() == [A, C]
    least = StoreLimit(store.folder.parent, 1)
    assert least.hold({A}) is not None and store.block_keys() == [A]


def test_nothing_outside_the_store_is_touched(store: BlockStore, tuition: Command, tmp_path: Path) -> None:
    outside = leave(tmp_path / "outside" / C)
    put(store, A)
    (store.folder / "cc").mkdir()
    (store.folder / "cc" / C).symlink_to(outside)
    (store.folder / "cc" / f".damaged-{C}-0123abcd").symlink_to(outside)
    put(store, B)
    file = store.path(B) / "record.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "key": "../../../outside/" + C}))
    assert tuition("store", "prune", "--max-store", "0", "--yes").returncode == 2
    assert tuition("store", "verify").returncode == 1
    tuition("store", "prune", "--max-store", "0", "--yes")
    assert (outside / "half").exists() and state(store, A) == "absent"
