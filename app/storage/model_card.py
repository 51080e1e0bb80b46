"""The card of an exported model: how it came about, what was spent, what it scored, with which versions.

Everything is read from the records of the store; what they do not say, the card does not say.
"""

from pathlib import Path

from tuition.benchmarks.artefacts import RecordError, correct_PK
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.benchmarks.scoring.score_store import ScoreStore
from tuition.benchmarks.statistics.intervals import avg_at_k
from tuition.runners.store.block_record import BlockRecord
from tuition.runners.store.block_store import BlockStore
from tuition.runners.store.chains import chain_of


def write_card(store: BlockStore, record: BlockRecord, results: Path, folder: Path) -> None:
    """Write README.md into an exported model's folder."""
    from huggingface_hub import ModelCardData

    blocks = chain_of(record, store.record).blocks
    data = ModelCardData(library_name="transformers", pipeline_tag="text-generation", tags=["tuition", "trl"])
    lines = ["---", data.to_yaml(), "---", "", f"# Block {record.key[:12]}", ""]
    lines += ["A checkpoint trained by Tuition, which searches how a small budget of labels is split.", ""]
    lines += ["## Route", "", "| block | key | steps | new labels | GPU-seconds |", "|---|---|---:|---:|---:|"]
    for block in blocks:
        lines.append(
            f"| {block.name} of {_plain(block.model)} | {block.key[:12]} | {block.steps} | {block.labels_new} | "
            f"{block.gpu_seconds:.1f} |"
        )
    # A teacher and its student buy disjoint shares, so the sum counts no label twice.
    labels = sum(block.labels_new for block in blocks)
    lines += ["", f"{labels} labels were trained on. Run seed {record.run_seed}; final weights SHA-256 "]
    lines[-1] += f"`{record.weights_sha256}`."
    lines += ["", "## Scores", "", *_scores(results, record.weights_sha256)]
    versions = [f"{name} {version}" for name, version in sorted(record.versions.items())]
    where = [f"Python {record.python}", record.accelerator]
    lines += ["", "## Versions", "", "; ".join([", ".join(versions), *where]) + ".", ""]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")


def _scores(results: Path, weights_sha256: str) -> list[str]:
    """One line for each stored score of these weights; damaged ones are left out."""
    lines = []
    store = ScoreStore(ResultsFolder(results).scores)
    for key in store.score_keys():
        try:
            scored = store.read(key).score_key
            if scored.weights_sha256 != weights_sha256:
                continue
            score = avg_at_k(correct_PK(store.stored(key).samples)[1])
        except RecordError:
            continue
        lines.append(
            f"- {_plain(scored.suite)}, {scored.num_samples} samples per problem: {100 * score.mean:.1f} % ± "
            f"{100 * score.se_problems:.1f} over problems, ± {100 * score.se_samples:.1f} over samples; one run: "
            "excludes training variance"
        )
    return lines or ["None stored."]


def _plain(text: object) -> str:
    """A name as text, whatever is in it."""
    return "".join(c for c in str(text) if c.isalnum() or c in "@/._- ")[:100]
