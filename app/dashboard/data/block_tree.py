"""Runs as chains of blocks, and a study as the tree of its chains, from the records that the store holds.

A block hangs below the block that it continues; the first block of a bridge hangs below the teacher's block that it
learns from, so that the tree shows what routes share. Blocks that were evicted are missing, and it is said how many.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet

from tuition.app.dashboard.data.files import database
from tuition.app.dashboard.data.record_index import Block
from tuition.app.dashboard.data.samples import Item
from tuition.benchmarks.artefacts import FileError, artefact_folder
from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.planner.cost import charge
from tuition.runners.labels import account_of_test
from tuition.runners.store.chains import Chain, chain_of

CURVES = {
    "reward": "reward",
    "zero_variance_share": "zero-variance share",
    "entropy": "entropy, nats",
    "kl": "KL divergence",
    "ratio_mean": "probability ratio of rollouts, trained over drawn: mean",
    "ratio_p05": "probability ratio of rollouts: 5th percentile",
    "ratio_p50": "probability ratio of rollouts: median",
    "ratio_p95": "probability ratio of rollouts: 95th percentile",
    "ratio_outside": "share of ratios truncated or masked",
    "mean_tokens": "tokens per completion",
}
TREE = ("key", "node", "parent", "depth", "row", "label", "model", "gpu_seconds", "uses", "saved", "score")
MAX_CURVE_BYTES = 64 << 20


def by_weights(blocks: Mapping[str, Block]) -> dict[str, list[Block]]:
    """Blocks by the weights that they left."""
    found: dict[str, list[Block]] = {}
    for block in blocks.values():
        found.setdefault(block.weights, []).append(block)
    return found


def chain(
    blocks: Mapping[str, Block], finals: Mapping[str, list[Block]], seed: int | None, weights: str
) -> Chain[Block] | None:
    """The chain that ends in these weights; None where the store does not hold its last block."""
    candidates = finals.get(weights, [])
    if not candidates:
        return None
    final = next((block for block in candidates if block.run_seed == seed), candidates[0])
    return chain_of(final, blocks.get)


def parent(block: Block, blocks: Mapping[str, Block]) -> str | None:
    """Key of the block below which this one hangs; None for a root."""
    if block.parent in blocks:
        return block.parent
    return block.teacher if block.teacher in blocks else None


def tree(items: Iterable[Item], blocks: Mapping[str, Block]) -> pd.DataFrame:
    """The tree of some items' first runs, parents before children. Columns: TREE.

    `parent` is -1 for a root, `uses` counts runs, `saved` are GPU-seconds, `score` is the best validation score
    below (%, nan where there is none). A block's GPU-seconds are what a route through it is charged: its rollouts are
    left out where a block above has needed them.
    """
    finals = by_weights(blocks)
    used: dict[str, int] = {}
    best: dict[str, float] = {}
    for item in items:
        seed, weights = item.runs[0]
        found = chain(blocks, finals, seed, weights)
        for block in found.blocks if found is not None else ():
            used[block.key] = used.get(block.key, 0) + 1
            if item.validation is not None:
                best[block.key] = max(best.get(block.key, 0.0), item.validation)
    children: dict[str | None, list[str]] = {}
    for key in used:
        above = parent(blocks[key], blocks)
        children.setdefault(above if above in used else None, []).append(key)
    rows, leaf = list[dict[str, object]](), 0
    # Not by recursion: a chain may be longer than Python's stack. Children are stacked in reverse to come out in order.
    # Each with the number of the block above, its depth, and the rollouts that the blocks above have needed.
    stack = [(key, -1, 0, frozenset[str]()) for key in _ordered(children.get(None, []), blocks)]
    while stack:
        key, above_node, depth, made = stack.pop()
        block, node = blocks[key], len(rows)
        (price,) = charge([block.price], made)
        rows.append(
            {
                "key": key, "node": node, "parent": above_node, "depth": depth, "row": leaf,
                "label": block.name, "model": block.model, "gpu_seconds": price, "uses": used[key],
                "saved": price * (used[key] - 1), "score": 100 * best[key] if key in best else float("nan"),
            }
        )  # fmt: skip
        below = _ordered(children.get(key, []), blocks)
        leaf += not below
        if block.price.rollouts is not None:
            made |= {block.price.rollouts}
        stack += [(child, node, depth + 1, made) for child in below]
    return pd.DataFrame(rows, columns=list(TREE))


def _ordered(keys: list[str], blocks: Mapping[str, Block]) -> list[str]:
    return sorted(keys, key=lambda key: (blocks[key].stage, blocks[key].index, key), reverse=True)


def uses(items: Iterable[Item], blocks: Mapping[str, Block]) -> dict[str, int]:
    """How many runs hold a block in their chain, by key; a trial and a tested row of the same weights are one run."""
    finals, counted = by_weights(blocks), dict[str, int]()
    for seed, weights in dict.fromkeys(run for item in items for run in item.runs):
        found = chain(blocks, finals, seed, weights)
        for block in found.blocks if found is not None else ():
            counted[block.key] = counted.get(block.key, 0) + 1
    return counted


def subtree(frame: pd.DataFrame, root: int) -> pd.DataFrame:
    """A node with all that hangs below it."""
    kept = {root}
    for node, above in zip(frame["node"], frame["parent"], strict=True):
        if above in kept:
            kept.add(node)
    return frame[frame["node"].isin(kept)]


def largest(frame: pd.DataFrame, count: int) -> pd.DataFrame:
    """The `count` most used blocks, laid out again; a block's parent is never left out."""
    kept = frame.sort_values(["uses", "depth"], ascending=[False, True], kind="stable").head(count).sort_values("node")
    kept = kept.copy()
    parents = set(kept["parent"])
    leaf, rows = 0, []
    for node in kept["node"]:
        rows.append(leaf)
        leaf += node not in parents
    kept["row"] = rows
    kept["depth"] = kept["depth"] - kept["depth"].min()
    return kept


