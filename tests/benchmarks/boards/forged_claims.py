"""Forged claims: names, labels, costs, routes, seeds of an entry whose samples are as they were."""

import json
from pathlib import Path

import pyarrow.parquet

from tests.benchmarks.forged_boards import (
    COST,
    Document,
    Forger,
    change_samples,
    forged,
    named,
    of_fields,
    relist,
    restate,
    rewrite,
)
from tuition.benchmarks.artefacts import file_sha256
from tuition.benchmarks.boards.board_folder import read_entry, read_manifest
from tuition.benchmarks.boards.entries import entry_id, entry_json, validate_entry


def without_the_worst_seed(board: Path) -> None:
    forged(board, "half", lambda document: document["samples"].pop(1))


def with_a_lucky_seed(board: Path) -> None:
    def change(document: Document) -> None:
        document["samples"].append({**document["samples"][0], "training_seed": 9999, "weights_sha256": "9" * 64})
        change_samples(board, document, -1, lambda table: table.assign(num_tokens=7))

    forged(board, "half", change)


def shorter_allocation(board: Path) -> None:
    """The best row for an eighth of the labels, with the key that this route's block has, taken from another row."""

    def change(document: Document) -> None:
        document.update(allocation="student_rl=1", labels_trained=8, gpu_seconds=COST / 8)
        for run, other in zip(document["samples"], named(board, "direct")[1]["samples"], strict=True):
            run["blocks"] = [{**other["blocks"][0], "weights_sha256": run["weights_sha256"]}]

    forged(board, "teacher-upstream", change)


def cheaper_blocks(board: Path) -> None:
    def change(document: Document) -> None:
        document["gpu_seconds"] = 40.0
        for run in document["samples"]:
            for block in run["blocks"]:
                block["gpu_seconds"] = 40.0 / len(run["blocks"])

    forged(board, "teacher-upstream", change)


def without_a_seed(board: Path) -> None:
    def change(document: Document) -> None:
        document["samples"] = [{**document["samples"][0], "training_seed": None}]

    forged(board, "half", change)


def trained_as_base(board: Path) -> None:
    """A trained checkpoint as the untrained student, which costs nothing."""

    def change(document: Document) -> None:
        document["samples"] = [{**document["samples"][0], "training_seed": None}]
        if "blocks" in document["samples"][0]:
            document["samples"][0]["blocks"] = []
        document.update(allocation="base", labels_trained=0, gpu_seconds=0.0, name="free")

    forged(board, "teacher-upstream", change)


def trained_thrice_as_base(board: Path) -> None:
    """Three trained checkpoints as a base model of three seeds."""

    def change(document: Document) -> None:
        for run in document["samples"]:
            if "blocks" in run:
                run["blocks"] = []
        document.update(allocation="base", labels_trained=0, gpu_seconds=0.0, name="free")

    forged(board, "teacher-upstream", change)


def made_up_keys(board: Path) -> None:
    def change(document: Document) -> None:
        for run in document["samples"]:
            run["blocks"][0]["key"] = "a" * 64

    forged(board, "direct", change)


def listed_twice(board: Path, **fields: object) -> None:
    """A result a second time, under another name, with the chain made to fit."""
    _, document = named(board, "half")
    entry = validate_entry({**document, "name": "mine", **fields}, "forged")
    (board / "entries" / f"{entry_id(entry)}.json").write_text(entry_json(entry))
    last = read_manifest(board).changelog[-1]
    major, minor = last.number
    change = {"version": f"{major}.{minor + 1}", "date": last.date, "change": "mine", "added": [entry_id(entry)]}

    def append(manifest: Document) -> Document:
        return {**manifest, "version": change["version"], "changelog": [*manifest["changelog"], change]}

    rewrite(board, append)


def by_another_route(board: Path) -> None:
    _, document = named(board, "half")
    for run in document["samples"]:
        run["blocks"] = [{**block, "key": block["key"][::-1]} for block in run["blocks"]]
    listed_twice(board, allocation="teacher=large teacher_rl=3 opd=2 student_rl=5", samples=document["samples"])


def drawn_before(rollouts: str | None) -> Forger:
    """A route that trains on rollouts of its teacher, which are not stated, or cost nothing."""

    def change(document: Document) -> None:
        document.update(allocation="teacher=large teacher_rl=4 warmup=2 student_rl=4")
        for run in document["samples"]:
            for block in run.get("blocks", ())[4:6]:
                block.update(rollouts=rollouts, rollouts_gpu_seconds=0.0)

    return lambda board: forged(board, "half", change)


def on_another_device(board: Path) -> None:
    """A thirtieth of the cost, on a device that nobody else has."""

    def change(document: Document) -> None:
        document.update(gpu_seconds=document["gpu_seconds"] / 30, accelerator="cpu x86_65")
        for run in document["samples"]:
            for block in run["blocks"]:
                block["gpu_seconds"] /= 30

    forged(board, "half", change)


def of_versions(**changed: str) -> Forger:
    """A forger who states other versions, beside those that there are."""

    def change(document: Document) -> None:
        document["versions"].update(changed)

    return lambda board: forged(board, "half", change)


def another_sampling_seed(board: Path) -> None:
    """In the protocol, and in every entry with its sample files, as of whoever tried several and kept the luckiest."""

    def declare(manifest: Document) -> None:
        for protocol in manifest.get("protocols", ()):
            protocol["sampling_seed"] = 99

    rewrite(board, declare)
    for id in read_manifest(board).ids:
        document = json.loads(entry_json(read_entry(board, id)))
        for run in document["samples"]:
            restate(board, run, sampling_seed=99)
        relist(board, id, {**document, "sampling_seed": 99})


