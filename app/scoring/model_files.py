"""What `--model` may mean: a folder, a Hub id, a block of the store, or a scenario's base model.

In this order: a folder that exists; `base:NAME` (a base model of the scenario, as `base:student`); a block's key or
enough of its beginning; a Hub id `owner/name`, with `@revision` if wanted. Weights are safetensors only, never pickle,
and no code of a model's repository is run.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tuition.app.storage.exported_model import find_block
from tuition.app.storage.store_upkeep import open_store
from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.scoring.effective_decoding import taken_before
from tuition.benchmarks.scoring.score_store import ScoredModel
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.training.checkpoint import hash_base, weight_files

WEIGHT_PATTERNS = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"]


class ModelError(ValueError):
    """A model that cannot be found; one line with the fix."""


@dataclass(frozen=True)
class BenchedModel:
    """A checkpoint on disk, and what it is called. `base` is set for an adapter."""

    model: ScoredModel
    folder: Path
    base: Path | None = None
    recorded_sha256: str | None = None
    """Of a block, the hash of its weights; of a base model, of its content, as its scenario's recipe has it."""

    @cached_property
    def content_sha256(self) -> str:
        """Hash of weights, architecture, tokenizer and chat template, of an adapter with those of its base."""
        content = hash_base(self.folder)
        if self.base is None:
            return content
        return hashlib.sha256(f"{content} on {hash_base(self.base)}".encode()).hexdigest()

    @property
    def taken_before(self) -> bool:
        """Whether earlier versions drew its samples with more of its generation configuration than the end tokens."""
        return bool(taken_before(self.base or self.folder))

    @property
    def weights_sha256(self) -> str:
        """What the keys of its scores call its weights: as a search's, or its content for a model of no scenario."""
        return self.recorded_sha256 or self.content_sha256


def find_model(name: str, results: Path, scenario_name: str) -> BenchedModel:
    """The files of a model; ModelError says what the name may be."""
    if Path(name).is_dir():
        return _checked(BenchedModel(ScoredModel(label=name), Path(name)))
    if name.startswith("base:"):
        scenario = Scenario.load(scenario_name)
        known = ["student", *scenario.file.teachers]
        if name[5:] not in known:
            raise ModelError(f"model {name!r}: scenario {scenario.name} has {', '.join(f'base:{n}' for n in known)}")
        contents = {"student": scenario.recipe.student, **scenario.recipe.teachers}
        model = ScoredModel.of_base(scenario.name, name[5:])
        return BenchedModel(model, scenario.base_folder(name[5:]), recorded_sha256=contents[name[5:]])
    if re.fullmatch(r"[0-9a-f]{4,64}", name):
        return _block(name, results, scenario_name)
    if re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", name) and not name.startswith((".", "/")):
        return _from_hub(name)
    raise ModelError(
        f"model {name!r}: no such folder; give a folder, a Hub id such as owner/name, base:student, or the start of a "
        "block's key"
    )


def _checked(files: BenchedModel) -> BenchedModel:
    try:
        weight_files(files.folder)
    except FileNotFoundError as error:
        raise ModelError(str(error)) from None
    if (files.folder / "adapter_config.json").exists():
        raise ModelError(f"{files.folder} is an adapter: merge it into its base with `tuition export` first")
    return files


def _block(prefix: str, results: Path, scenario_name: str) -> BenchedModel:
    store = open_store(results)
    key = find_block(store, prefix)
    record = store.record(key)
    if record is None:
        raise ModelError(f"block {key[:12]} cannot be used ({store.set_aside.get(key, 'it is gone')}): train it again")
    model = ScoredModel.of_block(key, record.name)
    folder = store.model(key)
    if not (folder / "adapter_config.json").exists():
        return BenchedModel(model, folder, recorded_sha256=record.weights_sha256)
    scenario = Scenario.load(scenario_name)
    contents = {"student": scenario.recipe.student, **scenario.recipe.teachers}
    base = next((name for name, content in contents.items() if content == record.base), None)
    if base is None:
        raise ModelError(
            f"block {key[:12]} is an adapter on a base that scenario {scenario.name} lacks: add --scenario"
        )
    return BenchedModel(model, folder, scenario.base_folder(base), record.weights_sha256)


def _from_hub(name: str) -> BenchedModel:
    import httpx
    from huggingface_hub import snapshot_download

    repo, _, revision = name.partition("@")
    try:
        folder = Path(snapshot_download(repo, revision=revision or None, allow_patterns=WEIGHT_PATTERNS))
    except (OSError, ValueError, httpx.HTTPError) as error:  # huggingface_hub's own are OSError or ValueError
        reason = one_line(error, 160)
        raise ModelError(
            f"model {name!r}: no such folder, and could not be fetched from the Hub ({type(error).__name__}: {reason}):"
            " go online once, or give a folder"
        ) from None
    # The folder of a snapshot is named after its commit.
    return _checked(BenchedModel(ScoredModel(label=name, revision=folder.name), folder))
