"""`tuition store export`: a block's checkpoint as a plain transformers folder with a model card, to take away."""

import re
import shutil
from pathlib import Path
from typing import Any

from filelock import Timeout

from app.model_card import write_card
from app.store import StoreBusyError, open_store
from benchmarks.records import publish_folder
from runners.scenario import Scenario
from runners.store import BlockStore, StoreError


def find_block(store: BlockStore, prefix: str) -> str:
    """The key of the one block whose key begins so; StoreError for none or several."""
    if not re.fullmatch(r"[0-9a-f]{1,64}", prefix):
        raise StoreError(f"block {prefix!r}: give a key or its first hex digits, as `tuition store list` shows them")
    keys = [key for key in store.block_keys() if key.startswith(prefix)]
    if len(keys) != 1:
        found = f"{len(keys)} blocks ({', '.join(key[:16] for key in keys[:4])}, …): give more digits"
        raise StoreError(f"block {prefix!r}: {found if keys else 'none has that key; `tuition store list` shows all'}")
    return keys[0]


def export_block(results: Path, prefix: str, to: Path, scenario_name: str) -> dict[str, Any]:
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
        raise StoreError(f"{to} exists and is not an empty folder: name another one with --to")
    try:
        with store.lock(key, timeout=0):
            record = store.record(key)
            if record is None:
                reason = store.set_aside.get(key, "it is gone")
                raise StoreError(f"block {key[:12]} cannot be used ({reason}): the search that made it makes it again")
            adapter = (store.model(key) / "adapter_config.json").exists()
            base = _base(key, str(record.get("base")), scenario_name) if adapter else None
            if target.exists():
                target.rmdir()
            with publish_folder(target) as folder:
                _write_model(store.model(key), folder, base)
                write_card(store, key, results, folder)
    except Timeout:
        raise StoreBusyError(f"block {key[:12]} is being trained: try again when it is done") from None
    return {"key": key, "folder": str(target), "merged": adapter}


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
            f"{folder} is written, and cannot be uploaded to {repository!r} ({' '.join(str(error).split())[:160]}): go "
            f"online and log in (hf auth login), then hf upload {repository} {folder}"
        ) from None
    return str(url)


def _base(key: str, content: str, scenario_name: str) -> tuple[Path, str]:
    """Folder and compute type of the base model that an adapter was trained on."""
    scenario = Scenario.load(scenario_name)
    contents = {"student": scenario.recipe.student, **scenario.recipe.teachers}
    for name, hashed in contents.items():
        if hashed == content:
            return scenario.base_folder(name), scenario.file.hardware.dtype
    raise StoreError(
        f"block {key[:12]} is an adapter on a base model that scenario {scenario.name} lacks: name the scenario that "
        "trained it with --scenario"
    )


def _write_model(model: Path, folder: Path, base: tuple[Path, str] | None) -> None:
    if base is None:
        shutil.copytree(model, folder, dirs_exist_ok=True)
        return
    from runners.checkpoint import load_model

    # What lies beside an adapter is the tokenizer, and a page about the adapter that the merged model has no use for.
    shutil.copytree(model, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("adapter_*", "README.md"))
    load_model(model, base[1], "cpu", base[0], trainable=False).save_pretrained(folder)