def extra_metadata(board: Path) -> None:
    def change(document: Document) -> None:
        path = board / "samples" / f"{document['samples'][0]['sha256']}.parquet"
        table = pyarrow.parquet.read_table(path)
        made = path.with_name("made.parquet")
        pyarrow.parquet.write_table(table.replace_schema_metadata({"note": "resampled by others"}), made)
        document["samples"][0]["sha256"] = file_sha256(made)
        made.rename(path.with_name(f"{document['samples'][0]['sha256']}.parquet"))

    forged(board, "half", change)


COUNTS = {"labels_trained": 8, "labels_owned": 8, "labels_validation": 0}
FORGED_CLAIMS: dict[str, tuple[Forger, str]] = {
    "the worst seed dropped": (without_the_worst_seed, "training seeds (the leaderboard's protocol): stated [1, 3]"),
    "a run without a seed": (without_a_seed, "training seeds (the leaderboard's protocol): stated []"),
    "a trained model as base": (trained_as_base, "the scenario's student"),
    "trained models as base": (trained_thrice_as_base, "base was not trained"),
    "a lucky seed added": (with_a_lucky_seed, "training seeds (the leaderboard's protocol)"),
    "fewer labels": (of_fields("teacher-upstream", **COUNTS), "labels_trained: stated 8, recomputed 64"),
    "lower cost": (of_fields("teacher-upstream", gpu_seconds=0.5), "gpu_seconds: stated 0.5, recomputed 1250.0"),
    "cheaper blocks": (cheaper_blocks, "for teacher_rl in other entries on cpu x86_64"),
    "another allocation": (of_fields("half", allocation="student_rl=1", labels_trained=8), ".blocks: stated 10 blocks"),
    "another allocation with its block": (shorter_allocation, "a block of the same key"),
    "made-up keys": (made_up_keys, "samples[0].blocks[0].key: stated aaaa"),
    "a second direct": (of_fields("raw-bridge", name="direct"), "recomputed 'direct' is student_rl=8"),
    "half as direct-compute": (of_fields("half", name="direct-compute"), "'direct-compute' is student_rl=8"),
    "half as the compute of half": (
        of_fields("half", name="direct-compute (compute of half)"), "recomputed 'direct-compute' is student_rl=8"
    ),
    "half as its finalist": (
        of_fields("half", name="teacher-upstream = search #3"), "'teacher-upstream' is teacher=large teacher_rl=8 opd=2"
    ),
    "half with another bridge": (
        of_fields("half", allocation="teacher=large teacher_rl=4 warmup=1 opd=1 student_rl=4"),
        "'half' is teacher=large teacher_rl=4 opd=2 student_rl=4",
    ),
    "half as a run without blocks": (of_fields("half", name="direct-shuffled"), "is student_rl=8 in one run"),
    "upstream in other letters": (of_fields("half", name="Teacher Upstream"), "too like 'teacher-upstream'"),
    "a teacher to deploy": (of_fields("half", name="raw-teacher"), "no entry of a leaderboard"),
    "the same result twice": (listed_twice, "weights of its own: entry"),
    "the same result by another route": (by_another_route, "weights of its own: entry"),
    "no rollouts": (drawn_before(None), "rollouts: stated None, recomputed a hash: warmup trains on"),
    "rollouts for nothing": (drawn_before("a" * 64), "recomputed what drawing its rollouts cost"),
    "another contamination statement": (
        of_fields("half", contamination="None at all."), "contamination: stated None at all., recomputed begins"
    ),
    "another library": (of_fields("half", versions={"torch": "2.12"}), "versions.torch: stated 2.12"),
    "another version than of the engine's code": (
        of_versions(tuition="0.2.0"), "versions.tuition: stated 0.2.0, recomputed that of code_version 0.1.0"
    ),
    "another library of the grader": (
        of_versions(**{"math-verify": "0.8.0"}), "versions.math-verify: stated 0.8.0, recomputed 0.9.0 of the grader"
    ),
    "a library that is not stated": (
        of_fields("half", versions={"torch": "2.11"}), "versions.transformers: stated None, recomputed 5 of the engine"
    ),
    "a device that its torch cannot use": (
        of_fields("half", accelerator="NVIDIA H200", engine="transformers 5, torch 2.11+cpu",
                  versions={"torch": "2.11+cpu", "transformers": "5"}), "accelerator: stated NVIDIA H200"
    ),
    "another sampling seed everywhere": (another_sampling_seed, "recomputed 758668390, which scores have by default"),
    "a note in a sample file": (extra_metadata, "its metadata has b'note', which no sample table has"),
    "an unverified suite": (of_fields("half", suite_verified=False), "suite_verified: stated False, recomputed true"),
    "direct as our upstream": (
        of_fields("direct", name="our teacher-upstream"), "stated our teacher-upstream for student_rl=8"
    ),
    "direct as an upstream in a note": (
        of_fields("direct", name="ours (a teacher upstream)"), "too like 'teacher-upstream'"
    ),
    "direct as the paper's": (of_fields("direct", name="paper (arXiv 2605.12483)"), "no 'paper': what a source"),
    "direct with accents": (of_fields("raw-bridge", name="dírect"), "too like 'direct'"),
    "an invisible letter": (of_fields("raw-bridge", name="direct\u3164"), "invisible letter U+3164"),
    "a look-alike letter": (of_fields("raw-bridge", name="dir\u0435ct"), "mixes letters of several scripts"),
    "wide letters": (of_fields("raw-bridge", name="\uff44irect"), "write it as 'direct'"),
    "a password": (of_fields("direct", command="tuition search --storage postgresql://me:pw@db/x"), "holds a password"),
}  # fmt: skip
"""A forger by what it forges, and what refuses it."""