def curves(results: Path, blocks: Iterable[Block]) -> pd.DataFrame:
    """Training curves of some blocks, one after the other. Columns: step (of the route), block, stage, CURVES, seconds,
    tokens_seen. FileError with the file's name when one cannot be read.
    """
    parts, done = [], 0
    for block in blocks:
        path = artefact_folder(ResultsFolder(results).store, block.key) / "train.parquet"
        try:
            if path.is_symlink() or path.stat().st_size > MAX_CURVE_BYTES:
                raise FileError("is a link, or too large")
            part = pyarrow.parquet.ParquetFile(path).read().to_pandas()
            part = part.reindex(columns=["step", *CURVES, "seconds", "tokens_seen"])
            part["step"] = pd.to_numeric(part["step"]) + done
        except (OSError, ValueError, TypeError, pyarrow.ArrowException) as error:
            raise FileError(f"store/{block.key[:2]}/{block.key[:12]}…/train.parquet: {one_line(error)}") from None
        part.insert(1, "block", block.name)
        part.insert(2, "stage", f"{block.stage} ({block.model})")
        done += len(part)
        parts.append(part)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["step", "block", "stage", *CURVES])


def labels_booked(results: Path, study: str, seed: int | None, allocation_id: str) -> dict[str, int]:
    """Distinct labels that the ledger has booked to a route, by stage; {} where it holds none."""
    path = ResultsFolder(results).ledger
    if not path.is_file():
        return {}
    try:
        with database(path) as db:
            rows = db.execute(
                "SELECT stage, COUNT(DISTINCT id) FROM spent WHERE study IN (?, ?) AND seed = ? AND route LIKE ? "
                "GROUP BY stage",
                (study, account_of_test(study), seed, f"{allocation_id}:%"),
            ).fetchall()
    except sqlite3.DatabaseError as error:
        raise FileError(f"ledger.sqlite: {one_line(error)}") from None
    return {str(stage): int(count) for stage, count in rows}
