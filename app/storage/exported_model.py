"""`tuition export`: what a run left, as a plain transformers folder with a model card, to take away."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import Timeout

from tuition.app.dashboard.data.study_frames import read_study
from tuition.app.storage.model_card import write_card
from tuition.app.storage.store_upkeep import StoreBusyError, open_store
from tuition.app.studies.single_run import allocations_by_name, find_allocation
from tuition.app.studies.study_report import read_report
from tuition.benchmarks.artefacts import FileError, publish_folder
from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.planner.allocation import AllocationError
from tuition.planner.route import compile_route
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.store.block_store import BlockStore, StoreError


@dataclass(frozen=True)
class ExportedModel:
    """A block's checkpoint as a plain transformers folder."""

    key: str
    """The block's."""
    folder: Path
    merged: bool
    """Whether an adapter was merged into its base."""
    hub: str | None = None
    """URL of the private repository that it was uploaded to."""

    def document(self) -> dict[str, Any]:
        """The export as JSON values."""
        uploaded = {} if self.hub is None else {"hub": self.hub}
        return {"key": self.key, "folder": str(self.folder), "merged": self.merged, **uploaded}


def find_block(store: BlockStore, prefix: str) -> str:
    """The key of the one block whose key begins so; StoreError for none or several."""
    keys = [key for key in store.block_keys() if key.startswith(prefix)]
    if len(keys) != 1:
        found = f"{len(keys)} blocks ({', '.join(key[:16] for key in keys[:4])}, …): give more digits"
        raise StoreError(f"block {prefix!r}: {found if keys else 'not in the store; `tuition store list` shows all'}")
    return keys[0]


def block_of_route(scenario_name: str, text: str, seed: int) -> str:
    """The key of the block in which a route ends; `text` is an allocation or a named route, as `tuition run` takes."""
    scenario = Scenario.load(scenario_name)
    try:
        allocation = find_allocation(scenario, text)
    except AllocationError as error:
        named = allocations_by_name(scenario.file, scenario.num_label_blocks)
        raise StoreError(
            f"{text!r:.80} is neither the start of a block's key (`tuition store list`) nor a named route "
            f"({', '.join(named)}) nor an allocation ({error})"
        ) from None
    return compile_route(allocation, scenario.recipe, seed).final


def block_of_row(results: Path, study: str, row: str, seed: int | None) -> str:
    """The key of the block in which a tested row of a study ends; its first seed, unless one is given."""
    path = ResultsFolder(results).named_study(study).report
    try:
        test = read_report(path).test
    except FileNotFoundError:
        test = None
    except FileError as error:
        raise StoreError(f"{path} cannot be used ({error}): choose the run by allocation, or omit --study") from None
    if test is None:
        _refuse_told(results, study, row)
        raise StoreError(f"{path} has no tested runs: run the search with --test-seeds first, or omit --study")
    trained = {name: several for name, several in test.runs.items() if all(run.blocks for run in several)}
    runs = {name: {run.seed or 0: run.blocks[-1] for run in several} for name, several in trained.items()}
    # A finalist's row is called "half = search #3": either half will do.
    names = [name for name in runs if row in (name, *name.split(" = "))]
    if len(names) != 1:
        _refuse_told(results, study, row)
        raise StoreError(f"study {study} has no row {row!r}: choose from {', '.join(map(repr, runs))}")
    seeds = runs[names[0]]
    if seed is not None and seed not in seeds:
        raise StoreError(f"{names[0]!r} was not trained with seed {seed}, but with {', '.join(map(str, seeds))}")
    return seeds[min(seeds) if seed is None else seed]


def _refuse_told(results: Path, study: str, what: str) -> None:
    """StoreError for a trial, by its number or allocation, that was trained elsewhere."""
    trials = read_study(results, study).trials
    told = trials[trials["told_from_outside"].notna()]
    for number, allocation in zip(told["number"], told["allocation"], strict=True):
        if what in (f"#{number}", f"search #{number}", allocation):
            raise StoreError(
                f"trial #{number} of study {study} was told from outside, so there is no checkpoint of it here: "
                f"train it with `tuition run {allocation!r}`"
            )


def find_run(results: Path, what: str, study: str | None, scenario_name: str, seed: int | None) -> str:
    """The key of what `tuition export` is asked for: a study's row, a block by the beginning of its key, or a route."""
    store = open_store(results)
    if study is not None:
        return find_block(store, block_of_row(results, study, what, seed))
    if re.fullmatch(r"[0-9a-f]{1,64}", what):
        return find_block(store, what)
    key = block_of_route(scenario_name, what, seed or 0)
    if store.record(key) is None:
        raise StoreError(
            f"{what!r} with seed {seed or 0} is not in {results}: run it first (tuition run {what!r} --scenario "
            f"{scenario_name} --seed {seed or 0})"
        )
    return key


def export_block(results: Path, prefix: str, to: Path, scenario_name: str) -> ExportedModel:
    """Write a block's checkpoint as a plain transformers folder, an adapter merged into its base.

    Args:
        results: the results folder.
        prefix: the block's key or its beginning.
        to: a folder that does not exist or is empty.
        scenario_name: where the base model of an adapter is found; not needed for fully trained weights.
    """
    store = open_store(results)
    key = find_block(store, prefix)
    target = to.resolve()
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise StoreError(f"{to} exists and is not an empty folder: choose another with --to")
    try:
        with store.lock(key, timeout=0):
            record = store.record(key)
            if record is None:
                reason = store.set_aside.get(key, "it is gone")
                raise StoreError(f"block {key[:12]} cannot be used ({reason}): rerun the command that trained it")
            adapter = (store.model(key) / "adapter_config.json").exists()
            base = _base(key, record.base, scenario_name) if adapter else None
            if target.exists():
                target.rmdir()
            with publish_folder(target) as folder:
                _write_model(store.model(key), folder, base)
                write_card(store, record, results, folder)
    except Timeout:
        raise StoreBusyError(f"block {key[:12]} is being trained: try again when it is done") from None
    return ExportedModel(key, target, adapter)


def upload(folder: Path, repository: str) -> str:
    """Upload an exported folder to a private repository of the Hub; its URL. StoreError when that fails."""
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    try:
        api = HfApi()
        url = api.create_repo(repository, private=True, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder)
    except (HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, httpx.HTTPError, OSError) as error:
        raise StoreError(
            f"{folder} is written but could not be uploaded to {repository!r} ({one_line(error, 160)}): go "
            f"online and log in (hf auth login), then hf upload {repository} {folder}"
        ) from None
    return str(url)


def _base(key: str, content: str | None, scenario_name: str) -> tuple[Path, str]:
    """Folder and compute type of the base model that an adapter was trained on."""
    scenario = Scenario.load(scenario_name)
    contents = {"student": scenario.recipe.student, **scenario.recipe.teachers}
    for name, hashed in contents.items():
        if hashed == content:
            return scenario.base_folder(name), scenario.file.hardware.dtype
    raise StoreError(
        f"block {key[:12]} is an adapter on a base model that scenario {scenario.name} lacks: give the scenario that "
        "trained it as --scenario"
    )


def _write_model(model: Path, folder: Path, base: tuple[Path, str] | None) -> None:
    if base is None:
        shutil.copytree(model, folder, dirs_exist_ok=True)
        return
    from tuition.runners.training.checkpoint import load_model

    load_model(model, base[1], "cpu", base[0], trainable=False).save_pretrained(folder)
    # Beside an adapter lie the tokenizer, the base's advice on sampling, and a page about the adapter that the merged
    # model has no use for.
    shutil.copytree(model, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("adapter_*", "README.md"))
